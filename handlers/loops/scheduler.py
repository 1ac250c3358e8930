"""Runs of scheduled deployments are made ahead of their time."""

from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection

import sql
from handlers.rules.schedules import schedule_locked
from schemas.settings import setting
from sql.database import within

MAX_RUNS = setting("server.services.scheduler.max_runs")
MIN_RUNS = setting("server.services.scheduler.min_runs")
MAX_TIME = setting("server.services.scheduler.max_scheduled_time")
MIN_TIME = setting("server.services.scheduler.min_scheduled_time")
RECENT = timedelta(seconds=90)  # between two rounds of the loop that looks at all deployments, and a long transaction more


def schedule_runs(conn: Connection, now: datetime, limit: int) -> int:
    """Make the runs that deployments lack; gives their number."""
    return schedule(conn, now, limit, None)


def schedule_recent(conn: Connection, now: datetime, limit: int) -> int:
    """Make the runs that deployments lack which were made or changed of late, so that they show at once."""
    return schedule(conn, now, limit, now - RECENT)


def schedule(conn: Connection, now: datetime, limit: int, changed_since: datetime | None) -> int:
    """Go once through all deployments, some in each transaction, and make the runs that they lack; gives their number.

    Some always seem to lack runs, such as one that is due once a year; hence once through, and not until none is found.
    """
    after, made = UUID(int=0), 0
    while True:
        with within(conn):
            found = sql.schedules.claim(
                conn,
                now=now,
                until=now + MIN_TIME,
                min_runs=MIN_RUNS,
                max_runs=MAX_RUNS,
                changed_since=changed_since,
                after=after,
                limit=limit,
            )
            ids = [deployment["id"] for deployment in found]
            made += len(schedule_locked(conn, ids, now, now + MAX_TIME, MIN_TIME, MIN_RUNS, MAX_RUNS))
        if len(ids) < limit:
            return made
        after = ids[-1]
