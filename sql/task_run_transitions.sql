-- Transitions of task runs: lock the run, read what the rules need, write the state with what follows from it, the cache.

-- name: lock :value
-- Make the transitions of one run wait for each other; after that of a flow run, where both are locked.
SELECT id
  FROM task_run
 WHERE id = %(id)s::uuid
   FOR NO KEY UPDATE;

-- name: read :one
-- What the rules read of a run, its state and its flow run, and of which limits of its tags it has no slot yet; behind the
-- lock, as for flow runs.
SELECT run.id,
       run.name,
       run.run_count,
       run.empirical_policy,
       run.flow_run_id,
       run.flow_run_run_count,
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
       flow_run.run_count AS current_flow_run_run_count,
       flow_run_state.type::text AS flow_run_state_type,
       flow_run_state.state_details AS flow_run_state_details,
       (SELECT array_agg(bound.name ORDER BY bound.name)
          FROM jsonb_array_elements_text(run.tags) AS tag (name)
               JOIN concurrency_limit_v2 AS bound ON bound.name = 'tag:' || tag.name
         WHERE bound.active
           AND NOT EXISTS (SELECT
                             FROM downbeat.concurrency_lease AS lease
                            WHERE lease.holder_id = run.id
                              AND lease.limit_id = bound.id
                              AND lease.expires > now())) AS limit_names,
       EXISTS (SELECT FROM downbeat.concurrency_lease AS lease WHERE lease.holder_id = run.id) AS holds_slots
  FROM task_run AS run
       LEFT JOIN task_run_state AS state ON state.id = run.state_id AND state.task_run_id = run.id
       LEFT JOIN artifact ON artifact.id = state.result_artifact_id
       LEFT JOIN flow_run ON flow_run.id = run.flow_run_id
       LEFT JOIN flow_run_state ON flow_run_state.id = flow_run.state_id AND flow_run_state.flow_run_id = flow_run.id
 WHERE run.id = %(id)s::uuid;

-- name: create :exec
-- Write a state and the columns of its run that follow from it; the reasons are those of flow_run_transitions.create. The
-- state of a subflow's task run is written without a look at it, so its time is moved behind that of the state before it.
  WITH given AS (
       SELECT COALESCE(%(timestamp)s::timestamptz, now()) AS timestamp,
              %(type)s::state_type AS type,
              %(type)s::state_type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') AS is_final,
              CASE WHEN %(type)s::state_type = 'SCHEDULED'
                   THEN COALESCE((%(state_details)s::jsonb ->> 'scheduled_time')::timestamptz, now())
               END AS scheduled_time
       ),
       run AS (
       UPDATE task_run
          SET state_id = %(id)s::uuid,
              state_type = given.type,
              state_name = %(name)s::text,
              state_timestamp = GREATEST(given.timestamp,
                                         CASE WHEN task_run.state_timestamp < given.timestamp + interval '1 day'
                                              THEN task_run.state_timestamp + interval '1 microsecond' END),
              run_count = COALESCE(%(run_count)s::int, task_run.run_count) + (given.type = 'RUNNING')::int,
              flow_run_run_count = COALESCE(%(flow_run_run_count)s::int, task_run.flow_run_run_count),
              start_time = CASE WHEN given.type = 'RUNNING' OR given.is_final
                                THEN COALESCE(task_run.start_time, given.timestamp)
                                ELSE task_run.start_time END,
              end_time = CASE WHEN given.is_final THEN COALESCE(task_run.end_time, given.timestamp)
                              WHEN task_run.state_type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') THEN NULL
                              ELSE task_run.end_time END,
              total_run_time = task_run.total_run_time
                             + CASE WHEN task_run.state_type = 'RUNNING'
                                    THEN GREATEST(given.timestamp - task_run.state_timestamp, '0')
                                    ELSE '0' END,
              expected_start_time = COALESCE(task_run.expected_start_time, given.scheduled_time, given.timestamp),
              next_scheduled_start_time = CASE WHEN given.type = 'SCHEDULED' THEN given.scheduled_time
                                               WHEN task_run.state_type = 'SCHEDULED' THEN NULL
                                               ELSE task_run.next_scheduled_start_time END,
              updated = GREATEST(now(), given.timestamp)
         FROM given
        WHERE task_run.id = %(task_run_id)s::uuid
       RETURNING task_run.id, task_run.flow_run_id, task_run.state_timestamp, task_run.next_scheduled_start_time
       ),
       artifact AS (
       INSERT INTO artifact (id, key, type, description, data, metadata_, task_run_id, flow_run_id)
       SELECT %(artifact_id)s::uuid, %(artifact_key)s::text, %(artifact_type)s::text, %(artifact_description)s::text,
              %(data)s::json, 'null', run.id, run.flow_run_id
         FROM run
        WHERE %(artifact_id)s::uuid IS NOT NULL
       )
INSERT INTO task_run_state (id, task_run_id, type, timestamp, name, message, state_details, result_artifact_id)
SELECT %(id)s::uuid,
       run.id,
       %(type)s::state_type,
       run.state_timestamp,
       %(name)s::text,
       %(message)s::text,
       %(state_details)s::jsonb
           || jsonb_build_object('task_run_id', run.id, 'flow_run_id', run.flow_run_id)
           || CASE WHEN %(type)s::state_type = 'SCHEDULED'
                   THEN jsonb_build_object('scheduled_time', downbeat.rfc3339(run.next_scheduled_start_time))
                   ELSE '{}' END,
       %(artifact_id)s::uuid
  FROM run;

-- name: read_cached :one
-- The newest completed state kept under a cache key that has not expired.
SELECT state.type::text AS type,
       state.message,
       state.state_details,
       COALESCE(artifact.data, state.data::json) AS data
  FROM task_run_state_cache AS cache
       JOIN task_run_state AS state ON state.id = cache.task_run_state_id
       LEFT JOIN artifact ON artifact.id = state.result_artifact_id
 WHERE cache.cache_key = %(cache_key)s::text
   AND (cache.cache_expiration IS NULL OR cache.cache_expiration > now())
 ORDER BY cache.created DESC
 LIMIT 1;

-- name: create_cached :exec
-- Keep a state under a cache key.
INSERT INTO task_run_state_cache (cache_key, cache_expiration, task_run_state_id)
VALUES (%(cache_key)s::text, %(cache_expiration)s::timestamptz, %(task_run_state_id)s::uuid);

-- name: create_run :exec
-- Insert a task run without a state; nothing if its flow run has one with its keys, or, outside of flow runs, if there is
-- one with its keys. Its labels are those of its flow run, under the system's and the client's.
INSERT INTO task_run
       (id, name, flow_run_id, task_key, dynamic_key, cache_key, cache_expiration, task_version, empirical_policy, tags,
        labels, task_inputs)
SELECT %(id)s::uuid,
       %(name)s::text,
       %(flow_run_id)s::uuid,
       %(task_key)s::text,
       %(dynamic_key)s::text,
       %(cache_key)s::text,
       %(cache_expiration)s::timestamptz,
       %(task_version)s::text,
       %(empirical_policy)s::jsonb,
       %(tags)s::jsonb,
       COALESCE((SELECT COALESCE(NULLIF(flow_run.labels, 'null'), '{}')
                        || jsonb_build_object('prefect.flow-run.id', flow_run.id)
                   FROM flow_run
                  WHERE flow_run.id = %(flow_run_id)s::uuid), '{}')
           || %(labels)s::jsonb,
       %(task_inputs)s::jsonb
 WHERE %(flow_run_id)s::uuid IS NOT NULL
    OR NOT EXISTS (SELECT
                     FROM task_run
                    WHERE task_run.flow_run_id IS NULL
                      AND task_run.task_key = %(task_key)s::text
                      AND task_run.dynamic_key = %(dynamic_key)s::text)
    ON CONFLICT (flow_run_id, task_key, dynamic_key) DO NOTHING;

-- name: lock_keys :exec
-- Make the creations of task runs with the same keys outside of flow runs wait for each other: no index keeps them unique.
SELECT pg_advisory_xact_lock(hashtextextended(%(task_key)s::text || ' ' || %(dynamic_key)s::text, 0));

-- name: read_run :json
-- The task run that was created, or the one that has its keys.
SELECT row_to_json(task_run)::text
  FROM downbeat.task_run
 WHERE task_run.id = COALESCE(
           (SELECT run.id
              FROM public.task_run AS run
             WHERE run.flow_run_id IS NOT DISTINCT FROM %(flow_run_id)s::uuid
               AND run.task_key = %(task_key)s::text
               AND run.dynamic_key = %(dynamic_key)s::text
             LIMIT 1),
           %(id)s::uuid);
