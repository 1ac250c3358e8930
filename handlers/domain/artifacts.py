"""Artifacts that are the newest version of their key."""

from typing import Any

from psycopg import Connection

import sql
from handlers.domain.events import event, record, resource
from sql.ids import uuid7


def collect_result(conn: Connection, result: dict[str, Any]) -> None:
    """Make the artifact that a state's data was just written as the newest version of its key, if it has one.

    `result` has the artifact_id and artifact_key that the state was written with.
    """
    if result["artifact_key"]:
        collection = sql.artifact_collections.collect(conn, id=uuid7(), artifact_id=result["artifact_id"])
        if collection:
            record_event(conn, "created" if collection["is_new"] else "updated", collection)


def record_event(conn: Connection, action: str, collection: dict[str, Any]) -> None:
    """Record what happened to the newest version of a key, with the transaction that it happens in."""
    related = {
        "latest": ("artifact", collection["latest_id"]),
        "flow-run": ("flow-run", collection["flow_run_id"]),
        "task-run": ("task-run", collection["task_run_id"]),
    }
    named = [resource(kind, id, role=role) for role, (kind, id) in related.items() if id is not None]
    payload = {name: collection[name] for name in ("key", "type", "data", "description")}
    record(conn, [event("artifact-collection", action, {**collection, "name": collection["key"]}, named, payload)])
