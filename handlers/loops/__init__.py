"""Loops: what the server does by the clock, in any number of processes at once.

None is a leader: what one process works on is locked, and the others pass over it. Loops that may take long have a thread of
their own, so that they never hold up leases, lateness and pauses; in a thread, the loops that are due take turns batch by batch.
"""

import logging
import random
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from psycopg import Connection

import sql
from handlers.loops import cancellation_cleanup, foreman, late_runs, leases, pause_expirations, scheduler
from handlers.loops.driver import Loop, Round, is_everywhere, run_batch
from schemas.settings import setting
from sql.database import reach_when_back

log = logging.getLogger("downbeat.loops")

JITTER = 0.1  # of the time between two rounds, so that processes that start together do not stay together
MAX_BACK_OFF_SECONDS = 60
LOST_SECONDS = 0.5  # before loops are run again when the connection was lost or the server is at fault
DEPLOYMENTS = setting("server.services.scheduler.deployment_batch_size")  # whose schedules are looked at in one transaction

SCHEDULER = {"service": "SCHEDULER", "limit": DEPLOYMENTS, "is_slow": True, "locks": False}
CLEANUP = {"service": "CANCELLATION_CLEANUP", "is_slow": True}
FOREMAN = {"service": "FOREMAN"}

# fmt: off
LOOPS = (
    Loop("schedule_recent", scheduler.find_recent, scheduler.schedule, setting="RECENT_DEPLOYMENTS_LOOP_SECONDS", **SCHEDULER),
    Loop("schedule_runs", scheduler.find_lacking, scheduler.schedule, **SCHEDULER),
    Loop("mark_late_runs", late_runs.claim_late, late_runs.mark_late_runs, "LATE_RUNS"),
    Loop("fail_expired_pauses", pause_expirations.claim_expired, pause_expirations.fail_expired_pauses, "PAUSE_EXPIRATIONS"),
    Loop("end_cancelling", cancellation_cleanup.claim_cancelling, cancellation_cleanup.end_cancelling, **CLEANUP),
    Loop("cancel_task_runs", cancellation_cleanup.claim_task_runs, cancellation_cleanup.cancel_task_runs, **CLEANUP),
    Loop("cancel_subflows", cancellation_cleanup.claim_subflows, cancellation_cleanup.cancel_subflows, **CLEANUP),
    Loop("release_expired_leases", leases.find_expired, leases.release_expired_leases, "REPOSSESSOR"),
    Loop("release_ended_holders", leases.find_ended, leases.release_ended_holders, "REPOSSESSOR"),
    Loop("mark_workers_offline", foreman.claim_silent_workers, foreman.mark_workers_offline, **FOREMAN),
    Loop("mark_work_pools_not_ready", foreman.claim_deserted_work_pools, foreman.mark_work_pools_not_ready, **FOREMAN),
    Loop("mark_deployments_not_ready", foreman.claim_unpolled_deployments, foreman.mark_deployments_not_ready, **FOREMAN),
    Loop("mark_work_queues_not_ready", foreman.claim_unpolled_work_queues, foreman.mark_work_queues_not_ready, **FOREMAN),
)
# fmt: on


def enabled() -> list[Loop]:
    """Give the loops whose service is switched on."""
    return [loop for loop in LOOPS if setting(f"server.services.{loop.service.lower()}.enabled")]


def start(url: str, stopping: threading.Event) -> list[threading.Thread]:
    """Run the loops in threads of this process until `stopping` is set; none with DOWNBEAT_LOOPS=off."""
    return start_threads(url, stopping, enabled()) if setting("downbeat.loops") else []


def start_threads(url: str, stopping: threading.Event, loops: Iterable[Loop]) -> list[threading.Thread]:
    """Run loops in threads of this process, a thread for those of one speed."""
    speeds = [[loop for loop in loops if loop.is_slow is is_slow] for is_slow in (False, True)]
    threads = [
        threading.Thread(target=keep_running, args=(url, stopping, speed), name="loops", daemon=True) for speed in speeds if speed
    ]
    for thread in threads:
        thread.start()
    return threads


def keep_running(url: str, stopping: threading.Event, loops: Sequence[Loop]) -> None:
    """Run loops until `stopping` is set, whatever happens: even what fails where failures are dealt with does not end it."""
    while not stopping.is_set():
        try:
            run(url, stopping, loops)
        except BaseException:
            stopping.wait(1)
            with suppress(BaseException):
                log.exception("the loops failed and are started again")


def run(url: str, stopping: threading.Event, loops: Sequence[Loop]) -> None:
    """Give each loop its turn when it is due, on one connection of its own, until `stopping` is set; outlives any failure.

    A turn is one batch, so that what has much to do holds nobody else up. A round that failed begins anew after a while; one in
    which the connection was lost, or the server was at fault, goes on as soon as it can.
    """
    conn: Connection | None = None
    due = {loop: time.monotonic() + random.uniform(0, min(1, pause_seconds(loop))) for loop in loops}
    rounds = {loop: Round(loop.limit) for loop in loops}
    failures = dict.fromkeys(loops, 0)
    try:
        while not stopping.is_set():
            loop = min(due, key=due.get)
            if stopping.wait(max(0, due[loop] - time.monotonic())):
                break
            is_lost = False
            try:
                if not conn or conn.closed:
                    conn = reach_when_back(url, "downbeat loops", stopping)
                if not conn:
                    break
                rounds[loop] = run_batch(loop, conn, sql.loops.read_clock(conn), rounds[loop])
                failures[loop] = 0
            except Exception as error:
                is_lost = is_everywhere(error) or bool(conn and conn.closed)
                failures[loop] += not is_lost
                rounds[loop] = tell(loop, rounds[loop], error, is_lost)
                if conn:
                    conn.close()
                stopping.wait(LOST_SECONDS * is_lost)
            if is_lost or (rounds[loop].is_full and not failures[loop]):
                due[loop] = time.monotonic()
            else:
                report(loop, rounds[loop])
                rounds[loop], due[loop] = Round(loop.limit), time.monotonic() + rest_seconds(loop, failures[loop])
    finally:
        if conn:
            conn.close()


def tell(loop: Loop, over: Round, error: Exception, is_lost: bool) -> Round:
    """Log why a loop did not get on, a loss once in a round, and note losses."""
    if not is_lost:
        log.exception("%s failed and is tried again", loop.name)
        return over
    if not over.losses:
        log.warning("%s is interrupted and goes on when it can: %s", loop.name, error)
    return replace(over, losses=over.losses + 1)


def report(loop: Loop, over: Round) -> None:
    """Log what a round did, and how much of it could not be done."""
    if over.passed_over:
        log.warning("%s: %d done, %d passed over", loop.name, over.done, over.passed_over)
    elif over.done:
        log.info("%s: %d done", loop.name, over.done)


def pause_seconds(loop: Loop) -> float:
    """Give the configured time between two rounds of a loop."""
    return loop.every or setting(f"server.services.{loop.service}.{loop.setting}".lower())


def rest_seconds(loop: Loop, failures: int) -> float:
    """Give the time until the next round, which is the longer the more often the loop has failed in a row."""
    pause = pause_seconds(loop) * random.uniform(1 - JITTER, 1 + JITTER)
    return min(pause * 2 ** min(failures - 1, 10), max(MAX_BACK_OFF_SECONDS, pause)) if failures else pause
