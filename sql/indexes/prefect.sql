-- Every index of a Prefect 3.8.3 database but the unique ones, which are in sql/migrations: what `handback` puts back,
-- so that Prefect's later migrations find by name what they drop or change. Those with gin_trgm_ops need pg_trgm.

-- agent
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_agent__updated ON agent (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_agent__work_queue_id ON agent (work_queue_id);

-- artifact
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__flow_run_id ON artifact (flow_run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__key ON artifact (key);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__key_created_desc
    ON artifact (key, created DESC) INCLUDE (id, updated, type, task_run_id, flow_run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__task_run_id ON artifact (task_run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact__updated ON artifact (updated);

-- artifact_collection
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact_collection__key_latest_id ON artifact_collection (key, latest_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_artifact_collection__updated ON artifact_collection (updated);

-- automation
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation__updated ON automation (updated);

-- automation_bucket
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_bucket__automation_id__end
    ON automation_bucket (automation_id, "end");
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_bucket__updated ON automation_bucket (updated);

-- automation_event_follower
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_ae_follower_scope_leader
    ON automation_event_follower (scope, leader_event_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_event_follower__leader_event_id
    ON automation_event_follower (leader_event_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_event_follower__received ON automation_event_follower (received);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_event_follower__scope ON automation_event_follower (scope);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_event_follower__updated ON automation_event_follower (updated);

-- automation_related_resource
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_related_resource__resource_id
    ON automation_related_resource (resource_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_automation_related_resource__updated
    ON automation_related_resource (updated);

-- block_document
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_document__block_type_name__name
    ON block_document (block_type_name, name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_document__is_anonymous ON block_document (is_anonymous);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_document__name ON block_document (name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_document__updated ON block_document (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_block_document_name ON block_document USING gin (name gin_trgm_ops);

-- block_document_reference
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_document_reference__updated ON block_document_reference (updated);

-- block_schema
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_schema__block_type_id ON block_schema (block_type_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_schema__capabilities ON block_schema USING gin (capabilities);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_schema__created ON block_schema (created);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_schema__updated ON block_schema (updated);

-- block_schema_reference
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_schema_reference__updated ON block_schema_reference (updated);

-- block_type
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_block_type__updated ON block_type (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_block_type_name ON block_type USING gin (name gin_trgm_ops);

-- composite_trigger_child_firing
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_composite_trigger_child_firing__updated
    ON composite_trigger_child_firing (updated);

-- concurrency_limit
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_concurrency_limit__updated ON concurrency_limit (updated);

-- concurrency_limit_v2
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_concurrency_limit_v2__updated ON concurrency_limit_v2 (updated);

-- configuration
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_configuration__key ON configuration (key);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_configuration__updated ON configuration (updated);

-- csrf_token
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_csrf_token__updated ON csrf_token (updated);

-- deployment
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__created ON deployment (created);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__flow_id ON deployment (flow_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__paused ON deployment (paused);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__updated ON deployment (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__version_id ON deployment (version_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__work_queue_id ON deployment (work_queue_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment__work_queue_name ON deployment (work_queue_name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_deployment_name ON deployment USING gin (name gin_trgm_ops);

-- deployment_schedule
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_schedule__deployment_id ON deployment_schedule (deployment_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_schedule__slug ON deployment_schedule (slug);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_schedule__updated ON deployment_schedule (updated);

-- deployment_version
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_version__deployment_id ON deployment_version (deployment_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_version__updated ON deployment_version (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_version__work_queue_id ON deployment_version (work_queue_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_deployment_version__work_queue_name ON deployment_version (work_queue_name);

-- event_resources
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_event_resources__event_id ON event_resources (event_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_event_resources__occurred ON event_resources (occurred);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_event_resources__resource_id__occurred
    ON event_resources (resource_id, occurred);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_event_resources__updated ON event_resources (updated);

-- events
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__event__id ON events (event, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__event_occurred ON events (event, occurred);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__event_occurred_id ON events (event, occurred, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__event_resource_id_occurred ON events (event, resource_id, occurred);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__occurred ON events (occurred);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__occurred_id ON events (occurred, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__related_gin ON events USING gin (related);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__related_resource_ids_gin ON events USING gin (related_resource_ids);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_events__updated ON events (updated);

-- flow
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow__created ON flow (created);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow__updated ON flow (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_flow_name ON flow USING gin (name gin_trgm_ops);

-- flow_run
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__coalesce_start_time_expected_start_time_asc
    ON flow_run (COALESCE(start_time, expected_start_time));
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__coalesce_start_time_expected_start_time_desc
    ON flow_run (COALESCE(start_time, expected_start_time) DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__deployment_version ON flow_run (deployment_version);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__end_time_desc ON flow_run (end_time DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__expected_start_time_desc ON flow_run (expected_start_time DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__flow_id ON flow_run (flow_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__flow_version ON flow_run (flow_version);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__infrastructure_document_id
    ON flow_run (infrastructure_document_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__name ON flow_run (name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__next_scheduled_start_time_asc
    ON flow_run (next_scheduled_start_time);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__parent_task_run_id ON flow_run (parent_task_run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__schedule_id_scheduler
    ON flow_run (deployment_id, ((created_by ->> 'id')), next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED' AND auto_scheduled = true;
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__scheduler_deployment_id_auto_scheduled_next_schedu
    ON flow_run (deployment_id, auto_scheduled, next_scheduled_start_time) WHERE state_type = 'SCHEDULED';
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__start_time ON flow_run (start_time);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__state_id ON flow_run (state_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__state_name ON flow_run (state_name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__state_timestamp ON flow_run (state_timestamp);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__state_type ON flow_run (state_type);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__updated ON flow_run (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__work_queue_id ON flow_run (work_queue_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__work_queue_name ON flow_run (work_queue_name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_flow_run_name ON flow_run USING gin (name gin_trgm_ops);

-- flow_run_input
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run_input__updated ON flow_run_input (updated);

-- flow_run_state
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run_state__name ON flow_run_state (name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run_state__result_artifact_id ON flow_run_state (result_artifact_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run_state__type ON flow_run_state (type);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run_state__updated ON flow_run_state (updated);

-- log
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__flow_run_id ON log (flow_run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__flow_run_id_timestamp ON log (flow_run_id, timestamp);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__level ON log (level);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__task_run_id ON log (task_run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__timestamp ON log (timestamp);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_log__updated ON log (updated);

-- saved_search
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_saved_search__updated ON saved_search (updated);

-- task_run
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__end_time_desc ON task_run (end_time DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__expected_start_time_desc ON task_run (expected_start_time DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__flow_run_id ON task_run (flow_run_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__name ON task_run (name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__next_scheduled_start_time_asc
    ON task_run (next_scheduled_start_time);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__start_time ON task_run (start_time);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__state_id ON task_run (state_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__state_name ON task_run (state_name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__state_timestamp ON task_run (state_timestamp);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__state_type ON task_run (state_type);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__state_type_start_time ON task_run (state_type, start_time);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run__updated ON task_run (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_task_run_name ON task_run USING gin (name gin_trgm_ops);

-- task_run_state
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run_state__name ON task_run_state (name);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run_state__result_artifact_id ON task_run_state (result_artifact_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run_state__type ON task_run_state (type);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run_state__updated ON task_run_state (updated);

-- task_run_state_cache
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run_state_cache__cache_key_created_desc
    ON task_run_state_cache (cache_key, created DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_run_state_cache__updated ON task_run_state_cache (updated);

-- variable
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_variable__updated ON variable (updated);

-- work_pool
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_work_pool__type ON work_pool (type);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_work_pool__updated ON work_pool (updated);

-- work_queue
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_work_queue__updated ON work_queue (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_work_queue__work_pool_id ON work_queue (work_pool_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_work_queue__work_pool_id_priority ON work_queue (work_pool_id, priority);
CREATE INDEX CONCURRENTLY IF NOT EXISTS trgm_ix_work_queue_name ON work_queue USING gin (name gin_trgm_ops);

-- worker
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_worker__updated ON worker (updated);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_worker__work_pool_id ON worker (work_pool_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_worker__work_pool_id_last_heartbeat_time
    ON worker (work_pool_id, last_heartbeat_time);
