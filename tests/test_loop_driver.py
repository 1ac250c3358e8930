"""How loops are driven: by which settings, through failures, in servers and apart from them."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone

import pytest
from psycopg.errors import UndefinedTable

from handlers import loops
from handlers.loops import LOOPS, enabled, pause_seconds, run
from handlers.loops.driver import Loop
from handlers.loops.late_runs import claim_late, mark_late_runs
from sql.database import connect
from sql.statement import flush
from tests.consistency import find_half_written
from tests.downbeat_server import ROOT, running
from tests.runs import make_flow_run, read_flow_run
from tests.waiting import PATIENCE_SECONDS, wait_until

NOW = datetime.now(timezone.utc)


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


@pytest.fixture
def db(session):
    """A session whose work is committed; what it leaves behind is whole."""
    conn = session()
    yield conn
    assert find_half_written(conn) == []


def due(seconds: float) -> dict:
    """Give a SCHEDULED state that is due some seconds from now."""
    details = {"scheduled_time": (NOW + timedelta(seconds=seconds)).isoformat()}
    return {"type": "SCHEDULED", "state_details": details}


def test_every_loop_is_there_under_the_name_of_its_service():
    services = {"SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "REPOSSESSOR", "FOREMAN"}
    assert {loop.service for loop in LOOPS} == services


@pytest.mark.parametrize(("name", "value", "off"), [
    ("PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED", "false", {"LATE_RUNS"}),
    ("PREFECT_API_SERVICES_FOREMAN_ENABLED", "0", {"FOREMAN"}),
    ("PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED", "true", set()),
])  # fmt: skip
def test_services_are_switched_off_by_prefects_names(monkeypatch, name, value, off):
    monkeypatch.setenv(name, value)
    assert {loop.service for loop in LOOPS} - {loop.service for loop in enabled()} == off


def test_a_pause_between_rounds_can_be_set(monkeypatch):
    loop = Loop("mark_late_runs", claim_late, mark_late_runs, "LATE_RUNS")
    assert pause_seconds(loop) == 5
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS", "0.5")
    assert pause_seconds(loop) == 0.5


def test_a_loop_that_fails_is_tried_again_on_a_new_connection_and_stops_no_other(database, caplog):
    stopping, failed, succeeded = threading.Event(), [], []

    def fail(conn, now, limit, after):
        failed.append(conn)
        conn.execute("SELECT FROM nothing")

    def succeed(conn, now, limit, after):
        assert now.tzinfo
        succeeded.append(conn)
        if len(failed) > 2 and len(succeeded) > 2:
            stopping.set()
        return []

    run(database, stopping, [Loop("fail", fail, len, "X", 0.001), Loop("succeed", succeed, len, "Y", 0.01)])
    assert len(set(map(id, failed))) > 1
    of_loops = [record for record in caplog.records if record.name == "downbeat.loops"]
    assert {type(record.exc_info[1]) for record in of_loops if record.exc_info} == {UndefinedTable}
    assert all(conn.closed for conn in failed + succeeded)


def test_the_thread_marks_late_runs_and_ends_when_it_is_told_to(database, session, monkeypatch):
    conn = session()
    id = make_flow_run(conn, state=due(-60))
    flush(conn)
    monkeypatch.delenv("DOWNBEAT_LOOPS", raising=False)
    monkeypatch.setattr(loops, "LOOPS", (Loop("mark_late_runs", claim_late, mark_late_runs, "LATE_RUNS", every=0.01),))
    stopping = threading.Event()
    (thread,) = loops.start(database, stopping)
    wait_until_late(conn, id)
    stopping.set()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def wait_until_late(conn, id: str) -> None:
    """Return once a flow run is Late."""
    wait_until(lambda: read_flow_run(conn, id)["state_name"] == "Late")


def test_a_server_runs_the_loops_and_stops_with_them(database, db):
    id = make_flow_run(db, state=due(-60))
    flush(db)
    with running(database, 2, DOWNBEAT_LOOPS="on", PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS="0.05"):
        wait_until_late(db, id)
        wait_until(lambda: count_loops(db) == 4, lambda: "two connections for each process")
    assert count_loops(db) == 0


def test_loops_run_apart_from_servers(database, db):
    id = make_flow_run(db, state=due(-60))
    flush(db)
    environment = os.environ | {"DATABASE_URL": database, "DOWNBEAT_LOOPS": "off"}
    process = subprocess.Popen([sys.executable, str(ROOT / "app.py"), "loops"], env=environment)
    try:
        wait_until_late(db, id)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):  # a second one may come amid the first
            process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert count_loops(db) == 0


def count_loops(conn) -> int:
    """Count the connections of loops."""
    loops = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'downbeat loops' AND datname = current_database()"
    return conn.execute(loops).fetchone()[0]


def test_nothing_is_started_when_all_loops_are_off(monkeypatch):
    monkeypatch.setenv("DOWNBEAT_LOOPS", "off")
    assert loops.start("host=nowhere", threading.Event()) == []
