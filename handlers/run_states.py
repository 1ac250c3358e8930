"""Operations under /flow_run_states and /task_run_states."""

from flask import Blueprint, Response

import sql
from handlers.errors import require
from handlers.http.messages import document, query
from schemas.run_states import FlowRunStatesFilter, TaskRunStatesFilter
from sql.database import connection

blueprint = Blueprint("run_states", __name__, url_prefix="/api")


@blueprint.get("/flow_run_states/<id:id>", defaults={"run": "flow_run"})
@blueprint.get("/task_run_states/<id:id>", defaults={"run": "task_run"})
def read_state(id: str, run: str) -> Response:
    """Give a state of a run."""
    with connection() as conn:
        state = sql.run_states.read(conn, id=id, run=run)
    return document(require(state, "Flow run state" if run == "flow_run" else "Task run state"))


@blueprint.get("/flow_run_states/")
@query(FlowRunStatesFilter)
def filter_flow_run_states(flow_run_id: str) -> Response:
    """List the states of a flow run, oldest first."""
    with connection() as conn:
        return document(sql.run_states.filter(conn, run_id=flow_run_id, run="flow_run"))


@blueprint.get("/task_run_states/")
@query(TaskRunStatesFilter)
def filter_task_run_states(task_run_id: str) -> Response:
    """List the states of a task run, oldest first."""
    with connection() as conn:
        return document(sql.run_states.filter(conn, run_id=task_run_id, run="task_run"))
