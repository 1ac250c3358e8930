"""The operations that create runs and set their states. What they do is in handlers/rules/."""

from base64 import b64decode
from contextlib import suppress
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

import sql
from handlers.access import client_version
from handlers.errors import Invalid, NotFound, Unavailable
from handlers.http import answer, body, document
from handlers.rules.creation import create_flow_run, create_task_run
from handlers.rules.flow_runs import FLOW_RUN, FLOW_RUN_OF_OLD_WORKER, FORCED_FLOW_RUN
from handlers.rules.orchestration import make_state, set_flow_run_state, set_task_run_state
from handlers.rules.resume import Changed, check_input, read_pause, resume_flow_run
from handlers.rules.transition import Compiled, Transition
from schemas.runs import FlowRunCreate, TaskRunCreate
from schemas.states import BulkSetState, ResumeFlowRun, SetState, read_time
from sql.database import connection, transaction
from sql.filters import compose, sort_by

blueprint = Blueprint("orchestration", __name__, url_prefix="/api")

MAX_CHECKS = 5  # how often an input is checked when the run is paused anew meanwhile
# The workers from the first to the second take the slots of deployments by themselves.
SLOTS_OF_DEPLOYMENTS_VERSION, SLOTS_BY_RULES_VERSION = (3, 0, 0), (3, 0, 4)
RENEWING_VERSION = (3, 4, 11)  # the first Prefect whose flow runs renew the lease of their deployment's slot


@blueprint.post("/flow_runs/")
@body(FlowRunCreate)
def post_flow_run(**run: Any) -> Response:
    """Create a flow run (201), or give the one that has its idempotency key (200)."""
    with transaction() as conn:
        created, is_new = create_flow_run(conn, run, created_by())
    return document(created, 201 if is_new else 200)


@blueprint.post("/flow_runs/<id:id>/resume")
@body(ResumeFlowRun)
def post_flow_run_resume(id: str, run_input: dict | None) -> Response:
    """Resume a paused flow run with the input that it waits for."""
    for _ in range(MAX_CHECKS):
        with connection() as conn:
            pause = read_pause(conn, id)
        checked = check_input(pause, run_input)
        with suppress(Changed), transaction() as conn:
            return answer_outcome(resume_flow_run(conn, id, checked))
    raise Unavailable("The flow run is paused anew all the time.")


@blueprint.post("/flow_runs/bulk_set_state")
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


@blueprint.post("/flow_runs/<id:id>/set_state")
@body(SetState)
def post_flow_run_set_state(id: str, state: dict, force: bool) -> Response:
    """Propose a state for a flow run and tell what became of it (201 if a state was written, else 200)."""
    with transaction() as conn:
        outcome = set_flow_run_state(conn, id, make_state(state), rules_for_flow_run(force), renews())
    return answer_outcome(outcome)


@blueprint.post("/task_runs/")
@body(TaskRunCreate)
def post_task_run(**run: Any) -> Response:
    """Create a task run (201), or give the one that has its keys (200)."""
    with transaction() as conn:
        created, is_new = create_task_run(conn, run)
    return document(created, 201 if is_new else 200)


@blueprint.post("/task_runs/<id:id>/set_state")
@body(SetState)
def post_task_run_set_state(id: str, state: dict, force: bool) -> Response:
    """Propose a state for a task run and tell what became of it (201 if a state was written, else 200)."""
    with transaction() as conn:
        outcome = set_task_run_state(conn, id, make_state(state), force)
    return answer_outcome(outcome)


def answer_outcome(outcome: Transition) -> Response:
    """Answer with what became of a proposal."""
    return answer(describe_outcome(outcome), 201 if outcome.proposed else 200)


def describe_outcome(outcome: Transition) -> dict[str, Any]:
    """Give the contract's orchestration result: the state that was written or else the present one, status and details."""
    state = outcome.proposed or outcome.initial
    shown = state and {
        "id": state.id,
        "type": state.type,
        "name": state.name,
        "timestamp": read_time(state.timestamp.isoformat()),
        "message": state.message,
        "data": state.data,
        "state_details": state.details,
    }
    return {"state": shown, "status": outcome.status, "details": outcome.details}


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


def created_by() -> dict[str, str] | None:
    """Give the automation that the request says it comes from, if it does."""
    id, name = request.headers.get("Prefect-Automation-Id"), request.headers.get("Prefect-Automation-Name")
    try:
        id = id and str(UUID(id))
    except ValueError:
        problem = {"type": "value_error", "loc": ["header", "prefect-automation-id"], "msg": "Not a valid UUID.", "input": id}
        raise Invalid([problem]) from None
    try:
        display_value = b64decode(name or "").decode()
    except ValueError:
        return None
    return {"id": id, "type": "AUTOMATION", "display_value": display_value} if id and display_value else None
