-- How many more runs a work pool may have PENDING or RUNNING; NULL for any number.
CREATE VIEW downbeat.work_pool_slots AS
SELECT work_pool.id,
       CASE WHEN work_pool.concurrency_limit IS NOT NULL
            THEN GREATEST(0, work_pool.concurrency_limit
                             - (SELECT count(*)
                                  FROM public.work_queue
                                       JOIN public.flow_run ON flow_run.work_queue_id = work_queue.id
                                 WHERE work_queue.work_pool_id = work_pool.id
                                   AND flow_run.state_type IN ('PENDING', 'RUNNING'))) END AS free_slots
  FROM public.work_pool;
