"""What a cancelled flow run leaves behind: its task runs, its subflows, and itself if nobody confirms that it has stopped."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection

import sql
from handlers.loops.transitions import move_flow_runs, move_task_runs
from handlers.rules.flow_runs import FLOW_RUN
from handlers.rules.transition import CANCELLED, CANCELLING, State
from schemas.settings import setting
from sql.database import within

CANCELLING_TIMEOUT = timedelta(seconds=setting("server.services.cancellation_cleanup.cancelling_timeout_seconds"))
LOOK_BACK = timedelta(days=1)  # for how long a cancelled flow run's task runs are looked after
PARENT_CANCELLED = "The parent flow run was cancelled."
TIMED_OUT = State(CANCELLED, "Cancelled", "Nobody confirmed in time that the run has stopped.")
STOPPED = State(CANCELLED, "Cancelled", PARENT_CANCELLED)
STOPPING = State(CANCELLING, "Cancelling", PARENT_CANCELLED)


def end_cancelling(conn: Connection, now: datetime, limit: int) -> int:
    """Make flow runs CANCELLED that have been CANCELLING for too long; gives their number."""
    with within(conn):
        cancelling = sql.loops.claim_cancelling(conn, since=now - CANCELLING_TIMEOUT, limit=limit)
        return move_flow_runs(conn, [run["id"] for run in cancelling], lambda run: TIMED_OUT, FLOW_RUN)


def cancel_task_runs(conn: Connection, now: datetime, limit: int) -> int:
    """Cancel the unfinished task runs of flow runs that were cancelled lately; gives their number."""
    with within(conn):
        orphaned = sql.loops.claim_cancelled_task_runs(conn, since=now - LOOK_BACK, limit=limit)
        return move_task_runs(conn, [run["id"] for run in orphaned], STOPPED)


def cancel_subflows(conn: Connection, now: datetime, limit: int) -> int:
    """Cancel the unfinished subflows of cancelled flow runs, those with a deployment by way of CANCELLING.

    Gives how many were moved; visits all, for some cannot be, such as one that waits in its process to be resumed.
    """
    after, moved = UUID(int=0), 0
    while True:
        with within(conn):
            subflows = sql.loops.claim_cancelled_subflows(conn, after=after, limit=limit)
            moved += move_flow_runs(conn, [run["id"] for run in subflows], stop, FLOW_RUN)
        if len(subflows) < limit:
            return moved
        after = subflows[-1]["id"]


def stop(run: dict[str, Any]) -> State:
    """Give the state by which a subflow is stopped."""
    return STOPPING if run["deployment_id"] else STOPPED
