"""Deployments and schedules for tests, as rows."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson
from psycopg import Connection

from tests.runs import make_flow


def make_deployment(conn: Connection, **columns: Any) -> dict[str, Any]:
    """Insert a deployment of a flow of its own, and give its columns."""
    row = {"id": uuid4(), "name": str(uuid4()), **columns}
    row.setdefault("flow_id", make_flow(conn))
    insert(conn, "deployment", row)
    return row


def make_schedule(conn: Connection, deployment_id: Any, schedule: dict[str, Any], **columns: Any) -> Any:
    """Insert a schedule of a deployment, and give its id."""
    row = {"id": uuid4(), "deployment_id": deployment_id, "schedule": schedule, "active": True, **columns}
    insert(conn, "deployment_schedule", row)
    return row["id"]


def insert(conn: Connection, table: str, row: dict[str, Any]) -> None:
    """Insert a row; dicts and lists become JSON."""
    values = [orjson.dumps(value).decode() if isinstance(value, (dict, list)) else value for value in row.values()]
    conn.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", values)


def read_due(conn: Connection, deployment_id: Any) -> list[datetime]:
    """Give the times for which a deployment has scheduled runs, in order."""
    runs = "SELECT expected_start_time FROM flow_run WHERE deployment_id = %s AND auto_scheduled ORDER BY 1"
    return [row[0] for row in conn.execute(runs, [deployment_id]).fetchall()]
