"""Many runs moved at once: read in one round trip, decided one by one, written in another."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from psycopg import Connection

import sql
from handlers.rules.orchestration import begin, write_flow_run_state, write_task_run_state
from handlers.rules.transition import Compiled, State, decide

Propose = Callable[[dict[str, Any]], State]


def move_flow_runs(conn: Connection, ids: Iterable[UUID], propose: Propose, rules: Compiled) -> int:
    """Propose a state for each of these flow runs, which are locked; gives how many were written.

    In the order of the task runs that stand for them, for that is the order in which their states are locked.
    """
    pending = [sql.flow_run_transitions.read.send(conn, id=id) for id in ids]
    runs = sorted((read.result() for read in pending), key=lambda run: str(run["parent_task_run_id"] or ""))
    lock_ahead(conn, runs)
    written = 0
    for run in runs:
        transition = decide(conn, begin(run, propose(run), "Flow run"), rules)
        if transition.proposed:
            write_flow_run_state(conn, transition)
            written += 1
    return written


def move_task_runs(conn: Connection, ids: Iterable[UUID], state: State) -> int:
    """Write a state for each of these task runs, which are locked, whatever state they are in; gives how many there are."""
    pending = [sql.task_run_transitions.read.send(conn, id=id) for id in ids]
    runs = [read.result() for read in pending]
    lock_ahead(conn, runs)
    for run in runs:
        write_task_run_state(conn, begin(run, state, "Task run"))
    return len(runs)


def lock_ahead(conn: Connection, runs: list[dict[str, Any]]) -> None:
    """Lock, if any of these runs holds slots, all limits that are to be given back, and what is locked before limits."""
    if not any(run["holds_slots"] for run in runs):
        return
    parents = [id for run in runs if (id := run.get("parent_task_run_id"))]
    sql.slots.lock_parents.send(conn, task_run_ids=parents)
    sql.slots.lock_limits.send(conn, holder_ids=[run["id"] for run in runs] + parents)
