"""Slots of limits: taking them under a lease, giving them back, and how long those are told to wait that get none.

sql/concurrency_limits_v2.sql and sql/slots.sql say in which order things are locked.
"""

import math
import random
from typing import Any

from psycopg import Connection

import sql
from schemas.settings import setting

# Waits are spread over this range of multiples of the average, in which half of them are shorter than its logarithmic
# middle and half longer (observed on Prefect 3.8.3), so that those who were refused together do not come back together.
SHORTEST_WAIT, LONGEST_WAIT = 0.752, 1.3


def acquire(conn: Connection, names: list[str], lease_id: Any, seconds: float | None, type: str, id: Any) -> dict[str, Any]:
    """Take a slot of each of some limits under a lease of a run, which lasts until the run ends without a duration."""
    return sql.concurrency_limits_v2.acquire(
        conn,
        names=names,
        slots=1,
        mode="orchestration",
        lease_id=lease_id,
        lease_duration=seconds,
        holder_type=type,
        holder_id=id,
        tag_wait_seconds=setting("server.tasks.tag_concurrency_slot_wait_seconds"),
        wait_seconds=setting("server.concurrency.maximum_concurrency_slot_wait_seconds"),
    )


def send_give_back(conn: Connection, **given: Any) -> None:
    """Give back what holders hold, what the task runs of flow runs hold, or what leases do."""
    sql.slots.give_back.send(conn, **{**dict.fromkeys(("holder_ids", "ended", "flow_run_ids", "lease_ids")), **given})


def release_flow_runs(conn: Connection, ids: list[str]) -> None:
    """Give back what flow runs and their task runs hold that are locked, before they are deleted."""
    send_give_back(conn, holder_ids=ids, flow_run_ids=ids)


def scatter(seconds: float) -> float:
    """Draw a time to wait around an average: of those between events that come at random, one that is in the range."""
    return -seconds * math.log(random.uniform(math.exp(-LONGEST_WAIT), math.exp(-SHORTEST_WAIT)))
