"""The websocket /api/events/in of a real server, as clients meet it."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_websocket

from handlers.http import websockets
from sql.database import connect
from tests import downbeat_server
from tests.events import make_event, make_life
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter, wait_until

AUTH = '{"type":"auth","token":null}'
HANDSHAKE = (
    b"GET /api/events/in HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: prefect\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(module_database):
    """A server with one process, so that all sockets share one loop."""
    with downbeat_server.running(module_database, workers=1) as server:
        yield server


@pytest.fixture
def stored(module_database):
    """A connection that sees what the server committed."""
    with connect(module_database) as conn:
        yield conn


def open_socket(server, token=None, **options):
    """Open the socket that events go into, with the handshake done."""
    address = server.api.replace("http", "ws") + "/events/in"
    websocket = connect_websocket(address, subprotocols=["prefect"], open_timeout=PATIENCE_SECONDS, **options)
    websocket.send(orjson.dumps({"type": "auth", "token": token}).decode())
    assert orjson.loads(websocket.recv(PATIENCE_SECONDS)) == {"type": "auth_success"}
    return websocket


def frame(opcode, content, is_last=True):
    """Give a frame of less than 126 bytes as a client sends it, masked by zeros."""
    return bytes([is_last << 7 | opcode, 0x80 + len(content), 0, 0, 0, 0]) + content


def send(websocket, *events):
    """Send events, one to a message."""
    for event in events:
        websocket.send(orjson.dumps(event).decode())


def count_events(conn, *events):
    """Count how many of the events are stored."""
    ids = [event["id"] for event in events]
    return conn.execute("SELECT count(*) FROM events WHERE id = ANY (%s::uuid[])", (ids,)).fetchone()[0]


def test_a_pong_means_that_what_came_before_it_is_stored(server, stored):
    with open_socket(server) as websocket:
        for size in (1, 7, 1200):
            events = [make_event() for _ in range(size)]
            send(websocket, *events)
            assert websocket.ping().wait(PATIENCE_SECONDS)
            assert count_events(stored, *events) == size


def test_no_pong_comes_before_the_database_has_answered(server, stored, module_database):
    with open_socket(server) as websocket, connect(module_database) as locking:
        event = make_event()
        with locking.transaction():
            locking.execute("LOCK TABLE events IN EXCLUSIVE MODE")
            send(websocket, event)
            pong = websocket.ping()
            wait_for_waiter(stored)
            with open_socket(server) as other:  # sockets that have nothing to wait for do not wait
                assert other.ping().wait(PATIENCE_SECONDS)
            assert not pong.is_set()
        assert pong.wait(PATIENCE_SECONDS)
        assert count_events(stored, event) == 1


def test_a_clean_close_means_that_everything_is_stored(server, stored):
    events = [make_event() for _ in range(300)]
    with open_socket(server) as websocket:
        send(websocket, *events)
    assert count_events(stored, *events) == 300


def test_events_are_stored_without_being_asked_after(server, stored):
    event = make_event()
    with open_socket(server) as websocket:
        send(websocket, event)
        wait_until(lambda: count_events(stored, event))


def test_a_poisoned_message_does_not_stop_the_stream(server, stored):
    before, after = make_event(), make_event()
    with open_socket(server) as websocket:
        send(websocket, before)
        for poison in ("{", "null", orjson.dumps(make_event(payload={"a": "\0"})).decode(), "x" * 1_600_000):
            websocket.send(poison)
        send(websocket, {"id": "no event"}, after)
        assert websocket.ping().wait(PATIENCE_SECONDS)
    assert count_events(stored, before, after) == 2


def test_messages_may_come_in_parts_and_as_bytes(server, stored):
    whole, parts = make_event(), make_event()
    with open_socket(server) as websocket:
        websocket.send(orjson.dumps(whole))
        text = orjson.dumps(parts).decode()
        websocket.send(iter([text[:10], text[10:50], text[50:]]))
        assert websocket.ping().wait(PATIENCE_SECONDS)
    assert count_events(stored, whole, parts) == 2


def test_many_sockets_record_one_flow_run_at_once(server, stored):
    lives = [make_life(f"00000000-0000-4000-8000-{number:012}") for number in range(40)]
    events = [event for life in lives for event in life]

    def tell(shift):
        with open_socket(server) as websocket:
            send(websocket, *events[shift:], *events[:shift])
            assert websocket.ping().wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(tell, range(0, 120, 15)))
    assert count_events(stored, *events) == 120
    completed = "SELECT count(*) FROM task_run WHERE state_name = 'Completed' AND id::text LIKE '00000000-0000-4000-8000-%'"
    assert stored.execute(completed).fetchone() == (40,)


def test_compression_is_declined(server):
    with open_socket(server, compression="deflate") as websocket:
        assert "Sec-WebSocket-Extensions" not in websocket.response.headers
        assert websocket.subprotocol == "prefect"


@pytest.mark.parametrize("message", ["{", "null", '{"type":"filter"}', AUTH.replace("auth", "hello")])
def test_the_first_message_must_be_the_auth_message(server, message):
    address = server.api.replace("http", "ws") + "/events/in"
    with connect_websocket(address, subprotocols=["prefect"]) as websocket:
        websocket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE_SECONDS)
    assert closed.value.rcvd.code == 1008


def test_clients_of_old_need_no_sub_protocol(server, stored):
    event = make_event()
    with connect_websocket(server.api.replace("http", "ws") + "/events/in") as websocket:
        send(websocket, event)
        assert websocket.ping().wait(PATIENCE_SECONDS)
    assert count_events(stored, event) == 1


def test_a_handshake_that_is_none_is_a_400(server):
    host, port = server.api.removeprefix("http://").removesuffix("/api").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"GET /api/events/in HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("fault", [
    (b"Host: localhost\r\n", b""),
    (b"GET", b"HEAD"),
    (b"HTTP/1.1", b"HTTP/1.0"),
    (b"Protocol: prefect", b"Protocol: prefect, \xff"),
    (b"Sec-WebSocket-Version", b"Sec-WebSocket-Extensions: \xff\r\nSec-WebSocket-Version"),
])  # fmt: skip
def test_a_faulty_handshake_is_a_400(server, fault):
    host, port = server.api.removeprefix("http://").removesuffix("/api").split(":")
    assert HANDSHAKE.count(fault[0]) == 1
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as raw:
        raw.sendall(HANDSHAKE.replace(*fault))
        assert raw.recv(100).split()[1] == b"400"


def test_a_client_that_breaks_the_protocol_is_told_so(server):
    with open_socket(server) as websocket:
        websocket.socket.sendall(b"\x81\x02hi")  # a client has to mask what it sends
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE_SECONDS)
    assert closed.value.rcvd.code == 1002


def test_two_hundred_sockets_hold_no_thread_of_the_server(server):
    sockets = [open_socket(server, ping_interval=None, close_timeout=0.1) for _ in range(200)]
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children") as children:
        worker = children.read().split()[0]
    with open(f"/proc/{worker}/status") as status:
        threads = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    assert threads < 30
    for websocket in sockets:
        websocket.close()


def test_with_an_auth_string_only_the_right_token_opens_the_socket(module_database):
    with downbeat_server.running(module_database, workers=1, PREFECT_SERVER_API_AUTH_STRING="admin:pass") as server:
        address = server.api.replace("http", "ws") + "/events/in"
        open_socket(server, token="admin:pass").close()
        for token in (None, "", "admin:wrong", 1, "pässwörd"):
            with pytest.raises(ConnectionClosed) as closed:
                open_socket(server, token=token)
            assert closed.value.rcvd.code == 1008
        with pytest.raises(InvalidStatus):
            connect_websocket(address)


def test_a_full_queue_makes_clients_wait_instead_of_filling_memory(server, stored, module_database):
    events = [make_event(payload={"text": "x" * 1_000_000}) for _ in range(90)]
    sent = []

    def send_all():
        for event in events:
            send(websocket, event)
            sent.append(event)

    with open_socket(server, close_timeout=PATIENCE_SECONDS) as websocket, connect(module_database) as locking:
        with locking.transaction():
            locking.execute("LOCK TABLE events IN EXCLUSIVE MODE")
            sender = threading.Thread(target=send_all)
            sender.start()
            sizes = [-1, 0]
            while sizes[-1] != sizes[-2]:
                sender.join(1)
                sizes.append(len(sent))
            assert len(sent) < 60
        sender.join()
        assert websocket.ping().wait(PATIENCE_SECONDS)
    assert count_events(stored, *events) == 90


def test_the_first_message_is_short(server):
    address = server.api.replace("http", "ws") + "/events/in"
    with connect_websocket(address, subprotocols=["prefect"]) as websocket:
        websocket.send(orjson.dumps({"type": "auth", "token": None, "more": "x" * 4096}).decode())
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE_SECONDS)
    assert closed.value.rcvd.code == 1008


def test_pings_that_wait_are_answered_by_one_pong(server, stored, module_database):
    with open_socket(server) as websocket, connect(module_database) as locking:
        event = make_event()
        with locking.transaction():
            locking.execute("LOCK TABLE events IN EXCLUSIVE MODE")
            send(websocket, event)
            pongs = [websocket.ping(str(number)) for number in range(1000)]
            wait_for_waiter(stored)
            assert not pongs[0].is_set()
        assert pongs[-1].wait(PATIENCE_SECONDS)
        assert count_events(stored, event) == 1


def test_what_comes_right_behind_a_handshake_is_not_lost(server):
    host, port = server.api.removeprefix("http://").removesuffix("/api").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as raw:
        raw.sendall(HANDSHAKE + frame(1, AUTH.encode()))
        received = b""
        while b"auth_success" not in received:
            part = raw.recv(1000)
            assert part, received
            received += part


@pytest.fixture
def alone(monkeypatch):
    """Give a function that opens a websocket in this process and gives it, its client's socket and the messages it brings."""
    monkeypatch.setattr(websockets, "loop", websockets.Loop())
    clients = []

    def make(authenticated=True):
        server, client = socket.socketpair()
        server.setblocking(False)
        client.settimeout(PATIENCE_SECONDS)
        clients.append(client)
        messages = []
        purpose = websockets.Purpose(lambda websocket, text: messages.append(text))
        websocket = websockets.Websocket(server, purpose, authenticated, b"", b"")
        websockets.loop.add(websocket)
        return websocket, client, messages

    yield make
    for client in clients:
        client.close()
    loop = websockets.loop
    loop.stop(PATIENCE_SECONDS)
    loop.thread.join(PATIENCE_SECONDS)
    for each in (loop.selector, loop.alarm, loop.bell):
        each.close()


def test_characters_that_parts_are_cut_in_stay_whole(alone):
    _, client, messages = alone()
    begin, end = "é".encode()[:1], "é".encode()[1:]
    client.sendall(frame(2, begin, is_last=False) + frame(0, end) + frame(2, b"\xff") + frame(1, "ü".encode()))
    wait_until(lambda: len(messages) == 3)
    assert messages == ["é", "\N{REPLACEMENT CHARACTER}", "ü"]


def test_parts_without_content_take_no_memory(alone):
    websocket, client, messages = alone()
    client.sendall(frame(1, b"a", is_last=False) + frame(0, b"", is_last=False) * 1000 + frame(9, b"ping"))
    assert client.recv(100).endswith(b"ping")
    assert websocket.parts == ["a"]
    client.sendall(frame(0, b"b"))
    wait_until(lambda: messages)
    assert messages == ["ab"]


def test_a_client_whose_first_message_was_refused_gets_no_second_chance(alone, monkeypatch):
    monkeypatch.setattr(websockets, "PATIENCE_SECONDS", 0.5)
    _, client, messages = alone(authenticated=False)
    client.sendall(frame(1, b"{}") + frame(1, AUTH.encode()) + frame(1, b"an event"))
    received = b""
    while part := client.recv(1000):
        received += part
    assert received[2:4] == (1008).to_bytes(2, "big")
    assert not messages


def test_a_client_that_takes_nothing_of_what_it_is_sent_is_dropped(alone, monkeypatch):
    monkeypatch.setattr(websockets, "SENDING_PATIENCE_SECONDS", 1.5)
    websocket = alone()[0]
    other, reading, _ = alone()
    for one in (websocket, other):
        websockets.loop.call(one.send, "x" * 1_000_000)
    wait_until(lambda: len(websockets.loop.behind) == 2)
    received = 0
    while received < 1_000_000:
        received += len(reading.recv(65536))
    wait_until(lambda: websocket not in websockets.loop.websockets)
    assert other in websockets.loop.websockets
    assert (websockets.loop.behind, websockets.loop.unsent_bytes) == ({}, 0)


def test_what_all_clients_together_do_not_take_is_bounded(alone, monkeypatch):
    monkeypatch.setattr(websockets, "MAX_ALL_UNSENT_BYTES", 5_000_000)
    opened = [alone()[0] for _ in range(8)]
    for websocket in opened:
        websockets.loop.call(websocket.send, "x" * 1_500_000)
    wait_until(lambda: len(websockets.loop.websockets) == 3)
    assert websockets.loop.websockets == set(opened[-3:])
    assert websockets.loop.unsent_bytes == sum(len(one.unsent) for one in opened[-3:]) <= 5_000_000
