-- Flows: one row per name.

-- name: create :one
-- Insert a flow and give what its event tells, or nothing when the name is taken.
INSERT INTO flow (id, name, tags, labels)
VALUES (%(id)s::uuid, %(name)s::text, %(tags)s::jsonb, %(labels)s::jsonb)
    ON CONFLICT (name) DO NOTHING
RETURNING id, name, tags, labels, now() AS occurred;

-- name: read :json
-- One flow by id.
SELECT row_to_json(flow)::text
  FROM downbeat.flow
 WHERE flow.id = %(id)s::uuid;

-- name: read_by_name :json
-- One flow by its unique name.
SELECT row_to_json(flow)::text
  FROM downbeat.flow
 WHERE flow.name = %(name)s::text;

-- name: read_many :json
-- Flows by id, in the order of the ids.
SELECT COALESCE(json_agg(row_to_json(flow) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.flow ON flow.id = page.id;

-- name: count :value
-- How many flows match.
SELECT count(*)
  FROM flow
 WHERE {filter};

-- name: page :many
-- The ids of a page of the flows that match, in order. Found on the table alone and shown by a second statement, which is
-- planned once: together they would be planned for every request, and that costs more than the round trip.
SELECT flow.id::text
  FROM flow
 WHERE {filter}
 ORDER BY {sort}
 LIMIT %(limit)s::int
OFFSET %(offset)s::bigint;

-- name: update :one
-- Replace a flow's tags, unless they are null, and give what its event tells.
UPDATE flow
   SET tags = COALESCE(%(tags)s::jsonb, tags),
       updated = now()
 WHERE id = %(id)s::uuid
RETURNING id, name, tags, labels, now() AS occurred;

-- name: delete :many
-- Delete flows, with their runs and deployments, and give what their events tell. Locked in the order of ids, so that two
-- such deletions wait for each other instead of deadlocking.
  WITH doomed AS (
       SELECT id
         FROM flow
        WHERE id = ANY (%(ids)s::uuid[])
        ORDER BY id
          FOR UPDATE
       )
DELETE FROM flow
 USING doomed
 WHERE flow.id = doomed.id
RETURNING flow.id, flow.name, flow.tags, flow.labels, now() AS occurred;
