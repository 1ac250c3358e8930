"""Operations under /task_runs but those that orchestrate, and how a task run is shown."""

import json
import re

import pytest

import sql
from sql.database import connect
from sql.ids import uuid7
from tests.resources import NOBODY, make_flow, make_flow_run, make_task_run, problems

FIELDS = re.findall(
    r"\w+",
    """id created updated name flow_run_id task_key dynamic_key cache_key cache_expiration task_version empirical_policy
    tags labels state_id task_inputs state_type state_name run_count flow_run_run_count expected_start_time
    next_scheduled_start_time start_time end_time total_run_time estimated_run_time estimated_start_time_delta state""",
)
PAGE_FIELDS = re.findall(
    r"\w+",
    """id created updated name flow_run_id task_key state_id state task_version task_inputs empirical_policy tags
    start_time end_time total_run_time estimated_run_time estimated_start_time_delta""",
)
POLICY = {"max_retries": 0, "retry_delay_seconds": 0.0, "retries": None, "retry_delay": None, "retry_jitter_factor": None}
ALWAYS_CHANGING = ("updated", "estimated_run_time", "estimated_start_time_delta")


def stable(run: dict) -> dict:
    """Give what of a run does not change by itself."""
    return {field: value for field, value in run.items() if field not in ALWAYS_CHANGING}


def test_a_row_with_nothing_but_defaults_is_shown_with_every_field(conn):
    id = uuid7()
    conn.execute("INSERT INTO task_run (id, name, task_key, dynamic_key) VALUES (%s, 'run', 'k', '0')", [id])
    run = json.loads(sql.task_runs.read(conn, id=id))
    assert list(run) == FIELDS
    filled = {"empirical_policy": POLICY, "labels": {}, "tags": [], "task_inputs": {}, "run_count": 0, "flow_run_run_count": 0}
    times = {"total_run_time": 0.0, "estimated_run_time": 0.0, "estimated_start_time_delta": 0.0}
    assert {field: run[field] for field in filled | times} == filled | times
    given = {"id", "created", "updated", "name", "task_key", "dynamic_key", *filled, *times}
    assert all(run[field] is None for field in set(FIELDS) - given)


def test_the_state_is_shown_within_its_run(client):
    run = make_task_run(client, state={"type": "COMPLETED", "data": [1, {"a": None}]})
    assert run["state"] == client.get(f"/api/task_run_states/{run['state_id']}").json
    assert run["state"]["data"] == [1, {"a": None}]
    assert stable(client.get(f"/api/task_runs/{run['id']}").json) == stable(run)


def test_a_task_run_that_is_not_there_is_not_found(client):
    assert client.get(f"/api/task_runs/{NOBODY}").status_code == 404
    assert client.get("/api/task_runs/nonsense").status_code == 404
    assert client.delete(f"/api/task_runs/{NOBODY}").status_code == 404
    for changes in ({}, {"name": "x"}):
        assert client.patch(f"/api/task_runs/{NOBODY}", json=changes).status_code == 404


def test_a_task_run_is_renamed_and_nothing_else(client):
    run = make_task_run(client, name="mine", tags=["a"])
    path = f"/api/task_runs/{run['id']}"
    assert client.patch(path, json={}).status_code == 204
    assert stable(client.get(path).json) == stable(run)
    assert client.patch(path, json={"name": "renamed"}).status_code == 204
    assert stable(client.get(path).json) == stable({**run, "name": "renamed"})
    assert client.patch(path, json={"name": None}).status_code == 204
    assert client.get(path).json["name"] not in ("renamed", "", None)
    assert problems(client.patch(path, json={"name": "x", "tags": []})) == ["body.tags"]
    assert problems(client.patch(path, json={"name": 5})) == ["body.name"]


def test_a_deleted_task_run_takes_its_states_and_logs_with_it(client):
    flow_run = make_flow_run(client)
    run, other = make_task_run(client, flow_run), make_task_run(client, flow_run)
    line = {"name": "log", "level": 20, "message": "m", "timestamp": "2026-11-21T04:00:00Z", "flow_run_id": flow_run["id"]}
    client.post("/api/logs/", json=[{**line, "task_run_id": of["id"]} for of in (run, other)])
    assert client.delete(f"/api/task_runs/{run['id']}").status_code == 204
    assert client.delete(f"/api/task_runs/{run['id']}").status_code == 404
    assert client.get(f"/api/task_run_states/{run['state_id']}").status_code == 404
    logs = client.post("/api/logs/filter", json={"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}}).json
    assert [log["task_run_id"] for log in logs] == [other["id"]]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("ID_DESC", "210"),
        ("NAME_ASC", "012"),
        ("NAME_DESC", "210"),
        ("EXPECTED_START_TIME_ASC", "102"),
        ("EXPECTED_START_TIME_DESC", "201"),
        ("NEXT_SCHEDULED_START_TIME_ASC", "102"),
        ("END_TIME_DESC", "201"),
    ],
)
def test_task_runs_are_listed_in_every_order_with_nulls_as_postgresql_has_them(client, module_database, sort, order):
    flow_run = make_flow_run(client)
    columns = "id, flow_run_id, name, task_key, dynamic_key, expected_start_time, next_scheduled_start_time, end_time"
    with connect(module_database) as conn:
        for number, time in enumerate(["2026-11-21T05:00Z", "2026-11-21T04:00Z", None]):
            values = [uuid7(), flow_run["id"], str(number), "k", str(number), time, time, time]
            conn.execute(f"INSERT INTO task_run ({columns}) VALUES (%s{', %s' * 7})", values)
    body = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}, "sort": sort}
    assert "".join(run["name"] for run in client.post("/api/task_runs/filter", json=body).json) == order
    assert client.post("/api/task_runs/filter", json={**body, "limit": 1, "offset": 1}).json[0]["name"] == order[1]


def test_task_runs_are_found_by_what_their_flow_run_belongs_to(client):
    flow = make_flow(client)
    flow_run = make_flow_run(client, flow, tags=["a"])
    run = make_task_run(client, flow_run, tags=["b"], state={"type": "RUNNING"})
    here = {"flows": {"id": {"any_": [flow["id"]]}}}

    def count(**criteria) -> int:
        body = {**here, **criteria}
        runs = client.post("/api/task_runs/filter", json=body).json
        assert client.post("/api/task_runs/count", json=body).json == len(runs)
        assert all(found["id"] == run["id"] for found in runs)
        return len(runs)

    assert count() == count(flow_runs={}) == count(flow_runs={"tags": {"all_": ["a"]}}) == 1
    assert count(flow_runs={"tags": {"all_": ["b"]}}) == count(deployments={}) == 0
    assert (
        count(task_runs={"tags": {"all_": ["b"]}, "state": {"type": {"any_": ["RUNNING"]}, "name": {"any_": ["Running"]}}}) == 1
    )
    assert count(task_runs={"start_time": {"is_null_": True}}) == 0
    assert count(task_runs={"start_time": {"after_": "2026-01-01"}, "end_time": {"is_null_": True}}) == 1
    assert count(task_runs={"expected_start_time": {"before_": "2026-01-01T00:00:00Z"}}) == 0
    assert problems(client.post("/api/task_runs/filter", json={"sort": "START_TIME_DESC"})) == ["body.sort"]


def test_a_page_shows_fewer_fields_and_the_number_of_all(client):
    flow_run = make_flow_run(client)
    runs = [make_task_run(client, flow_run, state={"type": "COMPLETED"}) for _ in range(3)]
    body = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}, "limit": 2, "page": 1}
    page = client.post("/api/task_runs/paginate", json=body).json
    assert {key: page[key] for key in ("count", "limit", "pages", "page")} == {"count": 3, "limit": 2, "pages": 2, "page": 1}
    shown = [{field: run[field] for field in PAGE_FIELDS} for run in sorted(runs, key=lambda run: run["id"], reverse=True)[:2]]
    assert list(map(stable, page["results"])) == list(map(stable, shown))
    assert [list(run) for run in page["results"]] == [PAGE_FIELDS] * 2
