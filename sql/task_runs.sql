-- Task runs as they are read, and changed by hand; what orchestration writes is in task_run_transitions.sql.

-- name: read :json
-- One task run by id.
SELECT row_to_json(task_run)::text
  FROM downbeat.task_run
 WHERE task_run.id = %(id)s::uuid;

-- name: read_many :json
-- Task runs by id, in the order of the ids.
SELECT COALESCE(json_agg(row_to_json(task_run) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.task_run ON task_run.id = page.id;

-- name: count :value
-- How many task runs match.
SELECT count(*)
  FROM task_run
 WHERE {filter};

-- name: count_all :value
-- How many task runs there are: exactly up to 10,000, beyond that as PostgreSQL estimates, which a list of a million does as well
-- and reads no more than these.
SELECT CASE WHEN first.number <= 10000 THEN first.number
            ELSE (SELECT GREATEST(first.number, table_size.rows)
                    FROM downbeat.table_size
                   WHERE table_size.name = 'task_run') END
  FROM (SELECT count(*) AS number
          FROM (SELECT FROM task_run ORDER BY id LIMIT 10001) AS counted) AS first;

-- name: page :many
-- The ids of a page of the task runs that match, in order. Found on the table alone and shown by a second statement, which is
-- planned once: together they would be planned for every request, and that costs more than the round trip.
SELECT task_run.id::text
  FROM task_run
 WHERE {filter}
 ORDER BY {sort}
 LIMIT %(limit)s::int
OFFSET %(offset)s::bigint;

-- name: paginate :json
-- As read_many, with the fewer fields that the paginating operation shows.
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.task_run ON task_run.id = page.id
 CROSS JOIN LATERAL (
       SELECT task_run.id,
              task_run.created,
              task_run.updated,
              task_run.name,
              task_run.flow_run_id,
              task_run.task_key,
              task_run.state_id,
              task_run.state,
              task_run.task_version,
              task_run.task_inputs,
              task_run.empirical_policy,
              task_run.tags,
              task_run.start_time,
              task_run.end_time,
              task_run.total_run_time,
              task_run.estimated_run_time,
              task_run.estimated_start_time_delta
       ) AS shown;

-- name: update :exec
-- Rename a task run, unless the name is null.
UPDATE task_run
   SET name = COALESCE(%(name)s::text, name),
       updated = now()
 WHERE id = %(id)s::uuid;

-- name: lock_subflows :exec
-- Lock the subflows of a task run that is to be deleted, which lose their parent by it: flow runs are locked before task runs.
SELECT id
  FROM flow_run
 WHERE parent_task_run_id = %(id)s::uuid
 ORDER BY id
   FOR UPDATE;

-- name: lock_many :exec
-- Lock the task runs of flow runs that are locked, in the order of ids: who records several of them locks them so.
SELECT count(*)
  FROM (SELECT task_run.id
          FROM task_run
         WHERE task_run.flow_run_id = ANY (%(flow_run_ids)s::uuid[])
         ORDER BY task_run.id
           FOR UPDATE) AS locked;

-- name: delete :exec
-- Delete a task run with all that belongs to it and its logs.
  WITH logs AS (
       DELETE FROM log
        WHERE task_run_id = %(id)s::uuid
       )
DELETE FROM task_run
 WHERE id = %(id)s::uuid;
