-- Conditions and orders of lists of flow runs.

-- predicate: id.any_
flow_run.id = ANY (%(flow_runs.id.any_)s::uuid[])

-- predicate: id.not_any_
flow_run.id <> ALL (%(flow_runs.id.not_any_)s::uuid[])

-- predicate: name.any_
flow_run.name = ANY (%(flow_runs.name.any_)s::text[])

-- predicate: name.like_
flow_run.name ILIKE '%' || %(flow_runs.name.like_)s::text || '%'

-- predicate: tags.all_
flow_run.tags <> '[]' AND flow_run.tags ?& %(flow_runs.tags.all_)s::text[]

-- predicate: tags.any_
flow_run.tags <> '[]' AND flow_run.tags ?| %(flow_runs.tags.any_)s::text[]

-- predicate: tags.is_null_
(flow_run.tags = '[]') = %(flow_runs.tags.is_null_)s::boolean

-- predicate: deployment_id.any_
flow_run.deployment_id = ANY (%(flow_runs.deployment_id.any_)s::uuid[])

-- predicate: deployment_id.is_null_
(flow_run.deployment_id IS NULL) = %(flow_runs.deployment_id.is_null_)s::boolean

-- predicate: work_queue_name.any_
flow_run.work_queue_name = ANY (%(flow_runs.work_queue_name.any_)s::text[])

-- predicate: work_queue_name.is_null_
(flow_run.work_queue_name IS NULL) = %(flow_runs.work_queue_name.is_null_)s::boolean

-- predicate: state.type.any_
flow_run.state_type = ANY (%(flow_runs.state.type.any_)s::state_type[])

-- predicate: state.type.not_any_
flow_run.state_type <> ALL (%(flow_runs.state.type.not_any_)s::state_type[])

-- predicate: state.name.any_
flow_run.state_name = ANY (%(flow_runs.state.name.any_)s::text[])

-- predicate: state.name.not_any_
flow_run.state_name <> ALL (%(flow_runs.state.name.not_any_)s::text[])

-- predicate: flow_version.any_
flow_run.flow_version = ANY (%(flow_runs.flow_version.any_)s::text[])

-- predicate: start_time.before_
COALESCE(flow_run.start_time, flow_run.expected_start_time) <= %(flow_runs.start_time.before_)s::timestamptz

-- predicate: start_time.after_
COALESCE(flow_run.start_time, flow_run.expected_start_time) >= %(flow_runs.start_time.after_)s::timestamptz

-- predicate: start_time.is_null_
(flow_run.start_time IS NULL) = %(flow_runs.start_time.is_null_)s::boolean

-- predicate: end_time.before_
flow_run.end_time <= %(flow_runs.end_time.before_)s::timestamptz

-- predicate: end_time.after_
flow_run.end_time >= %(flow_runs.end_time.after_)s::timestamptz

-- predicate: end_time.is_null_
(flow_run.end_time IS NULL) = %(flow_runs.end_time.is_null_)s::boolean

-- predicate: expected_start_time.before_
flow_run.expected_start_time <= %(flow_runs.expected_start_time.before_)s::timestamptz

-- predicate: expected_start_time.after_
flow_run.expected_start_time >= %(flow_runs.expected_start_time.after_)s::timestamptz

-- predicate: next_scheduled_start_time.before_
flow_run.next_scheduled_start_time <= %(flow_runs.next_scheduled_start_time.before_)s::timestamptz

-- predicate: next_scheduled_start_time.after_
flow_run.next_scheduled_start_time >= %(flow_runs.next_scheduled_start_time.after_)s::timestamptz

-- predicate: parent_flow_run_id.any_
EXISTS (SELECT
          FROM task_run
         WHERE task_run.id = flow_run.parent_task_run_id
           AND task_run.flow_run_id = ANY (%(flow_runs.parent_flow_run_id.any_)s::uuid[]))

-- predicate: parent_task_run_id.any_
flow_run.parent_task_run_id = ANY (%(flow_runs.parent_task_run_id.any_)s::uuid[])

-- predicate: parent_task_run_id.is_null_
(flow_run.parent_task_run_id IS NULL) = %(flow_runs.parent_task_run_id.is_null_)s::boolean

-- predicate: idempotency_key.any_
flow_run.idempotency_key = ANY (%(flow_runs.idempotency_key.any_)s::text[])

-- predicate: idempotency_key.not_any_
flow_run.idempotency_key <> ALL (%(flow_runs.idempotency_key.not_any_)s::text[])

-- predicate: created_by.id_
flow_run.created_by ->> 'id' = ANY (%(flow_runs.created_by.id_)s::text[])

-- predicate: created_by.type_
flow_run.created_by ->> 'type' = ANY (%(flow_runs.created_by.type_)s::text[])

-- predicate: created_by.is_null_
(flow_run.created_by IS NULL) = %(flow_runs.created_by.is_null_)s::boolean

-- via: flows
EXISTS (SELECT FROM flow WHERE flow.id = flow_run.flow_id AND {filter})

-- via: task_runs
EXISTS (SELECT FROM task_run WHERE task_run.flow_run_id = flow_run.id AND {filter})

-- via: deployments
EXISTS (SELECT FROM deployment WHERE deployment.id = flow_run.deployment_id AND {filter})

-- via: work_queues
EXISTS (SELECT FROM work_queue WHERE work_queue.id = flow_run.work_queue_id AND {filter})

-- through: work_pools
work_queues

-- sort: ID_DESC
flow_run.id DESC

-- sort: START_TIME_ASC
COALESCE(flow_run.start_time, flow_run.expected_start_time) ASC, flow_run.id ASC

-- sort: START_TIME_DESC
COALESCE(flow_run.start_time, flow_run.expected_start_time) DESC, flow_run.id DESC

-- sort: EXPECTED_START_TIME_ASC
flow_run.expected_start_time ASC, flow_run.id ASC

-- sort: EXPECTED_START_TIME_DESC
flow_run.expected_start_time DESC, flow_run.id DESC

-- sort: NAME_ASC
flow_run.name ASC, flow_run.id ASC

-- sort: NAME_DESC
flow_run.name DESC, flow_run.id DESC

-- sort: NEXT_SCHEDULED_START_TIME_ASC
flow_run.next_scheduled_start_time ASC, flow_run.id ASC

-- sort: END_TIME_DESC
flow_run.end_time DESC, flow_run.id DESC
