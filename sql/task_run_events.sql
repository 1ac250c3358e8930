-- Task runs and their states, as clients tell of them in events.
--
-- Locks are taken in the order flow runs, task runs, each by id, as everywhere.

-- name: lock_flow_runs :many
-- Those of the flow runs that exist; none of them can be deleted before the transaction ends.
SELECT flow_run.id
  FROM flow_run
 WHERE flow_run.id = ANY (%(flow_run_ids)s::uuid[])
 ORDER BY flow_run.id
   FOR KEY SHARE;

-- name: find_known :many
-- The task runs that are known by another id than the one given, found by their natural key.
SELECT given.id AS given_id,
       task_run.id
  FROM unnest(%(ids)s::uuid[], %(flow_run_ids)s::uuid[], %(task_keys)s::text[], %(dynamic_keys)s::text[])
       AS given (id, flow_run_id, task_key, dynamic_key)
  JOIN task_run
    ON task_run.flow_run_id = given.flow_run_id
   AND task_run.task_key = given.task_key
   AND task_run.dynamic_key = given.dynamic_key
 WHERE task_run.id <> given.id;

-- name: upsert :exec
-- Write a list of task runs, each with the state it is in; one that is stored in this state or a later one stays as it is.
-- What a client leaves out or gives as null stays as it is stored, as far as the column may be null.
INSERT INTO task_run AS stored
       (id, flow_run_id, name, task_key, dynamic_key, cache_key, cache_expiration, task_version, empirical_policy, tags, labels,
        task_inputs, run_count, flow_run_run_count, expected_start_time, next_scheduled_start_time, start_time, end_time,
        total_run_time, state_id, state_type, state_name, state_timestamp)
SELECT given.id, given.flow_run_id, given.name, given.task_key, given.dynamic_key, given.cache_key, given.cache_expiration,
       given.task_version, given.empirical_policy, given.tags, given.labels, given.task_inputs, given.run_count,
       given.flow_run_run_count, given.expected_start_time, given.next_scheduled_start_time, given.start_time, given.end_time,
       make_interval(secs => given.total_run_time), given.state_id, given.state_type, given.state_name, given.state_timestamp
  FROM jsonb_to_recordset(%(task_runs)s::jsonb)
       AS given (id uuid, flow_run_id uuid, name text, task_key text, dynamic_key text, cache_key text,
                 cache_expiration timestamptz, task_version text, empirical_policy jsonb, tags jsonb, labels jsonb,
                 task_inputs jsonb, run_count integer, flow_run_run_count integer, expected_start_time timestamptz,
                 next_scheduled_start_time timestamptz, start_time timestamptz, end_time timestamptz,
                 total_run_time double precision, state_id uuid, state_type state_type, state_name text,
                 state_timestamp timestamptz)
 ORDER BY given.id
    ON CONFLICT (id) DO UPDATE
   SET updated = now(),
       flow_run_id = excluded.flow_run_id,
       name = excluded.name,
       task_key = excluded.task_key,
       dynamic_key = excluded.dynamic_key,
       cache_key = COALESCE(excluded.cache_key, stored.cache_key),
       cache_expiration = COALESCE(excluded.cache_expiration, stored.cache_expiration),
       task_version = COALESCE(excluded.task_version, stored.task_version),
       empirical_policy = excluded.empirical_policy,
       tags = excluded.tags,
       labels = COALESCE(excluded.labels, stored.labels),
       task_inputs = excluded.task_inputs,
       run_count = excluded.run_count,
       flow_run_run_count = excluded.flow_run_run_count,
       expected_start_time = COALESCE(excluded.expected_start_time, stored.expected_start_time),
       next_scheduled_start_time = COALESCE(excluded.next_scheduled_start_time, stored.next_scheduled_start_time),
       start_time = COALESCE(excluded.start_time, stored.start_time),
       end_time = COALESCE(excluded.end_time, stored.end_time),
       total_run_time = excluded.total_run_time,
       state_id = excluded.state_id,
       state_type = excluded.state_type,
       state_name = excluded.state_name,
       state_timestamp = excluded.state_timestamp
 WHERE stored.state_timestamp < excluded.state_timestamp
    OR stored.state_timestamp IS NULL;

-- name: create_states :exec
-- Insert a list of states of task runs; those that are stored already are left alone, and of two states of a run with the
-- same time the first one stands.
INSERT INTO task_run_state (id, task_run_id, "timestamp", type, name, message, data, state_details)
SELECT given.id, given.task_run_id, given."timestamp", given.type, given.name, given.message, given.data, given.state_details
  FROM jsonb_to_recordset(%(states)s::jsonb)
       AS given (id uuid, task_run_id uuid, "timestamp" timestamptz, type state_type, name text, message text, data jsonb,
                 state_details jsonb)
    ON CONFLICT DO NOTHING;
