-- needs: deployment_schedule, concurrency_limit_v2
-- A deployment as the API shows it, its schedules newest first. Its limit is a row of its own; concurrency_limit stays null.
CREATE VIEW downbeat.deployment AS
SELECT deployment.id,
       downbeat.rfc3339(deployment.created) AS created,
       downbeat.rfc3339(deployment.updated) AS updated,
       deployment.name,
       deployment.version,
       deployment.description,
       deployment.flow_id,
       deployment.paused,
       (SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY schedule.updated DESC, schedule.id DESC), '[]')
          FROM public.deployment_schedule AS schedule
               JOIN downbeat.deployment_schedule AS shown ON shown.id = schedule.id
         WHERE schedule.deployment_id = deployment.id) AS schedules,
       NULL::integer AS concurrency_limit,
       (SELECT row_to_json(bound)
          FROM downbeat.concurrency_limit_v2 AS bound
         WHERE bound.id = deployment.concurrency_limit_id) AS global_concurrency_limit,
       '{"grace_period_seconds": null}' || NULLIF(deployment.concurrency_options, 'null') AS concurrency_options,
       deployment.infra_overrides AS job_variables,
       deployment.parameters,
       deployment.tags,
       COALESCE(NULLIF(deployment.labels, 'null'), '{}') AS labels,
       COALESCE(work_queue.name, deployment.work_queue_name) AS work_queue_name,
       deployment.work_queue_id,
       downbeat.rfc3339(deployment.last_polled) AS last_polled,
       NULLIF(deployment.parameter_openapi_schema, 'null') AS parameter_openapi_schema,
       deployment.path,
       NULLIF(deployment.pull_steps, 'null') AS pull_steps,
       deployment.entrypoint,
       deployment.storage_document_id,
       deployment.infrastructure_document_id,
       NULLIF(deployment.created_by, 'null') AS created_by,
       NULLIF(deployment.updated_by, 'null') AS updated_by,
       work_pool.name AS work_pool_name,
       deployment.status,
       deployment.enforce_parameter_schema
  FROM public.deployment
       LEFT JOIN public.work_queue ON work_queue.id = deployment.work_queue_id
       LEFT JOIN public.work_pool ON work_pool.id = work_queue.work_pool_id;
