"""Work pools, their queues and due runs made over HTTP, for tests."""

from datetime import datetime, timedelta, timezone
from typing import Any

from psycopg import Connection

from tests.resources import created, make_flow_run, unique

NOW = datetime.now(timezone.utc)


def make_pool(client, **fields: Any) -> dict[str, Any]:
    """Create a work pool, with a unique name unless one is given."""
    return created(client, "work_pools", **{"name": unique("pool"), "type": "process", **fields})


def make_queue(client, pool: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    """Create a queue in a pool."""
    answer = client.post(f"/api/work_pools/{pool['name']}/queues", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json


def make_due_run(client, pool: dict[str, Any], queue: str | None = None, seconds: int = -60, **fields: Any) -> dict[str, Any]:
    """Create a run in a pool's queue that is due at a time from now."""
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": (NOW + timedelta(seconds=seconds)).isoformat()}}
    return make_flow_run(client, work_pool_name=pool["name"], work_queue_name=queue, **{"state": state, **fields})


def update(client, pool: dict[str, Any], queue: str | None = None, **changes: Any) -> None:
    """Change a pool, or one of its queues."""
    path = f"/api/work_pools/{pool['name']}" + (f"/queues/{queue}" if queue else "")
    answer = client.patch(path, json=changes)
    assert answer.status_code == 204, answer.text


def priorities(client, pool: dict[str, Any]) -> dict[str, int]:
    """Give the priorities of a pool's queues, as they are listed."""
    queues = client.post(f"/api/work_pools/{pool['name']}/queues/filter", json={}).json
    return {queue["name"]: queue["priority"] for queue in queues}


def poll(client, pool: dict[str, Any], **body: Any) -> list[str]:
    """Poll a pool and give the names of the runs."""
    answer = client.post(f"/api/work_pools/{pool['name']}/get_scheduled_flow_runs", json=body)
    assert answer.status_code == 200, answer.text
    return [found["flow_run"]["name"] for found in answer.json]


def events_of(conn: Connection, id: str) -> list[str]:
    """Give the names of the events of a resource, as they happened."""
    rows = conn.execute("SELECT event FROM events WHERE resource_id LIKE '%%.' || %s ORDER BY occurred, id", [id])
    return [event.removeprefix("prefect.") for (event,) in rows]
