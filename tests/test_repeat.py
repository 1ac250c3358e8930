"""What is tried again in the server: transactions that PostgreSQL undid, and those whose connection was lost before their end."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from psycopg import errors
from psycopg import sql as compose

import sql
from app import create_app
from handlers import deployments
from sql import database as db
from sql.database import ATTEMPTS, NothingDone, connect, repeat, within
from sql.ids import uuid7
from sql.pool import has_hung_up
from sql.statement import flush
from tests.runs import make_flow, make_flow_run
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter, wait_until

WAITER = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"""


@pytest.fixture
def session(database):
    """Open sessions on the test's own database, whose own requests notice a deadlock after three seconds, and first."""
    with connect(database) as conn:
        conn.execute(compose.SQL("ALTER DATABASE {} SET deadlock_timeout = '3s'").format(compose.Identifier(conn.info.dbname)))
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database, "test"))


@pytest.fixture
def post(session, database):
    """Send a request in a thread of its own; gives the answer to come."""
    db.open_pool(database, 2)
    app = create_app()
    with ThreadPoolExecutor(1) as thread:
        yield lambda path, body: thread.submit(app.test_client().post, f"/api{path}", json=body)
    db.close_pool()


def make_two_runs(conn) -> list[str]:
    """Make two flow runs of one flow and give their ids in order."""
    flow_id = make_flow(conn)
    ids = sorted(make_flow_run(conn, flow_id=flow_id) for _ in range(2))
    flush(conn)
    return ids


def lock(conn, id: str) -> None:
    """Lock a flow run within the transaction of a session."""
    conn.execute("SELECT FROM flow_run WHERE id = %s FOR UPDATE", (id,))


def delete_both(post, ids: list[str]):
    """Ask for the deletion of flow runs, which locks them in the order of their ids."""
    return post("/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": ids}}})


def test_the_victim_of_a_deadlock_is_answered_as_if_there_had_been_none(session, post, caplog):
    conn, watcher = session(), session()
    first, second = make_two_runs(conn)
    conn.execute("SET deadlock_timeout = '1h'")
    with conn.transaction():
        lock(conn, second)
        answer = delete_both(post, [first, second])
        wait_for_waiter(watcher)
        lock(conn, first)
    response = answer.result(PATIENCE_SECONDS)
    assert (response.status_code, sorted(response.json["deleted"])) == (200, [first, second])
    assert watcher.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)
    deleted = "SELECT count(*) FROM events WHERE event = 'prefect.flow-run.deleted'"
    assert watcher.execute(deleted).fetchone() in ((0,), (2,))
    assert "attempt 1 of 'POST /api/flow_runs/bulk_delete' was undone: deadlock detected" in caplog.text


def test_a_request_whose_connection_is_lost_before_its_end_is_carried_out_on_another(session, post, caplog):
    conn, watcher = session(), session()
    ids = make_two_runs(conn)
    with conn.transaction():
        lock(conn, ids[0])
        answer = delete_both(post, ids)
        wait_for_waiter(watcher)
        watcher.execute(WAITER)
    response = answer.result(PATIENCE_SECONDS)
    assert (response.status_code, sorted(response.json["deleted"])) == (200, ids)
    assert "attempt 1 of 'POST /api/flow_runs/bulk_delete' was undone: terminating connection" in caplog.text


def test_a_request_that_is_undone_again_and_again_is_told_to_come_back(client, monkeypatch):
    asked = []

    def undo(*ignored, **named):
        asked.append(named)
        raise errors.DeadlockDetected("deadlock detected")

    monkeypatch.setattr(sql.flows, "update", undo)
    answer = client.patch("/api/flows/00000000-0000-0000-0000-000000000000", json={"tags": ["a"]})
    assert (answer.status_code, answer.headers["Retry-After"], len(asked)) == (503, "1", ATTEMPTS)
    assert all(one == asked[0] for one in asked)  # the body was read anew each time


def test_a_deployment_that_another_created_and_deleted_meanwhile_is_created(client, monkeypatch):
    flow_id = client.post("/api/flows/", json={"name": "raced"}).json["id"]
    insert, lost = deployments.insert, []

    def lose_once(conn, columns):
        if lost:
            return insert(conn, columns)
        return lost.append(columns)  # as where the name is taken, by a row that is gone when it is looked for

    monkeypatch.setattr(deployments, "insert", lose_once)
    answer = client.post("/api/deployments/", json={"name": "raced", "flow_id": flow_id})
    assert (answer.status_code, answer.json["name"], len(lost)) == (201, "raced", 1)


def test_a_transaction_whose_connection_is_lost_at_its_end_is_not_repeated(session):
    watcher, calls = session(), []

    def create() -> None:
        conn = session()
        calls.append(conn)
        with within(conn):
            sql.flows.create.send(conn, id=uuid7(), name="perhaps", tags=[], labels={})
            watcher.execute("SELECT pg_terminate_backend(%s, 5000)", (conn.pgconn.backend_pid,))

    with pytest.raises(errors.OperationalError) as caught:
        repeat("create", create)
    assert len(calls) == 1 and not isinstance(caught.value, NothingDone)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_transaction_that_stood_still_for_too_long_has_lost_its_connection(session, number):
    calls = []

    def create() -> None:
        conn = session()
        calls.append(conn)
        with within(conn):
            sql.loops.read_clock(conn)
            conn.execute("SET idle_in_transaction_session_timeout = '1ms'" if len(calls) == 1 else "SELECT")
            wait_until(lambda: len(calls) > 1 or has_hung_up(conn))
            for _ in range(number):
                sql.loops.read_clock.send(conn)
            if number == 2:
                flush(conn)

    if number == 2:
        repeat("create", create)
    else:  # it cannot be told whether the COMMIT was sent in time
        with pytest.raises(errors.OperationalError):
            repeat("create", create)
    assert len(calls) == (2 if number == 2 else 1)


def test_other_errors_are_not_repeated():
    calls = []
    for error in (errors.LockNotAvailable, errors.QueryCanceled, errors.UniqueViolation, ValueError):

        def fail(error=error):
            calls.append(error)
            raise error

        with pytest.raises(error):
            repeat("fail", fail)
    assert len(calls) == 4
