"""Flow runs that nobody starts become Late."""

from datetime import datetime

from psycopg import Connection

import sql
from handlers.loops.transitions import move_flow_runs
from handlers.rules.common import scheduled
from handlers.rules.flow_runs import LATE_FLOW_RUN
from schemas.settings import setting
from sql.database import within

AFTER = setting("server.services.late_runs.after_seconds")


def mark_late_runs(conn: Connection, now: datetime, limit: int) -> int:
    """Make flow runs Late that should have started some time ago; gives their number."""
    with within(conn):
        late = {run["id"]: run for run in sql.loops.claim_late(conn, due_before=now - AFTER, limit=limit)}
        return move_flow_runs(conn, late, lambda run: scheduled("Late", late[run["id"]]["scheduled_time"]), LATE_FLOW_RUN)
