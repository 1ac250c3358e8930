-- Conditions and orders of lists of flows.

-- table: flow
-- view: flow

-- column: id    uuid  any_ not_any_
-- column: name  text  any_ like_
-- column: tags  tags  all_ is_null_

-- predicate: deployment.is_null_
EXISTS (SELECT FROM deployment WHERE deployment.flow_id = flow.id) <> %(flows.deployment.is_null_)s::boolean

-- via: flow_runs ON flow_run.flow_id = flow.id
-- via: deployments ON deployment.flow_id = flow.id
-- via: task_runs THROUGH flow_runs
-- via: work_pools THROUGH deployments

-- sort: CREATED_DESC BY flow.created, flow.id
-- sort: UPDATED_DESC BY flow.updated, flow.id
-- sort: NAME_ASC NAME_DESC BY flow.name
