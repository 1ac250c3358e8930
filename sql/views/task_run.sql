-- needs: task_run_state
-- A task run as the API shows it. Its times are as of now: how long a run has been going on, how late one is. Prefect's
-- server has stored the first and last times that Python knows as infinities.
CREATE VIEW downbeat.task_run AS
SELECT run.id,
       downbeat.rfc3339(run.created) AS created,
       downbeat.rfc3339(run.updated) AS updated,
       run.name,
       run.flow_run_id,
       run.task_key,
       run.dynamic_key,
       run.cache_key,
       downbeat.rfc3339(run.cache_expiration) AS cache_expiration,
       run.task_version,
       CASE WHEN run.empirical_policy ? 'retry_jitter_factor' THEN run.empirical_policy
            ELSE '{"max_retries": 0, "retry_delay_seconds": 0.0, "retries": null, "retry_delay": null,
                  "retry_jitter_factor": null}'
                 || run.empirical_policy
       END AS empirical_policy,
       run.tags,
       COALESCE(NULLIF(run.labels, 'null'), '{}') AS labels,
       run.state_id,
       run.task_inputs,
       run.state_type,
       run.state_name,
       run.run_count,
       run.flow_run_run_count,
       downbeat.rfc3339(run.expected_start_time) AS expected_start_time,
       downbeat.rfc3339(run.next_scheduled_start_time) AS next_scheduled_start_time,
       downbeat.rfc3339(run.start_time) AS start_time,
       downbeat.rfc3339(run.end_time) AS end_time,
       EXTRACT(epoch FROM run.total_run_time)::float8 AS total_run_time,
       downbeat.estimated_run_time(run.state_type, run.total_run_time, run.state_timestamp) AS estimated_run_time,
       downbeat.estimated_start_time_delta(run.state_type, run.start_time, run.expected_start_time)
           AS estimated_start_time_delta,
       (SELECT row_to_json(state) FROM downbeat.task_run_state AS state WHERE state.id = run.state_id) AS state
  FROM public.task_run AS run;
