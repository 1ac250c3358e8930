-- Graphs of flow runs: what ran in one, and which run gave its result to which.

-- name: read_dependencies :json
-- The task runs of a flow run, newest id first, each with the task runs that its inputs came from. Inputs of other kinds are
-- left out, for the contract has no place for them: Prefect 3.8.3 fails when there is one. JSON null if there are too many.
SELECT CASE WHEN (SELECT count(*)
                    FROM (SELECT FROM task_run WHERE task_run.flow_run_id = flow_run.id LIMIT %(max_nodes)s::int + 1) AS counted)
                 > %(max_nodes)s::int
            THEN 'null'
            ELSE (SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY shown.id DESC), '[]')
                    FROM (SELECT task_run.id,
                                 task_run.name,
                                 (SELECT COALESCE(json_agg(DISTINCT jsonb_build_object('input_type', 'task_run', 'id', source.id)),
                                                  '[]')
                                    FROM jsonb_path_query(
                                         task_run.task_inputs,
                                         '$.*[*] ? (@.input_type == "task_run").id ? (@ like_regex "^[0-9a-fA-F-]{36}$")'
                                         ) AS source (id)
                                 ) AS upstream_dependencies,
                                 task_run.state,
                                 task_run.expected_start_time,
                                 task_run.start_time,
                                 task_run.end_time,
                                 task_run.total_run_time,
                                 task_run.estimated_run_time,
                                 COALESCE((present.state_details ->> 'untrackable_result')::boolean, false) AS untrackable_result
                            FROM downbeat.task_run
                                 LEFT JOIN task_run_state AS present ON present.id = task_run.state_id
                           WHERE task_run.flow_run_id = flow_run.id) AS shown)::text
       END
  FROM flow_run
 WHERE flow_run.id = %(flow_run_id)s::uuid;

-- name: read :json
-- The graph of a flow run, JSON null if it has more nodes than it may have. A node is a task run, or the subflow that one
-- stands for, that has started or is due. Whatever the planner thinks of their number, no two sets of nodes may be compared
-- one by one: hence full joins, which PostgreSQL makes by hashing or merging and never by a nested loop, and conditions on
-- them that keep them full. Lists of parents and children repeat a run for each input of the one that names it and again
-- for each input of the other (observed on Prefect 3.8.3); where that would be more than 100,000 times in all, ten for each
-- node of the largest graph that is shown by default, they have each once.
  WITH task AS MATERIALIZED (
       SELECT id, name, state_type, start_time, expected_start_time, end_time, task_inputs
         FROM task_run
        WHERE flow_run_id = %(flow_run_id)s::uuid
       ),
       subflow AS (
       SELECT flow_run.id,
              flow_run.parent_task_run_id,
              flow.name || ' / ' || flow_run.name AS label,
              flow_run.state_type,
              COALESCE(flow_run.start_time, flow_run.expected_start_time) AS start_time,
              flow_run.end_time
         FROM flow_run
              JOIN flow ON flow.id = flow_run.flow_id
        WHERE flow_run.parent_task_run_id = ANY (ARRAY(SELECT id FROM task))
       ),
       node AS MATERIALIZED (
       SELECT CASE WHEN subflow.id IS NULL THEN 'task-run' ELSE 'flow-run' END AS kind,
              COALESCE(subflow.id, task.id) AS id,
              COALESCE(subflow.label, task.name) AS label,
              COALESCE(subflow.state_type, task.state_type) AS state_type,
              COALESCE(subflow.start_time, task.start_time, task.expected_start_time) AS start_time,
              done.end_time,
              COALESCE(done.end_time >= %(since)s::timestamptz, true) AS is_shown,
              task.task_inputs,
              COALESCE((SELECT sum(GREATEST(jsonb_array_length(input.value), 1)) FROM jsonb_each(task.task_inputs) AS input), 1)
                  AS inputs
         FROM task
              FULL JOIN subflow ON subflow.parent_task_run_id = task.id
              CROSS JOIN LATERAL (
              SELECT COALESCE(subflow.end_time, task.end_time,
                              CASE WHEN task.state_type = 'COMPLETED' THEN task.expected_start_time END)
              ) AS done (end_time)
        WHERE COALESCE(subflow.start_time, task.start_time, task.expected_start_time) IS NOT NULL
       ),
       source AS (
       SELECT node.id AS child,
              node.start_time,
              given.value ->> 'id' AS parent,
              input.key = '__parents__' AS encapsulates
         FROM node
              CROSS JOIN jsonb_each(node.task_inputs) AS input
              CROSS JOIN jsonb_array_elements(input.value) AS given
       ),
       edge AS (
       SELECT source.child,
              max(source.start_time) AS child_start,
              node.id AS parent,
              max(node.start_time) AS parent_start,
              source.encapsulates,
              CASE WHEN source.encapsulates OR sum(count(*) * max(node.inputs)) OVER () > 100000 THEN 1
                   ELSE count(*) * max(node.inputs)
              END AS copies
         FROM source
              FULL JOIN node ON node.id::text = source.parent
        GROUP BY source.child, node.id, source.encapsulates
       HAVING count(source.child) > 0
          AND count(node.id) > 0
       ),
       link AS (
       SELECT edge.child, edge.child_start, edge.parent, edge.parent_start, edge.encapsulates
         FROM edge
              CROSS JOIN generate_series(1, edge.copies)
       ),
       upward AS (
       SELECT child AS id,
              json_agg(json_build_object('id', parent) ORDER BY parent_start, parent) FILTER (WHERE NOT encapsulates) AS parents,
              json_agg(json_build_object('id', parent) ORDER BY parent_start, parent) FILTER (WHERE encapsulates) AS encapsulating
         FROM link
        GROUP BY child
       ),
       downward AS (
       SELECT parent AS id,
              json_agg(json_build_object('id', child) ORDER BY child_start, child) AS children
         FROM link
        WHERE NOT encapsulates
        GROUP BY parent
       ),
       output AS MATERIALIZED (
       SELECT made.task_run_id AS id,
              json_agg(json_build_object(
                  'id', made.id,
                  'created', downbeat.rfc3339(made.created),
                  'key', made.key,
                  'type', made.type,
                  'is_latest', made.key IS NULL
                            OR EXISTS (SELECT FROM artifact_collection AS latest
                                        WHERE latest.key = made.key AND latest.latest_id = made.id),
                  'data', CASE WHEN made.type = 'progress' THEN made.data END) ORDER BY made.created, made.id) AS artifacts
         FROM (SELECT id, task_run_id, created, key, type, data
                 FROM artifact
                WHERE flow_run_id = %(flow_run_id)s::uuid
                  AND type <> 'result'
                ORDER BY created, id
                LIMIT %(max_artifacts)s::int) AS made
        GROUP BY made.task_run_id
       ),
       graph AS (
       SELECT json_agg(id ORDER BY start_time, end_time, id) FILTER (WHERE upward.parents IS NULL) AS root_node_ids,
              json_agg(json_build_array(id, json_build_object(
                  'kind', node.kind,
                  'id', id,
                  'label', node.label,
                  'state_type', node.state_type,
                  'start_time', downbeat.rfc3339(node.start_time),
                  'end_time', downbeat.rfc3339(node.end_time),
                  'parents', COALESCE(upward.parents, '[]'),
                  'children', COALESCE(downward.children, '[]'),
                  'encapsulating', COALESCE(upward.encapsulating, '[]'),
                  'artifacts', COALESCE(output.artifacts, '[]'))) ORDER BY start_time, end_time, id) AS nodes
         FROM node
              FULL JOIN upward USING (id)
              FULL JOIN downward USING (id)
              FULL JOIN output USING (id)
        WHERE COALESCE(node.is_shown, false)
       )
SELECT CASE WHEN (SELECT count(*)
                    FROM (SELECT FROM node WHERE is_shown LIMIT %(max_nodes)s::int + 1) AS counted) > %(max_nodes)s::int
            THEN 'null'
            ELSE (SELECT json_build_object(
                      'start_time', downbeat.rfc3339(COALESCE(run.start_time, run.expected_start_time)),
                      'end_time', downbeat.rfc3339(run.end_time),
                      'root_node_ids', COALESCE(graph.root_node_ids, '[]'),
                      'nodes', COALESCE(graph.nodes, '[]'),
                      'artifacts', COALESCE((SELECT artifacts FROM output WHERE id IS NULL), '[]'),
                      'states', (SELECT COALESCE(json_agg(json_build_object(
                                            'id', state.id,
                                            'timestamp', downbeat.rfc3339(state.timestamp),
                                            'type', state.type,
                                            'name', state.name) ORDER BY state.timestamp), '[]')
                                   FROM flow_run_state AS state
                                  WHERE state.flow_run_id = run.id))
                    FROM graph)::text
       END
  FROM flow_run AS run
 WHERE run.id = %(flow_run_id)s::uuid;
