"""Operations under /task_runs."""

from typing import Any

from flask import Blueprint, Response

import sql
from handlers.domain.names import generate_name
from handlers.domain.slots import send_give_back
from handlers.errors import require
from handlers.http import lists
from handlers.http.messages import answer, body, document, no_content
from handlers.rules.creation import create_task_run
from handlers.rules.orchestration import describe_outcome, make_state, set_task_run_state
from schemas.runs import TaskRunCreate
from schemas.states import SetState
from schemas.task_runs import TaskRunCriteria, TaskRunsFilter, TaskRunsPaginate, TaskRunUpdate
from sql.database import connection, transaction

blueprint = Blueprint("task_runs", __name__, url_prefix="/api/task_runs")


@blueprint.post("/")
@body(TaskRunCreate)
def post_task_run(**run: Any) -> Response:
    """Create a task run (201), or give the one that has its keys (200)."""
    with transaction() as conn:
        created, is_new = create_task_run(conn, run)
    return document(created, 201 if is_new else 200)


@blueprint.patch("/<id:id>")
@body(TaskRunUpdate)
def update_task_run(id: str, **changes: Any) -> Response:
    """Rename a task run; without a name it gets one that is made up."""
    name = (changes["name"] or generate_name()) if changes else None
    with connection() as conn:
        updated = sql.task_runs.update(conn, id=id, name=name)
    require(updated, "Task run")
    return no_content()


@blueprint.post("/count")
@body(TaskRunCriteria)
def count_task_runs(**criteria: dict) -> Response:
    """Count the task runs that match."""
    return answer(lists.count("task_runs", **criteria))


@blueprint.get("/<id:id>")
def read_task_run(id: str) -> Response:
    """Give a task run."""
    with connection() as conn:
        run = sql.task_runs.read(conn, id=id)
    return document(require(run, "Task"))


@blueprint.post("/filter")
@body(TaskRunsFilter)
def filter_task_runs(**arguments: Any) -> Response:
    """List the task runs that match."""
    return document(lists.read_list("task_runs", **arguments))


@blueprint.post("/paginate")
@body(TaskRunsPaginate)
def paginate_task_runs(**arguments: Any) -> Response:
    """Give one page of the task runs that match, and their number."""
    return document(lists.read_page("task_runs", **arguments))


@blueprint.delete("/<id:id>")
def delete_task_run(id: str) -> Response:
    """Delete a task run with its states and logs."""
    with transaction() as conn:
        sql.task_runs.lock_subflows.send(conn, id=id)
        deleted = sql.task_runs.delete.send(conn, id=id)
        send_give_back(conn, holder_ids=[id])
    require(deleted.result(), "Task")
    return no_content()


@blueprint.post("/<id:id>/set_state")
@body(SetState)
def post_task_run_set_state(id: str, state: dict, force: bool) -> Response:
    """Propose a state for a task run and tell what became of it (201 if a state was written, else 200)."""
    with transaction() as conn:
        outcome = set_task_run_state(conn, id, make_state(state), force)
    return answer(describe_outcome(outcome), 201 if outcome.proposed else 200)
