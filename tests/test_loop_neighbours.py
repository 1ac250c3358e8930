"""What one bad item does to those beside it in a loop: nothing."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from psycopg import Connection, errors

from handlers.loops import LOOPS, keep_running, run, start_threads
from handlers.loops.driver import Loop
from sql.database import connect
from tests.loops import named, run_round
from tests.runs import make_flow_run, make_task_run, propose_flow_run
from tests.schedules import make_deployment, make_schedule
from tests.waiting import PATIENCE_SECONDS

NOW = datetime.now(timezone.utc)
LATER = NOW + timedelta(hours=2)
BAD, GOOD = 5, 3  # more bad ones than a batch holds, all of them first

# A statement that touches a row of the poisoned fails with a SQLSTATE.
POISON = """
CREATE TABLE poisoned (id uuid, code text);
CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    chosen text := (SELECT code FROM poisoned WHERE id::text = to_jsonb(COALESCE(NEW, OLD)) ->> TG_ARGV[0]);
BEGIN
    IF chosen IS NOT NULL THEN
        RAISE EXCEPTION E'not\\nthis one' USING ERRCODE = chosen;
    END IF;
    RETURN COALESCE(NEW, OLD);
END
$$;
"""


class Case(NamedTuple):
    """How an item of a loop is made, in which table and column it is known, and the condition that it is done."""

    make: Callable[[Connection], Any]
    table: str
    column: str
    done: str


@pytest.fixture
def db(database):
    """A session on the test's own database."""
    with ExitStack() as stack:
        conn = stack.enter_context(connect(database))
        conn.execute(POISON, prepare=False)
        yield conn


def scheduled(conn: Connection) -> Any:
    """Make a deployment that lacks runs."""
    id = make_deployment(conn)["id"]
    make_schedule(conn, id, {"cron": "0 0 * * *"})
    return id


def overdue(conn: Connection) -> str:
    """Make a flow run that nobody starts."""
    due = (NOW - timedelta(hours=1)).isoformat()
    return make_flow_run(conn, state={"type": "SCHEDULED", "state_details": {"scheduled_time": due}})


def paused(conn: Connection) -> str:
    """Make a flow run that nobody resumes."""
    id = make_flow_run(conn, "RUNNING")
    timeout = (NOW + timedelta(hours=1)).isoformat()
    propose_flow_run(conn, id, "PAUSED", state_details={"pause_timeout": timeout, "pause_key": "a"})
    return id


def cancelling(conn: Connection) -> str:
    """Make a flow run that is being cancelled, which nobody confirms."""
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "CANCELLING")
    return id


def orphaned(conn: Connection) -> str:
    """Make a task run whose flow run is cancelled."""
    parent = make_flow_run(conn, "RUNNING")
    id = make_task_run(conn, "RUNNING", flow_run_id=parent)
    propose_flow_run(conn, parent, "CANCELLED")
    return id


def subflow(conn: Connection) -> str:
    """Make a flow run whose parent is cancelled."""
    parent = make_flow_run(conn, "RUNNING")
    id = make_flow_run(conn, "RUNNING", parent_task_run_id=make_task_run(conn, "RUNNING", flow_run_id=parent))
    propose_flow_run(conn, parent, "CANCELLED")
    return id


def lease(conn: Connection, expires: str, holder: Any = None) -> UUID:
    """Make a lease of a limit that is gone."""
    id = uuid4()
    conn.execute(
        "INSERT INTO downbeat.concurrency_lease (id, place, slots, acquired, expires, holder_id) VALUES (%s, 1, 1, %s, %s, %s)",
        [id, NOW - timedelta(hours=2), expires, holder],
    )
    return id


def held_by_ended(conn: Connection) -> str:
    """Make a flow run that has ended, and a lease that it holds without end."""
    id = make_flow_run(conn, "COMPLETED")
    lease(conn, "infinity", id)
    return id


def pool(conn: Connection, status: str = "READY") -> UUID:
    """Make a work pool."""
    id = uuid4()
    conn.execute("INSERT INTO work_pool (id, name, type, status) VALUES (%s, %s, 'process', %s)", [id, str(id), status])
    return id


def worker(conn: Connection) -> UUID:
    """Make a worker that is silent."""
    id = uuid4()
    conn.execute(
        "INSERT INTO worker (id, name, work_pool_id, status, last_heartbeat_time) VALUES (%s, %s, %s, 'ONLINE', %s)",
        [id, str(id), pool(conn, "NOT_READY"), NOW],
    )
    return id


def unpolled_queue(conn: Connection) -> UUID:
    """Make a work queue that nobody polls."""
    id = uuid4()
    conn.execute(
        "INSERT INTO work_queue (id, name, work_pool_id, status, last_polled) VALUES (%s, 'q', %s, 'READY', %s)",
        [id, pool(conn, "NOT_READY"), NOW],
    )
    return id


def unpolled_deployment(conn: Connection) -> Any:
    """Make a deployment for whose runs nobody asks."""
    return make_deployment(conn, status="READY", last_polled=NOW)["id"]


RUNS = "SELECT count(*) FROM flow_run WHERE deployment_id = %s"
STATE = "SELECT (state_type = '{}')::int FROM {} WHERE id = %s"
STATUS = "SELECT (status = '{}')::int FROM {} WHERE id = %s"
CASES = {
    "schedule_recent": Case(scheduled, "flow_run", "deployment_id", RUNS),
    "schedule_runs": Case(scheduled, "flow_run", "deployment_id", RUNS),
    "mark_late_runs": Case(overdue, "flow_run", "id", "SELECT (state_name = 'Late')::int FROM flow_run WHERE id = %s"),
    "fail_expired_pauses": Case(paused, "flow_run", "id", STATE.format("FAILED", "flow_run")),
    "end_cancelling": Case(cancelling, "flow_run", "id", STATE.format("CANCELLED", "flow_run")),
    "cancel_task_runs": Case(orphaned, "task_run", "id", STATE.format("CANCELLED", "task_run")),
    "cancel_subflows": Case(subflow, "flow_run", "id", STATE.format("CANCELLED", "flow_run")),
    "release_expired_leases": Case(
        lambda conn: lease(conn, str(NOW)),
        "downbeat.concurrency_lease",
        "id",
        "SELECT 1 - count(*) FROM downbeat.concurrency_lease WHERE id = %s",
    ),
    "release_ended_holders": Case(
        held_by_ended,
        "downbeat.concurrency_lease",
        "holder_id",
        "SELECT 1 - count(*) FROM downbeat.concurrency_lease WHERE holder_id = %s",
    ),
    "mark_workers_offline": Case(worker, "worker", "id", STATUS.format("OFFLINE", "worker")),
    "mark_work_pools_not_ready": Case(pool, "work_pool", "id", STATUS.format("NOT_READY", "work_pool")),
    "mark_deployments_not_ready": Case(unpolled_deployment, "deployment", "id", STATUS.format("NOT_READY", "deployment")),
    "mark_work_queues_not_ready": Case(unpolled_queue, "work_queue", "id", STATUS.format("NOT_READY", "work_queue")),
}


def is_done(conn: Connection, case: Case, id: Any) -> bool:
    """Tell whether an item is done."""
    return conn.execute(case.done, [id]).fetchone()[0] > 0


def make_items(conn: Connection, case: Case, code: str, bad: int = BAD) -> tuple[list[Any], list[Any]]:
    """Make items of a loop, in the order in which it comes to them; give the ids of the bad ones, and of the good ones."""
    ids = sorted((case.make(conn) for _ in range(bad + GOOD)), key=str)
    conn.execute(f"CREATE TRIGGER poison BEFORE INSERT OR UPDATE OR DELETE ON {case.table} FOR EACH ROW"
                 f" EXECUTE FUNCTION poison('{case.column}')")  # fmt: skip
    for id in ids[:bad]:
        conn.execute("INSERT INTO poisoned VALUES (%s, %s)", [id, code])
    return ids[:bad], ids[bad:]


def test_every_loop_has_a_case():
    assert CASES.keys() == {loop.name for loop in LOOPS}


@pytest.mark.parametrize("name", CASES)
def test_bad_items_at_the_head_keep_no_other_from_being_done_and_are_come_back_to(db, caplog, name):
    case, now = CASES[name], NOW if name == "schedule_recent" else LATER
    bad, good = make_items(db, case, "P0001")
    so_far = run_round(named(name), db, now, 2)
    assert all(is_done(db, case, id) for id in good)
    assert not any(is_done(db, case, id) for id in bad)
    assert so_far.passed_over == BAD
    warnings = [record.getMessage() for record in caplog.records if "passes over" in record.getMessage()]
    assert all(any(str(id) in line for line in warnings) for id in bad)
    assert not any("\n" in line for line in warnings), "what a database says may be anybody's text"
    db.execute("DELETE FROM poisoned")
    run_round(named(name), db, now, 2)
    assert all(is_done(db, case, id) for id in bad)


@pytest.mark.parametrize("code", ["22008", "23505", "40P01", "55P03", "57014"])
def test_an_item_is_passed_over_whatever_is_wrong_with_it(db, code):
    case = CASES["mark_late_runs"]
    _, good = make_items(db, case, code, 1)
    assert run_round(named("mark_late_runs"), db, LATER).passed_over == 1
    assert all(is_done(db, case, id) for id in good)


def test_what_is_wrong_with_the_server_is_not_taken_for_a_fault_of_items(db):
    make_items(db, CASES["mark_late_runs"], "53100")
    with pytest.raises(errors.DiskFull):
        run_round(named("mark_late_runs"), db, LATER)


def test_three_hundred_bad_items_do_not_keep_the_last_one_from_being_done(db, caplog):
    """More than a batch holds, and no more lines in the log than can be read."""
    db.execute(
        "CREATE TABLE item AS SELECT gen_random_uuid() AS id, number <= 300 AS is_bad FROM generate_series(1, 301) AS number"
    )
    done = []

    def find(conn, now, limit, after):
        rows = conn.execute("SELECT id, is_bad FROM item WHERE (NOT is_bad, id) > (%s, %s) ORDER BY NOT is_bad, id LIMIT %s",
                            [not after.get("is_bad", True), after["id"], limit]).fetchall()  # fmt: skip
        return [{"id": id, "is_bad": is_bad} for id, is_bad in rows]

    def do(conn, now, rows):
        if any(row["is_bad"] for row in rows):
            raise RecursionError
        done.extend(rows)
        return len(rows)

    so_far = run_round(Loop("example", find, do, "X", 1), db, NOW)
    assert (so_far.done, so_far.passed_over, len(done)) == (1, 300, 1)
    assert len([record for record in caplog.records if "passes over" in record.getMessage()]) == 20


# What is stored already


def test_a_task_run_whose_state_is_of_the_end_of_time_can_be_cancelled(db):
    ids = [orphaned(db) for _ in range(2)]
    last = "9999-12-31T23:59:59.999999Z"
    db.execute("UPDATE task_run_state SET timestamp = %s WHERE task_run_id = %s", [last, ids[0]])
    db.execute("UPDATE task_run SET state_timestamp = %s WHERE id = %s", [last, ids[0]])
    so_far = run_round(named("cancel_task_runs"), db, LATER)
    assert (so_far.done, so_far.passed_over) == (2, 0)
    ended = "SELECT max(state_timestamp) FROM task_run WHERE state_type = 'CANCELLED'"
    assert db.execute(ended).fetchone()[0] < LATER


def test_a_pause_without_an_intelligible_end_does_not_keep_others_from_ending(db):
    ids = [paused(db) for _ in range(2)]
    state = (
        "UPDATE flow_run_state SET state_details = jsonb_set(state_details, '{pause_timeout}', '\"soon\"') WHERE flow_run_id = %s"
    )
    db.execute(state, [ids[0]])
    assert run_round(named("fail_expired_pauses"), db, LATER).done == 1
    assert is_done(db, CASES["fail_expired_pauses"], ids[1])


# The threads


def one_row(conn, now, limit, after) -> list[dict[str, Any]]:
    """Find one thing to do."""
    return [{"id": uuid4()}]


def test_a_lost_connection_is_replaced_and_what_it_was_lost_with_is_tried_again(database):
    stopping, calls = threading.Event(), []

    def do(conn, now, rows):
        calls.append(conn)
        if len(calls) == 1:
            conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        stopping.set()
        return 1

    run(database, stopping, [Loop("example", one_row, do, "X", 0.01)])
    assert len(set(map(id, calls))) == 2


def test_an_item_that_costs_the_connection_each_time_is_passed_over(database, caplog):
    stopping, rows, done = threading.Event(), [{"id": UUID(int=number)} for number in range(1, 5)], []

    def find(conn, now, limit, after):
        return [row for row in rows if row["id"] > after["id"]][:limit]

    def do(conn, now, found):
        if rows[1] in found:
            conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        done.extend(found)
        if rows[3] in found:
            stopping.set()
        return len(found)

    run(database, stopping, [Loop("example", find, do, "X", 0.01)])
    assert done == [rows[0], *rows[2:]]
    assert caplog.text.count("example is interrupted") == 1
    assert f"example passes over {rows[1]['id']}" in caplog.text


def test_loops_go_on_soon_after_the_server_was_at_fault(database, caplog):
    stopping, calls = threading.Event(), []

    def do(conn, now, found):
        calls.append(time.monotonic())
        if len(calls) <= 4:
            raise (errors.ReadOnlySqlTransaction, errors.DiskFull)[len(calls) % 2]
        stopping.set()
        return len(found)

    run(database, stopping, [Loop("example", one_row, do, "X", 60)])
    assert calls[-1] - calls[-2] < 30  # and not as long as between two rounds
    assert "passes over" not in caplog.text and caplog.text.count("example is interrupted") == 1


@pytest.mark.parametrize("error", [RecursionError, MemoryError, SystemExit, KeyboardInterrupt])
def test_a_thread_of_loops_outlives_whatever_is_raised_in_it(database, error):
    stopping, calls = threading.Event(), []

    def find(conn, now, limit, after):
        calls.append(conn)
        if len(calls) == 1:
            raise error
        stopping.set()
        return []

    keep_running(database, stopping, [Loop("example", find, len, "X", 0.01)])
    assert len(calls) == 2


def test_what_takes_long_holds_up_neither_leases_nor_lateness(database):
    stopping, quick_ran = threading.Event(), threading.Event()

    def slow(conn, now, limit, after):
        assert quick_ran.wait(PATIENCE_SECONDS)
        stopping.set()
        return []

    def quick(conn, now, limit, after):
        quick_ran.set()
        return []

    loops = [Loop("slow", slow, len, "X", 0.001, is_slow=True), Loop("quick", quick, len, "Y", 0.001)]
    for thread in start_threads(database, stopping, loops):
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    assert {loop.service for loop in LOOPS if not loop.is_slow} >= {"REPOSSESSOR", "LATE_RUNS", "PAUSE_EXPIRATIONS"}


def test_a_loop_with_much_to_do_lets_others_have_their_turn(database):
    stopping, turns = threading.Event(), []

    def endless(conn, now, limit, after):
        turns.append("endless")
        return [{"id": uuid4()}] * limit

    def other(conn, now, limit, after):
        turns.append("other")
        if turns.count("other") == 3:
            stopping.set()
        return []

    loops = [Loop("endless", endless, lambda *_: 1, "X", 0.001), Loop("other", other, lambda *_: 0, "Y", 0.01)]
    run(database, stopping, loops)
    assert "endless" in turns
