"""Paused flow runs that nobody resumes in time fail."""

from datetime import datetime

from psycopg import Connection

import sql
from handlers.loops.driver import Row
from handlers.rules.flow_runs import FORCED_FLOW_RUN
from handlers.rules.moving import move_flow_runs
from handlers.rules.transition import State
from schemas.state_types import FAILED

EXPIRED = State(FAILED, "Failed", "The run was paused and never resumed.")


def claim_expired(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock flow runs whose pause has timed out."""
    return sql.loops.claim_expired_pauses(conn, now=now, limit=limit, after=after["id"])


def fail_expired_pauses(conn: Connection, now: datetime, paused: list[Row]) -> int:
    """Fail flow runs whose pause has timed out; gives their number."""
    return move_flow_runs(conn, [run["id"] for run in paused], lambda run: EXPIRED, FORCED_FLOW_RUN)
