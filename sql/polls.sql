-- Polls: the runs that those who run them may start now. Workers ask a work pool, agents a queue, runners their deployments.

-- name: of_work_pool :one
-- Runs of a pool that a worker may start, and what else a poll has to know: whether there is such a pool, the first of the queues
-- asked for that is not there, and whether a queue or deployment is to become ready by being polled.
--
-- 1. A run is SCHEDULED and due, nothing of it is paused, and no limit of pool, queue or deployment would be exceeded.
-- 2. They come by the priority of their queue, then by when they are due.
-- 3. Each queue is read on its own, so one whose limit is used up hides nothing of another. So is each deployment in it while more
--    runs of one are due than it has slots, however many that are.
-- 4. A deployment that is to cancel runs without a slot gets them all, for that happens at PENDING.
-- 5. No lock is taken: a run is claimed by its transition to PENDING.
--
-- The row comparison keeps the planner from reading the due runs of all queues for one that has few: with 700,000 of them that
-- took 300 ms instead of 3.
  WITH pool AS (
       SELECT work_pool.id, work_pool.is_paused, slots.free_slots
         FROM work_pool
              JOIN downbeat.work_pool_slots AS slots ON slots.id = work_pool.id
        WHERE work_pool.name = %(name)s::text
       ),
       queue AS (
       SELECT work_queue.id, work_queue.priority, work_queue.status, work_queue.is_paused, slots.free_slots
         FROM pool
              JOIN work_queue ON work_queue.work_pool_id = pool.id
              JOIN downbeat.work_queue_slots AS slots ON slots.id = work_queue.id
        WHERE %(queues)s::text[] IS NULL
           OR work_queue.name = ANY (%(queues)s::text[])
       ),
       period AS (
       SELECT COALESCE(%(scheduled_after)s::timestamptz, '-infinity') AS since,
              COALESCE(%(scheduled_before)s::timestamptz, 'infinity') AS until
       ),
       crowded AS MATERIALIZED (
       SELECT bound.deployment_id, bound.runs_to_hand_out
         FROM downbeat.deployment_limit AS bound
        CROSS JOIN period
        WHERE bound.runs_to_hand_out IS NOT NULL
          AND EXISTS (SELECT
                        FROM flow_run
                       WHERE flow_run.work_queue_id IN (SELECT queue.id FROM queue)
                         AND flow_run.deployment_id = bound.deployment_id
                         AND flow_run.state_type = 'SCHEDULED'
                         AND flow_run.next_scheduled_start_time BETWEEN period.since AND period.until
                      OFFSET bound.runs_to_hand_out)
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
              LEAST(open_queue.free_slots, crowded.runs_to_hand_out),
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

-- name: read_work_queue :one
-- How a queue is to be polled for runs: those that carry its name if it has no filter, those that its filter finds if it has.
SELECT name,
       is_paused,
       status::text,
       NULLIF(filter, 'null') AS filter,
       CASE WHEN concurrency_limit IS NULL THEN NULL
            WHEN filter <> 'null' THEN GREATEST(0, concurrency_limit - COALESCE((
                 SELECT agent_queue.active_slots FROM downbeat.agent_queue WHERE agent_queue.id = work_queue.id), 0))
            ELSE GREATEST(0, concurrency_limit
                             - (SELECT count(*)
                                  FROM flow_run
                                 WHERE flow_run.work_queue_name = work_queue.name
                                   AND flow_run.state_type IN ('PENDING', 'RUNNING', 'CANCELLING')))
       END AS free_slots,
       status = 'NOT_READY'
           OR EXISTS (SELECT
                        FROM deployment
                       WHERE deployment.work_queue_id = work_queue.id
                         AND deployment.status = 'NOT_READY') AS has_unready
  FROM work_queue
 WHERE id = %(id)s::uuid;

-- name: of_work_queue :json
-- The first runs that a queue of agents finds which are due, as far as its slots go; of each deployment as many as it can hand out.
-- The runs of a deployment with a limit are searched by themselves.
  WITH queue AS (
       SELECT name,
              NULLIF(filter, 'null') IS NULL AS goes_by_name,
              NULLIF(filter -> 'tags', 'null') AS tags,
              NULLIF(filter -> 'deployment_ids', 'null') AS deployment_ids
         FROM work_queue
        WHERE id = %(id)s::uuid
       ),
       bound AS MATERIALIZED (
       SELECT deployment_id, runs_to_hand_out
         FROM downbeat.deployment_limit
        WHERE runs_to_hand_out IS NOT NULL
       ),
       due AS (
       (SELECT flow_run.id, flow_run.next_scheduled_start_time
          FROM flow_run
         CROSS JOIN queue
         WHERE flow_run.state_type = 'SCHEDULED'
           AND flow_run.next_scheduled_start_time <= COALESCE(%(scheduled_before)s::timestamptz, 'infinity')
           AND CASE WHEN queue.goes_by_name THEN flow_run.work_queue_name = queue.name
                    ELSE flow_run.deployment_id IS NOT NULL
                         AND (queue.tags IS NULL OR (flow_run.tags <> '[]' AND flow_run.tags @> queue.tags))
                         AND (queue.deployment_ids IS NULL OR queue.deployment_ids ? flow_run.deployment_id::text) END
           AND NOT EXISTS (SELECT FROM bound WHERE bound.deployment_id = flow_run.deployment_id)
         ORDER BY flow_run.next_scheduled_start_time, flow_run.id
         LIMIT LEAST(%(limit)s::bigint, %(free_slots)s::bigint))
        UNION ALL
       SELECT run.id, run.next_scheduled_start_time
         FROM bound
        CROSS JOIN LATERAL (
              SELECT flow_run.id, flow_run.next_scheduled_start_time
                FROM flow_run
               CROSS JOIN queue
               WHERE flow_run.deployment_id = bound.deployment_id
                 AND flow_run.state_type = 'SCHEDULED'
                 AND flow_run.next_scheduled_start_time <= COALESCE(%(scheduled_before)s::timestamptz, 'infinity')
                 AND CASE WHEN queue.goes_by_name THEN flow_run.work_queue_name = queue.name
                          ELSE (queue.tags IS NULL OR (flow_run.tags <> '[]' AND flow_run.tags @> queue.tags))
                               AND (queue.deployment_ids IS NULL OR queue.deployment_ids ? flow_run.deployment_id::text) END
               ORDER BY flow_run.next_scheduled_start_time, flow_run.id
               LIMIT bound.runs_to_hand_out) AS run
       ),
       page AS (
       SELECT id, next_scheduled_start_time
         FROM due
        ORDER BY next_scheduled_start_time, id
        LIMIT LEAST(%(limit)s::bigint, %(free_slots)s::bigint)
       )
SELECT COALESCE(json_agg(row_to_json(flow_run) ORDER BY page.next_scheduled_start_time, page.id), '[]')::text
  FROM page
       JOIN downbeat.flow_run ON flow_run.id = page.id;

-- name: of_deployments :json
-- The first runs of deployments that are due by a time, or by any without one; of each deployment as many as it can hand out.
SELECT COALESCE(json_agg(row_to_json(flow_run) ORDER BY due.next_scheduled_start_time, due.id), '[]')::text
  FROM (SELECT run.id, run.next_scheduled_start_time
          FROM (SELECT DISTINCT unnest(%(deployment_ids)s::uuid[])) AS wanted (id)
               LEFT JOIN downbeat.deployment_limit AS bound
                      ON bound.deployment_id = wanted.id
         CROSS JOIN LATERAL (
               SELECT flow_run.id, flow_run.next_scheduled_start_time
                 FROM flow_run
                WHERE flow_run.deployment_id = wanted.id
                  AND flow_run.state_type = 'SCHEDULED'
                  AND flow_run.next_scheduled_start_time <= COALESCE(%(scheduled_before)s::timestamptz, 'infinity')
                ORDER BY flow_run.next_scheduled_start_time, flow_run.id
                LIMIT LEAST(%(limit)s::bigint, bound.runs_to_hand_out)) AS run
         ORDER BY run.next_scheduled_start_time, run.id
         LIMIT %(limit)s::int) AS due
       JOIN downbeat.flow_run ON flow_run.id = due.id;
