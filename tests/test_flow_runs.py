"""Operations under /flow_runs but those that orchestrate, and how a flow run is shown."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

import sql
from handlers.domain.deletion import delete_flow_runs
from sql.database import connect, within
from sql.ids import uuid7
from tests.resources import NOBODY, make_flow, make_flow_run, make_task_run, problems, unique
from tests.waiting import wait_for_waiter

FIELDS = re.findall(
    r"\w+",
    """id created updated name flow_id state_id deployment_id deployment_version work_queue_id work_queue_name
    flow_version parameters idempotency_key context empirical_policy tags labels parent_task_run_id state_type state_name
    run_count expected_start_time next_scheduled_start_time start_time end_time total_run_time estimated_run_time
    estimated_start_time_delta auto_scheduled infrastructure_document_id infrastructure_pid created_by work_pool_id
    work_pool_name state job_variables""",
)
STATE_FIELDS = ["id", "type", "name", "timestamp", "message", "data", "state_details"]
POLICY = {
    "max_retries": 0,
    "retry_delay_seconds": 0.0,
    "retries": None,
    "retry_delay": None,
    "pause_keys": [],
    "resuming": False,
    "retry_type": None,
}
ALWAYS_CHANGING = ("updated", "estimated_run_time", "estimated_start_time_delta")
START = datetime(2026, 11, 21, 4, tzinfo=timezone.utc)


@pytest.fixture
def now(conn) -> datetime:
    """The time of the test's transaction, which is what its views take for now."""
    return conn.execute("SELECT now()").fetchone()[0]


@pytest.fixture
def insert(conn):
    """A function that writes a flow run into the table as given, and gives it as it is shown."""
    flow_id = uuid7()
    sql.flows.create(conn, id=flow_id, name=unique("flow"), tags=[], labels={})

    def write(**columns) -> dict:
        columns = {"id": uuid7(), "name": "run", "flow_id": flow_id, **columns}
        places = ", ".join(["%s"] * len(columns))
        conn.execute(f"INSERT INTO flow_run ({', '.join(columns)}) VALUES ({places})", list(columns.values()))
        return json.loads(sql.flow_runs.read(conn, id=columns["id"]))

    return write


def stable(run: dict) -> dict:
    """Give what of a run does not change by itself."""
    return {field: value for field, value in run.items() if field not in ALWAYS_CHANGING}


def test_a_row_with_nothing_but_defaults_is_shown_with_every_field(insert):
    run = insert()
    assert list(run) == FIELDS
    assert run["empirical_policy"] == POLICY
    filled = {
        "labels": {}, "job_variables": {}, "parameters": {}, "context": {}, "tags": [], "run_count": 0, "auto_scheduled": False,
        "total_run_time": 0.0, "estimated_run_time": 0.0, "estimated_start_time_delta": 0.0,
    }  # fmt: skip
    assert {field: run[field] for field in filled} == filled
    given = {"id", "created", "updated", "name", "flow_id", "empirical_policy", *filled}
    assert all(run[field] is None for field in set(FIELDS) - given)


def test_a_run_that_is_going_on_is_shown_with_the_time_it_has_taken_so_far(insert, now):
    began = now - timedelta(hours=1)
    run = insert(state_type="RUNNING", state_timestamp=began, start_time=began, total_run_time=timedelta(seconds=90))
    assert (run["total_run_time"], run["estimated_run_time"]) == (90, 3690)
    run = insert(state_type="PAUSED", state_timestamp=began, start_time=began, total_run_time=timedelta(seconds=9.5))
    assert (run["total_run_time"], run["estimated_run_time"]) == (9.5, 9.5)


@pytest.mark.parametrize(
    ("type", "started_minutes_ago", "late_minutes"),
    [
        ("SCHEDULED", None, 60),
        ("PENDING", None, 60),
        (None, None, 60),
        ("CANCELLED", None, 0),
        ("COMPLETED", 59, 1),
        ("RUNNING", 59, 1),
        ("COMPLETED", 61, 0),
    ],
)
def test_lateness_is_shown_until_the_start_or_the_end(insert, now, type, started_minutes_ago, late_minutes):
    started = started_minutes_ago and now - timedelta(minutes=started_minutes_ago)
    run = insert(expected_start_time=now - timedelta(hours=1), state_type=type, start_time=started, state_timestamp=now)
    assert run["estimated_start_time_delta"] == late_minutes * 60


def test_a_run_expected_in_the_future_is_not_late(insert, now):
    assert insert(expected_start_time=now + timedelta(hours=1), state_type="SCHEDULED")["estimated_start_time_delta"] == 0


def test_times_are_shown_in_utc_with_microseconds_unless_they_are_zero(insert):
    run = insert(start_time="2026-11-21 05:00:00.000120+01", end_time="2026-11-21 05:00:00+01")
    assert run["start_time"] == "2026-11-21T04:00:00.000120Z"
    assert run["end_time"] == "2026-11-21T04:00:00Z"


@pytest.mark.parametrize("column", ["expected_start_time", "start_time", "state_timestamp"])
@pytest.mark.parametrize("value", ["infinity", "-infinity", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_first_and_last_times_there_are_can_be_shown(insert, now, column, value):
    others = {"expected_start_time": now, "start_time": now, "state_timestamp": now}
    run = insert(state_type="RUNNING", **{**others, column: value})
    assert list(run) == FIELDS
    if column in run:
        assert run[column] == {"infinity": "9999-12-31T23:59:59.999999Z", "-infinity": "0001-01-01T00:00:00Z"}.get(value, value)


def test_policies_of_older_servers_are_filled_in(insert):
    assert insert(empirical_policy='{"retries": 3}')["empirical_policy"] == {**POLICY, "retries": 3}


def test_nulls_in_json_columns_are_shown_as_if_nothing_was_there(insert):
    run = insert(labels="null", created_by="null", job_variables="null")
    assert (run["labels"], run["created_by"], run["job_variables"]) == ({}, None, None)


def test_the_work_queue_is_shown_by_its_present_name_and_with_its_pool(conn, insert):
    pool, queue = uuid7(), uuid7()
    conn.execute("INSERT INTO work_pool (id, name, type) VALUES (%s, 'pool', 'process')", [pool])
    conn.execute("INSERT INTO work_queue (id, name, work_pool_id) VALUES (%s, 'renamed', %s)", [queue, pool])
    run = insert(work_queue_id=queue, work_queue_name="old")
    shown = {"work_queue_name": "renamed", "work_pool_id": str(pool), "work_pool_name": "pool"}
    assert {field: run[field] for field in shown} == shown
    assert insert(work_queue_name="old")["work_queue_name"] == "old"


def test_the_state_is_shown_within_its_run(client):
    run = make_flow_run(client, state={"type": "FAILED", "name": "Oops", "message": "why", "data": {"b": 1, "a": [2]}})
    assert list(run["state"]) == STATE_FIELDS
    assert run["state"] == client.get(f"/api/flow_run_states/{run['state_id']}").json
    assert (run["state"]["id"], run["state_type"], run["state_name"]) == (run["state_id"], "FAILED", "Oops")
    assert run["state"]["data"] == {"b": 1, "a": [2]}


def test_a_flow_run_that_is_not_there_is_not_found(client):
    for path in (NOBODY, "nonsense"):
        assert client.get(f"/api/flow_runs/{path}").status_code == 404
    assert client.delete(f"/api/flow_runs/{NOBODY}").status_code == 404
    assert client.patch(f"/api/flow_runs/{NOBODY}", json={"name": "x"}).status_code == 404
    assert client.patch(f"/api/flow_runs/{NOBODY}", json={"job_variables": {"x": 1}}).status_code == 404
    assert client.patch(f"/api/flow_runs/{NOBODY}/labels", json={"x": 1}).status_code == 404


def test_an_update_replaces_the_fields_that_it_names_and_no_others(client):
    run = make_flow_run(client, flow_version="1", parameters={"x": 1}, tags=["a"], labels={"l": 1})
    path = f"/api/flow_runs/{run['id']}"
    assert client.patch(path, json={}).status_code == 204
    assert stable(client.get(path).json) == stable(run)
    changes = {
        "name": "renamed", "flow_version": "2", "parameters": {"y": [None, "'"]}, "tags": [], "infrastructure_pid": "host:7",
    }  # fmt: skip
    assert client.patch(path, json=changes).status_code == 204
    assert stable(client.get(path).json) == stable({**run, **changes})
    nothing = {"flow_version": None, "infrastructure_pid": None, "job_variables": None}
    assert client.patch(path, json=nothing).status_code == 204
    assert stable(client.get(path).json) == stable({**run, **changes, **nothing})


@pytest.mark.parametrize("name", [None, ""])
def test_a_run_whose_name_is_taken_away_gets_a_made_up_one(client, name):
    run = make_flow_run(client, name="mine")
    client.patch(f"/api/flow_runs/{run['id']}", json={"name": name})
    assert client.get(f"/api/flow_runs/{run['id']}").json["name"] not in ("mine", "", None)


def test_a_policy_is_replaced_as_a_whole(client):
    run = make_flow_run(client, empirical_policy={"retries": 5, "retry_delay": 9})
    client.patch(f"/api/flow_runs/{run['id']}", json={"empirical_policy": {"resuming": True}})
    assert client.get(f"/api/flow_runs/{run['id']}").json["empirical_policy"] == {**POLICY, "resuming": True}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": 5}, "body.name"),
        ({"name": "a\0"}, "body.name"),
        ({"parameters": None}, "body.parameters"),
        ({"parameters": {"x": "y" * 600_000}}, "body.parameters"),
        ({"tags": None}, "body.tags"),
        ({"tags": ["a", 1]}, "body.tags.1"),
        ({"empirical_policy": None}, "body.empirical_policy"),
        ({"empirical_policy": {"retries": 2**31}}, "body.empirical_policy.retries"),
        ({"state": {"type": "RUNNING"}}, "body.state"),
        ({"job_variables": []}, "body.job_variables"),
        ([], "body"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_update_that_cannot_be_is_refused_naming_the_field(client, changes, place):
    run = make_flow_run(client)
    assert place in problems(client.patch(f"/api/flow_runs/{run['id']}", json=changes))
    assert stable(client.get(f"/api/flow_runs/{run['id']}").json) == stable(run)


def test_job_variables_change_only_while_a_deployed_run_is_scheduled(client, module_database):
    flow = make_flow(client)
    scheduled, pending = make_flow_run(client, flow, state={"type": "SCHEDULED"}), make_flow_run(client, flow)
    for run in (scheduled, pending):
        assert client.patch(f"/api/flow_runs/{run['id']}", json={"job_variables": {"a": 1}}).status_code == 400
    with connect(module_database) as conn:
        deployment = uuid7()
        columns = [deployment, flow["id"], "d"]
        conn.execute("INSERT INTO deployment (id, flow_id, name) VALUES (%s, %s, %s)", columns)
        conn.execute("UPDATE flow_run SET deployment_id = %s WHERE flow_id = %s", [deployment, flow["id"]])
    assert client.patch(f"/api/flow_runs/{scheduled['id']}", json={"job_variables": {"a": 1}}).status_code == 204
    assert client.get(f"/api/flow_runs/{scheduled['id']}").json["job_variables"] == {"a": 1}
    assert client.patch(f"/api/flow_runs/{pending['id']}", json={"job_variables": {"a": 1}}).status_code == 400


def test_a_deleted_run_takes_what_belongs_to_it_and_its_logs_with_it(client):
    run, other = make_flow_run(client), make_flow_run(client)
    task_run = make_task_run(client, run)
    line = {"name": "log", "level": 20, "message": "m", "timestamp": "2026-11-21T04:00:00Z"}
    assert client.post("/api/logs/", json=[{**line, "flow_run_id": of["id"]} for of in (run, other)]).status_code == 201
    client.post(f"/api/flow_runs/{run['id']}/input", json={"key": "k", "value": "v"})
    assert client.delete(f"/api/flow_runs/{run['id']}").status_code == 204
    for path in (f"flow_runs/{run['id']}", f"flow_run_states/{run['state_id']}", f"task_runs/{task_run['id']}"):
        assert client.get(f"/api/{path}").status_code == 404
    assert client.get(f"/api/flow_runs/{run['id']}/input/k").status_code == 404
    logs = client.post("/api/logs/filter", json={"logs": {"flow_run_id": {"any_": [run["id"], other["id"]]}}}).json
    assert [log["flow_run_id"] for log in logs] == [other["id"]]


def test_many_runs_are_deleted_by_a_filter(client):
    flow = make_flow(client)
    runs = [make_flow_run(client, flow, name="mine")["id"] for _ in range(3)]
    kept = make_flow_run(client, flow, name="other")["id"]
    chosen = {"flow_runs": {"id": {"any_": [*runs, kept]}, "name": {"any_": ["mine"]}}}
    newest = sorted(runs, reverse=True)
    assert client.post("/api/flow_runs/bulk_delete", json={**chosen, "limit": 2}).json == {"deleted": newest[:2]}
    assert client.post("/api/flow_runs/bulk_delete", json=chosen).json == {"deleted": newest[2:]}
    assert client.get(f"/api/flow_runs/{kept}").status_code == 200
    assert problems(client.post("/api/flow_runs/bulk_delete", json={**chosen, "limit": 51})) == ["body.limit"]


def delete_in_transaction(conn, ids) -> set[str]:
    """Delete flow runs in a transaction of their own."""
    with within(conn):
        return delete_flow_runs(conn, ids)


def test_two_deletions_of_the_same_runs_wait_for_each_other(client, database):
    with connect(database) as first, connect(database) as second, connect(database) as watch, ThreadPoolExecutor() as threads:
        flow_id, ids = uuid7(), [uuid7() for _ in range(4)]
        sql.flows.create(first, id=flow_id, name="f", tags=[], labels={})
        for id in ids:
            first.execute("INSERT INTO flow_run (id, name, flow_id) VALUES (%s, 'r', %s)", [id, flow_id])
        with within(first):
            assert delete_flow_runs(first, ids[:1]) == {str(ids[0])}
            other = threads.submit(delete_in_transaction, second, ids[::-1])
            wait_for_waiter(watch)
            assert delete_flow_runs(first, ids[1:3]) == {str(id) for id in ids[1:3]}
        assert other.result() == {str(ids[3])}


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("ID_DESC", "3210"),
        ("NAME_ASC", "0123"),
        ("NAME_DESC", "3210"),
        ("EXPECTED_START_TIME_ASC", "2013"),
        ("EXPECTED_START_TIME_DESC", "3102"),
        ("START_TIME_ASC", "2103"),
        ("START_TIME_DESC", "3012"),
        ("NEXT_SCHEDULED_START_TIME_ASC", "1023"),
        ("END_TIME_DESC", "3201"),
    ],
)
def test_runs_are_listed_in_every_order_with_nulls_as_postgresql_has_them(client, module_database, sort, order):
    flow, hours = make_flow(client), [START + timedelta(hours=hour) for hour in range(6)]
    columns = ("expected_start_time", "start_time", "end_time", "next_scheduled_start_time")
    times = [
        (hours[1], hours[5], hours[2], hours[3]),
        (hours[2], None, hours[1], hours[0]),
        (hours[0], hours[1], None, None),
        (None, None, None, None),
    ]
    with connect(module_database) as conn:
        for number, row in enumerate(times):
            values = [uuid7(), f"run-{number}", flow["id"], *row]
            conn.execute(f"INSERT INTO flow_run (id, name, flow_id, {', '.join(columns)}) VALUES (%s{', %s' * 6})", values)
    body = {"flows": {"id": {"any_": [flow["id"]]}}, "sort": sort}
    runs = client.post("/api/flow_runs/filter", json=body).json
    assert "".join(run["name"][-1] for run in runs) == order
    pages = [client.post("/api/flow_runs/filter", json={**body, "limit": 2, "offset": at}).json for at in (0, 2)]
    assert [run["id"] for page in pages for run in page] == [run["id"] for run in runs]


def test_a_page_comes_with_the_number_of_all(client):
    flow = make_flow(client)
    runs = [make_flow_run(client, flow) for _ in range(3)]
    body = {"flows": {"id": {"any_": [flow["id"]]}}, "limit": 2, "page": 2}
    page = client.post("/api/flow_runs/paginate", json=body).json
    assert list(page) == ["results", "count", "limit", "pages", "page"]
    assert {key: page[key] for key in ("count", "limit", "pages", "page")} == {"count": 3, "limit": 2, "pages": 2, "page": 2}
    assert list(map(stable, page["results"])) == [stable(runs[0])]
    assert client.post("/api/flow_runs/paginate", json={**body, "page": 2**31 - 1, "limit": 200}).json["results"] == []
    assert problems(client.post("/api/flow_runs/paginate", json={**body, "page": 2**31})) == ["body.page"]


def test_labels_are_laid_over_those_that_are_there(client):
    run = make_flow_run(client, labels={"kept": 1, "changed": 1})
    path = f"/api/flow_runs/{run['id']}"
    assert client.patch(f"{path}/labels", json={"changed": "x", "prefect.added": 2.5}).status_code == 204
    assert client.get(path).json["labels"] == {**run["labels"], "changed": "x", "prefect.added": 2.5}
    for labels in ({"a": None}, {"a": [1]}, {"a": {"b": 1}}, []):
        assert problems(client.patch(f"{path}/labels", json=labels)) == ["body"]
    assert client.get(path).json["labels"] == {**run["labels"], "changed": "x", "prefect.added": 2.5}
