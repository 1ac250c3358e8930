-- Flows, deployments, and what hands out their runs: limits, work pools, work queues, workers.

CREATE TABLE flow (
    id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name    varchar     NOT NULL,
    tags    jsonb       NOT NULL DEFAULT '[]',
    labels  jsonb,
    CONSTRAINT pk_flow PRIMARY KEY (id),
    CONSTRAINT uq_flow__name UNIQUE (name)
);

COMMENT ON TABLE flow IS 'Flows: named functions; one row per name.';
COMMENT ON COLUMN flow.name IS 'Unique name.';
COMMENT ON COLUMN flow.tags IS 'List of tags.';
COMMENT ON COLUMN flow.labels IS 'Object of labels that its flow runs take over.';

CREATE TABLE concurrency_limit (
    id                uuid        NOT NULL DEFAULT gen_random_uuid(),
    created           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    tag               varchar     NOT NULL,
    concurrency_limit integer     NOT NULL,
    active_slots      jsonb       NOT NULL DEFAULT '[]',
    CONSTRAINT pk_concurrency_limit PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_concurrency_limit__tag ON concurrency_limit (tag);

COMMENT ON TABLE concurrency_limit IS
    'Limits on how many task runs with a tag run at once, of the older kind; kept for databases that hold some.';
COMMENT ON COLUMN concurrency_limit.tag IS 'Tag that is limited; unique.';
COMMENT ON COLUMN concurrency_limit.concurrency_limit IS 'Number of slots; 0 stops all.';
COMMENT ON COLUMN concurrency_limit.active_slots IS 'List of the ids of the task runs that hold a slot.';

CREATE TABLE concurrency_limit_v2 (
    id                         uuid             NOT NULL DEFAULT gen_random_uuid(),
    created                    timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                    timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    active                     boolean          NOT NULL,
    name                       varchar          NOT NULL,
    "limit"                    integer          NOT NULL,
    active_slots               integer          NOT NULL,
    denied_slots               integer          NOT NULL,
    slot_decay_per_second      double precision NOT NULL,
    avg_slot_occupancy_seconds double precision NOT NULL,
    CONSTRAINT pk_concurrency_limit_v2 PRIMARY KEY (id),
    CONSTRAINT uq_concurrency_limit_v2__name UNIQUE (name)
);

COMMENT ON TABLE concurrency_limit_v2 IS 'Limits by name, for tags, deployments and whatever the client names.';
COMMENT ON COLUMN concurrency_limit_v2.active IS 'False while the limit is switched off and everything passes.';
COMMENT ON COLUMN concurrency_limit_v2.name IS 'Unique name.';
COMMENT ON COLUMN concurrency_limit_v2."limit" IS 'Number of slots.';
COMMENT ON COLUMN concurrency_limit_v2.active_slots IS 'Slots in use: the sum over the live leases on this limit.';
COMMENT ON COLUMN concurrency_limit_v2.denied_slots IS
    'Slots asked for and refused of late; decays, and steers how long clients are told to wait.';
COMMENT ON COLUMN concurrency_limit_v2.slot_decay_per_second IS
    'Slots that free themselves per second; above 0 makes the limit a rate limit.';
COMMENT ON COLUMN concurrency_limit_v2.avg_slot_occupancy_seconds IS
    'Running mean of how long a slot is held, in seconds.';

CREATE TABLE work_pool (
    id                          uuid             NOT NULL DEFAULT gen_random_uuid(),
    created                     timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                     timestamptz      NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name                        varchar          NOT NULL,
    description                 varchar,
    type                        varchar          NOT NULL,
    base_job_template           jsonb            NOT NULL DEFAULT '{}',
    is_paused                   boolean          NOT NULL DEFAULT false,
    concurrency_limit           integer,
    default_queue_id            uuid,
    status                      work_pool_status NOT NULL DEFAULT 'NOT_READY',
    last_transitioned_status_at timestamptz,
    last_status_event_id        uuid,
    storage_configuration       jsonb            NOT NULL DEFAULT '{}',
    CONSTRAINT pk_work_pool PRIMARY KEY (id),
    CONSTRAINT uq_work_pool__name UNIQUE (name)
);

COMMENT ON TABLE work_pool IS 'Work pools: where workers of one type find flow runs to start.';
COMMENT ON COLUMN work_pool.name IS 'Unique name.';
COMMENT ON COLUMN work_pool.description IS 'What it is for.';
COMMENT ON COLUMN work_pool.type IS 'Type of its workers, such as process or kubernetes.';
COMMENT ON COLUMN work_pool.base_job_template IS
    'Object with the job''s template and the JSON schema of its variables.';
COMMENT ON COLUMN work_pool.is_paused IS 'True while nothing is handed out.';
COMMENT ON COLUMN work_pool.concurrency_limit IS 'Most flow runs at once; null for no limit.';
COMMENT ON COLUMN work_pool.default_queue_id IS
    'Work queue of flow runs that name none; set right after the pool is made.';
COMMENT ON COLUMN work_pool.status IS 'PAUSED, or READY while some worker has been heard from lately, else NOT_READY.';
COMMENT ON COLUMN work_pool.last_transitioned_status_at IS 'When the status last changed.';
COMMENT ON COLUMN work_pool.last_status_event_id IS 'Event that told of the last change of status.';
COMMENT ON COLUMN work_pool.storage_configuration IS 'Object of where code bundles and results are stored.';

CREATE TABLE work_queue (
    id                uuid              NOT NULL DEFAULT gen_random_uuid(),
    created           timestamptz       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated           timestamptz       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name              varchar           NOT NULL,
    filter            jsonb,
    description       varchar           NOT NULL DEFAULT '',
    is_paused         boolean           NOT NULL DEFAULT false,
    concurrency_limit integer,
    last_polled       timestamptz,
    priority          integer           NOT NULL DEFAULT 1,
    work_pool_id      uuid              NOT NULL,
    status            work_queue_status NOT NULL DEFAULT 'NOT_READY',
    CONSTRAINT pk_work_queue PRIMARY KEY (id),
    CONSTRAINT uq_work_queue__work_pool_id_name UNIQUE (work_pool_id, name),
    CONSTRAINT fk_work_queue__work_pool_id__work_pool FOREIGN KEY (work_pool_id)
        REFERENCES work_pool(id) ON DELETE CASCADE
);

COMMENT ON TABLE work_queue IS 'Work queues: the lanes of a work pool.';
COMMENT ON COLUMN work_queue.name IS 'Name, unique within its work pool.';
COMMENT ON COLUMN work_queue.filter IS
    'Filter by which an older kind of queue chose its flow runs; null in all others.';
COMMENT ON COLUMN work_queue.description IS 'What it is for.';
COMMENT ON COLUMN work_queue.is_paused IS 'True while nothing is handed out.';
COMMENT ON COLUMN work_queue.concurrency_limit IS 'Most flow runs at once; null for no limit.';
COMMENT ON COLUMN work_queue.last_polled IS 'When a worker last asked for flow runs.';
COMMENT ON COLUMN work_queue.priority IS 'Lower is served first.';
COMMENT ON COLUMN work_queue.work_pool_id IS 'Work pool it belongs to.';
COMMENT ON COLUMN work_queue.status IS 'PAUSED, or READY while it has been polled lately, else NOT_READY.';

CREATE TABLE worker (
    id                         uuid          NOT NULL DEFAULT gen_random_uuid(),
    created                    timestamptz   NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                    timestamptz   NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name                       varchar       NOT NULL,
    last_heartbeat_time        timestamptz   NOT NULL DEFAULT CURRENT_TIMESTAMP,
    work_pool_id               uuid          NOT NULL,
    heartbeat_interval_seconds integer,
    status                     worker_status NOT NULL DEFAULT 'OFFLINE',
    CONSTRAINT pk_worker PRIMARY KEY (id),
    CONSTRAINT uq_worker__work_pool_id_name UNIQUE (work_pool_id, name),
    CONSTRAINT fk_worker__work_pool_id__work_pool FOREIGN KEY (work_pool_id)
        REFERENCES work_pool(id) ON DELETE CASCADE
);

COMMENT ON TABLE worker IS 'Workers: processes that take flow runs from a work pool and start them.';
COMMENT ON COLUMN worker.name IS 'Name, unique within its work pool.';
COMMENT ON COLUMN worker.last_heartbeat_time IS 'When the worker was last heard from.';
COMMENT ON COLUMN worker.work_pool_id IS 'Work pool that it serves.';
COMMENT ON COLUMN worker.heartbeat_interval_seconds IS 'Seconds between its heartbeats, as it said itself.';
COMMENT ON COLUMN worker.status IS 'ONLINE, or OFFLINE once several heartbeats were missed.';

CREATE TABLE agent (
    id                 uuid        NOT NULL DEFAULT gen_random_uuid(),
    created            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name               varchar     NOT NULL,
    last_activity_time timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    work_queue_id      uuid        NOT NULL,
    CONSTRAINT pk_agent PRIMARY KEY (id),
    CONSTRAINT uq_agent__name UNIQUE (name),
    CONSTRAINT fk_agent__work_queue_id__work_queue FOREIGN KEY (work_queue_id) REFERENCES work_queue(id)
);

COMMENT ON TABLE agent IS 'Agents: what there was before workers; kept for databases that hold some.';
COMMENT ON COLUMN agent.name IS 'Unique name.';
COMMENT ON COLUMN agent.last_activity_time IS 'When the agent was last heard from.';
COMMENT ON COLUMN agent.work_queue_id IS 'Work queue that it polls.';

CREATE TABLE deployment (
    id                         uuid              NOT NULL DEFAULT gen_random_uuid(),
    created                    timestamptz       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                    timestamptz       NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name                       varchar           NOT NULL,
    tags                       jsonb             NOT NULL DEFAULT '[]',
    parameters                 jsonb             NOT NULL DEFAULT '{}',
    flow_id                    uuid              NOT NULL,
    infrastructure_document_id uuid,
    description                text,
    parameter_openapi_schema   jsonb,
    storage_document_id        uuid,
    version                    varchar,
    infra_overrides            jsonb             NOT NULL DEFAULT '{}',
    path                       varchar,
    entrypoint                 varchar,
    work_queue_name            varchar,
    created_by                 jsonb,
    updated_by                 jsonb,
    work_queue_id              uuid,
    pull_steps                 jsonb,
    enforce_parameter_schema   boolean           NOT NULL DEFAULT false,
    last_polled                timestamptz,
    paused                     boolean           NOT NULL DEFAULT false,
    status                     deployment_status NOT NULL DEFAULT 'NOT_READY',
    concurrency_limit          integer,
    concurrency_options        jsonb,
    concurrency_limit_id       uuid,
    labels                     jsonb,
    version_id                 uuid,
    CONSTRAINT pk_deployment PRIMARY KEY (id),
    CONSTRAINT fk_deployment__concurrency_limit_id__concurrency_limit_v2 FOREIGN KEY (concurrency_limit_id)
        REFERENCES concurrency_limit_v2(id) ON DELETE SET NULL,
    CONSTRAINT fk_deployment__flow_id__flow FOREIGN KEY (flow_id) REFERENCES flow(id) ON DELETE CASCADE,
    CONSTRAINT fk_deployment__infrastructure_document_id__block_document FOREIGN KEY (infrastructure_document_id)
        REFERENCES block_document(id) ON DELETE CASCADE,
    CONSTRAINT fk_deployment__storage_document_id__block_document FOREIGN KEY (storage_document_id)
        REFERENCES block_document(id) ON DELETE CASCADE,
    CONSTRAINT fk_deployment__work_queue_id__work_queue FOREIGN KEY (work_queue_id)
        REFERENCES work_queue(id) ON DELETE SET NULL
);

CREATE UNIQUE INDEX uq_deployment__flow_id_name ON deployment (flow_id, name);

COMMENT ON TABLE deployment IS 'Deployments: a flow together with how, where and when to run it.';
COMMENT ON COLUMN deployment.name IS 'Name, unique within its flow.';
COMMENT ON COLUMN deployment.tags IS 'List of tags that its flow runs take over.';
COMMENT ON COLUMN deployment.parameters IS 'Object of default parameters of its flow runs.';
COMMENT ON COLUMN deployment.flow_id IS 'Flow that it runs.';
COMMENT ON COLUMN deployment.infrastructure_document_id IS
    'Block that says what to run on; of the older kind, before work pools.';
COMMENT ON COLUMN deployment.description IS 'What it is for, in Markdown.';
COMMENT ON COLUMN deployment.parameter_openapi_schema IS 'JSON schema of the flow''s parameters.';
COMMENT ON COLUMN deployment.storage_document_id IS
    'Block that says where the code is; of the older kind, before pull steps.';
COMMENT ON COLUMN deployment.version IS 'Version, as the client named it.';
COMMENT ON COLUMN deployment.infra_overrides IS
    'Object of job variables laid over the work pool''s template; called job_variables in the API.';
COMMENT ON COLUMN deployment.path IS 'Folder of the code.';
COMMENT ON COLUMN deployment.entrypoint IS 'Where the flow function is, as path:function or module.function.';
COMMENT ON COLUMN deployment.work_queue_name IS 'Name of the work queue that its flow runs go to.';
COMMENT ON COLUMN deployment.created_by IS 'Object naming who or what made it.';
COMMENT ON COLUMN deployment.updated_by IS 'Object naming who or what last changed it.';
COMMENT ON COLUMN deployment.work_queue_id IS
    'Work queue that its flow runs go to; null when a process serves the deployment itself.';
COMMENT ON COLUMN deployment.pull_steps IS 'List of steps by which a worker fetches the code.';
COMMENT ON COLUMN deployment.enforce_parameter_schema IS 'Whether parameters that break the schema are refused.';
COMMENT ON COLUMN deployment.last_polled IS 'When something last asked for its flow runs.';
COMMENT ON COLUMN deployment.paused IS 'True while its schedules make no flow runs.';
COMMENT ON COLUMN deployment.status IS 'READY while something has asked for its flow runs lately, else NOT_READY.';
COMMENT ON COLUMN deployment.concurrency_limit IS
    'Most flow runs at once, of the older kind; superseded by concurrency_limit_id.';
COMMENT ON COLUMN deployment.concurrency_options IS
    'Object saying what a flow run over the limit does: wait or be cancelled.';
COMMENT ON COLUMN deployment.concurrency_limit_id IS 'Limit that its flow runs take slots of.';
COMMENT ON COLUMN deployment.labels IS 'Object of labels that its flow runs take over.';
COMMENT ON COLUMN deployment.version_id IS 'The deployment version in force.';

CREATE TABLE deployment_schedule (
    id                 uuid        NOT NULL DEFAULT gen_random_uuid(),
    created            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated            timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    schedule           jsonb       NOT NULL,
    active             boolean     NOT NULL,
    deployment_id      uuid        NOT NULL,
    max_scheduled_runs integer,
    parameters         jsonb       NOT NULL DEFAULT '{}',
    slug               varchar,
    CONSTRAINT pk_deployment_schedule PRIMARY KEY (id),
    CONSTRAINT fk_deployment_schedule__deployment_id__deployment FOREIGN KEY (deployment_id)
        REFERENCES deployment(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX ix_deployment_schedule__deployment_id__slug ON deployment_schedule
    (deployment_id, slug) WHERE slug IS NOT NULL;

COMMENT ON TABLE deployment_schedule IS 'Schedules of a deployment.';
COMMENT ON COLUMN deployment_schedule.schedule IS
    'Object: an interval, a cron expression or an RRULE, with its time zone.';
COMMENT ON COLUMN deployment_schedule.active IS 'False while the schedule makes no flow runs.';
COMMENT ON COLUMN deployment_schedule.deployment_id IS 'Deployment that it schedules.';
COMMENT ON COLUMN deployment_schedule.max_scheduled_runs IS
    'Most flow runs to make in advance; null for the server''s setting.';
COMMENT ON COLUMN deployment_schedule.parameters IS 'Object of parameters laid over those of the deployment.';
COMMENT ON COLUMN deployment_schedule.slug IS
    'Name by which clients find it again; unique within the deployment where given.';

CREATE TABLE deployment_version (
    deployment_id            uuid        NOT NULL,
    branch                   varchar,
    version_info             jsonb       NOT NULL DEFAULT '{}',
    description              text,
    tags                     jsonb       NOT NULL DEFAULT '[]',
    labels                   jsonb,
    entrypoint               varchar,
    pull_steps               jsonb,
    parameters               jsonb       NOT NULL DEFAULT '{}',
    parameter_openapi_schema jsonb,
    enforce_parameter_schema boolean     NOT NULL DEFAULT false,
    work_queue_id            uuid,
    work_queue_name          varchar,
    infra_overrides          jsonb       NOT NULL DEFAULT '{}',
    id                       uuid        NOT NULL DEFAULT gen_random_uuid(),
    created                  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_deployment_version PRIMARY KEY (id),
    CONSTRAINT fk_deployment_version__deployment_id__deployment FOREIGN KEY (deployment_id)
        REFERENCES deployment(id) ON DELETE CASCADE,
    CONSTRAINT fk_deployment_version__work_queue_id__work_queue FOREIGN KEY (work_queue_id)
        REFERENCES work_queue(id) ON DELETE SET NULL
);

CREATE UNIQUE INDEX uq_deployment_version__deployment__branch ON deployment_version (deployment_id, branch);

COMMENT ON TABLE deployment_version IS 'Versions of a deployment that were kept.';
COMMENT ON COLUMN deployment_version.deployment_id IS 'Deployment that it is a version of.';
COMMENT ON COLUMN deployment_version.branch IS 'Branch of the code; one version is kept per branch.';
COMMENT ON COLUMN deployment_version.version_info IS
    'Object naming the version: type, version, and what else the client knows of it.';
COMMENT ON COLUMN deployment_version.description IS 'What it is for, in Markdown.';
COMMENT ON COLUMN deployment_version.tags IS 'List of tags that its flow runs take over.';
COMMENT ON COLUMN deployment_version.labels IS 'Object of labels that its flow runs take over.';
COMMENT ON COLUMN deployment_version.entrypoint IS 'Where the flow function is, as path:function or module.function.';
COMMENT ON COLUMN deployment_version.pull_steps IS 'List of steps by which a worker fetches the code.';
COMMENT ON COLUMN deployment_version.parameters IS 'Object of default parameters of its flow runs.';
COMMENT ON COLUMN deployment_version.parameter_openapi_schema IS 'JSON schema of the flow''s parameters.';
COMMENT ON COLUMN deployment_version.enforce_parameter_schema IS
    'Whether parameters that break the schema are refused.';
COMMENT ON COLUMN deployment_version.work_queue_id IS
    'Work queue that its flow runs go to; null when a process serves the deployment itself.';
COMMENT ON COLUMN deployment_version.work_queue_name IS 'Name of the work queue that its flow runs go to.';
COMMENT ON COLUMN deployment_version.infra_overrides IS
    'Object of job variables laid over the work pool''s template; called job_variables in the API.';

-- References that form circles, and so come last.
ALTER TABLE work_pool ADD CONSTRAINT fk_work_pool__default_queue_id__work_queue
    FOREIGN KEY (default_queue_id) REFERENCES work_queue(id) ON DELETE RESTRICT;
