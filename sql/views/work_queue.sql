-- A work queue as its work pool shows it. Its active slots are counted only where they are limited.
CREATE VIEW downbeat.work_queue AS
SELECT queue.id,
       downbeat.rfc3339(queue.created) AS created,
       downbeat.rfc3339(queue.updated) AS updated,
       queue.name,
       queue.description,
       queue.is_paused,
       queue.concurrency_limit,
       queue.priority,
       queue.work_pool_id,
       CASE WHEN queue.filter <> 'null' THEN '{"tags": null, "deployment_ids": null}' || queue.filter END AS filter,
       downbeat.rfc3339(queue.last_polled) AS last_polled,
       pool.name AS work_pool_name,
       queue.status,
       CASE WHEN queue.concurrency_limit IS NOT NULL
            THEN (SELECT count(*)
                    FROM public.flow_run
                   WHERE flow_run.work_queue_id = queue.id
                     AND flow_run.state_type IN ('PENDING', 'RUNNING'))
       END AS active_slots
  FROM public.work_queue AS queue
       JOIN public.work_pool AS pool ON pool.id = queue.work_pool_id;
