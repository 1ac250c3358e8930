"""The rules for flow runs, in order, as observed on Prefect 3.8.3; `python -m handlers.rules` prints what they compile to."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg import Connection

from handlers.rules.shared import copy_scheduled_time, prevent_pending, scheduled, wait_for_scheduled_time
from handlers.rules.slots import LEASE, cancel_late_run, regain_deployment_slot, renew_deployment_slot, take_deployment_slot
from handlers.rules.transition import State, Transition, abort, accept, compile_table, propose, reject
from schemas.state_types import (
    ANY,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    TERMINAL,
    TYPES,
)
from schemas.states import read_time
from sql.ids import uuid7

NO_POLICY = {
    "max_retries": 0,
    "retry_delay_seconds": 0.0,
    "retries": None,
    "retry_delay": None,
    "pause_keys": [],
    "resuming": False,
    "retry_type": None,
}


def policy(transition: Transition, **updates: Any) -> dict[str, Any]:
    """Give the run's empirical policy with all its fields, and with updates."""
    current = transition.changes.get("empirical_policy") or transition.run["empirical_policy"]
    return {**NO_POLICY, **current, **updates}


def reject_repeated_transition(conn: Connection, transition: Transition) -> Transition:
    """Answer a proposal that was carried out already, and whose answer was lost, with the state that it led to."""
    transition_id = transition.proposed.details["transition_id"]
    if transition.initial and transition_id and transition.initial.details.get("transition_id") == transition_id:
        return reject(transition, "This transition was made already.")
    return transition


def keep_lease(conn: Connection, transition: Transition) -> Transition:
    """Keep the lease of the deployment's slot that the run holds; workers leave it out of what they propose."""
    lease_id = transition.initial.details.get("deployment_concurrency_lease_id") if transition.initial else None
    if lease_id is None or transition.proposed.details["deployment_concurrency_lease_id"]:
        return transition
    return propose(transition, deployment_concurrency_lease_id=lease_id)


def leave_terminal_state(conn: Connection, transition: Transition) -> Transition:
    """Let a finished run go only where that makes sense, and start it anew with no memory of its pauses."""
    initial, proposed = transition.initial, transition.proposed
    if proposed.type in (CANCELLING, PAUSED, CRASHED):
        return abort(transition, f"The run is in the terminal state {initial.type}.")
    if initial.type == COMPLETED and initial.has_result and proposed.type not in TERMINAL:
        return reject(transition, "The run is COMPLETED already.")
    transition = keep_result(conn, transition)
    if transition.proposed is None or proposed.type in TERMINAL:
        return transition
    if proposed.type == SCHEDULED and not transition.run["deployment_id"]:
        return abort(transition, "A run without a deployment cannot be scheduled again.")
    retry_type = "reschedule" if proposed.type == SCHEDULED else None
    return accept(transition, empirical_policy=policy(transition, resuming=False, pause_keys=[], retry_type=retry_type))


def keep_result(conn: Connection, transition: Transition) -> Transition:
    """Do not let COMPLETED with a stored result be overwritten by COMPLETED without one."""
    initial, proposed = transition.initial, transition.proposed
    if initial.type == proposed.type == COMPLETED and initial.has_result and not proposed.has_result:
        return reject(transition, "The run is COMPLETED with a stored result, which the proposed state would lose.")
    return transition


def finish_cancelling(conn: Connection, transition: Transition) -> Transition:
    """Let a run that is being cancelled become nothing but CANCELLED."""
    return reject(transition, "A run that is CANCELLING can only become CANCELLED.")


def cancel_without_infrastructure(conn: Connection, transition: Transition) -> Transition:
    """Cancel a run at once that nothing runs for: scheduled and never submitted, resuming, or suspended."""
    initial, run = transition.initial, transition.run
    if (initial.type == SCHEDULED and not run["infrastructure_pid"]) or initial.name == "Resuming":
        return reject(transition, "A scheduled run has no infrastructure to stop.", State(CANCELLED, "Cancelled"))
    if initial.type == PAUSED and initial.details.get("pause_reschedule"):
        return reject(transition, "A suspended run has no infrastructure to stop.", State(CANCELLED, "Cancelled"))
    return transition


def mark_late_once(conn: Connection, transition: Transition) -> Transition:
    """Let only scheduled runs become Late, and only once."""
    if transition.initial is None or transition.proposed.name != "Late":
        return transition
    if transition.initial.type != SCHEDULED:
        return reject(transition, "Only a scheduled run can be late.")
    return reject(transition, "The run is late already.") if transition.initial.name == "Late" else transition


def pause(conn: Connection, transition: Transition) -> Transition:
    """Let only running runs pause, each pause key once; suspend only what can be started again by its deployment.

    The key is remembered, so that the pause does not stop the run again when its flow is run from the beginning.
    """
    initial, proposed = transition.initial, transition.proposed
    verb = "suspend" if proposed.name == "Suspended" else "pause"
    if initial is None:
        return abort(transition, f"Cannot {verb} a run that has no state.")
    if initial.type != RUNNING:
        return reject(transition, f"Cannot {verb} a run that is not running.")
    keys = policy(transition)["pause_keys"] or []
    if proposed.details["pause_key"] in keys:
        return reject(transition, f"This {verb} took place already.")
    if proposed.details["pause_reschedule"] and transition.run["parent_task_run_id"]:
        return abort(transition, f"Cannot {verb} a subflow.")
    if proposed.details["pause_reschedule"] and not transition.run["deployment_id"]:
        return abort(transition, f"Cannot {verb} a run without a deployment.")
    return accept(transition, policy_afterwards={"pause_keys": [*keys, proposed.details["pause_key"] or str(uuid7())]})


def resume(conn: Connection, transition: Transition) -> Transition:
    """Let a paused run go on or end, unless its time to be resumed is over: then it has failed."""
    initial, proposed = transition.initial, transition.proposed
    if proposed.type not in TERMINAL | {RUNNING, SCHEDULED}:
        return reject(transition, f"A run that is {initial.type} cannot become {proposed.type}.")
    if initial.details.get("pause_reschedule") and not transition.run["deployment_id"]:
        return reject(transition, "A suspended run without a deployment cannot be scheduled again.")
    timeout = initial.time("pause_timeout")
    if timeout and timeout < transition.now:
        failed = State(FAILED, "Failed", f"The run was {proposed.name.lower()} and never resumed.")
        transition = accept(transition, policy_afterwards={"resuming": True})
        return reject(transition, "The pause has timed out; the run can no longer be resumed.", failed)
    return accept(transition, policy_afterwards={"resuming": True})


def retry(conn: Connection, transition: Transition) -> Transition:
    """Schedule a failed run again while it has retries left."""
    run_policy, proposed = policy(transition), transition.proposed
    if run_policy["retries"] is None or transition.run["run_count"] > run_policy["retries"]:
        return accept(transition, empirical_policy={**run_policy, "retry_type": None})
    time = read_time((transition.now + timedelta(seconds=run_policy["retry_delay"] or 0)).isoformat())
    transition = accept(
        transition, empirical_policy={**run_policy, "resuming": False, "pause_keys": [], "retry_type": "in_process"}
    )
    waiting = scheduled("AwaitingRetry", time, message=proposed.message, data=proposed.data)
    # The process goes on and renews the lease of its slot, which it must find again.
    kept = {LEASE: proposed.details[LEASE]}
    return reject(transition, "Retrying", replace(waiting, details={**waiting.details, **kept}))


# Slots are taken last, when no rule can refuse any more. Renewing comes before the waiting, for the wait takes time as well.
FLOW_RUN = compile_table(
    (
        (keep_lease, ANY, TYPES),
        (reject_repeated_transition, ANY, TYPES),
        (leave_terminal_state, TERMINAL, TYPES),
        (finish_cancelling, {CANCELLING}, TYPES - {CANCELLED}),
        (cancel_without_infrastructure, {SCHEDULED, PAUSED}, {CANCELLING}),
        (prevent_pending, {PENDING, CANCELLING, RUNNING, CANCELLED}, {PENDING}),
        (mark_late_once, ANY, {SCHEDULED}),
        (pause, ANY, {PAUSED}),
        (resume, {PAUSED}, TYPES),
        (copy_scheduled_time, {SCHEDULED}, {PENDING}),
        (take_deployment_slot, ANY - {PENDING, RUNNING, CANCELLING}, {PENDING}),
        (renew_deployment_slot, {PENDING}, {RUNNING}),
        (wait_for_scheduled_time, {SCHEDULED, PENDING}, {RUNNING}),
        (regain_deployment_slot, {SCHEDULED, PENDING, PAUSED}, {RUNNING}),
        (retry, {RUNNING}, {FAILED}),
    )
)

# Some old workers take the slot of a deployment themselves, before they propose PENDING.
FLOW_RUN_OF_OLD_WORKER = {
    pair: tuple(rule for rule in rules if rule is not take_deployment_slot) for pair, rules in FLOW_RUN.items()
}

# What holds even when the rules are passed over (force).
FORCED_FLOW_RUN = compile_table(
    (
        (keep_result, TERMINAL, TERMINAL),
        (cancel_without_infrastructure, {SCHEDULED, PAUSED}, {CANCELLING}),
    )
)

# What the late marker proposes passes only this.
LATE_FLOW_RUN = compile_table(((mark_late_once, ANY, {SCHEDULED}), (cancel_late_run, {SCHEDULED}, {SCHEDULED})))
