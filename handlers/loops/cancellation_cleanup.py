"""What a cancelled flow run leaves behind: its task runs, its subflows, and itself if nobody confirms that it has stopped."""

from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

import sql
from handlers.loops.driver import Row
from handlers.rules.flow_runs import FLOW_RUN
from handlers.rules.moving import move_flow_runs, move_task_runs
from handlers.rules.transition import State
from schemas.settings import setting
from schemas.state_types import CANCELLED, CANCELLING

CANCELLING_TIMEOUT = timedelta(seconds=setting("server.services.cancellation_cleanup.cancelling_timeout_seconds"))
LOOK_BACK = timedelta(days=1)  # for how long a cancelled flow run's task runs are looked after
PARENT_CANCELLED = "The parent flow run was cancelled."
TIMED_OUT = State(CANCELLED, "Cancelled", "Nobody confirmed in time that the run has stopped.")
STOPPED = State(CANCELLED, "Cancelled", PARENT_CANCELLED)
STOPPING = State(CANCELLING, "Cancelling", PARENT_CANCELLED)


def claim_cancelling(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock flow runs that have been CANCELLING for too long."""
    return sql.loops.claim_cancelling(conn, since=now - CANCELLING_TIMEOUT, limit=limit, after=after["id"])


def end_cancelling(conn: Connection, now: datetime, cancelling: list[Row]) -> int:
    """Make flow runs CANCELLED that were CANCELLING; gives their number."""
    return move_flow_runs(conn, [run["id"] for run in cancelling], lambda run: TIMED_OUT, FLOW_RUN)


def claim_task_runs(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock the unfinished task runs of flow runs that were cancelled lately."""
    return sql.loops.claim_cancelled_task_runs(conn, since=now - LOOK_BACK, limit=limit, after=after["id"])


def cancel_task_runs(conn: Connection, now: datetime, orphaned: list[Row]) -> int:
    """Cancel task runs; gives their number."""
    return move_task_runs(conn, [run["id"] for run in orphaned], STOPPED)


def claim_subflows(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock the unfinished subflows of cancelled flow runs."""
    return sql.loops.claim_cancelled_subflows(conn, limit=limit, after=after["id"])


def cancel_subflows(conn: Connection, now: datetime, subflows: list[Row]) -> int:
    """Cancel subflows, those with a deployment by way of CANCELLING.

    Gives how many were moved, for some cannot be, such as one that waits in its process to be resumed.
    """
    return move_flow_runs(conn, [run["id"] for run in subflows], stop, FLOW_RUN)


def stop(run: dict[str, Any]) -> State:
    """Give the state by which a subflow is stopped."""
    return STOPPING if run["deployment_id"] else STOPPED
