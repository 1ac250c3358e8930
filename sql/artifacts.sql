-- Artifacts: every version of what runs leave behind. Where a version and its collection both change, the collection is
-- locked first.

-- name: create :exec
-- Insert an artifact.
INSERT INTO artifact (id, key, type, description, data, metadata_, flow_run_id, task_run_id)
VALUES (%(id)s::uuid,
        %(key)s::text,
        %(type)s::text,
        %(description)s::text,
        COALESCE(%(data)s::json, 'null'),
        COALESCE(%(metadata_)s::json, 'null'),
        %(flow_run_id)s::uuid,
        %(task_run_id)s::uuid);

-- name: read :json
-- One artifact by id.
SELECT row_to_json(artifact)::text
  FROM downbeat.artifact
 WHERE artifact.id = %(id)s::uuid;

-- name: read_many :json
-- Artifacts by id, in the order of the ids.
SELECT COALESCE(json_agg(row_to_json(artifact) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.artifact ON artifact.id = page.id;

-- name: count :value
-- How many artifacts match.
SELECT count(*)
  FROM artifact
 WHERE {filter};

-- name: page :many
-- The ids of a page of the artifacts that match, in order.
SELECT artifact.id::text
  FROM artifact
 WHERE {filter}
 ORDER BY {sort}
 LIMIT %(limit)s::int
OFFSET %(offset)s::bigint;

-- name: update :exec
-- Change what is among the changes of an artifact. A null there is kept as JSON's null, as Prefect's server does.
UPDATE artifact
   SET data = COALESCE(%(changes)s::json -> 'data', data),
       metadata_ = COALESCE(%(changes)s::json -> 'metadata_', metadata_),
       description = CASE WHEN %(changes)s::jsonb ? 'description' THEN %(changes)s::jsonb ->> 'description' ELSE description END,
       updated = now()
 WHERE id = %(id)s::uuid;

-- name: delete :exec
-- Delete an artifact.
DELETE FROM artifact
 WHERE id = %(id)s::uuid;
