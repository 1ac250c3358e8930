"""Flow runs that nobody starts become Late."""

from datetime import datetime

from psycopg import Connection

import sql
from handlers.loops.driver import Row
from handlers.rules.flow_runs import LATE_FLOW_RUN
from handlers.rules.moving import move_flow_runs
from handlers.rules.shared import scheduled
from schemas.settings import setting

AFTER = setting("server.services.late_runs.after_seconds")


def claim_late(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock flow runs that should have started some time ago, the most overdue first."""
    place = after.get("place", "-infinity")
    return sql.loops.claim_late(conn, due_before=now - AFTER, limit=limit, after_place=place, after=after["id"])


def mark_late_runs(conn: Connection, now: datetime, late: list[Row]) -> int:
    """Make flow runs Late; gives their number."""
    times = {run["id"]: run["scheduled_time"] for run in late}
    return move_flow_runs(conn, times, lambda run: scheduled("Late", times[run["id"]]), LATE_FLOW_RUN)
