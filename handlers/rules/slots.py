"""Slots of limits: what runs take on their way in, and give back when they end; as observed on Prefect 3.8.3.

A flow run takes a slot of its deployment's limit when it becomes PENDING, under a lease that the process that runs it renews.
A task run that the server orchestrates takes one of each of its tags' limits when it becomes RUNNING, and holds them until it
leaves that. Taking needs a round trip more, and only where there is a limit; giving back travels with the state.
"""

from datetime import timedelta
from typing import Any

from psycopg import Connection

import sql
from handlers.domain.slots import acquire, scatter, send_give_back
from handlers.rules.shared import scheduled
from handlers.rules.transition import State, Transition, abort, propose, reject, wait
from schemas.settings import setting
from schemas.state_types import CANCELLED, PAUSED, PENDING, TERMINAL
from schemas.states import read_time
from sql.ids import uuid7

LEASE = "deployment_concurrency_lease_id"
NONE_FREE = "The concurrency limit of the deployment has no free slot."
LOST = "The run lost the slot of its deployment's concurrency limit before it started, and there is no other."


def take_deployment_slot(conn: Connection, transition: Transition) -> Transition:
    """Let a run be submitted only with a slot of its deployment's limit; without one it is put off or, if so set, cancelled."""
    run = transition.run
    if run["deployment_id"] and not run["has_deployment"]:
        return abort(transition, "The deployment of the run does not exist any more.")
    if run["limit_name"] is None:
        return transition
    if run["limit"] == 0:
        return abort(transition, "The concurrency limit of the deployment is 0: no run can ever start.")
    lock_parent(conn, run)
    if lease_id := take_slot(conn, transition, lease_seconds(run)):
        return propose(transition, **{LEASE: lease_id})
    if run["collision_strategy"] == "CANCEL_NEW":
        return reject(transition, NONE_FREE, State(CANCELLED, "Cancelled", NONE_FREE))
    delay = timedelta(seconds=setting("server.deployments.concurrency_slot_wait_seconds"))
    return reject(transition, NONE_FREE, scheduled("AwaitingConcurrencySlot", read_time((transition.now + delay).isoformat())))


def renew_deployment_slot(conn: Connection, transition: Transition) -> Transition:
    """Renew the lease of a run that starts; one that has run out is left out of the state."""
    lease_id = transition.initial.details.get(LEASE)
    if not lease_id or transition.run["limit_name"] is None or not transition.renews_leases:
        return transition
    seconds = lease_seconds(transition.run)
    lock_parent(conn, transition.run)
    is_own = lease_id == transition.run["deployment_lease_id"]  # a client may name any
    if is_own and sql.concurrency_limits_v2.renew(conn, lease_id=lease_id, lease_duration=seconds):
        return transition
    return propose(transition, **{LEASE: None})


def regain_deployment_slot(conn: Connection, transition: Transition) -> Transition:
    """Take a slot again for a run that starts without the one that it had.

    One whose lease has run out is cancelled if there is none, for its infrastructure is there already. One that goes on after
    a retry or a pause gave its slot back meanwhile, and renews the lease by the id that it knows: so it gets that id again. A
    retry waits for its slot; whoever resumes a run does not, so that goes on without one.
    """
    run, initial = transition.run, transition.initial
    lease_id = initial.details.get(LEASE)
    if not lease_id or run["limit_name"] is None:
        return transition
    seconds = lease_seconds(run) if transition.renews_leases else None
    lock_parent(conn, run)
    if initial.type == PENDING:
        is_held = transition.proposed.details[LEASE] == lease_id == run["deployment_lease_id"]
        if is_held and (transition.renews_leases or sql.slots.keep(conn, lease_id=lease_id)):
            return transition
        if lease_id := take_slot(conn, transition, seconds):
            return propose(transition, **{LEASE: lease_id})
        return reject(transition, LOST, State(CANCELLED, "Cancelled", LOST))
    if run["deployment_lease_id"] or take_slot(conn, transition, seconds, lease_id) or initial.type == PAUSED:
        return transition
    return wait(transition, round(setting("server.deployments.concurrency_slot_wait_seconds")), NONE_FREE)


def cancel_late_run(conn: Connection, transition: Transition) -> Transition:
    """Cancel a run that nobody starts in time, if that is what the deployment wants while none of its slots is free."""
    run = transition.run
    if run["collision_strategy"] == "CANCEL_NEW" and run["free_slots"] <= 0:
        return reject(transition, NONE_FREE, State(CANCELLED, "Cancelled", NONE_FREE))
    return transition


def take_tag_slots(conn: Connection, transition: Transition) -> Transition:
    """Let a task run start only with a slot of each of its tags' limits; what it has already it does not take twice."""
    names = transition.run["limit_names"]
    if not names:
        return transition
    outcome = acquire(conn, names, uuid7(), None, "task_run", transition.run["id"])
    if outcome["granted"]:
        return transition
    empty = [limit["name"] for limit in outcome["limits"] if limit["limit"] == 0]
    if empty:
        tag = empty[0].removeprefix("tag:")
        return abort(transition, f'The concurrency limit on tag "{tag}" is 0: no task can ever run with it.')
    tags = ", ".join(name.removeprefix("tag:") for name in names)
    return wait(transition, round(scatter(outcome["wait_seconds_per_slot"])), f"Concurrency limits are reached for tags: {tags}")


def give_back_slots(conn: Connection, transition: Transition) -> Transition:
    """Give back what a run holds that has ended, or only the slot of its deployment if it may still go on."""
    run = transition.run
    if run["holds_slots"]:
        is_task_run = "parent_task_run_id" not in run
        if not is_task_run:
            lock_parent(conn, run)
        if is_task_run or transition.proposed.type in TERMINAL:
            send_give_back(conn, holder_ids=[id for id in (run["id"], run.get("parent_task_run_id")) if id])
        elif (lease_id := transition.initial.details.get(LEASE)) in (run["lease_ids"] or ()):
            send_give_back(conn, lease_ids=[lease_id])
    return transition


def lock_parent(conn: Connection, run: dict[str, Any]) -> None:
    """Lock the task run that stands for a flow run in its parent, whose state is to follow: limits are locked after it."""
    if run["parent_task_run_id"]:
        sql.slots.lock_parents.send(conn, task_run_ids=[run["parent_task_run_id"]])


def take_slot(conn: Connection, transition: Transition, seconds: float | None, lease_id: str | None = None) -> str | None:
    """Take a slot of the limit of a flow run's deployment; gives the id of the lease, or None if there is no slot."""
    lease_id, run = lease_id or str(uuid7()), transition.run
    granted = acquire(conn, [run["limit_name"]], lease_id, seconds, "flow_run", run["id"])["granted"]
    return lease_id if granted else None


def lease_seconds(run: dict[str, Any]) -> float:
    """Give how long a lease lasts that nobody has renewed yet."""
    return run["grace_period_seconds"] or setting("server.concurrency.initial_deployment_lease_duration")
