-- Who holds the slots of each limit, since when and until when; a limit that nobody holds has a row without a holder.
CREATE VIEW downbeat.slot AS
SELECT bound.name AS limit_name,
       bound."limit",
       bound.active,
       lease.slots,
       lease.holder_type,
       lease.holder_id,
       COALESCE(task_run.name, flow_run.name, deployment.name) AS holder_name,
       lease.acquired AS since,
       lease.expires AS until,
       bound.id AS limit_id,
       lease.id AS lease_id
  FROM public.concurrency_limit_v2 AS bound
       LEFT JOIN downbeat.concurrency_lease AS lease ON lease.limit_id = bound.id AND lease.expires > now()
       LEFT JOIN public.task_run ON lease.holder_type = 'task_run' AND task_run.id = lease.holder_id
       LEFT JOIN public.flow_run ON lease.holder_type = 'flow_run' AND flow_run.id = lease.holder_id
       LEFT JOIN public.deployment ON lease.holder_type = 'deployment' AND deployment.id = lease.holder_id;
