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
