"""Deployments, their schedules, runs, queues and pools under several hands: nobody is a deadlock's victim, no run comes too late.

Each test makes a session hold what a request wants, sees in PostgreSQL that the request waits for it, and only then goes on.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import sql
from app import create_app
from handlers.domain import deletion
from handlers.domain.schedules import make_runs as make_planned
from handlers.domain.schedules import plan_runs
from sql import database as db
from sql.database import connect, within
from sql.statement import flush
from tests.resources import make_flow
from tests.runs import make_flow_run, propose_flow_run
from tests.schedules import make_deployment, make_schedule
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter
from tests.work_pools import make_due_run, make_pool, make_queue

NOW = datetime.now(timezone.utc)
DAILY = {"cron": "0 9 * * *", "timezone": "UTC"}
RUNS = "SELECT count(*) FROM flow_run WHERE deployment_id = %s OR idempotency_key LIKE 'scheduled ' || %s || ' %%'"


@pytest.fixture
def requests(database):
    """Flask's test client on the test's own database."""
    db.open_pool(database, 2)
    yield create_app().test_client()
    db.close_pool()


@pytest.fixture
def watcher(database):
    """A session that looks on."""
    with connect(database) as conn:
        yield conn


@pytest.fixture
def contend(database, requests, watcher):
    """Give a function: do something in a session, send a request that has to wait for it, go on, commit; gives the answer."""

    def contend(first: Callable[[Any], Any], *request: Any, then: Callable[[Any], Any] = flush) -> Any:
        with connect(database) as conn, ThreadPoolExecutor(1) as threads:
            with within(conn):
                flush(conn)
                first(conn)
                flush(conn)
                answer = threads.submit(lambda: requests.open(request[1], method=request[0], json=dict(*request[2:])))
                wait_for_waiter(watcher)
                then(conn)
            return answer.result(PATIENCE_SECONDS)

    return contend


def scheduled(conn, **columns) -> str:
    """Give the id of a deployment that has a schedule."""
    id = str(make_deployment(conn, **columns)["id"])
    make_schedule(conn, id, DAILY)
    return id


def claim(conn) -> None:
    """Lock the deployments, as the scheduler does before it makes their runs."""
    ids = [row[0] for row in conn.execute("SELECT id FROM deployment").fetchall()]
    found = sql.schedules.claim(conn, deployment_ids=ids)
    assert len(found) == 1


def make_runs(id: str) -> Callable[[Any], None]:
    """Make the runs of a deployment that is claimed."""

    def make(conn) -> None:
        plan = plan_runs(conn, [id], NOW, NOW + timedelta(days=10), timedelta(hours=1), 3, 100)
        assert len(make_planned(conn, plan, [id])) == 3

    return make


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("POST", "/api/deployments/{id}/pause_deployment", {}, 200),
    ("PATCH", "/api/deployments/{id}", {"paused": True}, 204),
    ("PATCH", "/api/deployments/{id}", {"schedules": []}, 204),
    ("DELETE", "/api/deployments/{id}/schedules/{schedule}", {}, 204),
    ("PATCH", "/api/deployments/{id}/schedules/{schedule}", {"active": False}, 204),
    ("DELETE", "/api/deployments/{id}", {}, 204),
    ("POST", "/api/deployments/bulk_delete", {}, 200),
])  # fmt: skip
def test_what_ends_a_schedule_waits_for_the_scheduler_and_takes_the_runs_that_it_made(
    contend, watcher, requests, method, path, body, status
):
    id = scheduled(watcher)
    (schedule,) = requests.get(f"/api/deployments/{id}/schedules").json
    answer = contend(claim, method, path.format(id=id, schedule=schedule["id"]), body, then=make_runs(id))
    assert answer.status_code == status, answer.text
    assert watcher.execute(RUNS, [id, id]).fetchone() == (0,)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_redeploy_waits_for_the_scheduler_and_keeps_the_runs_of_schedules_that_stay(contend, watcher, requests, keeps):
    body = {"name": "d", "flow_id": make_flow(requests)["id"], "schedules": [{"schedule": DAILY}]}
    id = requests.post("/api/deployments/", json=body).json["id"]
    body |= {} if keeps else {"schedules": [{"schedule": {"interval": 60}}]}
    assert contend(claim, "POST", "/api/deployments/", body, then=make_runs(id)).status_code == 200
    assert watcher.execute(RUNS, [id, id]).fetchone() == (3 if keeps else 0,)


@pytest.mark.parametrize("whole", [True, False])
def test_the_end_of_a_queue_waits_for_the_scheduler_without_a_deadlock(contend, watcher, requests, whole):
    """The scheduler has the deployment and is yet to refer to its queue."""
    pool = make_pool(requests)
    queue = make_queue(requests, pool, "q")
    id = scheduled(watcher, work_queue_id=queue["id"])
    path = f"/api/work_pools/{pool['name']}" + ("" if whole else "/queues/q")
    assert contend(claim, "DELETE", path, then=make_runs(id)).status_code == 204
    left = "SELECT count(*), count(work_queue_id) FROM flow_run WHERE deployment_id = %s"
    assert watcher.execute(left, [id]).fetchone() == (3, 0)
    assert requests.get(f"/api/deployments/{id}").json["work_queue_id"] is None


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_deployment_that_is_to_go_into_a_pool_that_is_being_deleted_finds_it_gone(contend, watcher, requests, method):
    """The deletion is yet to lock the pool's deployments, and the request would lock one of them."""
    pool = make_pool(requests)
    deployment = make_deployment(watcher, work_queue_id=pool["default_queue_id"])
    body, path = {"work_pool_name": pool["name"]}, "/api/deployments/"
    if method == "PATCH":
        path += str(deployment["id"])
    else:
        body |= {"name": deployment["name"], "flow_id": deployment["flow_id"]}

    def delete(conn):
        sql.work_queues.release_deployments.send(conn, ids=[pool["default_queue_id"]])
        sql.work_pools.delete(conn, id=pool["id"])

    answer = contend(lambda conn: sql.work_pools.lock(conn, name=pool["name"]), method, path, body, then=delete)
    assert (answer.status_code, pool["name"] in answer.json["detail"]) == (404, True)


def test_a_pool_that_a_deployment_goes_into_is_deleted_behind_it(contend, watcher, requests):
    pool, flow = make_pool(requests), make_flow(requests)

    def deploy(conn):
        held = sql.work_queues.hold(conn, id=pool["default_queue_id"])
        make_deployment(conn, name="d", flow_id=flow["id"], work_queue_id=held)

    assert contend(deploy, "DELETE", f"/api/work_pools/{pool['name']}").status_code == 204
    assert watcher.execute("SELECT work_queue_id FROM deployment WHERE name = 'd'").fetchone() == (None,)


def test_the_end_of_a_pool_waits_for_a_run_that_changes(contend, watcher, requests):
    """It locks the runs in the order of ids and is stopped at the first, so that it does not hold the second."""
    pool = make_pool(requests)
    first, second = sorted(make_due_run(requests, pool)["id"] for _ in range(2))
    behind = "UPDATE flow_run SET next_scheduled_start_time = now() WHERE id = %s"
    watcher.execute(behind, [first])  # so that it comes behind the second in the table and in indexes
    lock = "SELECT FROM flow_run WHERE id = %s FOR UPDATE"
    answer = contend(
        lambda conn: conn.execute(lock, [first]),
        *("DELETE", f"/api/work_pools/{pool['name']}"),
        then=lambda conn: conn.execute(lock, [second]),
    )
    assert answer.status_code == 204
    assert watcher.execute("SELECT count(work_queue_id) FROM flow_run").fetchone() == (0,)


@pytest.mark.parametrize("is_bulk", [False, True])
def test_a_deployment_made_while_its_flow_is_being_deleted_goes_with_its_limit(watcher, requests, monkeypatch, is_bulk):
    flow_id = requests.post("/api/flows/", json={"name": "brief"}).json["id"]
    delete_runs, made = deletion.delete_runs_of_flows, []

    def make_meanwhile(conn, ids):
        delete_runs(conn, ids)
        if not made:
            fields = {"name": "late", "flow_id": flow_id, "concurrency_limit": 1}
            made.append(requests.application.test_client().post("/api/deployments/", json=fields).status_code)

    monkeypatch.setattr(deletion, "delete_runs_of_flows", make_meanwhile)
    if is_bulk:
        requests.post("/api/flows/bulk_delete", json={"flows": {"id": {"any_": [flow_id]}}})
    else:
        requests.delete(f"/api/flows/{flow_id}")
    assert made == [201]
    left = "SELECT (SELECT count(*) FROM flow), (SELECT count(*) FROM deployment), (SELECT count(*) FROM concurrency_limit_v2)"
    assert watcher.execute(left).fetchone() == (0, 0, 0)


def test_a_run_that_takes_a_slot_while_its_flow_is_being_deleted_gives_it_back(database, watcher, requests):
    flow_id = requests.post("/api/flows/", json={"name": "brief"}).json["id"]
    fields = {"name": "limited", "flow_id": flow_id, "concurrency_limit": 1}
    deployment_id = requests.post("/api/deployments/", json=fields).json["id"]
    first = make_flow_run(watcher, "SCHEDULED", flow_id)
    flush(watcher)
    with connect(database) as holder, connect(database) as starter, ThreadPoolExecutor(1) as thread:
        sql.transactions.begin.send(holder)
        propose_flow_run(holder, first, "PENDING")
        deleted = thread.submit(requests.delete, f"/api/flows/{flow_id}")
        wait_for_waiter(watcher)
        second = make_flow_run(starter, "SCHEDULED", flow_id, deployment_id=deployment_id)
        flush(starter)
        with within(starter):
            assert propose_flow_run(starter, second, "PENDING").status == "ACCEPT"
            sql.transactions.commit(holder)
            wait_for_waiter(watcher)
        assert deleted.result(PATIENCE_SECONDS).status_code == 204
    left = "SELECT (SELECT count(*) FROM flow_run), (SELECT count(*) FROM downbeat.concurrency_lease)"
    assert watcher.execute(left).fetchone() == (0, 0)
