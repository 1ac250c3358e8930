"""Operations under /work_queues: queues by id, and those that agents poll by name or tags."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import sql
from handlers.domain import work_pools as rules
from sql.database import connect, within
from sql.ids import uuid7
from sql.statement import flush
from tests.resources import NOBODY, created, make_flow, make_flow_run, problems, unique
from tests.waiting import wait_for_waiter


@pytest.fixture
def database_of(module_database):
    """A connection to the database behind the client, to look inside."""
    with connect(module_database) as conn:
        yield conn


def make_queue(client, **fields):
    """Create a queue in the pool of agents, with a unique name unless one is given."""
    return created(client, "work_queues", **{"name": unique("queue"), **fields})


def read(client, queue):
    """Give a queue as it is now."""
    return client.get(f"/api/work_queues/{queue['id']}").json


def poll(client, queue, headers=None, **body):
    """Poll a queue and give the names of the runs."""
    answer = client.post(f"/api/work_queues/{queue['id']}/get_runs", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return [run["name"] for run in answer.json]


def make_due_run(client, name, **fields):
    """Create a run that is due."""
    return make_flow_run(client, name=name, **{"state": {"type": "SCHEDULED"}, **fields})


def test_a_queue_without_a_pool_goes_to_that_of_agents(client):
    queue = make_queue(client, concurrency_limit=2)
    assert queue["work_pool_name"] == "default-agent-pool"
    assert (queue["active_slots"], queue["status"]) == (0, "NOT_READY")
    assert client.get(f"/api/work_queues/name/{queue['name']}").json == read(client, queue) == queue
    assert client.post("/api/work_queues/", json={"name": queue["name"]}).status_code == 409
    assert client.get("/api/work_pools/default-agent-pool").json["status"] is None


def test_the_default_queue_that_comes_with_the_pool_of_agents_is_the_one_asked_for(database):
    with connect(database) as first, connect(database) as second, connect(database) as watch, ThreadPoolExecutor() as threads:

        def lock():
            with within(second):
                return rules.lock_agent_pool(second)["default_queue_id"]

        with within(first):
            pool = rules.lock_agent_pool(first)
            flush(first)
            other = threads.submit(lock)
            wait_for_waiter(watch)
        assert other.result() == pool["default_queue_id"]
        assert watch.execute("SELECT count(*) FROM work_queue").fetchone() == (1,)


def test_what_is_missing_is_named(client):
    path = f"/api/work_queues/{NOBODY}"
    for answer in (
        client.get(path),
        client.patch(path, json={}),
        client.delete(path),
        client.get(f"{path}/status"),
        client.post(f"{path}/get_runs", json={}),
        client.post(f"{path}/concurrency_status", json={}),
    ):
        assert answer.status_code == 404
        assert NOBODY in answer.json["detail"]
    assert "'nobody'" in client.get("/api/work_queues/name/nobody").json["detail"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": "a/b"}, "body.name"),
        ({"priority": 0}, "body.priority"),
        ({"concurrency_limit": -1}, "body.concurrency_limit"),
        ({"filter": {"deployment_ids": ["x"]}}, "body.filter.deployment_ids.0"),
        ({"unknown": 1}, "body.unknown"),
    ],
)
def test_a_queue_that_breaks_its_schema_is_refused_by_the_name_of_the_field(client, fields, place):
    assert place in problems(client.post("/api/work_queues/", json={"name": unique("queue"), **fields}))


def test_a_queue_that_goes_on_is_ready_if_it_was_polled_within_a_minute(client, database_of):
    queue = make_queue(client)
    path = f"/api/work_queues/{queue['id']}"
    for polled, status in ((None, "NOT_READY"), ("59 seconds", "READY"), ("61 seconds", "NOT_READY")):
        database_of.execute("UPDATE work_queue SET last_polled = now() - %s::interval WHERE id = %s", [polled, queue["id"]])
        for paused, expected in ((True, "PAUSED"), (True, "PAUSED"), (False, status), (False, status)):
            assert client.patch(path, json={"is_paused": paused}).status_code == 204
            assert read(client, queue)["status"] == expected
    told = database_of.execute(
        "SELECT event FROM events WHERE resource_id = %s ORDER BY occurred, id", [f"prefect.work-queue.{queue['id']}"]
    ).fetchall()
    names = ["created", "paused", "not-ready", "paused", "ready", "paused", "not-ready"]
    assert [event.removeprefix("prefect.work-queue.") for (event,) in told] == names


def test_priorities_stay_unique_when_a_queue_is_changed_by_its_id(client):
    pool = created(client, "work_pools", name=unique("pool"), type="process")
    queue = client.post(f"/api/work_pools/{pool['name']}/queues", json={"name": "q"}).json
    assert client.patch(f"/api/work_queues/{queue['id']}", json={"priority": 1}).status_code == 204
    queues = client.post(f"/api/work_pools/{pool['name']}/queues/filter", json={}).json
    assert [(found["name"], found["priority"]) for found in queues] == [("q", 1), ("default", 2)]


def test_a_queue_gives_the_due_runs_that_carry_its_name_as_far_as_its_slots_go(client):
    queue = make_queue(client, concurrency_limit=2)
    for name in ("a", "b", "c"):
        make_due_run(client, name, work_queue_name=queue["name"])
    make_due_run(client, "other", work_queue_name=unique("queue"))
    assert poll(client, queue) == ["a", "b"]
    make_due_run(client, "going", work_queue_name=queue["name"], state={"type": "CANCELLING"})
    assert poll(client, queue) == ["a"]
    assert poll(client, queue, limit=0) == []
    client.patch(f"/api/work_queues/{queue['id']}", json={"is_paused": True})
    assert poll(client, queue) == []


def test_a_queue_with_a_filter_gives_the_due_runs_of_deployments_that_match(client, database_of):
    flow, tag = make_flow(client), unique("tag")
    deployment = str(uuid7())
    database_of.execute("INSERT INTO deployment (id, name, flow_id) VALUES (%s, 'd', %s)", [deployment, flow["id"]])
    queue = make_queue(client, filter={"tags": [tag]}, concurrency_limit=2)
    make_due_run(client, "a", flow=flow, deployment_id=deployment, tags=[tag, "x"])
    make_due_run(client, "b", flow=flow, deployment_id=deployment, tags=[tag])
    make_due_run(client, "no deployment", tags=[tag])
    make_due_run(client, "no tag", flow=flow, deployment_id=deployment)
    assert poll(client, queue) == ["a", "b"]
    make_due_run(client, "going", flow=flow, deployment_id=deployment, tags=[tag], state={"type": "RUNNING"})
    assert poll(client, queue) == ["a"]
    assert read(client, queue)["active_slots"] == 1
    client.patch(f"/api/work_queues/{queue['id']}", json={"filter": {"deployment_ids": [NOBODY]}})
    assert poll(client, queue) == []


def test_a_poll_makes_a_queue_ready_unless_a_browser_asks(client):
    queue = make_queue(client)
    poll(client, queue, headers={"X-Prefect-UI": "true"})
    assert (read(client, queue)["status"], read(client, queue)["last_polled"]) == ("NOT_READY", None)
    poll(client, queue)
    polled = read(client, queue)
    assert polled["status"] == "READY" and polled["last_polled"]


def test_polls_do_not_wait_for_each_other_to_note_that_they_came(database):
    with connect(database) as first, connect(database) as second:
        with within(first):
            queue = str(rules.lock_agent_pool(first)["default_queue_id"])
        with within(first):
            rules.mark_ready(first, [queue])
        first.execute("UPDATE work_queue SET last_polled = NULL")
        with within(first):
            sql.work_queues.touch(first, ids=[queue])
            sql.work_queues.touch(second, ids=[queue])  # would wait for the lock for ever
        assert second.execute("SELECT last_polled IS NOT NULL FROM work_queue").fetchone() == (True,)


def test_a_queue_is_healthy_while_it_is_polled_and_no_run_is_late(client):
    pool = created(client, "work_pools", name=unique("pool"), type="process")
    queue = {"id": pool["default_queue_id"]}
    path = f"/api/work_queues/{queue['id']}/status"
    policy = {"maximum_late_runs": 0, "maximum_seconds_since_last_polled": 60}
    assert client.get(path).json == {
        "healthy": False,
        "late_runs_count": 0,
        "last_polled": None,
        "health_check_policy": policy,
    }
    poll(client, queue)
    assert client.get(path).json["healthy"] is True
    make_due_run(client, "late", work_pool_name=pool["name"], state={"type": "SCHEDULED", "name": "Late"})
    status = client.get(path).json
    assert (status["healthy"], status["late_runs_count"]) == (False, 1)


def test_the_holders_of_slots_are_given_in_pages(client):
    queue = make_queue(client, concurrency_limit=5)
    for name in ("a", "b", "c"):
        make_due_run(client, name, work_queue_name=queue["name"], state={"type": "RUNNING"})
    path = f"/api/work_queues/{queue['id']}/concurrency_status"
    pages = [client.post(path, json={"limit": 2, "page": page}).json for page in (1, 2)]
    assert [(page["active_slots"], page["count"], page["pages"], page["page"]) for page in pages] == [(3, 3, 2, 1), (3, 3, 2, 2)]
    assert sorted(run["name"] for page in pages for run in page["flow_runs"]) == ["a", "b", "c"]


def test_queues_of_all_pools_are_listed_by_name(client):
    prefix = unique("Q")
    for name in ("b", "a"):
        make_queue(client, name=f"{prefix}-{name}")
    chosen = {"work_queues": {"name": {"startswith_": [prefix.lower()]}}}
    names = [queue["name"] for queue in client.post("/api/work_queues/filter", json=chosen).json]
    assert names == [f"{prefix}-a", f"{prefix}-b"]
