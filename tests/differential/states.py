"""Sequences about single states and lists of states."""

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, create_task_run, propose, propose_for_task

SEQUENCES = {
    "of_flow_runs": [
        create_flow(),
        create_flow_run(),
        propose("RUNNING", data={"a": 1}, message="text"),
        Step("GET", "/flow_run_states/{outcome.state.id}"),
        Step("GET", "/flow_run_states/{run.state_id}"),
        propose("COMPLETED"),
        Step("GET", "/flow_run_states/?flow_run_id={run.id}"),
        Step("GET", "/flow_run_states/?flow_run_id={uuid.none}"),
        Step("GET", "/flow_run_states/{uuid.none}"),
        Step("GET", "/flow_run_states/"),
        Step("GET", "/flow_run_states/?flow_run_id=nonsense"),
        Step("GET", "/flow_run_states/nonsense"),
        Step("GET", "/task_run_states/{run.state_id}"),
    ],
    "of_task_runs": [
        create_task_run(),
        propose_for_task("RUNNING", data={"a": 1}, message="text"),
        Step("GET", "/task_run_states/{outcome.state.id}"),
        Step("GET", "/task_run_states/{task.state_id}"),
        propose_for_task("COMPLETED"),
        Step("GET", "/task_run_states/?task_run_id={task.id}"),
        Step("GET", "/task_run_states/?task_run_id={uuid.none}"),
        Step("GET", "/task_run_states/{uuid.none}"),
        Step("GET", "/task_run_states/"),
        Step("GET", "/task_run_states/?task_run_id=nonsense"),
        Step("GET", "/task_run_states/nonsense"),
    ],
}
