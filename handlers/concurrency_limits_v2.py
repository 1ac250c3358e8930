"""Operations under /v2/concurrency_limits: limits by name, and slots taken of them."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response
from psycopg import Connection

import sql
from handlers.domain import events
from handlers.domain.slots import scatter
from handlers.errors import require
from handlers.http.messages import answer, body, document, load, no_content
from schemas.concurrency_limits_v2 import (
    LeaseRelease,
    LeaseRenew,
    LimitCreate,
    LimitsFilter,
    LimitUpdate,
    SlotsDecrement,
    SlotsIncrement,
    SlotsIncrementWithLease,
)
from schemas.settings import setting
from sql.database import connection, transaction
from sql.ids import uuid7

blueprint = Blueprint("concurrency_limits_v2", __name__, url_prefix="/api/v2/concurrency_limits")
lease_schema = LeaseRelease()

TOLD = ("name", "limit", "active", "slot_decay_per_second")  # what an event tells of a limit


@blueprint.post("/")
@body(LimitCreate)
def create_concurrency_limit(**fields: Any) -> Response:
    """Create a limit."""
    with transaction() as conn:
        limit = sql.concurrency_limits_v2.create(conn, id=uuid7(), **fields)
        record_event(conn, "created", limit)
    return document(limit["document"].encode(), 201)


@blueprint.get("/<id_or_name>")
def read_concurrency_limit(id_or_name: str) -> Response:
    """Give a limit."""
    with connection() as conn:
        limit = sql.concurrency_limits_v2.read(conn, **reference(id_or_name))
    return document(require(limit, "Concurrency limit"))


@blueprint.post("/filter")
@body(LimitsFilter)
def filter_concurrency_limits(limit: int, offset: int) -> Response:
    """List all limits by name."""
    with connection() as conn:
        return document(sql.concurrency_limits_v2.filter(conn, limit=limit, offset=offset))


@blueprint.patch("/<id_or_name>")
@body(LimitUpdate)
def update_concurrency_limit(id_or_name: str, **changes: Any) -> Response:
    """Change a limit. Leases beyond a number of active slots that is set by hand no longer count for it."""
    changes = {**dict.fromkeys(LimitUpdate().fields), **changes}
    with transaction() as conn:
        id = sql.concurrency_limits_v2.lock(conn, **reference(id_or_name))
        require(id, "Concurrency limit")
        if changes["active_slots"] is not None:
            sql.concurrency_limits_v2.drop_leases.send(conn, id=id, slots=changes["active_slots"])
        record_event(conn, "updated", sql.concurrency_limits_v2.update(conn, id=id, **changes))
    return no_content()


@blueprint.delete("/<id_or_name>")
def delete_concurrency_limit(id_or_name: str) -> Response:
    """Delete a limit; whoever holds slots of it goes on unhindered."""
    with transaction() as conn:
        sql.concurrency_limits_v2.lock_deployments.send(conn, **reference(id_or_name))
        limit = sql.concurrency_limits_v2.delete(conn, **reference(id_or_name))
        require(limit, "Concurrency limit")
        record_event(conn, "deleted", limit)
    return no_content()


@blueprint.post("/increment")
@body(SlotsIncrement)
def increment_slots(**wanted: Any) -> Response:
    """Take slots that are given back by their number, or that decay."""
    return take_slots(None, holder=None, lease_duration=None, **wanted)


@blueprint.post("/increment-with-lease")
@body(SlotsIncrementWithLease)
def increment_slots_with_lease(holder: dict[str, str] | None = None, **wanted: Any) -> Response:
    """Take slots and lease them."""
    return take_slots(uuid7(), holder=holder, **wanted)


@blueprint.post("/decrement")
@body(SlotsDecrement)
def decrement_slots(names: list[str], slots: int, occupancy_seconds: float | None = None) -> Response:
    """Give back slots that were taken without a lease."""
    with transaction() as conn:
        limits = sql.concurrency_limits_v2.lock_by_name.send(conn, names=names)
        # A statement of its own: it must see the leases as they are once the limits are locked.
        sql.concurrency_limits_v2.decrement.send(conn, names=names, slots=slots, occupancy_seconds=occupancy_seconds)
    return document(limits.result())


@blueprint.post("/decrement-with-lease")
@body(LeaseRelease)
def release_lease(lease_id: str) -> Response:
    """Give back what a lease holds, if it is still held."""
    with connection() as conn:
        sql.concurrency_limits_v2.release(conn, lease_id=lease_id)
    return no_content()


@blueprint.post("/leases/<lease_id>/renew")
@body(LeaseRenew)
def renew_lease(lease_id: str, lease_duration: float) -> Response:
    """Let a lease last for so many seconds from now (410 if it has expired or was given back)."""
    load(lease_schema, {"lease_id": lease_id}, "path")
    with connection() as conn:
        renewed = sql.concurrency_limits_v2.renew(conn, lease_id=lease_id, lease_duration=lease_duration)
    return no_content() if renewed else answer({"detail": "The lease has expired or was given back."}, 410)


def take_slots(lease_id: UUID | None, holder: dict[str, str] | None, **wanted: Any) -> Response:
    """Take slots of all limits or of none.

    Answers 422 for what can never be had, and 423 with the seconds to wait when there are not enough slots now.
    """
    with connection() as conn:
        outcome = sql.concurrency_limits_v2.acquire(
            conn,
            lease_id=lease_id,
            holder_type=holder and holder["type"],
            holder_id=holder and holder["id"],
            tag_wait_seconds=setting("server.tasks.tag_concurrency_slot_wait_seconds"),
            wait_seconds=setting("server.concurrency.maximum_concurrency_slot_wait_seconds"),
            **wanted,
        )
    if outcome["refusal"]:
        return answer({"detail": outcome["refusal"]}, 422)
    if not outcome["granted"]:
        response = answer({"detail": "Locked"}, 423)
        response.headers["Retry-After"] = str(scatter(outcome["wait_seconds"]))
        return response
    return answer({"lease_id": lease_id, "limits": outcome["limits"]} if lease_id else outcome["limits"])


def reference(id_or_name: str) -> dict[str, str | None]:
    """Tell an id from a name."""
    try:
        return {"id": str(UUID(id_or_name)), "name": None}
    except ValueError:
        return {"id": None, "name": id_or_name}


def record_event(conn: Connection, action: str, limit: dict[str, Any], told: tuple[str, ...] = TOLD) -> None:
    """Record what happened to a limit, with the transaction that it happens in."""
    events.record(conn, [events.event("concurrency-limit", action, limit, payload={key: limit[key] for key in told})])
