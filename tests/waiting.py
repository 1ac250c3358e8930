"""Waiting until something is so, in place of sleeping and hoping.

Nothing here measures how fast anything is: the deadline only ends a test that would wait for ever, and is meant for a machine
on which much else goes on. TEST_PATIENCE scales it: TEST_PATIENCE=3 waits three times as long, TEST_PATIENCE=0.1 a tenth.
"""

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Connection

Result = TypeVar("Result")

PATIENCE_SECONDS = 300 * float(os.environ.get("TEST_PATIENCE", "1"))
PAUSE_SECONDS = 0.02

FORGET = "SELECT pg_stat_clear_snapshot()"  # a transaction sees what it saw first
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def wait_until(condition: Callable[[], Result], explain: Callable[[], Any] = lambda: "it did not come true") -> Result:
    """Return what the condition gives as soon as that is true. Fails with what `explain` gives when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, explain()
        time.sleep(PAUSE_SECONDS)
    return result


def wait_for_row(conn: Connection, statement: str, *parameters: Any) -> tuple:
    """Ask until there is a row and give it."""
    return wait_until(lambda: conn.execute(statement, parameters).fetchone(), lambda: (statement, parameters))


def wait_for_waiter(conn: Connection, number: int = 1) -> None:
    """Return once `number` sessions of the database wait for a lock."""

    def are_waiting() -> bool:
        conn.execute(FORGET)
        return conn.execute(WAITING).fetchone()[0] >= number

    wait_until(are_waiting, lambda: "nobody waits for a lock")
