-- Conditions and orders of lists of artifacts.

-- table: artifact
-- view: artifact

-- column: id           uuid  any_
-- column: key          text  any_ like_ exists_
-- column: flow_run_id  uuid  any_
-- column: task_run_id  uuid  any_
-- column: type         text  any_ not_any_

-- via: flow_runs ON flow_run.id = artifact.flow_run_id
-- via: task_runs ON task_run.id = artifact.task_run_id
-- via: flows THROUGH flow_runs
-- via: deployments THROUGH flow_runs

-- sort: CREATED_DESC BY artifact.created, artifact.id
-- sort: UPDATED_DESC BY artifact.updated, artifact.id
-- sort: ID_DESC BY artifact.id
-- sort: KEY_DESC KEY_ASC BY artifact.key, artifact.id
