-- Conditions and orders of lists of artifacts.

-- predicate: id.any_
artifact.id = ANY (%(artifacts.id.any_)s::uuid[])

-- predicate: key.any_
artifact.key = ANY (%(artifacts.key.any_)s::text[])

-- predicate: key.like_
artifact.key ILIKE '%' || %(artifacts.key.like_)s::text || '%'

-- predicate: key.exists_
(artifact.key IS NOT NULL) = %(artifacts.key.exists_)s::boolean

-- predicate: flow_run_id.any_
artifact.flow_run_id = ANY (%(artifacts.flow_run_id.any_)s::uuid[])

-- predicate: task_run_id.any_
artifact.task_run_id = ANY (%(artifacts.task_run_id.any_)s::uuid[])

-- predicate: type.any_
artifact.type = ANY (%(artifacts.type.any_)s::text[])

-- predicate: type.not_any_
artifact.type <> ALL (%(artifacts.type.not_any_)s::text[])

-- via: flow_runs
EXISTS (SELECT FROM flow_run WHERE flow_run.id = artifact.flow_run_id AND {filter})

-- through: flows
flow_runs

-- through: deployments
flow_runs

-- via: task_runs
EXISTS (SELECT FROM task_run WHERE task_run.id = artifact.task_run_id AND {filter})

-- sort: CREATED_DESC
artifact.created DESC, artifact.id DESC

-- sort: UPDATED_DESC
artifact.updated DESC, artifact.id DESC

-- sort: ID_DESC
artifact.id DESC

-- sort: KEY_DESC
artifact.key DESC, artifact.id DESC

-- sort: KEY_ASC
artifact.key ASC, artifact.id ASC
