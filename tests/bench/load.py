"""A load generator cheap enough to share the machine with what it measures: one thread, plain sockets, ready bytes."""

import selectors
import socket
import time
from typing import NamedTuple

from tests.bench.requests import Conversation


class Load(NamedTuple):
    """What a load came to: things done in the time, latencies in seconds, answers with another status than expected.

    `requests` were sent for it when that is another number, and `parts` are the latencies by the name of the request.
    """

    answers: int
    seconds: float
    latencies: list[float]
    unexpected: dict
    generator_seconds: float
    requests: int = 0
    parts: dict[str, list[float]] = {}


class Client:
    """One connection that goes through a conversation; what it expects is a status, or several."""

    def __init__(self, port: int, conversation: Conversation):
        self.port, self.conversation = port, conversation
        self.request, self.expected = next(conversation)
        self.connect()

    def connect(self) -> None:
        """Open the connection."""
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self) -> None:
        """Send the next request."""
        self.sent = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> tuple[int, bytes] | None:
        """Read what has come; give status and body when the answer is whole."""
        content = self.socket.recv(262144)
        if not content:
            raise ConnectionError("The server closed the connection in the middle of a request.")
        self.received += content
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found or not body_is_whole(head.lower(), body):
            return None
        self.received = b""
        return int(head[9:12]), body


def body_is_whole(head: bytes, body: bytes) -> bool:
    """Tell by the headers, in lower case, whether all of a body is there."""
    _, found, after = head.partition(b"content-length:")
    if found:
        return len(body) >= int(after.partition(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n") if b"transfer-encoding: chunked" in head else True


def drive(port: int, conversations: list[Conversation], seconds: float) -> Load:
    """Go through the conversations, each on a connection of its own, for some seconds, longer if nothing is answered.

    Those that end by themselves are gone through to their end if the seconds suffice.
    """
    latencies, unexpected = [], {}
    with selectors.DefaultSelector() as selector:
        clients = [Client(port, conversation) for conversation in conversations]
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        cpu, started = time.process_time(), time.perf_counter()
        for client in clients:
            client.send()
        while selector.get_map() and ((passed := time.perf_counter() - started) < seconds or (not latencies and passed < 30)):
            for key, _ in selector.select(0.1):
                if not advance(key.data, latencies, unexpected):
                    selector.unregister(key.fileobj)
        ended = time.perf_counter()
        for client in clients:
            client.socket.close()
    return Load(len(latencies), ended - started, latencies, unexpected, time.process_time() - cpu)


def advance(client: Client, latencies: list[float], unexpected: dict) -> bool:
    """Take in what has come for a client and send its next request when the answer is whole; false at the end."""
    answer = client.receive()
    if answer is None:
        return True
    latencies.append(time.perf_counter() - client.sent)
    status, body = answer
    if status not in (client.expected if isinstance(client.expected, tuple) else (client.expected,)):
        unexpected[status] = unexpected.get(status, 0) + 1
        if status >= 400:
            raise RuntimeError(f"{client.request.decode()}\nwas answered {status}: {body[:500]!r}")
    try:
        client.request, client.expected = client.conversation.send(body)
    except StopIteration:
        return False
    client.send()
    return True
