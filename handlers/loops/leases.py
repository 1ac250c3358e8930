"""Slots whose holders have not renewed their leases in time are given back, and those of holders that have ended unnoticed."""

from datetime import datetime

from psycopg import Connection

import sql
from handlers.domain.slots import send_give_back
from handlers.loops.driver import Row


def find_expired(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Find leases that have run out."""
    return sql.concurrency_limits_v2.find_expired(conn, now=now, limit=limit, after=after["id"])


def release_expired_leases(conn: Connection, now: datetime, expired: list[Row]) -> int:
    """Give back the slots of leases that have run out; gives how many limits they were of."""
    return sql.concurrency_limits_v2.delete_expired(conn, now=now, ids=[lease["id"] for lease in expired])


def find_ended(conn: Connection, now: datetime, limit: int, after: Row) -> list[Row]:
    """Find runs that hold slots without end and have ended all the same."""
    return sql.slots.find_ended(conn, now=now, limit=limit, after=after["id"])


def release_ended_holders(conn: Connection, now: datetime, ended: list[Row]) -> int:
    """Give back what runs hold that have ended; gives the number of runs."""
    send_give_back(conn, holder_ids=[run["id"] for run in ended], ended=[run["time"] for run in ended])
    return len(ended)
