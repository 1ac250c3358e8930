"""A proxy between a server and PostgreSQL that counts statements and round trips."""

import selectors
import socket
import threading

from psycopg.conninfo import conninfo_to_dict, make_conninfo

# Codes of the first message of a connection that ask for encryption; another first message follows them.
ENCRYPTION_REQUESTS = (80877103, 80877104)


class Counts:
    """Statements executed (Execute and Query messages) and round trips (turns of the conversation) so far."""

    statements = round_trips = 0


def start(database_url: str) -> tuple[str, Counts]:
    """Start a proxy to a database on a thread; give the URL that goes through it and its counts."""
    parts = conninfo_to_dict(database_url)
    counts, listener = Counts(), socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, parts, counts), daemon=True).start()
    port = listener.getsockname()[1]
    return make_conninfo(database_url, host="127.0.0.1", port=port, sslmode="disable"), counts


def serve(listener: socket.socket, parts: dict, counts: Counts) -> None:
    """Accept connections for as long as the process lives."""
    while True:
        client, _ = listener.accept()
        host, port = parts.get("host", "127.0.0.1"), int(parts.get("port", 5432))
        if host.startswith("/"):
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(f"{host}/.s.PGSQL.{port}")
        else:
            upstream = socket.create_connection((host, port))
        for end in (client, upstream):
            if end.family == socket.AF_INET:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=relay, args=(client, upstream, counts), daemon=True).start()


def relay(client: socket.socket, upstream: socket.socket, counts: Counts) -> None:
    """Pass bytes both ways until one end closes, counting."""
    waits_for_answer, pending, started = False, b"", False
    with selectors.DefaultSelector() as selector, client, upstream:
        selector.register(client, selectors.EVENT_READ)
        selector.register(upstream, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                try:
                    content = key.fileobj.recv(1 << 18)
                    (upstream if key.fileobj is client else client).sendall(content)
                except OSError:
                    return
                if not content:
                    return
                if key.fileobj is upstream:
                    waits_for_answer = False
                    continue
                counts.round_trips += not waits_for_answer
                waits_for_answer = True
                pending, started, executed = read_messages(pending + content, started)
                counts.statements += executed


def read_messages(content: bytes, started: bool) -> tuple[bytes, bool, int]:
    """Read messages of the client; give what is left over, whether the session has started, and statements executed."""
    executed = 0
    while len(content) >= 8 - 3 * started:
        header = started  # Messages have a type once the session has started.
        length = int.from_bytes(content[header : header + 4], "big") + header
        if len(content) < length:
            break
        if started:
            executed += content[:1] in (b"E", b"Q")
        else:
            started = int.from_bytes(content[4:8], "big") not in ENCRYPTION_REQUESTS
        content = content[length:]
    return content, started, executed
