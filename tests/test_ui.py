"""What only the web interface asks for."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from sql.database import connect
from tests.resources import NOBODY, created, make_flow, make_flow_run, make_task_run, problems, told, unique
from tests.test_task_runs import FIELDS, stable

MINUTE = datetime(2026, 3, 29, tzinfo=timezone.utc)
TYPES = re.findall(r"\w+", "SCHEDULED PENDING RUNNING COMPLETED FAILED CANCELLED CRASHED PAUSED CANCELLING")


def ask(client, path: str, **body):
    """Post to one of the operations and give its answer."""
    answer = client.post(f"/api/ui/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json


def scheduled(client, flow: dict, seconds: int, **fields) -> dict:
    """Make a flow run that is to start so many seconds from now."""
    time = (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()
    return make_flow_run(client, flow, state={"type": "SCHEDULED", "state_details": {"scheduled_time": time}}, **fields)


@pytest.fixture
def update(module_database):
    """A function that sets columns of a run."""
    with connect(module_database) as conn:

        def change(run: dict, **columns) -> None:
            table = "task_run" if "task_key" in run else "flow_run"
            for column, value in columns.items():
                conn.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [value, run["id"]])

        yield change


def test_a_task_run_is_shown_with_the_name_of_its_flow_run(client):
    flow_run = make_flow_run(client)
    run, alone = make_task_run(client, flow_run, state={"type": "COMPLETED"}), make_task_run(client)
    for made, name in ((run, flow_run["name"]), (alone, None)):
        shown = client.get(f"/api/ui/task_runs/{made['id']}").json
        assert list(shown) == [*FIELDS, "flow_run_name"]
        assert stable(shown) == stable({**made, "flow_run_name": name})
    for id in (NOBODY, flow_run["id"], "nonsense"):
        assert client.get(f"/api/ui/task_runs/{id}").status_code == 404


def test_task_runs_are_counted_by_the_type_of_their_state(client, update):
    flow_run = make_flow_run(client)
    of = {"id": {"any_": [flow_run["id"]]}}
    assert ask(client, "task_runs/count", flow_runs=of) == dict.fromkeys(TYPES, 0)
    for type in (*TYPES, "RUNNING", "RUNNING"):
        make_task_run(client, flow_run, state={"type": type})
    update(make_task_run(client, flow_run), state_type=None)
    assert ask(client, "task_runs/count", flow_runs=of) == {**dict.fromkeys(TYPES, 1), "RUNNING": 3}
    failed = {"state": {"type": {"any_": ["FAILED"]}}}
    assert ask(client, "task_runs/count", flow_runs=of, task_runs=failed) == {**dict.fromkeys(TYPES, 0), "FAILED": 1}
    assert ask(client, "task_runs/count", flow_runs=of, deployments={}) == dict.fromkeys(TYPES, 0)


def test_task_runs_that_stand_for_a_subflow_are_not_counted_in_their_flow_run(client):
    parent, other, empty = (make_flow_run(client) for _ in range(3))
    call = make_task_run(client, parent)
    child, _ = (make_flow_run(client, parent_task_run_id=call["id"]) for _ in range(2))
    for run in (parent, parent, other, child):
        make_task_run(client, run)
    make_task_run(client)
    asked = [run["id"] for run in (empty, parent, other, child, other)] + [NOBODY]
    counts = ask(client, "flow_runs/count-task-runs", flow_run_ids=asked)
    assert counts == {empty["id"]: 0, parent["id"]: 2, other["id"]: 1, child["id"]: 1, NOBODY: 0}
    assert ask(client, "flow_runs/count-task-runs", flow_run_ids=[]) == {}


def test_deployments_are_counted_by_flow(client):
    one, two, none = (make_flow(client) for _ in range(3))
    for flow in (one, two, two):
        created(client, "deployments", name=unique("deployment"), flow_id=flow["id"])
    counts = ask(client, "flows/count-deployments", flow_ids=[one["id"], two["id"], none["id"], two["id"], NOBODY])
    assert counts == {one["id"]: 1, two["id"]: 2, none["id"]: 0, NOBODY: 0}
    assert ask(client, "flows/count-deployments", flow_ids=[]) == {}


def test_the_next_run_of_a_flow_is_the_scheduled_one_that_starts_first(client, update):
    flow, other, none = (make_flow(client) for _ in range(3))
    scheduled(client, flow, 900)
    first = scheduled(client, flow, 600, name="first")
    late = scheduled(client, other, -60)
    started = scheduled(client, other, -90)
    client.post(f"/api/flow_runs/{started['id']}/set_state", json={"state": {"type": "RUNNING"}})
    update(scheduled(client, other, -120), next_scheduled_start_time=None)
    make_flow_run(client, none, state={"type": "RUNNING"})
    found = ask(client, "flows/next-runs", flow_ids=[flow["id"], other["id"], none["id"], flow["id"], NOBODY])
    assert {id: run and run["id"] for id, run in found.items()} == {
        flow["id"]: first["id"],
        other["id"]: late["id"],
        none["id"]: None,
        NOBODY: None,
    }
    assert found[flow["id"]] == {
        "id": first["id"],
        "flow_id": flow["id"],
        "name": "first",
        "state_name": "Scheduled",
        "state_type": "SCHEDULED",
        "next_scheduled_start_time": first["next_scheduled_start_time"],
    }


@pytest.mark.parametrize("path", ["flow_runs/count-task-runs", "flows/count-deployments", "flows/next-runs"])
def test_ids_are_needed(client, path):
    field = "flow_run_ids" if path.startswith("flow_runs") else "flow_ids"
    assert problems(client.post(f"/api/ui/{path}", json={})) == [f"body.{field}"]
    assert problems(client.post(f"/api/ui/{path}", json={field: None})) == [f"body.{field}"]
    assert problems(client.post(f"/api/ui/{path}", json={field: [NOBODY, "x"]})) == [f"body.{field}.1"]
    assert len(ask(client, path, **{field: [f"{number:032x}" for number in range(1000)]})) == 1000


def test_flow_runs_are_shown_as_points(client, update):
    flow = make_flow(client)
    of = {"id": {"any_": [flow["id"]]}}
    done, waiting = make_flow_run(client, flow, state={"type": "COMPLETED"}), scheduled(client, flow, 600)
    for run, columns in (
        (make_flow_run(client, flow), {"state_type": None}),
        (make_flow_run(client, flow), {"start_time": None, "expected_start_time": None}),
        (done, {"start_time": MINUTE + timedelta(seconds=5), "expected_start_time": MINUTE, "total_run_time": "1.5 s"}),
    ):
        update(run, **columns)
    expected = waiting["expected_start_time"]
    points = [
        {"id": waiting["id"], "state_type": "SCHEDULED", "timestamp": expected, "duration": 0, "lateness": 0},
        *[{"id": done["id"], "state_type": "COMPLETED", "timestamp": "2026-03-29T00:00:05Z", "duration": 1.5, "lateness": 5}],
    ]
    assert ask(client, "flow_runs/history", flows=of) == points
    assert ask(client, "flow_runs/history", flows=of, sort="START_TIME_ASC") == points[::-1]
    assert ask(client, "flow_runs/history", flows=of, limit=1, offset=1) == points[1:]
    assert ask(client, "flow_runs/history", flows=of, flow_runs={"start_time": {"before_": expected}}, limit=1) == points[:1]
    assert ask(client, "flow_runs/history", flows=of, work_pools={}) == ask(client, "flow_runs/history", flows=of, limit=0) == []
    for field, value in (("limit", 1001), ("limit", -1), ("offset", -1), ("sort", "ID_ASC"), ("flows", {"x": 1})):
        assert problems(client.post("/api/ui/flow_runs/history", json={field: value}))[0].startswith(f"body.{field}")


@pytest.fixture
def outcomes(client, update):
    """A function that makes task runs started so many seconds after the minute, and one that gives their outcomes."""
    flow_run = make_flow_run(client)

    def start(seconds: float, type: str = "COMPLETED", at: datetime = MINUTE) -> None:
        update(make_task_run(client, flow_run, state={"type": type}), start_time=at + timedelta(seconds=seconds))

    def count(after: float = 0, before: float = 1140, **others) -> list[tuple[int, int]]:
        times = {"after_": (MINUTE + timedelta(seconds=after)).isoformat()}
        times |= {"before_": (MINUTE + timedelta(seconds=before)).isoformat()}
        body = {"task_runs": {"start_time": times, **others}, "flow_runs": {"id": {"any_": [flow_run["id"]]}}}
        return [(bucket["completed"], bucket["failed"]) for bucket in ask(client, "task_runs/dashboard/counts", **body)]

    start.count = count
    return start


def test_outcomes_of_task_runs_are_counted_in_twentieths_of_whole_minutes(outcomes):
    for seconds in (0, 59.999999, 60, 1139.999999, 1140):
        outcomes(seconds)
    # Twenty minutes: the last begins with `before`.
    assert outcomes.count() == [(2, 0), (1, 0), *[(0, 0)] * 16, (1, 0), (1, 0)]
    # What is before `after` does not count, though the first twentieth begins with its minute.
    assert outcomes.count(after=30)[:2] == [(1, 0), (1, 0)]
    assert outcomes.count(before=59.999999) == [(1, 0), *[(0, 0)] * 18, (1, 0)]
    assert outcomes.count(after=60, before=0) == outcomes.count(after=600, before=60) == [(0, 0)] * 20


def test_an_outcome_is_a_failure_or_any_other_end(outcomes):
    for type in TYPES:
        outcomes(5, type)
    assert outcomes.count() == [(2, 2), *[(0, 0)] * 19]
    assert outcomes.count(state={"type": {"any_": ["RUNNING"]}}) == outcomes.count()  # whatever states are asked for
    assert outcomes.count(tags={"all_": ["x"]}) == [(0, 0)] * 20


def test_outcomes_are_counted_until_now(client, outcomes):
    now = datetime.now(timezone.utc)
    outcomes(0, at=now)
    outcomes(600, at=now)
    body = {"task_runs": {"start_time": {"after_": (now - timedelta(days=1)).isoformat()}}}
    assert ask(client, "task_runs/dashboard/counts", **body)[19]["completed"] >= 1
    here = {"flow_runs": {"id": {"any_": [NOBODY]}}}
    assert ask(client, "task_runs/dashboard/counts", **body, **here) == [{"completed": 0, "failed": 0}] * 20


@pytest.mark.parametrize("task_runs", [{}, {"start_time": None}, {"start_time": {}}, {"start_time": {"before_": "2026-01-01"}}])
def test_outcomes_need_a_time_after_which(client, task_runs):
    answer = client.post("/api/ui/task_runs/dashboard/counts", json={"task_runs": task_runs})
    assert "task_runs.start_time.after_" in told(answer)
    assert problems(client.post("/api/ui/task_runs/dashboard/counts", json={})) == ["body.task_runs"]


def test_a_form_is_checked(client):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}, "required": ["n"]}
    assert ask(client, "schemas/validate", schema=schema, values={"n": 1}) == {"errors": [], "valid": True}
    assert ask(client, "schemas/validate", schema=schema, values={"n": "x"}) == {
        "errors": [{"property": "n", "errors": ["'x' is not of type 'integer'"]}],
        "valid": False,
    }
    for bad in (
        {"type": "nonsense"},
        {"$ref": "#"},
        {"$ref": "#/definitions/no"},
        {"$id": 5},
        {"required": 5, "properties": {"a": {}}},
    ):
        assert told(client.post("/api/ui/schemas/validate", json={"schema": bad, "values": {}})).startswith("Invalid schema: ")
    answer = client.post("/api/ui/schemas/validate", json={"schema": [], "values": None})
    assert sorted(problems(answer)) == ["body.schema", "body.values"]
