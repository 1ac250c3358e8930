"""Operations under /concurrency_limits: the limits of task runs by tag, which are those named `tag:` and the tag."""

from typing import Any

from flask import Blueprint, Response
from psycopg import Connection

import sql
from handlers.concurrency_limits_v2 import record_event
from handlers.domain.slots import send_give_back
from handlers.errors import NotFound, require
from handlers.http.messages import answer, body, document
from schemas.concurrency_limits import LimitsFilter, Slots, SlotsReset, TagLimitCreate
from schemas.settings import setting
from sql.database import connection, transaction
from sql.ids import uuid7

blueprint = Blueprint("concurrency_limits", __name__, url_prefix="/api/concurrency_limits")


class Locked(Exception):
    """There is no slot; the answer 423 says so."""

    def __init__(self, detail: str, retry_after: float | None = None):
        super().__init__(detail)
        self.retry_after = retry_after


@blueprint.errorhandler(Locked)
def answer_locked(error: Locked) -> Response:
    """Answer 423, and when to ask again if that may help."""
    response = answer({"detail": str(error)}, 423)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


@blueprint.post("/")
@body(TagLimitCreate)
def create_concurrency_limit(tag: str, concurrency_limit: int) -> Response:
    """Create the limit of a tag (201), or change the one that there is (200)."""
    with transaction() as conn:
        limit = sql.concurrency_limits.upsert(conn, id=uuid7(), tag=tag, limit=concurrency_limit)
        shown = sql.concurrency_limits.read.send(conn, id=limit["id"], tag=None)
        record_event(conn, "created" if limit["is_new"] else "updated", limit)
    return document(shown.result(), 201 if limit["is_new"] else 200)


@blueprint.get("/<id:id>")
def read_concurrency_limit(id: str) -> Response:
    """Give a limit by its id."""
    return read(id=id, tag=None)


@blueprint.get("/tag/<tag>")
def read_concurrency_limit_by_tag(tag: str) -> Response:
    """Give the limit of a tag."""
    return read(id=None, tag=tag)


def read(**reference: str | None) -> Response:
    """Give a limit by id or tag."""
    with connection() as conn:
        limit = sql.concurrency_limits.read(conn, **reference)
    return document(require(limit, "Concurrency limit"))


@blueprint.post("/filter")
@body(LimitsFilter)
def filter_concurrency_limits(limit: int, offset: int) -> Response:
    """List all limits by tag."""
    with connection() as conn:
        return document(sql.concurrency_limits.filter(conn, limit=limit, offset=offset))


@blueprint.post("/tag/<tag>/reset")
@body(SlotsReset)
def reset_concurrency_limit_by_tag(tag: str, slot_override: list[str]) -> Response:
    """Take the slots from all who hold some, and give one each to those named instead, even if they are too many."""
    with transaction() as conn:
        id = sql.concurrency_limits_v2.lock(conn, id=None, name=f"tag:{tag}")
        if id:
            sql.concurrency_limits_v2.drop_leases.send(conn, id=id, slots=0)
            leases = [uuid7() for _ in slot_override]
            sql.concurrency_limits.hold.send(conn, id=id, lease_ids=leases, task_run_ids=slot_override)
        elif not sql.concurrency_limits.hold_older(conn, tag=tag, task_run_ids=slot_override):
            raise NotFound("Concurrency limit")
    return document(None)


@blueprint.delete("/<id:id>")
def delete_concurrency_limit(id: str) -> Response:
    """Delete a limit by its id, whatever its name."""
    return delete({"id": id, "name": None}, {"id": id, "tag": None})


@blueprint.delete("/tag/<tag>")
def delete_concurrency_limit_by_tag(tag: str) -> Response:
    """Delete the limit of a tag."""
    return delete({"id": None, "name": f"tag:{tag}"}, {"id": None, "tag": tag})


def delete(reference: dict[str, str | None], older_reference: dict[str, str | None]) -> Response:
    """Delete a limit and what is leased of it; an older one if there is no other."""
    with transaction() as conn:
        sql.concurrency_limits_v2.lock_deployments.send(conn, **reference)
        id = sql.concurrency_limits_v2.lock(conn, **reference)
        if id:
            sql.concurrency_limits_v2.drop_leases.send(conn, id=id, slots=0)
            record_event(conn, "deleted", sql.concurrency_limits_v2.delete(conn, id=id, name=None))
        elif older := sql.concurrency_limits.delete(conn, **older_reference):
            record_event(conn, "deleted", {"name": older["tag"], **older}, told=("tag", "concurrency_limit"))
        else:
            raise NotFound("Concurrency limit")
    return document(None)


@blueprint.post("/increment")
@body(Slots)
def increment_slots(names: list[str], task_run_id: str) -> Response:
    """Let a task run hold a slot of the limits of all these tags, or of none (423). Tags without a limit do not matter."""
    with transaction() as conn:
        limits = in_order(names, sql.concurrency_limits.lock(conn, tags=names))
        if empty := next((limit["tag"] for limit in limits if limit["limit"] == 0), None):
            raise Locked(f'The concurrency limit on tag "{empty}" is 0: no task can ever run with it.')
        newer = [limit for limit in limits if limit["active"] and not limit["is_older"]]
        older = [limit for limit in limits if limit["is_older"]]
        wait = setting("server.tasks.tag_concurrency_slot_wait_seconds")
        if any(limit["is_full"] for limit in older) or (newer and not lease(conn, newer, task_run_id, wait)):
            raise Locked(f"Concurrency limits for these tags have been reached: {', '.join(names)}", wait)
        if older:
            ids = [limit["id"] for limit in older]
            sql.concurrency_limits.increment_older.send(conn, ids=ids, task_run_id=task_run_id)
    return answer([{"id": limit["id"], "name": limit["tag"], "limit": limit["limit"]} for limit in newer + older])


def in_order(tags: list[str], limits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give limits in the order in which their tags are first named."""
    return sorted(limits, key=lambda limit: tags.index(limit["tag"]))


def lease(conn: Connection, limits: list[dict[str, Any]], task_run_id: str, wait_seconds: float) -> bool:
    """Lease a slot of each of some limits that are locked to a task run, unless one of them has none left.

    The lease has no end, as clients that take slots here never renew them.
    """
    outcome = sql.concurrency_limits_v2.acquire(
        conn,
        names=[f"tag:{limit['tag']}" for limit in limits],
        slots=1,
        mode="concurrency",
        lease_id=uuid7(),
        lease_duration=None,
        holder_type="task_run",
        holder_id=task_run_id,
        tag_wait_seconds=wait_seconds,
        wait_seconds=wait_seconds,
    )
    return outcome["granted"]


@blueprint.post("/decrement")
@body(Slots)
def decrement_slots(names: list[str], task_run_id: str) -> Response:
    """Give back the leases by which a task run holds slots of the limits of these tags, with all that they hold."""
    with transaction() as conn:
        leases = [lease["id"] for lease in sql.concurrency_limits.held(conn, tags=names, task_run_id=task_run_id)]
        send_give_back(conn, lease_ids=leases)
        # What they are called is with `tag:`, and without it when slots are taken (observed on Prefect 3.8.3).
        return document(sql.concurrency_limits.decrement(conn, tags=names, task_run_id=task_run_id))
