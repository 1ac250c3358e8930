"""The history of flow runs and task runs, and how late flow runs are on average."""

import re
from datetime import datetime, timedelta, timezone

import pytest

import sql
from sql.database import connect
from sql.filters import compose
from sql.ids import uuid7
from sql.statement import number_parameters
from tests.resources import make_flow, problems, told

DAY = datetime(2026, 3, 29, tzinfo=timezone.utc)  # clocks are changed on it in Europe, and nothing here is to show it
FLOW_RUN = """
INSERT INTO flow_run (id, name, flow_id, state_type, state_name, state_timestamp, expected_start_time, start_time, total_run_time)
VALUES (%(id)s::uuid, 'run', %(flow)s, %(type)s, %(name)s, %(since)s, %(expected)s, %(start)s, %(ran)s)
"""
TASK_RUN = """
INSERT INTO task_run (id, name, task_key, dynamic_key, flow_run_id, state_type, state_name, state_timestamp,
                      expected_start_time, start_time, total_run_time)
VALUES (%(id)s::uuid, 'run', 'k', %(id)s::text, %(id)s::uuid, %(type)s, %(name)s, %(since)s, %(expected)s, %(start)s,
        %(ran)s)
"""


@pytest.fixture
def flow(client) -> str:
    return make_flow(client)["id"]


@pytest.fixture
def run(module_database, flow):
    """A function that makes a flow run of the test's flow and a task run in it, both with these columns."""
    with connect(module_database) as conn:

        def make(expected, type="COMPLETED", name=None, since=None, late=0.0, ran=0.0) -> None:
            start = None if late is None else expected + timedelta(seconds=late)
            given = {
                "id": str(uuid7()),
                "flow": flow,
                "type": type,
                "name": name or (type and type.capitalize()),
                "since": since or expected,
            }
            for statement in (FLOW_RUN, TASK_RUN):
                conn.execute(statement, {**given, "expected": expected, "start": start, "ran": timedelta(seconds=ran)})

        yield make


@pytest.fixture(params=["flow_runs", "task_runs"])
def history(client, flow, request):
    """A function that asks for the history of the test's flow runs, or of their task runs, and gives its intervals."""

    def ask(start=DAY, end=DAY + timedelta(days=1), seconds=3600, **criteria) -> list[dict]:
        body = {"history_start": start.isoformat(), "history_end": end.isoformat(), "history_interval_seconds": seconds}
        criteria = {"flows": {"id": {"any_": [flow]}}, **criteria}
        answer = client.post(f"/api/{request.param}/history", json={**body, **criteria})
        assert answer.status_code == 200, answer.text
        return answer.json

    return ask


def starts(intervals: list[dict]) -> list[datetime]:
    return [datetime.fromisoformat(interval["interval_start"].replace("Z", "+00:00")) for interval in intervals]


def counted(intervals: list[dict]) -> dict[int, dict[str, int]]:
    """Give the number of runs by the place of the interval and the name of the state."""
    return {
        place: {state["state_name"]: state["count_runs"] for state in interval["states"]}
        for place, interval in enumerate(intervals)
        if interval["states"]
    }


def test_every_interval_is_there_whether_runs_are_in_it_or_not(history):
    intervals = history()
    assert starts(intervals) == [DAY + timedelta(hours=hour) for hour in range(24)]
    assert intervals[1] == {"interval_start": "2026-03-29T01:00:00Z", "interval_end": "2026-03-29T02:00:00Z", "states": []}
    assert all(interval["states"] == [] for interval in intervals)


def test_the_last_interval_ends_after_the_end_where_they_do_not_fit(history):
    intervals = history(end=DAY + timedelta(seconds=7201), seconds=3600.5)
    assert [interval["interval_end"] for interval in intervals] == ["2026-03-29T01:00:00.500000Z", "2026-03-29T02:00:01Z"]


def test_there_are_at_most_500_intervals(history, run):
    run(DAY + timedelta(seconds=499.999999))
    run(DAY + timedelta(seconds=500), "FAILED")
    intervals = history(seconds=1)
    assert starts(intervals)[-1] == DAY + timedelta(seconds=499) and len(intervals) == 500
    assert counted(intervals) == {499: {"Completed": 1}}


@pytest.mark.parametrize("days", [0, -1])
def test_an_end_that_is_not_after_the_start_leaves_no_interval(history, run, days):
    run(DAY)
    assert history(end=DAY + timedelta(days=days)) == []


def test_an_interval_has_its_start_and_not_its_end(history, run):
    for moment in (-0.000001, 0, 3599.999999, 3600, 86399.999999, 86400):
        run(DAY + timedelta(seconds=moment))
    assert counted(history()) == {0: {"Completed": 2}, 1: {"Completed": 1}, 23: {"Completed": 1}}
    assert counted(history(seconds=86400)) == {0: {"Completed": 4}}


def test_runs_are_counted_by_type_and_name_of_their_state_in_order(history, run):
    for type, name in (
        ("FAILED", None),
        ("COMPLETED", None),
        ("COMPLETED", "Cached"),
        ("COMPLETED", None),
        ("SCHEDULED", "Late"),
    ):
        run(DAY, type, name)
    states = history(seconds=86400)[0]["states"]
    assert [(state["state_type"], state["state_name"], state["count_runs"]) for state in states] == [
        ("SCHEDULED", "Late", 1),
        ("COMPLETED", "Cached", 1),
        ("COMPLETED", "Completed", 2),
        ("FAILED", "Failed", 1),
    ]


def test_run_times_and_lateness_are_summed_to_the_microsecond(history, run):
    for late, ran in ((0.1, 0.1), (0.2, 0.2), (-5, 100_000.000001), (86_400.000001, 0)):
        run(DAY, late=late, ran=ran)
    (state,) = history(seconds=86400)[0]["states"]
    assert (state["sum_estimated_run_time"], state["sum_estimated_lateness"]) == (100_000.300001, 86_400.300001)


def test_a_run_that_goes_on_counts_until_now(history, run):
    now = datetime.now(timezone.utc)
    run(now - timedelta(seconds=500), "RUNNING", since=now - timedelta(seconds=300), late=20, ran=50)
    run(now - timedelta(seconds=100), "SCHEDULED", late=None)
    run(now - timedelta(seconds=100), "CANCELLED", late=None)
    run(now - timedelta(seconds=100), "RUNNING", "Ahead", since=now + timedelta(days=1), ran=50)
    (interval,) = history(now - timedelta(hours=1), now, 3600)
    sums = {s["state_name"]: (s["sum_estimated_run_time"], s["sum_estimated_lateness"]) for s in interval["states"]}
    passed = datetime.now(timezone.utc) - now
    assert 350 <= sums["Running"][0] <= 350 + passed.total_seconds() and sums["Running"][1] == 20
    assert sums["Scheduled"][0] == 0 and 100 <= sums["Scheduled"][1] <= 100 + passed.total_seconds()
    assert sums["Cancelled"] == sums["Ahead"] == (0, 0)


def test_a_run_without_a_state_or_an_expected_start_is_in_no_interval(history, run, module_database, flow):
    run(DAY, None)
    run(DAY)
    with connect(module_database) as conn:
        for table in ("flow_run", "task_run"):
            conn.execute(f"UPDATE {table} SET expected_start_time = NULL WHERE state_type IS NOT NULL")
    assert counted(history()) == {}


def test_runs_are_chosen_by_criteria(history, run):
    run(DAY)
    run(DAY, "FAILED")
    failed = {"state": {"type": {"any_": ["FAILED"]}}}
    assert counted(history(flow_runs=failed)) == counted(history(task_runs=failed)) == {0: {"Failed": 1}}
    assert counted(history(deployments={})) == counted(history(flow_runs=failed, flows={"id": {"any_": []}})) == {}


def test_flow_runs_are_chosen_by_work_pool_and_queue_as_well(client, flow, run):
    run(DAY)
    body = {"history_start": DAY.isoformat(), "history_end": (DAY + timedelta(days=1)).isoformat()}
    body |= {"history_interval_seconds": 86400, "flows": {"id": {"any_": [flow]}}}

    def ask(**criteria) -> dict:
        return counted(client.post("/api/flow_runs/history", json={**body, **criteria}).json)

    assert ask() == ask(work_pool_queues={}) == {0: {"Completed": 1}}  # which is what other operations call queues
    assert ask(work_pools={}) == ask(work_queues={}) == {}


def test_the_interval_is_at_least_a_second(client):
    body = {"history_start": DAY.isoformat(), "history_end": (DAY + timedelta(days=1)).isoformat()}
    for runs in ("flow_runs", "task_runs"):
        for seconds in (0.5, 0, -1, "x", None, [], 1e300, 1e13, float("nan"), float("inf"), 10**400):
            answer = client.post(f"/api/{runs}/history", json={**body, "history_interval_seconds": seconds})
            assert answer.status_code == 422, seconds
        answer = client.post(f"/api/{runs}/history", json={**body, "history_interval_seconds": 0.5})
        assert "history_interval_seconds" in told(answer)


def test_an_interval_that_ends_after_the_last_day_is_refused(client):
    body = {"history_start": "9999-12-31T00:00:00Z", "history_end": "9999-12-31T01:00:00Z"}
    answer = client.post("/api/flow_runs/history", json={**body, "history_interval_seconds": 86400})
    assert problems(answer) == ["body.history_interval_seconds"]
    answer = client.post("/api/flow_runs/history", json={**body, "history_interval_seconds": 3600})
    assert [interval["interval_end"] for interval in answer.json] == ["9999-12-31T01:00:00Z"]


@pytest.mark.parametrize("field", ["history_start", "history_end", "history_interval_seconds"])
def test_a_history_without_its_times_is_refused(client, field):
    body = {"history_start": DAY.isoformat(), "history_end": DAY.isoformat(), "history_interval_seconds": 3600}
    for given in ({**body, field: None}, {key: item for key, item in body.items() if key != field}):
        assert problems(client.post("/api/flow_runs/history", json=given)) == [f"body.{field}"]


def test_lateness_is_the_average_of_all_runs_that_match(client, flow, run):
    def ask(**criteria):
        answer = client.post("/api/flow_runs/lateness", json={"flows": {"id": {"any_": [flow]}}, **criteria})
        assert answer.status_code == 200, answer.text
        return answer.json

    assert ask() is None
    run(DAY, late=10)
    run(DAY, late=-10)
    run(DAY, "FAILED", late=0.000001)
    assert ask() == 3.333334
    run(DAY, "CRASHED", late=2)
    whole = ask(flow_runs={"state": {"type": {"any_": ["CRASHED"]}}})
    assert whole == 2 and isinstance(whole, float)
    assert ask(flow_runs={"state": {"type": {"any_": ["FAILED"]}}}) == 0.000001
    assert ask(flow_runs={"id": {"any_": []}}) is None
    assert ask(work_pools={}) is None
    assert ask(work_pool_queues={}) is None


@pytest.mark.parametrize("table", ["flow_run", "task_run"])
def test_a_history_reads_no_runs_but_those_of_its_time(conn, table):
    needed = {"flow_run": "flow_id", "task_run": "task_key, dynamic_key"}[table]
    values = {"flow_run": f"'{uuid7()}'::uuid", "task_run": "'k', number::text"}[table]
    conn.execute("SET LOCAL session_replication_role = replica")
    conn.execute(
        f"INSERT INTO {table} (id, name, state_type, state_name, expected_start_time, {needed})"
        f" SELECT gen_random_uuid(), 'r', 'COMPLETED', 'Completed', timestamptz '{DAY}' + number * interval '1 hour', {values}"
        "  FROM generate_series(1, 5000) AS number"
    )
    conn.execute(f"ANALYZE {table}")
    composed = sql.run_history.count.text.replace("{run}", table).replace("{filter}", compose(f"{table}s").text)
    text, order = number_parameters(composed)
    start = DAY + timedelta(days=100)  # the other tests have runs of the first day
    given = {"start": start, "end": start + timedelta(days=1), "interval": timedelta(hours=1)}
    result = conn.pgconn.exec_params(b"EXPLAIN (ANALYZE, COSTS OFF) " + text, [dump(given[name]) for name, dump in order])
    plan = [result.get_value(line, 0).decode() for line in range(result.ntuples)]
    place = next(number for number, line in enumerate(plan) if f" on {table}" in line)
    assert f"ix_{table}__expected_start_time_desc" in plan[place] and "rows=24" in plan[place], "\n".join(plan)
    assert re.search(r"Index Cond: .*expected_start_time >= .* AND .*expected_start_time < ", plan[place + 1]), plan[place + 1]
