"""Runs for tests: made and moved by the same functions that the handlers call."""

from typing import Any

import orjson
from psycopg import Connection

import sql
from handlers.rules.creation import create_flow_run, create_task_run
from handlers.rules.flow_runs import FLOW_RUN, FORCED_FLOW_RUN
from handlers.rules.orchestration import make_state, set_flow_run_state, set_task_run_state
from handlers.rules.transition import Transition
from schemas.runs import FlowRunCreate, TaskRunCreate
from schemas.states import StateCreate
from sql.ids import uuid7
from sql.statement import flush


def make_flow(conn: Connection, **fields: Any) -> str:
    """Create a flow and give its id."""
    id = uuid7()
    sql.flows.create(conn, **{"id": id, "name": f"flow-{id}", "tags": [], "labels": {}, **fields})
    return str(id)


def make_flow_run(conn: Connection, type: str | None = None, flow_id: str | None = None, **fields: Any) -> str:
    """Create a flow run, in a state of a type if one is given, and give its id."""
    state = {"type": type} if type else None
    body = {"flow_id": flow_id or make_flow(conn), "state": state, **fields}
    document, _ = create_flow_run(conn, FlowRunCreate().load(body))
    return orjson.loads(document)["id"]


def make_task_run(conn: Connection, type: str | None = None, **fields: Any) -> str:
    """Create a task run, in a state of a type if one is given, and give its id."""
    body = {"task_key": "task", "dynamic_key": str(uuid7()), "state": {"type": type} if type else None, **fields}
    document, _ = create_task_run(conn, TaskRunCreate().load(body))
    return orjson.loads(document)["id"]


def propose_flow_run(conn: Connection, id: str, type: str, force: bool = False, **fields: Any) -> Transition:
    """Propose a state for a flow run."""
    proposed = make_state(StateCreate().load({"type": type, **fields}))
    outcome = set_flow_run_state(conn, id, proposed, FORCED_FLOW_RUN if force else FLOW_RUN)
    flush(conn)
    return outcome


def propose_task_run(conn: Connection, id: str, type: str, force: bool = False, **fields: Any) -> Transition:
    """Propose a state for a task run."""
    outcome = set_task_run_state(conn, id, make_state(StateCreate().load({"type": type, **fields})), force)
    flush(conn)
    return outcome


def read_flow_run(conn: Connection, id: str) -> dict[str, Any]:
    """Give a flow run as the API shows it."""
    return orjson.loads(sql.flow_runs.read(conn, id=id))


def read_task_run(conn: Connection, id: str) -> dict[str, Any]:
    """Give a task run as the API shows it."""
    return orjson.loads(sql.task_runs.read(conn, id=id))
