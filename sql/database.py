"""Connections: where PostgreSQL is, the pool of a process, and transactions.

Timeouts and the time zone are start-up options of each connection, not SETs, so that nothing depends on session state; a
`DATABASE_URL` that brings its own `options` (behind PgBouncer an empty one, say) is left as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from psycopg import Connection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool

import sql
from sql.statement import flush, wire

SESSION = (
    "-c search_path=public -c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c statement_timeout=60s"
    " -c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
    " -c jit=off"  # compiling a composed statement takes longer than running it, and it is composed anew each time
)

pool: ConnectionPool | None = None
prepares_statements = True


def conninfo(url: str) -> str:
    """Add our start-up options, keep-alives and name to a connection string."""
    given = conninfo_to_dict(url)
    defaults = {
        "options": SESSION,
        "application_name": "downbeat",
        "connect_timeout": "5",
        "keepalives_idle": "30",
        "tcp_user_timeout": "30000",
    }
    return make_conninfo("", **(defaults | given))


def configure(conn: Connection) -> None:
    """Prepare a new connection: each statement is a transaction unless one is opened; JSON is read by orjson."""
    conn.autocommit = True
    conn.prepare_threshold = 0 if prepares_statements else None
    set_json_loads(read_stored, conn)


def read_stored(text: bytes | str) -> Any:
    """Give a stored JSON value. Raises DataError for one of more than 1024 levels, which another hand has stored."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise errors.DataError(f"What is stored cannot be read: {error.msg}") from None


def connect(url: str) -> Connection:
    """Open one connection outside the pool. The caller closes it."""
    conn = psycopg.connect(conninfo(url), autocommit=True)
    configure(conn)
    return conn


def check(conn: Connection) -> None:
    """Refuse a connection whose server has hung up: an idle socket has something to read only then."""
    if wire(conn).ready.poll(0):
        conn.close()
        raise errors.OperationalError("the server closed the connection")


def open_pool(url: str, size: int) -> None:
    """Open this process's pool of at most `size` connections, made as they are needed."""
    global pool
    pool = ConnectionPool(conninfo(url), min_size=1, max_size=size, timeout=20, configure=configure, check=check, open=False)
    pool.open()


def close_pool() -> None:
    """Close this process's pool."""
    if pool:
        pool.close()


@contextmanager
def connection() -> Iterator[Connection]:
    """Lend a connection on which each batch of statements is a transaction of its own: for reads and single writes."""
    conn = pool.getconn()
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
        pool.putconn(conn)


@contextmanager
def transaction() -> Iterator[Connection]:
    """Lend a connection with a transaction: committed at the end, rolled back on any exception.

    BEGIN travels with the first statement and COMMIT with those that were sent but not waited for.
    """
    with connection() as conn, within(conn):
        yield conn


@contextmanager
def within(conn: Connection) -> Iterator[None]:
    """Enclose what happens on a connection in a transaction."""
    sql.transactions.begin.send(conn)
    try:
        yield
        sql.transactions.commit(conn)
    except BaseException:
        wire(conn).batch.clear()
        if not conn.closed and conn.pgconn.transaction_status != TransactionStatus.IDLE:
            sql.transactions.rollback(conn)
        raise
