"""Operations under /flow_run_states."""

from flask import Blueprint, Response, request

import sql
from handlers.errors import NotFound
from handlers.http import document, load
from schemas.run_states import FlowRunStatesFilter
from sql.database import connection

blueprint = Blueprint("flow_run_states", __name__, url_prefix="/api/flow_run_states")
arguments_schema = FlowRunStatesFilter()


@blueprint.get("/<id:id>")
def read_flow_run_state(id: str) -> Response:
    """Give a state of a flow run."""
    with connection() as conn:
        state = sql.flow_run_states.read(conn, id=id)
    if state is None:
        raise NotFound("Flow run state")
    return document(state)


@blueprint.get("/")
def filter_flow_run_states() -> Response:
    """List the states of a flow run, oldest first."""
    arguments = load(arguments_schema, request.args.to_dict(), "query")
    with connection() as conn:
        return document(sql.flow_run_states.filter(conn, **arguments))
