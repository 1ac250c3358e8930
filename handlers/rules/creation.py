"""Creating runs: the run and its first state in one transaction; once, however often it is asked for.

The statements of a plain flow run go out in one round trip. A run that may exist already is asked for first.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

import sql
from handlers.domain.names import generate_name
from handlers.errors import require
from handlers.rules.orchestration import make_state, write_flow_run_state, write_task_run_state
from handlers.rules.transition import Transition
from schemas.state_types import PENDING
from schemas.states import NO_DETAILS
from sql.ids import derived, uuid7

FIRST = {"type": PENDING, "name": None, "message": None, "data": None, "state_details": NO_DETAILS}
"""The state of a run that is created without one."""


def create_flow_run(conn: Connection, run: Mapping[str, Any], created_by: dict | None = None) -> tuple[bytes, bool]:
    """Create a flow run with its first state, from the validated fields of a FlowRunCreate; no rule applies.

    One that is made from a deployment has `deployment_version` and `work_queue_id` as well, and no `work_pool_name`.
    Gives its document and whether it is new: with an idempotency key that the flow's runs have already, it is that run.
    Raises NotFound for an unknown work pool or queue; unknown flows break a foreign key.
    """
    key = run["idempotency_key"]
    id = uuid7() if key is None else derived("flow_run", run["flow_id"], key)
    default = None if key and "deployment_version" not in run else {}  # as Prefect stores it
    columns = {**run, "id": id, "name": run["name"] or generate_name(), "job_variables": run["job_variables"] or default}
    state, pool = columns.pop("state") or FIRST, columns.pop("work_pool_name", None)
    columns.setdefault("deployment_version", None)
    columns.setdefault("work_queue_id", read_work_queue(conn, pool, run["work_queue_name"]) if pool else None)
    inserted = sql.flow_run_transitions.create_run.send(conn, **columns, created_by=created_by)
    if (key is not None or run["parent_task_run_id"]) and not inserted.result():
        return sql.flow_run_transitions.read_run(conn, id=id, flow_id=run["flow_id"], idempotency_key=key), False
    write_flow_run_state(conn, first_transition({**columns, "run_count": 0}, state))
    document = sql.flow_run_transitions.read_run(conn, id=id, flow_id=run["flow_id"], idempotency_key=key)
    return document, True


def create_task_run(conn: Connection, run: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Create a task run with its first state, as create_flow_run; its keys within its flow run make it the same run."""
    columns = {**run, "id": run["id"] or uuid7(), "name": run["name"] or generate_name()}
    state = columns.pop("state") or FIRST
    keys = {key: run[key] for key in ("task_key", "dynamic_key")}
    if run["flow_run_id"] is None:
        sql.task_run_transitions.lock_keys.send(conn, **keys)
    inserted = sql.task_run_transitions.create_run.send(conn, **columns)
    is_new = inserted.result() == 1
    if is_new:
        write_task_run_state(conn, first_transition(columns, state))
    document = sql.task_run_transitions.read_run(conn, id=columns["id"], flow_run_id=run["flow_run_id"], **keys)
    return document, is_new


def first_transition(run: Mapping[str, Any], state: Mapping[str, Any]) -> Transition:
    """Make the transition of a new run into its first state; without a time of its own it is the transaction's."""
    return Transition(run, None, make_state(state), now=None)


def read_work_queue(conn: Connection, pool: str, queue: str | None) -> Any:
    """Give the id of a pool's queue, or of its default queue. Raises NotFound."""
    id = sql.flow_run_transitions.read_work_queue(conn, work_pool_name=pool, work_queue_name=queue)
    require(id, f"Work queue {queue!r} of work pool {pool!r}" if queue else f"Work pool {pool!r}")
    return id
