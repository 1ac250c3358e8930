-- A log as the API shows it.
CREATE VIEW downbeat.log AS
SELECT log.id,
       downbeat.rfc3339(log.created) AS created,
       downbeat.rfc3339(log.updated) AS updated,
       log.name,
       log.level,
       log.message,
       downbeat.rfc3339(log.timestamp) AS timestamp,
       log.flow_run_id,
       log.task_run_id
  FROM public.log;
