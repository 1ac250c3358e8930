"""The loops for tests: each goes once through all that there is to do, at a time of the test's choosing."""

from collections.abc import Callable
from datetime import datetime

from psycopg import Connection

from handlers.loops import LOOPS
from handlers.loops.driver import Loop, Round, run_batch


def run_round(loop: Loop, conn: Connection, now: datetime, limit: int | None = None) -> Round:
    """Run a loop, with batches of another size if that is given, until a batch is not full; gives what came of it."""
    so_far = Round(limit or loop.limit)
    while so_far.is_full:
        so_far = run_batch(loop, conn, now, so_far)
    return so_far


def named(name: str) -> Loop:
    """Give one of the loops."""
    return next(loop for loop in LOOPS if loop.name == name)


def round_of(name: str) -> Callable[[Connection, datetime, int], int]:
    """Make a function that runs a round of a loop and gives how many things it did."""
    return lambda conn, now, limit: run_round(named(name), conn, now, limit).done


schedule_recent, schedule_runs = round_of("schedule_recent"), round_of("schedule_runs")
mark_late_runs, fail_expired_pauses = round_of("mark_late_runs"), round_of("fail_expired_pauses")
end_cancelling, cancel_task_runs, cancel_subflows = map(round_of, ("end_cancelling", "cancel_task_runs", "cancel_subflows"))
release_expired_leases, release_ended_holders = round_of("release_expired_leases"), round_of("release_ended_holders")
mark_workers_offline, mark_work_pools_not_ready = round_of("mark_workers_offline"), round_of("mark_work_pools_not_ready")
mark_deployments_not_ready = round_of("mark_deployments_not_ready")
mark_work_queues_not_ready = round_of("mark_work_queues_not_ready")
