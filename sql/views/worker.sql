-- A worker as the API shows it: online from its first heartbeat until enough of them are missing that it is found to be gone.
CREATE VIEW downbeat.worker AS
SELECT worker.id,
       downbeat.rfc3339(worker.created) AS created,
       downbeat.rfc3339(worker.updated) AS updated,
       worker.name,
       worker.work_pool_id,
       downbeat.rfc3339(worker.last_heartbeat_time) AS last_heartbeat_time,
       worker.heartbeat_interval_seconds,
       worker.status
  FROM public.worker;
