"""Operations under /variables."""

from typing import Any

from flask import Blueprint, Response
from psycopg import Connection, errors

import sql
from handlers.domain import events
from handlers.errors import Conflict, require
from handlers.http import lists
from handlers.http.messages import answer, body, document, no_content
from schemas.variables import VariableCreate, VariableCriteria, VariablesFilter, VariableUpdate
from sql.database import connection, transaction
from sql.ids import uuid7

blueprint = Blueprint("variables", __name__, url_prefix="/api/variables")


@blueprint.post("/")
@body(VariableCreate)
def create_variable(name: str, value: Any, tags: list[str]) -> Response:
    """Create a variable (201)."""
    id = uuid7()
    try:
        with transaction() as conn:
            record_event(conn, "created", sql.variables.create(conn, id=id, name=name, value=value, tags=tags))
            shown = sql.variables.read.send(conn, id=id)
    except errors.UniqueViolation:
        raise taken(name) from None
    return document(shown.result(), 201)


@blueprint.get("/<id:id>")
def read_variable(id: str) -> Response:
    """Give a variable."""
    with connection() as conn:
        return document(require(sql.variables.read(conn, id=id), "Variable"))


@blueprint.get("/name/<name>")
def read_variable_by_name(name: str) -> Response:
    """Give the variable of a name."""
    with connection() as conn:
        return document(require(sql.variables.read_by_name(conn, name=name), "Variable"))


@blueprint.post("/filter")
@body(VariablesFilter)
def filter_variables(**arguments: Any) -> Response:
    """List the variables that match."""
    return document(lists.read_list("variables", **arguments))


@blueprint.post("/count")
@body(VariableCriteria)
def count_variables(**criteria: dict) -> Response:
    """Count the variables that match."""
    return answer(lists.count("variables", **criteria))


@blueprint.patch("/<id:id>")
@body(VariableUpdate)
def update_variable(id: str, **changes: Any) -> Response:
    """Change a variable."""
    return update(changes, id=id)


@blueprint.patch("/name/<path_name>")
@body(VariableUpdate)
def update_variable_by_name(path_name: str, **changes: Any) -> Response:
    """Change the variable of a name."""
    return update(changes, name=path_name)


@blueprint.delete("/<id:id>")
def delete_variable(id: str) -> Response:
    """Delete a variable."""
    return delete(id=id)


@blueprint.delete("/name/<name>")
def delete_variable_by_name(name: str) -> Response:
    """Delete the variable of a name."""
    return delete(name=name)


def taken(name: str) -> Conflict:
    """Make the error for a name that another variable has."""
    return Conflict(f"A variable with the name {name!r} already exists.")


def update(changes: dict[str, Any], id: str | None = None, name: str | None = None) -> Response:
    """Change the variable of an id or a name."""
    try:
        with transaction() as conn:
            record_event(conn, "updated", sql.variables.update(conn, id=id, name=name, changes=changes))
    except errors.UniqueViolation:
        raise taken(changes["name"]) from None
    return no_content()


def delete(id: str | None = None, name: str | None = None) -> Response:
    """Delete the variable of an id or a name."""
    with transaction() as conn:
        record_event(conn, "deleted", sql.variables.delete(conn, id=id, name=name))
    return no_content()


def record_event(conn: Connection, action: str, variable: dict[str, Any] | None) -> None:
    """Record what happened to a variable, with the transaction that it happens in. Raises NotFound if there is none."""
    told = {key: require(variable, "Variable")[key] for key in ("name", "value", "tags")}
    events.record(conn, [events.event("variable", action, variable, payload=told)])
