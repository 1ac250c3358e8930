"""Operations under /flow_runs but those that orchestrate."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response
from psycopg import errors

import sql
from handlers import pages
from handlers.errors import BadRequest, Conflict, NotFound, Unprocessable
from handlers.http import answer, body, document, load, no_content, read_body, takes
from handlers.rules.creation import generate_name
from handlers.rules.deletion import delete_flow_runs
from handlers.rules.job_variables import check_run
from schemas.flow_runs import (
    FlowRunCriteria,
    FlowRunInputCreate,
    FlowRunInputsFilter,
    FlowRunLabels,
    FlowRunsDelete,
    FlowRunsFilter,
    FlowRunsPaginate,
    FlowRunUpdate,
)
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

blueprint = Blueprint("flow_runs", __name__, url_prefix="/api/flow_runs")
labels_schema = FlowRunLabels()

NO_DEPLOYMENT = "A deployment for the flow run could not be found"


@blueprint.patch("/<id:id>")
@body(FlowRunUpdate)
def update_flow_run(id: str, **changes: Any) -> Response:
    """Replace fields of a flow run; without a name it gets one that is made up."""
    if "name" in changes:
        changes["name"] = changes["name"] or generate_name()
    job_variables = changes.get("job_variables")
    deployment_id = None if job_variables is None else check_job_variables(id, job_variables)
    with transaction() as conn:
        if deployment_id:
            check_changeable(sql.flow_runs.lock(conn, id=id), deployment_id)
        if not sql.flow_runs.update(conn, id=id, changes=changes):
            raise NotFound("Flow run")
    return no_content()


@blueprint.post("/count")
@body(FlowRunCriteria)
def count_flow_runs(**criteria: dict) -> Response:
    """Count the flow runs that match."""
    return answer(pages.count("flow_runs", **criteria))


@blueprint.get("/<id:id>")
def read_flow_run(id: str) -> Response:
    """Give a flow run."""
    with connection() as conn:
        run = sql.flow_runs.read(conn, id=id)
    if run is None:
        raise NotFound("Flow run")
    return document(run)


@blueprint.post("/filter")
@body(FlowRunsFilter)
def filter_flow_runs(**arguments: Any) -> Response:
    """List the flow runs that match."""
    return document(pages.read_list("flow_runs", **arguments))


@blueprint.delete("/<id:id>")
def delete_flow_run(id: str) -> Response:
    """Delete a flow run with its task runs, states, inputs and logs."""
    with transaction() as conn:
        deleted = delete_flow_runs(conn, [id])
    if not deleted:
        raise NotFound("Flow run")
    return no_content()


@blueprint.post("/bulk_delete")
@body(FlowRunsDelete)
def bulk_delete_flow_runs(limit: int, flow_runs: dict | None = None) -> Response:
    """Delete the first `limit` flow runs that match, by id downwards, and give their ids."""
    with transaction() as conn:
        chosen, order = compose("flow_runs", flow_runs=flow_runs), sort_by("flow_runs", "ID_DESC")
        found = [run["id"] for run in sql.flow_runs.page(conn, filter=chosen, sort=order, limit=limit, offset=0)]
        deleted = delete_flow_runs(conn, found)
    return answer({"deleted": [id for id in found if id in deleted]})


@blueprint.post("/<id:id>/input")
@body(FlowRunInputCreate)
def create_flow_run_input(id: str, key: str, value: str, sender: str | None) -> Response:
    """Store an input for a flow run; a key is given once."""
    try:
        with connection() as conn:
            sql.flow_run_inputs.create(conn, id=uuid7(), flow_run_id=id, key=key, value=value, sender=sender)
    except errors.UniqueViolation:
        raise Conflict("A flow run input with this key already exists.") from None
    except errors.ForeignKeyViolation:
        raise NotFound("Flow run") from None
    return document(None, 201)


@blueprint.post("/<id:id>/input/filter")
@body(FlowRunInputsFilter)
def filter_flow_run_inputs(id: str, prefix: str, limit: int, exclude_keys: list[str]) -> Response:
    """List the oldest inputs of a flow run whose keys have a prefix."""
    with connection() as conn:
        return document(sql.flow_run_inputs.filter(conn, flow_run_id=id, prefix=prefix, limit=limit, exclude_keys=exclude_keys))


@blueprint.get("/<id:id>/input/<key>")
def read_flow_run_input(id: str, key: str) -> Response:
    """Give the value of an input as plain text."""
    with connection() as conn:
        # A key with a NUL is nobody's, and libpq would cut it there.
        value = None if "\0" in key else sql.flow_run_inputs.read(conn, flow_run_id=id, key=key)
    if value is None:
        raise NotFound("Flow run input")
    return Response(value, content_type="text/plain; charset=utf-8")


@blueprint.delete("/<id:id>/input/<key>")
def delete_flow_run_input(id: str, key: str) -> Response:
    """Delete an input of a flow run."""
    with connection() as conn:
        deleted = "\0" not in key and sql.flow_run_inputs.delete(conn, flow_run_id=id, key=key)
    if not deleted:
        raise NotFound("Flow run input")
    return no_content()


@blueprint.post("/paginate")
@body(FlowRunsPaginate)
def paginate_flow_runs(**arguments: Any) -> Response:
    """Give one page of the flow runs that match, and their number."""
    return document(pages.read_page("flow_runs", **arguments))


@blueprint.patch("/<id:id>/labels")
@takes(body=FlowRunLabels)
def update_flow_run_labels(id: str) -> Response:
    """Lay labels over those of a flow run."""
    labels = load(labels_schema, read_body())
    with connection() as conn:
        updated = sql.flow_runs.update_labels(conn, id=id, labels=labels)
    if not updated:
        raise NotFound("Flow run")
    return no_content()


def check_job_variables(id: str, job_variables: dict[str, Any]) -> UUID:
    """Check job variables that a run is to have against the template of its deployment's work pool; gives the deployment's id.

    Raises BadRequest as check_changeable, and Unprocessable for variables that break the template.
    """
    with connection() as conn:
        run = sql.flow_runs.read_changeable(conn, id=id)
        check_changeable(run)
        deployment = run["deployment_id"] and sql.deployments.read_for_run(conn, id=run["deployment_id"])
    if not deployment:
        raise BadRequest(NO_DEPLOYMENT)
    try:
        check_run(deployment, job_variables)
    except ValueError as error:
        raise Unprocessable(f"Error updating flow run: {error}") from None
    return deployment["id"]


def check_changeable(run: dict[str, Any] | None, deployment_id: UUID | None = None) -> None:
    """Make sure that job variables of a run can change, as they were checked for a deployment. Raises NotFound and BadRequest."""
    if run is None:
        raise NotFound("Flow run")
    if run["state_type"] is None:
        raise BadRequest("Job variables can only be updated for a flow run that has a state.")
    if run["state_type"] != "SCHEDULED":
        raise BadRequest(f"Job variables for a flow run in state {run['state_type']} cannot be updated")
    if deployment_id and run["deployment_id"] != deployment_id:
        raise BadRequest(NO_DEPLOYMENT)
