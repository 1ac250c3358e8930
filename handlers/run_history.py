"""What charts show of flow runs and task runs: how many were in which state when, and how late flow runs are."""

from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response

import sql
from handlers.errors import Unprocessable
from handlers.http.messages import answer, body, document
from schemas.flow_runs import FlowRunCriteria
from schemas.run_history import MIN_INTERVAL, FlowRunHistory, TaskRunHistory
from sql.database import connection
from sql.filters import compose

blueprint = Blueprint("run_history", __name__, url_prefix="/api")


@blueprint.post("/flow_runs/lateness")
@body(FlowRunCriteria)
def average_flow_run_lateness(**criteria: dict) -> Response:
    """Give the seconds by which the flow runs that match are late on average; null if there are none."""
    with connection() as conn:
        return answer(sql.run_history.average_lateness(conn, filter=compose("flow_runs", **criteria)))


@blueprint.post("/flow_runs/history")
@body(FlowRunHistory)
def read_flow_run_history(**arguments: Any) -> Response:
    """Count the flow runs that match by interval of their expected start and by state."""
    return read_history("flow_run", **arguments)


@blueprint.post("/task_runs/history")
@body(TaskRunHistory)
def read_task_run_history(**arguments: Any) -> Response:
    """Count the task runs that match by interval of their expected start and by state."""
    return read_history("task_run", **arguments)


def read_history(run: str, start: datetime, end: datetime, interval: timedelta, **criteria: dict) -> Response:
    """Count the runs of a kind that match by interval of their expected start and by state. Raises Unprocessable."""
    if interval < MIN_INTERVAL:
        raise Unprocessable("history_interval_seconds must be 1 or more.")
    chosen = compose(f"{run}s", **criteria)
    with connection() as conn:
        return document(sql.run_history.count(conn, run=run, filter=chosen, start=start, end=end, interval=interval))
