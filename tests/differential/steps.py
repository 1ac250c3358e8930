"""Steps that many sequences begin with or repeat."""

import itertools
from typing import Any

from tests.differential import Step

# Every name a state commonly has, by type: the first is the type's own.
STATES = (
    ("SCHEDULED", "Scheduled"),
    ("SCHEDULED", "Late"),
    ("SCHEDULED", "AwaitingRetry"),
    ("SCHEDULED", "AwaitingConcurrencySlot"),
    ("SCHEDULED", "Resuming"),
    ("PENDING", "Pending"),
    ("PENDING", "Submitting"),
    ("RUNNING", "Running"),
    ("RUNNING", "Retrying"),
    ("COMPLETED", "Completed"),
    ("COMPLETED", "Cached"),
    ("FAILED", "Failed"),
    ("FAILED", "TimedOut"),
    ("CANCELLED", "Cancelled"),
    ("CRASHED", "Crashed"),
    ("PAUSED", "Paused"),
    ("PAUSED", "Suspended"),
    ("CANCELLING", "Cancelling"),
)


def state(type: str, name: str | None = None, message: str | None = None, data: Any = None, **details: Any) -> dict:
    """Give a proposed state as the client words it."""
    return {"type": type, "name": name, "message": message, "data": data, "state_details": details}


def create_flow(save: str = "flow", name: str = "flow-{unique}", **fields: Any) -> Step:
    """Make the flow that runs of the sequence belong to."""
    return Step("POST", "/flows/", {"name": name, "tags": [], "labels": {}} | fields, save=save)


def create_flow_run(save: str = "run", flow: str = "flow", **fields: Any) -> Step:
    """Make a flow run as the client does; without `state` it becomes Pending."""
    body = {"flow_id": f"{{{flow}.id}}", "parameters": {}, "context": {}, "tags": [], "empirical_policy": {}}
    return Step("POST", "/flow_runs/", body | fields, save=save)


def create_task_run(save: str = "task", **fields: Any) -> Step:
    """Make a task run; without `flow_run_id` it is a background task's."""
    body = {"task_key": "task-{unique}", "dynamic_key": f"{save}-{{unique}}", "tags": [], "task_inputs": {}}
    return Step("POST", "/task_runs/", body | fields, save=save)


def propose(type: str, name: str | None = None, force: bool = False, run: str = "run", **others: Any) -> Step:
    """Propose a state for a flow run; `others` are the other fields and details of the state."""
    body = {"state": state(type, name, **others), "force": force}
    return Step("POST", f"/flow_runs/{{{run}.id}}/set_state", body, save="outcome")


def propose_for_task(type: str, name: str | None = None, force: bool = False, task: str = "task", **others: Any) -> Step:
    """Propose a state for a task run; `others` are the other fields and details of the state."""
    body = {"state": state(type, name, **others), "force": force}
    return Step("POST", f"/task_runs/{{{task}.id}}/set_state", body, save="outcome")


def resume(run_input: dict | None = None, run: str = "run") -> Step:
    """Ask for a paused run to go on."""
    return Step("POST", f"/flow_runs/{{{run}.id}}/resume", {"run_input": run_input} if run_input is not None else None)


def read_run(run: str = "run") -> list[Step]:
    """Read a flow run and all its states."""
    return [
        Step("GET", f"/flow_runs/{{{run}.id}}", save=f"{run}_now"),
        Step("GET", f"/flow_run_states/?flow_run_id={{{run}.id}}", save=f"{run}_states"),
    ]


def read_task(task: str = "task") -> list[Step]:
    """Read a task run and all its states."""
    return [
        Step("GET", f"/task_runs/{{{task}.id}}", save=f"{task}_now"),
        Step("GET", f"/task_run_states/?task_run_id={{{task}.id}}", save=f"{task}_states"),
    ]


def after_each(steps: list[Step], reads: list[Step]) -> list[Step]:
    """Put the same reads after every step."""
    return list(itertools.chain.from_iterable([step, *reads] for step in steps))
