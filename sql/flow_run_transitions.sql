-- Transitions of flow runs: lock the run, read what the rules need, write the state with all that follows from it.

-- name: lock :value
-- Make the transitions of one run wait for each other, but not for the task runs that are being recorded in it: those hold
-- FOR KEY SHARE, which goes together with this lock and not with FOR UPDATE. Locks are taken in this order: flow runs by id,
-- then task runs by id, then limits and leases (slots.sql).
SELECT id
  FROM flow_run
 WHERE id = %(id)s::uuid
   FOR NO KEY UPDATE;

-- name: read :one
-- What the rules read of a run and its state. A statement of its own behind the lock, for a statement that has waited for
-- the lock does not see the state that the transaction before it wrote. `now` is later than that state whatever clocks do, unless
-- that is a day ahead, which no clock is. It tells whether there are slots to take or to give back, so that runs without limits
-- need no statement more.
SELECT run.id,
       run.name,
       run.run_count,
       run.empirical_policy,
       run.deployment_id,
       run.parent_task_run_id,
       run.infrastructure_pid,
       GREATEST(clock_timestamp(),
                CASE WHEN state.timestamp < clock_timestamp() + interval '1 day'
                     THEN state.timestamp + interval '1 microsecond' END) AS now,
       state.id AS state_id,
       state.type::text AS state_type,
       state.name AS state_name,
       state.timestamp AS state_timestamp,
       state.message AS state_message,
       state.state_details,
       COALESCE(artifact.data, state.data::json) AS state_data,
       EXISTS (SELECT FROM deployment WHERE deployment.id = run.deployment_id) AS has_deployment,
       bound.limit_name,
       bound."limit",
       bound.free_slots,
       bound.collision_strategy,
       bound.grace_period_seconds,
       (SELECT lease.id::text
          FROM downbeat.concurrency_lease AS lease
         WHERE lease.holder_id = run.id
           AND lease.limit_id = bound.limit_id
           AND lease.expires > now()
         LIMIT 1) AS deployment_lease_id,
       (SELECT array_agg(lease.id::text)
          FROM downbeat.concurrency_lease AS lease
         WHERE lease.holder_id = run.id) AS lease_ids,
       EXISTS (SELECT
                 FROM downbeat.concurrency_lease AS lease
                WHERE lease.holder_id IN (run.id, run.parent_task_run_id)) AS holds_slots
  FROM flow_run AS run
       LEFT JOIN flow_run_state AS state ON state.id = run.state_id AND state.flow_run_id = run.id
       LEFT JOIN artifact ON artifact.id = state.result_artifact_id
       LEFT JOIN downbeat.deployment_limit AS bound ON bound.deployment_id = run.deployment_id
 WHERE run.id = %(id)s::uuid;

-- name: create :exec
-- Write a state, the columns of its run that follow from it, and the event that tells of it. Nothing happens if the run is
-- not there. Without a timestamp (a run that is just being created) it is the transaction's time, and that is also when a
-- SCHEDULED state without a time is due.
  WITH given AS (
       SELECT COALESCE(%(timestamp)s::timestamptz, now()) AS timestamp,
              %(type)s::state_type AS type,
              %(type)s::state_type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') AS is_final,
              CASE WHEN %(type)s::state_type = 'SCHEDULED'
                   THEN COALESCE((%(state_details)s::jsonb ->> 'scheduled_time')::timestamptz, now())
               END AS scheduled_time
       ),
       run AS (
       UPDATE flow_run
          SET state_id = %(id)s::uuid,
              state_type = given.type,
              state_name = %(name)s::text,
              state_timestamp = given.timestamp,
              run_count = COALESCE(%(run_count)s::int, flow_run.run_count),
              empirical_policy = COALESCE(%(empirical_policy)s::jsonb, flow_run.empirical_policy),
              -- The first start; a run that ends without one started when it ended.
              start_time = CASE WHEN given.type = 'RUNNING' OR given.is_final
                                THEN COALESCE(flow_run.start_time, given.timestamp)
                                ELSE flow_run.start_time END,
              -- The end, until the run is started again.
              end_time = CASE WHEN given.is_final THEN COALESCE(flow_run.end_time, given.timestamp)
                              WHEN flow_run.state_type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') THEN NULL
                              ELSE flow_run.end_time END,
              -- All the time spent in RUNNING.
              total_run_time = flow_run.total_run_time
                             + CASE WHEN flow_run.state_type = 'RUNNING' THEN given.timestamp - flow_run.state_timestamp
                                    ELSE '0' END,
              -- When it was first meant to start.
              expected_start_time = COALESCE(flow_run.expected_start_time, given.scheduled_time, given.timestamp),
              -- When it is due, while it is SCHEDULED.
              next_scheduled_start_time = CASE WHEN given.type = 'SCHEDULED' THEN given.scheduled_time
                                               WHEN flow_run.state_type = 'SCHEDULED' THEN NULL
                                               ELSE flow_run.next_scheduled_start_time END,
              updated = GREATEST(now(), given.timestamp)
         FROM given
        WHERE flow_run.id = %(flow_run_id)s::uuid
       RETURNING flow_run.id, flow_run.state_timestamp, flow_run.next_scheduled_start_time
       ),
       artifact AS (
       INSERT INTO artifact (id, key, type, description, data, metadata_, flow_run_id)
       SELECT %(artifact_id)s::uuid, %(artifact_key)s::text, %(artifact_type)s::text, %(artifact_description)s::text,
              %(data)s::json, 'null', run.id
         FROM run
        WHERE %(artifact_id)s::uuid IS NOT NULL
       ),
       state AS (
       INSERT INTO flow_run_state (id, flow_run_id, type, timestamp, name, message, state_details, result_artifact_id)
       SELECT %(id)s::uuid,
              run.id,
              %(type)s::state_type,
              run.state_timestamp,
              %(name)s::text,
              %(message)s::text,
              CASE WHEN %(type)s::state_type = 'SCHEDULED'
                   THEN jsonb_set(%(state_details)s::jsonb, '{scheduled_time}',
                                  to_jsonb(downbeat.rfc3339(run.next_scheduled_start_time)))
                   ELSE %(state_details)s::jsonb END,
              %(artifact_id)s::uuid
         FROM run
       ),
       event AS (
       INSERT INTO events
              (id, occurred, event, resource_id, resource, related_resource_ids, related, payload, received, recorded, follows)
       SELECT %(id)s::uuid,
              run.state_timestamp,
              'prefect.flow-run.' || %(name)s::text,
              'prefect.flow-run.' || run.id,
              %(resource)s::jsonb || jsonb_build_object(
                  'prefect.state-timestamp',
                  to_char(run.state_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')),
              jsonb_path_query_array(related.resources, '$[*]."prefect.resource.id"'),
              related.resources,
              %(payload)s::jsonb,
              now(),
              now(),
              %(follows)s::uuid
         FROM run
              JOIN downbeat.flow_run_related AS related ON related.flow_run_id = run.id
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

-- name: create_run :exec
-- Insert a flow run without a state; nothing if the flow has a run with its idempotency key. Its labels are those of its
-- deployment, or else of its flow, under the system's and the client's.
INSERT INTO flow_run
       (id, name, flow_id, flow_version, deployment_id, deployment_version, parameters, context, parent_task_run_id,
        infrastructure_document_id, empirical_policy, tags, labels, idempotency_key, work_queue_name, work_queue_id,
        job_variables, created_by)
SELECT %(id)s::uuid,
       %(name)s::text,
       %(flow_id)s::uuid,
       %(flow_version)s::text,
       %(deployment_id)s::uuid,
       %(deployment_version)s::text,
       %(parameters)s::jsonb,
       %(context)s::jsonb,
       %(parent_task_run_id)s::uuid,
       %(infrastructure_document_id)s::uuid,
       %(empirical_policy)s::jsonb,
       %(tags)s::jsonb,
       COALESCE((SELECT COALESCE(NULLIF(deployment.labels, 'null'), '{}')
                        || jsonb_build_object('prefect.flow.id', deployment.flow_id, 'prefect.deployment.id', deployment.id)
                   FROM deployment
                  WHERE deployment.id = %(deployment_id)s::uuid),
                (SELECT COALESCE(NULLIF(flow.labels, 'null'), '{}') FROM flow WHERE flow.id = %(flow_id)s::uuid)
                || jsonb_build_object('prefect.flow.id', %(flow_id)s::uuid))
           || %(labels)s::jsonb,
       %(idempotency_key)s::text,
       %(work_queue_name)s::text,
       %(work_queue_id)s::uuid,
       %(job_variables)s::jsonb,
       %(created_by)s::jsonb
    ON CONFLICT DO NOTHING;

-- name: read_run :json
-- The run that was created, or the one that has its idempotency key.
SELECT row_to_json(flow_run)::text
  FROM downbeat.flow_run
 WHERE flow_run.id = COALESCE(
           (SELECT run.id
              FROM public.flow_run AS run
             WHERE run.flow_id = %(flow_id)s::uuid
               AND run.idempotency_key = %(idempotency_key)s::text),
           %(id)s::uuid);

-- name: read_work_queue :value
-- The id of a pool's queue by its name, or of the pool's default queue without one.
SELECT work_queue.id
  FROM work_pool
       JOIN work_queue ON work_queue.work_pool_id = work_pool.id
 WHERE work_pool.name = %(work_pool_name)s::text
   AND CASE WHEN %(work_queue_name)s::text IS NULL THEN work_queue.id = work_pool.default_queue_id
            ELSE work_queue.name = %(work_queue_name)s::text END;
