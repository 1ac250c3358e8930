-- Limits by tag. The limit of a tag is the one named `tag:` and the tag in concurrency_limit_v2. Where there is none, a row
-- that an older server left in concurrency_limit holds, whose holders are a list; no new ones are made.

-- name: upsert :one
-- Insert the limit of a tag or change the number of its slots, and give what its event tells. What has decayed is taken off.
INSERT INTO concurrency_limit_v2 AS bound
       (id, active, name, "limit", active_slots, denied_slots, slot_decay_per_second, avg_slot_occupancy_seconds)
VALUES (%(id)s::uuid, true, 'tag:' || %(tag)s::text, %(limit)s::integer, 0, 0, 0, 2.0)
    ON CONFLICT (name) DO UPDATE
   SET "limit" = excluded."limit",
       active_slots = GREATEST(bound.active_slots - downbeat.slots_decayed(bound.slot_decay_per_second, bound.updated), 0),
       denied_slots = GREATEST(bound.denied_slots - downbeat.slots_decayed(bound.slot_decay_per_second, bound.updated), 0),
       updated = now()
RETURNING id, name, "limit", active, slot_decay_per_second, now() AS occurred, id = %(id)s::uuid AS is_new;

-- name: read :json
-- One limit by id or by tag; the other is null.
SELECT row_to_json(bound)::text
  FROM downbeat.concurrency_limit AS bound
 WHERE bound.id = COALESCE(%(id)s::uuid,
                           (SELECT id FROM concurrency_limit_v2 WHERE name = 'tag:' || %(tag)s::text),
                           (SELECT id FROM concurrency_limit WHERE tag = %(tag)s::text));

-- name: lock :many
-- The limits of these tags, locked: first those by name and then the older ones, both in the order of ids.
  WITH bounds AS MATERIALIZED (
       SELECT id, substr(name, 5) AS tag, "limit", active
         FROM concurrency_limit_v2
        WHERE name = ANY (SELECT 'tag:' || wanted.tag FROM unnest(%(tags)s::text[]) AS wanted (tag))
        ORDER BY id
          FOR UPDATE
       ),
       older AS MATERIALIZED (
       SELECT id, tag, concurrency_limit AS "limit", jsonb_array_length(active_slots) >= concurrency_limit AS is_full
         FROM concurrency_limit
        WHERE tag = ANY (%(tags)s::text[])
          AND tag <> ALL (SELECT tag FROM bounds)
        ORDER BY id
          FOR UPDATE
       )
SELECT id, tag, "limit", active, false AS is_older, false AS is_full
  FROM bounds
 UNION ALL
SELECT id, tag, "limit", true, true, is_full
  FROM older;

-- name: filter :json
-- A page of all limits by tag; older ones that are replaced are left out.
SELECT COALESCE(json_agg(row_to_json(bound) ORDER BY bound.tag), '[]')::text
  FROM downbeat.concurrency_limit AS bound
 WHERE bound.id = ANY (ARRAY(SELECT listed.id
                               FROM downbeat.concurrency_limit AS listed
                              WHERE NOT EXISTS (SELECT
                                                  FROM concurrency_limit_v2 AS newer
                                                 WHERE newer.name = 'tag:' || listed.tag
                                                   AND newer.id <> listed.id)
                              ORDER BY listed.tag
                              LIMIT %(limit)s::integer
                             OFFSET %(offset)s::bigint));

-- name: delete :one
-- Delete an older limit by id or by tag and give what its event tells.
DELETE FROM concurrency_limit
 WHERE id = %(id)s::uuid
    OR tag = %(tag)s::text
RETURNING id, tag, concurrency_limit, now() AS occurred;

-- name: hold :exec
-- Let task runs hold slots of a limit that is locked and that nobody holds, one each, until they give them back.
  WITH counted AS (
       UPDATE concurrency_limit_v2
          SET active_slots = cardinality(%(task_run_ids)s::uuid[]),
              updated = now()
        WHERE id = %(id)s::uuid
       )
INSERT INTO downbeat.concurrency_lease (id, place, limit_id, holder_type, holder_id, slots, acquired, expires)
SELECT held.lease_id, 1, %(id)s::uuid, 'task_run', held.task_run_id, 1, now(), 'infinity'
  FROM unnest(%(lease_ids)s::uuid[], %(task_run_ids)s::uuid[]) AS held (lease_id, task_run_id);

-- name: hold_older :value
-- Let task runs and no others hold slots of the older limit of a tag; gives its id.
UPDATE concurrency_limit
   SET active_slots = %(task_run_ids)s::jsonb,
       updated = now()
 WHERE tag = %(tag)s::text
RETURNING id;

-- name: increment_older :exec
-- Let a task run hold a slot of each of these older limits.
UPDATE concurrency_limit
   SET active_slots = (active_slots - %(task_run_id)s::text) || to_jsonb(%(task_run_id)s::text),
       updated = now()
 WHERE id = ANY (%(ids)s::uuid[]);

-- name: held :many
-- The leases by which a task run holds slots of the limits of these tags, among other things.
SELECT DISTINCT lease.id
  FROM concurrency_limit_v2 AS bound
       JOIN downbeat.concurrency_lease AS lease ON lease.limit_id = bound.id
 WHERE bound.name = ANY (SELECT 'tag:' || wanted.tag FROM unnest(%(tags)s::text[]) AS wanted (tag))
   AND lease.holder_id = %(task_run_id)s::uuid;

-- name: decrement :json
-- Let a task run hold no slot of older limits of these tags any more. Gives the limits of the tags in short: those by name, and
-- the older ones that it held.
  WITH bounds AS (
       SELECT id, name, "limit"
         FROM concurrency_limit_v2
        WHERE name = ANY (SELECT 'tag:' || wanted.tag FROM unnest(%(tags)s::text[]) AS wanted (tag))
       ),
       held AS (
       SELECT id
         FROM concurrency_limit
        WHERE tag = ANY (%(tags)s::text[])
          AND 'tag:' || tag <> ALL (SELECT name FROM bounds)
          AND active_slots ? %(task_run_id)s::text
        ORDER BY id
          FOR UPDATE
       ),
       given_back AS (
       UPDATE concurrency_limit AS older
          SET active_slots = older.active_slots - %(task_run_id)s::text,
              updated = now()
         FROM held
        WHERE older.id = held.id
       RETURNING older.id, older.tag, older.concurrency_limit
       ),
       shown AS (
       SELECT id, name, "limit" FROM bounds
        UNION ALL
       SELECT id, tag, concurrency_limit FROM given_back
       )
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY name), '[]')::text
  FROM shown;
