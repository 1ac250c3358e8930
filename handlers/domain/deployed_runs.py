"""Flow runs of deployments: their parameters and job variables checked, and what they get from their deployment."""

from typing import Any

from psycopg import Connection

import sql
from handlers.domain.deployments import find_queue
from handlers.domain.inputs import hydrate, validate
from handlers.domain.job_variables import check_run
from handlers.errors import BadRequest, Conflict, Unprocessable, require
from schemas.states import NO_DETAILS
from sql.database import connection

SCHEDULED = {"type": "SCHEDULED", "name": None, "message": None, "data": None, "state_details": NO_DETAILS}
"""The state of a run that is created from a deployment without one: due at once."""


def read_deployment(id: str) -> dict[str, Any]:
    """Give what the runs of a deployment need of it. Raises NotFound."""
    with connection() as conn:
        deployment = sql.deployments.read_for_run(conn, id=id)
    require(deployment, f"Deployment {id}")
    return deployment


def check(deployment: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Give a run with all its parameters, checked like its job variables; before any transaction, for it may take long.

    Raises BadRequest for parameters that cannot be filled in, Conflict for parameters that break their schema, Unprocessable
    for job variables that break the pool's template.
    """
    try:
        parameters = hydrate({**deployment["parameters"], **run["parameters"]})
    except ValueError as error:
        raise BadRequest(f"Error hydrating flow run parameters: {error}") from None
    enforced = run["enforce_parameter_schema"]
    if deployment["enforce_parameter_schema"] if enforced is None else enforced:
        check_parameters(parameters, deployment["parameter_openapi_schema"])
    try:
        check_run(deployment, run["job_variables"])
    except ValueError as error:
        raise Unprocessable(f"Error creating flow run: {error}") from None
    return {**run, "parameters": parameters}


def complete(conn: Connection, deployment: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of a run that was checked with those that come from its deployment, and its queue.

    Raises BadRequest for a queue without a pool, and as find_queue.
    """
    queue = {key: deployment[key] for key in ("work_queue_id", "work_queue_name")}
    if run["work_queue_name"]:
        if not deployment["work_pool_id"]:
            raise BadRequest(f"The deployment has no work pool that work queue {run['work_queue_name']!r} could be in.")
        id = find_queue(conn, deployment["work_pool_name"], run["work_queue_name"])
        queue = {"work_queue_id": id, "work_queue_name": run["work_queue_name"]}
    return {
        **{key: value for key, value in run.items() if key != "enforce_parameter_schema"},
        **queue,
        "flow_id": str(deployment["flow_id"]),
        "flow_version": None,
        "deployment_id": deployment["id"],
        "deployment_version": deployment["version"],
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
            raise Unprocessable(str(error)) from None
        raise Conflict(f"Error creating flow run: {error}") from None
