-- How many more runs a work queue may have PENDING or RUNNING; NULL for any number.
CREATE VIEW downbeat.work_queue_slots AS
SELECT work_queue.id,
       CASE WHEN work_queue.concurrency_limit IS NOT NULL
            THEN GREATEST(0, work_queue.concurrency_limit
                             - (SELECT count(*)
                                  FROM public.flow_run
                                 WHERE flow_run.work_queue_id = work_queue.id
                                   AND flow_run.state_type IN ('PENDING', 'RUNNING'))) END AS free_slots
  FROM public.work_queue;
