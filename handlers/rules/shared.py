"""Rules that hold for flow runs and task runs alike, as observed on Prefect 3.8.3."""

import math

from psycopg import Connection

from handlers.rules.transition import State, Transition, abort, propose, wait
from schemas.state_types import PENDING
from schemas.states import NO_DETAILS


def prevent_pending(conn: Connection, transition: Transition) -> Transition:
    """Let a run be submitted only once: a second worker that proposes PENDING is told to give up.

    A worker's own progress (PENDING under a new name such as Submitting) passes and keeps the time and the slot.
    """
    initial, proposed = transition.initial, transition.proposed
    if initial.type == PENDING and proposed.name not in (initial.name, "Pending"):
        kept = ("scheduled_time", "deployment_concurrency_lease_id")
        return propose(transition, **{key: initial.details.get(key) for key in kept})
    return abort(transition, f"A run that is {initial.type} cannot become PENDING.")


def copy_scheduled_time(conn: Connection, transition: Transition) -> Transition:
    """Keep the time for which a run was scheduled, so that it is waited for at RUNNING."""
    if transition.proposed.details["scheduled_time"]:
        return transition
    return propose(transition, scheduled_time=transition.initial.details.get("scheduled_time"))


def wait_for_scheduled_time(conn: Connection, transition: Transition) -> Transition:
    """Tell a run that comes early how long to wait, in whole seconds; a half does not count (observed on Prefect 3.8.3)."""
    scheduled_time = transition.initial.time("scheduled_time")
    delay_seconds = math.ceil((scheduled_time - transition.now).total_seconds() - 0.5) if scheduled_time else 0
    return wait(transition, delay_seconds, "Scheduled time is in the future") if delay_seconds > 0 else transition


def scheduled(name: str, time: str, **fields: object) -> State:
    """Make a SCHEDULED state for a time given as in JSON."""
    return State("SCHEDULED", name, details={**NO_DETAILS, "scheduled_time": time}, **fields)
