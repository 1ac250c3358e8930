"""How a loop goes once through what there is for it to do: in batches, and item by item where a batch fails.

A loop has two functions. `find(conn, now, limit, after)` gives the next rows, each with an `id`, behind the row `after`, in an
order in which no row comes twice, and locks them; `do(conn, now, rows)` does them and gives how many it did. Both run in one
transaction. A batch that fails is tried again by halves, until it is known which row it is that fails; that one is passed over
until the next round, which comes to it again, and keeps nobody else from being done, however many of its kind there are. So is
one that costs the connection each time, after a few times in which PostgreSQL might as well have been away.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, errors

from sql.database import within

log = logging.getLogger("downbeat.loops")

Row = dict[str, Any]
START: Row = {"id": UUID(int=0)}  # what comes before all rows
MOST_LOSSES = 3  # of the connection in a round, before they are taken for the fault of what is being done
NAMED = 20  # how many of the rows that a round passes over are named in the log; all are counted

# What is wrong with the server, the connection or the disk is wrong with every row, by the class of its SQLSTATE: connection,
# transaction (read-only), resources, operator's intervention (but not the cancelling of one statement, 57014), system.
EVERYWHERE = ("08", "25", "53", "57P", "58")


@dataclass(frozen=True)
class Loop:
    """What is found and done, the service whose settings steer it, and its batch; a time between rounds here goes before them.

    A slow one has a thread apart from the others. One that does not lock what it finds has transactions of its own.
    """

    name: str
    find: Callable[[Connection, datetime, int, Row], list[Row]]
    do: Callable[[Connection, datetime, list[Row]], int]
    service: str
    every: float | None = None
    limit: int = 200
    setting: str = "LOOP_SECONDS"
    is_slow: bool = False
    locks: bool = True


@dataclass(frozen=True)
class Round:
    """How far a loop has come: what it did, how many rows it passed over, behind which row it goes on and with how many; and how
    often the connection was lost, or the server was at fault.

    It goes on as long as its batches are full.
    """

    limit: int
    after: Row = field(default_factory=lambda: START)
    done: int = 0
    passed_over: int = 0
    losses: int = 0
    is_full: bool = True


def run_batch(loop: Loop, conn: Connection, now: datetime, so_far: Round) -> Round:
    """Do the next batch of a round. Raises what is not the fault of a single row."""
    found: list[Row] = []
    try:
        with within(conn) if loop.locks else nullcontext():
            found = loop.find(conn, now, so_far.limit, so_far.after)
            done = loop.do(conn, now, found) if found else 0
    except Exception as error:
        may_pass = so_far.losses < MOST_LOSSES if conn.closed else is_everywhere(error)
        if not found or may_pass:
            raise
        if len(found) > 1:
            return replace(so_far, limit=len(found) // 2)
        if so_far.passed_over < NAMED:
            told = ascii(f"{type(error).__name__}: {error}"[:500])
            log.warning("%s passes over %s: %s", loop.name, found[0]["id"], told, exc_info=log.isEnabledFor(logging.DEBUG))
        return replace(so_far, after=found[0], passed_over=so_far.passed_over + 1)
    return replace(
        so_far,
        limit=min(2 * so_far.limit, loop.limit),
        after=found[-1] if found else so_far.after,
        done=so_far.done + done,
        is_full=len(found) == so_far.limit,
    )


def is_everywhere(error: Exception) -> bool:
    """Tell whether an error has nothing to do with the row that it came with."""
    if not isinstance(error, errors.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, errors.OperationalError)  # libpq's own: the connection was lost
    return error.sqlstate.startswith(EVERYWHERE)
