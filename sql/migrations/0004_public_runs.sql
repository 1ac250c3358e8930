-- Runs, their states, inputs and logs, and the artifacts that they leave behind.

CREATE TABLE artifact (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    created     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    key         varchar,
    type        varchar,
    data        json,
    metadata_   json,
    task_run_id uuid,
    flow_run_id uuid,
    description varchar,
    CONSTRAINT pk_artifact PRIMARY KEY (id)
);

COMMENT ON TABLE artifact IS 'Artifacts: results and reports that runs leave behind; every version of them.';
COMMENT ON COLUMN artifact.key IS 'Name that versions of one artifact share; null for results.';
COMMENT ON COLUMN artifact.type IS 'What data holds, such as markdown, table or result.';
COMMENT ON COLUMN artifact.data IS 'The content.';
COMMENT ON COLUMN artifact.metadata_ IS 'Object of strings that describe it; called metadata in the API.';
COMMENT ON COLUMN artifact.task_run_id IS 'Task run that made it.';
COMMENT ON COLUMN artifact.flow_run_id IS 'Flow run that made it.';
COMMENT ON COLUMN artifact.description IS 'What it is, in Markdown.';

CREATE TABLE artifact_collection (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    created     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    key         varchar     NOT NULL,
    latest_id   uuid        NOT NULL,
    task_run_id uuid,
    flow_run_id uuid,
    type        varchar,
    data        json,
    description varchar,
    metadata_   json,
    CONSTRAINT pk_artifact_collection PRIMARY KEY (id),
    CONSTRAINT uq_artifact_collection__key UNIQUE (key)
);

COMMENT ON TABLE artifact_collection IS 'The newest version of each artifact that has a key.';
COMMENT ON COLUMN artifact_collection.key IS 'Name of the artifact; unique.';
COMMENT ON COLUMN artifact_collection.latest_id IS 'The newest version.';
COMMENT ON COLUMN artifact_collection.task_run_id IS 'Task run that made it.';
COMMENT ON COLUMN artifact_collection.flow_run_id IS 'Flow run that made it.';
COMMENT ON COLUMN artifact_collection.type IS 'What data holds, such as markdown or table.';
COMMENT ON COLUMN artifact_collection.data IS 'The content.';
COMMENT ON COLUMN artifact_collection.description IS 'What it is, in Markdown.';
COMMENT ON COLUMN artifact_collection.metadata_ IS 'Object of strings that describe it; called metadata in the API.';

CREATE TABLE flow_run (
    id                         uuid        NOT NULL DEFAULT gen_random_uuid(),
    created                    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name                       varchar     NOT NULL,
    state_type                 state_type,
    run_count                  integer     NOT NULL DEFAULT 0,
    expected_start_time        timestamptz,
    next_scheduled_start_time  timestamptz,
    start_time                 timestamptz,
    end_time                   timestamptz,
    total_run_time             interval    NOT NULL DEFAULT '00:00:00',
    flow_version               varchar,
    parameters                 jsonb       NOT NULL DEFAULT '{}',
    idempotency_key            varchar,
    context                    jsonb       NOT NULL DEFAULT '{}',
    empirical_policy           jsonb       NOT NULL DEFAULT '{}',
    tags                       jsonb       NOT NULL DEFAULT '[]',
    auto_scheduled             boolean     NOT NULL DEFAULT false,
    flow_id                    uuid        NOT NULL,
    deployment_id              uuid,
    parent_task_run_id         uuid,
    state_id                   uuid,
    state_name                 varchar,
    infrastructure_document_id uuid,
    work_queue_name            varchar,
    state_timestamp            timestamptz,
    created_by                 jsonb,
    infrastructure_pid         varchar,
    work_queue_id              uuid,
    job_variables              jsonb       DEFAULT '{}',
    deployment_version         varchar,
    labels                     jsonb,
    CONSTRAINT pk_flow_run PRIMARY KEY (id),
    CONSTRAINT fk_flow_run__flow_id__flow FOREIGN KEY (flow_id) REFERENCES flow(id) ON DELETE CASCADE,
    CONSTRAINT fk_flow_run__infrastructure_document_id__block_document FOREIGN KEY (infrastructure_document_id)
        REFERENCES block_document(id) ON DELETE CASCADE,
    CONSTRAINT fk_flow_run__work_queue_id__work_queue FOREIGN KEY (work_queue_id)
        REFERENCES work_queue(id) ON DELETE SET NULL
);

CREATE UNIQUE INDEX uq_flow_run__flow_id_idempotency_key ON flow_run (flow_id, idempotency_key);

COMMENT ON TABLE flow_run IS 'Flow runs: one call of a flow each, planned, going on or over.';
COMMENT ON COLUMN flow_run.name IS 'Name for people; the server makes one up when the client gives none.';
COMMENT ON COLUMN flow_run.state_type IS
    'Type of the current state; a copy of the state row''s type, written in the same transaction.';
COMMENT ON COLUMN flow_run.run_count IS 'How often the run has entered RUNNING, retries included.';
COMMENT ON COLUMN flow_run.expected_start_time IS 'When the run is or was first due; set once, from the first state.';
COMMENT ON COLUMN flow_run.next_scheduled_start_time IS
    'When the run is due while its state is SCHEDULED; null in every other state.';
COMMENT ON COLUMN flow_run.start_time IS 'When the run first entered RUNNING; a retry does not change it.';
COMMENT ON COLUMN flow_run.end_time IS 'When the run entered a terminal state; null again once it leaves it.';
COMMENT ON COLUMN flow_run.total_run_time IS
    'Time spent in RUNNING over all finished stretches; the present stretch is not in it.';
COMMENT ON COLUMN flow_run.flow_version IS 'Version of the flow, as the client named it.';
COMMENT ON COLUMN flow_run.parameters IS 'Object of the parameters of the call.';
COMMENT ON COLUMN flow_run.idempotency_key IS 'Repeating a creation with the same key and flow finds this run.';
COMMENT ON COLUMN flow_run.context IS 'Object of further context that the client keeps with the run.';
COMMENT ON COLUMN flow_run.empirical_policy IS
    'Retries, delays in seconds, pause keys and resuming, as an object; read by the rules of orchestration.';
COMMENT ON COLUMN flow_run.tags IS 'List of tags.';
COMMENT ON COLUMN flow_run.auto_scheduled IS 'True for runs that a schedule made.';
COMMENT ON COLUMN flow_run.flow_id IS 'Flow that is run.';
COMMENT ON COLUMN flow_run.deployment_id IS
    'Deployment that the run was made from; it may be gone, for nothing references it.';
COMMENT ON COLUMN flow_run.parent_task_run_id IS
    'Task run that stands for this run in the flow run that called it; null unless a subflow.';
COMMENT ON COLUMN flow_run.state_id IS 'The current state.';
COMMENT ON COLUMN flow_run.state_name IS
    'Name of the current state, such as Late or AwaitingRetry; a copy, as state_type is.';
COMMENT ON COLUMN flow_run.infrastructure_document_id IS
    'Block that says what to run on; of the older kind, before work pools.';
COMMENT ON COLUMN flow_run.work_queue_name IS 'Name of the work queue that the run waits in.';
COMMENT ON COLUMN flow_run.state_timestamp IS 'When the run entered its current state; a copy, as state_type is.';
COMMENT ON COLUMN flow_run.created_by IS 'Object naming who or what made the run; for a schedule its id.';
COMMENT ON COLUMN flow_run.infrastructure_pid IS
    'What the worker needs to find the process or container again, to cancel it.';
COMMENT ON COLUMN flow_run.work_queue_id IS 'Work queue that the run waits in.';
COMMENT ON COLUMN flow_run.job_variables IS 'Object of job variables laid over those of the deployment.';
COMMENT ON COLUMN flow_run.deployment_version IS 'Version that the deployment had when the run was made.';
COMMENT ON COLUMN flow_run.labels IS 'Object of labels, merged from those of its parents and those the client sets.';

CREATE TABLE flow_run_state (
    id                 uuid        NOT NULL DEFAULT gen_random_uuid(),
    created            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    type               state_type  NOT NULL,
    "timestamp"        timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name               varchar     NOT NULL,
    message            varchar,
    state_details      jsonb       NOT NULL DEFAULT '{}',
    data               jsonb,
    flow_run_id        uuid        NOT NULL,
    result_artifact_id uuid,
    CONSTRAINT pk_flow_run_state PRIMARY KEY (id),
    CONSTRAINT fk_flow_run_state__flow_run_id__flow_run FOREIGN KEY (flow_run_id)
        REFERENCES flow_run(id) ON DELETE CASCADE,
    CONSTRAINT fk_flow_run_state__result_artifact_id__artifact FOREIGN KEY (result_artifact_id)
        REFERENCES artifact(id) ON DELETE SET NULL
);

CREATE UNIQUE INDEX uq_flow_run_state__flow_run_id_timestamp_desc ON flow_run_state (flow_run_id, timestamp DESC);

COMMENT ON TABLE flow_run_state IS 'States that flow runs went through; written once and never changed.';
COMMENT ON COLUMN flow_run_state.type IS 'What the state means to orchestration.';
COMMENT ON COLUMN flow_run_state."timestamp" IS 'When the run entered the state; two states of a run never share one.';
COMMENT ON COLUMN flow_run_state.name IS
    'Name of the state; by default that of its type, and finer where it helps (Late, AwaitingRetry).';
COMMENT ON COLUMN flow_run_state.message IS 'Why the run is in this state, for people.';
COMMENT ON COLUMN flow_run_state.state_details IS
    'Object that travels with the state: ids of the run, scheduled time, pause and retry settings, transition id.';
COMMENT ON COLUMN flow_run_state.data IS 'The result or a reference to it, as the client wrote it.';
COMMENT ON COLUMN flow_run_state.flow_run_id IS 'Flow run whose state it is.';
COMMENT ON COLUMN flow_run_state.result_artifact_id IS 'Artifact that holds the result, where there is one.';

CREATE TABLE flow_run_input (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    created     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    key         varchar     NOT NULL,
    value       text        NOT NULL,
    flow_run_id uuid        NOT NULL,
    sender      varchar,
    CONSTRAINT pk_flow_run_input PRIMARY KEY (id),
    CONSTRAINT uq_flow_run_input__flow_run_id_key UNIQUE (flow_run_id, key),
    CONSTRAINT fk_flow_run_input__flow_run_id__flow_run FOREIGN KEY (flow_run_id)
        REFERENCES flow_run(id) ON DELETE CASCADE
);

COMMENT ON TABLE flow_run_input IS 'Values sent to a flow run while it runs or is paused.';
COMMENT ON COLUMN flow_run_input.key IS 'Name of the value, unique within the run.';
COMMENT ON COLUMN flow_run_input.value IS 'The value, JSON as text.';
COMMENT ON COLUMN flow_run_input.flow_run_id IS 'Flow run that it is sent to.';
COMMENT ON COLUMN flow_run_input.sender IS 'Who sent it, such as flow-run.ID.';

CREATE TABLE task_run (
    id                        uuid        NOT NULL DEFAULT gen_random_uuid(),
    created                   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name                      varchar     NOT NULL,
    state_type                state_type,
    run_count                 integer     NOT NULL DEFAULT 0,
    expected_start_time       timestamptz,
    next_scheduled_start_time timestamptz,
    start_time                timestamptz,
    end_time                  timestamptz,
    total_run_time            interval    NOT NULL DEFAULT '00:00:00',
    task_key                  varchar     NOT NULL,
    dynamic_key               varchar     NOT NULL,
    cache_key                 varchar,
    cache_expiration          timestamptz,
    task_version              varchar,
    empirical_policy          jsonb       NOT NULL DEFAULT '{}',
    task_inputs               jsonb       NOT NULL DEFAULT '{}',
    tags                      jsonb       NOT NULL DEFAULT '[]',
    flow_run_id               uuid,
    state_id                  uuid,
    state_name                varchar,
    state_timestamp           timestamptz,
    flow_run_run_count        integer     NOT NULL DEFAULT 0,
    labels                    jsonb,
    CONSTRAINT pk_task_run PRIMARY KEY (id),
    CONSTRAINT fk_task_run__flow_run_id__flow_run FOREIGN KEY (flow_run_id)
        REFERENCES flow_run(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_task_run__flow_run_id_task_key_dynamic_key ON task_run (flow_run_id, task_key, dynamic_key);

COMMENT ON TABLE task_run IS 'Task runs: one call of a task each, mostly reported by clients as events.';
COMMENT ON COLUMN task_run.name IS 'Name for people; the server makes one up when the client gives none.';
COMMENT ON COLUMN task_run.state_type IS
    'Type of the current state; a copy of the state row''s type, written in the same transaction.';
COMMENT ON COLUMN task_run.run_count IS 'How often the run has entered RUNNING, retries included.';
COMMENT ON COLUMN task_run.expected_start_time IS 'When the run is or was first due; set once, from the first state.';
COMMENT ON COLUMN task_run.next_scheduled_start_time IS
    'When the run is due while its state is SCHEDULED; null in every other state.';
COMMENT ON COLUMN task_run.start_time IS 'When the run first entered RUNNING; a retry does not change it.';
COMMENT ON COLUMN task_run.end_time IS 'When the run entered a terminal state; null again once it leaves it.';
COMMENT ON COLUMN task_run.total_run_time IS
    'Time spent in RUNNING over all finished stretches; the present stretch is not in it.';
COMMENT ON COLUMN task_run.task_key IS 'Name of the task together with a digest of its source.';
COMMENT ON COLUMN task_run.dynamic_key IS 'Tells the calls of one task in one flow run apart.';
COMMENT ON COLUMN task_run.cache_key IS 'Key under which the result may be used again.';
COMMENT ON COLUMN task_run.cache_expiration IS 'When the result under the key stops being usable; null for never.';
COMMENT ON COLUMN task_run.task_version IS 'Version of the task, as the client named it.';
COMMENT ON COLUMN task_run.empirical_policy IS
    'Retries, delays in seconds, pause keys and resuming, as an object; read by the rules of orchestration.';
COMMENT ON COLUMN task_run.task_inputs IS 'Object from parameter to the list of runs and values that it came from.';
COMMENT ON COLUMN task_run.tags IS 'List of tags.';
COMMENT ON COLUMN task_run.flow_run_id IS 'Flow run in which the task was called; null for a task called on its own.';
COMMENT ON COLUMN task_run.state_id IS 'The current state.';
COMMENT ON COLUMN task_run.state_name IS
    'Name of the current state, such as Late or AwaitingRetry; a copy, as state_type is.';
COMMENT ON COLUMN task_run.state_timestamp IS 'When the run entered its current state; a copy, as state_type is.';
COMMENT ON COLUMN task_run.flow_run_run_count IS
    'The flow run''s run_count when the task ran, telling its retries apart.';
COMMENT ON COLUMN task_run.labels IS 'Object of labels, merged from those of its parents and those the client sets.';

CREATE TABLE task_run_state (
    id                 uuid        NOT NULL DEFAULT gen_random_uuid(),
    created            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    type               state_type  NOT NULL,
    "timestamp"        timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name               varchar     NOT NULL,
    message            varchar,
    state_details      jsonb       NOT NULL DEFAULT '{}',
    data               jsonb,
    task_run_id        uuid        NOT NULL,
    result_artifact_id uuid,
    CONSTRAINT pk_task_run_state PRIMARY KEY (id),
    CONSTRAINT fk_task_run_state__result_artifact_id__artifact FOREIGN KEY (result_artifact_id)
        REFERENCES artifact(id) ON DELETE SET NULL,
    CONSTRAINT fk_task_run_state__task_run_id__task_run FOREIGN KEY (task_run_id)
        REFERENCES task_run(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_task_run_state__task_run_id_timestamp_desc ON task_run_state (task_run_id, timestamp DESC);

COMMENT ON TABLE task_run_state IS 'States that task runs went through; written once and never changed.';
COMMENT ON COLUMN task_run_state.type IS 'What the state means to orchestration.';
COMMENT ON COLUMN task_run_state."timestamp" IS 'When the run entered the state; two states of a run never share one.';
COMMENT ON COLUMN task_run_state.name IS
    'Name of the state; by default that of its type, and finer where it helps (Late, AwaitingRetry).';
COMMENT ON COLUMN task_run_state.message IS 'Why the run is in this state, for people.';
COMMENT ON COLUMN task_run_state.state_details IS
    'Object that travels with the state: ids of the run, scheduled time, pause and retry settings, transition id.';
COMMENT ON COLUMN task_run_state.data IS 'The result or a reference to it, as the client wrote it.';
COMMENT ON COLUMN task_run_state.task_run_id IS 'Task run whose state it is.';
COMMENT ON COLUMN task_run_state.result_artifact_id IS 'Artifact that holds the result, where there is one.';

CREATE TABLE task_run_state_cache (
    id                uuid        NOT NULL DEFAULT gen_random_uuid(),
    created           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    cache_key         varchar     NOT NULL,
    cache_expiration  timestamptz,
    task_run_state_id uuid        NOT NULL,
    CONSTRAINT pk_task_run_state_cache PRIMARY KEY (id)
);

COMMENT ON TABLE task_run_state_cache IS
    'Finished states of task runs that other task runs with the same cache key take over.';
COMMENT ON COLUMN task_run_state_cache.cache_key IS 'Key of the computation.';
COMMENT ON COLUMN task_run_state_cache.cache_expiration IS 'When it stops being usable; null for never.';
COMMENT ON COLUMN task_run_state_cache.task_run_state_id IS 'The COMPLETED state.';

CREATE TABLE log (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    created     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name        varchar     NOT NULL,
    level       smallint    NOT NULL,
    flow_run_id uuid,
    task_run_id uuid,
    message     text        NOT NULL,
    "timestamp" timestamptz NOT NULL,
    CONSTRAINT pk_log PRIMARY KEY (id)
);

COMMENT ON TABLE log IS 'Log lines that clients send; ids of runs are not checked, for a line may come before its run.';
COMMENT ON COLUMN log.name IS 'Name of the logger.';
COMMENT ON COLUMN log.level IS 'Level as in Python: 10 debug, 20 info, 30 warning, 40 error, 50 critical.';
COMMENT ON COLUMN log.flow_run_id IS 'Flow run that wrote it.';
COMMENT ON COLUMN log.task_run_id IS 'Task run that wrote it.';
COMMENT ON COLUMN log.message IS 'The line.';
COMMENT ON COLUMN log."timestamp" IS 'When it was written, by the client''s clock.';

-- References that form circles, and so come last.
ALTER TABLE flow_run ADD CONSTRAINT fk_flow_run__parent_task_run_id__task_run
    FOREIGN KEY (parent_task_run_id) REFERENCES task_run(id) ON DELETE SET NULL;
ALTER TABLE flow_run ADD CONSTRAINT fk_flow_run__state_id__flow_run_state
    FOREIGN KEY (state_id) REFERENCES flow_run_state(id) ON DELETE SET NULL;
