"""Flows and runs made over HTTP, for tests."""

from typing import Any
from uuid import uuid4

NOBODY = "00000000-0000-4000-8000-000000000000"


def unique(noun: str) -> str:
    """Make up a name that no other test uses."""
    return f"{noun}-{uuid4().hex[:12]}"


def created(client, path: str, **fields: Any) -> dict[str, Any]:
    """Post something and give what was made of it."""
    answer = client.post(f"/api/{path}/", json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json


def make_flow(client, **fields: Any) -> dict[str, Any]:
    """Create a flow, with a unique name unless one is given."""
    return created(client, "flows", **{"name": unique("flow"), **fields})


def make_flow_run(client, flow: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Create a flow run, of a flow of its own unless one is given."""
    return created(client, "flow_runs", flow_id=(flow or make_flow(client))["id"], **fields)


def make_task_run(client, flow_run: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Create a task run, on its own unless a flow run is given."""
    keys = {"task_key": "task", "dynamic_key": unique("call")}
    return created(client, "task_runs", flow_run_id=flow_run and flow_run["id"], **{**keys, **fields})


def problems(answer) -> list[str]:
    """Give the places that a 422 complains of."""
    assert answer.status_code == 422, answer.text
    return [".".join(map(str, problem["loc"])) for problem in answer.json["exception_detail"]]


def told(answer, status: int = 422) -> str:
    """Give the words of an error that is told in words."""
    assert answer.status_code == status, answer.text
    return answer.json["detail"]
