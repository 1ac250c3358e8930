-- Conditions and orders of lists of flow runs.

-- table: flow_run
-- view: flow_run
-- rows: millions

-- column: id                         uuid         any_ not_any_
-- column: name                       text         any_ like_
-- column: tags                       sparse_tags  all_ any_ is_null_
-- column: deployment_id              uuid         any_ is_null_
-- column: work_queue_name            text         any_ is_null_
-- column: state.type                 state_type   any_ not_any_
-- column: state.name                 text         any_ not_any_
-- column: flow_version               text         any_
-- column: start_time                 timestamptz  before_ after_ IS COALESCE(flow_run.start_time, flow_run.expected_start_time)
-- column: start_time                 timestamptz  is_null_
-- column: end_time                   timestamptz  before_ after_ is_null_
-- column: expected_start_time        timestamptz  before_ after_
-- column: next_scheduled_start_time  timestamptz  before_ after_
-- column: parent_task_run_id         uuid         any_ is_null_
-- column: idempotency_key            text         any_ not_any_
-- column: created_by                 jsonb        is_null_

-- predicate: parent_flow_run_id.any_
EXISTS (SELECT
          FROM task_run
         WHERE task_run.id = flow_run.parent_task_run_id
           AND task_run.flow_run_id = ANY (%(flow_runs.parent_flow_run_id.any_)s::uuid[]))

-- predicate: created_by.id_
flow_run.created_by ->> 'id' = ANY (%(flow_runs.created_by.id_)s::text[])

-- predicate: created_by.type_
flow_run.created_by ->> 'type' = ANY (%(flow_runs.created_by.type_)s::text[])

-- via: flows ON flow.id = flow_run.flow_id
-- via: task_runs ON task_run.flow_run_id = flow_run.id
-- via: deployments ON deployment.id = flow_run.deployment_id
-- via: work_queues ON work_queue.id = flow_run.work_queue_id
-- via: work_pools THROUGH work_queues

-- sort: ID_DESC BY flow_run.id
-- sort: START_TIME_ASC START_TIME_DESC BY COALESCE(flow_run.start_time, flow_run.expected_start_time), flow_run.id
-- sort: EXPECTED_START_TIME_ASC EXPECTED_START_TIME_DESC BY flow_run.expected_start_time, flow_run.id
-- sort: NAME_ASC NAME_DESC BY flow_run.name, flow_run.id
-- sort: NEXT_SCHEDULED_START_TIME_ASC BY flow_run.next_scheduled_start_time, flow_run.id
-- sort: END_TIME_DESC BY flow_run.end_time, flow_run.id

-- left out: state.type state.name
