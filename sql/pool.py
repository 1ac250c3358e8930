"""The connections that threads of a process share, and what the process knows of an outage of PostgreSQL.

psycopg_pool was measured and left: after an outage of 47 s it stays away another 17 s (its delay doubles, and nothing sets it),
waiters are not told of an outage, and each dead connection that it finds makes a request sleep, for 1, 2, 4 s. Here the thread
that needs a connection makes it, and while PostgreSQL is away one thread tries at a time.
"""

import logging
import threading
import time
from collections.abc import Callable

from psycopg import Connection, errors
from psycopg.pq import TransactionStatus

from sql.statement import wire

log = logging.getLogger("downbeat.database")

RETRY_SECONDS = 0.5  # between two attempts to connect
PATIENCE_SECONDS = 10  # for a connection; clients give up on a request after 60 s, proxies after 30
IDLE_SECONDS = 600  # after which a connection that was not needed is closed
MIN_RETRY_AFTER_SECONDS, MAX_RETRY_AFTER_SECONDS = 5, 20


class NoConnection(errors.OperationalError):
    """No connection could be had in time."""


class Outage:
    """Whether PostgreSQL could not be reached at the last attempt; its beginning and end are logged, once each."""

    def __init__(self):
        self.lock = threading.Lock()
        self.since: float | None = None  # of time.monotonic, as all here
        self.reached_at = 0.0

    def begin(self, error: Exception, tried_at: float) -> None:
        """Note that an attempt to connect failed, unless a later one has succeeded."""
        with self.lock:
            if self.since is None and tried_at > self.reached_at:
                self.since = tried_at
                log.error("PostgreSQL cannot be reached; it is tried again until it can: %s", error)

    def end(self) -> None:
        """Note that a connection was made."""
        with self.lock:
            self.reached_at = time.monotonic()
            if self.since is not None:
                log.error("PostgreSQL is back after %.1f s", self.reached_at - self.since)
                self.since = None

    def retry_after_seconds(self) -> int:
        """Give how long a client is to wait: as long again as an outage has lasted, so that its five attempts outlast it."""
        since = self.since
        if since is None:
            return 1
        return round(min(max(time.monotonic() - since, MIN_RETRY_AFTER_SECONDS), MAX_RETRY_AFTER_SECONDS))


outage = Outage()


class Pool:
    """At most `size` connections, made by `connect` when they are needed, of which the one used last is lent first.

    At most `max_waiting` threads wait for one, so that the others can tell their clients at once to come back.
    """

    def __init__(self, connect: Callable[[], Connection], size: int, max_waiting: int):
        self.connect, self.size, self.max_waiting = connect, size, max_waiting
        self.idle: list[tuple[Connection, float]] = []  # and since when
        self.lent = self.waiting = 0
        self.next_attempt = 0.0
        self.closed = False
        self.changed = threading.Condition()

    def borrow(self, patience_seconds: float) -> Connection:
        """Give a connection for the caller alone, who gives it back. Raises NoConnection if there is none in time."""
        deadline = time.monotonic() + patience_seconds
        while True:
            with self.changed:
                conn = self.take(deadline)
            if conn:
                return conn
            try:
                conn = self.connect()
            except errors.OperationalError:
                self.attempted(conn, time.monotonic() + RETRY_SECONDS)
            except BaseException:
                self.attempted(conn, 0.0)
                raise
            else:
                self.attempted(conn, 0.0)
                return conn

    def take(self, deadline: float) -> Connection | None:
        """Wait until the caller may have an idle connection, or None: it is to make one. Called under the lock, as the
        attempt to make one is not."""
        while not self.closed:
            while self.idle:
                conn, _ = self.idle.pop()
                if not has_hung_up(conn):
                    self.lent += 1
                    return conn
                conn.close()
            now = time.monotonic()
            if self.lent < self.size and now >= self.next_attempt:
                self.lent += 1
                if outage.since is not None:
                    self.next_attempt = float("inf")  # the others wait for what becomes of this one
                return None
            if now >= deadline or self.waiting >= self.max_waiting:
                break
            self.waiting += 1
            try:
                can_attempt = self.lent < self.size
                self.changed.wait(min(deadline, self.next_attempt if can_attempt else deadline) - now)
            finally:
                self.waiting -= 1
        message = "PostgreSQL cannot be reached" if outage.since is not None else "all connections are in use"
        raise NoConnection(message)

    def attempted(self, conn: Connection | None, next_attempt: float) -> None:
        """Note what became of the caller's attempt to connect, and from when on another may be made."""
        with self.changed:
            self.lent -= conn is None
            self.next_attempt = next_attempt
            self.changed.notify_all()

    def give_back(self, conn: Connection) -> None:
        """Take a connection back; one that is broken or amid something is closed."""
        with self.changed:
            self.lent -= 1
            if self.closed or conn.pgconn.transaction_status != TransactionStatus.IDLE:
                conn.close()
            else:
                now = time.monotonic()
                self.idle.append((conn, now))
                if self.idle[0][1] < now - IDLE_SECONDS:
                    self.idle.pop(0)[0].close()
            self.changed.notify()

    def close(self) -> None:
        """Close all connections, those that are lent when they come back. Who waits gets NoConnection."""
        with self.changed:
            self.closed = True
            while self.idle:
                self.idle.pop()[0].close()
            self.changed.notify_all()


def has_hung_up(conn: Connection) -> bool:
    """Tell whether the server has closed an idle connection: its socket has something to read only then."""
    return conn.closed or bool(wire(conn).ready.poll(0))
