"""Making flow runs from the schedules of deployments: one run for each schedule and time that it is due, whatever happens."""

import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from psycopg import Connection

import sql
from handlers.domain.due_times import choose, due_times, read_zone
from handlers.domain.events import record, resource
from handlers.domain.names import generate_name
from sql.ids import derived, uuid7

log = logging.getLogger("downbeat.schedules")

FAILURE = "downbeat.deployment-schedule.failed"  # the event that a schedule cannot be followed
REQUEST_CPU_SECONDS = 2  # which the schedules of a deployment may take while a client waits
BATCH_RUNS = 1000  # how many runs one statement inserts


@dataclass(frozen=True)
class Plan:
    """When schedules are due, and those that cannot be followed with the reasons."""

    due: list[tuple[dict[str, Any], datetime]]
    failed: list[tuple[dict[str, Any], str]]


def plan_runs(
    conn: Connection,
    deployment_ids: list[Any],
    start_time: datetime,
    end_time: datetime,
    min_time: timedelta,
    min_runs: int,
    max_runs: int,
    cpu_seconds: float = math.inf,
) -> Plan:
    """Find the times for which the active schedules of deployments should have runs. It may take long: lock nothing before.

    Schedules that are come to after `cpu_seconds` are left to the scheduler.

    For each schedule, in this order: runs start at `start_time` or later; there are no more than `max_runs` (or the schedule's
    own maximum); none starts after `end_time`; there are at least `min_runs`; and they go on until `start_time + min_time`.
    """
    plan, end = Plan([], []), time.thread_time() + cpu_seconds
    for schedule in sql.schedules.read_active(conn, deployment_ids=deployment_ids):
        if time.thread_time() > end:
            break
        own = schedule["max_scheduled_runs"]
        most = max_runs if own is None else min(max_runs, own)
        try:
            read_zone(schedule["schedule"])
            times = choose(due_times(schedule["schedule"], start_time, end_time), start_time, min_time, min_runs, most)
            plan.due.extend((schedule, due) for due in times)  # up to where it fails
        except Exception as error:  # what parsers raise for a text that another server let pass is not to be foreseen
            plan.failed.append((schedule, f"{type(error).__name__}: {error}"[:500]))
    return plan


def make_runs(conn: Connection, plan: Plan, deployment_ids: Iterable[Any]) -> list[UUID]:
    """Make the runs that deployments lack, give their ids, and tell of schedules that cannot be followed.

    Needs a transaction in which these deployments are locked; all others are left out.
    """
    locked = {UUID(str(id)) for id in deployment_ids}
    due = (item for item in plan.due if item[0]["deployment_id"] in locked)
    created = [insert(conn, batch) for batch in batches(due, BATCH_RUNS)]
    ids = [run["id"] for inserted in created for run in inserted.result()]
    for batch in batches(ids, BATCH_RUNS):
        sql.schedules.create_events.send(conn, ids=batch)
    tell_failures(conn, [item for item in plan.failed if item[0]["deployment_id"] in locked])
    return ids


def schedule_deployment(
    conn: Connection,
    deployment_id: UUID | str,
    start_time: datetime,
    end_time: datetime,
    min_time: timedelta,
    min_runs: int,
    max_runs: int,
) -> list[UUID]:
    """Make the runs that the schedules of a deployment lack, and give their ids; none if it is paused or not there.

    As plan_runs and make_runs. Needs a transaction; the deployment stays locked until its end. That a schedule cannot be
    followed as far as is asked for here is no failure of it: the scheduler tells of those, by how far it looks itself.
    """
    plan = plan_runs(conn, [deployment_id], start_time, end_time, min_time, min_runs, max_runs, REQUEST_CPU_SECONDS)
    locked = [row["id"] for row in sql.schedules.lock(conn, deployment_ids=[deployment_id])]
    return make_runs(conn, replace(plan, failed=[]), locked)


def tell_failures(conn: Connection, failed: list[tuple[dict[str, Any], str]]) -> None:
    """Record that schedules cannot be followed, and that their deployments are not ready: once a day, and for each change."""
    events = []
    for schedule, reason in failed:
        log.warning("schedule %s of deployment %s is passed over: %a", schedule["id"], schedule["deployment_id"], reason)
        named = resource("deployment", schedule["deployment_id"], schedule["deployment_name"])
        payload = {"schedule_id": str(schedule["id"]), "reason": reason}
        events.append({"id": schedule["failure_id"], "event": FAILURE, "resource": named, "payload": payload})
    if events:
        record(conn, events)
        sql.loops.mark_deployments_not_ready.send(conn, ids=[schedule["deployment_id"] for schedule, _ in failed])


def insert(conn: Connection, due: list[tuple[dict[str, Any], datetime]]) -> Any:
    """Queue the insertion of a run for each schedule and due time."""
    keys = [idempotency_key(schedule, time) for schedule, time in due]
    return sql.schedules.create_runs.send(
        conn,
        ids=[derived("flow_run", schedule["flow_id"], key) for (schedule, _), key in zip(due, keys, strict=True)],
        state_ids=[uuid7() for _ in due],
        names=[generate_name() for _ in due],
        schedule_ids=[schedule["id"] for schedule, _ in due],
        versions=[schedule["updated"] for schedule, _ in due],
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
