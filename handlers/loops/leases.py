"""Slots whose holders have not renewed their leases in time are given back, and those of holders that have ended unnoticed."""

from datetime import datetime

from psycopg import Connection

import sql
from handlers.rules.slots import send_give_back
from sql.database import within


def release_expired_leases(conn: Connection, now: datetime, limit: int) -> int:
    """Give back the slots of leases that have run out; gives the number of leases."""
    return sql.concurrency_limits_v2.delete_expired(conn, now=now, limit=limit)


def release_ended_holders(conn: Connection, now: datetime, limit: int) -> int:
    """Give back what runs hold without end that have ended all the same; gives the number of runs."""
    with within(conn):
        ended = sql.slots.find_ended(conn, now=now, limit=limit)
        if ended:
            send_give_back(conn, holder_ids=[run["id"] for run in ended], ended=[run["time"] for run in ended])
    return len(ended)
