"""Stopping the server, gently or not, loses nothing that it has confirmed and leaves nothing half-written."""

import http.client
import os
import signal
import threading
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosedError

from sql.database import connect
from tests import downbeat_server
from tests.events import make_event, make_life
from tests.test_websockets import count_events, open_socket, send
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter

HALF_WRITTEN = """
    SELECT (SELECT count(*) FROM events WHERE NOT EXISTS (SELECT FROM event_resources WHERE event_id = events.id)),
           (SELECT count(*) FROM task_run WHERE NOT EXISTS
                  (SELECT FROM task_run_state WHERE task_run_state.id = task_run.state_id
                      AND task_run_state."timestamp" = task_run.state_timestamp)),
           (SELECT count(*) FROM events WHERE event LIKE 'prefect.task-run.%' AND NOT EXISTS
                  (SELECT FROM task_run_state WHERE task_run_state.id = events.id)),
           (SELECT count(*) FROM (SELECT event_id FROM event_resources GROUP BY event_id HAVING count(*) > 1) AS repeated)
"""


@pytest.fixture
def stored(database):
    """A connection that sees what the server committed."""
    with connect(database) as conn:
        yield conn


def test_a_stop_stores_what_was_received_and_closes_sockets_with_1012(database, stored):
    events = [make_event() for _ in range(700)]
    with downbeat_server.running(database, workers=1) as server, open_socket(server) as websocket:
        with connect(database) as locking:
            with locking.transaction():
                locking.execute("LOCK TABLE events IN EXCLUSIVE MODE")
                send(websocket, *events)
                wait_for_waiter(stored)
                server.process.terminate()
            with pytest.raises(ConnectionClosedError) as closed:
                websocket.recv(PATIENCE_SECONDS)
        assert closed.value.rcvd.code == 1012
        assert server.process.wait(PATIENCE_SECONDS) == 0
    confirmed = count_events(stored, *events)
    assert 0 < confirmed <= 700
    assert stored.execute(HALF_WRITTEN).fetchone() == (0, 0, 0, 0)


def test_a_stop_finishes_the_request_in_flight(database, stored):
    with downbeat_server.running(database, workers=1) as server, connect(database) as locking:
        answers = []

        def ask():
            connection = http.client.HTTPConnection(urlsplit(server.api).netloc, timeout=PATIENCE_SECONDS)
            connection.request("POST", "/api/flows/", '{"name": "slow"}', {"Content-Type": "application/json"})
            answers.append(connection.getresponse().status)
            connection.close()

        asking = threading.Thread(target=ask)
        with locking.transaction():
            locking.execute("LOCK TABLE flow IN EXCLUSIVE MODE")
            asking.start()
            wait_for_waiter(stored)
            server.process.terminate()
            assert server.process.poll() is None
        asking.join()
        assert answers == [201]
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_stop_is_bounded_when_the_database_does_not_answer(database, stored):
    with (
        downbeat_server.running(database, workers=1, DOWNBEAT_STOP_SECONDS="2") as server,
        connect(database) as locking,
        locking.transaction(),
        open_socket(server, close_timeout=0.1) as websocket,
    ):
        locking.execute("LOCK TABLE events IN EXCLUSIVE MODE")
        send(websocket, make_event())
        pong = websocket.ping()
        wait_for_waiter(stored)
        server.process.terminate()
        server.process.wait(PATIENCE_SECONDS)
        assert not pong.is_set()


def test_after_a_kill_nothing_is_half_written_and_what_is_sent_again_is_stored_once(database, stored):
    lives = [make_life(f"00000000-0000-4000-8000-{number:012}") for number in range(400)]
    events = [event for life in lives for event in life]
    with downbeat_server.running(database, workers=1) as server, ExitStack() as stack:
        websocket = stack.enter_context(open_socket(server, close_timeout=0.1))

        def send_all():
            with pytest.raises(ConnectionClosedError):
                send(websocket, *events * 20)

        sender = threading.Thread(target=send_all)
        sender.start()
        while not stored.execute("SELECT id FROM events LIMIT 1").fetchone():
            pass
        os.killpg(server.process.pid, signal.SIGKILL)
        sender.join()
    assert stored.execute(HALF_WRITTEN).fetchone() == (0, 0, 0, 0)
    with downbeat_server.running(database, workers=1) as server, open_socket(server) as websocket:
        send(websocket, *events)
        assert websocket.ping().wait(PATIENCE_SECONDS)
    assert count_events(stored, *events) == 1200
    assert stored.execute(HALF_WRITTEN).fetchone() == (0, 0, 0, 0)
    runs = "SELECT count(*), count(*) FILTER (WHERE state_name = 'Completed') FROM task_run"
    assert stored.execute(runs).fetchone() == (400, 400)
