-- The limit that the flow runs of a deployment take slots of, and what becomes of those that get none; one that is switched
-- off is left out. Free are also the slots of leases that have run out, for whoever asks gets them.
CREATE VIEW downbeat.deployment_limit AS
SELECT deployment.id AS deployment_id,
       bound.id AS limit_id,
       bound.name AS limit_name,
       bound."limit",
       COALESCE(deployment.concurrency_options ->> 'collision_strategy', 'ENQUEUE') AS collision_strategy,
       (deployment.concurrency_options ->> 'grace_period_seconds')::float8 AS grace_period_seconds,
       bound."limit" - GREATEST(bound.active_slots
                                - downbeat.slots_decayed(bound.slot_decay_per_second, bound.updated)
                                - COALESCE((SELECT sum(lease.slots)
                                              FROM downbeat.concurrency_lease AS lease
                                             WHERE lease.limit_id = bound.id
                                               AND lease.expires <= now()), 0), 0) AS free_slots
  FROM public.deployment
       JOIN public.concurrency_limit_v2 AS bound ON bound.id = deployment.concurrency_limit_id
 WHERE bound.active;
