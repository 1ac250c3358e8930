-- Conditions and orders of lists of flows.

-- predicate: id.any_
flow.id = ANY (%(flows.id.any_)s::uuid[])

-- predicate: id.not_any_
flow.id <> ALL (%(flows.id.not_any_)s::uuid[])

-- predicate: deployment.is_null_
EXISTS (SELECT FROM deployment WHERE deployment.flow_id = flow.id) <> %(flows.deployment.is_null_)s::boolean

-- predicate: name.any_
flow.name = ANY (%(flows.name.any_)s::text[])

-- predicate: name.like_
flow.name ILIKE '%' || %(flows.name.like_)s::text || '%'

-- predicate: tags.all_
flow.tags ?& %(flows.tags.all_)s::text[]

-- predicate: tags.is_null_
(flow.tags = '[]') = %(flows.tags.is_null_)s::boolean

-- via: flow_runs
EXISTS (SELECT FROM flow_run WHERE flow_run.flow_id = flow.id AND {filter})

-- through: task_runs
flow_runs

-- via: deployments
EXISTS (SELECT FROM deployment WHERE deployment.flow_id = flow.id AND {filter})

-- through: work_pools
deployments

-- sort: CREATED_DESC
flow.created DESC, flow.id DESC

-- sort: UPDATED_DESC
flow.updated DESC, flow.id DESC

-- sort: NAME_ASC
flow.name ASC

-- sort: NAME_DESC
flow.name DESC
