"""Events as the Prefect client sends them, for tests."""

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import sql

NAMES = {"PENDING": "Pending", "RUNNING": "Running", "COMPLETED": "Completed", "SCHEDULED": "AwaitingRetry"}
START = datetime(2026, 11, 21, 3, 53, 37, 877836, tzinfo=timezone.utc)


def written(time: datetime) -> str:
    """Write a time as the client does."""
    return time.isoformat().replace("+00:00", "Z")


def make_event(**fields: Any) -> dict[str, Any]:
    """Make an event that has nothing to do with runs."""
    return {
        "occurred": written(START),
        "event": "example.happened",
        "resource": {"prefect.resource.id": "example.thing", "prefect.resource.name": "thing"},
        "related": [],
        "payload": {},
        "id": str(uuid4()),
        "follows": None,
        **fields,
    }


def make_task_run_event(
    type: str, task_run_id: str, flow_run_id: str | None = None, seconds: float = 0, dynamic_key: str | None = None, **run: Any
) -> dict[str, Any]:
    """Make the event of a task run that enters a state, `seconds` after START."""
    occurred, name = START + timedelta(seconds=seconds), NAMES[type]
    labels = {"prefect.resource.role": "flow-run", "prefect.resource.name": "wise-grasshopper"}
    return {
        "occurred": written(occurred),
        "event": f"prefect.task-run.{name}",
        "id": str(uuid4()),
        "follows": None,
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{task_run_id}",
            "prefect.resource.name": "t-b74",
            "prefect.run-count": "1",
            "prefect.state-message": "",
            "prefect.state-name": name,
            "prefect.state-timestamp": occurred.isoformat(),
            "prefect.state-type": type,
            "prefect.orchestration": "client",
        },
        "related": [{"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", **labels}] if flow_run_id else [],
        "payload": {
            "intended": {"from": None, "to": type},
            "initial_state": None,
            "validated_state": {"type": type, "name": name, "message": "", "state_details": {}, "data": None},
            "task_run": {
                "name": "t-b74",
                "task_key": "t-89511c3d",
                "dynamic_key": dynamic_key or task_run_id,
                "empirical_policy": {"max_retries": 0, "retry_delay_seconds": 0.0, "retries": 0, "retry_delay": 0},
                "tags": [],
                "labels": {},
                "task_inputs": {},
                "run_count": 0 if type == "PENDING" else 1,
                "flow_run_run_count": 1,
                "expected_start_time": written(START),
                "total_run_time": 0.0,
                **run,
            },
        },
    }


def make_life(task_run_id: str, flow_run_id: str | None = None, seconds: float = 0) -> list[dict[str, Any]]:
    """Make the events of a task run that runs from `seconds` after START for two and a half seconds."""
    start, end = START + timedelta(seconds=seconds + 0.5), START + timedelta(seconds=seconds + 3)
    running = {"start_time": written(start)}
    completed = running | {"end_time": written(end), "total_run_time": 2.5}
    return [
        make_task_run_event("PENDING", task_run_id, flow_run_id, seconds),
        make_task_run_event("RUNNING", task_run_id, flow_run_id, seconds + 0.5, **running),
        make_task_run_event("COMPLETED", task_run_id, flow_run_id, seconds + 3, **completed),
    ]


def make_flow_run(conn) -> str:
    """Store a flow run and give its id."""
    flow_id, flow_run_id = str(uuid4()), str(uuid4())
    sql.flows.create(conn, id=flow_id, name=f"flow-{flow_id}", tags=[], labels={})
    conn.execute("INSERT INTO flow_run (id, name, flow_id) VALUES (%s, 'wise-grasshopper', %s)", (flow_run_id, flow_id))
    return flow_run_id
