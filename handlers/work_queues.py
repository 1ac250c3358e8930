"""Operations under /work_queues: queues by id, and those that agents poll by name or tags."""

from typing import Any

from flask import Blueprint, Response, request
from psycopg import Connection

import sql
from handlers.domain.work_pools import (
    AGENT_POOL,
    create_queue,
    delete_queue,
    lock_agent_pool,
    lock_pool,
    lock_queue,
    mark_ready,
    update_queue,
)
from handlers.errors import require
from handlers.http import lists
from handlers.http.messages import body, document, no_content
from schemas.work_queues import WorkQueueConcurrency, WorkQueueCreate, WorkQueuePoll, WorkQueuesFilter, WorkQueueUpdate
from sql.database import connection, transaction, within

blueprint = Blueprint("work_queues", __name__, url_prefix="/api/work_queues")


@blueprint.post("/")
@body(WorkQueueCreate)
def create_work_queue(**fields: Any) -> Response:
    """Create a queue in the pool of agents. A default queue that comes with that pool is the one asked for."""
    with transaction() as conn:
        is_new = sql.work_pools.read_id(conn, name=AGENT_POOL) is None
        pool = lock_agent_pool(conn)
        id = pool["default_queue_id"] if is_new and fields["name"] == "default" else create_queue(conn, pool, **fields)
        queue = sql.work_queues.read.send(conn, id=id)
    return document(queue.result(), 201)


@blueprint.patch("/<id:id>")
@body(WorkQueueUpdate)
def update_work_queue(id: str, **changes: Any) -> Response:
    """Change a queue."""
    with transaction() as conn:
        pool, queue = lock(conn, id)
        update_queue(conn, pool, queue, changes)
    return no_content()


@blueprint.get("/name/<name>")
def read_work_queue_by_name(name: str) -> Response:
    """Give the queue of a name in the pool of agents."""
    with connection() as conn:
        queue = sql.work_queues.read_by_name(conn, name=name)
    return document(require(queue, f"Work queue {name!r}"))


@blueprint.get("/<id:id>")
def read_work_queue(id: str) -> Response:
    """Give a queue."""
    with connection() as conn:
        queue = sql.work_queues.read(conn, id=id)
    return document(require(queue, f"Work queue {id}"))


@blueprint.post("/<id:id>/get_runs")
@body(WorkQueuePoll)
def poll_work_queue(id: str, **arguments: Any) -> Response:
    """List the runs of a queue that are due, and note that it was polled unless a browser asks."""
    with connection() as conn:
        queue = sql.polls.read_work_queue(conn, id=id)
        require(queue, f"Work queue {id}")
        runs = b"[]" if queue["is_paused"] else sql.polls.of_work_queue(conn, id=id, free_slots=queue["free_slots"], **arguments)
        if request.headers.get("X-Prefect-UI", "").lower() not in ("true", "1", "yes", "on", "t", "y"):
            note_poll(conn, [id], queue["has_unready"])
    return document(runs)


@blueprint.post("/filter")
@body(WorkQueuesFilter)
def filter_work_queues(**arguments: Any) -> Response:
    """List the queues of all pools that match, by name."""
    return document(lists.read_list("work_queues", sort="NAME_ASC", **arguments))


@blueprint.delete("/<id:id>")
def delete_work_queue(id: str) -> Response:
    """Delete a queue."""
    with transaction() as conn:
        delete_queue(conn, *lock(conn, id))
    return no_content()


@blueprint.post("/<id:id>/concurrency_status")
@body(WorkQueueConcurrency)
def read_concurrency_status(id: str, page: int, limit: int) -> Response:
    """Give the runs that hold slots of a queue."""
    with connection() as conn:
        status = sql.work_queues.concurrency_status(conn, id=id, page=page, limit=limit, offset=(page - 1) * limit)
    return document(require(status, f"Work queue {id}"))


@blueprint.get("/<id:id>/status")
def read_status(id: str) -> Response:
    """Tell whether a queue is polled and its runs start in time."""
    with connection() as conn:
        status = sql.work_queues.status(conn, id=id)
    return document(require(status, f"Work queue {id}"))


def lock(conn: Connection, id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Lock the pool of a queue, then the queue, and give both. Raises NotFound."""
    name = sql.work_queues.read_pool_name(conn, id=id)
    require(name, f"Work queue {id}")
    pool = lock_pool(conn, name)
    return pool, lock_queue(conn, pool, id=id)


def note_poll(conn: Connection, queue_ids: list[str], has_unready: bool) -> None:
    """Note on a connection outside a transaction that queues were polled; what is not ready becomes so."""
    sql.work_queues.touch.send(conn, ids=queue_ids)
    if has_unready:
        with within(conn):
            mark_ready(conn, queue_ids)
