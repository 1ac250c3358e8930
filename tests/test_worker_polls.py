"""What a worker's poll of a work pool finds, what it changes, and what it costs."""

from datetime import timedelta

import pytest
from psycopg import ClientCursor

import sql
from app import create_app
from handlers.domain import work_pools as rules
from sql import database as db
from sql.database import connect
from sql.ids import uuid7
from tests.bench import round_trips
from tests.resources import make_flow, unique
from tests.work_pools import NOW, events_of, make_due_run, make_pool, make_queue, poll, update


@pytest.fixture
def database_of(module_database):
    """A connection to the database behind the client, to look inside."""
    with connect(module_database) as conn:
        yield conn


def test_runs_come_by_the_priority_of_their_queue_then_by_when_they_are_due(client):
    pool = make_pool(client)
    make_queue(client, pool, "low")
    make_queue(client, pool, "high", priority=1)
    for name, queue, seconds in (("1", "low", -90), ("2", "low", -100), ("3", "high", -5), ("4", None, -50), ("5", None, 60)):
        make_due_run(client, pool, queue, seconds, name=name)
    make_due_run(client, pool, "high", name="not retried here", empirical_policy={"retry_type": "in_process"})
    make_due_run(client, pool, "high", name="running", state={"type": "RUNNING"})
    assert poll(client, pool) == ["3", "4", "5", "2", "1"]
    assert poll(client, pool, scheduled_before=NOW.isoformat()) == ["3", "4", "2", "1"]
    assert poll(client, pool, scheduled_before=NOW.isoformat(), limit=2) == ["3", "4"]
    assert poll(client, pool, scheduled_after=(NOW - timedelta(seconds=60)).isoformat()) == ["3", "4", "5"]
    assert poll(client, pool, work_queue_names=["low"]) == ["2", "1"]
    update(client, pool, "high", is_paused=True)
    assert poll(client, pool, limit=1) == ["4"]
    update(client, pool, is_paused=True)
    assert poll(client, pool) == []


def test_a_queue_whose_limit_is_used_up_does_not_stand_in_the_way_of_another(client):
    pool = make_pool(client, concurrency_limit=4)
    make_queue(client, pool, "full", priority=1, concurrency_limit=1)
    make_due_run(client, pool, "full", state={"type": "PENDING"})
    for number in range(5):
        make_due_run(client, pool, "full", -100 - number, name=f"full-{number}")
        make_due_run(client, pool, None, -50 + number, name=f"free-{number}")
    assert poll(client, pool) == ["free-0", "free-1", "free-2"]
    assert poll(client, pool, limit=1) == ["free-0"]


def test_runs_of_a_queue_that_was_paused_meanwhile_still_hold_slots_of_the_pool(client):
    pool = make_pool(client, concurrency_limit=2)
    make_queue(client, pool, "paused")
    for name in ("a", "b"):
        make_due_run(client, pool, "paused", name=name, state={"type": "RUNNING"})
        make_due_run(client, pool, name=f"due-{name}")
    update(client, pool, "paused", is_paused=True)
    assert poll(client, pool) == []
    assert client.get(f"/api/work_pools/{pool['name']}").json["active_slots"] == 2
    update(client, pool, concurrency_limit=3)
    assert poll(client, pool) == ["due-a"]


def test_a_poll_makes_queues_and_deployments_ready_once(client, database_of):
    pool = make_pool(client)
    paused = make_queue(client, pool, "paused")
    update(client, pool, "paused", is_paused=True)
    deployment = uuid7()
    database_of.execute(
        "INSERT INTO deployment (id, name, flow_id, work_queue_id) VALUES (%s, 'd', %s, %s)",
        [deployment, make_flow(client)["id"], pool["default_queue_id"]],
    )
    ask = "SELECT status::text, last_polled IS NOT NULL, updated = created FROM deployment WHERE id = %s"
    assert database_of.execute(ask, [deployment]).fetchone() == ("NOT_READY", False, True)
    for _ in range(2):
        poll(client, pool)
    assert database_of.execute(ask, [deployment]).fetchone() == ("READY", True, True)
    statuses = {queue["name"]: queue["status"] for queue in client.post("/api/work_queues/filter", json={}).json}
    assert (statuses["default"], statuses["paused"]) == ("READY", "PAUSED")
    assert client.get(f"/api/work_queues/{paused['id']}").json["last_polled"] is not None
    assert events_of(database_of, pool["default_queue_id"]) == ["work-queue.created", "work-queue.ready"]
    assert events_of(database_of, str(deployment)) == ["deployment.ready"]
    [(related,)] = database_of.execute("SELECT related FROM events WHERE event = 'prefect.deployment.ready'").fetchall()
    assert [resource["prefect.resource.role"] for resource in related] == ["flow", "work-queue", "work-pool"]


def test_a_poll_takes_two_statements(database, monkeypatch):
    url, counts = round_trips.start(database)
    monkeypatch.setattr(db, "pool", None)
    db.open_pool(url, 1)
    try:
        with create_app().test_client() as client:
            pool = make_pool(client)
            make_due_run(client, pool, name="due")
            for _ in range(2):  # which make the queue ready, and prepare the statements
                assert poll(client, pool) == ["due"]
            before = counts.statements
            assert poll(client, pool) == ["due"]
            assert counts.statements - before == 2
    finally:
        db.close_pool()


def test_a_poll_does_not_read_runs_that_are_over_or_of_other_queues(conn):
    pool = rules.create_pool(conn, **{**rules.NEW_AGENT_POOL, "name": unique("pool"), "concurrency_limit": 100})
    crowded = rules.create_queue(conn, pool, "other")
    flow_id = uuid7()
    sql.flows.create(conn, id=flow_id, name=unique("flow"), tags=[], labels={})
    conn.execute(
        """
        INSERT INTO flow_run (id, name, flow_id, state_type, state_name, work_queue_id, next_scheduled_start_time)
        SELECT gen_random_uuid(), 'r', %(flow)s, due.type::state_type, due.type,
               CASE WHEN due.is_here THEN %(here)s ELSE %(other)s END::uuid, CASE WHEN due.type = 'SCHEDULED' THEN now() END
          FROM generate_series(1, 20000) AS number
         CROSS JOIN LATERAL (SELECT CASE WHEN number %% 2 = 0 OR number < 20 THEN 'SCHEDULED' ELSE 'COMPLETED' END,
                                    number %% 2 = 1) AS due (type, is_here)""",
        {"flow": flow_id, "here": pool["default_queue_id"], "other": crowded},
    )
    conn.execute("ANALYZE flow_run")
    arguments = {"name": pool["name"], "queues": ["default"], "scheduled_before": None, "scheduled_after": None, "limit": 200}
    found = sql.polls.of_work_pool(conn, **arguments)
    assert found["runs"].count('"work_pool_id"') == 10
    text, order = sql.polls.of_work_pool.numbered
    conn.execute(b"PREPARE poll AS " + text)
    given = ", ".join("%s" for _ in order)
    values = [arguments[name] for name, _ in order]
    explained = ClientCursor(conn).execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE poll({given})", values).fetchone()
    plan = explained[0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 300
