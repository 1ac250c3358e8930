-- needs: flow_run_state
-- A flow run as the API shows it. Its times are as of now: how long a run has been going on, how late one is. Prefect's
-- server has stored the first and last times that Python knows as infinities.
CREATE VIEW downbeat.flow_run AS
SELECT run.id,
       downbeat.rfc3339(run.created) AS created,
       downbeat.rfc3339(run.updated) AS updated,
       run.name,
       run.flow_id,
       run.state_id,
       run.deployment_id,
       run.deployment_version,
       run.work_queue_id,
       COALESCE(work_queue.name, run.work_queue_name) AS work_queue_name,
       run.flow_version,
       run.parameters,
       run.idempotency_key,
       run.context,
       CASE WHEN run.empirical_policy ? 'retry_type' THEN run.empirical_policy
            ELSE '{"max_retries": 0, "retry_delay_seconds": 0.0, "retries": null, "retry_delay": null, "pause_keys":
                  [], "resuming": false, "retry_type": null}'
                 || run.empirical_policy
       END AS empirical_policy,
       run.tags,
       COALESCE(NULLIF(run.labels, 'null'), '{}') AS labels,
       run.parent_task_run_id,
       run.state_type,
       run.state_name,
       run.run_count,
       downbeat.rfc3339(run.expected_start_time) AS expected_start_time,
       downbeat.rfc3339(run.next_scheduled_start_time) AS next_scheduled_start_time,
       downbeat.rfc3339(run.start_time) AS start_time,
       downbeat.rfc3339(run.end_time) AS end_time,
       EXTRACT(epoch FROM run.total_run_time)::float8 AS total_run_time,
       downbeat.estimated_run_time(run.state_type, run.total_run_time, run.state_timestamp) AS estimated_run_time,
       downbeat.estimated_start_time_delta(run.state_type, run.start_time, run.expected_start_time)
           AS estimated_start_time_delta,
       run.auto_scheduled,
       run.infrastructure_document_id,
       run.infrastructure_pid,
       NULLIF(run.created_by, 'null') AS created_by,
       work_pool.id AS work_pool_id,
       work_pool.name AS work_pool_name,
       (SELECT row_to_json(state) FROM downbeat.flow_run_state AS state WHERE state.id = run.state_id) AS state,
       run.job_variables
  FROM public.flow_run AS run
       LEFT JOIN public.work_queue ON work_queue.id = run.work_queue_id
       LEFT JOIN public.work_pool ON work_pool.id = work_queue.work_pool_id;
