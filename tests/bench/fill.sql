-- 1 M flow runs, 2 M task runs, 5 M lines of logs and 7 M states, times the setting bench.factor, over the last 90 days and
-- the next three. As in life few deployments have most of the runs, every hundredth run has most of the task runs and lines,
-- 95 % of the runs are over, and ids rise with time. Nothing is checked but what is here: the caller switches the checks of
-- foreign keys off.
CREATE FUNCTION pg_temp.size(full_size bigint) RETURNS bigint
    LANGUAGE sql STABLE RETURN (full_size * current_setting('bench.factor')::float8)::bigint;

-- The id of version 7 that a thing of a kind (three hexadecimal digits) and a number gets; the stem tells its time.
CREATE FUNCTION pg_temp.id_of(stem text, kind text, number bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE RETURN (stem || kind || '8' || lpad(to_hex(number), 15, '0'))::uuid;

SELECT setseed(0.5);

INSERT INTO flow (id, created, name, tags, labels)
SELECT gen_random_uuid(), now() - interval '90 days', 'flow-' || number, '["team-a"]', '{}'
  FROM generate_series(1, 200) AS number;

INSERT INTO work_pool (name, type, base_job_template, status)
SELECT name, 'process', '{"job_configuration": {"env": "{{ env }}"}, "variables": {"type": "object", "properties": {}}}', 'READY'
  FROM unnest(ARRAY['pool-1', 'pool-2', 'pool-3', 'pool-4', 'pool-5', 'polled']) AS name;

INSERT INTO work_queue (name, work_pool_id, priority, status, last_polled)
SELECT queue.name, work_pool.id, queue.priority, 'READY', now()
  FROM work_pool
 CROSS JOIN (VALUES ('default', 1), ('fast', 2), ('slow', 3), ('nightly', 4)) AS queue (name, priority)
 ORDER BY work_pool.name, queue.priority;

UPDATE work_pool
   SET default_queue_id = work_queue.id
  FROM work_queue
 WHERE work_queue.work_pool_id = work_pool.id
   AND work_queue.name = 'default';

-- Every tenth deployment is served by a process of its own, without a work queue.
INSERT INTO deployment (id, created, name, flow_id, work_queue_id, work_queue_name, tags, labels, status, parameter_openapi_schema,
                        last_polled)
SELECT gen_random_uuid(), now() - interval '90 days', 'deployment-' || number, flow.id, queue.id, queue.name,
       jsonb_build_array('env-' || number % 3), '{}', 'READY', '{}', now()
  FROM generate_series(1, GREATEST(50, pg_temp.size(1000))) AS number
       JOIN (SELECT id, row_number() OVER (ORDER BY name) AS place FROM flow) AS flow ON flow.place = number % 200 + 1
       LEFT JOIN (SELECT work_queue.id, work_queue.name, row_number() OVER (ORDER BY work_pool.name, work_queue.priority) AS place
                    FROM work_queue JOIN work_pool ON work_pool.id = work_queue.work_pool_id
                   WHERE work_pool.name <> 'polled') AS queue ON queue.place = number % 20 + 1 AND number % 10 <> 0;

-- What the rows below are made from, a row for each flow run.
CREATE TEMPORARY TABLE plan AS
  WITH numbered AS (
       SELECT number,
              (number - 1.0::float8) / pg_temp.size(1000000) AS part,
              random() AS chance,
              floor(GREATEST(50, pg_temp.size(1000)) * 1.1 * random() ^ 3)::int + 1 AS deployment,
              CASE WHEN random() < 0.3 THEN floor(40 * random() ^ 2)::int END AS tag
         FROM generate_series(1, pg_temp.size(1000000)) AS number
       ),
       timed AS (
       SELECT *,
              CASE WHEN part < 0.95 THEN CASE WHEN chance < 0.01 THEN 'CANCELLED' WHEN chance < 0.03 THEN 'CRASHED'
                                              WHEN chance < 0.1 THEN 'FAILED' ELSE 'COMPLETED' END
                   WHEN part < 0.96 THEN CASE WHEN chance < 0.1 THEN 'PENDING' WHEN chance < 0.2 THEN 'PAUSED'
                                              WHEN chance < 0.7 THEN 'SCHEDULED' ELSE 'RUNNING' END
                   ELSE 'SCHEDULED' END AS state_type,
              now() + CASE WHEN part < 0.95 THEN (part / 0.95 - 1) * interval '90 days'
                           WHEN part < 0.96 THEN (part / 0.01 - 96) * interval '1 hour'
                           ELSE (part - 0.96) / 0.04 * interval '3 days' + interval '1 minute' END AS moment
         FROM numbered
       ),
       stemmed AS (
       SELECT *, lpad(to_hex((date_part('epoch', moment) * 1000)::bigint), 12, '0') || '7' AS stem
         FROM timed
       )
SELECT *,
       pg_temp.id_of(stem, '00a', number) AS id,
       moment + interval '2 minutes' * chance ^ 4 + interval '2 seconds' AS ended,
       state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED') AS is_over,
       CASE WHEN state_type IN ('SCHEDULED', 'PENDING') THEN 0 WHEN number % 100 = 0 THEN 101 ELSE 1 END AS task_runs,
       CASE WHEN state_type IN ('SCHEDULED', 'PENDING') THEN 0 WHEN number % 100 = 0 THEN 203 ELSE 3 END AS lines
  FROM stemmed;
CREATE UNIQUE INDEX plan_number ON plan (number);
ANALYZE plan;

-- Every twentieth run is a subflow of the one before it. A run past the last deployment has none.
INSERT INTO flow_run (id, created, updated, name, flow_id, deployment_id, work_queue_id, work_queue_name, state_id, state_type,
                      state_name, state_timestamp, run_count, tags, labels, parameters, context, empirical_policy, flow_version,
                      expected_start_time, next_scheduled_start_time, start_time, end_time, total_run_time, auto_scheduled,
                      created_by, idempotency_key, parent_task_run_id)
SELECT plan.id,
       LEAST(plan.moment, now()),
       LEAST(plan.ended, now()),
       'quick-' || (ARRAY['falcon', 'otter', 'badger', 'lynx', 'heron'])[plan.number % 5 + 1] || '-' || plan.number,
       own.flow_id,
       deployment.id,
       deployment.work_queue_id,
       deployment.work_queue_name,
       pg_temp.id_of(plan.stem, '00c', plan.number),
       plan.state_type::state_type,
       CASE WHEN plan.state_type = 'SCHEDULED' AND plan.moment < now() THEN 'Late' ELSE initcap(plan.state_type) END,
       CASE WHEN plan.is_over THEN plan.ended ELSE LEAST(plan.moment, now()) END,
       (plan.state_type NOT IN ('SCHEDULED', 'PENDING'))::int,
       CASE WHEN plan.tag IS NULL THEN '[]' ELSE jsonb_build_array('tag-' || plan.tag, 'prod') END,
       jsonb_build_object('prefect.flow.id', own.flow_id),
       jsonb_build_object('x', plan.number, 'source', 's3://bucket/key'),
       '{}',
       '{"retries": 0, "retry_delay": 0, "pause_keys": [], "resuming": false, "max_retries": 0, "retry_delay_seconds": 0}',
       '49af250b22502ade38731c3488026cde',
       plan.moment,
       CASE WHEN plan.state_type = 'SCHEDULED' THEN plan.moment END,
       CASE WHEN plan.state_type NOT IN ('SCHEDULED', 'PENDING') THEN plan.moment + interval '1 second' END,
       CASE WHEN plan.is_over THEN plan.ended END,
       CASE WHEN plan.is_over THEN plan.ended - plan.moment - interval '1 second' ELSE '0' END,
       plan.number % 4 <> 0 AND deployment.id IS NOT NULL,
       CASE WHEN plan.number % 4 <> 0 AND deployment.id IS NOT NULL
            THEN jsonb_build_object('id', deployment.id, 'type', 'SCHEDULE', 'display_value', 'CronSchedule') END,
       CASE WHEN plan.number % 4 <> 0 AND deployment.id IS NOT NULL THEN 'scheduled ' || plan.number END,
       CASE WHEN plan.number % 20 = 0
            THEN (SELECT pg_temp.id_of(parent.stem, '00b', parent.number * 1000) FROM plan AS parent
                   WHERE parent.number = plan.number - 1 AND parent.task_runs > 0) END
  FROM plan
       LEFT JOIN (SELECT id, flow_id, work_queue_id, work_queue_name, row_number() OVER (ORDER BY name) AS place FROM deployment)
                 AS deployment ON deployment.place = plan.deployment
 CROSS JOIN LATERAL (SELECT COALESCE(deployment.flow_id, (SELECT id FROM flow WHERE name = 'flow-1')) AS flow_id) AS own
 ORDER BY plan.number;

INSERT INTO flow_run_state (id, created, updated, flow_run_id, type, name, timestamp, state_details)
SELECT pg_temp.id_of(plan.stem, step.kind, plan.number),
       LEAST(step.moment, now()),
       LEAST(step.moment, now()),
       plan.id,
       step.type::state_type,
       CASE WHEN step.type = 'SCHEDULED' AND plan.moment < now() AND step.is_last THEN 'Late' ELSE initcap(step.type) END,
       LEAST(step.moment, now()),
       jsonb_build_object('flow_run_id', plan.id, 'pause_reschedule', false, 'untrackable_result', false)
       || CASE WHEN step.type = 'SCHEDULED' THEN jsonb_build_object('scheduled_time', plan.moment) ELSE '{}' END
  FROM plan
 CROSS JOIN LATERAL (
       VALUES ('008', 'PENDING', plan.moment, FALSE, plan.task_runs > 0),
              ('009', 'RUNNING', plan.moment + interval '1 second', FALSE, plan.is_over),
              ('00c', plan.state_type, CASE WHEN plan.is_over THEN plan.ended ELSE plan.moment + interval '500 ms' END, TRUE, TRUE)
       ) AS step (kind, type, moment, is_last, was_reached)
 WHERE step.was_reached
 ORDER BY plan.number;

-- The task run of number 0 stands for the subflow where there is one.
INSERT INTO task_run (id, created, updated, name, task_key, dynamic_key, flow_run_id, state_id, state_type, state_name, state_timestamp,
                      run_count, flow_run_run_count, tags, labels, empirical_policy, task_inputs, expected_start_time, start_time,
                      end_time, total_run_time)
SELECT pg_temp.id_of(plan.stem, '00b', plan.number * 1000 + place),
       plan.moment + interval '1 second',
       plan.ended,
       (ARRAY['extract', 'transform', 'load'])[place % 3 + 1] || '-' || left(md5(plan.number::text), 3),
       (ARRAY['extract', 'transform', 'load'])[place % 3 + 1] || '-89511c3d',
       place::text,
       plan.id,
       pg_temp.id_of(plan.stem, '00d', plan.number * 1000 + place),
       plan.task_state::state_type,
       initcap(plan.task_state),
       plan.ended,
       1,
       1,
       CASE WHEN plan.tag < 5 THEN jsonb_build_array('tag-' || plan.tag) ELSE '[]' END,
       '{}',
       '{"retries": 0, "retry_delay": 0, "max_retries": 0, "retry_delay_seconds": 0.0}',
       '{}',
       plan.moment + interval '1 second',
       plan.moment + interval '1 second' + place * interval '10 ms',
       CASE WHEN plan.is_over THEN plan.ended END,
       CASE WHEN plan.is_over THEN plan.ended - plan.moment - interval '1 second' ELSE '0' END
  FROM (SELECT *, CASE WHEN is_over THEN state_type ELSE 'RUNNING' END AS task_state FROM plan WHERE task_runs > 0) AS plan
 CROSS JOIN LATERAL generate_series(0, plan.task_runs - 1) AS place
 ORDER BY plan.number, place;

INSERT INTO task_run_state (id, created, updated, task_run_id, type, name, timestamp, state_details)
SELECT pg_temp.id_of(plan.stem, step.kind, plan.number * 1000 + place),
       step.moment,
       step.moment,
       pg_temp.id_of(plan.stem, '00b', plan.number * 1000 + place),
       step.type::state_type,
       initcap(step.type),
       step.moment,
       jsonb_build_object('flow_run_id', plan.id, 'pause_reschedule', false, 'untrackable_result', false)
  FROM plan
 CROSS JOIN LATERAL generate_series(0, plan.task_runs - 1) AS place
 CROSS JOIN LATERAL (
       VALUES ('00e', 'RUNNING', plan.moment + interval '1 second', plan.is_over),
              ('00d', CASE WHEN plan.is_over THEN plan.state_type ELSE 'RUNNING' END, plan.ended, TRUE)
       ) AS step (kind, type, moment, was_reached)
 WHERE step.was_reached
 ORDER BY plan.number, place;

INSERT INTO log (id, created, updated, name, level, flow_run_id, task_run_id, message, timestamp)
SELECT pg_temp.id_of(plan.stem, '00f', plan.number * 1000 + place),
       plan.moment,
       plan.moment,
       CASE WHEN place % 3 = 0 THEN 'prefect.flow_runs' ELSE 'prefect.task_runs' END,
       CASE WHEN place % 50 = 49 THEN 40 WHEN place % 10 = 9 THEN 30 WHEN place % 5 = 0 THEN 10 ELSE 20 END,
       plan.id,
       CASE WHEN place % 3 > 0 THEN pg_temp.id_of(plan.stem, '00b', plan.number * 1000 + place / 3) END,
       'Finished step ' || place || ' of the work on s3://bucket/key-' || plan.number || ', all is well and the next one begins',
       plan.moment + place * interval '10 ms'
  FROM plan
 CROSS JOIN LATERAL generate_series(0, plan.lines - 1) AS place
 ORDER BY plan.number, place;

-- What a worker polls: 1,000 runs that are due in a pool that has no others. They are Late already, so that nothing marks them.
INSERT INTO flow_run (name, flow_id, deployment_id, work_queue_id, work_queue_name, state_id, state_type, state_name, state_timestamp,
                      tags, labels, parameters, empirical_policy, expected_start_time, next_scheduled_start_time)
SELECT 'due-' || number, deployment.flow_id, deployment.id, queue.id, queue.name, gen_random_uuid(), 'SCHEDULED', 'Late', now(),
       '[]', '{}', '{"x": 1}', '{"retries": 0, "retry_delay": 0, "pause_keys": [], "resuming": false}', due.moment, due.moment
  FROM generate_series(1, 1000) AS number
 CROSS JOIN LATERAL (SELECT now() - number * interval '1 second' AS moment) AS due
       JOIN (SELECT work_queue.id, work_queue.name, work_queue.priority
               FROM work_queue JOIN work_pool ON work_pool.id = work_queue.work_pool_id
              WHERE work_pool.name = 'polled') AS queue ON queue.priority = number % 4 + 1
 CROSS JOIN (SELECT id, flow_id FROM deployment WHERE name = 'deployment-1') AS deployment;

INSERT INTO flow_run_state (id, flow_run_id, type, name, timestamp, state_details)
SELECT flow_run.state_id, flow_run.id, flow_run.state_type, flow_run.state_name, flow_run.state_timestamp,
       jsonb_build_object('flow_run_id', flow_run.id, 'scheduled_time', flow_run.expected_start_time)
  FROM flow_run
 WHERE flow_run.name LIKE 'due-%';

DROP TABLE plan;
