-- Conditions and orders of lists of the newest versions of artifacts.

-- table: artifact_collection
-- view: artifact_collection

-- column: latest_id    uuid  any_
-- column: key          text  any_ like_ exists_
-- column: flow_run_id  uuid  any_
-- column: task_run_id  uuid  any_
-- column: type         text  any_ not_any_

-- via: flow_runs ON flow_run.id = artifact_collection.flow_run_id
-- via: task_runs ON task_run.id = artifact_collection.task_run_id
-- via: flows THROUGH flow_runs
-- via: deployments THROUGH flow_runs

-- sort: CREATED_DESC BY artifact_collection.created, artifact_collection.id
-- sort: UPDATED_DESC BY artifact_collection.updated, artifact_collection.id
-- sort: ID_DESC BY artifact_collection.id
-- sort: KEY_DESC KEY_ASC BY artifact_collection.key
