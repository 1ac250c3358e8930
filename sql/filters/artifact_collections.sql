-- Conditions and orders of lists of the newest versions of artifacts.

-- predicate: latest_id.any_
artifact_collection.latest_id = ANY (%(artifact_collections.latest_id.any_)s::uuid[])

-- predicate: key.any_
artifact_collection.key = ANY (%(artifact_collections.key.any_)s::text[])

-- predicate: key.like_
artifact_collection.key ILIKE '%' || %(artifact_collections.key.like_)s::text || '%'

-- predicate: key.exists_
(artifact_collection.key IS NOT NULL) = %(artifact_collections.key.exists_)s::boolean

-- predicate: flow_run_id.any_
artifact_collection.flow_run_id = ANY (%(artifact_collections.flow_run_id.any_)s::uuid[])

-- predicate: task_run_id.any_
artifact_collection.task_run_id = ANY (%(artifact_collections.task_run_id.any_)s::uuid[])

-- predicate: type.any_
artifact_collection.type = ANY (%(artifact_collections.type.any_)s::text[])

-- predicate: type.not_any_
artifact_collection.type <> ALL (%(artifact_collections.type.not_any_)s::text[])

-- via: flow_runs
EXISTS (SELECT FROM flow_run WHERE flow_run.id = artifact_collection.flow_run_id AND {filter})

-- through: flows
flow_runs

-- through: deployments
flow_runs

-- via: task_runs
EXISTS (SELECT FROM task_run WHERE task_run.id = artifact_collection.task_run_id AND {filter})

-- sort: CREATED_DESC
artifact_collection.created DESC, artifact_collection.id DESC

-- sort: UPDATED_DESC
artifact_collection.updated DESC, artifact_collection.id DESC

-- sort: ID_DESC
artifact_collection.id DESC

-- sort: KEY_DESC
artifact_collection.key DESC

-- sort: KEY_ASC
artifact_collection.key ASC
