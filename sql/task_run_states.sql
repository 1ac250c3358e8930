-- States of task runs; written by orchestration, read here.

-- name: read :json
-- One state by id.
SELECT row_to_json(task_run_state)::text
  FROM downbeat.task_run_state
 WHERE task_run_state.id = %(id)s::uuid;

-- name: filter :json
-- The states that a task run has gone through, in that order.
SELECT COALESCE(json_agg(row_to_json(task_run_state) ORDER BY stored.timestamp), '[]')::text
  FROM task_run_state AS stored
  JOIN downbeat.task_run_state ON task_run_state.id = stored.id
 WHERE stored.task_run_id = %(task_run_id)s::uuid;
