"""Deleting flows and many runs: with all that belongs to them, in batches, and out of the way of everybody else."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from psycopg import Connection, errors

import sql
from handlers.domain import deletion
from handlers.domain.deletion import delete_flow_runs, delete_flows
from sql import database as db
from sql.database import connect, within
from sql.ids import uuid7
from sql.statement import flush
from tests.resources import created, make_flow, make_flow_run, make_task_run, unique
from tests.runs import make_flow as insert_flow
from tests.runs import make_flow_run as insert_flow_run
from tests.runs import make_task_run as insert_task_run
from tests.runs import propose_flow_run
from tests.slots import count_active, insert_limit, take
from tests.waiting import wait_for_waiter

# What belongs to a flow, by table: gone with it, or left.
GONE = """
SELECT (SELECT count(*) FROM flow_run WHERE flow_id = %(flow)s),
       (SELECT count(*) FROM flow_run_state WHERE flow_run_id = %(run)s),
       (SELECT count(*) FROM flow_run_input WHERE flow_run_id = %(run)s),
       (SELECT count(*) FROM task_run WHERE flow_run_id = %(run)s),
       (SELECT count(*) FROM task_run_state WHERE task_run_id = %(task)s),
       (SELECT count(*) FROM log WHERE flow_run_id = %(run)s),
       (SELECT count(*) FROM deployment WHERE flow_id = %(flow)s),
       (SELECT count(*) FROM concurrency_limit_v2 WHERE name = 'deployment:' || %(deployment)s)
"""
LEFT = """
SELECT (SELECT count(*) FROM artifact WHERE flow_run_id = %(run)s),
       (SELECT count(*) > 0 FROM events WHERE resource_id = 'prefect.flow-run.' || %(run)s)
"""


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


@pytest.fixture
def watcher(session) -> Connection:
    """A session that looks on."""
    return session()


def in_transaction(conn: Connection, act: Callable, ids: list[str]):
    """Do something to ids in a transaction."""
    with within(conn):
        return act(conn, ids)


def test_a_flow_takes_along_all_that_belongs_to_its_runs_but_artifacts_and_events(client):
    flow, other = make_flow(client), make_flow(client)
    deployment = created(client, "deployments", name=unique("deployed"), flow_id=flow["id"], concurrency_limit=3)
    run, kept = make_flow_run(client, flow), make_flow_run(client, other)
    task = make_task_run(client, run, state={"type": "RUNNING"})
    subflow = make_flow_run(client, other, parent_task_run_id=task["id"])
    client.post(f"/api/flow_runs/{run['id']}/input", json={"key": "k", "value": "1"})
    line = {"name": "n", "level": 20, "message": "m", "timestamp": "2026-11-21T04:03:26Z"}
    client.post("/api/logs/", json=[{**line, "flow_run_id": id} for id in (run["id"], kept["id"])])
    parts = {"flow": flow["id"], "run": run["id"], "task": task["id"], "deployment": deployment["id"]}
    with db.connection() as conn:
        conn.execute("INSERT INTO artifact (type, flow_run_id) VALUES ('markdown', %s)", [run["id"]])
        assert all(conn.execute(GONE, parts).fetchone())
        assert client.delete(f"/api/flows/{flow['id']}").status_code == 204
        assert conn.execute(GONE, parts).fetchone() == (0,) * 8
        assert conn.execute(LEFT, parts).fetchone() == (1, True)
    assert client.get(f"/api/flow_runs/{subflow['id']}").json["parent_task_run_id"] is None
    logs = client.post("/api/logs/filter", json={"logs": {"flow_run_id": {"any_": [kept["id"]]}}}).json
    assert [log["message"] for log in logs] == ["m"]


def test_runs_of_a_flow_are_deleted_in_batches(client, monkeypatch):
    monkeypatch.setattr(deletion, "BATCH", 2)
    flows = [make_flow(client) for _ in range(2)]
    runs = [make_flow_run(client, flow) for flow in flows for _ in range(5)]
    ids = sorted(flow["id"] for flow in flows)
    deleted = client.post("/api/flows/bulk_delete", json={"flows": {"id": {"any_": ids}}}).json["deleted"]
    assert sorted(deleted) == ids
    assert client.post("/api/flow_runs/count", json={"flow_runs": {"id": {"any_": [run["id"] for run in runs]}}}).json == 0


@pytest.mark.parametrize("act", ["runs", "flow"])
def test_what_is_deleted_gives_its_slots_back(watcher, act):
    limit, name = insert_limit(watcher, 3)
    flow = insert_flow(watcher)
    run = insert_flow_run(watcher, "RUNNING", flow)
    task = insert_task_run(watcher, "RUNNING", flow_run_id=run)
    other = insert_flow_run(watcher, "RUNNING")
    assert all(take(watcher, name, holder=id)[1]["granted"] for id in (run, task, other))
    if act == "runs":
        in_transaction(watcher, delete_flow_runs, [run])
    else:
        in_transaction(watcher, delete_flows, [flow])
    assert count_active(watcher, limit) == 1
    assert watcher.execute("SELECT holder_id::text FROM downbeat.concurrency_lease").fetchall() == [(other,)]


def test_others_go_on_while_a_flow_is_being_deleted(session, watcher):
    flow, other = insert_flow(watcher), insert_flow(watcher)
    for _ in range(3):
        insert_task_run(watcher, "RUNNING", flow_run_id=insert_flow_run(watcher, "RUNNING", flow))
    theirs = insert_flow_run(watcher, "PENDING", other)
    deleting = session()
    with within(deleting):
        delete_flows(deleting, [flow])
        flush(deleting)
        assert propose_flow_run(watcher, theirs, "RUNNING").status == "ACCEPT"
        assert insert_task_run(watcher, "RUNNING", flow_run_id=theirs)
        assert propose_flow_run(watcher, insert_flow_run(watcher, "PENDING", other), "RUNNING").status == "ACCEPT"
        assert propose_flow_run(watcher, theirs, "COMPLETED").status == "ACCEPT"
    assert watcher.execute("SELECT count(*) FROM flow_run WHERE flow_id = %s", (flow,)).fetchone() == (0,)


def test_a_run_that_is_made_meanwhile_goes_with_the_flow(session, watcher):
    flow = insert_flow(watcher)
    insert_flow_run(watcher, "RUNNING", flow)
    making, deleting = session(), session()
    with ThreadPoolExecutor() as threads:
        with within(making):
            run = insert_flow_run(making, "RUNNING", flow)
            making.execute(
                "INSERT INTO log (name, level, message, timestamp, flow_run_id) VALUES ('n', 20, 'm', now(), %s)", (run,)
            )
            deletion = threads.submit(in_transaction, deleting, delete_flows, [flow])
            wait_for_waiter(watcher)
        assert [str(gone["id"]) for gone in deletion.result()] == [flow]
    assert watcher.execute("SELECT (SELECT count(*) FROM flow_run), (SELECT count(*) FROM log)").fetchone() == (0, 0)


def make_subflow(conn: Connection, flow: str, subflow: str) -> tuple[str, str, str]:
    """Make a run of a flow with a subflow; gives the ids of the run, of its task run for the subflow, and of the subflow."""
    parent = insert_flow_run(conn, "RUNNING", flow)
    task_run = insert_task_run(conn, "PENDING", flow_run_id=parent)
    return parent, task_run, insert_flow_run(conn, "PENDING", subflow, parent_task_run_id=task_run)


def test_deleting_a_flow_waits_for_the_subflow_of_another_without_a_deadlock(session, watcher):
    flow, other = insert_flow(watcher), insert_flow(watcher)
    _, _, subflow = make_subflow(watcher, flow, other)
    moving, deleting = session(), session()
    with ThreadPoolExecutor() as threads:
        with within(moving):
            # From here the transition has the subflow and not yet the task run that stands for it in its parent.
            sql.flow_run_transitions.lock(moving, id=subflow)
            deletion = threads.submit(in_transaction, deleting, delete_flows, [flow])
            wait_for_waiter(watcher)
            assert propose_flow_run(moving, subflow, "RUNNING").status == "ACCEPT"
        assert len(deletion.result()) == 1
    assert watcher.execute("SELECT id::text, parent_task_run_id FROM flow_run").fetchall() == [(subflow, None)]


def test_two_flows_that_have_subflows_of_each_other_are_deleted_without_a_deadlock(session, watcher):
    flows = [insert_flow(watcher), insert_flow(watcher)]
    _, _, first = make_subflow(watcher, flows[0], flows[1])
    make_subflow(watcher, flows[1], flows[0])
    holding, sessions = session(), [session(), session()]
    with ThreadPoolExecutor() as threads:
        with within(holding):
            sql.flow_run_transitions.lock(holding, id=first)
            pairs = zip(sessions, flows, strict=True)
            deletions = [threads.submit(in_transaction, conn, delete_flows, [id]) for conn, id in pairs]
            # Both want the run that is held before any other that both want.
            wait_for_waiter(watcher, 2)
        assert [len(deletion.result()) for deletion in deletions] == [1, 1]
    assert watcher.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)


@pytest.mark.parametrize("act", ["runs", "flow"])
def test_task_runs_are_locked_in_the_order_of_ids(session, watcher, act):
    flow = insert_flow(watcher)
    run = insert_flow_run(watcher, "RUNNING", flow)
    low, high = sorted(str(uuid7()) for _ in range(2))
    for id in (high, low):  # so that they lie in the table the other way round
        insert_task_run(watcher, "RUNNING", flow_run_id=run, id=id)
    recording, deleting = session(), session()
    with ThreadPoolExecutor() as threads:
        with within(recording):
            sql.task_run_transitions.lock(recording, id=low)
            chosen = (delete_flow_runs, [run]) if act == "runs" else (delete_flows, [flow])
            deletion = threads.submit(in_transaction, deleting, *chosen)
            wait_for_waiter(watcher)
            recording.execute("SELECT FROM task_run WHERE id = %s FOR UPDATE NOWAIT", (high,))
        assert len(deletion.result()) == 1


def test_who_makes_a_run_of_a_flow_that_is_being_deleted_waits_and_is_refused(session, watcher):
    flow = insert_flow(watcher)
    deleting, making = session(), session()
    with ThreadPoolExecutor() as threads:
        with within(deleting):
            delete_flows(deleting, [flow])
            flush(deleting)
            run = threads.submit(insert_flow_run, making, "PENDING", flow)
            wait_for_waiter(watcher)
        assert isinstance(run.exception(), errors.ForeignKeyViolation)


def test_a_deletion_that_fails_deletes_nothing(session, watcher):
    flow = insert_flow(watcher)
    insert_flow_run(watcher, "RUNNING", flow)
    deleting = session()
    with pytest.raises(ZeroDivisionError), within(deleting):
        delete_flows(deleting, [flow])
        flush(deleting)
        raise ZeroDivisionError
    assert watcher.execute("SELECT (SELECT count(*) FROM flow), (SELECT count(*) FROM flow_run)").fetchone() == (1, 1)


def test_setting_the_state_of_many_runs_tells_of_one_that_is_deleted_meanwhile(client, monkeypatch):
    flow = make_flow(client)
    runs = [make_flow_run(client, flow)["id"] for _ in range(2)]
    page = sql.flow_runs.page
    gone = str(uuid7())
    monkeypatch.setattr(sql.flow_runs, "page", lambda conn, **arguments: [{"id": gone}, *page(conn, **arguments)])
    body = {"flow_runs": {"id": {"any_": runs}}, "state": {"type": "RUNNING"}}
    results = client.post("/api/flow_runs/bulk_set_state", json=body).json["results"]
    assert [(result["flow_run_id"], result["status"]) for result in results] == [
        (gone, "ABORT"),
        *((id, "ACCEPT") for id in sorted(runs, reverse=True)),
    ]
    assert results[0]["state"] is None
    assert results[0]["details"]["type"] == "abort_details"
