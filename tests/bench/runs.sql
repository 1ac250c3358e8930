-- 100,000 runs of 20 flows, each Completed with one state, one a minute up to now. Nothing is checked but what is here:
-- the caller switches the checks of foreign keys off.
INSERT INTO flow (name)
SELECT 'bench-' || number
  FROM generate_series(1, 20) AS number;

INSERT INTO flow_run (id, name, flow_id, state_id, state_type, state_name, state_timestamp, run_count, tags, labels,
                      parameters, empirical_policy, flow_version, expected_start_time, start_time, end_time,
                      total_run_time)
SELECT gen_random_uuid(),
       'loaded-' || number,
       flow.id,
       gen_random_uuid(),
       'COMPLETED',
       'Completed',
       now() - number * interval '1 minute' + interval '10 seconds',
       1,
       '["a", "b"]',
       jsonb_build_object('prefect.flow.id', flow.id),
       '{"x": 1}',
       '{"retries": 0, "retry_delay": 0, "pause_keys": [], "resuming": false, "max_retries": 0, "retry_delay_seconds": 0}',
       '49af250b22502ade38731c3488026cde',
       now() - number * interval '1 minute',
       now() - number * interval '1 minute',
       now() - number * interval '1 minute' + interval '10 seconds',
       interval '10 seconds'
  FROM generate_series(1, 100000) AS number
  JOIN (SELECT flow.id, row_number() OVER (ORDER BY flow.name) AS place FROM flow WHERE flow.name LIKE 'bench-%') AS flow
    ON flow.place = number % 20 + 1;

INSERT INTO flow_run_state (id, flow_run_id, type, name, timestamp, state_details)
SELECT flow_run.state_id,
       flow_run.id,
       flow_run.state_type,
       flow_run.state_name,
       flow_run.state_timestamp,
       jsonb_build_object('flow_run_id', flow_run.id)
  FROM flow_run
 WHERE flow_run.name LIKE 'loaded-%';
