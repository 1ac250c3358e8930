-- Our indexes on the tables in public; the unique ones are in sql/migrations and serve look-ups by their leading column
-- too.
--
-- Each is named with the statement or foreign key that needs it. An index that is Prefect's as well has Prefect's name
-- and definition; all others are called downbeat_…, which is how `handback` knows them. Each index on flow_run is paid
-- for at each change of state: the row of a life of three states costs 0.17 ms of CPU and 11 kB of WAL with these, 0.25 ms
-- and 16 kB with Prefect's, 0.11 ms and 5 kB if only orchestration and unfiltered lists had theirs (PostgreSQL 18.6); all of
-- such a life takes 3 ms of PostgreSQL. The dearest are those on the name: 0.03 ms and 3.8 kB for its parts, 0.02 ms and
-- 1.4 kB for its order. What has time first and no filter before it begins with the runs that are scheduled ahead. Tables that
-- hold some hundreds of rows (blocks, work pools, queues, workers, limits, variables) need none.

-- flow_run
-- Lists, newest expected first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__expected_start_time_desc ON flow_run (expected_start_time DESC);
-- Lists, newest start first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__coalesce_start_time_expected_start_time_desc
    ON flow_run (COALESCE(start_time, expected_start_time) DESC);
-- Runs of a flow, newest start first: the pages of flows and of a flow (0.1 ms instead of 14 to 24 for the last run of a flow
-- that has 1,500 of a million).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__flow_id_start_time_desc
    ON flow_run (flow_id, (COALESCE(start_time, expected_start_time)) DESC);
-- Runs of a deployment, newest start first, and how many are in states of some names, as its page asks.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__deployment_id_start_time_desc
    ON flow_run (deployment_id, (COALESCE(start_time, expected_start_time)) DESC) INCLUDE (state_name)
    WHERE deployment_id IS NOT NULL;
-- Runs of a work queue, newest start first; deleting one (fk_flow_run__work_queue_id__work_queue).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__work_queue_id_start_time_desc
    ON flow_run (work_queue_id, (COALESCE(start_time, expected_start_time)) DESC) WHERE work_queue_id IS NOT NULL;
-- Runs by the name of their state, newest start first, as the page of runs asks for them, and their numbers. All names: what
-- is scheduled ahead is newest, and so a walk over all runs begins with passing it over.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__state_name_start_time_desc
    ON flow_run (state_name, (COALESCE(start_time, expected_start_time)) DESC);
-- Runs by the type of their state, newest expected first: what is going on, due or to be cancelled, how many failed in a day
-- (2 ms instead of 7 for 2,000 of 20,000).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__state_type_expected_start_time_desc
    ON flow_run (state_type, expected_start_time DESC);
-- What is next: in all, of a deployment, which the page of deployments asks for each (0.1 ms instead of 118 for one that has a
-- tenth of a million runs), and of a flow (ui.find_next_runs). Only runs that are still scheduled are in them. Lists name the
-- state, hence not by its type.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__scheduled
    ON flow_run (expected_start_time) WHERE state_name = 'Scheduled';
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__scheduled_by_deployment_id
    ON flow_run (deployment_id, expected_start_time) WHERE deployment_id IS NOT NULL AND state_name = 'Scheduled';
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__flow_id_next_scheduled_start_time
    ON flow_run (flow_id, next_scheduled_start_time) WHERE next_scheduled_start_time IS NOT NULL;
-- Runs in the order of their names; runs of a name.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__name ON flow_run (name);
-- Runs by a part of their name, where there is pg_trgm.
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_flow_run_name ON flow_run USING gin (name gin_trgm_ops);
-- Runs by their tags, which most runs do without.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__tags ON flow_run USING gin (tags) WHERE tags <> '[]';
-- Scheduled runs that are due or late. Only they have this time, so the index needs no condition on the state.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__next_scheduled_start_time
    ON flow_run (next_scheduled_start_time) WHERE next_scheduled_start_time IS NOT NULL;
-- Subflows of a task run; deleting a task run (fk_flow_run__parent_task_run_id__task_run).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__parent_task_run_id
    ON flow_run (parent_task_run_id) WHERE parent_task_run_id IS NOT NULL;
-- Deleting a state, and so a run (fk_flow_run__state_id__flow_run_state). Because of it no update of a state is a HOT
-- one, which costs a fifth of the WAL; without it each deleted state reads the whole table, and BRIN helps only as far
-- as the table is summarised (13 ms against 0.05 ms for a run at 25,000 runs).
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__state_id ON flow_run (state_id);
-- The runs that a schedule has ahead (schedules.claim). Without it the planner takes another index until the table is analysed,
-- and with 9,000 runs that are ahead the scheduler's look at 3,000 schedules took 7 s.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__schedule_id_scheduler
    ON flow_run (deployment_id, ((created_by ->> 'id')), next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED' AND auto_scheduled = true;
-- Cancelled runs whose task runs may go on (loops.claim_cancelled_task_runs); other states write nothing to it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__cancelled
    ON flow_run (end_time) WHERE state_type = 'CANCELLED';
-- What a worker's poll reads (work_pools.poll): the due runs of a work queue in order, and how many hold its slots.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__work_queue_id_state_type_next_scheduled
    ON flow_run (work_queue_id, state_type, next_scheduled_start_time)
    WHERE work_queue_id IS NOT NULL AND state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'CANCELLING');
-- The due runs of each deployment in a work queue, where one has more than it has slots (work_pools.poll).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__work_queue_id_deployment_id_next_scheduled
    ON flow_run (work_queue_id, deployment_id, next_scheduled_start_time)
    WHERE work_queue_id IS NOT NULL AND state_type = 'SCHEDULED';
-- The due runs of a deployment (deployments.scheduled_runs).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__deployment_id_next_scheduled_start_time
    ON flow_run (deployment_id, next_scheduled_start_time)
    WHERE deployment_id IS NOT NULL AND state_type = 'SCHEDULED';
-- Deleting a block (fk_flow_run__infrastructure_document_id__block_document).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run__infrastructure_document_id
    ON flow_run (infrastructure_document_id) WHERE infrastructure_document_id IS NOT NULL;

-- flow_run_state, task_run_state
-- Deleting an artifact (fk_flow_run_state__result_artifact_id__artifact).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_flow_run_state__result_artifact_id
    ON flow_run_state (result_artifact_id) WHERE result_artifact_id IS NOT NULL;
-- Deleting an artifact (fk_task_run_state__result_artifact_id__artifact).
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_task_run_state__result_artifact_id
    ON task_run_state (result_artifact_id) WHERE result_artifact_id IS NOT NULL;

-- task_run; those of a flow run are found by uq_task_run__flow_run_id_task_key_dynamic_key. No index but a
-- BRIN is on what a change of state writes, and no foreign key demands one, so those updates are HOT.
-- Lists, newest expected first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__expected_start_time_desc ON task_run (expected_start_time DESC);
-- Counts of those that started lately (ui.count_task_runs, ui.count_task_run_outcomes): a day of 300,000 task runs in 1.5 ms
-- instead of 43 ms. It is a BRIN, of 24 kB, so that from PostgreSQL 16 on the update that sets the time stays a HOT one.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_task_run__start_time
    ON task_run USING brin (start_time) WITH (pages_per_range = 32, autosummarize = on);
-- Task runs by a part of their name, where there is pg_trgm. Names do not change, so each is written once.
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_task_run_name ON task_run USING gin (name gin_trgm_ops);
-- Task runs by their tags.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_task_run__tags ON task_run USING gin (tags) WHERE tags <> '[]';

-- task_run_state_cache
-- The newest state for a cache key.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run_state_cache__cache_key_created_desc
    ON task_run_state_cache (cache_key, created DESC);

-- log
-- Lines of a flow run in order.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__flow_run_id_timestamp ON log (flow_run_id, timestamp);
-- Lines of a task run in order.
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_log__task_run_id_timestamp
    ON log (task_run_id, timestamp) WHERE task_run_id IS NOT NULL;
-- Lines of all runs in order; a twentieth of the time that storing lines takes.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__timestamp ON log (timestamp);
-- Lines that were stored since a time (lists.list_new). To those who store lines its cost is too small to measure; a B-tree
-- costs a twentieth of their time and a tenth of their WAL. What came since autovacuum looked last is read through: 0.4 s for
-- a million lines. (It notes 256 ranges at most, which with ranges of 1 MB are some 10,000 lines a second.)
CREATE INDEX CONCURRENTLY IF NOT EXISTS downbeat_log__updated ON log USING brin (updated) WITH (autosummarize = on);

-- artifact
-- Artifacts of a flow run.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__flow_run_id ON artifact (flow_run_id);
-- Artifacts of a task run.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__task_run_id ON artifact (task_run_id);
-- Versions of an artifact, newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__key_created_desc
    ON artifact (key, created DESC) INCLUDE (id, updated, type, task_run_id, flow_run_id);

-- deployment, deployment_schedule
-- Deployments of a work queue; deleting one (fk_deployment__work_queue_id__work_queue).
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__work_queue_id ON deployment (work_queue_id);
-- Schedules of a deployment; deleting one (fk_deployment_schedule__deployment_id__deployment).
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_schedule__deployment_id ON deployment_schedule (deployment_id);

-- events, event_resources
-- Events in order, for lists and for readers that follow the table.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__occurred_id ON events (occurred, id);
-- Events that were stored since a time (lists.list_new). All of a batch have the same one, so the index is small.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__updated ON events (updated);
-- Events of a resource in order.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_event_resources__resource_id__occurred
    ON event_resources (resource_id, occurred);

-- automations
-- Windows that have closed.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_bucket__automation_id__end
    ON automation_bucket (automation_id, "end");
-- Events that wait for one that has come.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_ae_follower_scope_leader
    ON automation_event_follower (scope, leader_event_id);
-- Events that have waited too long.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_event_follower__received
    ON automation_event_follower (received);
-- Automations of a resource.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_related_resource__resource_id
    ON automation_related_resource (resource_id);
