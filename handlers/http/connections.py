"""A client's connection: requests are put together from what has come, answers leave as fast as the client takes them.

Nothing in here waits for a client. How long a request is follows from gunicorn's reading of its head and from nothing else.
"""

import contextlib
import io
import re
import resource
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any, NamedTuple

import orjson
from gunicorn.http.body import CHUNK_EXT_RE, ChunkedReader
from gunicorn.http.errors import (
    ChunkMissingTerminator,
    ExpectationFailed,
    InvalidChunkExtension,
    InvalidChunkSize,
    InvalidHeader,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import Response

RECEIVE_BYTES = 65536
MAX_HEAD_BYTES = 65536
MAX_CHUNK_LINE_BYTES, MAX_TRAILER_BYTES = 256, 8192
MAX_CHUNK_OVERHEAD_BYTES = 65536  # beyond what the chunks hold
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class TooLarge(ParseException):
    """A body is larger than any that is taken."""

    def __str__(self) -> str:
        return "The body is too large."


STATUSES = {
    LimitRequestLine: 414,
    LimitRequestHeaders: 431,
    ExpectationFailed: 417,
    UnsupportedTransferCoding: 501,
    TooLarge: 413,
}


class Answer(NamedTuple):
    """What an application gives: gunicorn's response, the request's environ, its parts, and when it was asked (monotonic)."""

    response: Response
    environ: dict[str, Any]
    parts: Iterable[bytes]
    rest: Iterator[bytes]
    asked: float


class Connection:
    """A connection with what has come on it and what is to leave. It belongs to the worker's loop or to one thread at a time.

    `request` is the one whose head is there, `fault` a status and a text for one that cannot be answered otherwise, `answer`
    what the application has not given yet. gunicorn's response writes to it as if it were a socket.
    """

    __slots__ = (
        "answer", "answered", "body", "broken", "cfg", "chunks", "client", "deadline", "fault", "interest", "keep", "length",
        "lingering", "phase", "poll", "queued", "received", "request", "searched", "server", "size", "socket", "unsent",
    )  # fmt: skip

    def __init__(self, connection: socket.socket, client: Any, server: Any, cfg: Any):
        self.socket, self.client, self.server, self.cfg = connection, client, server, cfg
        self.received, self.body, self.unsent = bytearray(), bytearray(), bytearray()
        self.request: Request | None = None
        self.chunks: Iterator[None] | None = None
        self.answer: Answer | None = None
        self.fault: tuple[int, str] | None = None
        self.keep, self.broken, self.lingering = True, False, False
        self.answered = self.length = self.searched = 0
        self.poll = select.poll()
        self.poll.register(connection, select.POLLIN)
        # The loop's own notes.
        self.interest = self.size = 0
        self.deadline = self.queued = 0.0
        self.phase = ""

    def receive(self) -> bool:
        """Take in what has come; false when the client has hung up."""
        try:
            received = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            received = b""
        self.received += received
        self.broken = not received
        return not self.broken

    def is_readable(self, milliseconds: int) -> bool:
        """Tell whether something has come, after waiting a little for it."""
        return bool(self.poll.poll(milliseconds))

    def has_request(self, max_body_bytes: int) -> bool:
        """Tell whether a request is there whole, or one that has to be refused (`fault`)."""
        try:
            return bool(self.fault or ((self.request or self.read_head(max_body_bytes)) and self.read_body()))
        except ParseException as error:
            self.fault = STATUSES.get(type(error), 400), str(error)[:200]
            return True

    def read_head(self, max_body_bytes: int) -> bool:
        """Have gunicorn parse a head that is whole, or cannot become one. Raises ParseException for a faulty one."""
        received, start = self.received, max(0, self.searched - 3)
        self.searched = len(received)
        if received.find(b"\r\n\r\n", start) < 0 and received.find(b"\n\n", start) < 0 and len(received) <= MAX_HEAD_BYTES:
            return False
        source = IterUnreader([bytes(received)])
        try:
            request = Request(self.cfg, source, self.client, self.answered + 1)
        except NoMoreData:
            if len(received) > MAX_HEAD_BYTES:
                raise LimitRequestHeaders(f"The head is longer than {MAX_HEAD_BYTES} bytes.") from None
            return False
        except StopIteration:
            return False
        self.received, self.searched = bytearray(source.take_buffered()), 0
        reader = request.body.reader
        if isinstance(reader, ChunkedReader):
            self.chunks = decode_chunks(self.received, self.body, max_body_bytes)
        else:
            self.length = reader.length
        self.request = request
        if self.length > max_body_bytes:
            raise TooLarge
        if request._expected_100_continue and not self.received and (self.length or self.chunks):
            self.unsent += CONTINUE
        return True

    def read_body(self) -> bool:
        """Tell whether the body is there whole. Raises ParseException for faulty chunks."""
        if self.chunks:
            return next(self.chunks, self) is self
        return len(self.received) >= self.length

    def take_request(self) -> Request:
        """Give the request that is there, its body in a file; what came behind it stays."""
        request = self.request
        if self.chunks:
            request.body = io.BytesIO(self.body)
            self.body = bytearray()
        elif self.length == len(self.received):
            request.body = io.BytesIO(self.received)
            self.received = bytearray()
        else:
            request.body = io.BytesIO(self.received[: self.length])
            del self.received[: self.length]
        self.request, self.chunks, self.length = None, None, 0
        self.answered += 1
        return request

    def sendall(self, content: bytes) -> None:
        """Put something behind what is to leave."""
        self.unsent += content

    def send(self, content: bytes) -> int:
        """Leave out gunicorn's 100 Continue, which was sent when the body was waited for."""
        return len(content)

    def flush(self) -> bool:
        """Give the network what it takes now; true when nothing is left, because all has left or nobody is there."""
        try:
            while self.unsent:
                del self.unsent[: self.socket.send(self.unsent)]
        except BlockingIOError:
            return False
        except OSError:
            self.broken = True
            self.unsent.clear()
        return True

    def refuse(self, status: int, detail: str) -> None:
        """Answer an error without asking the application; the connection ends behind it."""
        content = orjson.dumps({"exception_message" if status in (500, 503) else "detail": detail})
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        head += "X-Content-Type-Options: nosniff\r\n" + "Retry-After: 1\r\n" * (status == 503)
        self.unsent += f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        self.received, self.body = bytearray(), bytearray()
        self.request = self.chunks = self.fault = None
        self.keep = False

    def name_phase(self) -> str:
        """Name what the connection waits for."""
        if self.lingering:
            return "end"
        if self.unsent:
            return "answer"
        if self.request:
            return "body"
        return "head" if self.received or not self.answered else "idle"

    def asks_for(self, path: str) -> bool:
        """Tell whether the request that is there reads this path."""
        return self.request is not None and self.request.path == path and self.request.method == "GET"

    def take_over(self) -> tuple[socket.socket, bytes]:
        """Give the socket and what has come on it to one who goes on with it; the worker forgets it."""
        given, self.socket = self.socket, None
        return given, bytes(self.received)

    def close(self) -> None:
        """Hang up, and let the application end an answer that it has begun."""
        answer, self.answer = self.answer, None
        if self.socket:
            self.socket.close()
        if answer and hasattr(answer.parts, "close"):
            answer.parts.close()


class Lane:
    """Requests that wait for threads. Each token stands for one that was put in, though the loop may have taken it out again."""

    def __init__(self):
        self.waiting: deque[Connection] = deque()
        self.tokens: SimpleQueue[None] = SimpleQueue()

    def put(self, connection: Connection) -> None:
        """Let a connection wait for a thread."""
        connection.queued = time.monotonic()
        self.waiting.append(connection)
        self.tokens.put(None)


def decode_chunks(received: bytearray, body: bytearray, max_bytes: int) -> Iterator[None]:
    """Move the chunks of a body from what has come to the body, up to its end; gives None whenever more has to come.

    RFC 9112, 7.1. Raises what gunicorn raises for faulty ones, and TooLarge. Trailers are passed over. A body of small chunks
    takes more time to decode than to send: their framing is limited too.
    """
    overhead = 0
    while True:
        while (end := received.find(b"\r\n", 0, MAX_CHUNK_LINE_BYTES)) < 0:
            if len(received) >= MAX_CHUNK_LINE_BYTES or received.count(b"\n"):
                raise InvalidChunkSize(bytes(received[:20]))
            yield
        size = read_chunk_size(bytes(received[:end]))
        overhead += end + 4
        del received[: end + 2]
        if not size:
            break
        if len(body) + size > max_bytes:
            raise TooLarge
        if overhead > len(body) + size + MAX_CHUNK_OVERHEAD_BYTES:
            raise InvalidChunkSize(b"the chunks are too small")
        size += len(body)
        while (missing := size - len(body)) > 0:
            body += received[:missing]
            del received[:missing]
            if len(body) < size:
                yield
        while len(received) < 2:
            yield
        if received[:2] != b"\r\n":
            raise ChunkMissingTerminator(bytes(received[:2]))
        del received[:2]
    while received[:2] != b"\r\n" and (end := received.find(b"\r\n\r\n")) < 0:
        if len(received) > MAX_TRAILER_BYTES:
            raise LimitRequestHeaders(f"The trailers are longer than {MAX_TRAILER_BYTES} bytes.")
        yield
    trailers = b"" if received[:2] == b"\r\n" else bytes(received[:end])
    if trailers.count(b"\n") != trailers.count(b"\r\n"):
        raise InvalidHeader("bare LF as line terminator")
    del received[: len(trailers) + (4 if trailers else 2)]


def read_chunk_size(line: bytes) -> int:
    """Give the size that the line before a chunk tells. Raises what gunicorn raises for a faulty one."""
    digits, semicolon, extension = line.partition(b";")
    if semicolon:
        digits = digits.rstrip(b" \t")
    if not CHUNK_SIZE.fullmatch(digits):
        raise InvalidChunkSize(digits)
    if not CHUNK_EXT_RE.fullmatch(semicolon + extension):
        raise InvalidChunkExtension("invalid chunk extension")
    return int(digits, 16)


def raise_file_limit():
    """Let this process and its children have as many files open as the system allows it to have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # where unlimited is said but not meant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def keep_alive(connection: socket.socket) -> None:
    """Have the system notice within some minutes that a client is gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
