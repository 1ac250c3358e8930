-- Flow runs as they are read, and changed by hand; what orchestration writes is in flow_run_transitions.sql.

-- name: lock :one
-- What decides whether a flow run's job variables may change; keeps it from starting meanwhile.
SELECT flow_run.state_type::text,
       flow_run.deployment_id
  FROM flow_run
 WHERE flow_run.id = %(id)s::uuid
   FOR UPDATE;

-- name: update :exec
-- Replace the fields that are among the changes.
UPDATE flow_run
   SET name = COALESCE(given.changes ->> 'name', flow_run.name),
       flow_version = CASE WHEN given.changes ? 'flow_version' THEN given.changes ->> 'flow_version'
                           ELSE flow_run.flow_version END,
       parameters = COALESCE(given.changes -> 'parameters', flow_run.parameters),
       empirical_policy = COALESCE(given.changes -> 'empirical_policy', flow_run.empirical_policy),
       tags = COALESCE(given.changes -> 'tags', flow_run.tags),
       infrastructure_pid = CASE WHEN given.changes ? 'infrastructure_pid' THEN given.changes ->> 'infrastructure_pid'
                                 ELSE flow_run.infrastructure_pid END,
       job_variables = CASE WHEN given.changes ? 'job_variables' THEN NULLIF(given.changes -> 'job_variables', 'null')
                            ELSE flow_run.job_variables END,
       updated = now()
  FROM (SELECT %(changes)s::jsonb) AS given (changes)
 WHERE flow_run.id = %(id)s::uuid;

-- name: update_labels :exec
-- Lay labels over those that a flow run has.
UPDATE flow_run
   SET labels = COALESCE(NULLIF(labels, 'null'), '{}') || %(labels)s::jsonb,
       updated = now()
 WHERE id = %(id)s::uuid;

-- name: lock_many :exec
-- Lock flow runs in the order of ids, so that two such deletions wait for each other instead of deadlocking; together with
-- their subflows, which lose their parent's task run by it, because a transition of a subflow locks that one after the subflow.
SELECT count(*)
  FROM (SELECT id
          FROM flow_run
         WHERE id IN (SELECT unnest(%(ids)s::uuid[])
                       UNION
                      SELECT subflow.id
                        FROM task_run
                             JOIN flow_run AS subflow ON subflow.parent_task_run_id = task_run.id
                       WHERE task_run.flow_run_id = ANY (%(ids)s::uuid[]))
         ORDER BY id
           FOR UPDATE) AS locked;

-- name: delete :many
-- Delete flow runs that are locked, with all that belongs to them and their logs; give their ids.
  WITH logs AS (
       DELETE FROM log
        USING flow_run
        WHERE log.flow_run_id = flow_run.id
          AND flow_run.id = ANY (%(ids)s::uuid[])
       )
DELETE FROM flow_run
 WHERE id = ANY (%(ids)s::uuid[])
RETURNING id;
