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

-- name: poll :one
-- Runs of a pool that a worker may start: SCHEDULED and due, by the priority of their queue, then by when they are due, no
-- more than the limits of pool, queues and deployments leave free, none of what is paused. Each queue is read on its own, so one
-- whose limit is used up hides nothing of another; and so is each deployment in it while more runs of one are due than it has
-- slots, however many that are. A deployment that is to cancel runs without a slot gets them all, for that happens at PENDING.
-- The row comparison keeps the planner from reading the due runs of all queues for one that has few: with 700,000 of them that
-- took 300 ms instead of 3. With it comes whether there is such a pool, the first of the queues asked for that is not there, and
-- whether a queue or deployment is to become ready by being polled. No lock is taken: a run is claimed by its transition to
-- PENDING.
  WITH pool AS (
       SELECT id,
              is_paused,
              CASE WHEN concurrency_limit IS NOT NULL
                   THEN GREATEST(0, concurrency_limit
                                    - (SELECT count(*)
                                         FROM work_queue
                                              JOIN flow_run ON flow_run.work_queue_id = work_queue.id
                                        WHERE work_queue.work_pool_id = work_pool.id
                                          AND flow_run.state_type IN ('PENDING', 'RUNNING'))) END AS free_slots
         FROM work_pool
        WHERE name = %(name)s::text
       ),
       queue AS (
       SELECT work_queue.id,
              work_queue.priority,
              work_queue.status,
              work_queue.is_paused,
              CASE WHEN work_queue.concurrency_limit IS NOT NULL
                   THEN GREATEST(0, work_queue.concurrency_limit
                                    - (SELECT count(*)
                                         FROM flow_run
                                        WHERE flow_run.work_queue_id = work_queue.id
                                          AND flow_run.state_type IN ('PENDING', 'RUNNING'))) END AS free_slots
         FROM work_queue
              JOIN pool ON pool.id = work_queue.work_pool_id
        WHERE %(queues)s::text[] IS NULL
           OR work_queue.name = ANY (%(queues)s::text[])
       ),
       period AS (
       SELECT COALESCE(%(scheduled_after)s::timestamptz, '-infinity') AS since,
              COALESCE(%(scheduled_before)s::timestamptz, 'infinity') AS until
       ),
       crowded AS MATERIALIZED (
       SELECT bound.deployment_id, GREATEST(bound.free_slots, 0)::bigint AS free_slots
         FROM downbeat.deployment_limit AS bound
        CROSS JOIN period
        WHERE (bound.collision_strategy <> 'CANCEL_NEW' OR bound."limit" = 0)
          AND EXISTS (SELECT
                        FROM flow_run
                       WHERE flow_run.work_queue_id IN (SELECT queue.id FROM queue)
                         AND flow_run.deployment_id = bound.deployment_id
                         AND flow_run.state_type = 'SCHEDULED'
                         AND flow_run.next_scheduled_start_time BETWEEN period.since AND period.until
                      OFFSET GREATEST(bound.free_slots, 0)::bigint)
       ),
       open_queue AS (
       SELECT queue.id, queue.priority, LEAST(%(limit)s::bigint, queue.free_slots, pool.free_slots) AS free_slots
         FROM queue
        CROSS JOIN pool
        WHERE NOT queue.is_paused
          AND NOT pool.is_paused
       ),
       part AS (
       SELECT id AS queue_id, priority, NULL::uuid AS deployment_id, free_slots, true AS is_whole
         FROM open_queue
        WHERE NOT EXISTS (SELECT FROM crowded)
        UNION ALL
       SELECT open_queue.id,
              open_queue.priority,
              present.deployment_id,
              LEAST(open_queue.free_slots, crowded.free_slots),
              false
         FROM open_queue
        CROSS JOIN LATERAL (
              WITH RECURSIVE present AS (
                   SELECT '00000000-0000-0000-0000-000000000000'::uuid AS deployment_id
                    UNION ALL
                   SELECT (SELECT flow_run.deployment_id
                             FROM flow_run
                            WHERE flow_run.work_queue_id = open_queue.id
                              AND flow_run.deployment_id > present.deployment_id
                              AND flow_run.state_type = 'SCHEDULED'
                            ORDER BY flow_run.deployment_id
                            LIMIT 1)
                     FROM present
                    WHERE present.deployment_id IS NOT NULL
                   )
              SELECT present.deployment_id
                FROM present) AS present
              LEFT JOIN crowded ON crowded.deployment_id = present.deployment_id
        WHERE EXISTS (SELECT FROM crowded)
       ),
       candidate AS (
       SELECT run.id, run.next_scheduled_start_time, part.priority
         FROM part
        CROSS JOIN period
        CROSS JOIN LATERAL (
              SELECT flow_run.id, flow_run.next_scheduled_start_time
                FROM flow_run
               WHERE flow_run.work_queue_id = part.queue_id
                 AND flow_run.state_type = 'SCHEDULED'
                 AND (flow_run.work_queue_id, flow_run.state_type, flow_run.next_scheduled_start_time)
                     BETWEEN (part.queue_id, 'SCHEDULED'::state_type, period.since)
                         AND (part.queue_id, 'SCHEDULED'::state_type, period.until)
                 AND flow_run.empirical_policy ->> 'retry_type' IS DISTINCT FROM 'in_process'
               ORDER BY flow_run.next_scheduled_start_time, flow_run.id
               LIMIT part.free_slots) AS run
        WHERE part.is_whole
        UNION ALL
       SELECT run.id, run.next_scheduled_start_time, part.priority
         FROM part
        CROSS JOIN period
        CROSS JOIN LATERAL (
              SELECT flow_run.id, flow_run.next_scheduled_start_time
                FROM flow_run
               WHERE flow_run.work_queue_id = part.queue_id
                 AND flow_run.deployment_id = part.deployment_id
                 AND flow_run.state_type = 'SCHEDULED'
                 AND flow_run.next_scheduled_start_time BETWEEN period.since AND period.until
                 AND flow_run.empirical_policy ->> 'retry_type' IS DISTINCT FROM 'in_process'
               ORDER BY flow_run.next_scheduled_start_time, flow_run.id
               LIMIT part.free_slots) AS run
        WHERE part.deployment_id IS NOT NULL
        UNION ALL
       SELECT run.id, run.next_scheduled_start_time, part.priority
         FROM part
        CROSS JOIN period
        CROSS JOIN LATERAL (
              SELECT flow_run.id, flow_run.next_scheduled_start_time
                FROM flow_run
               WHERE flow_run.work_queue_id = part.queue_id
                 AND flow_run.deployment_id IS NULL
                 AND flow_run.state_type = 'SCHEDULED'
                 AND flow_run.empirical_policy ->> 'retry_type' IS DISTINCT FROM 'in_process'
                 AND flow_run.next_scheduled_start_time BETWEEN period.since AND period.until
               ORDER BY flow_run.next_scheduled_start_time, flow_run.id
               LIMIT part.free_slots) AS run
        WHERE part.deployment_id IS NULL
          AND NOT part.is_whole
       ),
       due AS (
       SELECT id, row_number() OVER (ORDER BY priority, next_scheduled_start_time, id) AS place
         FROM candidate
        ORDER BY place
        LIMIT LEAST(%(limit)s::bigint, (SELECT free_slots FROM pool))
       )
SELECT EXISTS (SELECT FROM pool) AS has_pool,
       (SELECT wanted.name
          FROM unnest(%(queues)s::text[]) WITH ORDINALITY AS wanted (name, place)
         WHERE NOT EXISTS (SELECT
                             FROM work_queue
                                  JOIN pool ON pool.id = work_queue.work_pool_id
                            WHERE work_queue.name = wanted.name)
         ORDER BY wanted.place
         LIMIT 1) AS missing_queue,
       (SELECT array_agg(queue.id::text) FROM queue) AS queue_ids,
       EXISTS (SELECT FROM queue WHERE queue.status = 'NOT_READY')
           OR EXISTS (SELECT
                        FROM deployment
                       WHERE deployment.work_queue_id IN (SELECT queue.id FROM queue)
                         AND deployment.status = 'NOT_READY') AS has_unready,
       (SELECT COALESCE(json_agg(json_build_object(
                   'work_pool_id', shown.work_pool_id,
                   'work_queue_id', shown.work_queue_id,
                   'flow_run', shown.flow_run) ORDER BY due.place), '[]')::text
          FROM due
               JOIN downbeat.scheduled_flow_run AS shown ON shown.id = due.id) AS runs;
