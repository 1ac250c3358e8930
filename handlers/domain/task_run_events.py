"""Task runs from events: what clients do not ask the server about, they tell in `prefect.task-run.*` events.

A run is written as the newest of its events says, by the time of the state; every state is kept, under its event's id. So
events may come twice and in any order. Observed on Prefect 3.8.3: no rules are applied; a run is known by its id or, inside
a flow run, by task_key and dynamic_key, and the id that was stored first stands.
"""

import logging
from datetime import datetime
from typing import Any

from marshmallow import ValidationError
from psycopg import Connection

import sql
from handlers.domain.slots import send_give_back
from schemas.events import STATE, TASK_RUN, read_fields
from schemas.state_types import TERMINAL
from schemas.states import read_id

log = logging.getLogger("downbeat.events")

POLICY = {"retries": None, "max_retries": 0, "retry_delay": None, "retry_delay_seconds": 0.0, "retry_jitter_factor": None}


def read_task_run(event: dict[str, Any]) -> dict[str, Any] | None:
    """Give the task run and the state that an event tells of; None if it tells of none.

    The server's own events of task runs say orchestration `server`; what they tell is stored already. Raises
    ValidationError for an event that should tell of a task run but does not do so properly.
    """
    resource = event["resource"]
    if not event["event"].startswith("prefect.task-run") or resource.get("prefect.orchestration") != "client":
        return None
    payload = event["payload"]
    state = read_fields(payload.get("validated_state"), STATE)
    run = read_fields(payload.get("task_run"), TASK_RUN)
    run["id"] = read_object_id(resource, "prefect.task-run.")
    flow_run = next((item for item in event["related"] if item["prefect.resource.role"] == "flow-run"), None)
    run["flow_run_id"] = flow_run and read_object_id(flow_run, "prefect.flow-run.")
    run["empirical_policy"] = POLICY | run["empirical_policy"]
    run["state_id"], run["state_timestamp"], run["state_type"] = event["id"], event["occurred"], state["type"]
    run["state_name"] = state["name"] = state["name"] or state["type"].capitalize()
    if state["type"] == "SCHEDULED" and not state["state_details"]["scheduled_time"]:
        state["state_details"] = state["state_details"] | {"scheduled_time": event["occurred"]}
    return {"run": run, "state": state}


def read_object_id(resource: dict[str, str], prefix: str) -> str:
    """Give the UUID in a resource's id. Raises ValidationError if there is none after the prefix."""
    resource_id = resource["prefect.resource.id"]
    try:
        return read_id(resource_id.removeprefix(prefix))
    except ValueError:
        raise ValidationError({"prefect.resource.id": [f"Not {prefix}<UUID>."]}) from None


def record_task_runs(conn: Connection, told: list[dict[str, Any]]) -> None:
    """Write the task runs and states that `read_task_run` gave, in a few statements for any number of them.

    Task runs of flow runs that are gone are left out; their events remain. What a task run holds goes back when it ends, by the
    id that its client has taken it with, and not what is taken for it later, should this event come late.
    """
    ended: dict[str, datetime] = {}
    for run in (item["run"] for item in told if item["state"]["type"] in TERMINAL):
        ended[run["id"]] = max(run["state_timestamp"], ended.get(run["id"], run["state_timestamp"]))
    told = keep_recordable(conn, told)
    newest: dict[str, dict[str, Any]] = {}
    states = []
    for item in told:
        run, state = item["run"], item["state"]
        known = newest.get(run["id"])
        if known is None or known["state_timestamp"] < run["state_timestamp"]:
            newest[run["id"]] = run
        details = state["state_details"] | {"flow_run_id": run["flow_run_id"], "task_run_id": run["id"]}
        identity = {"id": run["state_id"], "task_run_id": run["id"], "timestamp": run["state_timestamp"]}
        states.append({**state, **identity, "state_details": details})
    if states:
        sql.task_run_events.upsert.send(conn, task_runs=list(newest.values()))
        sql.task_run_events.create_states.send(conn, states=states)
    if ended:
        send_give_back(conn, holder_ids=list(ended), ended=list(ended.values()))


def keep_recordable(conn: Connection, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out task runs whose flow run is gone, and give those that are known by another id that one."""
    runs = list({item["run"]["id"]: item["run"] for item in told if item["run"]["flow_run_id"]}.values())
    if not runs:
        return told
    columns = ("id", "flow_run_id", "task_key", "dynamic_key")
    locked = sql.task_run_events.lock_flow_runs.send(conn, flow_run_ids=list({run["flow_run_id"] for run in runs}))
    known = sql.task_run_events.find_known(conn, **{f"{column}s": [run[column] for run in runs] for column in columns})
    flow_runs = {None, *(str(row["id"]) for row in locked.result())}
    ids = {str(row["given_id"]): str(row["id"]) for row in known}
    kept = []
    for item in told:
        run = item["run"]
        if run["flow_run_id"] in flow_runs:
            kept.append({**item, "run": {**run, "id": ids[run["id"]]}} if run["id"] in ids else item)
        else:
            log.warning("task run %s is not recorded: there is no flow run %s", run["id"], run["flow_run_id"])
    return kept
