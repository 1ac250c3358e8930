-- The resources that a flow run's events name beside the run itself, in the order and with the labels of Prefect's events:
-- its flow, deployment, work queue and pool, the task run that stands for it in its parent, all their tags, its creator.
CREATE VIEW downbeat.flow_run_related AS
SELECT run.id AS flow_run_id,
       jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.flow.' || flow.id,
           'prefect.resource.role', 'flow',
           'prefect.resource.name', flow.name))
       || CASE WHEN deployment.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.deployment.' || deployment.id,
           'prefect.resource.role', 'deployment',
           'prefect.resource.name', deployment.name)) END
       || CASE WHEN work_queue.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.work-queue.' || work_queue.id,
           'prefect.resource.role', 'work-queue',
           'prefect.resource.name', work_queue.name)) END
       || CASE WHEN work_pool.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.work-pool.' || work_pool.id,
           'prefect.resource.role', 'work-pool',
           'prefect.resource.name', work_pool.name,
           'prefect.work-pool.type', work_pool.type)) END
       || CASE WHEN task_run.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.task-run.' || task_run.id,
           'prefect.resource.role', 'task-run',
           'prefect.resource.name', task_run.name)) END
       || COALESCE((
          SELECT jsonb_agg(jsonb_build_object(
                     'prefect.resource.id', 'prefect.tag.' || tag.name,
                     'prefect.resource.role', 'tag') ORDER BY tag.name COLLATE "C")
            FROM (SELECT DISTINCT jsonb_array_elements_text(
                             run.tags || flow.tags || COALESCE(deployment.tags, '[]') || COALESCE(task_run.tags, '[]')) AS name
                 ) AS tag), '[]')
       || CASE WHEN run.created_by ->> 'type' IN ('DEPLOYMENT', 'AUTOMATION') THEN jsonb_build_array(jsonb_strip_nulls(
          jsonb_build_object(
              'prefect.resource.id', 'prefect.' || lower(run.created_by ->> 'type') || '.' || (run.created_by ->> 'id'),
              'prefect.resource.role', 'creator',
              'prefect.resource.name', NULLIF(run.created_by ->> 'display_value', ''))))
          ELSE '[]' END AS resources
  FROM public.flow_run AS run
       JOIN public.flow ON flow.id = run.flow_id
       LEFT JOIN public.deployment ON deployment.id = run.deployment_id
       LEFT JOIN public.work_queue ON work_queue.id = run.work_queue_id
       LEFT JOIN public.work_pool ON work_pool.id = work_queue.work_pool_id
       LEFT JOIN public.task_run ON task_run.id = run.parent_task_run_id;
