-- needs: work_queue
-- A work queue as it shows itself apart from a work pool. Runs that are being cancelled hold slots here, too; of a queue with
-- a filter the slots are those of the runs that match it.
CREATE VIEW downbeat.agent_queue AS
SELECT queue.id,
       queue.created,
       queue.updated,
       queue.name,
       queue.description,
       queue.is_paused,
       queue.concurrency_limit,
       queue.priority,
       queue.work_pool_id,
       queue.filter,
       queue.last_polled,
       queue.work_pool_name,
       queue.status,
       CASE WHEN queue.concurrency_limit IS NULL THEN NULL
            WHEN queue.filter IS NULL
            THEN (SELECT count(*)
                    FROM public.flow_run
                   WHERE flow_run.work_queue_id = queue.id
                     AND flow_run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING'))
            ELSE (SELECT count(*)
                    FROM public.flow_run
                   WHERE flow_run.state_type IN ('PENDING', 'RUNNING')
                     AND flow_run.deployment_id IS NOT NULL
                     AND (queue.filter -> 'deployment_ids' = 'null'
                          OR queue.filter -> 'deployment_ids' ? flow_run.deployment_id::text)
                     AND (queue.filter -> 'tags' = 'null' OR flow_run.tags @> (queue.filter -> 'tags')))
       END AS active_slots
  FROM downbeat.work_queue AS queue;
