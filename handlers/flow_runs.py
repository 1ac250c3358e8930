"""Operations under /flow_runs. What becomes of a proposed state is in handlers/rules/."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from flask import Blueprint, Response
from psycopg import errors

import sql
from handlers.domain.deletion import delete_flow_runs
from handlers.domain.job_variables import check_run
from handlers.domain.names import generate_name
from handlers.errors import BadRequest, Conflict, NotFound, Unavailable, Unprocessable, require
from handlers.http import lists
from handlers.http.access import client_version, created_by
from handlers.http.messages import answer, body, document, load, no_content, query, read_body, takes
from handlers.rules.creation import create_flow_run
from handlers.rules.flow_runs import FLOW_RUN, FLOW_RUN_OF_OLD_WORKER, FORCED_FLOW_RUN
from handlers.rules.orchestration import describe_outcome, make_state, set_flow_run_state
from handlers.rules.resume import Changed, check_input, read_pause, resume_flow_run
from handlers.rules.transition import Compiled
from schemas.flow_run_graphs import FlowRunGraph
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
from schemas.runs import FlowRunCreate
from schemas.settings import setting
from schemas.states import BulkSetState, ResumeFlowRun, SetState
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

blueprint = Blueprint("flow_runs", __name__, url_prefix="/api/flow_runs")
labels_schema = FlowRunLabels()

NO_DEPLOYMENT = "A deployment for the flow run could not be found"
MAX_CHECKS = 5  # how often an input is checked when the run is paused anew meanwhile
# The workers from the first to the second take the slots of deployments by themselves.
SLOTS_OF_DEPLOYMENTS_VERSION, SLOTS_BY_RULES_VERSION = (3, 0, 0), (3, 0, 4)
RENEWING_VERSION = (3, 4, 11)  # the first Prefect whose flow runs renew the lease of their deployment's slot

HEADER = "timestamp,level,flow_run_id,task_run_id,message\r\n"
FIRST_PAGE, LARGEST_PAGE = 64, 1024  # lines
BEGINNING = {"timestamp": "-infinity", "id": "00000000-0000-0000-0000-000000000000"}


@blueprint.post("/")
@body(FlowRunCreate)
def post_flow_run(**run: Any) -> Response:
    """Create a flow run (201), or give the one that has its idempotency key (200)."""
    with transaction() as conn:
        created, is_new = create_flow_run(conn, run, created_by())
    return document(created, 201 if is_new else 200)


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
        require(sql.flow_runs.update(conn, id=id, changes=changes), "Flow run")
    return no_content()


@blueprint.post("/count")
@body(FlowRunCriteria)
def count_flow_runs(**criteria: dict) -> Response:
    """Count the flow runs that match."""
    return answer(lists.count("flow_runs", **criteria))


@blueprint.get("/<id:id>")
def read_flow_run(id: str) -> Response:
    """Give a flow run."""
    with connection() as conn:
        run = sql.flow_runs.read(conn, id=id)
    return document(require(run, "Flow run"))


@blueprint.get("/<id:id>/graph")
def read_flow_run_graph_v1(id: str) -> Response:
    """List the task runs of a flow run, each with the task runs that it depends on."""
    max_nodes = setting("server.flow_run_graph.max_nodes")
    with connection() as conn:
        dependencies = sql.flow_run_graphs.read_dependencies(conn, flow_run_id=id, max_nodes=max_nodes)
    return show_graph(dependencies, id, max_nodes)


@blueprint.get("/<id:id>/graph-v2")
@query(FlowRunGraph)
def read_flow_run_graph_v2(id: str, since: datetime) -> Response:
    """Give the graph of what ran in a flow run: task runs and subflows, with the artifacts that they made."""
    max_nodes = setting("server.flow_run_graph.max_nodes")
    max_artifacts = setting("server.flow_run_graph.max_artifacts")
    with connection() as conn:
        graph = sql.flow_run_graphs.read(conn, flow_run_id=id, max_nodes=max_nodes, max_artifacts=max_artifacts, since=since)
    return show_graph(graph, id, max_nodes)


@blueprint.post("/<id:id>/resume")
@body(ResumeFlowRun)
def post_flow_run_resume(id: str, run_input: dict | None) -> Response:
    """Resume a paused flow run with the input that it waits for."""
    for _ in range(MAX_CHECKS):
        with connection() as conn:
            pause = read_pause(conn, id)
        checked = check_input(pause, run_input)
        with suppress(Changed), transaction() as conn:
            outcome = resume_flow_run(conn, id, checked)
            return answer(describe_outcome(outcome), 201 if outcome.proposed else 200)
    raise Unavailable("The flow run is paused anew all the time.")


@blueprint.post("/filter")
@body(FlowRunsFilter)
def filter_flow_runs(**arguments: Any) -> Response:
    """List the flow runs that match."""
    return document(lists.read_list("flow_runs", **arguments))


@blueprint.delete("/<id:id>")
def delete_flow_run(id: str) -> Response:
    """Delete a flow run with its task runs, states, inputs and logs."""
    with transaction() as conn:
        deleted = delete_flow_runs(conn, [id])
    require(deleted, "Flow run")
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


@blueprint.post("/bulk_set_state")
@body(BulkSetState)
def post_flow_runs_set_state(state: dict, force: bool, limit: int, flow_runs: dict | None = None) -> Response:
    """Propose a state for each run that matches, each in a transaction of its own, and tell what became of it."""
    chosen = compose("flow_runs", flow_runs=flow_runs)
    with connection() as conn:
        ids = sql.flow_runs.page(conn, filter=chosen, sort=sort_by("flow_runs", "ID_DESC"), limit=limit, offset=0)
    results = []
    for id in ids:
        try:
            with transaction() as conn:
                outcome = set_flow_run_state(conn, id["id"], make_state(state), rules_for_flow_run(force), renews())
            result = describe_outcome(outcome)
        except NotFound as error:  # deleted meanwhile; the answer tells of the others all the same
            result = {"state": None, "status": "ABORT", "details": {"type": "abort_details", "reason": str(error)}}
        results.append({"flow_run_id": id["id"], **result})
    return answer({"results": results})


@blueprint.post("/<id:id>/set_state")
@body(SetState)
def post_flow_run_set_state(id: str, state: dict, force: bool) -> Response:
    """Propose a state for a flow run and tell what became of it (201 if a state was written, else 200)."""
    with transaction() as conn:
        outcome = set_flow_run_state(conn, id, make_state(state), rules_for_flow_run(force), renews())
    return answer(describe_outcome(outcome), 201 if outcome.proposed else 200)


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
    require(value, "Flow run input")
    return Response(value, content_type="text/plain; charset=utf-8")


@blueprint.delete("/<id:id>/input/<key>")
def delete_flow_run_input(id: str, key: str) -> Response:
    """Delete an input of a flow run."""
    with connection() as conn:
        deleted = "\0" not in key and sql.flow_run_inputs.delete(conn, flow_run_id=id, key=key)
    require(deleted, "Flow run input")
    return no_content()


@blueprint.post("/paginate")
@body(FlowRunsPaginate)
def paginate_flow_runs(**arguments: Any) -> Response:
    """Give one page of the flow runs that match, and their number."""
    return document(lists.read_page("flow_runs", **arguments))


@blueprint.patch("/<id:id>/labels")
@takes(body=FlowRunLabels)
def update_flow_run_labels(id: str) -> Response:
    """Lay labels over those of a flow run."""
    labels = load(labels_schema, read_body())
    with connection() as conn:
        updated = sql.flow_runs.update_labels(conn, id=id, labels=labels)
    require(updated, "Flow run")
    return no_content()


@blueprint.get("/<id:id>/logs/download")
def download_logs(id: str) -> Response:
    """Send all logs of a flow run as CSV, page by page, so that neither their number nor a slow reader takes more memory.

    Pages begin small, for those who ask and do not read, and grow.
    """
    page = read_log_page(id, BEGINNING, FIRST_PAGE)
    require(page, "Flow run")
    name = quote(f"{page['name']}-logs.csv", safe="")
    response = Response(generate_lines(id, page), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{name}"
    return response


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
    require(run, "Flow run")
    if run["state_type"] is None:
        raise BadRequest("Job variables can only be updated for a flow run that has a state.")
    if run["state_type"] != "SCHEDULED":
        raise BadRequest(f"Job variables for a flow run in state {run['state_type']} cannot be updated")
    if deployment_id and run["deployment_id"] != deployment_id:
        raise BadRequest(NO_DEPLOYMENT)


def renews() -> bool:
    """Tell whether the client is known to be one that renews the leases of its flow runs."""
    version = client_version()
    return version is not None and version >= RENEWING_VERSION


def rules_for_flow_run(force: bool) -> Compiled:
    """Give the rules for the flow runs of the client."""
    if force:
        return FORCED_FLOW_RUN
    version = client_version()
    manages_slots = version is not None and SLOTS_OF_DEPLOYMENTS_VERSION <= version < SLOTS_BY_RULES_VERSION
    return FLOW_RUN_OF_OLD_WORKER if manages_slots else FLOW_RUN


def show_graph(graph: bytes | None, id: str, max_nodes: int) -> Response:
    """Answer with a graph, unless there is none or it is too large."""
    require(graph, "Flow run")
    if graph == b"null":
        raise BadRequest(f"The graph of flow run {id} has more than {max_nodes} nodes.")
    return document(graph)


def generate_lines(id: str, page: dict[str, Any] | None) -> Iterator[str]:
    """Give the text of the file, from the first page on; it ends early if the run is deleted meanwhile."""
    yield HEADER
    limit = FIRST_PAGE
    while page and page["lines"]:
        yield page["lines"]
        limit = min(2 * limit, LARGEST_PAGE)
        page = read_log_page(id, page, limit)


def read_log_page(id: str, after: dict[str, Any], limit: int) -> dict[str, Any] | None:
    """Give the page of a flow run's logs behind another, None without the run."""
    with connection() as conn:
        return sql.logs.page_csv(conn, flow_run_id=id, timestamp=after["timestamp"], id=after["id"], limit=limit)
