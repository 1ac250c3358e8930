"""Operations under /deployments but those on schedules and those that create flow runs."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response
from psycopg import Connection, errors

import sql
from handlers.deployment_schedules import create, replace_schedules, update_schedules
from handlers.domain.deployments import find_queue
from handlers.domain.inputs import hydrate, validate
from handlers.domain.job_variables import check_changed, check_job_variables
from handlers.domain.schedules import make_runs, plan_runs, schedule_deployment
from handlers.domain.work_pools import AGENT_POOL
from handlers.errors import BadRequest, Conflict, NotFound, Unavailable, Unprocessable, invalid
from handlers.http import lists
from handlers.http.messages import answer, body, document, no_content
from schemas.deployments import (
    DeploymentCreate,
    DeploymentCriteria,
    DeploymentsDelete,
    DeploymentsFilter,
    DeploymentsPaginate,
    DeploymentUpdate,
    ScheduledFlowRuns,
    ScheduleRuns,
)
from schemas.settings import setting
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

blueprint = Blueprint("deployments", __name__, url_prefix="/api/deployments")

COLUMNS = {"job_variables": "infra_overrides", "global_concurrency_limit_id": "concurrency_limit_id"}
DEFAULTS: dict[str, Any] = {
    "paused": False,
    "tags": [],
    "parameters": {},
    "parameter_openapi_schema": {},
    "enforce_parameter_schema": True,
    "infra_overrides": {},
    "pull_steps": [],
}
CHECKED = ("parameters", "parameter_openapi_schema", "enforce_parameter_schema")
"""What an update is checked by: when another one has changed it meanwhile, it is checked again."""

MAX_CHECKS = 5
NO_SCHEMA = "The parameters cannot be checked: the deployment has no schema for them and is to enforce it."


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
            create(conn, id, [{**schedule, "max_scheduled_runs": None} for schedule in schedules])
            set_limit(conn, id, fields, None)
            record_events(conn, "created", [sql.deployments.read_related(conn, id=id)])
        else:
            before = sql.deployments.describe(conn, id=id)
            sql.deployments.update.send(conn, id=id, changes=changes)
            replace_schedules(conn, id, schedules)
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
            if sql.deployments.lock(conn, id=id, flow_id=None, name=None) is None:
                raise NotFound(f"Deployment {id}")
            before = describe(conn, id)
            if all(before[key] == checked[key] for key in CHECKED):
                sql.deployments.update.send(conn, id=id, changes=changes)
                if "schedules" in fields:
                    update_schedules(conn, id, fields["schedules"])
                finish_update(conn, id, fields, before)
                return no_content()
    raise Unavailable(f"Deployment {id} is changed by others all the time.")


@blueprint.get("/name/<flow_name>/<deployment_name>")
def read_deployment_by_name(flow_name: str, deployment_name: str) -> Response:
    """Give the deployment of a name of the flow of a name."""
    with connection() as conn:
        deployment = sql.deployments.read_by_name(conn, flow_name=flow_name, name=deployment_name)
    if deployment is None:
        raise NotFound(f"Deployment '{flow_name}/{deployment_name}'")
    return document(deployment)


@blueprint.get("/<id:id>")
def read_deployment(id: str) -> Response:
    """Give a deployment."""
    with connection() as conn:
        deployment = sql.deployments.read(conn, id=id)
    if deployment is None:
        raise NotFound(f"Deployment {id}")
    return document(deployment)


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
        if not delete_deployments(conn, [id]):
            raise NotFound(f"Deployment {id}")
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


@blueprint.get("/<id:id>/work_queue_check")
def check_work_queues(id: str) -> Response:
    """List the queues whose filters let them pick up a deployment."""
    with connection() as conn:
        tags = sql.deployments.read_tags(conn, id=id)
        if tags is None:
            raise NotFound(f"Deployment {id}")
        return document(sql.deployments.work_queue_check(conn, id=id, tags=tags))


def insert(conn: Connection, deployment: dict[str, Any]) -> Any:
    """Insert a deployment and give its id, or None if its flow has one of this name. Raises NotFound for an unknown flow."""
    try:
        return sql.deployments.create(conn, deployment=deployment)
    except errors.ForeignKeyViolation as error:
        if error.diag.constraint_name == "fk_deployment__flow_id__flow":
            raise NotFound(f"Flow {deployment['flow_id']}") from None
        raise


def check_new(fields: dict[str, Any]) -> None:
    """Check parameters and job variables of a deployment that is to be created. Raises Unprocessable and Invalid."""
    pool = fields.get("work_pool_name")
    if pool and pool != AGENT_POOL and fields.get("job_variables"):
        try:
            check_job_variables(read_template(pool), fields["job_variables"])
        except ValueError as error:
            raise Unprocessable(f"Error creating deployment: {error}") from None
    if fields.get("enforce_parameter_schema") and fields.get("parameter_openapi_schema") is not None:
        try:
            validate(fields["parameters"], fields["parameter_openapi_schema"], is_complete=False)
        except ValueError as error:
            raise invalid(str(error), "parameters") from None


def check_update(fields: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Check parameters and job variables against the schemas that hold after an update; gives the fields, placeholders filled in.

    Raises Conflict for what breaks them, and BadRequest for a placeholder that cannot be filled in.
    """
    if fields.get("work_pool_name") and fields.get("job_variables"):
        try:
            check_changed(read_template(fields["work_pool_name"]), fields["job_variables"])
        except ValueError as error:
            raise Conflict(f"Error updating deployment: {error}") from None
    if "parameters" in fields:
        try:
            fields = fields | {"parameters": hydrate(fields["parameters"])}
        except ValueError as error:
            raise BadRequest(f"Error hydrating deployment parameters: {error}") from None
    if not fields.get("enforce_parameter_schema", before["enforce_parameter_schema"]):
        return fields
    schema = fields.get("parameter_openapi_schema") or before["parameter_openapi_schema"]
    if schema is None:
        raise Conflict(NO_SCHEMA)
    try:
        validate(fields.get("parameters", before["parameters"]), schema, is_complete=False)
    except ValueError as error:
        raise Conflict(f"Error updating deployment: {error}") from None
    return fields


def describe(conn: Connection, id: str) -> dict[str, Any]:
    """Give what a change of a deployment is checked against and compared with. Raises NotFound."""
    found = sql.deployments.describe(conn, id=id)
    if found is None:
        raise NotFound(f"Deployment {id}")
    return found


def read_template(pool: str) -> Any:
    """Give the base job template of a pool. Raises NotFound."""
    with connection() as conn:
        found = sql.deployments.read_pool(conn, name=pool)
    if found is None:
        raise NotFound(f"Work pool {pool!r}")
    return found["base_job_template"]


def columns(conn: Connection, fields: dict[str, Any]) -> dict[str, Any]:
    """Give the columns that fields of a request are stored in, with the queue that they name, made if it is not there.

    Raises NotFound for a pool or a limit, Conflict for a block that does not exist. Job variables that are empty are not
    stored over others, as with Prefect.
    """
    left_out = {"work_pool_name", "schedules", "version_info", "concurrency_limit"}
    stored = {COLUMNS.get(key, key): value for key, value in fields.items() if key not in left_out}
    if not stored.get("infra_overrides"):
        stored.pop("infra_overrides", None)
    limit = stored.get("concurrency_limit_id")
    if limit and not sql.deployments.has_limit(conn, id=limit):
        raise NotFound(f"Concurrency limit {limit}")
    for key in ("storage_document_id", "infrastructure_document_id"):
        if stored.get(key) and not sql.deployments.has_block(conn, id=stored[key]):
            raise Conflict(f"{key}: there is no block {stored[key]}.")
    pool, queue = fields.get("work_pool_name"), fields.get("work_queue_name")
    if pool or queue:
        stored["work_queue_id"] = find_queue(conn, pool, queue)
    elif "work_pool_name" in fields:
        stored["work_queue_id"] = None
    return stored


def set_limit(conn: Connection, id: str, fields: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Give a deployment the limit of its own that is asked for, if one is."""
    if "concurrency_limit" not in fields or fields["concurrency_limit"] == (before and before["limit"]):
        return
    sql.deployments.set_limit.send(conn, id=id, limit=fields["concurrency_limit"], limit_id=uuid7())


def finish_update(conn: Connection, id: str, fields: dict[str, Any], before: dict[str, Any]) -> None:
    """Set the limit of a deployment that was updated, delete runs that would differ now, record what has changed."""
    set_limit(conn, id, fields, before)
    after = sql.deployments.describe(conn, id=id)
    if after["told"]["paused"] or before["given_to_runs"] != after["given_to_runs"]:
        sql.deployments.delete_scheduled_runs.send(conn, deployment_ids=[id], auto_scheduled=True, future=True, schedule_ids=None)
    old, new = before["told"], after["told"]
    updates = {key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]}
    if updates:
        payload = {"updated_fields": list(updates), "updates": updates}
        record_events(conn, "updated", [sql.deployments.read_related(conn, id=id)], payload)


def set_paused(id: str, paused: bool) -> None:
    """Pause a deployment or let it go on, with the runs of its schedules. Raises NotFound."""
    with transaction() as conn:
        plan = None if paused else plan_runs(conn, [id], **what_to_schedule(conn))
        if sql.deployments.lock(conn, id=id, flow_id=None, name=None) is None:
            raise NotFound(f"Deployment {id}")
        sql.deployments.set_paused.send(conn, id=id, paused=paused)
        if plan:
            make_runs(conn, plan, [id])
        else:
            sql.deployments.delete_scheduled_runs.send(
                conn, deployment_ids=[id], auto_scheduled=True, future=False, schedule_ids=None
            )


def what_to_schedule(
    conn: Connection, start_time: Any = None, end_time: Any = None, min_time: float | None = None, **runs: int | None
) -> dict[str, Any]:
    """Give for which times runs are made of schedules; what is not given is as the scheduler has it. Raises Invalid."""
    path = "server.services.scheduler."
    start = start_time or sql.loops.read_clock(conn)
    limits = {key: setting(path + key) if runs.get(key) is None else runs[key] for key in ("min_runs", "max_runs")}
    try:
        wait = setting(f"{path}min_scheduled_time") if min_time is None else timedelta(seconds=min_time)
        end = end_time or start + setting(f"{path}max_scheduled_time")
        return {"start_time": start, "end_time": end, "min_time": wait, **limits}
    except OverflowError:
        raise invalid("is out of range", "start_time") from None


def delete_deployments(conn: Connection, ids: list[str]) -> set[str]:
    """Delete deployments and record it; give the ids of those that were there."""
    deployments = sql.deployments.lock_many(conn, ids=ids)
    found = [str(deployment["id"]) for deployment in deployments]
    if found:
        sql.deployments.delete_scheduled_runs.send(
            conn, deployment_ids=found, auto_scheduled=False, future=False, schedule_ids=None
        )
        sql.deployments.delete.send(conn, ids=found)
    record_events(conn, "deleted", deployments)
    return set(found)


def record_events(conn: Connection, action: str, deployments: list[dict[str, Any]], payload: dict | None = None) -> None:
    """Record what happened to deployments, with the transaction that it happens in."""
    events = [
        {
            "id": uuid7(),
            "occurred": row["occurred"],
            "event": f"prefect.deployment.{action}",
            "resource": {"prefect.resource.id": f"prefect.deployment.{row['id']}", "prefect.resource.name": row["name"]},
            "related": row["related"],
            "payload": payload or {},
        }
        for row in deployments
    ]
    if events:
        sql.events.create.send(conn, events=events)
