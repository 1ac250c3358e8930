-- Limits by name, and the leases that hold their slots.
--
-- Whoever takes or gives back slots locks the limits first, in the order of ids, and then the leases, in the order of their
-- places. active_slots counts the slots of the limit's leases and those taken without one. `updated` is the moment up to
-- which decay is counted: it moves on by whole slots, so that frequent asking does not hold decay up.

-- name: create :one
-- Insert a limit; give it as the API shows a new one, and what its event tells.
INSERT INTO concurrency_limit_v2
       (id, active, name, "limit", active_slots, denied_slots, slot_decay_per_second, avg_slot_occupancy_seconds)
VALUES (%(id)s::uuid, %(active)s::boolean, %(name)s::text, %(limit)s::integer, %(active_slots)s::integer,
        %(denied_slots)s::integer, %(slot_decay_per_second)s::double precision, 2.0)
RETURNING id,
          name,
          "limit",
          active,
          slot_decay_per_second,
          now() AS occurred,
          json_build_object(
          'id', id,
          'created', downbeat.rfc3339(created),
          'updated', downbeat.rfc3339(updated),
          'active', active,
          'name', name,
          'limit', "limit",
          'active_slots', active_slots,
          'denied_slots', denied_slots,
          'slot_decay_per_second', slot_decay_per_second,
          'avg_slot_occupancy_seconds', avg_slot_occupancy_seconds
          )::text AS document;

-- name: read :json
-- One limit by id or by name; the other is null.
SELECT row_to_json(bound)::text
  FROM downbeat.concurrency_limit_v2 AS bound
 WHERE bound.id = %(id)s::uuid
    OR bound.name = %(name)s::text;

-- name: lock :value
-- The id of a limit by id or by name, locked.
SELECT id
  FROM concurrency_limit_v2
 WHERE id = %(id)s::uuid
    OR name = %(name)s::text
   FOR UPDATE;

-- name: lock_deployments :exec
-- Lock the deployments that a limit is to be taken from, for deployments are locked before limits.
SELECT deployment.id
  FROM concurrency_limit_v2 AS bound
       JOIN deployment ON deployment.concurrency_limit_id = bound.id
 WHERE bound.id = %(id)s::uuid
    OR bound.name = %(name)s::text
 ORDER BY deployment.id
   FOR NO KEY UPDATE OF deployment;

-- name: lock_by_name :json
-- The limits of these names, locked, in short; names without a limit are left out.
  WITH wanted AS (
       SELECT id, name, "limit"
         FROM concurrency_limit_v2
        WHERE name = ANY (%(names)s::text[])
        ORDER BY id
          FOR UPDATE
       )
SELECT COALESCE(json_agg(json_build_object('id', id, 'name', name, 'limit', "limit") ORDER BY id), '[]')::text
  FROM wanted;

-- name: filter :json
-- A page of all limits, by name.
SELECT COALESCE(json_agg(row_to_json(page) ORDER BY page.name), '[]')::text
  FROM (SELECT id, created, updated, active, name, "limit", active_slots, slot_decay_per_second
          FROM downbeat.concurrency_limit_v2
         ORDER BY name
         LIMIT %(limit)s::integer
        OFFSET %(offset)s::bigint) AS page;

-- name: update :one
-- Change what is not null of a limit that is locked, and give what its event tells. What has decayed is taken off first.
UPDATE concurrency_limit_v2
   SET active = COALESCE(%(active)s::boolean, active),
       name = COALESCE(%(name)s::text, name),
       "limit" = COALESCE(%(limit)s::integer, "limit"),
       active_slots = COALESCE(%(active_slots)s::integer,
                               GREATEST(active_slots - downbeat.slots_decayed(slot_decay_per_second, updated), 0)),
       denied_slots = COALESCE(%(denied_slots)s::integer,
                               GREATEST(denied_slots - downbeat.slots_decayed(slot_decay_per_second, updated), 0)),
       slot_decay_per_second = COALESCE(%(slot_decay_per_second)s::double precision, slot_decay_per_second),
       updated = now()
 WHERE id = %(id)s::uuid
RETURNING id, name, "limit", active, slot_decay_per_second, now() AS occurred;

-- name: delete :one
-- Delete a limit by id or by name and give what its event tells. Leases on it stay, so that their holders can go on.
DELETE FROM concurrency_limit_v2
 WHERE id = %(id)s::uuid
    OR name = %(name)s::text
RETURNING id, name, "limit", active, slot_decay_per_second, now() AS occurred;

-- name: acquire :one
-- Take slots of all active limits of these names, or of none, and lease them if there is an id for a lease. Slots of expired
-- leases are given back first. Gives the limits, `granted`, and if that is false either why it makes no sense (`refusal`)
-- or how long to wait on average. A lease is dated by the clock, as it was waited for since the statement began; without a
-- duration it has no end. A run that is refused by its rules (mode `orchestration`) is not counted as denied, as in Prefect.
  WITH wanted AS MATERIALIZED (
       SELECT id,
              name,
              "limit",
              active,
              active_slots,
              denied_slots,
              updated,
              slot_decay_per_second,
              avg_slot_occupancy_seconds,
              CASE WHEN starts_with(name, 'tag:') THEN %(tag_wait_seconds)s::double precision
                   ELSE %(wait_seconds)s::double precision END AS max_wait_seconds
         FROM concurrency_limit_v2
        WHERE name = ANY (%(names)s::text[])
        ORDER BY id
          FOR UPDATE
       ),
       overdue AS (
       SELECT lease.id, lease.place
         FROM downbeat.concurrency_lease AS lease
              JOIN wanted ON wanted.id = lease.limit_id
        WHERE lease.expires <= now()
          FOR UPDATE OF lease SKIP LOCKED
       ),
       expired AS (
       DELETE FROM downbeat.concurrency_lease AS lease
        USING overdue
        WHERE lease.id = overdue.id
          AND lease.place = overdue.place
       RETURNING lease.limit_id, lease.slots
       ),
       freed AS (
       SELECT limit_id, sum(slots) AS slots
         FROM expired
        GROUP BY limit_id
       ),
       pace AS (
       SELECT id,
              slot_decay_per_second > 0 AS decays,
              CASE WHEN slot_decay_per_second > 0
                   THEN LEAST(GREATEST(slot_decay_per_second, 1e-9), 1e9)
                   ELSE 1 / GREATEST(LEAST(avg_slot_occupancy_seconds, max_wait_seconds), 0.1) END AS per_second
         FROM wanted
       ),
       aged AS (
       SELECT pace.id, pace.decays, pace.per_second, downbeat.slots_decayed(pace.per_second, wanted.updated) AS slots
         FROM pace
              JOIN wanted ON wanted.id = pace.id
       ),
       standing AS (
       SELECT wanted.id,
              wanted.name,
              wanted."limit",
              wanted.active,
              aged.decays,
              aged.per_second,
              freed.slots IS NOT NULL AS has_expired,
              GREATEST(wanted.active_slots - CASE WHEN aged.decays THEN aged.slots ELSE 0 END - COALESCE(freed.slots, 0), 0)
                  AS active_slots,
              GREATEST(wanted.denied_slots - aged.slots, 0) AS denied_slots,
              wanted.updated + make_interval(secs => aged.slots / aged.per_second) AS updated,
              wanted.max_wait_seconds,
              LEAST(wanted.avg_slot_occupancy_seconds, wanted.max_wait_seconds) AS wait_seconds_per_slot
         FROM wanted
              JOIN aged ON aged.id = wanted.id
              LEFT JOIN freed ON freed.limit_id = wanted.id
       ),
       refused AS (
       SELECT CASE WHEN bool_or("limit" < %(slots)s::integer)
                   THEN 'More slots are asked for than a limit has.'
                   WHEN %(mode)s::text = 'rate_limit' AND bool_or(NOT decays)
                   THEN 'Only limits with a slot decay can limit a rate; these have none: '
                        || string_agg(name, ', ' ORDER BY name) FILTER (WHERE NOT decays) || '.' END AS refusal,
              COALESCE(bool_and(active_slots + %(slots)s::integer <= "limit"), true) AS fits
         FROM standing
        WHERE active
       ),
       verdict AS (
       SELECT refusal, refusal IS NULL AND fits AS granted
         FROM refused
       ),
       counted AS (
       UPDATE concurrency_limit_v2 AS bound
          SET active_slots = standing.active_slots
                             + CASE WHEN verdict.granted AND standing.active THEN %(slots)s::integer ELSE 0 END,
              denied_slots = LEAST(standing.denied_slots
                                   + CASE WHEN verdict.granted OR NOT standing.active OR verdict.refusal IS NOT NULL
                                            OR %(mode)s::text = 'orchestration'
                                          THEN 0
                                          ELSE %(slots)s::integer END, 2147483647),
              updated = CASE WHEN CASE WHEN standing.decays THEN standing.active_slots ELSE standing.denied_slots END > 0
                             THEN standing.updated
                             ELSE GREATEST(bound.updated, now()) END
         FROM standing, verdict
        WHERE bound.id = standing.id
          AND (standing.has_expired OR (standing.active AND verdict.refusal IS NULL))
       ),
       leased AS (
       INSERT INTO downbeat.concurrency_lease (id, place, limit_id, holder_type, holder_id, slots, acquired, expires)
       SELECT %(lease_id)s::uuid,
              taken.place,
              taken.limit_id,
              %(holder_type)s::text,
              %(holder_id)s::uuid,
              %(slots)s::integer,
              taken.time,
              COALESCE(taken.time + make_interval(secs => %(lease_duration)s::double precision), 'infinity')
         FROM (SELECT row_number() OVER (ORDER BY standing.id) AS place,
                      standing.id AS limit_id,
                      clock_timestamp() AS time
                 FROM verdict
                      LEFT JOIN standing ON standing.active
                WHERE verdict.granted
                  AND %(lease_id)s::uuid IS NOT NULL) AS taken
       ),
       blocking AS (
       SELECT decays,
              per_second,
              max_wait_seconds,
              wait_seconds_per_slot,
              (%(slots)s::integer + denied_slots) / CASE WHEN decays THEN 1 ELSE NULLIF("limit", 0) END AS slots
         FROM standing
        WHERE active
        ORDER BY slots DESC NULLS LAST
        LIMIT 1
       )
SELECT verdict.granted,
       verdict.refusal,
       CASE WHEN blocking.decays THEN blocking.slots / blocking.per_second
            ELSE LEAST(blocking.slots * blocking.wait_seconds_per_slot, blocking.max_wait_seconds) END AS wait_seconds,
       blocking.wait_seconds_per_slot,
       (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'limit', "limit") ORDER BY id), '[]')
          FROM standing) AS limits
  FROM verdict
       LEFT JOIN blocking ON true;

-- name: decrement :exec
-- Give back slots of limits that are locked; never those of leases, which may be given back only by their id.
UPDATE concurrency_limit_v2 AS bound
   SET active_slots = GREATEST(bound.active_slots - %(slots)s::integer,
                               CASE WHEN bound.slot_decay_per_second > 0 THEN 0
                                    ELSE LEAST(bound.active_slots,
                                               (SELECT COALESCE(sum(lease.slots), 0)
                                                  FROM downbeat.concurrency_lease AS lease
                                                 WHERE lease.limit_id = bound.id)) END),
       avg_slot_occupancy_seconds = bound.avg_slot_occupancy_seconds + COALESCE(
           (GREATEST(%(occupancy_seconds)s::double precision / %(slots)s::integer, 0.1) - bound.avg_slot_occupancy_seconds)
           / NULLIF(2.0 * bound."limit", 0), 0)
 WHERE bound.name = ANY (%(names)s::text[])
   AND bound.active;

-- name: release :exec
-- Give back what a lease holds; what is given back already is nothing. The average of the time that a slot is held moves by
-- one sample of twice as many as there are slots (observed on Prefect 3.8.3).
  WITH bounds AS MATERIALIZED (
       SELECT bound.id
         FROM concurrency_limit_v2 AS bound
        WHERE bound.id IN (SELECT limit_id FROM downbeat.concurrency_lease WHERE id = %(lease_id)s::uuid)
        ORDER BY bound.id
          FOR UPDATE
       ),
       held AS (
       SELECT lease.id, lease.place
         FROM downbeat.concurrency_lease AS lease
        WHERE lease.id = %(lease_id)s::uuid
          AND (SELECT count(*) FROM bounds) >= 0
        ORDER BY lease.place
          FOR UPDATE
       ),
       given_back AS (
       DELETE FROM downbeat.concurrency_lease AS lease
        USING held
        WHERE lease.id = held.id
          AND lease.place = held.place
       RETURNING lease.limit_id, lease.slots, EXTRACT(epoch FROM now() - lease.acquired)::float8 / lease.slots AS seconds_per_slot
       )
UPDATE concurrency_limit_v2 AS bound
   SET active_slots = GREATEST(bound.active_slots - given_back.slots, 0),
       avg_slot_occupancy_seconds = bound.avg_slot_occupancy_seconds + COALESCE(
           (GREATEST(given_back.seconds_per_slot, 0.1) - bound.avg_slot_occupancy_seconds) / NULLIF(2.0 * bound."limit", 0), 0)
  FROM given_back
 WHERE bound.id = given_back.limit_id;

-- name: renew :exec
-- Let a lease last from now on for so long, if it has not expired. One that loses a row to its expiry meanwhile is not renewed:
-- so the clock decides, and all rows that the statement saw must still be there when they are locked.
  WITH held AS MATERIALIZED (
       SELECT id, place
         FROM downbeat.concurrency_lease
        WHERE id = %(lease_id)s::uuid
          AND expires > clock_timestamp()
        ORDER BY place
          FOR UPDATE
       )
UPDATE downbeat.concurrency_lease AS lease
   SET expires = now() + make_interval(secs => %(lease_duration)s::double precision)
  FROM held
 WHERE lease.id = held.id
   AND lease.place = held.place
   AND (SELECT count(*) FROM held) = (SELECT count(*) FROM downbeat.concurrency_lease WHERE id = %(lease_id)s::uuid);

-- name: drop_leases :exec
-- Take the leases off a locked limit that are more than so many slots, those that were renewed last stay.
  WITH ranked AS (
       SELECT id, place, sum(slots) OVER (ORDER BY expires DESC, id) AS slots
         FROM downbeat.concurrency_lease
        WHERE limit_id = %(id)s::uuid
       )
DELETE FROM downbeat.concurrency_lease AS lease
 USING ranked
 WHERE lease.id = ranked.id
   AND lease.place = ranked.place
   AND ranked.slots > %(slots)s::integer;

-- name: find_expired :many
-- Leases of which something has expired.
SELECT DISTINCT id
  FROM downbeat.concurrency_lease
 WHERE expires <= %(now)s::timestamptz
   AND id > %(after)s::uuid
 ORDER BY id
 LIMIT %(limit)s::integer;

-- name: delete_expired :value
-- Give back the slots of those of some leases that have expired, and say of how many. Whatever somebody else has locked is left
-- to them: limits that are asked for, leases that are being renewed.
  WITH overdue AS MATERIALIZED (
       SELECT id, place, limit_id
         FROM downbeat.concurrency_lease
        WHERE id = ANY (%(ids)s::uuid[])
          AND expires <= %(now)s::timestamptz
       ),
       bounds AS MATERIALIZED (
       SELECT bound.id
         FROM concurrency_limit_v2 AS bound
        WHERE bound.id IN (SELECT limit_id FROM overdue)
        ORDER BY bound.id
          FOR UPDATE SKIP LOCKED
       ),
       free AS (
       SELECT lease.id, lease.place
         FROM downbeat.concurrency_lease AS lease
              JOIN overdue ON overdue.id = lease.id AND overdue.place = lease.place
        WHERE lease.expires <= %(now)s::timestamptz
          AND (lease.limit_id IN (SELECT id FROM bounds)
               OR NOT EXISTS (SELECT FROM concurrency_limit_v2 AS bound WHERE bound.id = lease.limit_id))
          FOR UPDATE OF lease SKIP LOCKED
       ),
       expired AS (
       DELETE FROM downbeat.concurrency_lease AS lease
        USING free
        WHERE lease.id = free.id
          AND lease.place = free.place
       RETURNING lease.limit_id, lease.slots
       ),
       freed AS (
       SELECT limit_id, sum(slots) AS slots
         FROM expired
        GROUP BY limit_id
       ),
       counted AS (
       UPDATE concurrency_limit_v2 AS bound
          SET active_slots = GREATEST(bound.active_slots - freed.slots, 0)
         FROM freed
        WHERE bound.id = freed.limit_id
       )
SELECT count(*)
  FROM expired;
