-- States of flow runs; written by orchestration, read here.

-- name: read :json
-- One state by id.
SELECT row_to_json(flow_run_state)::text
  FROM downbeat.flow_run_state
 WHERE flow_run_state.id = %(id)s::uuid;

-- name: filter :json
-- The states that a flow run has gone through, in that order.
SELECT COALESCE(json_agg(row_to_json(flow_run_state) ORDER BY stored.timestamp), '[]')::text
  FROM flow_run_state AS stored
  JOIN downbeat.flow_run_state ON flow_run_state.id = stored.id
 WHERE stored.flow_run_id = %(flow_run_id)s::uuid;
