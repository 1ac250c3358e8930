"""Setting states: lock the run, let the rules decide, write what they made of the proposal."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg import Connection

import sql
from handlers.domain.artifacts import collect_result
from handlers.errors import require
from handlers.rules.effects import FLOW_RUN_EFFECTS, TASK_RUN_EFFECTS, artifact, send_task_run_state, without_artifact_keys
from handlers.rules.flow_runs import FLOW_RUN
from handlers.rules.task_runs import BACKGROUND_TASK_RUN, FORCED_TASK_RUN, TASK_RUN
from handlers.rules.transition import Compiled, State, Transition, decide
from schemas.state_types import PAUSED, SCHEDULED
from schemas.states import NO_DETAILS, read_time
from sql.ids import uuid7

TIGHT_SUCCESSION = timedelta(minutes=5)  # Prefect's events name the one that they follow when it is no older than this
MESSAGE_CHARACTERS = 100_000  # how much of a state's message Prefect's events carry


def make_state(fields: dict[str, Any]) -> State:
    """Make a state of the validated fields of a StateCreate; without a name it has its type's."""
    name = fields["name"] if fields["name"] is not None else fields["type"].capitalize()
    return State(fields["type"], name, fields["message"], fields["data"], fields["state_details"])


def set_flow_run_state(
    conn: Connection, id: str, proposed: State, rules: Compiled = FLOW_RUN, renews_leases: bool = True
) -> Transition:
    """Propose a state for a flow run and write what the rules make of it. Raises NotFound.

    The transition's `proposed` is the state that was written, or None; `initial` the one before it.
    """
    sql.flow_run_transitions.lock.send(conn, id=id)
    transition = begin(sql.flow_run_transitions.read(conn, id=id), proposed, "Flow run")
    transition = decide(conn, replace(transition, renews_leases=renews_leases), rules)
    return write_flow_run_state(conn, transition) if transition.proposed else transition


def set_task_run_state(conn: Connection, id: str, proposed: State, force: bool = False) -> Transition:
    """Propose a state for a task run and write what the rules make of it; as set_flow_run_state."""
    sql.task_run_transitions.lock.send(conn, id=id)
    transition = begin(sql.task_run_transitions.read(conn, id=id), proposed, "Task run")
    rules = BACKGROUND_TASK_RUN if proposed.details["deferred"] else FORCED_TASK_RUN if force else TASK_RUN
    transition = decide(conn, transition, rules)
    return write_task_run_state(conn, transition) if transition.proposed else transition


def begin(run: dict[str, Any] | None, proposed: State, noun: str) -> Transition:
    """Make the transition from the locked row; what is SCHEDULED without a time is due now."""
    require(run, noun)
    initial = None
    if run["state_id"]:
        details = {**NO_DETAILS, **run["state_details"]}
        message, data, timestamp = run["state_message"], run["state_data"], run["state_timestamp"]
        initial = State(run["state_type"], run["state_name"], message, data, details, run["state_id"], timestamp)
    if proposed.type == SCHEDULED and not proposed.details["scheduled_time"]:
        due = {**proposed.details, "scheduled_time": read_time(run["now"].isoformat())}
        proposed = replace(proposed, details=due)
    return Transition(run, initial, proposed, run["now"])


def apply_effects(conn: Connection, transition: Transition, effects: Compiled) -> Transition:
    """Give the proposed state its id and time and run the effects of the transition that is written."""
    state = replace(transition.proposed, id=uuid7(), timestamp=transition.now)
    transition = replace(transition, proposed=state)
    for effect in effects[transition.initial and transition.initial.type, state.type]:
        transition = effect(conn, transition)
    return transition


def write_flow_run_state(conn: Connection, transition: Transition) -> Transition:
    """Write the proposed state of a flow run, its run, its event and what else follows from it."""
    transition = apply_effects(conn, transition, FLOW_RUN_EFFECTS)
    run, initial, state, changes = transition.run, transition.initial, transition.proposed, transition.changes
    result = artifact(state)
    tight = initial and transition.now - initial.timestamp < TIGHT_SUCCESSION
    sql.flow_run_transitions.create.send(
        conn,
        id=state.id,
        flow_run_id=run["id"],
        type=state.type,
        name=state.name,
        timestamp=state.timestamp,
        message=state.message,
        state_details=state.details,
        **result,
        run_count=changes.get("run_count"),
        empirical_policy=changes.get("empirical_policy"),
        resource={
            "prefect.resource.id": f"prefect.flow-run.{run['id']}",
            "prefect.resource.name": run["name"],
            "prefect.run-count": str(changes.get("run_count", run["run_count"])),
            "prefect.state-message": shorten(state.message),
            "prefect.state-name": state.name,
            "prefect.state-type": state.type,
        },
        payload={
            "intended": {"from": initial and initial.type, "to": state.type},
            "initial_state": initial and describe(initial),
            "validated_state": describe(state),
        },
        follows=initial.id if tight else None,
    )
    collect_result(conn, result)
    return replace(transition, proposed=without_artifact_keys(state))


def write_task_run_state(conn: Connection, transition: Transition) -> Transition:
    """Write the proposed state of a task run, its run and what else follows from it."""
    transition = apply_effects(conn, transition, TASK_RUN_EFFECTS)
    send_task_run_state(conn, transition.run["id"], transition.proposed, **transition.changes)
    return replace(transition, proposed=without_artifact_keys(transition.proposed))


def describe_outcome(outcome: Transition) -> dict[str, Any]:
    """Give the contract's orchestration result: the state that was written or else the present one, status and details."""
    state = outcome.proposed or outcome.initial
    shown = state and {
        "id": state.id,
        "type": state.type,
        "name": state.name,
        "timestamp": read_time(state.timestamp.isoformat()),
        "message": state.message,
        "data": state.data,
        "state_details": state.details,
    }
    return {"state": shown, "status": outcome.status, "details": outcome.details}


def describe(state: State) -> dict[str, str]:
    """Give what an event's payload tells of a state."""
    told = {"type": state.type, "name": state.name}
    if state.message:
        told["message"] = shorten(state.message)
    if state.type == PAUSED:
        told["pause_reschedule"] = str(bool(state.details.get("pause_reschedule"))).lower()
    return {key: text for key, text in told.items() if text}


def shorten(message: str | None) -> str:
    """Give a message without its middle if it is very long."""
    if not message or len(message) <= MESSAGE_CHARACTERS:
        return message or ""
    half = MESSAGE_CHARACTERS // 2
    return f"{message[:half]}...{len(message) - 2 * half} characters left out...{message[-half:]}"
