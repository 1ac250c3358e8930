"""Limits made, and slots taken and given back, on a connection, for tests."""

from typing import Any

from psycopg import Connection

import sql
from sql.ids import uuid7
from tests.resources import unique


def insert_limit(conn: Connection, limit: int = 1, name: str | None = None, **fields: Any) -> tuple[str, str]:
    """Create a limit without HTTP; gives its id and name."""
    plain = {"active": True, "active_slots": 0, "denied_slots": 0, "slot_decay_per_second": 0}
    made = sql.concurrency_limits_v2.create(
        conn, **{"id": uuid7(), "name": name or unique("limit"), "limit": limit, **plain, **fields}
    )
    return str(made["id"]), made["name"]


def take(conn: Connection, *names: str, slots: int = 1, mode: str = "concurrency", seconds: float = 300) -> tuple[str, dict]:
    """Ask for slots with a lease; gives the id that the lease gets and what comes of it."""
    id = str(uuid7())
    outcome = sql.concurrency_limits_v2.acquire(
        conn,
        names=list(names),
        slots=slots,
        mode=mode,
        lease_id=id,
        lease_duration=seconds,
        holder_type=None,
        holder_id=None,
        tag_wait_seconds=10,
        wait_seconds=30,
    )
    return id, outcome


def give_back(conn: Connection, lease_id: str) -> int:
    """Release a lease; gives how many limits have slots back."""
    return sql.concurrency_limits_v2.release(conn, lease_id=lease_id)


def count_active(conn: Connection, id: str) -> int:
    """Give how many slots the table says are in use."""
    return conn.execute("SELECT active_slots FROM concurrency_limit_v2 WHERE id = %s", [id]).fetchone()[0]


def expire(conn: Connection, *lease_ids: str) -> None:
    """Let leases have run out a second ago."""
    statement = "UPDATE downbeat.concurrency_lease SET expires = now() - interval '1 s' WHERE id = ANY (%s::uuid[])"
    conn.execute(statement, [list(lease_ids)])
