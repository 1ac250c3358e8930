"""Events of the server itself: what happened to a thing, recorded in the transaction that it happens in."""

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Connection

import sql
from sql.ids import uuid7


def resource(kind: str, id: Any, name: str | None = None, role: str | None = None, **labels: str) -> dict[str, str]:
    """Name a thing as events do, e.g. `resource("work-pool", id, name, type="process")`: its labels begin with its kind."""
    named = {"prefect.resource.id": f"prefect.{kind}.{id}"}
    if name is not None:
        named["prefect.resource.name"] = name
    if role is not None:
        named["prefect.resource.role"] = role
    return named | {f"prefect.{kind}.{label}": text for label, text in labels.items()}


def event(
    kind: str, action: str, row: Mapping[str, Any], related: Iterable[dict] = (), payload: dict | None = None, **fields: Any
) -> dict[str, Any]:
    """Make the event that something happened to the thing of a row.

    The row has its `id`, `name`, and the time when it `occurred`, which is the transaction's if it has none.
    """
    made = {"id": uuid7(), "occurred": row.get("occurred"), "event": f"prefect.{kind}.{action}"}
    told = {"resource": resource(kind, row["id"], row["name"]), "related": list(related), "payload": payload or {}}
    return made | told | fields


def record(conn: Connection, events: list[dict[str, Any]]) -> None:
    """Store events, with the next statement that is waited for or at COMMIT."""
    if events:
        sql.events.create.send(conn, events=events)
