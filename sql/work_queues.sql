-- Work queues: those of a work pool, and those that were made without one and are in the pool of agents.

-- name: create :one
-- Insert a queue into a pool that is locked; without a priority it gets the first that is free. Gives what its event tells.
-- A name that is taken breaks a constraint.
INSERT INTO work_queue (id, work_pool_id, name, description, is_paused, concurrency_limit, filter, priority)
VALUES (%(id)s::uuid,
        %(work_pool_id)s::uuid,
        %(name)s::text,
        COALESCE(%(description)s::text, ''),
        %(is_paused)s::boolean,
        %(concurrency_limit)s::int,
        %(queue_filter)s::jsonb,
        COALESCE(%(priority)s::int,
                 (SELECT min(free.priority)
                    FROM generate_series(1, 1 + (SELECT count(*)
                                                   FROM work_queue
                                                  WHERE work_pool_id = %(work_pool_id)s::uuid)) AS free (priority)
                   WHERE free.priority NOT IN (SELECT work_queue.priority
                                                 FROM work_queue
                                                WHERE work_queue.work_pool_id = %(work_pool_id)s::uuid))))
RETURNING id, name, now() AS occurred;

-- name: read_in_pool :json
-- One queue by its name in a pool.
SELECT row_to_json(work_queue)::text
  FROM downbeat.work_queue
 WHERE work_queue.work_pool_name = %(work_pool_name)s::text
   AND work_queue.name = %(name)s::text;

-- name: read_by_name :json
-- The queue of a name in the pool of agents; as long as there is none, any queue of this name.
SELECT row_to_json(agent_queue)::text
  FROM downbeat.agent_queue
 WHERE agent_queue.name = %(name)s::text
   AND (agent_queue.work_pool_name = 'default-agent-pool'
        OR NOT EXISTS (SELECT FROM work_pool WHERE work_pool.name = 'default-agent-pool'))
 ORDER BY agent_queue.id
 LIMIT 1;

-- name: read_pool_name :value
-- The name of the pool that a queue is in.
SELECT work_pool.name
  FROM work_queue
       JOIN work_pool ON work_pool.id = work_queue.work_pool_id
 WHERE work_queue.id = %(id)s::uuid;

-- name: read_many_in_pool :json
-- Queues by id, in the order of the ids, as their pool shows them.
SELECT COALESCE(json_agg(row_to_json(work_queue) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.work_queue ON work_queue.id = page.id;

-- name: hold :value
-- The id of a queue that is about to be used, or nothing if it is gone. It stays until the transaction ends, for who deletes a
-- queue locks its pool.
SELECT work_queue.id
  FROM work_pool
       JOIN work_queue ON work_queue.work_pool_id = work_pool.id
 WHERE work_queue.id = %(id)s::uuid
   FOR KEY SHARE;

-- name: lock :one
-- A queue of a pool, by id or by name, as it is before a change. The pool is locked already, so that this need not keep the
-- queue from being referred to: who does that may hold what its deletion waits for.
SELECT id,
       name,
       description,
       concurrency_limit,
       priority,
       status::text,
       now() AS occurred
  FROM work_queue
 WHERE work_pool_id = %(work_pool_id)s::uuid
   AND (id = %(id)s::uuid OR name = %(name)s::text)
   FOR NO KEY UPDATE;

-- name: list_names :many
-- The queues of a pool by priority, for the events that tell of their end.
SELECT id, name, now() AS occurred
  FROM work_queue
 WHERE work_pool_id = %(work_pool_id)s::uuid
 ORDER BY priority, id;

-- name: update :one
-- Replace the columns of a queue that are among the changes, and give those that events tell of. A queue that is paused is
-- PAUSED; one that goes on is READY if it has been polled within a minute. Any other change leaves the status alone.
UPDATE work_queue
   SET (name, description, is_paused, concurrency_limit, priority, last_polled, filter, status, updated)
     = (SELECT given.name,
               given.description,
               COALESCE(given.is_paused, work_queue.is_paused),
               given.concurrency_limit,
               given.priority,
               given.last_polled,
               given.filter,
               CASE WHEN requested.changes -> 'is_paused' = 'true' THEN 'PAUSED'
                    WHEN requested.changes -> 'is_paused' = 'false' AND work_queue.status = 'PAUSED'
                    THEN CASE WHEN now() - given.last_polled <= interval '60 seconds' THEN 'READY' ELSE 'NOT_READY' END
                    ELSE work_queue.status::text END::work_queue_status,
               now()
          FROM (SELECT %(changes)s::jsonb) AS requested (changes)
         CROSS JOIN LATERAL jsonb_populate_record(work_queue, requested.changes) AS given)
 WHERE id = %(id)s::uuid
RETURNING id,
          name,
          description,
          concurrency_limit,
          priority,
          status::text,
          now() AS occurred;

-- name: spread_priorities :exec
-- Make the priorities of a pool's queues unique with as few changes as that takes, keeping their order: the queue that was
-- moved stays where it was put, those at and behind it make room.
  WITH placed AS (
       SELECT id,
              priority,
              row_number() OVER (ORDER BY priority, id = %(moved_id)s::uuid DESC, id) AS place
         FROM work_queue
        WHERE work_pool_id = %(work_pool_id)s::uuid
       ),
       spread AS (
       SELECT id, place + GREATEST(0, max(priority - place) OVER (ORDER BY place)) AS priority
         FROM placed
       )
UPDATE work_queue
   SET priority = spread.priority,
       updated = now()
  FROM spread
 WHERE work_queue.id = spread.id
   AND work_queue.priority <> spread.priority;

-- name: release_deployments :exec
-- Take queues that are about to be deleted from their deployments, which is no change of these. Left to the foreign key, the
-- deployments would be locked behind the queue, while who makes runs of a deployment has locked that and waits for its queue.
  WITH held AS (
       SELECT id
         FROM deployment
        WHERE work_queue_id = ANY (%(ids)s::uuid[])
        ORDER BY id
          FOR NO KEY UPDATE
       )
UPDATE deployment
   SET work_queue_id = NULL
  FROM held
 WHERE deployment.id = held.id;

-- name: release_runs :exec
-- Take queues that are about to be deleted from their flow runs, in the order of ids like all who lock several.
  WITH held AS (
       SELECT id
         FROM flow_run
        WHERE work_queue_id = ANY (%(ids)s::uuid[])
        ORDER BY id
          FOR NO KEY UPDATE
       )
UPDATE flow_run
   SET work_queue_id = NULL
  FROM held
 WHERE flow_run.id = held.id;

-- name: delete :exec
-- Delete a queue that was released. A pool's default queue breaks a constraint.
DELETE FROM work_queue
 WHERE id = %(id)s::uuid;

-- name: touch :exec
-- Note that queues are polled, and so their deployments. What was noted within a second, is locked, or is to become ready by
-- it is left alone; a note on a deployment is no change of it.
  WITH queue AS (
       SELECT id
         FROM work_queue
        WHERE id = ANY (%(ids)s::uuid[])
          AND status <> 'NOT_READY'
          AND (last_polled IS NULL OR last_polled < now() - interval '1 second')
        ORDER BY id
          FOR NO KEY UPDATE SKIP LOCKED
       ),
       touched AS (
       UPDATE work_queue
          SET last_polled = now(),
              updated = now()
         FROM queue
        WHERE work_queue.id = queue.id
       ),
       polled_deployment AS (
       SELECT id
         FROM deployment
        WHERE work_queue_id = ANY (%(ids)s::uuid[])
          AND status <> 'NOT_READY'
          AND (last_polled IS NULL OR last_polled < now() - interval '1 second')
        ORDER BY id
          FOR NO KEY UPDATE SKIP LOCKED
       )
UPDATE deployment
   SET last_polled = now()
  FROM polled_deployment
 WHERE deployment.id = polled_deployment.id;

-- name: mark_ready :many
-- Make queues ready that were not, now that they are polled, and give what their events tell. A poll waits for nobody: what
-- is locked becomes ready with the next one.
  WITH queue AS (
       SELECT id
         FROM work_queue
        WHERE id = ANY (%(ids)s::uuid[])
          AND status = 'NOT_READY'
        ORDER BY id
          FOR NO KEY UPDATE SKIP LOCKED
       )
UPDATE work_queue
   SET status = 'READY',
       last_polled = now(),
       updated = now()
  FROM queue, work_pool
 WHERE work_queue.id = queue.id
   AND work_pool.id = work_queue.work_pool_id
RETURNING work_queue.id,
          work_queue.name,
          work_queue.status::text,
          work_pool.id AS work_pool_id,
          work_pool.name AS work_pool_name,
          work_pool.type AS work_pool_type,
          now() AS occurred;

-- name: mark_deployments_ready :many
-- Make deployments of queues ready that were not, as `mark_ready`. It is no change of the deployment.
  WITH polled AS (
       SELECT id, name
         FROM deployment
        WHERE work_queue_id = ANY (%(ids)s::uuid[])
          AND status = 'NOT_READY'
        ORDER BY id
          FOR NO KEY UPDATE SKIP LOCKED
       ),
       marked AS (
       UPDATE deployment
          SET status = 'READY',
              last_polled = now()
         FROM polled
        WHERE deployment.id = polled.id
       )
SELECT polled.id,
       polled.name,
       related.resources AS related,
       now() AS occurred
  FROM polled
       JOIN downbeat.deployment_related AS related ON related.deployment_id = polled.id;

-- name: status :json
-- How a queue is doing: healthy if it was polled within a minute and none of its runs is late.
SELECT json_build_object(
           'healthy', late.runs = 0 AND COALESCE(now() - work_queue.last_polled <= interval '60 seconds', FALSE),
           'late_runs_count', late.runs,
           'last_polled', downbeat.rfc3339(work_queue.last_polled),
           'health_check_policy', json_build_object('maximum_late_runs', 0, 'maximum_seconds_since_last_polled', 60))::text
  FROM work_queue
 CROSS JOIN LATERAL (
       SELECT count(*) AS runs
         FROM flow_run
        WHERE flow_run.work_queue_id = work_queue.id
          AND flow_run.state_name = 'Late') AS late
 WHERE work_queue.id = %(id)s::uuid;

-- name: concurrency_status :json
-- Who holds the slots of a queue: a page of its runs that are on their way or being cancelled, also those that are in no
-- queue and carry its name.
  WITH queue AS (
       SELECT id, name, concurrency_limit
         FROM work_queue
        WHERE id = %(id)s::uuid
       ),
       holder AS (
       SELECT flow_run.id,
              flow_run.name,
              flow_run.state_type,
              flow_run.state_name,
              flow_run.start_time,
              flow_run.state_timestamp
         FROM flow_run
              JOIN queue ON flow_run.work_queue_id = queue.id
                         OR (flow_run.work_queue_id IS NULL AND flow_run.work_queue_name = queue.name)
        WHERE flow_run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING')
       ),
       page AS (
       SELECT id,
              json_build_object(
                  'id', id,
                  'name', name,
                  'state_type', state_type,
                  'state_name', state_name,
                  'start_time', downbeat.rfc3339(start_time),
                  'state_timestamp', downbeat.rfc3339(state_timestamp),
                  'time_in_current_state', EXTRACT(epoch FROM now() - state_timestamp)::float8) AS document
         FROM holder
        ORDER BY id
        LIMIT %(limit)s::int
       OFFSET %(offset)s::bigint
       )
SELECT json_build_object(
           'active_slots', (SELECT count(*) FROM holder),
           'concurrency_limit', queue.concurrency_limit,
           'flow_runs', COALESCE((SELECT json_agg(document ORDER BY id) FROM page), '[]'),
           'count', (SELECT count(*) FROM holder),
           'limit', %(limit)s::int,
           'pages', COALESCE(ceil((SELECT count(*) FROM holder) / NULLIF(%(limit)s::int, 0)::numeric), 0),
           'page', %(page)s::int)::text
  FROM queue;
