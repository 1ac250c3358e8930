-- Slots as runs hold them: what the holder does gives them back, renews them, or keeps them for good.
--
-- Locks are taken in this order: deployments, flow runs, task runs, limits, leases; of one kind in the order of ids. A
-- statement that gives slots back comes behind the lock on the holder, so it sees all that the holder has taken.

-- name: give_back :exec
-- Give back what the leases of holders hold, those of the task runs of flow runs, and certain leases; what is given back already
-- is nothing, and neither holder nor limit need be there any more. With `ended`, a time for each holder, only leases that were
-- taken before it. It is done in one statement for any number of holders, for the limits are locked in their order.
  WITH chosen AS MATERIALIZED (
       SELECT lease.id
         FROM unnest(%(holder_ids)s::uuid[], %(ended)s::timestamptz[]) AS holder (id, ended)
              JOIN downbeat.concurrency_lease AS lease ON lease.holder_id = holder.id
        WHERE holder.ended IS NULL
           OR lease.acquired < holder.ended
        UNION
       SELECT lease.id
         FROM downbeat.concurrency_lease AS lease
              JOIN task_run ON task_run.id = lease.holder_id
        WHERE task_run.flow_run_id = ANY (%(flow_run_ids)s::uuid[])
          AND %(flow_run_ids)s::uuid[] IS NOT NULL
        UNION
       SELECT unnest(%(lease_ids)s::uuid[])
       ),
       bounds AS MATERIALIZED (
       SELECT bound.id
         FROM concurrency_limit_v2 AS bound
        WHERE bound.id IN (SELECT lease.limit_id
                             FROM chosen
                                  JOIN downbeat.concurrency_lease AS lease ON lease.id = chosen.id)
        ORDER BY bound.id
          FOR UPDATE
       ),
       held AS MATERIALIZED (
       SELECT lease.id, lease.place
         FROM chosen
              JOIN downbeat.concurrency_lease AS lease ON lease.id = chosen.id
        WHERE (SELECT count(*) FROM bounds) >= 0
        ORDER BY lease.id, lease.place
          FOR UPDATE OF lease
       ),
       given_back AS (
       DELETE FROM downbeat.concurrency_lease AS lease
        USING held
        WHERE lease.id = held.id
          AND lease.place = held.place
       RETURNING lease.limit_id, lease.slots
       ),
       freed AS (
       SELECT limit_id, sum(slots) AS slots
         FROM given_back
        GROUP BY limit_id
       )
UPDATE concurrency_limit_v2 AS bound
   SET active_slots = GREATEST(bound.active_slots - freed.slots, 0)
  FROM freed
 WHERE bound.id = freed.limit_id;

-- name: lock_parents :exec
-- Lock the task runs that stand for flow runs in their parents, before slots are taken or given back; their states are written
-- after that.
SELECT task_run.id
  FROM task_run
 WHERE task_run.id = ANY (%(task_run_ids)s::uuid[])
 ORDER BY task_run.id
   FOR NO KEY UPDATE;

-- name: lock_limits :exec
-- Lock the limits that holders hold slots of, before several of them give theirs back one after the other.
SELECT bound.id
  FROM concurrency_limit_v2 AS bound
 WHERE bound.id IN (SELECT lease.limit_id
                      FROM downbeat.concurrency_lease AS lease
                     WHERE lease.holder_id = ANY (%(holder_ids)s::uuid[]))
 ORDER BY bound.id
   FOR UPDATE;

-- name: keep :exec
-- Let a lease that has not run out last until its holder ends, for the holder cannot renew it.
UPDATE downbeat.concurrency_lease
   SET expires = 'infinity'
 WHERE id = %(lease_id)s::uuid
   AND expires > clock_timestamp();

-- name: find_ended :many
-- Holders of leases that last until they end, which has happened without this being noticed: while another server was in
-- charge of the database, or because the flow run of a task run has ended some time ago and the task run has never said so. A
-- holder that is not known is taken to have ended an hour after it has taken its slots: task runs take theirs before they are
-- told of, but not that long before.
SELECT lease.holder_id AS id,
       max(ended.time) AS time
  FROM downbeat.concurrency_lease AS lease
       LEFT JOIN task_run ON task_run.id = lease.holder_id
       LEFT JOIN flow_run ON flow_run.id = COALESCE(task_run.flow_run_id, lease.holder_id)
 CROSS JOIN LATERAL (
       SELECT CASE WHEN task_run.state_type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') THEN task_run.state_timestamp
                   WHEN flow_run.state_type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
                   THEN flow_run.state_timestamp + CASE WHEN task_run.id IS NULL THEN '0' ELSE interval '300 seconds' END
                   WHEN task_run.id IS NULL AND flow_run.id IS NULL THEN %(now)s::timestamptz - interval '1 hour'
               END AS time) AS ended
 WHERE lease.expires = 'infinity'
   AND lease.acquired < ended.time
   AND ended.time <= %(now)s::timestamptz
   AND lease.holder_id > %(after)s::uuid
 GROUP BY lease.holder_id
 ORDER BY lease.holder_id
 LIMIT %(limit)s::integer;
