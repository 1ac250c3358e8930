-- A limit as the API shows it; slots that have decayed are not counted.
CREATE VIEW downbeat.concurrency_limit_v2 AS
SELECT bound.id,
       downbeat.rfc3339(bound.created) AS created,
       downbeat.rfc3339(bound.updated) AS updated,
       bound.active,
       bound.name,
       bound."limit",
       GREATEST(bound.active_slots - downbeat.slots_decayed(bound.slot_decay_per_second, bound.updated), 0)::integer
           AS active_slots,
       bound.slot_decay_per_second
  FROM public.concurrency_limit_v2 AS bound;
