"""Workers that are silent, and what is not polled any more, is marked so; an event tells of each but the workers."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

import sql
from handlers.domain.events import event, record, resource
from handlers.loops.driver import Row
from schemas.settings import setting

MISSED_HEARTBEATS = setting("server.services.foreman.inactivity_heartbeat_multiple")
HEARTBEAT_SECONDS = setting("server.services.foreman.fallback_heartbeat_interval_seconds")
DEPLOYMENT_TIMEOUT = timedelta(seconds=setting("server.services.foreman.deployment_last_polled_timeout_seconds"))
WORK_QUEUE_TIMEOUT = timedelta(seconds=setting("server.services.foreman.work_queue_last_polled_timeout_seconds"))


def claim_silent_workers(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock workers that have missed several heartbeats."""
    return sql.loops.claim_silent_workers(
        conn, now=now, missed=MISSED_HEARTBEATS, interval_seconds=HEARTBEAT_SECONDS, limit=limit, after=after["id"]
    )


def mark_workers_offline(conn: Connection, now: datetime, silent: list[Row]) -> int:
    """Mark workers OFFLINE; gives their number."""
    return sql.loops.mark_workers_offline(conn, ids=[worker["id"] for worker in silent])


def claim_deserted_work_pools(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock work pools that have no worker left."""
    return sql.loops.claim_deserted_work_pools(conn, now=now, limit=limit, after=after["id"])


def mark_work_pools_not_ready(conn: Connection, now: datetime, pools: list[Row]) -> int:
    """Mark work pools NOT_READY; gives their number."""
    events = [
        tell(
            "work-pool",
            pool,
            now,
            resource=resource("work-pool", pool["id"], pool["name"], type=pool["type"]),
            follows=pool["follows"],
        )
        for pool in pools
    ]
    ids, event_ids = [pool["id"] for pool in pools], [event["id"] for event in events]
    sql.loops.mark_work_pools_not_ready.send(conn, ids=ids, event_ids=event_ids, now=now)
    record(conn, events)
    return len(pools)


def claim_unpolled_deployments(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock deployments for whose runs nobody asks any more."""
    return sql.loops.claim_unpolled_deployments(conn, since=now - DEPLOYMENT_TIMEOUT, limit=limit, after=after["id"])


def mark_deployments_not_ready(conn: Connection, now: datetime, deployments: list[Row]) -> int:
    """Mark deployments NOT_READY; gives their number."""
    sql.loops.mark_deployments_not_ready.send(conn, ids=[deployment["id"] for deployment in deployments])
    record(conn, [tell("deployment", each, now, each["related"]) for each in deployments])
    return len(deployments)


def claim_unpolled_work_queues(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Lock work queues that nobody polls any more."""
    return sql.loops.claim_unpolled_work_queues(conn, since=now - WORK_QUEUE_TIMEOUT, limit=limit, after=after["id"])


def mark_work_queues_not_ready(conn: Connection, now: datetime, queues: list[Row]) -> int:
    """Mark work queues NOT_READY; gives their number."""
    sql.loops.mark_work_queues_not_ready.send(conn, ids=[queue["id"] for queue in queues])
    for queue in queues:
        named = resource("work-queue", queue["id"], queue["name"], "work-queue")
        record(conn, [tell("work-queue", queue, now, queue["related"], resource=named)])
    return len(queues)


def tell(kind: str, row: Row, now: datetime, related: Iterable[dict] = (), **fields: Any) -> dict[str, Any]:
    """Make the event that something became NOT_READY."""
    return event(kind, "not-ready", {**row, "occurred": now}, related, **fields)
