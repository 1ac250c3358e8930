"""The server's worker: how requests come in, answers leave, and threads are shared."""

import contextlib
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import orjson
import pytest

from sql.database import connect
from tests import downbeat_server
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter


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
        raw.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
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


def talk(address, content, *, until=None):
    """Send bytes and give what is answered, up to the end of the connection or to some bytes."""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as raw:
        raw.sendall(content)
        received = b""
        while part := raw.recv(65536):
            received += part
            if until and until in received:
                break
        return received


def read_error(received):
    """Give the status and the text of an answer that is an error."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in head
    return int(head[9:12]), orjson.loads(body)["detail"]


def post(body, *headers, version="1.1"):
    """Give the bytes of a request that makes a flow."""
    head = [f"POST /api/flows/ HTTP/{version}", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*head, "", body]).encode()


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000, 431),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n", 400),
        (post("", "Expect: much"), 417),
        (post("", "Transfer-Encoding: wild"), 501),
        # What a proxy might read in another way.
        (post("{}", "Content-Length: 2", "Content-Length: 2"), 400),
        (post("{}", "Content-Length: +2"), 400),
        (post("2\r\n{}\r\n0\r\n\r\n", CHUNKED, "Content-Length: 2"), 400),
        (post("2\r\n{}\r\n0\r\n\r\n", CHUNKED, CHUNKED), 400),
        (post("2\r\n{}\r\n0\r\n\r\n", CHUNKED, version="1.0"), 400),
        (post("{}", "Transfer-Encoding: gzip"), 400),
        (post("zz\r\n", CHUNKED), 400),
        (post("0x2\r\n{}\r\n0\r\n\r\n", CHUNKED), 400),
        (post("-2\r\n{}\r\n0\r\n\r\n", CHUNKED), 400),
        (post("2\n{}\r\n0\r\n\r\n", CHUNKED), 400),
        (post("2 \r\n{}\r\n0\r\n\r\n", CHUNKED), 400),
        (post("2;a=\x01\r\n{}\r\n0\r\n\r\n", CHUNKED), 400),
        (post("2\r\n{}}\r\n0\r\n\r\n", CHUNKED), 400),
        (post("1" * 300, CHUNKED), 400),
        (post("1\r\n{\r\n" * 100_000, CHUNKED), 400),
        (post("0\r\nA: b\nC: d\r\n\r\n", CHUNKED), 400),
        (post("0\r\n" + "A: b\r\n" * 2000, CHUNKED), 431),
        (post("", "Content-Length: 67108865"), 413),
        (post("4000001\r\n", CHUNKED), 413),
        (post("", "Content-Length: 99999999999", "Expect: 100-continue"), 413),
    ],
)
def test_what_the_server_refuses_by_itself_is_told_in_the_shape_of_the_contract(address, request_, status):
    answer = talk(address, request_)
    found, detail = read_error(answer)
    assert found == status
    assert detail
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer


def test_the_size_of_a_body_is_looked_at_before_credentials(module_database):
    with downbeat_server.running(module_database, workers=1, PREFECT_SERVER_API_AUTH_STRING="admin:pass") as server:
        url = urlsplit(server.api)
        assert read_error(talk((url.hostname, url.port), post("", "Content-Length: 67108865")))[0] == 413


@pytest.mark.parametrize(
    "request_",
    [
        post('{"name": "a"}', "Content-Length: 13"),
        post('D;a="b"\r\n{"name": "a"}\r\n0\r\n\r\n', CHUNKED),
        post('5\r\n{"nam\r\n8\r\ne": "a"}\r\n00\r\nA: b\r\n\r\n', CHUNKED),
        b"\r\n" + post('{"name": "a"}', "Content-Length: 13"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_request_may_come_in_any_parts_and_another_right_behind_it(address, request_, step):
    content = request_ * 2 + post('{"name": "a"}', "Content-Length: 13", "Connection: close")
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(content), step):
            raw.sendall(content[start : start + step])
        received = b""
        while part := raw.recv(65536):
            received += part
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] in ([b"201", b"200", b"200"], [b"200"] * 3)


def test_a_client_that_waits_to_be_told_to_send_its_body_is_told(address):
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as raw:
        for _ in range(2):
            raw.sendall(post("", "Content-Length: 13", "Expect: 100-continue"))
            assert raw.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            raw.sendall(b'{"name": "a"}')
            assert raw.recv(1000).startswith(b"HTTP/1.1 20")


def test_connections_end_when_their_client_wants_it(address):
    for request_ in (
        b"GET /api/health HTTP/1.0\r\n\r\n",
        b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ):
        assert talk(address, request_).endswith(b"true")
    kept = b"GET /api/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert talk(address, kept * 2 + b"GET /api/health HTTP/1.0\r\n\r\n").count(b"true") == 3


def test_an_answer_to_head_has_no_body(address):
    received = talk(address, b"HEAD /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert received.endswith(b"\r\n\r\n")
    assert b"Content-Length: 4\r\n" in received


def test_a_header_does_not_change_the_path(address):
    headers = b"Host: localhost\r\nSCRIPT_NAME: /api\r\nPATH_INFO: /api/version\r\nConnection: close\r\n\r\n"
    assert talk(address, b"GET /api/health HTTP/1.1\r\n" + headers).endswith(b"\r\n\r\ntrue")


def test_while_all_threads_wait_health_is_answered_and_others_are_told_to_come_back(address, module_database):
    request_ = post('{"name": "waits"}', "Content-Length: 17")
    with connect(module_database) as locking, connect(module_database) as watching, contextlib.ExitStack() as stack:
        with locking.transaction():
            locking.execute("LOCK TABLE flow IN EXCLUSIVE MODE")
            waiting = [stack.enter_context(socket.create_connection(address, timeout=PATIENCE_SECONDS)) for _ in range(2)]
            for raw in waiting:
                raw.sendall(request_)
            wait_for_waiter(watching, 2)
            for _ in range(3):
                connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
                assert [ask(connection), ask(connection)] == [200, 200]
                connection.close()
            later = talk(address, request_)
            assert later.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in later
            assert b'{"exception_message":"Service Unavailable"}' in later
        for raw in waiting:
            assert raw.recv(1000).startswith(b"HTTP/1.1 20")


def test_tls_is_refused_in_a_sentence(module_database):
    with pytest.raises(RuntimeError, match="Downbeat does not speak TLS"):
        downbeat_server.start(module_database, 1, GUNICORN_CMD_ARGS="--certfile=/dev/null --keyfile=/dev/null")
