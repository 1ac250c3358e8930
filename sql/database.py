"""Connections: where PostgreSQL is, the pool of a process, transactions, and when they may be repeated.

Timeouts and the time zone are start-up options of each connection, not SETs, so that nothing depends on session state; a
`DATABASE_URL` that brings its own `options` (behind PgBouncer an empty one, say) is left as it is.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import orjson
import psycopg
from psycopg import Connection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ExecStatus, PGconn, Ping, TransactionStatus
from psycopg.types.json import set_json_loads

import sql
from sql.pool import PATIENCE_SECONDS, RETRY_SECONDS, NoConnection, Pool, log, outage
from sql.statement import flush, wire

SESSION = (
    "-c search_path=public -c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c statement_timeout=60s"
    " -c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
    " -c jit=off"  # compiling a composed statement takes longer than running it, and it is composed anew each time
)

MAX_NAME_BYTES = 63  # of what PostgreSQL keeps of an application's name
ATTEMPTS, PAUSE_SECONDS = 3, 0.1

pool: Pool | None = None
prepares_statements = True


class NothingDone(errors.OperationalError):
    """The connection was lost before the COMMIT of a transaction was sent: nothing of it has happened."""


def conninfo(url: str, name: str = "downbeat") -> str:
    """Add our start-up options, keep-alives and name to a connection string; a name that it brings comes behind ours."""
    given = conninfo_to_dict(url)
    defaults = {"options": SESSION, "connect_timeout": "5", "keepalives_idle": "30", "tcp_user_timeout": "30000"}
    names = f"{name} {given.get('application_name', '')}".strip().encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    return make_conninfo("", **(defaults | given | {"application_name": names}))


def configure(conn: Connection) -> None:
    """Prepare a new connection: each statement is a transaction unless one is opened; JSON is read by orjson."""
    conn.prepare_threshold = 0 if prepares_statements else None
    set_json_loads(read_stored, conn)


def read_stored(text: bytes | str) -> Any:
    """Give a stored JSON value. Raises DataError for one of more than 1024 levels, which another hand has stored."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise errors.DataError(f"What is stored cannot be read: {error.msg}") from None


def connect(url: str, name: str = "downbeat") -> Connection:
    """Open a connection, which PostgreSQL lists by that name. The caller closes it."""
    conn = psycopg.connect(conninfo(url, name), autocommit=True)
    configure(conn)
    return conn


def reach(url: str, name: str = "downbeat") -> Connection:
    """Open a connection as connect does, and note whether PostgreSQL could be reached."""
    tried_at = time.monotonic()
    try:
        conn = connect(url, name)
    except errors.OperationalError as error:
        outage.begin(error, tried_at)
        raise
    outage.end()
    return conn


def reach_when_back(url: str, name: str, stopping: threading.Event) -> Connection | None:
    """Open a connection, trying until PostgreSQL can be reached; None if `stopping` is set before."""
    while not stopping.is_set():
        try:
            return reach(url, name)
        except errors.OperationalError:
            stopping.wait(RETRY_SECONDS * random.uniform(1, 2))
    return None


def wait_for_server(url: str) -> None:
    """Wait until PostgreSQL takes connections, but not if it is there and refuses ours, which who connects next is told."""
    while True:
        tried_at = time.monotonic()
        try:
            connect(url).close()
            break
        except errors.OperationalError as error:
            if PGconn.ping(conninfo(url).encode()) not in (Ping.REJECT, Ping.NO_RESPONSE):
                break
            outage.begin(error, tried_at)
        time.sleep(RETRY_SECONDS)
    outage.end()


def open_pool(url: str, size: int, threads: int = 16) -> None:
    """Open this process's pool of at most `size` connections, made as they are needed.

    Of the threads that may ask for one, all can wait while the others have one, but no more than half if nobody has.
    """
    global pool
    close_pool()
    pool = Pool(lambda: reach(url), size, max(threads - size, threads // 2, 1))


def close_pool() -> None:
    """Close this process's pool."""
    if pool:
        pool.close()


@contextmanager
def connection(patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Connection]:
    """Lend a connection on which each batch of statements is a transaction of its own: for reads and single writes.

    Raises NoConnection if there is none in time.
    """
    lender = pool
    conn = lender.borrow(patience_seconds)
    try:
        yield conn
        flush(conn)
    except errors.ReadOnlySqlTransaction:
        conn.close()  # what was the primary has become a standby; the next connection finds the new one
        raise
    except BaseException:
        wire(conn).batch.clear()
        raise
    finally:
        lender.give_back(conn)


@contextmanager
def transaction() -> Iterator[Connection]:
    """Lend a connection with a transaction: committed at the end, rolled back on any exception.

    BEGIN travels with the first statement and COMMIT with those that were sent but not waited for.
    """
    with connection() as conn, within(conn):
        yield conn


@contextmanager
def within(conn: Connection) -> Iterator[None]:
    """Enclose what happens on a connection in a transaction. Raises NothingDone if the connection is lost before the end."""
    sql.transactions.begin.send(conn)
    is_ending = False
    try:
        yield
        is_ending = True
        sql.transactions.commit(conn)
    except BaseException as error:
        wire(conn).batch.clear()
        if not conn.closed and conn.pgconn.transaction_status != TransactionStatus.IDLE:
            sql.transactions.rollback(conn)
        if conn.closed and not is_ending and isinstance(error, errors.OperationalError):
            raise NothingDone(str(error)) from error
        raise


def is_answering(seconds: float) -> bool:
    """Tell whether PostgreSQL answers in time; on one more connection if all are in use, which says nothing about it."""
    with ExitStack() as stack:
        try:
            try:
                conn = pool.borrow(0)
                stack.callback(pool.give_back, conn)
            except NoConnection:
                if outage.since is not None:
                    return False
                conn = stack.enter_context(closing(pool.connect()))
            conn.pgconn.send_query(b"SELECT")
            if not wire(conn).ready.poll(seconds * 1000):  # it stands still, or the network does
                conn.close()
                return False
            return all(result.status == ExecStatus.TUPLES_OK for result in iter(conn.pgconn.get_result, None))
        except psycopg.Error:
            return False


def repeat(what: str, function: Callable, *arguments: Any) -> Any:
    """Call a function that is one transaction, and again when that was undone through nobody's fault; gives its result.

    `what` is for the log. Undone is a transaction that PostgreSQL chose as the victim of a deadlock or could not serialize, or
    whose connection was lost before its end. One whose connection was lost at COMMIT may have happened, and is not repeated here.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return function(*arguments)
        except (errors.DeadlockDetected, errors.SerializationFailure, NothingDone) as error:
            log.warning("attempt %d of %s was undone: %s", attempt, ascii(what), error)
        time.sleep(random.uniform(0, PAUSE_SECONDS * attempt))
    return function(*arguments)
