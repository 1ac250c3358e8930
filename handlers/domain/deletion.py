"""Deletion of flow runs and of flows with all that belongs to them.

Locks are taken in the order that transitions take them in: deployments, flow runs, task runs, limits; of one kind by id. What
is deleted is locked before the first row goes, so a deletion waits for those that are at work on it and nobody waits for
something else.
"""

from typing import Any

from psycopg import Connection

import sql
from handlers.domain.slots import release_flow_runs

# Runs that one statement deletes: 5,000 with two task runs and five logs each take a second, and a minute is the limit.
BATCH = 5000


def delete_flow_runs(conn: Connection, ids: list[str]) -> set[str]:
    """Delete flow runs with their task runs, states, inputs and logs, and give back their slots; give the ids of those that
    were there."""
    sql.flow_runs.lock_many.send(conn, ids=ids)
    sql.task_runs.lock_many.send(conn, flow_run_ids=ids)
    return delete_locked(conn, ids)


def delete_flows(conn: Connection, ids: list[str]) -> list[dict[str, Any]]:
    """Delete flows with their runs and deployments, and give what the events of those tell that were there."""
    sql.flows.lock_deployments.send(conn, ids=ids)
    delete_runs_of_flows(conn, ids)
    flows = sql.flows.lock(conn, ids=ids)
    deployments = sql.flows.lock_deployments.send(conn, ids=ids)  # with those, and their runs, made before the flow was locked
    delete_runs_of_flows(conn, ids)
    sql.deployments.delete.send(conn, ids=deployments.result() or [])
    sql.flows.delete.send(conn, ids=ids)
    return flows


def delete_runs_of_flows(conn: Connection, flow_ids: list[str]) -> None:
    """Delete all runs of flows, in batches after all are locked."""
    sql.flows.lock_flow_runs.send(conn, ids=flow_ids)
    sql.flows.lock_task_runs.send(conn, ids=flow_ids)
    sql.flows.lock_limits.send(conn, ids=flow_ids)
    while ids := sql.flows.read_flow_runs(conn, ids=flow_ids, limit=BATCH):
        delete_flow_runs(conn, ids)  # which locks those that have come since, or they would take slots behind our back


def delete_locked(conn: Connection, ids: list[str]) -> set[str]:
    """Delete flow runs that are locked with their task runs, and give the ids of those that were there."""
    release_flow_runs(conn, ids)
    return {str(run["id"]) for run in sql.flow_runs.delete(conn, ids=ids)}
