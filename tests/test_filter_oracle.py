"""What a filter finds, in which order, is what plain Python finds among the same rows."""

import re
from datetime import datetime
from random import Random
from typing import Any

import pytest

import schemas.deployments
import schemas.flow_runs
import schemas.flows
import schemas.task_runs
import schemas.work_pools
import schemas.work_queues
import sql
from sql.database import connect
from sql.filters import RESOURCES, compose, sort_by
from tests.filter_requests import make_request
from tests.filter_rows import Rows, make_rows, write_rows

SEED = 7
REQUESTS = 800
SCHEMAS = {
    "flows": schemas.flows.FlowsFilter,
    "flow_runs": schemas.flow_runs.FlowRunsFilter,
    "task_runs": schemas.task_runs.TaskRunsFilter,
    "deployments": schemas.deployments.DeploymentsFilter,
    "work_pools": schemas.work_pools.WorkPoolsFilter,
    "work_queues": schemas.work_queues.WorkQueuesFilter,
}
# How rows of one resource are found from those of another: the columns that are equal.
LINKS = {
    ("flows", "flow_runs"): ("id", "flow_id"),
    ("flows", "deployments"): ("id", "flow_id"),
    ("flow_runs", "flows"): ("flow_id", "id"),
    ("flow_runs", "task_runs"): ("id", "flow_run_id"),
    ("flow_runs", "deployments"): ("deployment_id", "id"),
    ("flow_runs", "work_queues"): ("work_queue_id", "id"),
    ("task_runs", "flow_runs"): ("flow_run_id", "id"),
    ("deployments", "flows"): ("flow_id", "id"),
    ("deployments", "flow_runs"): ("id", "deployment_id"),
    ("deployments", "work_queues"): ("work_queue_id", "id"),
    ("work_queues", "work_pools"): ("work_pool_id", "id"),
}
# Criteria that hold for a row are those of one and the same row on the way.
ROADS = {
    "flows": ("flow_runs", "flow_runs task_runs", "deployments", "deployments work_queues work_pools"),
    "flow_runs": ("flows", "task_runs", "deployments", "work_queues", "work_queues work_pools"),
    "task_runs": ("flow_runs", "flow_runs flows", "flow_runs deployments"),
    "deployments": ("flows", "flow_runs", "flow_runs task_runs", "work_queues", "work_queues work_pools"),
    "work_pools": (),
    "work_queues": (),
}


def table(rows: Rows, resource: str) -> list[dict[str, Any]]:
    """Give the rows of a resource."""
    return rows[resource.removesuffix("s")]


def is_found(resource: str, row: dict, criteria: dict[str, dict], roads: list[list[str]], rows: Rows) -> bool:
    """Tell whether a row matches, and so do rows at the ends of the roads that lead to resources with criteria."""
    if resource in criteria and not matches(resource, row, criteria[resource], (), rows):
        return False
    roads = [road for road in roads if road and road[-1] in criteria]
    for step in {road[0] for road in roads}:
        mine, its = LINKS[resource, step]
        beyond = [road[1:] for road in roads if road[0] == step]
        here = criteria if [] in beyond else {key: chosen for key, chosen in criteria.items() if key != step}
        linked = [other for other in table(rows, step) if row[mine] is not None and other[its] == row[mine]]
        if not any(is_found(step, other, here, beyond, rows) for other in linked):
            return False
    return True


def matches(resource: str, row: dict, chosen: dict[str, Any], path: tuple[str, ...], rows: Rows) -> bool:
    """Tell whether a row is as an object of criteria says; one that says nothing is true of every row."""
    found = []
    for key, value in chosen.items():
        if key == "operator" or value is None or (*path, key) == ("concurrency_limit",):
            continue
        if isinstance(value, dict):
            says_nothing = not any(inner is not None and (name, inner) != ("not_any_", []) for name, inner in value.items())
            if not (path == ("state",) and says_nothing):
                found.append(matches_object(resource, row, value, (*path, key), rows))
        elif not (value in ("", []) and key in ("like_", "all_", "not_any_", "startswith_")):
            found.append(holds(key, value, value_at(resource, row, path, key, rows)))
    join = any if chosen.get("operator") == "or_" else all
    return join(found) if found else True


def matches_object(resource: str, row: dict, chosen: dict, path: tuple[str, ...], rows: Rows) -> bool:
    """Tell whether a row is as the object of a field says."""
    if (resource, path) == ("task_runs", ("flow_run_id",)):
        is_null = chosen.get("is_null_", False)
        if is_null or chosen.get("any_") is None:
            return is_null is None or (row["flow_run_id"] is None) == is_null
        return row["flow_run_id"] in chosen["any_"]
    return matches(resource, row, chosen, path, rows)


def value_at(resource: str, row: dict, path: tuple[str, ...], operator: str, rows: Rows) -> Any:
    """Give the value of a row that an operator at a path is about; where there are several, a tuple of them."""
    field = path[0]
    if field == "state":
        return row[f"state_{path[1]}"]
    if field == "deployment":
        return next((deployment["id"] for deployment in rows["deployment"] if deployment["flow_id"] == row["id"]), None)
    if (resource, field) == ("flow_runs", "start_time") and operator != "is_null_":
        return row["start_time"] or row["expected_start_time"]
    if field == "parent_flow_run_id":
        return next((task["flow_run_id"] for task in rows["task_run"] if task["id"] == row["parent_task_run_id"]), None)
    if field == "subflow_runs":
        return any(run["parent_task_run_id"] == row["id"] for run in rows["flow_run"])
    if field == "flow_or_deployment_name":
        return (row["name"], *(flow["name"] for flow in rows["flow"] if flow["id"] == row["flow_id"]))
    if field == "created_by" and operator != "is_null_":
        return row["created_by"] and row["created_by"][operator.rstrip("_")]
    return row[field]


def holds(operator: str, wanted: Any, value: Any) -> bool:
    """Tell whether an operator holds for a value; of nothing, nothing holds but that it is null."""
    if operator == "is_null_":
        return (value is None or value == []) == wanted
    if value is None:
        return False
    if operator in ("eq_", "exists_"):
        return value == wanted
    if operator in ("any_", "id_", "type_"):
        return bool(set(wanted) & set(value)) if isinstance(value, list) else value in wanted
    if operator == "not_any_":
        return value not in wanted
    if operator == "all_":
        return set(wanted) <= set(value)
    if operator == "like_":
        return any(is_like(text, f"%{wanted}%") for text in (value if isinstance(value, tuple) else (value,)))
    if operator == "startswith_":
        return any(is_like(value, f"{beginning}%") for beginning in wanted)
    moment = datetime.fromisoformat(wanted)
    return {"before_": value <= moment, "after_": value >= moment}[operator]


def is_like(text: str, pattern: str) -> bool:
    """Tell whether a text is like a pattern of SQL, whatever the case of letters."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    expression = "".join({"%": ".*", "_": "."}.get(part, re.escape(part[-1])) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL | re.IGNORECASE) is not None


def in_order(resource: str, sort: str, found: list[dict]) -> list[dict]:
    """Sort rows; nulls count as the greatest, and of rows with equal keys the id decides, in the same direction."""
    column, _, direction = sort.rpartition("_")
    keys = {"START_TIME": ("start_time", "expected_start_time")}.get(column, (column.lower(),))

    def place(row: dict) -> tuple:
        value = next((row[key] for key in keys if row[key] is not None), None)
        return (value is None, "" if value is None else value, row["id"])

    return sorted(found, key=place, reverse=direction == "DESC")


def expected(resource: str, body: dict[str, Any], sort: str, rows: Rows) -> tuple[int, list[str]]:
    """Give how many rows a request finds in all, and the ids of the part that it asks for."""
    criteria = {
        {"work_pool_queues": "work_queues"}.get(key, key): value for key, value in body.items() if isinstance(value, dict)
    }
    roads = [road.split() for road in ROADS[resource]]
    found = in_order(resource, sort, [row for row in table(rows, resource) if is_found(resource, row, criteria, roads, rows)])
    return len(found), [row["id"] for row in found[body["offset"] :][: body["limit"]]]


@pytest.fixture(scope="module")
def rows(module_database) -> Rows:
    """Rows, and in the database the same."""
    rows = make_rows(SEED)
    with connect(module_database) as conn:
        write_rows(conn, rows)
    return rows


@pytest.mark.parametrize("resource", SCHEMAS)
def test_finds_what_plain_python_finds(conn, rows, resource):
    choice, schema, statements = Random(f"{SEED} {resource}"), SCHEMAS[resource](), getattr(sql, resource)
    total, counts = len(table(rows, resource)), []
    for _ in range(REQUESTS):
        body = make_request(choice, SCHEMAS[resource], resource, rows)
        sort = body.get("sort") or choice.choice(list(RESOURCES[resource].sort))
        count, ids = expected(resource, body, sort, rows)
        asked = schema.load(body)
        asked.pop("sort", None)
        part = {name: asked.pop(name) for name in ("limit", "offset")}
        chosen = compose(resource, **asked)
        found = statements.page(conn, filter=chosen, sort=sort_by(resource, sort), **part)
        assert [row["id"] for row in found] == ids, f"{sort} {body}"
        if hasattr(statements, "count"):
            assert statements.count(conn, filter=chosen) == count, str(body)
        counts.append(count)
    assert sum(0 < count < total for count in counts) > REQUESTS / 5, "requests are to find some"
