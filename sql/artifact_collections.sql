-- Artifact collections: the newest version of each artifact that has a key.

-- name: upsert :one
-- Make an artifact the newest version of its key, and give what the event of that tells.
INSERT INTO artifact_collection (id, key, latest_id, type, description, data, metadata_, flow_run_id, task_run_id)
VALUES (%(id)s::uuid,
        %(key)s::text,
        %(latest_id)s::uuid,
        %(type)s::text,
        %(description)s::text,
        COALESCE(%(data)s::json, 'null'),
        COALESCE(%(metadata_)s::json, 'null'),
        %(flow_run_id)s::uuid,
        %(task_run_id)s::uuid)
    ON CONFLICT (key) DO UPDATE
   SET latest_id = excluded.latest_id,
       type = excluded.type,
       description = excluded.description,
       data = excluded.data,
       metadata_ = excluded.metadata_,
       flow_run_id = excluded.flow_run_id,
       task_run_id = excluded.task_run_id,
       updated = now()
RETURNING id, key, latest_id, type, description, data, flow_run_id, task_run_id, now() AS occurred, xmax = 0 AS is_new;

-- name: read_latest :json
-- The newest version of a key, as an artifact with the collection's id and times (observed on Prefect 3.8.3).
SELECT row_to_json(shown)::text
  FROM (SELECT id, created, updated, key, type, description, data, metadata_, flow_run_id, task_run_id
          FROM downbeat.artifact_collection
         WHERE artifact_collection.key = %(key)s::text) AS shown;

-- name: lock :one
-- The collection of an artifact's key, and whether the artifact is its newest version; keeps other versions out meanwhile.
SELECT id, latest_id = %(artifact_id)s::uuid AS is_latest
  FROM artifact_collection
 WHERE key = (SELECT artifact.key FROM artifact WHERE artifact.id = %(artifact_id)s::uuid)
   FOR UPDATE;

-- name: update :exec
-- Change what is among the changes of a collection, as in the artifact that is its newest version.
UPDATE artifact_collection
   SET data = COALESCE(%(changes)s::json -> 'data', data),
       metadata_ = COALESCE(%(changes)s::json -> 'metadata_', metadata_),
       description = CASE WHEN %(changes)s::jsonb ? 'description' THEN %(changes)s::jsonb ->> 'description' ELSE description END,
       updated = now()
 WHERE id = %(id)s::uuid;

-- name: fall_back :one
-- Make the newest version that is left the newest of its collection, and give what the event of that tells.
UPDATE artifact_collection
   SET latest_id = newest.id,
       type = newest.type,
       description = newest.description,
       data = newest.data,
       metadata_ = newest.metadata_,
       flow_run_id = newest.flow_run_id,
       task_run_id = newest.task_run_id,
       created = newest.created,
       updated = newest.updated
  FROM (SELECT artifact.*
          FROM artifact_collection AS collection
               JOIN artifact ON artifact.key = collection.key
         WHERE collection.id = %(id)s::uuid
         ORDER BY artifact.created DESC, artifact.id DESC
         LIMIT 1) AS newest
 WHERE artifact_collection.id = %(id)s::uuid
RETURNING artifact_collection.id, artifact_collection.key, artifact_collection.latest_id, artifact_collection.type,
          artifact_collection.description, artifact_collection.data, artifact_collection.flow_run_id,
          artifact_collection.task_run_id, now() AS occurred;

-- name: delete :one
-- Delete a collection of which no version is left, and give what the event of that tells.
DELETE FROM artifact_collection
 WHERE id = %(id)s::uuid
RETURNING id, key, latest_id, type, description, data, flow_run_id, task_run_id, now() AS occurred;

-- name: collect :one
-- Make an artifact that a state has left the newest version of its key, and give what the event of that tells. What the state
-- does not say stays as it was of the version before (observed on Prefect 3.8.3). Nothing if there is no such artifact.
INSERT INTO artifact_collection AS collection
       (id, key, latest_id, type, description, data, metadata_, flow_run_id, task_run_id)
SELECT %(id)s::uuid,
       artifact.key,
       artifact.id,
       artifact.type,
       artifact.description,
       artifact.data,
       artifact.metadata_,
       artifact.flow_run_id,
       artifact.task_run_id
  FROM artifact
 WHERE artifact.id = %(artifact_id)s::uuid
    ON CONFLICT (key) DO UPDATE
   SET latest_id = excluded.latest_id,
       type = COALESCE(excluded.type, collection.type),
       description = COALESCE(excluded.description, collection.description),
       data = excluded.data,
       flow_run_id = COALESCE(excluded.flow_run_id, collection.flow_run_id),
       task_run_id = COALESCE(excluded.task_run_id, collection.task_run_id),
       updated = now()
RETURNING id, key, latest_id, type, description, data, flow_run_id, task_run_id, now() AS occurred, xmax = 0 AS is_new;
