"""Deployments: what they are checked by, the columns that they are stored in, what follows from changes of them."""

from datetime import timedelta
from typing import Any

import orjson
from psycopg import Connection, errors

import sql
from handlers.domain import events
from handlers.domain.inputs import hydrate, validate
from handlers.domain.job_variables import check_changed, check_job_variables
from handlers.domain.schedules import REQUEST_CPU_SECONDS, make_runs, plan_runs
from handlers.domain.work_pools import AGENT_POOL, create_queue, lock_agent_pool, lock_pool
from handlers.errors import BadRequest, Conflict, NotFound, Unprocessable, invalid, require
from schemas.settings import setting
from sql.database import connection, transaction
from sql.ids import uuid7

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

NO_SCHEMA = "The parameters cannot be checked: the deployment has no schema for them and is to enforce it."


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
    return require(sql.deployments.describe(conn, id=id), f"Deployment {id}")


def read_template(pool: str) -> Any:
    """Give the base job template of a pool. Raises NotFound."""
    with connection() as conn:
        return require(sql.deployments.read_pool(conn, name=pool), f"Work pool {pool!r}")["base_job_template"]


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
        plan = None if paused else plan_runs(conn, [id], **what_to_schedule(conn), cpu_seconds=REQUEST_CPU_SECONDS)
        require(sql.deployments.lock(conn, id=id, flow_id=None, name=None), f"Deployment {id}")
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
    events.record(conn, [events.event("deployment", action, row, row["related"], payload) for row in deployments])


def find_queue(conn: Connection, pool: str | None, queue: str | None) -> Any:
    """Give the id of a pool's queue, of its default queue, or without a pool of a queue in the pool of agents.

    A queue that is not there is made. The queue stays until the transaction ends; whoever locks a deployment calls this first,
    for a pool is locked before the deployments of its queues. Raises NotFound for an unknown pool, Invalid for a name that a
    queue cannot have.
    """
    found = find(conn, pool, queue)
    if found and sql.work_queues.hold(conn, id=found):
        return found
    require(queue or None, f"Work pool {pool!r}")
    if any(character in queue for character in "/%&><"):
        raise invalid("Must not contain any of / % & > <.", "work_queue_name")
    locked = lock_pool(conn, pool) if pool else lock_agent_pool(conn)
    if queue == "default":
        return locked["default_queue_id"]
    # Looked for again: it may have been made while the pool was waited for.
    return find(conn, pool or AGENT_POOL, queue) or create_queue(conn, locked, queue, priority=None if pool else 1)


def find(conn: Connection, pool: str | None, queue: str | None) -> Any:
    """Give the id of a queue that is there, without its name of the pool's default queue."""
    if pool:
        return sql.flow_run_transitions.read_work_queue(conn, work_pool_name=pool, work_queue_name=queue)
    found = sql.work_queues.read_by_name(conn, name=queue)
    return orjson.loads(found)["id"] if found else None
