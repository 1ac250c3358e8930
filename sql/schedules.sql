-- Making flow runs from the schedules of deployments. The times are found before anything is locked. Whoever makes runs then
-- locks the deployments first, as does who pauses, changes or deletes one or its schedules; then flow runs are locked. Runs are
-- made only of schedules that have not changed meanwhile. So no run is made for a schedule that is gone.

-- name: lock :many
-- Lock deployments that are not paused.
SELECT id
  FROM deployment
 WHERE id = ANY (%(deployment_ids)s::uuid[])
   AND NOT paused
 ORDER BY id
   FOR NO KEY UPDATE;

-- name: claim :many
-- Lock deployments that are not paused, passing over those that somebody works on.
SELECT id
  FROM deployment
 WHERE id = ANY (%(deployment_ids)s::uuid[])
   AND NOT paused
 ORDER BY id
   FOR NO KEY UPDATE SKIP LOCKED;

-- name: find_lacking :many
-- The next deployments, by id, that have too few runs ahead by some schedule; with `changed_since` only of those that were
-- changed since then. A schedule that could not be followed is left alone for the rest of the day, unless it changes. The runs
-- that a schedule has ahead are read from ix_flow_run__schedule_id_scheduler.
SELECT deployment.id
  FROM deployment
 WHERE NOT deployment.paused
   AND deployment.id > %(after)s::uuid
   AND EXISTS (
       SELECT
         FROM deployment_schedule AS schedule
              CROSS JOIN LATERAL (
              SELECT count(*) AS number,
                     max(run.next_scheduled_start_time) AS last
                FROM flow_run AS run
               WHERE run.deployment_id = deployment.id
                 AND run.next_scheduled_start_time >= %(now)s::timestamptz
                 AND run.state_type = 'SCHEDULED'
                 AND run.auto_scheduled
                 AND run.created_by ->> 'id' = schedule.id::text) AS ahead
        WHERE schedule.deployment_id = deployment.id
          AND schedule.active
          AND (%(changed_since)s::timestamptz IS NULL
               OR deployment.updated >= %(changed_since)s::timestamptz
               OR schedule.updated >= %(changed_since)s::timestamptz)
          AND ahead.number < LEAST(%(max_runs)s::int, schedule.max_scheduled_runs)
          AND (ahead.number < %(min_runs)s::int
               OR ahead.last < %(until)s::timestamptz)
          AND NOT EXISTS (SELECT
                            FROM events
                           WHERE events.id = downbeat.schedule_failure(schedule.id, schedule.updated)))
 ORDER BY deployment.id
 LIMIT %(limit)s::int;

-- name: read_active :many
-- The active schedules of deployments that can be followed, as far as is known, with the id of the event that tells if not.
SELECT schedule.id,
       schedule.deployment_id,
       deployment.name AS deployment_name,
       deployment.flow_id,
       schedule.schedule,
       schedule.max_scheduled_runs,
       schedule.updated,
       failure.id AS failure_id
  FROM deployment_schedule AS schedule
       JOIN deployment ON deployment.id = schedule.deployment_id
 CROSS JOIN LATERAL downbeat.schedule_failure(schedule.id, schedule.updated) AS failure (id)
 WHERE schedule.deployment_id = ANY (%(deployment_ids)s::uuid[])
   AND schedule.active
   AND NOT EXISTS (SELECT FROM events WHERE events.id = failure.id)
 ORDER BY schedule.deployment_id, schedule.id;

-- name: create_runs :many
-- Insert scheduled flow runs, one for each place in the arrays, with their states; give the ids of those that did not exist.
-- Schedules that are not what they were when the times were found are left out: a statement of its own behind the lock sees it.
-- The idempotency key is the schedule's and the due time's, so that there is one run for both, whoever makes it and whatever
-- became of it.
  WITH due AS (
       SELECT due.id,
              due.state_id,
              due.name,
              due.idempotency_key,
              due.time,
              schedule.id AS schedule_id,
              schedule.deployment_id,
              schedule.parameters,
              COALESCE(NULLIF(schedule.slug, ''),
                       CASE WHEN schedule.schedule ? 'interval' THEN 'IntervalSchedule'
                            WHEN schedule.schedule ? 'cron' THEN 'CronSchedule'
                            ELSE 'RRuleSchedule' END) AS display_value
         FROM unnest(%(ids)s::uuid[], %(state_ids)s::uuid[], %(names)s::text[], %(schedule_ids)s::uuid[],
                     %(versions)s::timestamptz[], %(idempotency_keys)s::text[], %(times)s::timestamptz[])
              AS due (id, state_id, name, schedule_id, version, idempotency_key, time)
              JOIN deployment_schedule AS schedule
                ON schedule.id = due.schedule_id
               AND schedule.updated = due.version
               AND schedule.active
       ),
       run AS (
       INSERT INTO flow_run
              (id, name, flow_id, deployment_id, deployment_version, work_queue_name, work_queue_id, parameters,
               infrastructure_document_id, idempotency_key, tags, labels, auto_scheduled, created_by, empirical_policy,
               state_id, state_type, state_name, state_timestamp, expected_start_time, next_scheduled_start_time)
       SELECT due.id,
              due.name,
              deployment.flow_id,
              deployment.id,
              deployment.version,
              deployment.work_queue_name,
              deployment.work_queue_id,
              deployment.parameters || due.parameters,
              deployment.infrastructure_document_id,
              due.idempotency_key,
              '["auto-scheduled"]' || deployment.tags,
              COALESCE(NULLIF(deployment.labels, 'null'), '{}')
              || jsonb_build_object('prefect.flow.id', deployment.flow_id, 'prefect.deployment.id', deployment.id),
              true,
              jsonb_build_object('id', due.schedule_id, 'type', 'SCHEDULE', 'display_value', due.display_value),
              '{"retries": null, "resuming": false, "pause_keys": [], "retry_type": null, "max_retries": 0, "retry_delay": null,
                "retry_delay_seconds": 0.0}',
              due.state_id,
              'SCHEDULED',
              'Scheduled',
              now(),
              due.time,
              due.time
         FROM due
              JOIN deployment ON deployment.id = due.deployment_id
           ON CONFLICT DO NOTHING
       RETURNING id, state_id, expected_start_time
       ),
       state AS (
       INSERT INTO flow_run_state (id, flow_run_id, type, timestamp, name, message, state_details)
       SELECT run.state_id,
              run.id,
              'SCHEDULED',
              now(),
              'Scheduled',
              'Flow run scheduled',
              downbeat.complete_details(jsonb_build_object('scheduled_time', downbeat.rfc3339(run.expected_start_time)))
         FROM run
       )
SELECT run.id
  FROM run;

-- name: create_events :exec
-- Record the events that tell of flow runs that were just scheduled.
  WITH event AS (
       INSERT INTO events
              (id, occurred, event, resource_id, resource, related_resource_ids, related, payload, received, recorded)
       SELECT state.id,
              state.timestamp,
              'prefect.flow-run.Scheduled',
              'prefect.flow-run.' || run.id,
              jsonb_build_object(
                  'prefect.resource.id', 'prefect.flow-run.' || run.id,
                  'prefect.resource.name', run.name,
                  'prefect.run-count', run.run_count::text,
                  'prefect.state-message', state.message,
                  'prefect.state-name', state.name,
                  'prefect.state-timestamp', to_char(state.timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
                  'prefect.state-type', state.type),
              jsonb_path_query_array(related.resources, '$[*]."prefect.resource.id"'),
              related.resources,
              jsonb_build_object(
                  'intended', jsonb_build_object('from', NULL, 'to', state.type),
                  'initial_state', NULL,
                  'validated_state', jsonb_build_object('type', state.type, 'name', state.name, 'message', state.message)),
              now(),
              now()
         FROM flow_run AS run
              JOIN flow_run_state AS state ON state.id = run.state_id AND state.flow_run_id = run.id
              JOIN downbeat.flow_run_related AS related ON related.flow_run_id = run.id
        WHERE run.id = ANY (%(ids)s::uuid[])
       RETURNING id, occurred, resource, related
       )
INSERT INTO event_resources (occurred, resource_id, resource_role, resource, event_id)
SELECT event.occurred,
       involved.resource ->> 'prefect.resource.id',
       COALESCE(involved.resource ->> 'prefect.resource.role', ''),
       (involved.resource - '{prefect.resource.id,prefect.resource.role}'::text[])::json,
       event.id
  FROM event
 CROSS JOIN jsonb_array_elements(jsonb_build_array(event.resource) || event.related) AS involved (resource)
 WHERE octet_length(involved.resource ->> 'prefect.resource.id') <= 2600;
