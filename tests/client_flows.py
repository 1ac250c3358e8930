"""Flows that the real Prefect client runs in a process of its own: `python tests/client_flows.py <flow> [marker]`.

The flow's outcome is printed as a line of JSON. `marker` is a file that a flow makes to say how far it has come.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, pause_flow_run, suspend_flow_run, task
from prefect.cache_policies import INPUTS
from prefect.input import RunInput

MARKER = Path(sys.argv[2]) if len(sys.argv) > 2 else None


class Approval(RunInput):
    """What `ask` waits for."""

    approved: bool
    reason: str = "none"


@task(retries=2, retry_delay_seconds=0.2)
def fail_once(attempts: list) -> str:
    """Fail the first time."""
    attempts.append(len(attempts))
    if len(attempts) == 1:
        raise ValueError("the first time")
    return "second time"


@task
def double(number: int) -> int:
    """Double a number, and say so in the run's log."""
    get_run_logger().info("doubling %s", number)
    return 2 * number


@task(log_prints=True)
def add_up(numbers: list[int]) -> int:
    """Add up numbers, and print that."""
    print(f"adding up {len(numbers)} numbers")
    return sum(numbers)


@flow
def child(number: int) -> int:
    """Double a number in a flow inside of a flow."""
    return double(number)


@flow(log_prints=True, name="everything")
def everything(count: int) -> dict[str, Any]:
    """Use a task that is retried, one that is mapped, one behind it, and a subflow."""
    get_run_logger().warning("a warning from the flow")
    print("a print from the flow")
    retried = fail_once([])
    doubled = double.map(range(count))
    total = add_up(doubled)
    return {"retried": retried, "total": total, "child": child(21)}


@flow(name="ask")
def ask() -> dict[str, Any]:
    """Pause until somebody resumes the run with an approval."""
    answer = pause_flow_run(wait_for_input=Approval, timeout=60, poll_interval=1)
    return {"approved": answer.approved, "reason": answer.reason}


@flow(name="retried", retries=2, retry_delay_seconds=0)
def retried() -> int:
    """Fail twice, then succeed."""
    attempts = MARKER.read_text() if MARKER.exists() else ""
    MARKER.write_text(attempts + "x")
    double(1)
    if len(attempts) < 2:
        raise ValueError(f"attempt {len(attempts) + 1}")
    return len(attempts) + 1


@flow(name="failing")
def failing() -> None:
    """Fail."""
    raise RuntimeError("this flow always fails")


@task(cache_policy=INPUTS, persist_result=True)
def costly(number: int) -> float:
    """Give something else each time it really runs."""
    return time.monotonic() + number


@flow(name="cached")
def cached() -> bool:
    """Run a task twice, the second time from its cache."""
    return costly(1) == costly(1)


@flow(name="suspending")
def suspending() -> None:
    """Try to suspend a run that no deployment could start again."""
    suspend_flow_run(timeout=60)


@flow(name="endless")
def endless() -> None:
    """Say that the run has begun and wait to be killed."""
    double(1)
    MARKER.touch()
    time.sleep(600)


def main(name: str) -> None:
    """Run a flow, or delay a task, and print what came of it."""
    if name == "delay":
        print(json.dumps({"task_run_id": str(double.delay(7).task_run_id)}))
        return
    state = globals()[name](*([20] if name == "everything" else []), return_state=True)
    outcome = {"state": state.name, "message": state.message, "flow_run_id": str(state.state_details.flow_run_id)}
    print(json.dumps(outcome | {"result": state.result(raise_on_failure=False) if state.is_completed() else None}))


if __name__ == "__main__":
    main(sys.argv[1])
