"""A thousand clients that are silent, slow or gone change nothing for the others."""

import contextlib
import http.client
import os
import resource
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from sql.database import connect
from tests import downbeat_server
from tests.prefect_server import is_healthy
from tests.test_websockets import open_socket
from tests.waiting import PATIENCE_SECONDS, wait_until

MANY = 1000
LINES = 4000
HALF = (
    b"POST /api/flows/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + b'{"name":'
)
HANDSHAKE = (
    b"GET /api/events/in HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: prefect\r\n\r\n"
)
STALLED = {"silent": b"", "one byte": b"G", "half a body": HALF, "handshake": HANDSHAKE}
STORE_LOGS = """
    INSERT INTO log (name, level, flow_run_id, message, timestamp)
    SELECT 'slow', 20, %s, repeat('x', 100), now() + n * interval '1 ms' FROM generate_series(1, %s) AS n
"""
STORE_LONG_LOGS = """
    INSERT INTO log (name, level, message, timestamp) SELECT 'long', 41, repeat('x', 150000), now() FROM generate_series(1, 200)
"""


@pytest.fixture(scope="module", autouse=True)
def many_files():
    """Let this process open files enough for both ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY:
        pytest.skip("the system allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))


@pytest.fixture(scope="module")
def server(module_database):
    """A server with one process."""
    with downbeat_server.running(module_database, workers=1) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def forgotten(server):
    """A client of each kind that does not go on, opened first and looked after last."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(clients(server, request, 1))[0] for name, request in STALLED.items()}


@pytest.fixture(scope="module")
def run(server, module_database):
    """The id of a flow run with more logs than the network keeps for a client."""
    flow = ask(server, "POST", "/flows/", {"name": "slow"})
    run = ask(server, "POST", "/flow_runs/", {"flow_id": flow["id"]})["id"]
    with connect(module_database) as conn:
        conn.execute(STORE_LOGS, (run, LINES))
    return run


def address_of(server):
    """Host and port of a server."""
    url = urlsplit(server.api)
    return url.hostname, url.port


def ask(server, method, path, body=None, expected=(200, 201)):
    """Send a request on a connection of its own and give the answer."""
    connection = http.client.HTTPConnection(*address_of(server), timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        content = orjson.dumps(body) if body is not None else None
        connection.request(method, f"/api{path}", content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        assert response.status in expected, answer
        return orjson.loads(answer)


def live(server):
    """Take a flow run from its creation to its end."""
    flow = ask(server, "POST", "/flows/", {"name": "lives"})
    run = ask(server, "POST", "/flow_runs/", {"flow_id": flow["id"], "state": {"type": "PENDING"}})
    for type in ("RUNNING", "COMPLETED"):
        assert ask(server, "POST", f"/flow_runs/{run['id']}/set_state", {"state": {"type": type}})["status"] == "ACCEPT"
    assert ask(server, "GET", f"/flow_runs/{run['id']}")["state_type"] == "COMPLETED"


@contextlib.contextmanager
def clients(server, request=b"", number=MANY):
    """Open connections, send the same on each, and read nothing."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(number):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(PATIENCE_SECONDS)
            client.connect(address_of(server))
            client.sendall(request)
            opened.append(client)
        yield opened


def pids_of_workers(server):
    """The process ids of a server's workers."""
    return Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()


def count_threads(server):
    """How many threads a server's only worker has."""
    return len(os.listdir(f"/proc/{pids_of_workers(server)[0]}/task"))


def read_all(client):
    """What is to be read until the server hangs up."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while content := client.recv(65536):
            received += content
    return bytes(received)


@pytest.mark.parametrize("kind", STALLED)
def test_clients_that_do_not_go_on_change_nothing_for_others(server, kind):
    live(server)
    workers, threads = pids_of_workers(server), count_threads(server)
    with clients(server, STALLED[kind]):
        for _ in range(20):
            assert ask(server, "GET", "/health") is True
            live(server)
        assert count_threads(server) <= threads + 2  # the websockets' and the recorder's
        with open_socket(server) as websocket:
            assert websocket.ping().wait(PATIENCE_SECONDS)
    assert pids_of_workers(server) == workers


def test_answers_that_nobody_reads_hold_no_thread_and_are_complete_when_they_are_read(server, run):
    threads = count_threads(server)
    with clients(server, f"GET /api/flow_runs/{run}/logs/download HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 300) as opened:
        for _ in range(20):
            assert ask(server, "GET", "/health") is True
            live(server)
        assert count_threads(server) <= threads + 2
        received = b""
        while not received.endswith(b"\r\n0\r\n\r\n"):
            part = opened[-1].recv(65536)
            assert part, received[-1000:]
            received += part
    assert received.count(b"xxxxxxxxxx" * 10) == LINES


def test_bodies_that_do_not_go_on_make_room_for_those_that_do(module_database):
    with downbeat_server.running(module_database, workers=1, DOWNBEAT_MAX_BODY_BYTES="1000000") as server:
        half = b"POST /api/logs/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        with clients(server, half + b" " * 999_000, 100) as opened:
            ask(server, "POST", "/flows/", {"name": "large", "labels": {"text": "x" * 900_000}})
            refused = read_all(opened[0])
            assert refused.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 1\r\n" in refused
            assert not is_ended(opened[-1])


def test_a_large_answer_that_hundreds_of_half_bodies_make_room_for_is_complete(module_database):
    with connect(module_database) as conn:
        conn.execute(STORE_LONG_LOGS)
    half = b"POST /api/logs/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n"
    with (
        downbeat_server.running(module_database, workers=1, DOWNBEAT_MAX_BODY_BYTES="1000000") as server,
        clients(server, half + b" " * 62_000, 1070),
    ):
        logs = ask(server, "POST", "/logs/filter", {"logs": {"level": {"ge_": 41, "le_": 41}}})
        assert [len(log["message"]) for log in logs] == [150_000] * 200
        live(server)


def is_ended(client):
    """Tell whether the server has said anything on a connection, or has ended it."""
    client.setblocking(False)
    try:
        client.recv(1)
    except BlockingIOError:
        return False
    return True


def test_more_connections_than_there_is_room_for_make_room_for_new_ones(module_database):
    with downbeat_server.running(module_database, workers=1, DOWNBEAT_MAX_CONNECTIONS="100") as server:
        workers = pids_of_workers(server)
        with clients(server, b"GET", 400):
            live(server)
        assert pids_of_workers(server) == workers


def test_more_websockets_than_there_is_room_for_are_refused(module_database):
    with downbeat_server.running(module_database, workers=1, DOWNBEAT_MAX_CONNECTIONS="60") as server:
        with contextlib.ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(open_socket(server))
            with clients(server, HANDSHAKE, 1) as opened:
                assert opened[0].recv(1000).startswith(b"HTTP/1.1 503 ")
            live(server)
        wait_until(lambda: can_open(server))


def test_websockets_that_bring_no_token_make_room_for_others(module_database):
    with (
        downbeat_server.running(module_database, workers=1, DOWNBEAT_MAX_CONNECTIONS="60") as server,
        clients(server, HANDSHAKE, 30) as opened,
    ):
        for one in opened:
            assert one.recv(1000).startswith(b"HTTP/1.1 101 ")
        for _ in range(5):
            open_socket(server).close()


def can_open(server):
    """Tell whether a websocket can be opened."""
    with clients(server, HANDSHAKE, 1) as opened:
        return opened[0].recv(1000).startswith(b"HTTP/1.1 101 ")


def test_a_process_that_runs_out_of_files_goes_on(module_database):
    with downbeat_server.running(module_database, workers=1) as server:
        workers = pids_of_workers(server)
        # As if others had taken the files away: it counts on far more.
        resource.prlimit(int(workers[0]), resource.RLIMIT_NOFILE, (90, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with clients(server, b"GET", 300):
            assert ask(server, "GET", "/health") is True
        live(server)
        assert pids_of_workers(server) == workers


def test_a_process_that_may_open_few_files_takes_what_they_suffice_for(module_database):
    with downbeat_server.running(module_database, workers=1) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (200, 200))
        old = pids_of_workers(server)
        os.kill(int(old[0]), signal.SIGTERM)  # the one that takes its place is born with the new limit
        workers = wait_until(lambda: (pids := pids_of_workers(server)) != old and pids)
        with clients(server, HANDSHAKE, 300), clients(server, b"G", 300):
            wait_until(lambda: is_healthy(address_of(server)[1]))  # the first may meet the moment in which there is no room
            live(server)
        assert pids_of_workers(server) == workers


def test_the_limit_of_open_files_is_raised_to_what_is_allowed(server):
    limits = Path(f"/proc/{pids_of_workers(server)[0]}/limits").read_text()
    _, _, _, soft, hard, _ = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()
    assert soft == hard


@pytest.mark.parametrize("kind", STALLED)
def test_clients_that_do_not_go_on_are_hung_up_on(forgotten, kind):
    status = {"silent": b"", "handshake": b"HTTP/1.1 101 "}.get(kind, b"HTTP/1.1 408 ")
    assert read_all(forgotten[kind]).startswith(status)


def test_clients_that_do_not_go_on_do_not_hold_up_a_stop(module_database):
    with (
        downbeat_server.running(module_database, workers=1, DOWNBEAT_STOP_SECONDS=str(int(PATIENCE_SECONDS))) as server,
        clients(server, b"GET", 100),
    ):
        server.process.terminate()
        assert server.process.wait(PATIENCE_SECONDS / 2) == 0
