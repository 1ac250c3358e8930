"""What follows from a transition that is about to be written: on the run itself, its parent, the cache.

Tables of (effect, from, to) like those of the rules, but over the type that is really written. Effects run in order, in the
transaction of the state.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

from psycopg import Connection

import sql
from handlers.domain.artifacts import collect_result
from handlers.rules.flow_runs import policy
from handlers.rules.slots import give_back_slots
from handlers.rules.transition import State, Transition, accept, compile_table, propose
from schemas.state_types import ANY, CANCELLING, COMPLETED, PENDING, RUNNING, TERMINAL, TYPES
from sql.ids import uuid7

ARTIFACT_KEYS = ("artifact_key", "artifact_type", "artifact_description")


def name_runs_of_flow_run(conn: Connection, transition: Transition) -> Transition:
    """Note in the state which flow run it is of and, for a subflow, which task run stands for it in the parent."""
    details = {"flow_run_id": str(transition.run["id"])}
    if transition.run["parent_task_run_id"]:
        details["task_run_id"] = str(transition.run["parent_task_run_id"])
    return propose(transition, **details)


def name_runs_of_task_run(conn: Connection, transition: Transition) -> Transition:
    """Note in the state which task run and which flow run it is of."""
    run = transition.run
    return propose(transition, task_run_id=str(run["id"]), flow_run_id=run["flow_run_id"] and str(run["flow_run_id"]))


def count_flow_run(conn: Connection, transition: Transition) -> Transition:
    """Count each start of the flow, but not its going on after a pause."""
    if policy(transition)["resuming"]:
        return transition
    return accept(transition, run_count=transition.run["run_count"] + 1)


def end_resuming(conn: Connection, transition: Transition) -> Transition:
    """Forget that the run was resuming, now that it runs or has ended."""
    return (
        accept(transition, empirical_policy=policy(transition, resuming=False)) if policy(transition)["resuming"] else transition
    )


def finish_policy(conn: Connection, transition: Transition) -> Transition:
    """Bring in what a rule set for the time after this transition."""
    later = transition.changes.get("policy_afterwards")
    return accept(transition, empirical_policy=policy(transition, **later)) if later else transition


def mirror_to_parent(conn: Connection, transition: Transition) -> Transition:
    """Give the task run that stands for a subflow in its parent the subflow's state."""
    run, proposed = transition.run, transition.proposed
    if run["parent_task_run_id"]:
        details = {**proposed.details, "child_flow_run_id": str(run["id"])}
        state = replace(proposed, id=uuid7(), details=details)
        send_task_run_state(conn, run["parent_task_run_id"], state)
    return transition


def artifact(state: State) -> dict[str, Any]:
    """Give the parameters that write a state's data as an artifact; without an id there is none to write."""
    given = state.data if state.stores_data and isinstance(state.data, dict) else {}
    return {
        "artifact_id": uuid7() if state.stores_data else None,
        "artifact_key": given.get("artifact_key") or None,
        "artifact_type": given.get("artifact_type") or None,
        "artifact_description": given.get("artifact_description") or None,
        "data": without_artifact_keys(state).data if state.stores_data else None,
    }


def without_artifact_keys(state: State) -> State:
    """Give a state as it is shown: what its data says of the artifact itself is not part of the data."""
    if not state.stores_data or not isinstance(state.data, dict):
        return state
    return replace(state, data={key: value for key, value in state.data.items() if key not in ARTIFACT_KEYS})


def send_task_run_state(conn: Connection, id: UUID | str, state: State, **changes: Any) -> None:
    """Write a state of a task run, its result, and the columns of the run that follow from it; an unknown run is left out."""
    result = artifact(state)
    sql.task_run_transitions.create.send(
        conn,
        id=state.id,
        task_run_id=id,
        type=state.type,
        name=state.name,
        timestamp=state.timestamp,
        message=state.message,
        state_details=state.details,
        **result,
        run_count=changes.get("run_count"),
        flow_run_run_count=changes.get("flow_run_run_count"),
    )
    collect_result(conn, result)


def insert_into_cache(conn: Connection, transition: Transition) -> Transition:
    """Keep a completed state under its cache key, if the rules say so."""
    state = transition.proposed
    key, expiration = state.details["cache_key"], state.details["cache_expiration"]
    if transition.changes.get("fills_cache"):
        sql.task_run_transitions.create_cached.send(conn, cache_key=key, cache_expiration=expiration, task_run_state_id=state.id)
    return transition


# Slots go first: limits are locked before the artifact that a state leaves, which is written with the state and the parent's.
FLOW_RUN_EFFECTS = compile_table(
    (
        (name_runs_of_flow_run, ANY, TYPES),
        (count_flow_run, ANY, {RUNNING}),
        (end_resuming, ANY, TERMINAL | {RUNNING}),
        (give_back_slots, TYPES, TYPES - {PENDING, RUNNING, CANCELLING}),
        (mirror_to_parent, ANY, TYPES),
        (finish_policy, ANY, TYPES),
    )
)

TASK_RUN_EFFECTS = compile_table(
    (
        (name_runs_of_task_run, ANY, TYPES),
        (insert_into_cache, ANY, {COMPLETED}),
        (give_back_slots, TYPES, TYPES - {RUNNING, CANCELLING}),
    )
)
