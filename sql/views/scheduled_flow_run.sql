-- needs: flow_run
-- A flow run as a worker gets it: with its queue and pool beside it, the name of the queue that it was created with, and
-- without its state.
CREATE VIEW downbeat.scheduled_flow_run AS
SELECT run.work_pool_id,
       run.work_queue_id,
       (SELECT row_to_json(shown)
          FROM (SELECT run.id,
                       run.created,
                       run.updated,
                       run.name,
                       run.flow_id,
                       run.state_id,
                       run.deployment_id,
                       run.deployment_version,
                       stored.work_queue_name,
                       run.flow_version,
                       run.parameters,
                       run.idempotency_key,
                       run.context,
                       run.empirical_policy,
                       run.tags,
                       run.labels,
                       run.parent_task_run_id,
                       run.state_type,
                       run.state_name,
                       run.run_count,
                       run.expected_start_time,
                       run.next_scheduled_start_time,
                       run.start_time,
                       run.end_time,
                       run.total_run_time,
                       run.estimated_run_time,
                       run.estimated_start_time_delta,
                       run.auto_scheduled,
                       run.infrastructure_document_id,
                       run.infrastructure_pid,
                       run.created_by,
                       run.work_queue_id,
                       NULL::json AS state,
                       run.job_variables) AS shown) AS flow_run,
       run.id
  FROM downbeat.flow_run AS run
       JOIN public.flow_run AS stored ON stored.id = run.id;
