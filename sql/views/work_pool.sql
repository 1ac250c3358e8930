-- A work pool as the API shows it. Pools of agents have no status. Its active slots are counted only where they are limited.
CREATE VIEW downbeat.work_pool AS
SELECT pool.id,
       downbeat.rfc3339(pool.created) AS created,
       downbeat.rfc3339(pool.updated) AS updated,
       pool.name,
       pool.description,
       pool.type,
       pool.base_job_template,
       pool.is_paused,
       pool.concurrency_limit,
       CASE WHEN pool.type <> 'prefect-agent' THEN pool.status END AS status,
       pool.default_queue_id,
       '{"bundle_upload_step": null, "bundle_execution_step": null, "default_result_storage_block_id": null}'
           || pool.storage_configuration AS storage_configuration,
       CASE WHEN pool.concurrency_limit IS NOT NULL
            THEN (SELECT count(*)
                    FROM public.work_queue
                         JOIN public.flow_run ON flow_run.work_queue_id = work_queue.id
                   WHERE work_queue.work_pool_id = pool.id
                     AND flow_run.state_type IN ('PENDING', 'RUNNING'))
       END AS active_slots
  FROM public.work_pool AS pool;
