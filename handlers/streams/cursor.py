"""What is new in a table since the last look: each committed row exactly once, however its transaction went.

Rows are read by `updated`, which is the start of the transaction that wrote them, to the microsecond, and by `xmin`, its number.
A look first reads which transactions are open and then, in a statement with a later snapshot, the rows. What that cannot see
yet is the work of a transaction

- that was open: its start is known, and the next look asks for rows of just that time, however long ago it is. So a transaction
  of hours is waited for, and that of a dump costs a look at one entry of an index;
- or that began later: its start is not before the time of the look, less MARGIN: a backend fixes its start a moment before it
  shows it, and clocks are set back a little now and then.

Of the rows at those times new are those whose number is not below the horizon, the oldest transaction that ran at the look
before, unless that look saw them. Numbers of subtransactions are higher than that of the transaction around them, so savepoints
do not matter. (`pg_visible_in_snapshot` knows only of outer transactions and would lose rows of savepoints.) As long as no
transaction of the cluster has ended, a look is the one statement that says so.

Of sessions that the role may not see (it lacks pg_read_all_stats, and they are another's) only the numbers of their transactions
are known: their starts lie between two looks, of those that were open at the first within FIRST_HIDDEN.

Not promised: rows whose `updated` is not their transaction's start (Prefect's server writes its own clock's time) are found if
they are committed within MARGIN of it; prepared transactions are not seen; when the clock of the database is set back by more
than MARGIN while an older transaction is still writing, rows of the last minute may come twice.

A cursor is a value, which followers keep in the process; whoever decides something by it keeps it in the database.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from psycopg import Connection

import sql

MARGIN = timedelta(seconds=2)
FIRST_HIDDEN = timedelta(minutes=2)
SET_BACK = timedelta(minutes=1)  # how far to read back when the clock was

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Cursor:
    """Where a look stood: what it had seen of what is still to be read again.

    Rows to come have a time from `since` on, or one in the spans of the transactions that were open, hidden or not.
    """

    since: datetime
    horizon: str
    snapshot: str
    open: tuple[Span, ...]
    hidden: dict[str, Span]
    seen: frozenset[str] = frozenset()


def look(conn: Connection, list_new: Callable, cursor: Cursor | None) -> tuple[Cursor, list[str]]:
    """Give the ids of the rows that were committed since the cursor's look, and the cursor of this look.

    `list_new` is the table's statement of that name. The first look, without a cursor, only finds out where to begin.
    `conn` must be outside a transaction, so that each statement has a snapshot of its own.
    """
    following = read_transactions(conn, cursor)
    if cursor and cursor.snapshot == following.snapshot:
        return cursor, []
    now = cursor or following
    since = min(now.since, following.since) - (SET_BACK if following.since < now.since else timedelta(0))
    spans = [*now.open, *now.hidden.values()]
    rows = list_new(
        conn,
        begins=[since, *(begin for begin, _ in spans)],
        ends=["infinity", *(end for _, end in spans)],
        horizon=now.horizon,
        next_horizon=following.horizon,
    )
    found = {row["id"]: row["may_come_again"] for row in rows}
    fresh = [id for id in found if id not in cursor.seen] if cursor else []
    seen = frozenset(id for id, may_come_again in found.items() if may_come_again)
    return replace(following, seen=seen), fresh


def read_transactions(conn: Connection, cursor: Cursor | None) -> Cursor:
    """Give the cursor of a look that begins now, with nothing seen yet."""
    now = sql.cursor.read_sessions(conn, margin_seconds=MARGIN.total_seconds())
    hidden = {}
    if now["has_hidden"]:
        begin = cursor.since if cursor else now["time"] - FIRST_HIDDEN
        known = cursor.hidden if cursor else {}
        hidden = {row["id"]: known.get(row["id"], (begin, row["time"])) for row in sql.cursor.list_hidden(conn)}
    spans = tuple((start, start) for start in now["starts"])
    return Cursor(now["time"] - MARGIN, now["horizon"], now["snapshot"], spans, hidden)
