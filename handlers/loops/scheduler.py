"""Runs of scheduled deployments are made ahead of their time."""

from datetime import datetime, timedelta

from psycopg import Connection

import sql
from handlers.domain.schedules import make_runs, plan_runs
from handlers.loops.driver import Row
from schemas.settings import setting
from sql.database import within

MAX_RUNS = setting("server.services.scheduler.max_runs")
MIN_RUNS = setting("server.services.scheduler.min_runs")
MAX_TIME = setting("server.services.scheduler.max_scheduled_time")
MIN_TIME = setting("server.services.scheduler.min_scheduled_time")
RECENT = timedelta(seconds=90)  # between two rounds of the loop that looks at all deployments, and a long transaction more


def find_lacking(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Find deployments that lack runs.

    Some always seem to, such as one that is due once a year.
    """
    return find(conn, now, limit, after, None)


def find_recent(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Find deployments that lack runs and were made or changed of late, so that their runs show at once."""
    return find(conn, now, limit, after, now - RECENT)


def find(conn: Connection, now: datetime, limit: int, after: Row, changed_since: datetime | None) -> list[Row]:
    """Find deployments that lack runs, those that were changed since a time if one is given."""
    return sql.schedules.find_lacking(
        conn,
        now=now,
        until=now + MIN_TIME,
        min_runs=MIN_RUNS,
        max_runs=MAX_RUNS,
        changed_since=changed_since,
        after=after["id"],
        limit=limit,
    )


def schedule(conn: Connection, now: datetime, deployments: list[Row]) -> int:
    """Make the runs that deployments lack; gives their number. The times are found before the deployments are locked."""
    ids = [deployment["id"] for deployment in deployments]
    plan = plan_runs(conn, ids, now, now + MAX_TIME, MIN_TIME, MIN_RUNS, MAX_RUNS)
    with within(conn):
        locked = [deployment["id"] for deployment in sql.schedules.claim(conn, deployment_ids=ids)]
        return len(make_runs(conn, plan, locked))
