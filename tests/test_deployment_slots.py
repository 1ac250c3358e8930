"""The slots of deployments as workers and clients meet them: in polls, over HTTP, two at once, and what it costs."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from app import create_app
from sql import database as db
from sql.database import connect, within
from tests import runs
from tests.bench import round_trips
from tests.resources import created, make_flow, make_flow_run, unique
from tests.runs import propose_flow_run, propose_task_run
from tests.slots import Deployed, count_active, insert_limit
from tests.waiting import wait_for_waiter
from tests.work_pools import make_due_run, make_pool, poll

NEW_CLIENT = {"User-Agent": "prefect/3.8.3 (API 0.8.4)"}


def make_deployment(client, pool=None, **fields):
    """Create a deployment of a flow of its own, with one slot unless told otherwise."""
    body = {"name": unique("d"), "flow_id": make_flow(client)["id"], "concurrency_limit": 1} | fields
    return created(client, "deployments", **body | ({"work_pool_name": pool["name"]} if pool else {}))


def make_run(client, deployment, seconds=-60, **fields):
    """Create a run of a deployment that is due at a time from now, in the deployment's pool if it has one."""
    flow = {"id": deployment["flow_id"]}
    fields = {"flow": flow, "deployment_id": deployment["id"], **fields}
    if deployment["work_pool_name"] is None:
        return make_flow_run(client, **fields)
    return make_due_run(client, {"name": deployment["work_pool_name"]}, None, seconds, **fields)


def propose(client, run, type, headers=NEW_CLIENT, **state):
    """Propose a state for a flow run; gives the answer."""
    answer = client.post(f"/api/flow_runs/{run['id']}/set_state", json={"state": {"type": type, **state}}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return answer.json


def read_limit(client, deployment):
    """Give a deployment's limit."""
    return client.get(f"/api/v2/concurrency_limits/deployment:{deployment['id']}").json


def served(client, *deployments):
    """Give the names of the due runs that a process is handed which serves deployments."""
    ids = [deployment["id"] for deployment in deployments]
    answer = client.post("/api/deployments/get_scheduled_flow_runs", json={"deployment_ids": ids, "limit": 5})
    return [run["name"] for run in answer.json]


def handed_out(client, pool, way, *deployments):
    """Give the names of the runs that are handed out in one of the ways there are."""
    if way == "served":
        return served(client, *deployments)
    if way == "pool":
        return poll(client, pool, limit=5)
    queue = client.get(f"/api/work_pools/{pool['name']}/queues/default").json
    if way == "filter":
        update = {"filter": {"deployment_ids": [deployment["id"] for deployment in deployments]}}
        queue = created(client, "work_queues", name=unique("queue"), **update)
    answer = client.post(f"/api/work_queues/{queue['id']}/get_runs", json={"limit": 5})
    assert answer.status_code == 200, answer.text
    return [run["name"] for run in answer.json]


@pytest.mark.parametrize("way", ["pool", "served", "filter"])
def test_what_is_handed_out_can_get_a_slot_and_no_backlog_blocks_others(client, way):
    pool = make_pool(client)
    full, free, open_ended = (make_deployment(client, pool, concurrency_limit=limit) for limit in (1, 2, None))
    all_three = (full, free, open_ended)
    holder = make_run(client, full)
    assert propose(client, holder, "PENDING")["status"] == "ACCEPT"
    for number in range(7):
        make_run(client, full, -100 + number, name=f"full-{number}")
        make_run(client, free, -90 + number, name=f"free-{number}")
        make_run(client, open_ended, -80 + number, name=f"open-{number}")
    assert handed_out(client, pool, way, *all_three) == ["free-0", "free-1", "open-0", "open-1", "open-2"]
    propose(client, holder, "CRASHED")
    assert handed_out(client, pool, way, *all_three) == ["full-0", "free-0", "free-1", "open-0", "open-1"]


def test_runs_without_a_deployment_are_handed_out_beside_those_that_wait_for_a_slot(client):
    pool = make_pool(client)
    deployment = make_deployment(client, pool)
    client.patch(f"/api/v2/concurrency_limits/deployment:{deployment['id']}", json={"limit": 0})
    make_run(client, deployment, -100, name="never")
    make_due_run(client, pool, None, -50, name="plain")
    assert poll(client, pool) == ["plain"]


@pytest.mark.parametrize("way", ["pool", "served", "filter"])
def test_runs_that_are_to_be_cancelled_for_want_of_a_slot_are_handed_out_for_that(client, way):
    pool = make_pool(client)
    deployment = make_deployment(client, pool, concurrency_options={"collision_strategy": "CANCEL_NEW"})
    propose(client, make_run(client, deployment), "PENDING")
    run = make_run(client, deployment, name="surplus")
    assert handed_out(client, pool, way, deployment) == ["surplus"]
    assert propose(client, run, "PENDING")["state"]["type"] == "CANCELLED"
    assert handed_out(client, pool, way, deployment) == []


def test_slots_of_leases_that_have_run_out_are_free_for_polls(client, module_database):
    pool = make_pool(client)
    deployment = make_deployment(client, pool)
    propose(client, make_run(client, deployment), "PENDING")
    make_run(client, deployment, name="next")
    assert poll(client, pool) == []
    with connect(module_database) as conn:
        conn.execute(
            "UPDATE downbeat.concurrency_lease SET expires = now() WHERE limit_id = %s", [read_limit(client, deployment)["id"]]
        )
    assert poll(client, pool) == ["next"]


def test_a_client_that_is_too_old_to_renew_leases_keeps_its_slot(client, module_database):
    deployment = make_deployment(client, concurrency_limit=2)
    for version, endless in (("3.4.10", True), ("3.4.11", False)):
        run = make_run(client, deployment, state={"type": "SCHEDULED"})
        headers = {"User-Agent": f"prefect/{version} (API 0.8.4)"}
        propose(client, run, "PENDING", headers)
        lease = propose(client, run, "RUNNING", headers)["state"]["state_details"]["deployment_concurrency_lease_id"]
        with connect(module_database) as conn:
            until = "SELECT expires = 'infinity' FROM downbeat.concurrency_lease WHERE id = %s"
            assert conn.execute(until, [lease]).fetchone() == (endless,)


@pytest.mark.parametrize(
    ("agent", "takes_it_by_itself"),
    [
        ("prefect/3.0.0rc20 (API 0.8.4)", True),
        ("prefect/3.0.3 (API 0.8.4)", True),
        ("prefect/3.0.4 (API 0.8.4)", False),
        ("prefect/2.20.16 (API 0.8.4)", False),
        ("prefect/3.0.3", False),
        ("curl/8", False),
    ],
)
def test_the_rules_take_no_slot_for_workers_that_take_it_by_themselves(client, agent, takes_it_by_itself):
    deployment, headers = make_deployment(client), {"User-Agent": agent}
    one, two = (make_run(client, deployment, state={"type": "SCHEDULED"}) for _ in range(2))
    assert propose(client, one, "PENDING", headers)["status"] == "ACCEPT"
    assert read_limit(client, deployment)["active_slots"] == (0 if takes_it_by_itself else 1)
    assert propose(client, two, "PENDING", headers)["status"] == ("ACCEPT" if takes_it_by_itself else "REJECT")
    assert propose(client, one, "RUNNING", headers)["status"] == "ACCEPT"
    assert propose(client, one, "COMPLETED", headers)["status"] == "ACCEPT"
    assert read_limit(client, deployment)["active_slots"] == 0


def test_the_runner_renews_the_lease_and_is_told_when_it_is_gone(client):
    deployment = make_deployment(client)
    run = make_run(client, deployment, state={"type": "SCHEDULED"})
    lease = propose(client, run, "PENDING")["state"]["state_details"]["deployment_concurrency_lease_id"]
    renew = f"/api/v2/concurrency_limits/leases/{lease}/renew"
    assert client.post(renew, json={"lease_duration": 300}).status_code == 204
    propose(client, run, "CRASHED")
    assert client.post(renew, json={"lease_duration": 300}).status_code == 410


@pytest.mark.parametrize("what", ["flow_runs/{run}", "flows/{flow}", "flow_runs/bulk_delete", "flows/bulk_delete"])
def test_deleting_whatever_a_holder_is_part_of_gives_its_slot_back(client, module_database, what):
    deployment = make_deployment(client)
    run = make_run(client, deployment, state={"type": "SCHEDULED"})
    propose(client, run, "PENDING")
    limit_id = read_limit(client, deployment)["id"]
    if what.endswith("bulk_delete"):
        noun = what.partition("/")[0]
        id = run["id"] if noun == "flow_runs" else deployment["flow_id"]
        assert client.post(f"/api/{what}", json={noun: {"id": {"any_": [id]}}}).json["deleted"] == [id]
    else:
        path = what.format(run=run["id"], flow=deployment["flow_id"])
        assert client.delete(f"/api/{path}").status_code == 204
    with connect(module_database) as conn:
        held = "SELECT count(*) FROM downbeat.concurrency_lease WHERE limit_id = %s"
        assert conn.execute(held, [limit_id]).fetchone() == (0,)
        left = conn.execute("SELECT active_slots FROM concurrency_limit_v2 WHERE id = %s", [limit_id]).fetchone()
        assert left == ((0,) if what.startswith("flow_runs") else None)


def test_deleting_a_task_run_gives_its_slot_back(client, module_database):
    tag = unique("tag")
    limit = created(client, "v2/concurrency_limits", name=f"tag:{tag}", limit=1)
    task_run = created(client, "task_runs", task_key="t", dynamic_key=unique("k"), flow_run_id=None, tags=[tag])
    client.post(f"/api/task_runs/{task_run['id']}/set_state", json={"state": {"type": "RUNNING"}})
    with connect(module_database) as conn:
        assert count_active(conn, limit["id"]) == 1
        assert client.delete(f"/api/task_runs/{task_run['id']}").status_code == 204
        assert count_active(conn, limit["id"]) == 0


def test_the_limit_of_a_deployment_follows_the_deployment(client):
    deployment = make_deployment(client)
    assert read_limit(client, deployment)["limit"] == 1
    path = f"/api/deployments/{deployment['id']}"
    assert client.patch(path, json={"concurrency_limit": 3}).status_code == 204
    assert read_limit(client, deployment)["limit"] == 3
    assert client.delete(path).status_code == 204
    assert "id" not in read_limit(client, deployment)


def start_two(database, first, second):
    """Have two sessions propose states; the second has to wait for the first to commit. Gives both outcomes."""
    with connect(database) as one, connect(database) as other, connect(database) as watcher, ThreadPoolExecutor() as threads:

        def follow():
            with within(other):
                return second(other)

        with within(one):
            outcome = first(one)
            waiting = threads.submit(follow)
            wait_for_waiter(watcher)
        return outcome, waiting.result()


def put_in(database):
    """Put rows of a deployment with one slot and two scheduled runs into a database of the test's own; gives the runs' ids."""
    with connect(database) as conn:
        deployed = Deployed(conn)
        ids = [deployed.make_run() for _ in range(2)]
        return deployed.limit_id, ids


def test_of_two_runs_that_are_submitted_at_once_one_gets_the_last_slot(database):
    limit_id, (one, other) = put_in(database)
    first, second = start_two(
        database, lambda conn: propose_flow_run(conn, one, "PENDING"), lambda conn: propose_flow_run(conn, other, "PENDING")
    )
    assert (first.status, second.proposed.name) == ("ACCEPT", "AwaitingConcurrencySlot")
    with connect(database) as conn:
        assert count_active(conn, limit_id) == 1


def test_a_run_that_waits_for_one_that_ends_gets_its_slot(database):
    limit_id, (one, other) = put_in(database)
    with connect(database) as conn:
        propose_flow_run(conn, one, "PENDING")
    first, second = start_two(
        database, lambda conn: propose_flow_run(conn, one, "CRASHED"), lambda conn: propose_flow_run(conn, other, "PENDING")
    )
    assert (first.status, second.status) == ("ACCEPT", "ACCEPT")
    with connect(database) as conn:
        assert count_active(conn, limit_id) == 1


def test_of_two_task_runs_that_start_at_once_one_gets_the_last_slot(database):
    with connect(database) as conn:
        limit_id, _ = insert_limit(conn, name="tag:t")
        one, other = (runs.make_task_run(conn, "PENDING", tags=["t"]) for _ in range(2))
    first, second = start_two(
        database, lambda conn: propose_task_run(conn, one, "RUNNING"), lambda conn: propose_task_run(conn, other, "RUNNING")
    )
    assert (first.status, second.status) == ("ACCEPT", "WAIT")
    with connect(database) as conn:
        assert count_active(conn, limit_id) == 1


def test_only_taking_a_slot_costs_a_round_trip_more(database):
    url, counts = round_trips.start(database)
    db.open_pool(url, 1)
    try:
        with create_app().test_client() as client:
            for _ in range(2):  # preparing costs nothing more
                costs = {}
                for limit in (None, 1):
                    deployment = make_deployment(client, concurrency_limit=limit)
                    run = make_run(client, deployment, state={"type": "SCHEDULED"})
                    trips = [counts.round_trips]
                    for type in ("PENDING", "RUNNING", "COMPLETED"):
                        propose(client, run, type)
                        trips.append(counts.round_trips)
                    costs[limit] = [after - before for before, after in pairwise(trips)]
    finally:
        db.close_pool()
    assert costs == {None: [2, 2, 2], 1: [3, 3, 2]}
