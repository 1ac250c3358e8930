-- Conditions and orders of lists of task runs.

-- table: task_run
-- view: task_run
-- rows: millions

-- column: id                   uuid         any_
-- column: name                 text         any_ like_
-- column: tags                 sparse_tags  all_ is_null_
-- column: state.type           state_type   any_
-- column: state.name           text         any_
-- column: start_time           timestamptz  before_ after_ is_null_
-- column: end_time             timestamptz  before_ after_ is_null_
-- column: expected_start_time  timestamptz  before_ after_
-- column: flow_run_id          uuid         any_ is_null_

-- predicate: subflow_runs.exists_
EXISTS (SELECT FROM flow_run WHERE flow_run.parent_task_run_id = task_run.id) = %(task_runs.subflow_runs.exists_)s::boolean

-- via: flow_runs ON flow_run.id = task_run.flow_run_id
-- via: flows THROUGH flow_runs
-- via: deployments THROUGH flow_runs
-- via: work_queues THROUGH flow_runs
-- via: work_pools THROUGH flow_runs

-- sort: ID_DESC BY task_run.id
-- sort: EXPECTED_START_TIME_ASC EXPECTED_START_TIME_DESC BY task_run.expected_start_time, task_run.id
-- sort: NAME_ASC NAME_DESC BY task_run.name, task_run.id
-- sort: NEXT_SCHEDULED_START_TIME_ASC BY task_run.next_scheduled_start_time, task_run.id
-- sort: END_TIME_DESC BY task_run.end_time, task_run.id

-- left out: state.type state.name
