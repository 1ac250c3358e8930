"""Each list that web UI and command line ask for is read by an index that carries its filter and its order.

On 100,000 flow runs, 200,000 task runs and 500,000 lines of logs: no plan reads a table of runs from end to end or sorts more
than some thousand rows, and what concerns a day reads the rows of that day.
"""

import json

import psycopg
import pytest
from psycopg.types.json import Jsonb

import sql
from sql.database import connect
from tests.bench import reads
from tests.bench.fill import fill
from tests.plans import explain, recording
from tests.runs import make_flow

FACTOR = 0.1
LARGE = {"flow_run", "task_run", "log", "flow_run_state", "task_run_state"}
MOST_SORTED = 5000

NEWEST = ("START_TIME_DESC", "EXPECTED_START_TIME_DESC")
# Filters of flow runs with the orders that they are used with. Each is asked for with a limit of 100, and counted.
FLOW_RUNS = {
    "nothing": ({}, (*NEWEST, "START_TIME_ASC", "NAME_ASC", "NAME_DESC", "ID_DESC")),
    "a flow": ({"flows": {"id": {"any_": ["{flow}"]}}}, NEWEST),
    "a flow with few runs": ({"flows": {"id": {"any_": ["{rare_flow}"]}}}, (*NEWEST, "START_TIME_ASC", "NAME_ASC")),
    "a flow by name": ({"flows": {"name": {"any_": ["{flow_name}"]}}}, NEWEST),
    "a deployment": ({"deployments": {"id": {"any_": ["{deployment}"]}}}, ("START_TIME_DESC", "START_TIME_ASC")),
    "a deployment's id": ({"flow_runs": {"deployment_id": {"any_": ["{deployment}"]}}}, ("START_TIME_DESC",)),
    "a deployment with few runs": ({"deployments": {"id": {"any_": ["{rare_deployment}"]}}}, NEWEST),
    "a work pool": ({"work_pools": {"name": {"any_": ["pool-1"]}}}, NEWEST),
    "a work queue": ({"work_pool_queues": {"id": {"any_": ["{queue}"]}}}, ("START_TIME_DESC",)),
    "a tag": ({"flow_runs": {"tags": {"all_": ["prod"]}}}, ("START_TIME_DESC",)),
    "a rare tag": ({"flow_runs": {"tags": {"any_": ["tag-39"]}}}, NEWEST),
    "a tag that is nowhere": ({"flow_runs": {"tags": {"all_": ["nowhere"]}}}, NEWEST),
    "failures by type": ({"flow_runs": {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}}}, NEWEST),
    "running": ({"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}, NEWEST),
    "cancelling": ({"flow_runs": {"state": {"type": {"any_": ["CANCELLING"]}}}}, NEWEST),
    "late": ({"flow_runs": {"state": {"name": {"any_": ["Late"]}}}}, (*NEWEST, "START_TIME_ASC")),
    "scheduled": ({"flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}}}, ("EXPECTED_START_TIME_ASC",)),
    "failures by name": ({"flow_runs": {"state": {"name": {"any_": ["Failed", "Crashed"]}}}}, NEWEST),
    "a state that is nowhere": ({"flow_runs": {"state": {"name": {"any_": ["TimedOut"]}}}}, NEWEST),
    "a name": ({"flow_runs": {"name": {"any_": ["{name}"]}}}, NEWEST),
    "a day": ({"flow_runs": {"start_time": reads.DAY}}, ("START_TIME_DESC", "START_TIME_ASC")),
    "an expected day": (
        {"flow_runs": {"expected_start_time": reads.DAY}},
        ("EXPECTED_START_TIME_DESC", "EXPECTED_START_TIME_ASC"),
    ),
    "a run's subflows": ({"flow_runs": {"parent_flow_run_id": {"any_": ["{parent}"]}}}, NEWEST),
    "a task run": ({"task_runs": {"id": {"any_": ["{task_run}"]}}}, ("START_TIME_DESC",)),
}
# How many have a tag that a third of all has is counted in the table itself.
COUNTED = set(FLOW_RUNS) - {"a tag"}
NAMED_LIKE = {
    "a part of a name": ({"flow_runs": {"name": {"like_": "{name}"}}}, NEWEST),
    "a part that is nowhere": ({"flow_runs": {"name": {"like_": "nowhere"}}}, NEWEST),
}
# Lists of task runs by their state walk along their times: an index on what a change of state writes costs a fifth of the task
# runs that can be recorded in a second, because these updates are HOT ones now.
TASK_RUNS = {
    "nothing": {},
    "a flow run": {"flow_runs": {"id": {"any_": ["{run}"]}}},
    "a flow run's id": {"task_runs": {"flow_run_id": {"any_": ["{run}"]}}},
    "failed": {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}},
    "a tag that is nowhere": {"task_runs": {"tags": {"all_": ["nowhere"]}}},
    "an expected day": {"task_runs": {"expected_start_time": reads.DAY}},
    "a deployment with few runs": {"deployments": {"id": {"any_": ["{rare_deployment}"]}}},
}
LOGS = {
    "nothing": {},
    "a flow run": {"flow_run_id": {"any_": ["{run}"]}},
    "a flow run's errors": {"flow_run_id": {"any_": ["{run}"]}, "level": {"ge_": 40}},
    "text in a flow run": {"flow_run_id": {"any_": ["{run}"]}, "text": {"query": "nowhere"}},
    "a task run": {"task_run_id": {"any_": ["{task_run}"]}},
    "errors": {"level": {"ge_": 40}},
    "a day": {"timestamp": reads.DAY},
}
REQUESTS = [
    *reads.LISTS,
    *reads.COUNTS,
    *reads.CHARTS,
    *(
        (f"flow runs of {name}, {order}", "/flow_runs/filter", {**criteria, "sort": order, "limit": 100})
        for name, (criteria, orders) in FLOW_RUNS.items()
        for order in orders
    ),
    *((f"number of flow runs of {name}", "/flow_runs/count", FLOW_RUNS[name][0]) for name in sorted(COUNTED)),
    *(
        (f"task runs of {name}, {order}", "/task_runs/filter", {**criteria, "sort": order, "limit": 100})
        for name, criteria in TASK_RUNS.items()
        for order in ("EXPECTED_START_TIME_DESC", "EXPECTED_START_TIME_ASC")
    ),
    *(
        (f"logs of {name}, {order}", "/logs/filter", {"logs": criteria, "sort": order, "limit": 200})
        for name, criteria in LOGS.items()
        for order in ("TIMESTAMP_ASC", "TIMESTAMP_DESC")
    ),
]
TRIGRAMS = [
    (f"flow runs of {name}, {order}", "/flow_runs/filter", {**criteria, "sort": order, "limit": 100})
    for name, (criteria, orders) in NAMED_LIKE.items()
    for order in orders
]
OF_A_TIME = [one for one in (*reads.COUNTS, *reads.CHARTS) if "_ago}" in json.dumps(one[2])]


@pytest.fixture(scope="module")
def facts(module_database):
    """What stands for the names in braces of requests, on a database with many runs."""
    fill(module_database, FACTOR)
    with psycopg.connect(module_database) as conn:
        return reads.read_facts(conn)


@pytest.fixture
def plans_of(client, facts, module_database, monkeypatch):
    """A function that sends a request and gives the plans of its statements."""

    def plans(path: str, body: dict) -> list:
        with recording(monkeypatch) as sent:
            answer = client.post(f"/api{path}", json=reads.resolve(body, facts))
        assert answer.status_code == 200, answer.text
        with connect(module_database) as conn:
            return [explain(conn, pending) for pending in sent]

    return plans


def check(plans: list) -> None:
    """Fail where a large table is read from end to end or much is sorted."""
    for plan in plans:
        assert not LARGE.intersection(plan.whole_tables), "\n".join([plan.statement, *plan.lines])
        assert plan.sorted_rows <= MOST_SORTED, "\n".join([plan.statement, *plan.lines])


@pytest.mark.parametrize(("name", "path", "body"), REQUESTS, ids=[f"{path} {name}" for name, path, _ in REQUESTS])
def test_a_request_is_served_by_indexes(plans_of, name, path, body):
    check(plans_of(path, body))


@pytest.mark.parametrize(("name", "path", "body"), TRIGRAMS, ids=[name for name, *_ in TRIGRAMS])
def test_a_part_of_a_name_is_found_by_trigrams_where_there_are_any(plans_of, conn, name, path, body):
    if not sql.catalog.read_standing(conn)["has_trigrams"]:
        pytest.skip("this PostgreSQL has no pg_trgm")
    check(plans_of(path, body))


@pytest.mark.parametrize(("name", "path", "body"), OF_A_TIME, ids=[f"{path} {name}" for name, path, _ in OF_A_TIME])
def test_counts_and_charts_of_a_time_read_the_runs_of_that_time(plans_of, conn, facts, name, path, body):
    since = facts["day_ago" if "{day_ago}" in json.dumps(body) else "week_ago"]
    number = "SELECT count(*) FROM task_run WHERE expected_start_time BETWEEN %s AND %s"
    of_that_time = conn.execute(number, [since, facts["now"]]).fetchone()[0]
    # A run may be looked up in other tables as well, and whole pages are read.
    assert sum(plan.read_rows for plan in plans_of(path, body)) <= 4 * of_that_time


@pytest.mark.parametrize(("path", "table"), [("/flow_runs/count", "flow_run"), ("/task_runs/count", "task_run")])
def test_all_runs_are_not_counted_one_by_one(client, plans_of, conn, facts, path, table):
    number = conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    assert client.post(f"/api{path}", json={}).get_json() == pytest.approx(number, rel=0.02)
    assert sum(plan.read_rows for plan in plans_of(path, {})) < 20_000


def insert_runs(conn, number: int) -> None:
    """Insert flow runs of a new flow."""
    conn.execute(
        "INSERT INTO flow_run (name, flow_id, tags) SELECT 'run', %s, %s FROM generate_series(1, %s)",
        [make_flow(conn), Jsonb([]), number],
    )


def test_all_runs_are_counted_exactly_while_they_are_not_many(database):
    with connect(database) as conn:
        assert sql.flow_runs.count_all(conn) == 0
        insert_runs(conn, 9_999)
        assert sql.flow_runs.count_all(conn) == 9_999
        insert_runs(conn, 1)
        assert sql.flow_runs.count_all(conn) == 10_000


def test_many_runs_are_estimated_with_and_without_statistics(database):
    with connect(database) as conn:
        insert_runs(conn, 12_000)
        assert sql.flow_runs.count_all(conn) >= 10_001
    with connect(database) as conn:  # what the first one did is in the statistics by its end
        conn.execute("ANALYZE flow_run")
        assert sql.flow_runs.count_all(conn) == 12_000
        conn.execute("SELECT pg_stat_reset()")  # as after a crash
        assert sql.flow_runs.count_all(conn) == pytest.approx(12_000, rel=0.02)
