"""Operations under /ui, which only the web interface calls."""

from typing import Any

from flask import Blueprint, Response

import sql
from handlers.domain.inputs import find_form_errors
from handlers.errors import Unprocessable, require
from handlers.http.messages import answer, body, document
from schemas.state_types import TERMINAL
from schemas.task_runs import TaskRunCriteria
from schemas.ui import FlowIds, FlowRunIds, FlowRunPoints, Form, TaskRunOutcomes
from sql.database import connection
from sql.filters import compose, sort_by

blueprint = Blueprint("ui", __name__, url_prefix="/api/ui")


@blueprint.post("/flows/count-deployments")
@body(FlowIds)
def count_deployments_by_flow(flow_ids: list[str]) -> Response:
    """Give the number of deployments of each flow, by its id."""
    with connection() as conn:
        return document(sql.ui.count_deployments_by_flow(conn, ids=flow_ids))


@blueprint.post("/flows/next-runs")
@body(FlowIds)
def find_next_runs(flow_ids: list[str]) -> Response:
    """Give the scheduled run of each flow that is to start first, by the flow's id."""
    with connection() as conn:
        return document(sql.ui.find_next_runs(conn, ids=flow_ids))


@blueprint.post("/flow_runs/history")
@body(FlowRunPoints)
def read_flow_run_points(sort: str, limit: int, offset: int, **criteria: dict) -> Response:
    """List the flow runs that match as points of a scatter plot: when they started, how long they took."""
    chosen, order = compose("flow_runs", **criteria), sort_by("flow_runs", sort)
    with connection() as conn:
        return document(sql.ui.read_flow_run_points(conn, filter=chosen, sort=order, limit=limit, offset=offset))


@blueprint.post("/flow_runs/count-task-runs")
@body(FlowRunIds)
def count_task_runs_by_flow_run(flow_run_ids: list[str]) -> Response:
    """Give the number of task runs of each flow run, by its id; subflows do not count."""
    with connection() as conn:
        return document(sql.ui.count_task_runs_by_flow_run(conn, ids=flow_run_ids))


@blueprint.post("/schemas/validate")
@body(Form)
def validate_form(schema: dict[str, Any], values: dict[str, Any]) -> Response:
    """Check the values of a form against a JSON Schema and give the errors, each at the field that has it."""
    try:
        errors = find_form_errors(values, schema)
    except ValueError as error:
        raise Unprocessable(f"Invalid schema: {error}") from None
    return answer({"errors": errors, "valid": not errors})


@blueprint.post("/task_runs/dashboard/counts")
@body(TaskRunOutcomes)
def count_task_run_outcomes(task_runs: dict[str, Any], **criteria: dict) -> Response:
    """Count the task runs that have completed and failed in each twentieth of the time in which they may have started."""
    started = task_runs.get("start_time") or {}
    if started.get("after_") is None:
        raise Unprocessable("task_runs.start_time.after_ is missing.")
    chosen = compose("task_runs", task_runs=task_runs | {"state": {"type": {"any_": TERMINAL}}}, **criteria)
    with connection() as conn:
        after, before = started["after_"], started.get("before_")
        return document(sql.ui.count_task_run_outcomes(conn, filter=chosen, after=after, before=before))


@blueprint.post("/task_runs/count")
@body(TaskRunCriteria)
def count_task_runs_by_state(**criteria: dict) -> Response:
    """Count the task runs that match by the type of their state."""
    with connection() as conn:
        return document(sql.ui.count_task_runs(conn, filter=compose("task_runs", **criteria)))


@blueprint.get("/task_runs/<id:id>")
def read_task_run(id: str) -> Response:
    """Give a task run with the name of its flow run."""
    with connection() as conn:
        run = sql.ui.read_task_run(conn, id=id)
    return document(require(run, "Task"))
