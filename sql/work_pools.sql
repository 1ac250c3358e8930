-- Work pools, and the poll with which their workers ask for work. What changes a pool or its queues locks the pool first.

-- name: create :one
-- Insert a pool with its default queue and give what their events tell, or nothing when the name is taken.
  WITH pool AS (
       INSERT INTO work_pool
              (id, name, description, type, base_job_template, is_paused, concurrency_limit, storage_configuration, status)
       VALUES (%(id)s::uuid,
               %(name)s::text,
               %(description)s::text,
               %(type)s::text,
               %(base_job_template)s::jsonb,
               %(is_paused)s::boolean,
               %(concurrency_limit)s::int,
               %(storage_configuration)s::jsonb,
               CASE WHEN %(is_paused)s::boolean AND %(type)s::text <> 'prefect-agent' THEN 'PAUSED'
                    ELSE 'NOT_READY' END::work_pool_status)
           ON CONFLICT (name) DO NOTHING
       RETURNING id
       )
INSERT INTO work_queue (id, work_pool_id, name, description, priority)
SELECT %(default_queue_id)s::uuid, pool.id, 'default', 'The work pool''s default queue.', 1
  FROM pool
RETURNING work_queue.id;

-- name: set_default_queue :one
-- Make a queue its pool's default, and give what the pool's events tell. A statement of its own behind `create`, which both
-- rows come from.
UPDATE work_pool
   SET default_queue_id = %(default_queue_id)s::uuid
 WHERE id = %(id)s::uuid
RETURNING id, name, type, status::text, default_queue_id, storage_configuration, NULL::uuid AS follows, now() AS occurred;

-- name: read :json
-- One pool by its unique name.
SELECT row_to_json(work_pool)::text
  FROM downbeat.work_pool
 WHERE work_pool.name = %(name)s::text;

-- name: read_id :value
-- The id of the pool of a name.
SELECT id
  FROM work_pool
 WHERE name = %(name)s::text;

-- name: lock :one
-- A pool as it is before a change; the changes of one pool and its queues wait for each other.
SELECT id,
       name,
       type,
       description,
       base_job_template,
       concurrency_limit,
       storage_configuration,
       status::text,
       CASE WHEN now() - last_transitioned_status_at < interval '10 minutes' THEN last_status_event_id END AS follows,
       default_queue_id,
       now() AS occurred
  FROM work_pool
 WHERE name = %(name)s::text
   FOR UPDATE;

-- name: update :one
-- Replace the columns of a pool that is locked which are among the changes. One that is paused is PAUSED; one that goes on is READY if a
-- worker is online. Gives what events tell of; a status that is set, even to what it was, is a transition.
  WITH given AS (
       SELECT changed.description,
              changed.is_paused,
              COALESCE(changed.base_job_template, pool.base_job_template) AS base_job_template,
              changed.concurrency_limit,
              changed.storage_configuration,
              CASE WHEN pool.type = 'prefect-agent' THEN NULL
                   WHEN changes -> 'is_paused' = 'true' THEN 'PAUSED'
                   WHEN changes -> 'is_paused' = 'false'
                   THEN CASE WHEN EXISTS (SELECT FROM worker WHERE worker.work_pool_id = pool.id AND worker.status = 'ONLINE')
                             THEN 'READY' ELSE 'NOT_READY' END
              END::work_pool_status AS status
         FROM work_pool AS pool
        CROSS JOIN (SELECT %(changes)s::jsonb) AS requested (changes)
        CROSS JOIN LATERAL jsonb_populate_record(pool, changes) AS changed
        WHERE pool.id = %(id)s::uuid
       )
UPDATE work_pool
   SET description = given.description,
       is_paused = given.is_paused,
       base_job_template = given.base_job_template,
       concurrency_limit = given.concurrency_limit,
       storage_configuration = given.storage_configuration,
       status = COALESCE(given.status, work_pool.status),
       last_status_event_id = CASE WHEN given.status IS NULL THEN work_pool.last_status_event_id
                                   ELSE %(event_id)s::uuid END,
       last_transitioned_status_at = CASE WHEN given.status IS NULL THEN work_pool.last_transitioned_status_at
                                          ELSE now() END,
       updated = now()
  FROM given
 WHERE work_pool.id = %(id)s::uuid
RETURNING work_pool.id,
          work_pool.name,
          work_pool.type,
          work_pool.description,
          work_pool.base_job_template,
          work_pool.concurrency_limit,
          work_pool.storage_configuration,
          given.status::text AS status,
          now() AS occurred;

-- name: set_status :one
-- Give a pool a status if it has a certain other one, and give what the event tells.
  WITH pool AS (
       SELECT id,
              CASE WHEN now() - last_transitioned_status_at < interval '10 minutes' THEN last_status_event_id END AS follows
         FROM work_pool
        WHERE id = %(id)s::uuid
          AND status = %(from_status)s::work_pool_status
          FOR NO KEY UPDATE
       )
UPDATE work_pool
   SET status = %(status)s::work_pool_status,
       last_status_event_id = %(event_id)s::uuid,
       last_transitioned_status_at = now(),
       updated = now()
  FROM pool
 WHERE work_pool.id = pool.id
RETURNING work_pool.id, work_pool.name, work_pool.type, work_pool.status::text, pool.follows, now() AS occurred;

-- name: delete :exec
-- Delete a pool with its queues and workers; flow runs and deployments stay behind without a queue.
DELETE FROM work_pool
 WHERE id = %(id)s::uuid;

-- name: concurrency_status :json
-- Who holds the slots of a pool: a page of its queues by priority, each with the first of its runs that are on their way.
  WITH pool AS (
       SELECT id, concurrency_limit
         FROM work_pool
        WHERE name = %(name)s::text
       ),
       queue AS (
       SELECT work_queue.id,
              work_queue.name,
              work_queue.concurrency_limit,
              work_queue.priority,
              (SELECT count(*)
                 FROM flow_run
                WHERE flow_run.work_queue_id = work_queue.id
                  AND flow_run.state_type IN ('PENDING', 'RUNNING')) AS active_slots
         FROM work_queue
              JOIN pool ON pool.id = work_queue.work_pool_id
       ),
       page AS (
       SELECT queue.id,
              queue.priority,
              json_build_object(
                  'queue_id', queue.id,
                  'queue_name', queue.name,
                  'active_slots', queue.active_slots,
                  'concurrency_limit', queue.concurrency_limit,
                  'flow_runs', COALESCE(holders.runs, '[]'),
                  'flow_run_count', queue.active_slots) AS document
         FROM queue
              LEFT JOIN LATERAL (
              SELECT json_agg(run.document ORDER BY run.id) AS runs
                FROM (SELECT flow_run.id,
                             json_build_object(
                                 'id', flow_run.id,
                                 'name', flow_run.name,
                                 'state_type', flow_run.state_type,
                                 'state_name', flow_run.state_name,
                                 'start_time', downbeat.rfc3339(flow_run.start_time),
                                 'state_timestamp', downbeat.rfc3339(flow_run.state_timestamp),
                                 'time_in_current_state', EXTRACT(epoch FROM now() - flow_run.state_timestamp)::float8)
                             AS document
                        FROM flow_run
                       WHERE flow_run.work_queue_id = queue.id
                         AND flow_run.state_type IN ('PENDING', 'RUNNING')
                       ORDER BY flow_run.id
                       LIMIT %(flow_run_limit)s::int) AS run) AS holders ON TRUE
        ORDER BY queue.priority, queue.id
        LIMIT %(limit)s::int
       OFFSET %(offset)s::bigint
       )
SELECT json_build_object(
           'active_slots', (SELECT COALESCE(sum(active_slots), 0) FROM queue),
           'concurrency_limit', pool.concurrency_limit,
           'queues', COALESCE((SELECT json_agg(document ORDER BY priority, id) FROM page), '[]'),
           'count', (SELECT count(*) FROM queue),
           'limit', %(limit)s::int,
           'pages', COALESCE(ceil((SELECT count(*) FROM queue) / NULLIF(%(limit)s::int, 0)::numeric), 0),
           'page', %(page)s::int)::text
  FROM pool;
