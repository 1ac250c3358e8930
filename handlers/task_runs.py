"""Operations under /task_runs but those that orchestrate."""

from typing import Any

from flask import Blueprint, Response

import sql
from handlers import pages
from handlers.errors import NotFound
from handlers.http import answer, body, document, no_content
from handlers.rules.creation import generate_name
from handlers.rules.slots import send_give_back
from schemas.task_runs import TaskRunCriteria, TaskRunsFilter, TaskRunsPaginate, TaskRunUpdate
from sql.database import connection, transaction

blueprint = Blueprint("task_runs", __name__, url_prefix="/api/task_runs")


@blueprint.patch("/<id:id>")
@body(TaskRunUpdate)
def update_task_run(id: str, **changes: Any) -> Response:
    """Rename a task run; without a name it gets one that is made up."""
    name = (changes["name"] or generate_name()) if changes else None
    with connection() as conn:
        updated = sql.task_runs.update(conn, id=id, name=name)
    if not updated:
        raise NotFound("Task run")
    return no_content()


@blueprint.post("/count")
@body(TaskRunCriteria)
def count_task_runs(**criteria: dict) -> Response:
    """Count the task runs that match."""
    return answer(pages.count("task_runs", **criteria))


@blueprint.get("/<id:id>")
def read_task_run(id: str) -> Response:
    """Give a task run."""
    with connection() as conn:
        run = sql.task_runs.read(conn, id=id)
    if run is None:
        raise NotFound("Task")
    return document(run)


@blueprint.post("/filter")
@body(TaskRunsFilter)
def filter_task_runs(**arguments: Any) -> Response:
    """List the task runs that match."""
    return document(pages.read_list("task_runs", **arguments))


@blueprint.post("/paginate")
@body(TaskRunsPaginate)
def paginate_task_runs(**arguments: Any) -> Response:
    """Give one page of the task runs that match, and their number."""
    return document(pages.read_page("task_runs", **arguments))


@blueprint.delete("/<id:id>")
def delete_task_run(id: str) -> Response:
    """Delete a task run with its states and logs."""
    with transaction() as conn:
        sql.task_runs.lock_subflows.send(conn, id=id)
        deleted = sql.task_runs.delete.send(conn, id=id)
        send_give_back(conn, holder_ids=[id])
    if not deleted.result():
        raise NotFound("Task")
    return no_content()
