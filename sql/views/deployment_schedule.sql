-- A schedule of a deployment as the API shows it.
CREATE VIEW downbeat.deployment_schedule AS
SELECT schedule.id,
       downbeat.rfc3339(schedule.created) AS created,
       downbeat.rfc3339(schedule.updated) AS updated,
       schedule.deployment_id,
       schedule.schedule,
       schedule.active,
       schedule.max_scheduled_runs,
       schedule.parameters,
       schedule.slug
  FROM public.deployment_schedule AS schedule;
