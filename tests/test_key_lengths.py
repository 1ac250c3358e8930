"""What ends in an index is short enough for it; what is stored already and is not, harms nobody else."""

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from orjson import dumps

from schemas.events import STATE, TASK_RUN, read_fields
from schemas.fields import MAX_KEY_BYTES
from sql.database import connect
from tests.loops import mark_late_runs, schedule_runs
from tests.resources import created, make_flow, unique
from tests.runs import make_flow as insert_flow
from tests.runs import make_flow_run, make_task_run, propose_flow_run, propose_task_run, read_flow_run
from tests.schedules import make_deployment, make_schedule
from tests.work_pools import make_pool


def noise(characters: int, first: int = 0x4E00, last: int = 0x9FFF) -> str:
    """Give random characters, which nothing compresses; by default of three bytes each in UTF-8."""
    draw = random.Random(characters)
    return "".join(chr(draw.randint(first, last)) for _ in range(characters))


def plain(characters: int) -> str:
    """Give random lower-case letters and digits."""
    draw = random.Random(characters)
    return "".join(draw.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(characters))


LONGEST = noise(MAX_KEY_BYTES // 3)
TOO_LONG = LONGEST + "x"

# The operations that take what ends in an index: the path, the rest of the body, the field (dotted), whether of plain letters.
FIELDS: list[tuple[str, str, dict[str, Any], str, bool]] = [
    ("POST", "/flows/", {}, "name", False),
    ("POST", "/flows/", {"name": "{unique}"}, "tags.0", False),
    ("PATCH", "/flows/{flow}", {}, "tags.0", False),
    ("POST", "/flow_runs/", {"flow_id": "{flow}"}, "name", False),
    ("POST", "/flow_runs/", {"flow_id": "{flow}"}, "flow_version", False),
    ("POST", "/flow_runs/", {"flow_id": "{flow}"}, "idempotency_key", False),
    ("POST", "/flow_runs/", {"flow_id": "{flow}"}, "tags.0", False),
    ("POST", "/flow_runs/", {"flow_id": "{flow}"}, "work_queue_name", False),
    ("POST", "/flow_runs/", {"flow_id": "{flow}", "state": {"type": "PENDING"}}, "state.name", False),
    ("PATCH", "/flow_runs/{run}", {}, "name", False),
    ("PATCH", "/flow_runs/{run}", {}, "tags.0", False),
    ("PATCH", "/flow_runs/{run}", {}, "flow_version", False),
    ("POST", "/flow_runs/{run}/set_state", {"state": {"type": "RUNNING"}}, "state.name", False),
    ("POST", "/flow_runs/{run}/set_state", {"state": {"type": "RUNNING", "data": {}}}, "state.data.artifact_key", True),
    ("POST", "/flow_runs/{run}/set_state", {"state": {"type": "RUNNING", "data": {}}}, "state.data.artifact_type", False),
    ("POST", "/flow_runs/{run}/input", {"value": "1"}, "key", True),
    ("POST", "/task_runs/", {"task_key": "t", "dynamic_key": "{unique}"}, "name", False),
    ("POST", "/task_runs/", {"dynamic_key": "{unique}", "flow_run_id": "{run}"}, "task_key", False),
    ("POST", "/task_runs/", {"task_key": "t", "flow_run_id": "{run}"}, "dynamic_key", False),
    ("POST", "/task_runs/", {"task_key": "t", "dynamic_key": "{unique}"}, "tags.0", False),
    ("PATCH", "/task_runs/{task}", {}, "name", False),
    ("POST", "/deployments/", {"flow_id": "{flow}"}, "name", False),
    ("POST", "/deployments/", {"flow_id": "{flow}", "name": "{unique}"}, "tags.0", False),
    ("POST", "/deployments/", {"flow_id": "{flow}", "name": "{unique}"}, "version", False),
    ("POST", "/deployments/", {"flow_id": "{flow}", "name": "{unique}"}, "work_queue_name", False),
    ("PATCH", "/deployments/{deployment}", {}, "tags.0", False),
    ("PATCH", "/deployments/{deployment}", {}, "version", False),
    ("PATCH", "/deployments/{deployment}", {}, "work_queue_name", False),
    ("POST", "/deployments/{deployment}/create_flow_run", {}, "tags.0", False),
    ("POST", "/deployments/{deployment}/create_flow_run", {}, "name", False),
    ("POST", "/deployments/{deployment}/create_flow_run", {}, "idempotency_key", False),
    ("POST", "/artifacts/", {}, "key", True),
    ("POST", "/artifacts/", {"key": "k"}, "type", False),
    ("POST", "/block_types/", {"slug": "{slug}"}, "name", False),
    ("POST", "/block_types/", {"name": "{unique}"}, "slug", True),
    ("POST", "/variables/", {"name": "{slug}", "value": 1}, "tags.0", False),
    ("PUT", "/saved_searches/", {}, "name", False),
    ("POST", "/concurrency_limits/", {"concurrency_limit": 1}, "tag", False),
    ("POST", "/v2/concurrency_limits/", {"limit": 1}, "name", False),
    ("POST", "/work_pools/", {"type": "process"}, "name", False),
    ("POST", "/work_pools/", {"name": "{unique}"}, "type", False),
    ("POST", "/work_pools/{pool}/queues", {}, "name", False),
    ("POST", "/work_pools/{pool}/workers/heartbeat", {}, "name", False),
    ("POST", "/work_queues/", {}, "name", False),
]


@pytest.fixture(scope="module")
def made(client) -> dict[str, str]:
    """Give the ids of one of each thing."""
    flow = make_flow(client)["id"]
    run = created(client, "flow_runs", flow_id=flow)["id"]
    task = created(client, "task_runs", flow_run_id=run, task_key="t", dynamic_key="0")["id"]
    deployment = created(client, "deployments", name="d", flow_id=flow)["id"]
    return {"flow": flow, "run": run, "task": task, "deployment": deployment, "pool": make_pool(client)["name"]}


def with_value(value: Any, path: list[str], item: str) -> Any:
    """Give a body with an item put where a path leads."""
    if not path:
        return item
    if path[0] == "0":
        return [with_value(None, path[1:], item)]
    return {**(value or {}), path[0]: with_value((value or {}).get(path[0]), path[1:], item)}


def filled(value: Any, names: dict[str, str]) -> Any:
    """Fill in ids and words that nobody else uses."""
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    return value.format(**names) if isinstance(value, str) else value


@pytest.mark.parametrize(("method", "path", "rest", "field", "is_plain"), FIELDS, ids=lambda value: str(value)[:40])
def test_what_ends_in_an_index_is_as_long_as_that_takes(client, made, method, path, rest, field, is_plain):
    names = made | {"unique": unique("n"), "slug": unique("s").lower().replace("_", "-")}
    longest, too_long = (plain(MAX_KEY_BYTES), plain(MAX_KEY_BYTES + 1)) if is_plain else (LONGEST, TOO_LONG)
    refused = client.open(
        "/api" + path.format(**names), method=method, json=with_value(filled(rest, names), field.split("."), too_long)
    )
    assert refused.status_code == 422, refused.text
    loc = refused.json["exception_detail"][0]["loc"]
    assert [str(part) for part in loc] == ["body", *field.split(".")]
    taken = client.open(
        "/api" + path.format(**names), method=method, json=with_value(filled(rest, names), field.split("."), longest)
    )
    assert taken.status_code in (200, 201, 204, 409), taken.text


@pytest.mark.parametrize(("fields", "field"), [
    *((TASK_RUN, field) for field in ("name", "task_key", "dynamic_key")), (STATE, "name"),
])  # fmt: skip
def test_events_of_task_runs_have_the_same_limits(fields, field):
    whole = {"name": "n", "task_key": "t", "dynamic_key": "d", "type": "RUNNING"}
    assert read_fields({**whole, field: LONGEST}, fields)[field] == LONGEST
    with pytest.raises(Exception, match="Longer than") as error:
        read_fields({**whole, field: TOO_LONG}, fields)
    assert list(error.value.messages) == [field]


# What is stored already


def tags(length: int = 1000) -> list[str]:
    """Give tags of which one does not fit into an index."""
    return ["short", noise(length)]


def test_states_of_runs_with_a_tag_that_is_too_long_are_written_and_found_by_their_other_tags(conn):
    flow = insert_flow(conn, tags=tags())
    deployment = make_deployment(conn, flow_id=flow, tags=tags(1001))["id"]
    run = make_flow_run(conn, "PENDING", flow_id=flow)
    conn.execute(
        "UPDATE flow_run SET tags = %s, deployment_id = %s WHERE id = %s", [dumps([noise(1002)]).decode(), deployment, run]
    )
    assert propose_flow_run(conn, run, "RUNNING").status == "ACCEPT"
    assert read_flow_run(conn, run)["state_type"] == "RUNNING"
    event = "SELECT id, related_resource_ids FROM events WHERE resource_id = %s AND event LIKE '%%Running'"
    id, related = conn.execute(event, [f"prefect.flow-run.{run}"]).fetchone()
    indexed = "SELECT array_agg(resource_id) FROM event_resources WHERE event_id = %s"
    assert "prefect.tag.short" in conn.execute(indexed, [id]).fetchone()[0]
    assert sum(len(resource) > 900 for resource in related) == 3, "the event itself tells of them all"


def test_a_tag_that_is_too_long_stops_neither_the_scheduler_nor_lateness(database):
    now = datetime.now(timezone.utc)
    due = {"type": "SCHEDULED", "state_details": {"scheduled_time": (now - timedelta(hours=1)).isoformat()}}
    with connect(database) as conn:
        deployments = [make_deployment(conn, tags=given)["id"] for given in (tags(), [])]
        for id in deployments:
            make_schedule(conn, id, {"cron": "0 0 * * *"})
        runs = [make_flow_run(conn, state=due) for _ in range(2)]
        conn.execute("UPDATE flow_run SET tags = %s WHERE id = %s", [dumps([noise(1000)]).decode(), runs[0]])
        assert schedule_runs(conn, now, 10) == 6
        assert mark_late_runs(conn, now, 10) == 2


def test_a_cache_key_that_no_index_takes_is_refused_by_the_rules(conn):
    key = noise(1900)
    refused = propose_task_run(conn, make_task_run(conn, "RUNNING"), "COMPLETED", state_details={"cache_key": key})
    assert refused.status == "REJECT"
