"""What people do with the real Prefect client, each in a process of its own: `python tests/client_flows.py <what> [with]`.

The outcome is printed as a line of JSON. `with` is a file in which a flow notes how far it has come, or a flow run's id.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, pause_flow_run, resume_flow_run, suspend_flow_run, task
from prefect.cache_policies import INPUTS
from prefect.input import RunInput

NOTES = Path(sys.argv[2] if len(sys.argv) > 2 else "notes")


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
    answer = pause_flow_run(wait_for_input=Approval, timeout=600, poll_interval=1)
    return {"approved": answer.approved, "reason": answer.reason}


@flow(name="retried", retries=2, retry_delay_seconds=0)
def retried() -> int:
    """Fail twice, then succeed."""
    attempt = len(NOTES.read_text()) + 1 if NOTES.exists() else 1
    NOTES.write_text("x" * attempt)
    double(1)
    if attempt < 3:
        raise ValueError(f"attempt {attempt}")
    return attempt


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
    suspend_flow_run(timeout=600)


@flow(name="steady")
def steady() -> int:
    """Run tasks one after the other for a few seconds, and note that the first ones are done; a subflow when the note is gone.

    A subflow has a client of its own, which gives up at once when its first request finds no server.
    """
    for number in range(30):
        double(number)
        time.sleep(0.1)
        if number == 9:
            NOTES.touch()
    while NOTES.exists():
        time.sleep(0.1)
    return child(21)


@flow(name="endless")
def endless() -> None:
    """Note that the run has begun and wait to be killed."""
    NOTES.touch()
    time.sleep(600)


def run(name: str) -> dict[str, Any]:
    """Run a flow and give what came of it."""
    state = globals()[name](*([20] if name == "everything" else []), return_state=True)
    result = state.result(raise_on_failure=False) if state.is_completed() else None
    return {"state": state.name, "message": state.message, "id": str(state.state_details.flow_run_id), "result": result}


def delay() -> dict[str, Any]:
    """Leave a task to a task worker."""
    return {"id": str(double.delay(7).task_run_id)}


def resume(flow_run_id: str) -> dict[str, Any]:
    """Resume a flow run: without its input, with a wrong one, with the right one, and once more; give the errors."""
    errors = []
    for run_input in (None, {"approved": "perhaps"}, {"approved": True, "reason": "looks good"}, {"approved": True}):
        try:
            resume_flow_run(flow_run_id, run_input=run_input)
            errors.append(None)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    return {"errors": errors}


if __name__ == "__main__":
    what = sys.argv[1]
    print(json.dumps(delay() if what == "delay" else resume(sys.argv[2]) if what == "resume" else run(what)))
