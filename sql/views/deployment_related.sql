-- The resources that a deployment's events name beside the deployment itself, in the order and with the labels of Prefect's
-- events: its flow, work queue and pool, the blocks of its storage and infrastructure, its limit.
CREATE VIEW downbeat.deployment_related AS
SELECT deployment.id AS deployment_id,
       jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.flow.' || flow.id,
           'prefect.resource.name', flow.name,
           'prefect.resource.role', 'flow'))
       || CASE WHEN work_queue.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.work-queue.' || work_queue.id,
           'prefect.resource.name', work_queue.name,
           'prefect.resource.role', 'work-queue')) END
       || CASE WHEN work_pool.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.work-pool.' || work_pool.id,
           'prefect.resource.name', work_pool.name,
           'prefect.work-pool.type', work_pool.type,
           'prefect.resource.role', 'work-pool')) END
       || CASE WHEN deployment.storage_document_id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.block-document.' || deployment.storage_document_id,
           'prefect.resource.role', 'storage')) END
       || CASE WHEN deployment.infrastructure_document_id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.block-document.' || deployment.infrastructure_document_id,
           'prefect.resource.role', 'infrastructure')) END
       || CASE WHEN deployment.concurrency_limit_id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object(
           'prefect.resource.id', 'prefect.concurrency-limit.' || deployment.concurrency_limit_id,
           'prefect.resource.role', 'concurrency-limit')) END AS resources
  FROM public.deployment
       JOIN public.flow ON flow.id = deployment.flow_id
       LEFT JOIN public.work_queue ON work_queue.id = deployment.work_queue_id
       LEFT JOIN public.work_pool ON work_pool.id = work_queue.work_pool_id;
