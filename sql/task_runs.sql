-- Task runs as they are read, and changed by hand; what orchestration writes is in task_run_transitions.sql.

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
