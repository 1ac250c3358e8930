-- What the loops look for and change by the clock. They claim what nobody else has locked, so any number of processes may look.
--
-- Each claim goes on behind a row, in an order in which no row comes twice: so a round passes each row once, whatever became of
-- it. None may fail over what a row holds, for then nobody knows which one it was.

-- name: read_clock :value
-- The time that loops go by, for the clocks of the machines that run them may differ.
SELECT clock_timestamp();

-- name: claim_late :many
-- Lock flow runs that should have started by a time, the most overdue first.
SELECT id,
       downbeat.rfc3339(next_scheduled_start_time) AS scheduled_time,
       next_scheduled_start_time::text AS place
  FROM flow_run
 WHERE state_type = 'SCHEDULED'
   AND state_name = 'Scheduled'
   AND next_scheduled_start_time <= %(due_before)s::timestamptz
   AND (next_scheduled_start_time, id) > (%(after_place)s::timestamptz, %(after)s::uuid)
 ORDER BY next_scheduled_start_time, id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: claim_expired_pauses :many
-- Lock paused flow runs whose time to be resumed is over.
SELECT run.id
  FROM flow_run AS run
       JOIN flow_run_state AS state ON state.id = run.state_id AND state.flow_run_id = run.id
 WHERE run.state_type = 'PAUSED'
   AND run.id > %(after)s::uuid
   AND downbeat.read_time(state.state_details ->> 'pause_timeout') < %(now)s::timestamptz
 ORDER BY run.id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE OF run SKIP LOCKED;

-- name: claim_cancelling :many
-- Lock flow runs that have been CANCELLING since before a time.
SELECT id
  FROM flow_run
 WHERE state_type = 'CANCELLING'
   AND state_timestamp < %(since)s::timestamptz
   AND id > %(after)s::uuid
 ORDER BY id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: claim_cancelled_subflows :many
-- Lock subflow runs that go on although the flow run they are part of is cancelled. One with a deployment is stopped by its
-- worker, and that is under way when it is CANCELLING; one that is paused in its process cannot be stopped before it goes on.
SELECT run.id,
       run.deployment_id
  FROM flow_run AS run
       JOIN task_run ON task_run.id = run.parent_task_run_id
       JOIN flow_run AS parent ON parent.id = task_run.flow_run_id
 WHERE parent.state_type = 'CANCELLED'
   AND run.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
   AND (run.deployment_id IS NULL OR run.state_type <> 'CANCELLING')
   AND run.id > %(after)s::uuid
 ORDER BY run.id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE OF run SKIP LOCKED;

-- name: claim_cancelled_task_runs :many
-- Lock task runs that have not ended although their flow run was cancelled, if that was after a time.
SELECT task_run.id
  FROM flow_run AS run
       JOIN task_run ON task_run.flow_run_id = run.id
 WHERE run.state_type = 'CANCELLED'
   AND run.end_time >= %(since)s::timestamptz
   AND task_run.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
   AND task_run.id > %(after)s::uuid
 ORDER BY task_run.id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE OF task_run SKIP LOCKED;

-- name: claim_silent_workers :many
-- Lock workers ONLINE that have missed several heartbeats in a row.
SELECT id
  FROM worker
 WHERE status = 'ONLINE'
   AND last_heartbeat_time < %(now)s::timestamptz
                           - make_interval(secs => %(missed)s::float8
                                           * COALESCE(heartbeat_interval_seconds, %(interval_seconds)s::float8))
   AND id > %(after)s::uuid
 ORDER BY id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: mark_workers_offline :exec
-- Mark workers OFFLINE.
UPDATE worker
   SET status = 'OFFLINE',
       updated = now()
 WHERE id = ANY (%(ids)s::uuid[]);

-- name: claim_deserted_work_pools :many
-- Lock READY work pools that have no worker ONLINE, with what the event of it tells.
SELECT pool.id,
       pool.name,
       pool.type,
       CASE WHEN pool.last_transitioned_status_at > %(now)s::timestamptz - interval '10 minutes'
            THEN pool.last_status_event_id END AS follows
  FROM work_pool AS pool
 WHERE pool.status = 'READY'
   AND NOT EXISTS (
       SELECT
         FROM worker
        WHERE worker.work_pool_id = pool.id
          AND worker.status = 'ONLINE')
   AND pool.id > %(after)s::uuid
 ORDER BY pool.id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: mark_work_pools_not_ready :exec
-- Mark work pools NOT_READY, each with the event that tells of it.
UPDATE work_pool
   SET status = 'NOT_READY',
       last_transitioned_status_at = %(now)s::timestamptz,
       last_status_event_id = given.event_id,
       updated = now()
  FROM unnest(%(ids)s::uuid[], %(event_ids)s::uuid[]) AS given (id, event_id)
 WHERE work_pool.id = given.id;

-- name: claim_unpolled_deployments :many
-- Lock READY deployments for whose runs nobody has asked since a time, neither at the deployment nor at its work queue, with
-- what the event of it tells.
SELECT deployment.id,
       deployment.name,
       related.resources AS related
  FROM deployment
       JOIN downbeat.deployment_related AS related ON related.deployment_id = deployment.id
       LEFT JOIN work_queue AS queue ON queue.id = deployment.work_queue_id
 WHERE deployment.status = 'READY'
   AND deployment.last_polled < %(since)s::timestamptz
   AND (queue.last_polled IS NULL OR queue.last_polled < %(since)s::timestamptz)
   AND deployment.id > %(after)s::uuid
 ORDER BY deployment.id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE OF deployment SKIP LOCKED;

-- name: mark_deployments_not_ready :exec
-- Mark deployments NOT_READY. That is no change of the deployment itself, so `updated` stays.
UPDATE deployment
   SET status = 'NOT_READY'
 WHERE id = ANY (%(ids)s::uuid[]);

-- name: claim_unpolled_work_queues :many
-- Lock READY work queues that nobody has polled since a time, with what the event of it tells.
SELECT queue.id,
       queue.name,
       jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.work-pool.' || pool.id,
           'prefect.resource.role', 'work-pool',
           'prefect.resource.name', pool.name,
           'prefect.work-pool.type', pool.type)) AS related
  FROM work_queue AS queue
       JOIN work_pool AS pool ON pool.id = queue.work_pool_id
 WHERE queue.status = 'READY'
   AND queue.last_polled < %(since)s::timestamptz
   AND queue.id > %(after)s::uuid
 ORDER BY queue.id
 LIMIT %(limit)s::int
   FOR NO KEY UPDATE OF queue SKIP LOCKED;

-- name: mark_work_queues_not_ready :exec
-- Mark work queues NOT_READY.
UPDATE work_queue
   SET status = 'NOT_READY',
       updated = now()
 WHERE id = ANY (%(ids)s::uuid[]);
