"""Looking inside by SQL: the queries of the README find something, and a view says what the API answers."""

import re
from pathlib import Path

import orjson
import pytest

from sql.database import connect
from sql.ids import uuid7
from tests.filter_rows import Rows, make_rows, write_rows

README = Path(__file__).parent.parent / "README.md"
QUERIES = [
    query.strip()
    for block in re.findall(r"^```sql\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for query in re.sub(r"^\\.*\n", "", block, flags=re.MULTILINE).split(";")
    if query.strip()
]
# Makes one of each thing that the queries ask for.
PRESENT = """
WITH run AS (
     UPDATE flow_run
        SET name = 'happy-cat', start_time = now() - interval '1 minute', end_time = now(), state_type = 'FAILED'
      WHERE id = (SELECT flow_run_id FROM flow_run_state ORDER BY id LIMIT 1)
  RETURNING id),
     event AS (
     INSERT INTO events (occurred, event, resource_id, resource, payload, received, recorded)
     SELECT now(), 'prefect.flow-run.Failed', 'prefect.flow-run.' || run.id, '{}', '{}', now(), now() FROM run
  RETURNING id, occurred, resource_id),
     logged AS (
     INSERT INTO log (name, level, flow_run_id, message, timestamp)
     SELECT 'prefect.flow_runs', 40, run.id, 'It failed.', now() FROM run),
     limited AS (
     INSERT INTO concurrency_limit_v2
            (active, name, "limit", active_slots, denied_slots, slot_decay_per_second, avg_slot_occupancy_seconds)
     VALUES (TRUE, 'database', 2, 1, 0, 0, 2)
  RETURNING id),
     held AS (
     INSERT INTO downbeat.concurrency_lease (id, place, limit_id, holder_type, holder_id, slots, acquired, expires)
     SELECT %(lease_id)s, 1, limited.id, 'flow_run', run.id, 1, now(), now() + interval '1 minute' FROM limited, run),
     done AS (
     UPDATE task_run SET start_time = now(), total_run_time = interval '1 second' WHERE state_type = 'COMPLETED')
INSERT INTO event_resources (occurred, resource_id, resource_role, resource, event_id)
SELECT occurred, resource_id, '', '{}', id FROM event
"""
# Where the API shows a thing of a view, and what finds it there.
BY_ID = {
    "flow": "flows",
    "flow_run": "flow_runs",
    "task_run": "task_runs",
    "deployment": "deployments",
    "work_queue": "work_queues",
    "flow_run_state": "flow_run_states",
    "task_run_state": "task_run_states",
}
# How a thing of a view that has no rows yet is made.
MADE = {
    "artifact": ("artifacts", {"key": "report", "type": "markdown", "data": "# Report"}),
    "block_type": ("block_types", {"name": "Secret place", "slug": "secret-place"}),
    "concurrency_limit": ("concurrency_limits", {"tag": "heavy", "concurrency_limit": 3}),
    "concurrency_limit_v2": ("v2/concurrency_limits", {"name": "memory", "limit": 3}),
    "variable": ("variables", {"name": "threshold", "value": {"a": 1}}),
}
# Those that depend on the time of asking.
MOVING = ("estimated_run_time", "estimated_start_time_delta")


@pytest.fixture(scope="module")
def rows(module_database) -> Rows:
    """Rows of everything that the queries look at."""
    rows = make_rows(3)
    with connect(module_database) as conn:
        write_rows(conn, rows)
        conn.execute(PRESENT, {"lease_id": uuid7()})
    return rows


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.partition("\n")[0])
def test_a_query_of_the_readme_finds_something(conn, rows, query):
    assert conn.execute(query).fetchall()


def still(document: dict) -> dict:
    """Leave out of a document what depends on the time of asking."""
    return {key: value for key, value in document.items() if key not in MOVING}


def documents(conn, view: str) -> dict[str, dict]:
    """Give the rows of a view by id."""
    shown = conn.execute(f"SELECT id::text, row_to_json(shown)::text FROM downbeat.{view} AS shown").fetchall()
    return {id: still(orjson.loads(document)) for id, document in shown}


@pytest.mark.parametrize("view", BY_ID)
def test_a_view_says_what_the_api_answers(conn, client, rows, view):
    found = documents(conn, view)
    assert set(found) == {row["id"] for row in rows[view]}
    for id in list(found)[:10]:
        assert still(client.get(f"/api/{BY_ID[view]}/{id}").json) == found[id]


@pytest.mark.parametrize("view", ["work_pool", "worker", "log"])
def test_a_view_has_what_the_api_lists(conn, client, rows, view):
    path = f"work_pools/{rows['work_pool'][0]['name']}/workers" if view == "worker" else f"{view}s"
    listed = client.post(f"/api/{path}/filter", json={}).json
    found = documents(conn, view)
    assert listed
    assert [found[document["id"]] for document in listed] == listed


@pytest.mark.parametrize("view", MADE)
def test_a_view_says_what_was_made(conn, client, view):
    path, body = MADE[view]
    answer = client.post(f"/api/{path}/", json=body)
    assert answer.status_code == 201, answer.text
    id = answer.json["id"]
    assert documents(conn, view)[id] == client.get(f"/api/{path}/{id}").json
