"""Operations under /work_pools: pools, their queues and their workers."""

from typing import Any

import orjson
from flask import Blueprint, Response
from psycopg import Connection

import sql
from handlers.domain.job_variables import check_defaults
from handlers.domain.work_pools import (
    create_pool,
    create_queue,
    delete_pool,
    delete_queue,
    lock_pool,
    lock_queue,
    record_pool_status,
    set_pool_status,
    update_pool,
    update_queue,
)
from handlers.errors import NotFound, Unprocessable, require
from handlers.http import lists
from handlers.http.access import client_version
from handlers.http.messages import answer, body, document, no_content
from handlers.work_queues import note_poll
from schemas.work_pools import (
    WorkerHeartbeat,
    WorkersFilter,
    WorkPoolConcurrency,
    WorkPoolCreate,
    WorkPoolCriteria,
    WorkPoolPoll,
    WorkPoolsFilter,
    WorkPoolUpdate,
)
from schemas.work_queues import WorkQueueCreate, WorkQueuesFilter, WorkQueueUpdate
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

RESULT_STORAGE_VERSION = (3, 3, 8)  # the first client that knows default_result_storage_block_id

blueprint = Blueprint("work_pools", __name__, url_prefix="/api/work_pools")


@blueprint.post("/")
@body(WorkPoolCreate)
def create_work_pool(name: str, **fields: Any) -> Response:
    """Create a pool with its default queue."""
    if is_reserved(name):
        return refuse_reserved("created")
    try:
        check_defaults(fields["base_job_template"])
    except ValueError as error:
        raise Unprocessable(f"Error creating work pool: {error}") from None
    with transaction() as conn:
        pool = create_pool(conn, name=name, **fields)
        record_pool_status(conn, pool, uuid7())
        shown = sql.work_pools.read.send(conn, name=name)
    return document(for_client(shown.result()), 201)


@blueprint.get("/<name>")
def read_work_pool(name: str) -> Response:
    """Give the pool of a name."""
    with connection() as conn:
        pool = sql.work_pools.read(conn, name=name)
    require(pool, f"Work pool {name!r}")
    return document(for_client(pool))


@blueprint.post("/filter")
@body(WorkPoolsFilter)
def filter_work_pools(**arguments: Any) -> Response:
    """List the pools that match, by name."""
    return document(for_client(lists.read_list("work_pools", sort="NAME_ASC", **arguments)))


@blueprint.post("/count")
@body(WorkPoolCriteria)
def count_work_pools(**criteria: dict) -> Response:
    """Count the pools that match."""
    return answer(lists.count("work_pools", **criteria))


@blueprint.patch("/<name>")
@body(WorkPoolUpdate)
def update_work_pool(name: str, **changes: Any) -> Response:
    """Change a pool; one with a reserved name can only be paused and limited."""
    if is_reserved(name) and not changes.keys() <= {"is_paused", "concurrency_limit"}:
        return refuse_reserved("changed")
    with transaction() as conn:
        update_pool(conn, lock_pool(conn, name), changes)
    return no_content()


@blueprint.delete("/<name>")
def delete_work_pool(name: str) -> Response:
    """Delete a pool with its queues and workers."""
    if is_reserved(name):
        return refuse_reserved("deleted")
    with transaction() as conn:
        delete_pool(conn, lock_pool(conn, name))
    return no_content()


@blueprint.post("/<name>/concurrency_status")
@body(WorkPoolConcurrency)
def read_concurrency_status(name: str, page: int, limit: int, **arguments: int) -> Response:
    """Give the queues of a pool, each with the runs that hold its slots."""
    offset = (page - 1) * limit
    with connection() as conn:
        status = sql.work_pools.concurrency_status(conn, name=name, page=page, limit=limit, offset=offset, **arguments)
    return document(require(status, f"Work pool {name!r}"))


@blueprint.post("/<name>/get_scheduled_flow_runs")
@body(WorkPoolPoll)
def poll_work_pool(name: str, work_queue_names: list[str] | None, **arguments: Any) -> Response:
    """List the runs of a pool that are due, and note that its queues were polled."""
    with connection() as conn:
        found = sql.polls.of_work_pool(conn, name=name, queues=work_queue_names or None, **arguments)
        if not found["has_pool"]:
            raise NotFound(f"Work pool {name!r}")
        if found["missing_queue"] is not None:
            raise NotFound(f"Work queue '{name}/{found['missing_queue']}'")
        if found["queue_ids"]:
            note_poll(conn, found["queue_ids"], found["has_unready"])
    return document(found["runs"].encode())


@blueprint.post("/<work_pool_name>/queues")
@body(WorkQueueCreate)
def create_work_queue(work_pool_name: str, name: str, **fields: Any) -> Response:
    """Create a queue in a pool."""
    with transaction() as conn:
        create_queue(conn, lock_pool(conn, work_pool_name), name, **fields)
        queue = sql.work_queues.read_in_pool.send(conn, work_pool_name=work_pool_name, name=name)
    return document(queue.result(), 201)


@blueprint.get("/<work_pool_name>/queues/<name>")
def read_work_queue(work_pool_name: str, name: str) -> Response:
    """Give a queue of a pool."""
    with connection() as conn:
        queue = sql.work_queues.read_in_pool(conn, work_pool_name=work_pool_name, name=name)
    return document(require(queue, f"Work queue '{work_pool_name}/{name}'"))


@blueprint.patch("/<work_pool_name>/queues/<work_queue_name>")
@body(WorkQueueUpdate)
def update_work_queue(work_pool_name: str, work_queue_name: str, **changes: Any) -> Response:
    """Change a queue of a pool."""
    with transaction() as conn:
        pool = lock_pool(conn, work_pool_name)
        update_queue(conn, pool, lock_queue(conn, pool, name=work_queue_name), changes)
    return no_content()


@blueprint.delete("/<work_pool_name>/queues/<name>")
def delete_work_queue(work_pool_name: str, name: str) -> Response:
    """Delete a queue of a pool."""
    with transaction() as conn:
        pool = lock_pool(conn, work_pool_name)
        delete_queue(conn, pool, lock_queue(conn, pool, name=name))
    return no_content()


@blueprint.post("/<work_pool_name>/queues/filter")
@body(WorkQueuesFilter)
def filter_work_queues(work_pool_name: str, limit: int, offset: int, work_queues: dict | None = None) -> Response:
    """List the queues of a pool that match, by priority."""
    with connection() as conn:
        pool = {"id": {"any_": [read_pool_id(conn, work_pool_name)]}}
        chosen = compose("work_queues", work_queues=work_queues, work_pools=pool)
        order = sort_by("work_queues", "PRIORITY_ASC")
        found = sql.work_queues.page(conn, filter=chosen, sort=order, limit=limit, offset=offset)
        return document(sql.work_queues.read_many_in_pool(conn, ids=[queue["id"] for queue in found]))


@blueprint.post("/<work_pool_name>/workers/heartbeat")
@body(WorkerHeartbeat)
def record_worker_heartbeat(work_pool_name: str, **heartbeat: Any) -> Response:
    """Note that a worker is alive; the first one makes its pool ready."""
    with transaction() as conn:
        pool = sql.workers.record_heartbeat(conn, id=uuid7(), work_pool_name=work_pool_name, **heartbeat)
        require(pool, f"Work pool {work_pool_name!r}")
        if pool["status"] == "NOT_READY":
            set_pool_status(conn, pool["id"], "NOT_READY", "READY")
    return no_content()


@blueprint.post("/<work_pool_name>/workers/filter")
@body(WorkersFilter)
def filter_workers(work_pool_name: str, limit: int, offset: int, workers: dict | None = None) -> Response:
    """List the workers of a pool that match, by their last heartbeat."""
    with connection() as conn:
        pool = {"id": {"any_": [read_pool_id(conn, work_pool_name)]}}
    arguments = {"limit": limit, "offset": offset, "workers": workers, "work_pools": pool}
    return document(lists.read_list("workers", sort="LAST_HEARTBEAT_TIME_DESC", **arguments))


@blueprint.delete("/<work_pool_name>/workers/<name>")
def delete_worker(work_pool_name: str, name: str) -> Response:
    """Forget a worker of a pool."""
    with connection() as conn:
        require(sql.workers.delete(conn, work_pool_id=read_pool_id(conn, work_pool_name), name=name), f"Worker {name!r}")
    return no_content()


def for_client(shown: bytes) -> bytes:
    """Leave the block of results out of a work pool or a list of them, for a client that would refuse it."""
    version = client_version()
    if version is None or version >= RESULT_STORAGE_VERSION:
        return shown
    pools = orjson.loads(shown)
    for pool in pools if isinstance(pools, list) else [pools]:
        del pool["storage_configuration"]["default_result_storage_block_id"]
    return orjson.dumps(pools)


def is_reserved(name: str) -> bool:
    """Tell whether a pool's name is kept for pools that are not made by users."""
    return name.lower().startswith("prefect")


def refuse_reserved(action: str) -> Response:
    """Answer 403 for what may not be done to a pool with a reserved name."""
    return answer({"detail": f"Work pools whose names start with 'Prefect' are reserved and cannot be {action} like this."}, 403)


def read_pool_id(conn: Connection, name: str) -> str:
    """Give the id of the pool of a name. Raises NotFound."""
    id = sql.work_pools.read_id(conn, name=name)
    require(id, f"Work pool {name!r}")
    return str(id)
