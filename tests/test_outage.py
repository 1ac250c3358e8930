"""PostgreSQL goes away and comes back: what is answered meanwhile, and how soon all is well again."""

import http.client
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from psycopg.conninfo import make_conninfo

from sql import postgres
from sql.database import connect
from sql.migrate import migrate
from tests import downbeat_server
from tests.runs import make_flow_run, read_flow_run
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter, wait_until

AWAY, BACK = "PostgreSQL cannot be reached", "PostgreSQL is back"
ANSWER_SECONDS = 25  # a client, or a proxy before us, gives up after 30
OUTAGE_SECONDS = 18  # a delay that doubles would be at 16 s by then
LATE_LOOP = {"DOWNBEAT_LOOPS": "on", "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "0.2"}


class Answer(NamedTuple):
    """What a request got: its status, how long that took, and when to come back."""

    status: int
    seconds: float
    retry_after: str | None = None


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory):
    """A migrated PostgreSQL to stop: its folder and its address."""
    folder = tmp_path_factory.mktemp("postgres")
    url = postgres.start(folder, settings={"fsync": "off"})
    migrate(url)
    yield folder, url
    postgres.stop(folder)


def ask(server, path: str, body: dict | None = None) -> Answer:
    """Send one request and wait for the answer."""
    connection = http.client.HTTPConnection(urlsplit(server.api).netloc, timeout=PATIENCE_SECONDS)
    began = time.monotonic()
    try:
        content = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", f"/api{path}", content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return Answer(response.status, time.monotonic() - began, response.headers["Retry-After"])
    finally:
        connection.close()


def ask_for_health(server, stopping: threading.Event) -> list[Answer]:
    """Ask for the health again and again; gives the answers."""
    answers = []
    while not stopping.wait(0.1):
        answers.append(ask(server, "/health"))
    return answers


def test_an_outage_is_answered_early_and_over_when_the_database_is_back(own_postgres):
    folder, url = own_postgres
    stopping = threading.Event()
    with ThreadPoolExecutor(50) as threads, downbeat_server.running(url, 2, **LATE_LOOP) as server:
        for answer in threads.map(lambda number: ask(server, "/flows/filter", {}), range(8)):
            assert answer.status == 200
        postgres.stop(folder)
        began = time.monotonic()
        health = threads.submit(ask_for_health, server, stopping)
        asked = [threads.submit(ask, server, "/flows/filter", {}) for _ in range(40)]
        starting = threads.submit(downbeat_server.start, url, 1)
        ready = ask(server, "/ready")
        assert ready.status == 503 and ready.seconds < ANSWER_SECONDS
        answers = [one.result() for one in asked]
        assert {answer.status for answer in answers} == {503}
        assert all(0 < int(answer.retry_after) <= 20 for answer in answers)
        assert max(answer.seconds for answer in answers) < ANSWER_SECONDS
        time.sleep(max(0, began + OUTAGE_SECONDS - time.monotonic()))
        waiting = [threads.submit(ask, server, "/flows/filter", {}) for _ in range(4)]
        postgres.start(folder)
        back = time.monotonic()
        wait_until(lambda: ask(server, "/flows/filter", {}).status == 200)
        assert time.monotonic() - back < 8
        assert [one.result().status for one in waiting] == [200] * 4
        stopping.set()
        assert {answer.status for answer in health.result()} == {200}
        assert max(answer.seconds for answer in health.result()) < 8
        other = starting.result()
        try:
            assert (other.log.count(AWAY), other.log.count(BACK)) == (1, 1)
            assert ask(other, "/ready").status == ask(server, "/ready").status == 200
        finally:
            downbeat_server.stop(other)
        with connect(url) as conn:
            id = make_flow_run(conn, "SCHEDULED")
            conn.execute("UPDATE flow_run SET next_scheduled_start_time = now() - interval '1 minute' WHERE id = %s", (id,))
            wait_until(lambda: read_flow_run(conn, id)["state_name"] == "Late")
        wait_until(lambda: server.log.count(BACK) == 2)
        assert server.log.count(AWAY) == 2  # once for each of its processes


@contextmanager
def standing_still(folder):
    """Stop the processes of a PostgreSQL, as a disk or a network that hangs would."""
    first = int((folder / "postgres/postmaster.pid").read_text().split()[0])
    pids = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_server_is_ready_while_all_its_connections_and_threads_are_in_use_and_not_while_postgresql_stands_still(own_postgres):
    folder, url = own_postgres
    with ThreadPoolExecutor(30) as threads, downbeat_server.running(url, 1) as server:
        assert ask(server, "/ready").status == 200
        with connect(url) as conn, conn.transaction():
            conn.execute("LOCK TABLE flow")
            asked = [threads.submit(ask, server, "/flows/filter", {}) for _ in range(30)]
            wait_for_waiter(conn, 8)
            assert ask(server, "/ready").status == 200
            assert not any(one.done() for one in asked)
        with standing_still(folder):
            stuck = threads.submit(ask, server, "/ready")
            assert stuck.result(ANSWER_SECONDS).status == 503
        wait_until(lambda: ask(server, "/ready").status == 200)


def test_a_database_that_refuses_ends_the_start_at_once(own_postgres):
    _, url = own_postgres
    with pytest.raises(RuntimeError, match="password authentication failed"):
        downbeat_server.start(f"{url}&password=wrong", 1)
    with pytest.raises(RuntimeError, match='database "nowhere" does not exist'):
        downbeat_server.start(url.replace("/downbeat", "/nowhere"), 1)


def test_our_name_is_first_among_those_of_a_connection(own_postgres):
    _, url = own_postgres
    for given, name in (("", "downbeat loops"), ("mine", "downbeat loops mine"), ("x" * 60, "downbeat loops " + "x" * 48)):
        with connect(make_conninfo(url, application_name=given), "downbeat loops") as conn:
            assert conn.execute("SHOW application_name").fetchone() == (name,)
