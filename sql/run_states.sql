-- States of flow runs and of task runs; written by orchestration, read here.

-- name: read :json
-- One state by id.
SELECT row_to_json(shown)::text
  FROM downbeat.{run}_state AS shown
 WHERE shown.id = %(id)s::uuid;

-- name: filter :json
-- The states that a run has gone through, in that order.
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY stored.timestamp), '[]')::text
  FROM {run}_state AS stored
       JOIN downbeat.{run}_state AS shown ON shown.id = stored.id
 WHERE stored.{run}_id = %(run_id)s::uuid;
