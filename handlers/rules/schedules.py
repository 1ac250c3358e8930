"""Making flow runs from the schedules of deployments: one run for each schedule and time that it is due, whatever happens."""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from psycopg import Connection

import sql
from handlers.rules.creation import generate_name
from handlers.rules.due_times import choose, due_times, read_zone
from sql.ids import derived, uuid7

log = logging.getLogger("downbeat.schedules")

BATCH_RUNS = 1000  # how many runs one statement inserts


def schedule_deployment(
    conn: Connection,
    deployment_id: UUID | str,
    start_time: datetime,
    end_time: datetime,
    min_time: timedelta,
    min_runs: int,
    max_runs: int,
) -> list[UUID]:
    """Make the runs that the active schedules of a deployment lack, and give their ids; none if it is paused or not there.

    For each schedule, in this order: runs start at `start_time` or later; there are no more than `max_runs` (or the schedule's
    own maximum); none starts after `end_time`; there are at least `min_runs`; and they go on until `start_time + min_time`.
    Needs a transaction; the deployment stays locked until its end.
    """
    locked = [row["id"] for row in sql.schedules.lock(conn, deployment_id=deployment_id)]
    return schedule_locked(conn, locked, start_time, end_time, min_time, min_runs, max_runs)


def schedule_locked(
    conn: Connection,
    deployment_ids: list[UUID],
    start_time: datetime,
    end_time: datetime,
    min_time: timedelta,
    min_runs: int,
    max_runs: int,
) -> list[UUID]:
    """Make the runs that the schedules of locked deployments lack, as schedule_deployment, and give their ids."""
    if not deployment_ids:
        return []
    schedules = sql.schedules.read_active(conn, deployment_ids=deployment_ids)
    due = (
        (schedule, time)
        for schedule in schedules
        for time in read_due(schedule, start_time, end_time, min_time, min_runs, max_runs)
    )
    created = [insert(conn, batch) for batch in batches(due, BATCH_RUNS)]
    ids = [run["id"] for inserted in created for run in inserted.result()]
    for batch in batches(ids, BATCH_RUNS):
        sql.schedules.create_events.send(conn, ids=batch)
    return ids


def read_due(
    schedule: dict[str, Any], start: datetime, end: datetime, min_time: timedelta, min_runs: int, max_runs: int
) -> list[datetime]:
    """Give the times in UTC for which a schedule should have runs; none, and a line in the log, if it cannot be understood."""
    own_maximum = schedule["max_scheduled_runs"]
    max_runs = max_runs if own_maximum is None else min(max_runs, own_maximum)
    try:
        return choose(due_times(schedule["schedule"], start, end), start, min_time, min_runs, max_runs)
    except Exception as error:  # what parsers raise for a text that another server let pass is not to be foreseen
        log.warning("schedule %s is passed over: %r", schedule["id"], error)
        return []


def insert(conn: Connection, due: list[tuple[dict[str, Any], datetime]]) -> Any:
    """Queue the insertion of a run for each schedule and due time."""
    keys = [idempotency_key(schedule, time) for schedule, time in due]
    return sql.schedules.create_runs.send(
        conn,
        ids=[derived("flow_run", schedule["flow_id"], key) for (schedule, _), key in zip(due, keys, strict=True)],
        state_ids=[uuid7() for _ in due],
        names=[generate_name() for _ in due],
        schedule_ids=[schedule["id"] for schedule, _ in due],
        idempotency_keys=keys,
        times=[time for _, time in due],
    )


def idempotency_key(schedule: dict[str, Any], time: datetime) -> str:
    """Give the key of the run for a due time, in the words of Prefect's scheduler, so that both servers mean one run."""
    local = time.astimezone(read_zone(schedule["schedule"]))
    return f"scheduled {schedule['deployment_id']} {schedule['id']} {local}"


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cut items into lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
