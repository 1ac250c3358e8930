"""Resuming a paused flow run, with the input that it waits for."""

from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from psycopg import Connection

import sql
from handlers.domain.inputs import hydrate, validate
from handlers.rules.orchestration import begin, set_flow_run_state
from handlers.rules.transition import State, Transition, abort
from schemas.documents import read_document
from schemas.state_types import PAUSED, RUNNING, SCHEDULED
from sql.ids import uuid7


class Input(NamedTuple):
    """The input for a run that pauses in the state of an id: its value, or what is wrong with it."""

    state_id: Any
    value: dict[str, Any] | None
    fault: str | None = None


class Changed(Exception):
    """The run is in another state than the one that its input was checked for."""


def read_pause(conn: Connection, id: str) -> tuple[Any, str | None, bool]:
    """Give the id of a run's state, the text of the JSON Schema that the flow has stored, and whether it waits for input."""
    run = sql.flow_run_transitions.read(conn, id=id)
    keyset = run and run["state_type"] == PAUSED and run["state_details"].get("run_input_keyset")
    text = sql.flow_run_inputs.read(conn, flow_run_id=id, key=keyset.get("schema", "")) if keyset else None
    return run and run["state_id"], text, bool(keyset)


def check_input(pause: tuple[Any, str | None, bool], run_input: dict[str, Any] | None) -> Input:
    """Fill in the placeholders of an input and check it by the schema of the pause; no connection may be held meanwhile."""
    state_id, text, is_waiting = pause
    if not is_waiting:
        return Input(state_id, run_input)
    try:
        run_input = hydrate(run_input or {})
        validate(run_input, read_schema(text))
    except ValueError as error:
        return Input(state_id, None, str(error))
    return Input(state_id, run_input)


def read_schema(text: str | None) -> Any:
    """Read the JSON Schema that the paused flow stored as one of its inputs. Raises ValueError."""
    if text is None:
        raise ValueError("the run has not stored the schema of its input")
    try:
        return read_document(text)
    except ValueError:
        raise ValueError("the schema that the run has stored is not valid JSON, or nested too deeply") from None


def resume_flow_run(conn: Connection, id: str, run_input: Input) -> Transition:
    """Let a paused run go on: RUNNING, or SCHEDULED as Resuming if it was suspended; its input is stored with that.

    A run that is not paused is left alone (ABORT), as is one whose input does not do (REJECT, with the reason). Raises NotFound,
    and Changed if the input was checked for another pause.
    """
    sql.flow_run_transitions.lock.send(conn, id=id)
    proposed = State(RUNNING, "Running")
    transition = begin(sql.flow_run_transitions.read(conn, id=id), proposed, "Flow run")
    paused = transition.initial
    if paused is None or paused.type != PAUSED:
        return replace(abort(transition, "A flow run that is not paused cannot be resumed."), initial=None)
    if paused.id != run_input.state_id:
        raise Changed
    if run_input.fault:
        return replace(abort(transition, f"Reason: {run_input.fault}"), status="REJECT")
    if paused.details.get("pause_reschedule"):
        proposed = State(SCHEDULED, "Resuming")
    outcome = set_flow_run_state(conn, id, proposed)
    keyset = paused.details.get("run_input_keyset")
    if keyset and run_input.value and outcome.status == "ACCEPT":
        value = orjson.dumps(run_input.value).decode()
        sql.flow_run_inputs.create.send(conn, id=uuid7(), flow_run_id=id, key=keyset["response"], value=value, sender=None)
    return outcome
