"""Operations under /task_run_states."""

from flask import Blueprint, Response, request

import sql
from handlers.errors import NotFound
from handlers.http import document, load
from schemas.run_states import TaskRunStatesFilter
from sql.database import connection

blueprint = Blueprint("task_run_states", __name__, url_prefix="/api/task_run_states")
arguments_schema = TaskRunStatesFilter()


@blueprint.get("/<id:id>")
def read_task_run_state(id: str) -> Response:
    """Give a state of a task run."""
    with connection() as conn:
        state = sql.task_run_states.read(conn, id=id)
    if state is None:
        raise NotFound("Task run state")
    return document(state)


@blueprint.get("/")
def filter_task_run_states() -> Response:
    """List the states of a task run, oldest first."""
    arguments = load(arguments_schema, request.args.to_dict(), "query")
    with connection() as conn:
        return document(sql.task_run_states.filter(conn, **arguments))
