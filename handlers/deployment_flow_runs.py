"""Operations under /deployments that create flow runs."""

from typing import Any

import orjson
from flask import Blueprint, Response
from psycopg import Connection

import sql
from handlers.errors import BadRequest, Conflict, Invalid, NotFound, invalid
from handlers.http import answer, body, document, load, read_body
from handlers.orchestration import created_by
from handlers.rules.creation import create_flow_run
from handlers.rules.deployments import find_queue
from handlers.rules.inputs import hydrate, validate
from handlers.rules.job_variables import check_run
from schemas.deployments import DeploymentFlowRunCreate
from schemas.states import NO_DETAILS
from sql.database import transaction

blueprint = Blueprint("deployment_flow_runs", __name__, url_prefix="/api/deployments")
runs_schema = DeploymentFlowRunCreate(many=True)

MAX_BULK = 100
SCHEDULED = {"type": "SCHEDULED", "name": None, "message": None, "data": None, "state_details": NO_DETAILS}
"""The state of a run that is created from a deployment without one: due at once."""


@blueprint.post("/<id:id>/create_flow_run")
@body(DeploymentFlowRunCreate)
def create_flow_run_from_deployment(id: str, **run: Any) -> Response:
    """Create a run of a deployment (201), or give the one that its flow has with the idempotency key (200)."""
    with transaction() as conn:
        deployment = read_deployment(conn, id)
        created, is_new = create_flow_run(conn, complete(conn, deployment, run), created_by())
    return document(created, 201 if is_new else 200)


@blueprint.post("/<id:id>/create_flow_run/bulk")
def bulk_create_flow_runs_from_deployment(id: str) -> Response:
    """Create runs of a deployment, and say of each that is asked for what became of it; the body is their list."""
    runs = load(runs_schema, read_body())
    if len(runs) > MAX_BULK:
        raise BadRequest(f"Cannot create more than {MAX_BULK} flow runs at once.")
    with transaction() as conn:
        deployment = read_deployment(conn, id)
        results = [create_one(conn, deployment, run) for run in runs]
    return answer({"results": results})


def create_one(conn: Connection, deployment: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Create one run of many, and say what became of it."""
    try:
        columns = complete(conn, deployment, run)
    except (BadRequest, Conflict, Invalid, NotFound) as error:
        return {"flow_run_id": None, "status": "FAILED", "error": str(error)}
    created, _ = create_flow_run(conn, columns, created_by())
    return {"flow_run_id": orjson.loads(created)["id"], "status": "CREATED", "error": None}


def read_deployment(conn: Connection, id: str) -> dict[str, Any]:
    """Give what the runs of a deployment need of it. Raises NotFound."""
    deployment = sql.deployments.read_for_run(conn, id=id)
    if deployment is None:
        raise NotFound(f"Deployment {id}")
    return deployment


def complete(conn: Connection, deployment: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of a run with those that come from its deployment.

    Raises BadRequest for parameters that cannot be filled in and for a queue without a pool, Conflict for parameters that
    break their schema, Invalid for job variables that break the pool's template.
    """
    fields = {key: value for key, value in run.items() if key != "enforce_parameter_schema"}
    try:
        parameters = hydrate(conn, {**deployment["parameters"], **run["parameters"]})
    except ValueError as error:
        raise BadRequest(f"Error hydrating flow run parameters: {error}") from None
    enforced = run["enforce_parameter_schema"]
    if deployment["enforce_parameter_schema"] if enforced is None else enforced:
        check_parameters(parameters, deployment["parameter_openapi_schema"])
    try:
        check_run(conn, deployment, run["job_variables"])
    except ValueError as error:
        raise invalid(f"Error creating flow run: {error}", "job_variables") from None
    queue = {key: deployment[key] for key in ("work_queue_id", "work_queue_name")}
    if run["work_queue_name"]:
        if not deployment["work_pool_id"]:
            raise BadRequest(f"The deployment has no work pool that work queue {run['work_queue_name']!r} could be in.")
        id = find_queue(conn, deployment["work_pool_name"], run["work_queue_name"])
        queue = {"work_queue_id": id, "work_queue_name": run["work_queue_name"]}
    return {
        **fields,
        **queue,
        "flow_id": str(deployment["flow_id"]),
        "flow_version": None,
        "deployment_id": deployment["id"],
        "deployment_version": deployment["version"],
        "parameters": parameters,
        "tags": list(dict.fromkeys([*deployment["tags"], *run["tags"]])),
        "infrastructure_document_id": run["infrastructure_document_id"] or deployment["infrastructure_document_id"],
        "state": run["state"] or SCHEDULED,
    }


def check_parameters(parameters: dict[str, Any], schema: Any) -> None:
    """Check a run's parameters against its deployment's schema. Raises Conflict."""
    if not isinstance(schema, dict):
        raise Conflict("Error creating flow run: parameters are to be checked, but the deployment has no schema for them.")
    try:
        validate(parameters, schema)
    except ValueError as error:
        if "circular" in str(error):
            raise invalid(str(error), "parameters") from None
        raise Conflict(f"Error creating flow run: {error}") from None
