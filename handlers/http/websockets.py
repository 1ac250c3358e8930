"""Open websockets: one thread per process drives all of them, for an open socket holds no thread of its own.

What a socket is for is told by its Purpose, whose functions are called in the loop's thread and must not block.
"""

import contextlib
import hmac
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.utilities import ProtocolError

from schemas.settings import setting

log = logging.getLogger("downbeat.websockets")

READ_BYTES = 16384  # at a turn, for they may be thousands of tiny frames
MAX_UNSENT_BYTES, MAX_ALL_UNSENT_BYTES = 8 * 1024 * 1024, 256 * 1024 * 1024  # to a client, to all clients of the process
MAX_AUTH_LENGTH = 4096
PATIENCE_SECONDS = 10  # for a client's auth message, and for its answer to a close
SENDING_PATIENCE_SECONDS = 60  # for it to take the next bit of what it is sent, as of an answer
PROTOCOL_ERROR, POLICY_VIOLATION, SERVICE_RESTART = 1002, 1008, 1012


def confirm_at_once(websocket: "Websocket", answer: Callable[[], None]) -> None:
    """Answer pings and closes right away."""
    answer()


@dataclass(frozen=True)
class Purpose:
    """What is done with the messages of a websocket.

    `receive(websocket, text)` gets every message after the handshake, None in place of one longer than `max_length`.
    `confirm(websocket, answer)` calls `answer` once everything received so far is safe: only then is a ping answered with a
    pong, or a close with a close. `flush(deadline)` is called before sockets close because the process stops, and makes
    safe what was received, if it can by that instant of `time.monotonic`.
    """

    receive: Callable[["Websocket", str | None], None]
    confirm: Callable[["Websocket", Callable[[], None]], None] = confirm_at_once
    flush: Callable[[float], None] = lambda deadline: None
    max_length: int = 1_500_000


class Websocket:
    """An open websocket. Its methods belong to the loop's thread; elsewhere use `loop.call(websocket.send, text)`."""

    def __init__(self, connection: socket.socket, purpose: Purpose, authenticated: bool, received: bytes, unsent: bytes):
        """Take what has come behind the handshake, and what is to leave first."""
        self.connection, self.purpose, self.authenticated = connection, purpose, authenticated
        self.protocol = Connection(ConnectionType.SERVER, trailing_data=received)
        self.parts: list[str | bytes] = []
        self.length = 0
        self.unsent = bytearray(unsent)
        self.page_bytes = self.noted_bytes = 0
        self.when_sent: Callable[[], None] | None = None
        self.reading = True
        self.ping: Ping | None = None
        self.pong_is_due = False

    @property
    def interest(self) -> int:
        """What of the selector's events the socket waits for."""
        return (selectors.EVENT_READ if self.reading else 0) | (selectors.EVENT_WRITE if self.unsent else 0)

    def send(self, text: str) -> None:
        """Send a message."""
        self.transmit(Message(text))

    def send_page(self, texts: list[str], when_sent: Callable[[], None]) -> None:
        """Send messages, and call `when_sent` when the network has taken the last of them: then is the time for more."""
        if self in loop.websockets and self.protocol.state is ConnectionState.OPEN:
            page = b"".join(self.protocol.send(Message(text)) for text in texts)
            self.unsent += page
            self.page_bytes, self.when_sent = len(page), when_sent
            self.write()

    def close(self, code: int, reason: str = "") -> None:
        """Send a close and wait a little for the client's answer to it."""
        self.transmit(CloseConnection(code, reason))
        loop.limit(self)

    def transmit(self, event: Event) -> None:
        """Send an event of the protocol; nothing happens when the connection is over."""
        if self not in loop.websockets:
            return
        try:
            self.unsent += self.protocol.send(event)
        except ProtocolError:
            return  # a close was sent already
        self.write()

    def write(self) -> None:
        """Give the network what it takes now; the rest when it is ready for more."""
        before = len(self.unsent)
        try:
            while self.unsent:
                del self.unsent[: self.connection.send(self.unsent)]
        except BlockingIOError:
            if len(self.unsent) > MAX_UNSENT_BYTES + self.page_bytes:
                log.warning("a client does not read what it is sent; its websocket is dropped")
                return self.drop()
        except OSError:
            return self.drop()
        if self.protocol.state is ConnectionState.CLOSED and not self.unsent:
            return self.drop()
        if self.when_sent and not self.unsent:
            when_sent, self.when_sent = self.when_sent, None
            when_sent()
        loop.account(self, len(self.unsent) < before)
        return loop.watch(self)

    def read(self) -> None:
        """Take in what has arrived and act on it."""
        try:
            received = self.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self.drop()
            return
        self.protocol.receive_data(received)
        self.take_in()

    def take_in(self) -> None:
        """Act on what has arrived."""
        try:
            for event in self.protocol.events():
                self.handle(event)
        except ProtocolError as error:
            self.close(PROTOCOL_ERROR, str(error)[:100])

    def handle(self, event: Event) -> None:
        """Act on an event of the protocol. Messages behind a close of ours are passed over."""
        if isinstance(event, (TextMessage, BytesMessage)):
            if self.protocol.state is ConnectionState.OPEN:
                self.collect(event)
        elif isinstance(event, CloseConnection) and self.protocol.state is not ConnectionState.REMOTE_CLOSING:
            self.transmit(event)  # either it answers our close, or it says what is wrong with what came
            self.drop()
        elif isinstance(event, CloseConnection):
            answer = event.response()
            self.purpose.confirm(self, lambda: loop.call(self.transmit, answer))
        elif isinstance(event, Ping):
            self.ping = event
            if not self.pong_is_due:
                self.confirm_ping()

    def confirm_ping(self) -> None:
        """Have the last ping answered. While an answer is due, others only replace it: one answers all (RFC 6455, 5.5.3)."""
        answer, self.ping = self.ping.response(), None
        self.pong_is_due = True
        self.purpose.confirm(self, lambda: loop.call(self.send_pong, answer))

    def send_pong(self, answer: Event) -> None:
        """Answer a ping, then the last of those that came meanwhile."""
        self.transmit(answer)
        self.pong_is_due = False
        if self.ping and self in loop.websockets:
            self.confirm_ping()

    def collect(self, event: TextMessage | BytesMessage) -> None:
        """Put the parts of a message together and pass on what is whole."""
        self.length += len(event.data)
        if fits := self.length <= (self.purpose.max_length if self.authenticated else MAX_AUTH_LENGTH):
            self.parts += [event.data] if event.data else []  # a part may be empty, and their number is not bounded
        elif not self.authenticated:
            self.authenticate(None)
        if event.message_finished:
            whole = type(event.data)().join(self.parts) if fits else None
            text = whole.decode(errors="replace") if isinstance(whole, bytes) else whole
            self.parts, self.length = [], 0
            if self.authenticated:
                self.purpose.receive(self, text)
            else:
                self.authenticate(text)

    def authenticate(self, text: str | None) -> None:
        """Take the first message, which must be the client's auth message, with the right token if there is one."""
        try:
            message = orjson.loads(text or "")
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or message.get("type") != "auth":
            self.close(POLICY_VIOLATION, "Expected an auth message")
        elif not is_authentic(message.get("token")):
            self.close(POLICY_VIOLATION, "Invalid token")
        else:
            self.authenticated = True
            loop.deadlines.pop(self, None)
            self.send('{"type":"auth_success"}')

    def pause(self) -> None:
        """Stop reading, so that the client has to wait."""
        self.reading = False
        loop.watch(self)

    def resume(self) -> None:
        """Read on."""
        self.reading = True
        loop.watch(self)

    def expire(self) -> None:
        """Hang up on a client that has not sent its auth message in time, or does not answer a close."""
        if not self.authenticated:
            self.transmit(CloseConnection(POLICY_VIOLATION, "Expected an auth message"))
        self.drop()

    def drop(self) -> None:
        """Hang up and forget the socket."""
        if self in loop.websockets:
            loop.forget(self)
            self.connection.close()


class Loop:
    """The thread that waits for all websockets of this process; the first of them starts it."""

    def __init__(self):
        self.websockets: set[Websocket] = set()
        self.purposes: set[Purpose] = set()
        self.deadlines: dict[Websocket, float] = {}
        # Those whose clients have not taken all that they were sent, the one longest without progress first.
        self.behind: dict[Websocket, float] = {}
        self.unsent_bytes = 0
        self.calls: deque[tuple] = deque()
        self.starting = threading.Lock()
        self.thread: threading.Thread | None = None
        self.stopping = False
        self.max_websockets = 0  # the worker sets it

    def add(self, websocket: Websocket) -> None:
        """Take over a websocket; starts the thread when there is none."""
        with self.starting:
            if self.thread is None:
                self.selector = selectors.DefaultSelector()
                self.alarm, self.bell = socket.socketpair()
                self.alarm.setblocking(False)
                self.bell.setblocking(False)
                self.selector.register(self.alarm, selectors.EVENT_READ)
                self.thread = threading.Thread(target=self.run, name="websockets", daemon=True)
                self.thread.start()
        self.call(self.admit, websocket)

    def admit(self, websocket: Websocket) -> None:
        """Begin to watch a websocket."""
        self.websockets.add(websocket)
        self.purposes.add(websocket.purpose)
        if not websocket.authenticated:
            self.limit(websocket)
        websocket.write()
        websocket.take_in()
        if self.stopping:
            websocket.close(SERVICE_RESTART, "restarting")

    def call(self, function: Callable, *arguments) -> None:
        """Have a function called in the loop's thread; from any thread."""
        self.calls.append((function, arguments))
        with contextlib.suppress(BlockingIOError):  # then it has been rung often enough
            self.bell.send(b"!")

    def watch(self, websocket: Websocket) -> None:
        """Wait for what a websocket is interested in now; nothing happens when it is forgotten."""
        if websocket not in self.websockets:
            return
        known, interest = self.selector.get_map().get(websocket.connection), websocket.interest
        if known is None and interest:
            self.selector.register(websocket.connection, interest, websocket)
        elif known is not None and not interest:
            self.selector.unregister(websocket.connection)
        elif known is not None and known.events != interest:
            self.selector.modify(websocket.connection, interest, websocket)

    def limit(self, websocket: Websocket) -> None:
        """Drop a websocket that is still in the state it is in when patience ends."""
        self.deadlines.setdefault(websocket, time.monotonic() + PATIENCE_SECONDS)

    def account(self, websocket: Websocket, has_progressed: bool) -> None:
        """Note how far a client is behind and until when it has time; drop who is longest without progress if it is too much."""
        if websocket not in self.websockets:
            return
        self.unsent_bytes += len(websocket.unsent) - websocket.noted_bytes
        websocket.noted_bytes = len(websocket.unsent)
        if has_progressed or not websocket.unsent:
            self.behind.pop(websocket, None)
        if websocket.unsent:
            self.behind.setdefault(websocket, time.monotonic() + SENDING_PATIENCE_SECONDS)
        while self.unsent_bytes > MAX_ALL_UNSENT_BYTES:
            log.warning("clients do not read what they are sent; the websocket of one is dropped")
            next(iter(self.behind)).drop()

    def make_room(self) -> None:
        """Drop the websocket that has waited the longest for an auth message or the answer to a close."""
        if self.deadlines:
            next(iter(self.deadlines)).drop()

    def forget(self, websocket: Websocket) -> None:
        """Stop watching a websocket."""
        self.websockets.discard(websocket)
        self.deadlines.pop(websocket, None)
        self.behind.pop(websocket, None)
        self.unsent_bytes -= websocket.noted_bytes
        websocket.noted_bytes = 0
        if websocket.connection in self.selector.get_map():
            self.selector.unregister(websocket.connection)

    def run(self) -> None:
        """Wait and act until the process has stopped all websockets."""
        while not (self.stopping and not self.websockets and not self.calls):
            try:
                self.wait_and_act()
            except Exception:
                log.exception("websockets go on after an error")
                time.sleep(0.1)

    def wait_and_act(self) -> None:
        """Serve the websockets that are ready, and end those whose time is up."""
        for key, events in self.selector.select(1 if self.deadlines or self.behind else None):
            self.protect(key.data, self.act, key.data, events)
        now = time.monotonic()
        for websocket in [late for late, deadline in self.deadlines.items() if deadline < now]:
            del self.deadlines[websocket]
            self.protect(websocket, websocket.expire)
        while self.behind and (slowest := next(iter(self.behind.items())))[1] < now:
            log.warning("a client does not read what it is sent; its websocket is dropped")
            slowest[0].drop()

    def protect(self, websocket: Websocket | None, function: Callable, *arguments) -> None:
        """Call a function; an error costs the websocket that it is about, and no other."""
        try:
            function(*arguments)
        except Exception:
            log.exception("an error on a websocket")
            if websocket:
                with contextlib.suppress(OSError):
                    websocket.drop()

    def act(self, websocket: Websocket | None, events: int) -> None:
        """Serve a websocket that is ready, or, for None, make the calls that other threads asked for."""
        if websocket is None:
            with contextlib.suppress(BlockingIOError):
                self.alarm.recv(4096)
            while self.calls:
                function, arguments = self.calls.popleft()
                self.protect(None, function, *arguments)
            return
        if events & selectors.EVENT_WRITE:
            websocket.write()
        if events & selectors.EVENT_READ and websocket in self.websockets:
            websocket.read()

    def stop(self, seconds: float) -> None:
        """Make safe what was received and close all websockets so that clients connect anew; takes at most `seconds`."""
        if self.thread is None:
            return
        deadline = time.monotonic() + seconds
        self.call(self.pause)
        for purpose in list(self.purposes):
            purpose.flush(deadline)
        self.call(self.close)
        self.thread.join(max(0, min(1, deadline - time.monotonic())))

    def pause(self) -> None:
        """Read no more from any websocket, and take no new ones."""
        self.stopping = True
        for websocket in self.websockets:
            websocket.pause()

    def close(self) -> None:
        """Close all websockets. The code is 1012, for clients take 1001 for an end that they need not come back from."""
        for websocket in list(self.websockets):
            websocket.purpose = Purpose(receive=lambda websocket, text: None)
            websocket.resume()
            websocket.close(SERVICE_RESTART, "restarting")


loop = Loop()


def auth_string() -> str:
    """Give the token that clients must bring, or an empty string."""
    return setting("server.api.auth_string") or ""


def is_authentic(token: object) -> bool:
    """Tell whether a client's token is the one required, if one is."""
    return not auth_string() or hmac.compare_digest(str(token or "").encode(), auth_string().encode())
