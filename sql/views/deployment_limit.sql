-- The limit that the flow runs of a deployment take slots of, and what becomes of those that get none; one that is switched
-- off is left out. Free are also the slots of leases that have run out, for whoever asks gets them. A poll hands out as many runs
-- as there are free slots, but all of a deployment that is to cancel those without one (NULL).
CREATE VIEW downbeat.deployment_limit AS
SELECT bound.deployment_id,
       bound.limit_id,
       bound.limit_name,
       bound."limit",
       bound.collision_strategy,
       bound.grace_period_seconds,
       bound.free_slots,
       CASE WHEN bound.collision_strategy <> 'CANCEL_NEW' OR bound."limit" = 0
            THEN GREATEST(bound.free_slots, 0)::bigint END AS runs_to_hand_out
  FROM (SELECT deployment.id AS deployment_id,
               limits.id AS limit_id,
               limits.name AS limit_name,
               limits."limit",
               COALESCE(deployment.concurrency_options ->> 'collision_strategy', 'ENQUEUE') AS collision_strategy,
               (deployment.concurrency_options ->> 'grace_period_seconds')::float8 AS grace_period_seconds,
               limits."limit" - GREATEST(limits.active_slots
                                         - downbeat.slots_decayed(limits.slot_decay_per_second, limits.updated)
                                         - COALESCE((SELECT sum(lease.slots)
                                                       FROM downbeat.concurrency_lease AS lease
                                                      WHERE lease.limit_id = limits.id
                                                        AND lease.expires <= now()), 0), 0) AS free_slots
          FROM public.deployment
               JOIN public.concurrency_limit_v2 AS limits ON limits.id = deployment.concurrency_limit_id
         WHERE limits.active) AS bound;
