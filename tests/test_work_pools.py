"""Operations under /work_pools: pools, their queues and workers, and the events that tell of their changes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.domain import work_pools as rules
from sql.database import connect, within
from sql.statement import flush
from tests.resources import NOBODY, problems, told, unique
from tests.waiting import wait_for_waiter
from tests.work_pools import events_of, make_due_run, make_pool, make_queue, priorities, update


@pytest.fixture
def database_of(module_database):
    """A connection to the database behind the client, to look inside."""
    with connect(module_database) as conn:
        yield conn


def test_a_pool_comes_with_its_default_queue_and_their_events(client, database_of):
    pool = make_pool(client)
    queue = client.get(f"/api/work_pools/{pool['name']}/queues/default").json
    assert (queue["id"], queue["priority"], queue["work_pool_id"]) == (pool["default_queue_id"], 1, pool["id"])
    assert pool["status"] == queue["status"] == "NOT_READY"
    assert events_of(database_of, pool["id"]) == ["work-pool.created", "work-pool.not-ready"]
    assert events_of(database_of, queue["id"]) == ["work-queue.created"]


def test_a_pool_whose_name_is_taken_is_refused_and_nothing_is_written(client, database_of):
    pool = make_pool(client)
    before = database_of.execute("SELECT count(*) FROM events").fetchone()
    assert client.post("/api/work_pools/", json={"name": pool["name"]}).status_code == 409
    assert database_of.execute("SELECT count(*) FROM events").fetchone() == before


@pytest.mark.parametrize("name", ["prefect", "Prefect-x", "PREFECT:managed"])
def test_a_pool_with_a_reserved_name_cannot_be_made_or_deleted_but_paused_and_limited(client, name):
    assert client.post("/api/work_pools/", json={"name": name}).status_code == 403
    assert client.delete(f"/api/work_pools/{name}").status_code == 403
    assert client.patch(f"/api/work_pools/{name}", json={"description": "x"}).status_code == 403
    assert client.patch(f"/api/work_pools/{name}", json={"is_paused": True, "concurrency_limit": 1}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": " "}, "body.name"),
        ({"name": "a/b"}, "body.name"),
        ({"concurrency_limit": -1}, "body.concurrency_limit"),
        ({"storage_configuration": {"x": 1}}, "body.storage_configuration.x"),
        ({"base_job_template": {"variables": {"properties": {}}}}, "body.base_job_template.job_configuration"),
        (
            {"base_job_template": {"job_configuration": {"a": ["{{ b }}"]}, "variables": {"properties": {"c": {}}}}},
            "body.base_job_template.variables",
        ),
    ],
)
def test_a_pool_that_breaks_its_schema_is_refused_by_the_name_of_the_field(client, fields, place):
    name = unique("pool")
    assert place in problems(client.post("/api/work_pools/", json={"name": name, **fields}))
    assert client.get(f"/api/work_pools/{name}").status_code == 404


@pytest.mark.parametrize("field", [{"type": "string", "default": 1}, {"type": "x"}])
def test_a_pool_whose_template_breaks_its_own_schema_is_refused(client, field):
    name, template = unique("pool"), {"job_configuration": {"a": "{{ b }}"}, "variables": {"properties": {"b": field}}}
    assert "creating work pool" in told(client.post("/api/work_pools/", json={"name": name, "base_job_template": template}))
    assert client.get(f"/api/work_pools/{name}").status_code == 404


def test_what_a_template_demands_may_come_later_and_null_stands_for_a_default_that_is_missing(client):
    properties = {"b": {"type": "string"}, "c": {"type": "string", "default": None}}
    variables = {"type": "object", "required": ["b"], "properties": properties}
    template = {"job_configuration": {"a": "{{ b }}{{c}}"}, "variables": variables}
    assert make_pool(client, base_job_template=template)["base_job_template"] == template


def test_a_default_that_refers_to_a_block_that_is_not_there_is_refused(client):
    properties = {"b": {"default": {"$ref": {"block_document_id": NOBODY}}}}
    template = {"job_configuration": {"a": "{{ b }}"}, "variables": {"properties": properties}}
    assert client.post("/api/work_pools/", json={"name": unique("pool"), "base_job_template": template}).status_code == 404


def test_each_status_of_a_pool_follows_the_one_before(client, database_of):
    pool = make_pool(client)
    update(client, pool, is_paused=True)
    client.post(f"/api/work_pools/{pool['name']}/workers/heartbeat", json={"name": "w"})
    assert client.get(f"/api/work_pools/{pool['name']}").json["status"] == "PAUSED"
    update(client, pool, is_paused=False, description="new")
    assert client.get(f"/api/work_pools/{pool['name']}").json["status"] == "READY"
    names = ["work-pool.created", "work-pool.not-ready", "work-pool.paused", "work-pool.ready", "work-pool.updated"]
    assert events_of(database_of, pool["id"]) == names
    told = database_of.execute(
        """
        SELECT ready.follows = paused.id, updated.payload
          FROM events AS ready, events AS paused, events AS updated
         WHERE ready.event = 'prefect.work-pool.ready' AND ready.resource_id = %(id)s
           AND paused.event = 'prefect.work-pool.paused' AND paused.resource_id = %(id)s
           AND updated.event = 'prefect.work-pool.updated' AND updated.resource_id = %(id)s""",
        {"id": f"prefect.work-pool.{pool['id']}"},
    ).fetchone()
    updates = {"description": {"from": None, "to": "new"}}
    assert told == (True, {"updated_fields": ["description"], "updates": updates})


def test_priorities_stay_unique_and_in_order_with_as_few_changes_as_that_takes(client):
    pool = make_pool(client)
    for name in ("a", "b", "c"):
        make_queue(client, pool, name)
    assert priorities(client, pool) == {"default": 1, "a": 2, "b": 3, "c": 4}
    make_queue(client, pool, "first", priority=1)
    assert priorities(client, pool) == {"first": 1, "default": 2, "a": 3, "b": 4, "c": 5}
    update(client, pool, "c", priority=2)
    assert priorities(client, pool) == {"first": 1, "c": 2, "default": 3, "a": 4, "b": 5}
    client.delete(f"/api/work_pools/{pool['name']}/queues/c")
    make_queue(client, pool, "gap")
    assert priorities(client, pool) == {"first": 1, "gap": 2, "default": 3, "a": 4, "b": 5}
    make_queue(client, pool, "far", priority=50)
    update(client, pool, "a", priority=50)
    assert priorities(client, pool) == {"first": 1, "gap": 2, "default": 3, "b": 5, "a": 50, "far": 51}


def test_two_queues_that_want_the_same_priority_wait_for_each_other(database):
    with connect(database) as first, connect(database) as second, connect(database) as watch, ThreadPoolExecutor() as threads:
        with within(first):
            rules.create_pool(first, **{**rules.NEW_AGENT_POOL, "name": "p"})

        def create(conn, name):
            with within(conn):
                rules.create_queue(conn, rules.lock_pool(conn, "p"), name, priority=1)

        with within(first):
            rules.create_queue(first, rules.lock_pool(first, "p"), "a", priority=1)
            other = threads.submit(create, second, "b")
            wait_for_waiter(watch)
        other.result()
        rows = watch.execute("SELECT name, priority FROM work_queue ORDER BY priority").fetchall()
    assert rows == [("b", 1), ("a", 2), ("default", 3)]


def test_a_queue_whose_name_is_taken_is_refused(client):
    pool = make_pool(client)
    make_queue(client, pool, "a")
    path = f"/api/work_pools/{pool['name']}/queues"
    assert client.post(path, json={"name": "default"}).status_code == 409
    assert client.patch(f"{path}/a", json={"name": "default"}).status_code == 409
    assert priorities(client, pool) == {"default": 1, "a": 2}


def test_the_default_queue_stays_with_its_pool(client, database_of):
    pool = make_pool(client)
    assert client.delete(f"/api/work_pools/{pool['name']}/queues/default").status_code == 409
    assert client.delete(f"/api/work_queues/{pool['default_queue_id']}").status_code == 409
    assert events_of(database_of, pool["default_queue_id"]) == ["work-queue.created"]
    assert client.delete(f"/api/work_pools/{pool['name']}").status_code == 204
    assert events_of(database_of, pool["default_queue_id"])[-1] == "work-queue.deleted"
    assert events_of(database_of, pool["id"])[-1] == "work-pool.deleted"


def test_runs_outlive_their_pool(client):
    pool = make_pool(client)
    run = make_due_run(client, pool)
    client.delete(f"/api/work_pools/{pool['name']}")
    assert client.get(f"/api/flow_runs/{run['id']}").json["work_queue_id"] is None


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("get", "/api/work_pools/none", "'none'"),
        ("patch", "/api/work_pools/none", "'none'"),
        ("delete", "/api/work_pools/none", "'none'"),
        ("post", "/api/work_pools/none/concurrency_status", "'none'"),
        ("post", "/api/work_pools/none/get_scheduled_flow_runs", "'none'"),
        ("post", "/api/work_pools/none/queues/filter", "'none'"),
        ("get", "/api/work_pools/none/queues/q", "'none/q'"),
        ("post", "/api/work_pools/none/workers/filter", "'none'"),
        ("delete", "/api/work_pools/none/workers/w", "'none'"),
    ],
)
def test_what_is_missing_is_named(client, method, path, named):
    answer = getattr(client, method)(path, **({} if method == "get" else {"json": {}}))
    assert answer.status_code == 404
    assert named in answer.json["detail"]


def test_a_queue_that_is_missing_is_named(client):
    pool = make_pool(client)
    path = f"/api/work_pools/{pool['name']}"
    for answer in (
        client.patch(f"{path}/queues/q", json={}),
        client.delete(f"{path}/queues/q"),
        client.post(f"{path}/get_scheduled_flow_runs", json={"work_queue_names": ["default", "q"]}),
    ):
        assert answer.status_code == 404
        assert f"'{pool['name']}/q'" in answer.json["detail"]
    assert client.get(f"{path}/queues/default").json["last_polled"] is None


def test_a_heartbeat_makes_its_worker_known_and_its_pool_ready(client, database_of):
    pool = make_pool(client)
    path = f"/api/work_pools/{pool['name']}"
    for interval in (10, None):
        client.post(f"{path}/workers/heartbeat", json={"name": "w", "heartbeat_interval_seconds": interval})
    [worker] = client.post(f"{path}/workers/filter", json={"workers": {"status": {"any_": ["ONLINE"]}}}).json
    assert (worker["name"], worker["status"], worker["heartbeat_interval_seconds"]) == ("w", "ONLINE", 10)
    assert client.get(path).json["status"] == "READY"
    assert events_of(database_of, pool["id"])[2:] == ["work-pool.ready"]
    assert client.delete(f"{path}/workers/w").status_code == 204
    assert client.delete(f"{path}/workers/w").status_code == 404


def test_two_first_heartbeats_make_a_pool_ready_once(database):
    with connect(database) as first, connect(database) as second, connect(database) as watch, ThreadPoolExecutor() as threads:
        with within(first):
            pool = rules.create_pool(first, **{**rules.NEW_AGENT_POOL, "name": "p"})

        def beat():
            with within(second):
                rules.set_pool_status(second, pool["id"], "NOT_READY", "READY")

        with within(first):
            rules.set_pool_status(first, pool["id"], "NOT_READY", "READY")
            flush(first)
            other = threads.submit(beat)
            wait_for_waiter(watch)
        other.result()
        assert watch.execute("SELECT count(*) FROM events WHERE event = 'prefect.work-pool.ready'").fetchone() == (1,)


def test_the_holders_of_slots_are_listed_by_queue(client):
    pool = make_pool(client, concurrency_limit=9)
    make_queue(client, pool, "q", concurrency_limit=5)
    runs = [make_due_run(client, pool, "q", state={"type": "RUNNING"}) for _ in range(3)]
    status = client.post(f"/api/work_pools/{pool['name']}/concurrency_status", json={"flow_run_limit": 2}).json
    assert (status["active_slots"], status["concurrency_limit"], status["count"], status["pages"]) == (3, 9, 2, 1)
    default, queue = status["queues"]
    assert (default["active_slots"], queue["active_slots"], queue["flow_run_count"]) == (0, 3, 3)
    assert {run["id"] for run in queue["flow_runs"]} < {run["id"] for run in runs}


@pytest.mark.parametrize(
    ("agent", "knows_it"),
    [
        ("prefect/3.3.7 (API 0.8.4)", False),
        ("prefect/3.3.7.dev1+2.gabc (API 0.8.4)", False),
        ("prefect/2.20.16 (API 0.8.4)", False),
        ("prefect/3.3.8 (API 0.8.4)", True),
        ("prefect/3.10.0 (API 0.8.4)", True),
        ("prefect/3.3 (API 0.8.4)", True),
        ("prefect/3.3.7", True),
        ("prefect/" + "0" * 5000 + ".0.0 (API 0.8.4)", True),
        ("prefect/3.3.7 (API 0.8.4) x", True),
        ("", True),
    ],
)
def test_a_client_before_3_3_8_gets_pools_without_the_field_that_it_refuses(client, agent, knows_it):
    headers, name = {"User-Agent": agent}, unique("pool")
    shown = [client.post("/api/work_pools/", json={"name": name}, headers=headers).json]
    shown.append(client.get(f"/api/work_pools/{name}", headers=headers).json)
    shown += client.post("/api/work_pools/filter", json={"work_pools": {"name": {"any_": [name]}}}, headers=headers).json
    assert [pool["name"] for pool in shown] == [name] * 3
    for pool in shown:
        assert ("default_result_storage_block_id" in pool["storage_configuration"]) == knows_it
        assert "bundle_upload_step" in pool["storage_configuration"]
    assert client.post("/api/work_pools/filter", json={"work_pools": {"id": {"any_": []}}}, headers=headers).json == []
