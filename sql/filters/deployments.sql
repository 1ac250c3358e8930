-- Conditions and orders of lists of deployments.

-- table: deployment
-- view: deployment

-- column: id               uuid     any_ not_any_
-- column: name             text     any_ like_
-- column: paused           boolean  eq_
-- column: tags             tags     all_ any_ is_null_
-- column: work_queue_name  text     any_

-- predicate: flow_or_deployment_name.like_
deployment.name ILIKE '%' || %(deployments.flow_or_deployment_name.like_)s::text || '%'
OR EXISTS (SELECT
             FROM flow
            WHERE flow.id = deployment.flow_id
              AND flow.name ILIKE '%' || %(deployments.flow_or_deployment_name.like_)s::text || '%')

-- predicate: concurrency_limit.ge_
-- The three of concurrency_limit are accepted and left out, as in Prefect: limits are rows of their own by now.
TRUE

-- predicate: concurrency_limit.le_
TRUE

-- predicate: concurrency_limit.is_null_
TRUE

-- via: flows ON flow.id = deployment.flow_id
-- via: flow_runs ON flow_run.deployment_id = deployment.id
-- via: work_queues ON work_queue.id = deployment.work_queue_id
-- via: task_runs THROUGH flow_runs
-- via: work_pools THROUGH work_queues

-- sort: CREATED_DESC BY deployment.created, deployment.id
-- sort: UPDATED_DESC BY deployment.updated, deployment.id
-- sort: NAME_ASC NAME_DESC BY deployment.name, deployment.id

-- left out: concurrency_limit
