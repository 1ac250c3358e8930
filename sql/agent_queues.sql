-- Work queues as agents poll them, by id: the runs that a queue finds by its name or by its filter.

-- name: poll :one
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

-- name: due_runs :json
-- The first runs that a queue finds which are due, as far as its slots go; of each deployment no more than it has free slots,
-- unless it is to cancel those that get none. The runs of a deployment with a limit are searched by themselves.
  WITH queue AS (
       SELECT name,
              NULLIF(filter, 'null') IS NULL AS goes_by_name,
              NULLIF(filter -> 'tags', 'null') AS tags,
              NULLIF(filter -> 'deployment_ids', 'null') AS deployment_ids
         FROM work_queue
        WHERE id = %(id)s::uuid
       ),
       bound AS MATERIALIZED (
       SELECT deployment_id, CASE WHEN free_slots < 0 THEN 0 ELSE free_slots END::bigint AS free_slots
         FROM downbeat.deployment_limit
        WHERE collision_strategy <> 'CANCEL_NEW'
           OR "limit" = 0
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
               LIMIT bound.free_slots) AS run
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
