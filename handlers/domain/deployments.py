"""The work queue of a deployment or of its runs, made if it is not there yet."""

from typing import Any

import orjson
from psycopg import Connection

import sql
from handlers.domain.work_pools import AGENT_POOL, create_queue, lock_agent_pool, lock_pool
from handlers.errors import NotFound, invalid


def find_queue(conn: Connection, pool: str | None, queue: str | None) -> Any:
    """Give the id of a pool's queue, of its default queue, or without a pool of a queue in the pool of agents.

    A queue that is not there is made. The queue stays until the transaction ends; whoever locks a deployment calls this first,
    for a pool is locked before the deployments of its queues. Raises NotFound for an unknown pool, Invalid for a name that a
    queue cannot have.
    """
    found = find(conn, pool, queue)
    if found and sql.work_queues.hold(conn, id=found):
        return found
    if not queue:
        raise NotFound(f"Work pool {pool!r}")
    if any(character in queue for character in "/%&><"):
        raise invalid("Must not contain any of / % & > <.", "work_queue_name")
    locked = lock_pool(conn, pool) if pool else lock_agent_pool(conn)
    if queue == "default":
        return locked["default_queue_id"]
    # Looked for again: it may have been made while the pool was waited for.
    return find(conn, pool or AGENT_POOL, queue) or create_queue(conn, locked, queue, priority=None if pool else 1)


def find(conn: Connection, pool: str | None, queue: str | None) -> Any:
    """Give the id of a queue that is there, without its name of the pool's default queue."""
    if pool:
        return sql.flow_run_transitions.read_work_queue(conn, work_pool_name=pool, work_queue_name=queue)
    found = sql.work_queues.read_by_name(conn, name=queue)
    return orjson.loads(found)["id"] if found else None
