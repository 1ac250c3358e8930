-- Conditions and orders of lists of deployments.

-- predicate: id.any_
deployment.id = ANY (%(deployments.id.any_)s::uuid[])

-- predicate: id.not_any_
deployment.id <> ALL (%(deployments.id.not_any_)s::uuid[])

-- predicate: name.any_
deployment.name = ANY (%(deployments.name.any_)s::text[])

-- predicate: name.like_
deployment.name ILIKE '%' || %(deployments.name.like_)s::text || '%'

-- predicate: flow_or_deployment_name.like_
deployment.name ILIKE '%' || %(deployments.flow_or_deployment_name.like_)s::text || '%'
OR EXISTS (SELECT
             FROM flow
            WHERE flow.id = deployment.flow_id
              AND flow.name ILIKE '%' || %(deployments.flow_or_deployment_name.like_)s::text || '%')

-- predicate: paused.eq_
deployment.paused = %(deployments.paused.eq_)s::boolean

-- predicate: tags.all_
deployment.tags ?& %(deployments.tags.all_)s::text[]

-- predicate: tags.any_
deployment.tags ?| %(deployments.tags.any_)s::text[]

-- predicate: tags.is_null_
(deployment.tags = '[]') = %(deployments.tags.is_null_)s::boolean

-- predicate: work_queue_name.any_
deployment.work_queue_name = ANY (%(deployments.work_queue_name.any_)s::text[])

-- predicate: concurrency_limit.ge_
-- The three of concurrency_limit are accepted and left out, as in Prefect: limits are rows of their own by now.
TRUE

-- predicate: concurrency_limit.le_
TRUE

-- predicate: concurrency_limit.is_null_
TRUE

-- via: flows
EXISTS (SELECT FROM flow WHERE flow.id = deployment.flow_id AND {filter})

-- via: flow_runs
EXISTS (SELECT FROM flow_run WHERE flow_run.deployment_id = deployment.id AND {filter})

-- through: task_runs
flow_runs

-- via: work_queues
EXISTS (SELECT FROM work_queue WHERE work_queue.id = deployment.work_queue_id AND {filter})

-- through: work_pools
work_queues

-- sort: CREATED_DESC
deployment.created DESC, deployment.id DESC

-- sort: UPDATED_DESC
deployment.updated DESC, deployment.id DESC

-- sort: NAME_ASC
deployment.name ASC, deployment.id ASC

-- sort: NAME_DESC
deployment.name DESC, deployment.id DESC
