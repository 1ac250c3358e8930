"""Seeing that one session waits for another, in place of sleeping and hoping."""

import time

from psycopg import Connection

FORGET = "SELECT pg_stat_clear_snapshot()"  # a transaction sees what it saw first
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def wait_for_waiter(conn: Connection, number: int = 1) -> None:
    """Return once `number` sessions of the database wait for a lock. Raises TimeoutError if that does not happen."""
    for _ in range(1000):
        conn.execute(FORGET)
        if conn.execute(WAITING).fetchone()[0] >= number:
            return
        time.sleep(0.01)
    raise TimeoutError("nobody waits for a lock")
