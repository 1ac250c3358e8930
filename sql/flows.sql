-- Flows: one row per name.

-- name: create :one
-- Insert a flow and give what its event tells, or nothing when the name is taken.
INSERT INTO flow (id, name, tags, labels)
VALUES (%(id)s::uuid, %(name)s::text, %(tags)s::jsonb, %(labels)s::jsonb)
    ON CONFLICT (name) DO NOTHING
RETURNING id, name, tags, labels, now() AS occurred;

-- name: read_by_name :json
-- One flow by its unique name.
SELECT row_to_json(flow)::text
  FROM downbeat.flow
 WHERE flow.name = %(name)s::text;

-- name: update :one
-- Replace a flow's tags, unless they are null, and give what its event tells.
UPDATE flow
   SET tags = COALESCE(%(tags)s::jsonb, tags),
       updated = now()
 WHERE id = %(id)s::uuid
RETURNING id, name, tags, labels, now() AS occurred;

-- name: lock_deployments :value
-- Lock the deployments of flows in the order of ids, and give these; null for none.
SELECT array_agg(id)
  FROM (SELECT id::text
          FROM deployment
         WHERE flow_id = ANY (%(ids)s::uuid[])
         ORDER BY deployment.id
           FOR UPDATE) AS locked;

-- name: lock_flow_runs :exec
-- Lock the flow runs of flows and their subflows in the order of ids, as flow_runs.lock_many does.
SELECT count(*)
  FROM (SELECT id
          FROM flow_run
         WHERE id IN (SELECT run.id
                        FROM flow_run AS run
                       WHERE run.flow_id = ANY (%(ids)s::uuid[])
                       UNION
                      SELECT subflow.id
                        FROM flow_run AS run
                             JOIN task_run ON task_run.flow_run_id = run.id
                             JOIN flow_run AS subflow ON subflow.parent_task_run_id = task_run.id
                       WHERE run.flow_id = ANY (%(ids)s::uuid[]))
         ORDER BY id
           FOR UPDATE) AS locked;

-- name: lock_task_runs :exec
-- Lock the task runs of flows in the order of ids, as task_runs.lock_many does.
SELECT count(*)
  FROM (SELECT task_run.id
          FROM task_run
         WHERE task_run.flow_run_id IN (SELECT run.id FROM flow_run AS run WHERE run.flow_id = ANY (%(ids)s::uuid[]))
         ORDER BY task_run.id
           FOR UPDATE) AS locked;

-- name: lock_limits :exec
-- Lock the limits that runs of flows hold slots of, in the order of ids, for the runs give them back batch by batch.
SELECT bound.id
  FROM concurrency_limit_v2 AS bound
 WHERE bound.id IN (SELECT lease.limit_id
                      FROM downbeat.concurrency_lease AS lease
                           LEFT JOIN task_run ON task_run.id = lease.holder_id
                           JOIN flow_run ON flow_run.id = COALESCE(task_run.flow_run_id, lease.holder_id)
                     WHERE flow_run.flow_id = ANY (%(ids)s::uuid[]))
 ORDER BY bound.id
   FOR UPDATE;

-- name: read_flow_runs :value
-- The ids of the first flow runs of flows, which are locked; null for none.
SELECT array_agg(id::text)
  FROM (SELECT flow_run.id
          FROM flow_run
         WHERE flow_run.flow_id = ANY (%(ids)s::uuid[])
         LIMIT %(limit)s::int) AS first;

-- name: lock :many
-- Lock flows in the order of ids, so that no run or deployment of them can be made any more, and give what the events of their
-- deletion tell.
SELECT id, name, tags, labels, now() AS occurred
  FROM flow
 WHERE id = ANY (%(ids)s::uuid[])
 ORDER BY id
   FOR UPDATE;

-- name: delete :exec
-- Delete flows that are locked.
DELETE FROM flow
 WHERE id = ANY (%(ids)s::uuid[]);
