-- Inputs of flow runs: one value per run and key.

-- name: create :exec
-- Insert an input.
INSERT INTO flow_run_input (id, flow_run_id, key, value, sender)
VALUES (%(id)s::uuid, %(flow_run_id)s::uuid, %(key)s::text, %(value)s::text, %(sender)s::text);

-- name: read :value
-- The value of one input.
SELECT value
  FROM flow_run_input
 WHERE flow_run_id = %(flow_run_id)s::uuid
   AND key = %(key)s::text;

-- name: filter :json
-- The oldest inputs of a flow run whose keys begin with the prefix (_ and % stand for any characters, as in Prefect).
  WITH page AS (
       SELECT id, created
         FROM flow_run_input
        WHERE flow_run_id = %(flow_run_id)s::uuid
          AND key LIKE %(prefix)s::text || '%'
          AND key <> ALL (%(exclude_keys)s::text[])
        ORDER BY created, id
        LIMIT %(limit)s::int
       )
SELECT COALESCE(json_agg(row_to_json(flow_run_input) ORDER BY page.created, page.id), '[]')::text
  FROM page
  JOIN downbeat.flow_run_input ON flow_run_input.id = page.id;

-- name: delete :exec
-- Delete one input.
DELETE FROM flow_run_input
 WHERE flow_run_id = %(flow_run_id)s::uuid
   AND key = %(key)s::text;
