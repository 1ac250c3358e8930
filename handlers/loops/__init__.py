"""Loops: what the server does by the clock, in any number of processes at once.

Each is a function `(conn, now, limit) -> int` that does its work in transactions of its own, at most `limit` things in each,
and gives how many it did. None is a leader: what one process works on is locked, and the others pass over it.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

import sql
from handlers.loops.cancellation_cleanup import cancel_subflows, cancel_task_runs, end_cancelling
from handlers.loops.foreman import (
    mark_deployments_not_ready,
    mark_work_pools_not_ready,
    mark_work_queues_not_ready,
    mark_workers_offline,
)
from handlers.loops.late_runs import mark_late_runs
from handlers.loops.leases import release_ended_holders, release_expired_leases
from handlers.loops.pause_expirations import fail_expired_pauses
from handlers.loops.scheduler import schedule_recent, schedule_runs
from schemas.settings import setting
from sql.database import reach_when_back, repeat

log = logging.getLogger("downbeat.loops")

JITTER = 0.1  # of the time between two rounds, so that processes that start together do not stay together
MAX_BACK_OFF_SECONDS = 60
LOST_SECONDS = 0.5  # before a loop that lost its connection is run again
DEPLOYMENTS = setting("server.services.scheduler.deployment_batch_size")  # whose schedules are looked at in one transaction


@dataclass(frozen=True)
class Loop:
    """A function, the service whose settings steer it, and its batch; a time between two rounds here goes before the setting."""

    run_once: Callable[[Connection, datetime, int], int]
    service: str
    every: float | None = None
    limit: int = 200
    setting: str = "LOOP_SECONDS"

    @property
    def pause_seconds(self) -> float:
        """Give the configured time between two rounds."""
        return self.every or setting(f"server.services.{self.service}.{self.setting}".lower())


LOOPS = (
    Loop(schedule_recent, "SCHEDULER", limit=DEPLOYMENTS, setting="RECENT_DEPLOYMENTS_LOOP_SECONDS"),
    Loop(schedule_runs, "SCHEDULER", limit=DEPLOYMENTS),
    Loop(mark_late_runs, "LATE_RUNS"),
    Loop(fail_expired_pauses, "PAUSE_EXPIRATIONS"),
    Loop(end_cancelling, "CANCELLATION_CLEANUP"),
    Loop(cancel_task_runs, "CANCELLATION_CLEANUP"),
    Loop(cancel_subflows, "CANCELLATION_CLEANUP"),
    Loop(release_expired_leases, "REPOSSESSOR"),
    Loop(release_ended_holders, "REPOSSESSOR"),
    Loop(mark_workers_offline, "FOREMAN"),
    Loop(mark_work_pools_not_ready, "FOREMAN"),
    Loop(mark_deployments_not_ready, "FOREMAN"),
    Loop(mark_work_queues_not_ready, "FOREMAN"),
)


def enabled() -> list[Loop]:
    """Give the loops whose service is switched on."""
    return [loop for loop in LOOPS if setting(f"server.services.{loop.service.lower()}.enabled")]


def start(url: str, stopping: threading.Event) -> threading.Thread | None:
    """Run the loops in a thread of this process until `stopping` is set; None if there are none, or with DOWNBEAT_LOOPS=off."""
    loops = enabled()
    if not loops or not setting("downbeat.loops"):
        return None
    thread = threading.Thread(target=run, args=(url, stopping, loops), name="loops", daemon=True)
    thread.start()
    return thread


def run(url: str, stopping: threading.Event, loops: Sequence[Loop]) -> None:
    """Run each loop when it is due, on one connection of its own, until `stopping` is set; outlives any exception."""
    conn: Connection | None = None
    due = {loop: time.monotonic() + random.uniform(0, min(1, loop.pause_seconds)) for loop in loops}
    failures = dict.fromkeys(loops, 0)
    while not stopping.is_set():
        loop = min(due, key=due.get)
        pause_seconds = loop.pause_seconds
        if stopping.wait(max(0, due[loop] - time.monotonic())):
            break
        try:
            if not conn or conn.closed:
                conn = reach_when_back(url, "downbeat loops", stopping)
            if conn:
                run_round(loop, conn, stopping)
            failures[loop] = 0
        except Exception:
            failures[loop] += 1
            pause_seconds = LOST_SECONDS if conn and conn.closed else loop.pause_seconds
            log.exception("%s failed and is tried again", loop.run_once.__name__)
            if conn:
                conn.close()
        pause_seconds *= random.uniform(1 - JITTER, 1 + JITTER)
        if failures[loop]:
            pause_seconds = min(pause_seconds * 2 ** min(failures[loop] - 1, 10), max(MAX_BACK_OFF_SECONDS, pause_seconds))
        due[loop] = time.monotonic() + pause_seconds
    if conn:
        conn.close()


def run_round(loop: Loop, conn: Connection, stopping: threading.Event) -> int:
    """Run a loop until a batch is not full; gives how many things it did."""
    total = 0
    while not stopping.is_set():
        done = repeat(loop.run_once.__name__, loop.run_once, conn, sql.loops.read_clock(conn), loop.limit)
        total += done
        if done < loop.limit:
            break
    if total:
        log.info("%s: %d", loop.run_once.__name__, total)
    return total
