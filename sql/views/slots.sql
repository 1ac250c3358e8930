-- Who holds the slots of each limit.
CREATE VIEW downbeat.slots AS
SELECT bound.name AS limit_name,
       bound."limit",
       bound.active,
       lease.slots,
       lease.holder_type,
       COALESCE(task_run.name, flow_run.name, deployment.name) AS holder_name,
       COALESCE(task_run.state_name, flow_run.state_name) AS holder_state,
       flow.name AS flow_name,
       around.name AS flow_run_name,
       lease.acquired AS since,
       lease.expires AS until,
       bound.id AS limit_id,
       lease.id AS lease_id,
       lease.holder_id,
       around.id AS flow_run_id
  FROM public.concurrency_limit_v2 AS bound
       LEFT JOIN downbeat.concurrency_lease AS lease ON lease.limit_id = bound.id AND lease.expires > now()
       LEFT JOIN public.task_run ON lease.holder_type = 'task_run' AND task_run.id = lease.holder_id
       LEFT JOIN public.flow_run ON lease.holder_type = 'flow_run' AND flow_run.id = lease.holder_id
       LEFT JOIN public.deployment ON lease.holder_type = 'deployment' AND deployment.id = lease.holder_id
       LEFT JOIN public.flow_run AS around ON around.id = COALESCE(flow_run.id, task_run.flow_run_id)
       LEFT JOIN public.flow ON flow.id = COALESCE(around.flow_id, deployment.flow_id)
 ORDER BY bound.name, lease.acquired, lease.id;

COMMENT ON VIEW downbeat.slots IS
    'Slots of every limit: a row for each holder, or one without a holder where nobody holds any.';
COMMENT ON COLUMN downbeat.slots.limit_name IS 'Limit: a name, tag: and a tag, or deployment: and the id of a deployment.';
COMMENT ON COLUMN downbeat.slots."limit" IS 'Number of slots that there are.';
COMMENT ON COLUMN downbeat.slots.active IS 'False while the limit is switched off.';
COMMENT ON COLUMN downbeat.slots.slots IS 'Number of slots that this holder has; null where nobody holds any.';
COMMENT ON COLUMN downbeat.slots.holder_type IS 'flow_run, task_run or deployment; null when nobody is named.';
COMMENT ON COLUMN downbeat.slots.holder_name IS 'Name of the run or deployment, unless it is not there (any more).';
COMMENT ON COLUMN downbeat.slots.holder_state IS 'Name of the state that the run is in.';
COMMENT ON COLUMN downbeat.slots.flow_name IS 'Flow that the holder belongs to.';
COMMENT ON COLUMN downbeat.slots.flow_run_name IS 'Flow run that the holder is or belongs to.';
COMMENT ON COLUMN downbeat.slots.since IS 'When the slots were taken.';
COMMENT ON COLUMN downbeat.slots.until IS 'When the lease runs out unless it is renewed; infinity: when the holder ends.';
