"""Resuming a paused flow run, with the input that it waits for."""

from dataclasses import replace
from typing import Any

import orjson
from psycopg import Connection

import sql
from handlers.rules.inputs import hydrate, validate
from handlers.rules.orchestration import begin, set_flow_run_state
from handlers.rules.transition import PAUSED, RUNNING, SCHEDULED, State, Transition, abort
from sql.ids import uuid7


def resume_flow_run(conn: Connection, id: str, run_input: dict[str, Any] | None) -> Transition:
    """Let a paused run go on: RUNNING, or SCHEDULED as Resuming if it was suspended; its input is stored with that.

    A run that is not paused is left alone (ABORT), as is one whose input does not do (REJECT, with the reason). Raises NotFound.
    """
    sql.flow_run_transitions.lock.send(conn, id=id)
    proposed = State(RUNNING, "Running")
    transition = begin(sql.flow_run_transitions.read(conn, id=id), proposed, "Flow run")
    paused = transition.initial
    if paused is None or paused.type != PAUSED:
        return replace(abort(transition, "A flow run that is not paused cannot be resumed."), initial=None)
    keyset = paused.details.get("run_input_keyset")
    if keyset:
        try:
            run_input = hydrate(conn, run_input or {})
            validate(run_input, read_input_schema(conn, id, keyset))
        except ValueError as error:
            return replace(abort(transition, f"Reason: {error}"), status="REJECT")
    if paused.details.get("pause_reschedule"):
        proposed = State(SCHEDULED, "Resuming")
    outcome = set_flow_run_state(conn, id, proposed)
    if keyset and run_input and outcome.status == "ACCEPT":
        value = orjson.dumps(run_input).decode()
        sql.flow_run_inputs.create.send(conn, id=uuid7(), flow_run_id=id, key=keyset["response"], value=value, sender=None)
    return outcome


def read_input_schema(conn: Connection, id: str, keyset: dict[str, str]) -> Any:
    """Read the JSON Schema that the paused flow stored as one of its inputs. Raises ValueError."""
    text = sql.flow_run_inputs.read(conn, flow_run_id=id, key=keyset.get("schema", ""))
    if text is None:
        raise ValueError("the run has not stored the schema of its input")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("the schema that the run has stored is not valid JSON") from None
