"""Prefect's own server and Downbeat answer the same on one database: lists by random criteria, in every order, part by part.

DOWNBEAT_DIFFERENTIAL=full sends many more requests.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from itertools import groupby
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

import schemas.deployments
import schemas.flow_runs
import schemas.flows
import schemas.logs
import schemas.task_runs
import schemas.work_pools
import schemas.work_queues
from sql.database import connect
from tests import downbeat_server, prefect_server
from tests.differential import Step
from tests.differential.compare import Pairing, body_differences
from tests.differential.exchange import Answer, Side
from tests.filter_requests import make_request
from tests.filter_rows import Rows, make_rows, write_rows

SEED = 20250101
REQUESTS = 100 if os.environ.get("DOWNBEAT_DIFFERENTIAL") == "full" else 12
# Those that depend on the time of asking.
MOVING = ("estimated_run_time", "estimated_start_time_delta")
NULLABLE = {
    "EXPECTED_START_TIME": ("expected_start_time",),
    "NEXT_SCHEDULED_START_TIME": ("next_scheduled_start_time",),
    "START_TIME": ("start_time", "expected_start_time"),
    "END_TIME": ("end_time",),
}
OPERATIONS = {
    "flows/filter": ("flows", schemas.flows.FlowsFilter),
    "flows/count": ("flows", schemas.flows.FlowCriteria),
    "flows/paginate": ("flows", schemas.flows.FlowsPaginate),
    "flow_runs/filter": ("flow_runs", schemas.flow_runs.FlowRunsFilter),
    "flow_runs/count": ("flow_runs", schemas.flow_runs.FlowRunCriteria),
    "flow_runs/paginate": ("flow_runs", schemas.flow_runs.FlowRunsPaginate),
    "task_runs/filter": ("task_runs", schemas.task_runs.TaskRunsFilter),
    "task_runs/count": ("task_runs", schemas.task_runs.TaskRunCriteria),
    "task_runs/paginate": ("task_runs", schemas.task_runs.TaskRunsPaginate),
    "deployments/filter": ("deployments", schemas.deployments.DeploymentsFilter),
    "deployments/count": ("deployments", schemas.deployments.DeploymentCriteria),
    "deployments/paginate": ("deployments", schemas.deployments.DeploymentsPaginate),
    "work_pools/filter": ("work_pools", schemas.work_pools.WorkPoolsFilter),
    "work_pools/count": ("work_pools", schemas.work_pools.WorkPoolCriteria),
    "work_queues/filter": ("work_queues", schemas.work_queues.WorkQueuesFilter),
    "work_pools/{pool}/queues/filter": ("work_queues", schemas.work_queues.WorkQueuesFilter),
    "work_pools/{pool}/workers/filter": ("workers", schemas.work_pools.WorkersFilter),
    "logs/filter": ("logs", schemas.logs.LogsFilter),
}


class Shared(NamedTuple):
    """Both servers and the rows that their database holds."""

    prefect: Side
    downbeat: Side
    rows: Rows


@pytest.fixture(scope="module")
def shared(module_database) -> Iterator[Shared]:
    """Both servers on one database, neither of which does anything by itself."""
    rows = make_rows(SEED)
    with connect(module_database) as conn:
        write_rows(conn, rows)
        before = conn.execute("TABLE alembic_version").fetchall()
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(prefect_server.running(module_database)),
            stack.enter_context(downbeat_server.running(module_database, workers=1)),
        ]
        yield Shared(*(stack.enter_context(contextlib.closing(Side(server.api))) for server in servers), rows)
    with connect(module_database) as conn:
        assert conn.execute("TABLE alembic_version").fetchall() == before


def ask(side: Side, path: str, body: Any) -> Answer:
    """Send a body as it is."""
    side.saved = {}
    side.unique = "no such word"
    return side.send(Step("POST", path, raw=json.dumps(body).encode()))


def is_misread(body: dict) -> bool:
    """Tell whether Prefect takes criteria for others than those that they say, which Downbeat does not repeat.

    It passes over names or types of states that must be some and must not be others; under or_ it takes a text query apart,
    and passes over names of queues with an empty list of beginnings, where else such a list holds for all.
    """
    state, logs = (body.get("flow_runs", {}).get("state") or {}), body.get("logs", {})
    asked = [state.get("type") or {}, state.get("name") or {}]
    queues = body.get("work_pool_queues") or body.get("work_queues") or {}
    return (
        any(criteria.get("any_") is not None and criteria.get("not_any_") for criteria in asked)
        or (logs.get("operator") == "or_" and bool(logs.get("text")))
        or (queues.get("operator") == "or_" and (queues.get("name") or {}).get("startswith_") == [])
    )


def comparable(body: Any, sort: str, is_whole: bool, rows: dict[str, dict]) -> Any:
    """Leave out of an answer what means nothing: what depends on the time of asking, and the order of rows whose sort key is
    null; in a part of a list that they share with others it is their number that counts."""
    if isinstance(body, dict) and "results" in body:
        return body | {"results": comparable(body["results"], sort, is_whole, rows)}
    if not isinstance(body, list):
        return body
    columns = NULLABLE.get(sort.rpartition("_")[0])
    found: list[Any] = []
    for is_null, group in groupby(body, lambda row: columns and all(rows[row["id"]][column] is None for column in columns)):
        kept = [{key: value for key, value in row.items() if key not in MOVING} for row in group]
        found += kept if not is_null else sorted(kept, key=lambda row: row["id"]) if is_whole else [len(kept)]
    return found


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_servers_answer_the_same(shared, operation):
    own, schema = OPERATIONS[operation]
    rows = {row["id"]: row for row in shared.rows[own.removesuffix("s")]}
    choice = Random(f"{SEED} {operation}")
    different, found = [], []
    for _ in range(REQUESTS):
        path = "/" + operation.replace("{pool}", quote(choice.choice(shared.rows["work_pool"])["name"]))
        body = make_request(choice, schema, own, shared.rows)
        while is_misread(body):
            body = make_request(choice, schema, own, shared.rows)
        is_whole = body["limit"] == 200 and not body.get("offset") and body.get("page", 1) == 1
        theirs, ours = (ask(side, path, body) for side in (shared.prefect, shared.downbeat))
        found.append(json.dumps(theirs.body))
        pair = [comparable(answer.body, body.get("sort", ""), is_whole, rows) for answer in (theirs, ours)]
        if theirs.status != 200 or ours.status != 200 or pair[0] != pair[1]:
            lines = list(body_differences("", *pair, (), Pairing({}, {}, set())))[:3]
            different.append(
                f"{path} {json.dumps(body)} {theirs.status} {ours.status}: " + "".join(f"\n    {line[:300]}" for line in lines)
            )
    assert not different, f"{len(different)} of {len(found)}\n" + "\n".join(different[:10])
    assert len(set(found)) > 1, "requests are to find different things"
