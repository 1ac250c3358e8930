"""Slots whose holders have not renewed their leases in time are given back."""

from datetime import datetime

from psycopg import Connection

import sql


def release_expired_leases(conn: Connection, now: datetime, limit: int) -> int:
    """Give back the slots of leases that have run out; gives the number of leases."""
    return sql.concurrency_limits_v2.delete_expired(conn, now=now, limit=limit)
