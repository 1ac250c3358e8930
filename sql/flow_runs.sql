-- Flow runs as they are read, and changed by hand; what orchestration writes is in flow_run_transitions.sql.

-- name: read_changeable :one
-- What decides whether a flow run's job variables may change.
SELECT flow_run.state_type::text,
       flow_run.deployment_id
  FROM flow_run
 WHERE flow_run.id = %(id)s::uuid;

-- name: lock :one
-- As read_changeable, and keeps it from starting meanwhile.
SELECT flow_run.state_type::text,
       flow_run.deployment_id
  FROM flow_run
 WHERE flow_run.id = %(id)s::uuid
   FOR UPDATE;

-- name: update :exec
-- Replace the columns of a flow run that are among the changes; what must not be NULL stays as it is for a null.
UPDATE flow_run
   SET (name, flow_version, parameters, empirical_policy, tags, infrastructure_pid, job_variables, updated)
     = (SELECT COALESCE(given.name, flow_run.name),
               given.flow_version,
               COALESCE(given.parameters, flow_run.parameters),
               COALESCE(given.empirical_policy, flow_run.empirical_policy),
               COALESCE(given.tags, flow_run.tags),
               given.infrastructure_pid,
               given.job_variables,
               now()
          FROM jsonb_populate_record(flow_run, %(changes)s::jsonb) AS given)
 WHERE id = %(id)s::uuid;

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
