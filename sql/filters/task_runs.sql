-- Conditions and orders of lists of task runs.

-- predicate: id.any_
task_run.id = ANY (%(task_runs.id.any_)s::uuid[])

-- predicate: name.any_
task_run.name = ANY (%(task_runs.name.any_)s::text[])

-- predicate: name.like_
task_run.name ILIKE '%' || %(task_runs.name.like_)s::text || '%'

-- predicate: tags.all_
task_run.tags <> '[]' AND task_run.tags ?& %(task_runs.tags.all_)s::text[]

-- predicate: tags.is_null_
(task_run.tags = '[]') = %(task_runs.tags.is_null_)s::boolean

-- predicate: state.type.any_
task_run.state_type = ANY (%(task_runs.state.type.any_)s::state_type[])

-- predicate: state.name.any_
task_run.state_name = ANY (%(task_runs.state.name.any_)s::text[])

-- predicate: start_time.before_
task_run.start_time <= %(task_runs.start_time.before_)s::timestamptz

-- predicate: start_time.after_
task_run.start_time >= %(task_runs.start_time.after_)s::timestamptz

-- predicate: start_time.is_null_
(task_run.start_time IS NULL) = %(task_runs.start_time.is_null_)s::boolean

-- predicate: end_time.before_
task_run.end_time <= %(task_runs.end_time.before_)s::timestamptz

-- predicate: end_time.after_
task_run.end_time >= %(task_runs.end_time.after_)s::timestamptz

-- predicate: end_time.is_null_
(task_run.end_time IS NULL) = %(task_runs.end_time.is_null_)s::boolean

-- predicate: expected_start_time.before_
task_run.expected_start_time <= %(task_runs.expected_start_time.before_)s::timestamptz

-- predicate: expected_start_time.after_
task_run.expected_start_time >= %(task_runs.expected_start_time.after_)s::timestamptz

-- predicate: subflow_runs.exists_
EXISTS (SELECT FROM flow_run WHERE flow_run.parent_task_run_id = task_run.id) = %(task_runs.subflow_runs.exists_)s::boolean

-- predicate: flow_run_id.any_
task_run.flow_run_id = ANY (%(task_runs.flow_run_id.any_)s::uuid[])

-- predicate: flow_run_id.is_null_
(task_run.flow_run_id IS NULL) = %(task_runs.flow_run_id.is_null_)s::boolean

-- via: flow_runs
EXISTS (SELECT FROM flow_run WHERE flow_run.id = task_run.flow_run_id AND {filter})

-- through: flows
flow_runs

-- through: deployments
flow_runs

-- through: work_queues
flow_runs

-- through: work_pools
flow_runs

-- sort: ID_DESC
task_run.id DESC

-- sort: EXPECTED_START_TIME_ASC
task_run.expected_start_time ASC, task_run.id ASC

-- sort: EXPECTED_START_TIME_DESC
task_run.expected_start_time DESC, task_run.id DESC

-- sort: NAME_ASC
task_run.name ASC, task_run.id ASC

-- sort: NAME_DESC
task_run.name DESC, task_run.id DESC

-- sort: NEXT_SCHEDULED_START_TIME_ASC
task_run.next_scheduled_start_time ASC, task_run.id ASC

-- sort: END_TIME_DESC
task_run.end_time DESC, task_run.id DESC
