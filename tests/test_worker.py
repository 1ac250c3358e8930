"""The server's worker stays with a client that asks again at once, and lets nobody wait for it."""

import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests import downbeat_server
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def address(module_database):
    """Host and port of a server of one process and two threads."""
    with downbeat_server.running(module_database, workers=1, DOWNBEAT_THREADS="2") as server:
        url = urlsplit(server.api)
        yield url.hostname, url.port


def ask(connection):
    """Ask for the server's health and give the status."""
    connection.request("GET", "/api/health")
    response = connection.getresponse()
    response.read()
    return response.status


def test_a_connection_serves_request_after_request(address):
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
    connection.connect()
    kept = connection.sock
    assert [ask(connection) for _ in range(100)] == [200] * 100
    assert connection.sock is kept
    connection.close()


def test_requests_sent_together_are_all_answered(address):
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as raw:
        raw.sendall(b"GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        received = b""
        while received.count(b"HTTP/1.1 200") < 3:
            part = raw.recv(4096)
            assert part, received
            received += part


def test_idle_connections_hold_no_thread(address):
    connections = [http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS) for _ in range(50)]
    for connection in connections:
        assert ask(connection) == 200
    for connection in connections:
        assert ask(connection) == 200
        connection.close()


def test_busy_connections_share_threads_that_are_fewer(address):
    finished = threading.Event()

    def hurry():
        connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
        while not finished.is_set():
            assert ask(connection) == 200
        connection.close()

    def take_turns():
        connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
        statuses = [ask(connection) for _ in range(30)]
        connection.close()
        return statuses

    with ThreadPoolExecutor(8) as clients:
        busy = [clients.submit(hurry) for _ in range(4)]
        try:
            assert [one.result() for one in [clients.submit(take_turns) for _ in range(4)]] == [[200] * 30] * 4
        finally:
            finished.set()
        for one in busy:
            one.result()
