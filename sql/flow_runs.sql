-- Flow runs as they are read, and changed by hand; what orchestration writes is in flow_run_transitions.sql.

-- name: read :json
-- One flow run by id.
SELECT row_to_json(flow_run)::text
  FROM downbeat.flow_run
 WHERE flow_run.id = %(id)s::uuid;

-- name: lock :one
-- What decides whether a flow run's job variables may change; keeps it from starting meanwhile.
SELECT flow_run.state_type::text,
       flow_run.deployment_id
  FROM flow_run
 WHERE flow_run.id = %(id)s::uuid
   FOR UPDATE;

-- name: read_many :json
-- Flow runs by id, in the order of the ids.
SELECT COALESCE(json_agg(row_to_json(flow_run) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.flow_run ON flow_run.id = page.id;

-- name: count :value
-- How many flow runs match.
SELECT count(*)
  FROM flow_run
 WHERE {filter};

-- name: count_all :value
-- How many flow runs there are: exactly up to 10,000, beyond that as PostgreSQL estimates, which a list of a million does as well
-- and reads no more than these.
SELECT CASE WHEN first.number <= 10000 THEN first.number
            ELSE (SELECT GREATEST(first.number, table_size.rows)
                    FROM downbeat.table_size
                   WHERE table_size.name = 'flow_run') END
  FROM (SELECT count(*) AS number
          FROM (SELECT FROM flow_run ORDER BY id LIMIT 10001) AS counted) AS first;

-- name: page :many
-- The ids of a page of the flow runs that match, in order. Found on the table alone and shown by a second statement, which is
-- planned once: together they would be planned for every request, and that costs more than the round trip.
SELECT flow_run.id::text
  FROM flow_run
 WHERE {filter}
 ORDER BY {sort}
 LIMIT %(limit)s::int
OFFSET %(offset)s::bigint;

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
