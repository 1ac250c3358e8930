"""The blueprints of the API, in the order of its documentation."""

from handlers import (
    admin,
    concurrency_limits_v2,
    csrf_token,
    events,
    flow_run_states,
    flow_runs,
    flows,
    logs,
    orchestration,
    root,
    task_run_states,
    task_runs,
)

BLUEPRINTS = (
    root.blueprint,
    flows.blueprint,
    flow_runs.blueprint,
    task_runs.blueprint,
    orchestration.blueprint,
    flow_run_states.blueprint,
    task_run_states.blueprint,
    logs.blueprint,
    concurrency_limits_v2.blueprint,
    csrf_token.blueprint,
    events.blueprint,
    admin.blueprint,
)
