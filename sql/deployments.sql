-- Deployments: how and with what a flow is run.
--
-- Whoever changes a deployment or its schedules locks the deployment first and its flow runs after it, as does who makes runs
-- from schedules. So no run is made for a schedule that is gone, or by the values that a deployment had. The pool of its work
-- queue is locked before the deployment, the queue itself behind it.

-- name: create :value
-- Insert a deployment from an object of its columns, or nothing if its flow has one of this name. Its labels are laid over
-- those of its flow.
INSERT INTO deployment
       (id, name, flow_id, version, description, paused, tags, parameters, parameter_openapi_schema, enforce_parameter_schema,
        infra_overrides, pull_steps, path, entrypoint, work_queue_name, work_queue_id, storage_document_id,
        infrastructure_document_id, concurrency_options, concurrency_limit_id, labels)
SELECT given.id,
       given.name,
       given.flow_id,
       given.version,
       given.description,
       given.paused,
       given.tags,
       given.parameters,
       COALESCE(given.parameter_openapi_schema, 'null'),
       given.enforce_parameter_schema,
       given.infra_overrides,
       COALESCE(given.pull_steps, 'null'),
       given.path,
       given.entrypoint,
       given.work_queue_name,
       given.work_queue_id,
       given.storage_document_id,
       given.infrastructure_document_id,
       given.concurrency_options,
       given.concurrency_limit_id,
       COALESCE((SELECT NULLIF(flow.labels, 'null') FROM flow WHERE flow.id = given.flow_id), '{}')
           || jsonb_build_object('prefect.flow.id', given.flow_id)
           || given.labels
  FROM jsonb_populate_record(NULL::deployment, %(deployment)s::jsonb) AS given
    ON CONFLICT (flow_id, name) DO NOTHING
RETURNING id;

-- name: read_by_name :json
-- One deployment by the name of its flow and its own.
SELECT row_to_json(shown)::text
  FROM flow
       JOIN deployment ON deployment.flow_id = flow.id
       JOIN downbeat.deployment AS shown ON shown.id = deployment.id
 WHERE flow.name = %(flow_name)s::text
   AND deployment.name = %(name)s::text;

-- name: lock :value
-- The id of a deployment, by id or by its flow and name, locked; the others are null.
SELECT id
  FROM deployment
 WHERE id = %(id)s::uuid
    OR (flow_id = %(flow_id)s::uuid AND name = %(name)s::text)
   FOR NO KEY UPDATE;

-- name: describe :one
-- What a change of a deployment is checked against and compared with: `told` has the fields whose change an event tells,
-- `given_to_runs` is all that the runs of its schedules got from it.
SELECT deployment.parameters,
       NULLIF(deployment.parameter_openapi_schema, 'null') AS parameter_openapi_schema,
       deployment.enforce_parameter_schema,
       bound."limit",
       (deployment.version, deployment.work_queue_name, deployment.work_queue_id, deployment.parameters, deployment.tags,
        deployment.labels, deployment.infrastructure_document_id)::text AS given_to_runs,
       jsonb_build_object(
           'description', deployment.description,
           'tags', deployment.tags,
           'parameters', deployment.parameters,
           'parameter_openapi_schema', deployment.parameter_openapi_schema,
           'enforce_parameter_schema', deployment.enforce_parameter_schema,
           'entrypoint', deployment.entrypoint,
           'path', deployment.path,
           'pull_steps', deployment.pull_steps,
           'work_queue_id', deployment.work_queue_id,
           'infra_overrides', deployment.infra_overrides,
           'paused', deployment.paused,
           'labels', deployment.labels,
           'version', deployment.version,
           'concurrency_limit_id', deployment.concurrency_limit_id,
           'concurrency_options', deployment.concurrency_options) AS told
  FROM deployment
       LEFT JOIN concurrency_limit_v2 AS bound ON bound.id = deployment.concurrency_limit_id
 WHERE deployment.id = %(id)s::uuid;

-- name: read_for_run :one
-- What a flow run gets from its deployment.
SELECT deployment.id,
       deployment.flow_id,
       deployment.version,
       deployment.parameters,
       NULLIF(deployment.parameter_openapi_schema, 'null') AS parameter_openapi_schema,
       deployment.enforce_parameter_schema,
       deployment.tags,
       deployment.infra_overrides AS job_variables,
       deployment.infrastructure_document_id,
       deployment.work_queue_name,
       deployment.work_queue_id,
       work_pool.id AS work_pool_id,
       work_pool.name AS work_pool_name,
       work_pool.base_job_template
  FROM deployment
       LEFT JOIN work_queue ON work_queue.id = deployment.work_queue_id
       LEFT JOIN work_pool ON work_pool.id = work_queue.work_pool_id
 WHERE deployment.id = %(id)s::uuid;

-- name: update :exec
-- Replace the columns of a deployment that are among the changes; its labels are laid over those of its flow.
UPDATE deployment
   SET (version, description, paused, tags, parameters, parameter_openapi_schema, enforce_parameter_schema, infra_overrides,
        pull_steps, path, entrypoint, work_queue_name, work_queue_id, storage_document_id, infrastructure_document_id,
        concurrency_options, concurrency_limit, concurrency_limit_id, labels, updated)
     = (SELECT given.version,
               given.description,
               given.paused,
               given.tags,
               given.parameters,
               COALESCE(given.parameter_openapi_schema, 'null'),
               given.enforce_parameter_schema,
               given.infra_overrides,
               COALESCE(given.pull_steps, 'null'),
               given.path,
               given.entrypoint,
               given.work_queue_name,
               given.work_queue_id,
               given.storage_document_id,
               given.infrastructure_document_id,
               given.concurrency_options,
               given.concurrency_limit,
               given.concurrency_limit_id,
               CASE WHEN requested.changes ? 'labels'
                    THEN COALESCE((SELECT NULLIF(flow.labels, 'null') FROM flow WHERE flow.id = deployment.flow_id), '{}')
                         || jsonb_build_object('prefect.flow.id', deployment.flow_id)
                         || (requested.changes -> 'labels')
                    ELSE deployment.labels END,
               now()
          FROM (SELECT %(changes)s::jsonb) AS requested (changes)
         CROSS JOIN LATERAL jsonb_populate_record(deployment, requested.changes) AS given)
 WHERE id = %(id)s::uuid;

-- name: lock_many :many
-- Lock deployments in the order of ids, and give what the events of their deletion tell.
SELECT deployment.id,
       deployment.name,
       related.resources AS related,
       now() AS occurred
  FROM deployment
       JOIN downbeat.deployment_related AS related ON related.deployment_id = deployment.id
 WHERE deployment.id = ANY (%(ids)s::uuid[])
 ORDER BY deployment.id
   FOR UPDATE OF deployment;

-- name: delete :exec
-- Delete deployments that are locked, with their schedules and limits.
  WITH gone AS (
       DELETE FROM deployment
        WHERE id = ANY (%(ids)s::uuid[])
       RETURNING concurrency_limit_id
       )
DELETE FROM concurrency_limit_v2
 USING gone
 WHERE concurrency_limit_v2.id = gone.concurrency_limit_id;

-- name: read_related :one
-- What the events of one deployment tell.
SELECT deployment.id,
       deployment.name,
       related.resources AS related,
       now() AS occurred
  FROM deployment
       JOIN downbeat.deployment_related AS related ON related.deployment_id = deployment.id
 WHERE deployment.id = %(id)s::uuid;

-- name: delete_scheduled_runs :exec
-- Delete the runs of deployments that are locked which wait for their first start: only those that schedules made with
-- `auto_scheduled`, only those that are not due yet with `future`, only those of some schedules unless these are null.
  WITH doomed AS (
       SELECT id
         FROM flow_run
        WHERE deployment_id = ANY (%(deployment_ids)s::uuid[])
          AND state_type = 'SCHEDULED'
          AND state_name <> 'AwaitingConcurrencySlot'
          AND run_count = 0
          AND (auto_scheduled OR NOT %(auto_scheduled)s::boolean)
          AND (next_scheduled_start_time > now() OR NOT %(future)s::boolean)
          AND (%(schedule_ids)s::text[] IS NULL OR created_by ->> 'id' = ANY (%(schedule_ids)s::text[]))
        ORDER BY id
          FOR UPDATE
       )
DELETE FROM flow_run
 USING doomed
 WHERE flow_run.id = doomed.id;

-- name: set_paused :exec
-- Pause a deployment or let it go on.
UPDATE deployment
   SET paused = %(paused)s::boolean,
       updated = now()
 WHERE id = %(id)s::uuid;

-- name: set_limit :exec
-- Give a deployment a limit of its own, change the limit that it has, or without a number take its limit away.
  WITH held AS (
       SELECT id, concurrency_limit_id
         FROM deployment
        WHERE id = %(id)s::uuid
       ),
       changed AS (
       UPDATE concurrency_limit_v2 AS bound
          SET "limit" = %(limit)s::integer,
              updated = now()
         FROM held
        WHERE bound.id = held.concurrency_limit_id
          AND bound."limit" <> %(limit)s::integer
       ),
       removed AS (
       DELETE FROM concurrency_limit_v2 AS bound
        USING held
        WHERE bound.id = held.concurrency_limit_id
          AND %(limit)s::integer IS NULL
       ),
       made AS (
       INSERT INTO concurrency_limit_v2
              (id, active, name, "limit", active_slots, denied_slots, slot_decay_per_second, avg_slot_occupancy_seconds)
       SELECT %(limit_id)s::uuid, true, 'deployment:' || held.id, %(limit)s::integer, 0, 0, 0, 2
         FROM held
        WHERE held.concurrency_limit_id IS NULL
          AND %(limit)s::integer IS NOT NULL
           ON CONFLICT (name) DO UPDATE
          SET "limit" = excluded."limit",
              updated = now()
       RETURNING id
       )
UPDATE deployment
   SET concurrency_limit = %(limit)s::integer,
       concurrency_limit_id = CASE WHEN %(limit)s::integer IS NOT NULL
                                   THEN COALESCE((SELECT made.id FROM made), held.concurrency_limit_id) END,
       updated = now()
  FROM held
 WHERE deployment.id = held.id;

-- name: has_limit :value
-- Whether there is a limit of an id.
SELECT true
  FROM concurrency_limit_v2
 WHERE id = %(id)s::uuid;

-- name: has_block :value
-- Whether there is a block of an id.
SELECT true
  FROM block_document
 WHERE id = %(id)s::uuid;

-- name: mark_ready :many
-- Note that deployments are polled, and give what the events of those tell that were not ready. It is no change of them.
  WITH polled AS (
       SELECT id, status
         FROM deployment
        WHERE id = ANY (%(ids)s::uuid[])
        ORDER BY id
          FOR NO KEY UPDATE
       ),
       marked AS (
       UPDATE deployment
          SET status = 'READY',
              last_polled = now()
         FROM polled
        WHERE deployment.id = polled.id
       )
SELECT deployment.id,
       deployment.name,
       related.resources AS related,
       now() AS occurred
  FROM polled
       JOIN deployment ON deployment.id = polled.id
       JOIN downbeat.deployment_related AS related ON related.deployment_id = polled.id
 WHERE polled.status = 'NOT_READY';

-- name: read_pool :one
-- The pool of a name.
SELECT id, base_job_template
  FROM work_pool
 WHERE name = %(name)s::text;

-- name: read_tags :value
-- The tags of a deployment.
SELECT tags
  FROM deployment
 WHERE id = %(id)s::uuid;

-- name: work_queue_check :json
-- The queues that can pick up a deployment: it has all the tags that the queue's filter names, and is among the filter's
-- deployments, or there are none; null and an empty list both mean none. A queue without a filter is not looked at.
SELECT COALESCE(json_agg(json_build_object(
           'id', queue.id,
           'created', queue.created,
           'updated', queue.updated,
           'name', queue.name,
           'description', queue.description,
           'is_paused', queue.is_paused,
           'concurrency_limit', queue.concurrency_limit,
           'priority', queue.priority,
           'work_pool_id', queue.work_pool_id,
           'filter', queue.filter,
           'last_polled', queue.last_polled) ORDER BY queue.id), '[]')::text
  FROM downbeat.work_queue AS queue
 WHERE (queue.filter -> 'tags' IN ('null', '[]') OR %(tags)s::jsonb @> (queue.filter -> 'tags'))
   AND (queue.filter -> 'deployment_ids' IN ('null', '[]') OR queue.filter -> 'deployment_ids' ? %(id)s::text);
