"""Changes of work pools and their queues, each with the events that tell of it, as Prefect's server words them.

Whoever changes a pool or one of its queues holds the lock on the pool, so that priorities stay unique and statuses follow
one another. A pool is a dict with at least id, name and type.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection, errors

import sql
from handlers.domain.events import event, record, resource
from handlers.errors import Conflict, require
from sql.ids import uuid7

AGENT_POOL = "default-agent-pool"
POOL_FIELDS = ("description", "base_job_template", "concurrency_limit", "storage_configuration")
QUEUE_FIELDS = ("name", "description", "concurrency_limit", "priority")
NEW_AGENT_POOL = {
    "name": AGENT_POOL,
    "type": "prefect-agent",
    "description": None,
    "base_job_template": {},
    "is_paused": False,
    "concurrency_limit": None,
    "storage_configuration": {},
}


def create_pool(conn: Connection, **fields: Any) -> dict[str, Any]:
    """Create a pool with its default queue. Raises Conflict if the name is taken."""
    id, default_queue_id = uuid7(), uuid7()
    if sql.work_pools.create(conn, id=id, default_queue_id=default_queue_id, **fields) is None:
        raise Conflict("A work pool with this name already exists.")
    pool = sql.work_pools.set_default_queue(conn, id=id, default_queue_id=default_queue_id)
    record_queue(conn, "created", {"id": default_queue_id, "name": "default", "occurred": pool["occurred"]}, pool)
    record_pool(conn, "created", pool)
    return pool


def lock_pool(conn: Connection, name: str) -> dict[str, Any]:
    """Give a pool as it is, which nobody else changes until the transaction ends. Raises NotFound."""
    pool = sql.work_pools.lock(conn, name=name)
    require(pool, f"Work pool {name!r}")
    return pool


def update_pool(conn: Connection, pool: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Change a pool that is locked."""
    event_id = uuid7()
    changed = sql.work_pools.update(conn, id=pool["id"], changes=changes, event_id=event_id)
    if updates := compare(pool, changed, POOL_FIELDS):
        record_pool(conn, "updated", changed, updates)
    if changed["status"]:
        record_pool_status(conn, {**changed, "follows": pool["follows"]}, event_id)


def set_pool_status(conn: Connection, id: UUID | str, from_status: str, status: str) -> None:
    """Give a pool a status, unless it has another one than expected by now."""
    event_id = uuid7()
    pool = sql.work_pools.set_status(conn, id=id, from_status=from_status, status=status, event_id=event_id)
    if pool:
        record_pool_status(conn, pool, event_id)


def delete_pool(conn: Connection, pool: Mapping[str, Any]) -> None:
    """Delete a pool that is locked, with its queues and workers; flow runs and deployments stay behind without a queue."""
    queues = sql.work_queues.list_names(conn, work_pool_id=pool["id"])
    release(conn, queues)
    for queue in queues:
        record_queue(conn, "deleted", queue, pool)
    record_pool(conn, "deleted", pool)
    sql.work_pools.delete.send(conn, id=pool["id"])


def lock_agent_pool(conn: Connection) -> dict[str, Any]:
    """Give the pool of the queues that were made without one, as lock_pool; it is created when it is first needed."""
    pool = sql.work_pools.lock(conn, name=AGENT_POOL)
    if pool is None:
        try:
            return create_pool(conn, **NEW_AGENT_POOL)
        except Conflict:
            return lock_pool(conn, AGENT_POOL)
    return pool


def create_queue(conn: Connection, pool: Mapping[str, Any], name: str, **fields: Any) -> UUID:
    """Create a queue in a pool that is locked and give its id. Raises Conflict if the name is taken.

    Without a priority it gets the first that is free; with one, the queues at and behind it make room.
    """
    given = {"description": "", "is_paused": False, "concurrency_limit": None, "priority": None, "queue_filter": None, **fields}
    id = uuid7()
    try:
        queue = sql.work_queues.create(conn, id=id, work_pool_id=pool["id"], name=name, **given)
    except errors.UniqueViolation:
        raise Conflict(f"A work queue {name!r} already exists in work pool {pool['name']!r}.") from None
    if given["priority"]:
        sql.work_queues.spread_priorities.send(conn, work_pool_id=pool["id"], moved_id=id)
    record_queue(conn, "created", queue, pool)
    return id


def lock_queue(conn: Connection, pool: Mapping[str, Any], id: str | None = None, name: str | None = None) -> dict[str, Any]:
    """Give a queue of a pool that is locked, by id or name. Raises NotFound."""
    queue = sql.work_queues.lock(conn, work_pool_id=pool["id"], id=id, name=name)
    require(queue, f"Work queue {id}" if id else f"Work queue '{pool['name']}/{name}'")
    return queue


def update_queue(conn: Connection, pool: Mapping[str, Any], queue: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Change a queue that is locked with its pool. Raises Conflict if a new name is taken."""
    try:
        changed = sql.work_queues.update(conn, id=queue["id"], changes=changes)
    except errors.UniqueViolation:
        raise Conflict(f"A work queue {changes['name']!r} already exists in work pool {pool['name']!r}.") from None
    if "priority" in changes:
        sql.work_queues.spread_priorities.send(conn, work_pool_id=pool["id"], moved_id=queue["id"])
    if updates := compare(queue, changed, QUEUE_FIELDS):
        record_queue(conn, "updated", changed, pool, updates)
    if changed["status"] != queue["status"]:
        record_queue(conn, in_kebab_case(changed["status"]), changed, pool)


def delete_queue(conn: Connection, pool: Mapping[str, Any], queue: Mapping[str, Any]) -> None:
    """Delete a queue that is locked with its pool, as delete_pool. Raises Conflict for the pool's default queue."""
    if queue["id"] == pool["default_queue_id"]:
        raise Conflict("A pool's default queue cannot be deleted.")
    release(conn, [queue])
    sql.work_queues.delete.send(conn, id=queue["id"])
    sql.work_queues.spread_priorities.send(conn, work_pool_id=pool["id"], moved_id=None)
    record_queue(conn, "deleted", queue, pool)


def release(conn: Connection, queues: Sequence[Mapping[str, Any]]) -> None:
    """Take queues of a locked pool from deployments and flow runs. Locked in the order of all: pool, deployments, runs, queue."""
    ids = [queue["id"] for queue in queues]
    sql.work_queues.release_deployments.send(conn, ids=ids)
    sql.work_queues.release_runs.send(conn, ids=ids)


def mark_ready(conn: Connection, queue_ids: Sequence[str]) -> None:
    """Make queues that were not ready ready, with their deployments, for they are polled."""
    queues = sql.work_queues.mark_ready.send(conn, ids=queue_ids)
    deployments = sql.work_queues.mark_deployments_ready(conn, ids=queue_ids)
    for queue in queues.result():
        pool = {"id": queue["work_pool_id"], "name": queue["work_pool_name"], "type": queue["work_pool_type"]}
        record_queue(conn, "ready", queue, pool)
    record(conn, [event("deployment", "ready", row, row["related"]) for row in deployments])


def compare(before: Mapping[str, Any], after: Mapping[str, Any], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Give the fields that have changed, each with its values before and after."""
    return {field: {"from": before[field], "to": after[field]} for field in fields if before[field] != after[field]}


def in_kebab_case(status: str) -> str:
    """Word a status as the names of events have it: NOT_READY is not-ready."""
    return status.lower().replace("_", "-")


def record_pool(conn: Connection, action: str, pool: Mapping[str, Any], updates: dict | None = None) -> None:
    """Record that a pool was created, updated or deleted. Only the last names the block of its results."""
    related = []
    if action != "updated":
        related.append(resource("work-queue", pool["default_queue_id"], role="default-queue"))
    block_id = pool["storage_configuration"].get("default_result_storage_block_id")
    if action == "deleted" and block_id:
        related.append(resource("block-document", block_id, role="result-storage"))
    record(conn, [event("work-pool", action, pool, related, tell_updates(updates), resource=pool_resource(pool))])


def record_pool_status(conn: Connection, pool: Mapping[str, Any], event_id: UUID) -> None:
    """Record a pool's new status; `follows` is the event of the status before, if that is ten minutes old at most."""
    named = resource("work-pool", pool["id"], pool["name"], type=pool["type"])
    told = event("work-pool", in_kebab_case(pool["status"]), pool, id=event_id, resource=named, follows=pool["follows"])
    record(conn, [told])


def record_queue(
    conn: Connection, action: str, queue: Mapping[str, Any], pool: Mapping[str, Any], updates: dict | None = None
) -> None:
    """Record what happened to a queue of a pool, or the status that it has now."""
    named = resource("work-queue", queue["id"], queue["name"], "work-queue")
    record(conn, [event("work-queue", action, queue, [pool_resource(pool)], tell_updates(updates), resource=named)])


def pool_resource(pool: Mapping[str, Any]) -> dict[str, str]:
    """Give a pool as events name it."""
    return resource("work-pool", pool["id"], pool["name"], "work-pool", type=pool["type"])


def tell_updates(updates: dict | None) -> dict[str, Any]:
    """Give the payload of an event that tells of updates, if there are some."""
    return {"updated_fields": list(updates), "updates": updates} if updates else {}
