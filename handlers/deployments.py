"""Operations under /deployments."""

from collections.abc import Callable
from typing import Any

import orjson
from flask import Blueprint, Response
from psycopg import Connection, errors

import sql
from handlers.domain import deployed_runs, deployment_schedules
from handlers.domain.deployments import (
    CHECKED,
    DEFAULTS,
    check_new,
    check_update,
    columns,
    delete_deployments,
    describe,
    finish_update,
    insert,
    record_events,
    set_limit,
    set_paused,
    what_to_schedule,
)
from handlers.domain.schedules import schedule_deployment
from handlers.errors import BadRequest, Conflict, Invalid, NotFound, Unavailable, Unprocessable, require
from handlers.http import lists
from handlers.http.access import created_by
from handlers.http.messages import answer, body, document, no_content
from handlers.rules.creation import create_flow_run
from schemas.deployments import (
    DeploymentCreate,
    DeploymentCriteria,
    DeploymentFlowRunCreate,
    DeploymentsDelete,
    DeploymentsFilter,
    DeploymentsPaginate,
    DeploymentUpdate,
    ScheduleCreate,
    ScheduledFlowRuns,
    ScheduleRuns,
    ScheduleUpdate,
)
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

blueprint = Blueprint("deployments", __name__, url_prefix="/api/deployments")

MAX_BULK = 100
MAX_CHECKS = 5  # how often an update is checked when others change the deployment meanwhile


@blueprint.post("/")
@body(DeploymentCreate)
def create_deployment(name: str, flow_id: str, schedules: list[dict], labels: dict, **fields: Any) -> Response:
    """Create a deployment (201), or replace the fields that are sent, the labels and the schedules of the flow's of this name."""
    check_new(fields)
    with transaction() as conn:
        changes = {**columns(conn, fields), "labels": labels}
        id = sql.deployments.lock(conn, id=None, flow_id=flow_id, name=name)
        is_new = id is None
        if is_new:
            id = insert(conn, {**DEFAULTS, **changes, "id": uuid7(), "name": name, "flow_id": flow_id})
        if id is None:  # somebody else has created it meanwhile
            is_new, id = False, sql.deployments.lock(conn, id=None, flow_id=flow_id, name=name)
            if id is None:  # and deleted it: the request begins anew (see http.repeat_undone)
                raise errors.SerializationFailure("The deployment was created and deleted meanwhile.")
        if is_new:
            deployment_schedules.create(conn, id, [{**schedule, "max_scheduled_runs": None} for schedule in schedules])
            set_limit(conn, id, fields, None)
            record_events(conn, "created", [sql.deployments.read_related(conn, id=id)])
        else:
            before = sql.deployments.describe(conn, id=id)
            sql.deployments.update.send(conn, id=id, changes=changes)
            deployment_schedules.replace_schedules(conn, id, schedules)
            finish_update(conn, id, fields, before)
        shown = sql.deployments.read.send(conn, id=id)
    return document(shown.result(), 201 if is_new else 200)


@blueprint.patch("/<id:id>")
@body(DeploymentUpdate)
def update_deployment(id: str, **fields: Any) -> Response:
    """Replace the fields of a deployment that are sent; its schedules by their slugs, if they have some."""
    for key in ("parameters", "enforce_parameter_schema", "job_variables"):
        if key in fields and fields[key] is None:
            del fields[key]
    for _ in range(MAX_CHECKS):
        with connection() as conn:
            checked = describe(conn, id)
        checked_fields = check_update(fields, checked)
        with transaction() as conn:
            changes = columns(conn, checked_fields)
            require(sql.deployments.lock(conn, id=id, flow_id=None, name=None), f"Deployment {id}")
            before = describe(conn, id)
            if all(before[key] == checked[key] for key in CHECKED):
                sql.deployments.update.send(conn, id=id, changes=changes)
                if "schedules" in fields:
                    deployment_schedules.update_schedules(conn, id, fields["schedules"])
                finish_update(conn, id, fields, before)
                return no_content()
    raise Unavailable(f"Deployment {id} is changed by others all the time.")


@blueprint.get("/name/<flow_name>/<deployment_name>")
def read_deployment_by_name(flow_name: str, deployment_name: str) -> Response:
    """Give the deployment of a name of the flow of a name."""
    with connection() as conn:
        deployment = sql.deployments.read_by_name(conn, flow_name=flow_name, name=deployment_name)
    return document(require(deployment, f"Deployment '{flow_name}/{deployment_name}'"))


@blueprint.get("/<id:id>")
def read_deployment(id: str) -> Response:
    """Give a deployment."""
    with connection() as conn:
        deployment = sql.deployments.read(conn, id=id)
    return document(require(deployment, f"Deployment {id}"))


@blueprint.post("/filter")
@body(DeploymentsFilter)
def filter_deployments(**arguments: Any) -> Response:
    """List the deployments that match."""
    return document(lists.read_list("deployments", **arguments))


@blueprint.post("/paginate")
@body(DeploymentsPaginate)
def paginate_deployments(**arguments: Any) -> Response:
    """Give one page of the deployments that match, and their number."""
    return document(lists.read_page("deployments", **arguments))


@blueprint.post("/get_scheduled_flow_runs")
@body(ScheduledFlowRuns)
def read_scheduled_flow_runs(deployment_ids: list[str], **arguments: Any) -> Response:
    """List the runs of deployments that are due, for a process that serves them, and note that it polls."""
    with transaction() as conn:
        runs = sql.polls.of_deployments.send(conn, deployment_ids=deployment_ids, **arguments)
        record_events(conn, "ready", sql.deployments.mark_ready(conn, ids=deployment_ids))
    return document(runs.result())


@blueprint.post("/count")
@body(DeploymentCriteria)
def count_deployments(**criteria: dict) -> Response:
    """Count the deployments that match."""
    return answer(lists.count("deployments", **criteria))


@blueprint.delete("/<id:id>")
def delete_deployment(id: str) -> Response:
    """Delete a deployment with its schedules, its limit and the runs that have not started."""
    with transaction() as conn:
        require(delete_deployments(conn, [id]), f"Deployment {id}")
    return no_content()


@blueprint.post("/bulk_delete")
@body(DeploymentsDelete)
def bulk_delete_deployments(limit: int, deployments: dict | None = None) -> Response:
    """Delete the first `limit` deployments that match, by name, and give their ids."""
    with transaction() as conn:
        chosen, order = compose("deployments", deployments=deployments), sort_by("deployments", "NAME_ASC")
        found = [row["id"] for row in sql.deployments.page(conn, filter=chosen, sort=order, limit=limit, offset=0)]
        deleted = delete_deployments(conn, found)
    return answer({"deleted": [id for id in found if id in deleted]})


@blueprint.post("/<id:id>/schedule")
@body(ScheduleRuns)
def schedule_runs(id: str, **arguments: Any) -> Response:
    """Make runs from the schedules of a deployment, by default those that the scheduler would make now."""
    with transaction() as conn:
        schedule_deployment(conn, id, **what_to_schedule(conn, **arguments))
    return document(None)


@blueprint.post("/<id:id>/resume_deployment")
def resume_deployment(id: str) -> Response:
    """Let a deployment go on, and make its runs again."""
    set_paused(id, False)
    return document(None)


@blueprint.post("/<id:id>/pause_deployment")
def pause_deployment(id: str) -> Response:
    """Pause a deployment, and delete the runs that its schedules made and that have not started."""
    set_paused(id, True)
    return document(None)


@blueprint.post("/<id:id>/create_flow_run")
@body(DeploymentFlowRunCreate)
def create_flow_run_from_deployment(id: str, **run: Any) -> Response:
    """Create a run of a deployment (201), or give the one that its flow has with the idempotency key (200)."""
    deployment = deployed_runs.read_deployment(id)
    checked = deployed_runs.check(deployment, run)
    with transaction() as conn:
        created, is_new = create_flow_run(conn, deployed_runs.complete(conn, deployment, checked), created_by())
    return document(created, 201 if is_new else 200)


@blueprint.post("/<id:id>/create_flow_run/bulk")
@body(DeploymentFlowRunCreate, many="runs")
def bulk_create_flow_runs_from_deployment(id: str, runs: list[dict[str, Any]]) -> Response:
    """Create runs of a deployment, and say of each that is asked for what became of it; the body is their list."""
    if len(runs) > MAX_BULK:
        raise BadRequest(f"Cannot create more than {MAX_BULK} flow runs at once.")
    deployment = deployed_runs.read_deployment(id)
    checked = [attempt(deployed_runs.check, deployment, run) for run in runs]
    with transaction() as conn:
        results = [run if "error" in run else attempt(create_run, conn, deployment, run) for run in checked]
    return answer({"results": results})


@blueprint.get("/<id:id>/work_queue_check")
def check_work_queues(id: str) -> Response:
    """List the queues whose filters let them pick up a deployment."""
    with connection() as conn:
        tags = sql.deployments.read_tags(conn, id=id)
        if tags is None:
            raise NotFound(f"Deployment {id}")
        return document(sql.deployments.work_queue_check(conn, id=id, tags=tags))


@blueprint.get("/<id:id>/schedules")
def read_deployment_schedules(id: str) -> Response:
    """List the schedules of a deployment, newest first."""
    with connection() as conn:
        if sql.deployments.read_tags(conn, id=id) is None:
            raise NotFound(f"Deployment {id}")
        return document(sql.deployment_schedules.filter(conn, deployment_id=id))


@blueprint.post("/<id:id>/schedules")
@body(ScheduleCreate, many="schedules")
def create_deployment_schedules(id: str, schedules: list[dict[str, Any]]) -> Response:
    """Add schedules to a deployment; the body is their list."""
    try:
        with transaction() as conn:
            deployment_schedules.lock(conn, id)
            shown = sql.deployment_schedules.read_many.send(conn, ids=deployment_schedules.create(conn, id, schedules))
    except errors.UniqueViolation:
        raise Conflict("Schedule slugs must be unique within a deployment.") from None
    return document(shown.result(), 201)


@blueprint.patch("/<id:id>/schedules/<id:schedule_id>")
@body(ScheduleUpdate)
def update_deployment_schedule(id: str, schedule_id: str, replaces: str | None, **changes: Any) -> Response:
    """Change a schedule; the runs that it has ahead go with what it was."""
    with transaction() as conn:
        deployment_schedules.lock(conn, id)
        if not sql.deployment_schedules.update(
            conn, id=schedule_id, deployment_id=id, changes=deployment_schedules.given(changes)
        ):
            raise NotFound(f"Schedule {schedule_id}")
        deployment_schedules.delete_runs(conn, id, [schedule_id])
    return no_content()


@blueprint.delete("/<id:id>/schedules/<id:schedule_id>")
def delete_deployment_schedule(id: str, schedule_id: str) -> Response:
    """Delete a schedule with the runs that it made and that have not started."""
    with transaction() as conn:
        deployment_schedules.lock(conn, id)
        require(sql.deployment_schedules.delete(conn, ids=[schedule_id], deployment_id=id), f"Schedule {schedule_id}")
        deployment_schedules.delete_runs(conn, id, [schedule_id], future=False)
    return no_content()


def attempt(do: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Do something for one run of many, or say why it fails."""
    try:
        return do(*arguments)
    except (BadRequest, Conflict, Invalid, NotFound, Unprocessable) as error:
        return {"flow_run_id": None, "status": "FAILED", "error": str(error)}


def create_run(conn: Connection, deployment: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Create one run of many, and say so."""
    created, _ = create_flow_run(conn, deployed_runs.complete(conn, deployment, run), created_by())
    return {"flow_run_id": orjson.loads(created)["id"], "status": "CREATED", "error": None}
