"""Operations under /flow_run_states and /task_run_states."""

from flask import Blueprint, Response, request

import sql
from handlers.errors import NotFound
from handlers.http import document, load
from schemas.run_states import FlowRunStatesFilter, TaskRunStatesFilter
from sql.database import connection

blueprint = Blueprint("run_states", __name__, url_prefix="/api")

ARGUMENTS = {"flow_run": FlowRunStatesFilter(), "task_run": TaskRunStatesFilter()}


@blueprint.get("/flow_run_states/<id:id>", defaults={"run": "flow_run"})
@blueprint.get("/task_run_states/<id:id>", defaults={"run": "task_run"})
def read_state(id: str, run: str) -> Response:
    """Give a state of a run."""
    with connection() as conn:
        state = sql.run_states.read(conn, id=id, run=run)
    if state is None:
        raise NotFound("Flow run state" if run == "flow_run" else "Task run state")
    return document(state)


@blueprint.get("/flow_run_states/", defaults={"run": "flow_run"})
@blueprint.get("/task_run_states/", defaults={"run": "task_run"})
def filter_states(run: str) -> Response:
    """List the states of a run, oldest first."""
    arguments = load(ARGUMENTS[run], request.args.to_dict(), "query")
    with connection() as conn:
        return document(sql.run_states.filter(conn, run_id=arguments[f"{run}_id"], run=run))
