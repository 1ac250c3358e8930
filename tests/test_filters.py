"""Filters: what an operator means, how operators are joined, and how one resource restricts the list of another."""

import importlib
import warnings
from datetime import datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from marshmallow import Schema, fields

import schemas.artifacts
import schemas.block_documents
import schemas.block_schemas
import schemas.block_types
import schemas.deployments
import schemas.filters
import schemas.flow_runs
import schemas.flows
import schemas.logs
import schemas.task_runs
import schemas.variables
from sql.filters import RESOURCES, compose
from tests.resources import NOBODY, make_flow, make_flow_run, make_task_run, problems, unique

FILTERS = {
    "artifact_collections": schemas.artifacts.ArtifactCollectionFilter,
    "artifacts": schemas.artifacts.ArtifactFilter,
    "block_documents": schemas.block_documents.BlockDocumentFilter,
    "block_schemas": schemas.block_schemas.BlockSchemaFilter,
    "block_types": schemas.block_types.BlockTypeFilter,
    "deployments": schemas.filters.DeploymentFilter,
    "flow_runs": schemas.filters.FlowRunFilter,
    "flows": schemas.filters.FlowFilter,
    "logs": schemas.logs.LogFilter,
    "task_runs": schemas.filters.TaskRunFilter,
    "variables": schemas.variables.VariableFilter,
    "work_pools": schemas.filters.WorkPoolFilter,
    "work_queues": schemas.filters.WorkQueueFilter,
    "workers": schemas.filters.WorkerFilter,
}
# What clients send to find events is brought into another form first.
IN_ANOTHER_FORM = {"events", "event_resources"}
SORTS = {
    "artifact_collections": schemas.artifacts.ARTIFACT_SORTS,
    "artifacts": schemas.artifacts.ARTIFACT_SORTS,
    "block_documents": schemas.block_documents.BLOCK_DOCUMENT_SORTS,
    "deployments": schemas.deployments.DEPLOYMENT_SORTS,
    "flow_runs": schemas.flow_runs.FLOW_RUN_SORTS,
    "flows": schemas.flows.FLOW_SORTS,
    "logs": schemas.logs.LOG_SORTS,
    "task_runs": schemas.task_runs.TASK_RUN_SORTS,
    "variables": schemas.variables.VARIABLE_SORTS,
}
CRITERIA = {
    "artifact_collections": schemas.artifacts.ArtifactCollectionCriteria,
    "artifacts": schemas.artifacts.ArtifactCriteria,
    "block_documents": schemas.block_documents.BlockDocumentCriteria,
    "deployments": schemas.deployments.DeploymentCriteria,
    "flow_runs": schemas.flow_runs.FlowRunCriteria,
    "flows": schemas.flows.FlowCriteria,
    "task_runs": schemas.task_runs.TaskRunCriteria,
}


def paths(schema: Schema, above: str = "") -> set[str]:
    """Give the path of every operator of a filter object."""
    found = set()
    for name, field in schema.fields.items():
        if isinstance(field, fields.Nested):
            found |= paths(field.schema, f"{above}{name}.")
        elif name != "operator":
            found.add(above + name)
    return found


@pytest.fixture(scope="module")
def prefect_filters():
    """The module of Prefect that has its filter objects."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("prefect.server.schemas.filters")


def fields_of_prefect(model: Any, above: str = "") -> dict[str, bool]:
    """Give the path of every field of one of Prefect's filter objects, and whether it may be null."""
    assert model.model_config["extra"] == "forbid"
    found = {}
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        nested = [kind for kind in kinds if hasattr(kind, "model_fields")]
        found[above + name] = type(None) in kinds
        if nested:
            found |= fields_of_prefect(nested[0], f"{above}{name}.")
    return found


def fields_of_ours(schema: Schema, above: str = "") -> dict[str, bool]:
    """Give the path of every field of a filter object, and whether it may be null."""
    assert schema.unknown == "raise"
    found = {}
    for name, field in schema.fields.items():
        found[above + name] = field.allow_none
        if isinstance(field, fields.Nested):
            found |= fields_of_ours(field.schema, f"{above}{name}.")
    return found


@pytest.mark.parametrize("resource", FILTERS)
def test_a_filter_object_has_the_fields_that_prefects_has_and_the_same_may_be_null(prefect_filters, resource):
    theirs = getattr(prefect_filters, FILTERS[resource].__name__)
    assert fields_of_ours(FILTERS[resource]()) == fields_of_prefect(theirs)


def test_every_file_of_predicates_has_its_filter_object():
    assert set(FILTERS) | IN_ANOTHER_FORM == set(RESOURCES)


@pytest.mark.parametrize("resource", FILTERS)
def test_every_operator_has_its_predicate_and_every_predicate_its_operator(resource):
    assert paths(FILTERS[resource]()) == set(RESOURCES[resource].predicate)


@pytest.mark.parametrize("resource", SORTS)
def test_every_sort_has_its_order_and_every_order_its_sort(resource):
    assert set(SORTS[resource]) == {name.rpartition(".")[2] for name in RESOURCES[resource].sort}


@pytest.mark.parametrize("resource", CRITERIA)
def test_every_resource_that_a_list_can_be_restricted_by_is_reached(resource):
    reached = {resource, *RESOURCES[resource].via, *RESOURCES[resource].through}
    assert set(CRITERIA[resource]().fields) <= reached


def test_what_a_client_sends_is_in_the_parameters_only():
    chosen = compose("flows", flows={"name": {"any_": ["'; DROP TABLE flow; --", "other"]}})
    assert "DROP" not in chosen.text
    assert chosen.parameters == {"flows.name.any_": ["'; DROP TABLE flow; --", "other"]}


def test_one_of_a_single_value_is_equal_to_it():
    chosen = compose("flows", flows={"name": {"any_": ["'; DROP TABLE flow; --"]}})
    assert "(flow.name = %(flows.name.any_)s::text)" in chosen.text
    assert chosen.parameters == {"flows.name.any_": "'; DROP TABLE flow; --"}


def test_nothing_given_restricts_nothing():
    assert compose("flows").text == "TRUE"
    assert compose("flows", flows=None, flow_runs=None).text == "TRUE"
    assert "EXISTS" in compose("flows", flow_runs={}).text


class Runs:
    """Five flow runs of a flow of their own: what a filter finds among them, by name."""

    def __init__(self, client):
        self.client, self.flow = client, make_flow(client)
        now = datetime.now(timezone.utc)
        later = {"type": "SCHEDULED", "state_details": {"scheduled_time": (now + timedelta(hours=1)).isoformat()}}
        self.run("plain")
        self.run("running", state={"type": "RUNNING"}, tags=["a"])
        self.run("tagged", tags=["a", "b"], flow_version="7", idempotency_key=unique("key"))
        self.run("scheduled", state=later, work_queue_name="here")
        self.run("completed", state={"type": "COMPLETED", "name": "Done"})
        self.middle = now + timedelta(minutes=30)

    def run(self, name, **fields):
        setattr(self, name, make_flow_run(self.client, self.flow, name=name, **fields))

    def find(self, sort="NAME_ASC", **criteria) -> str:
        chosen = {"flows": {"id": {"any_": [self.flow["id"]]}}, "sort": sort, **criteria}
        answer = self.client.post("/api/flow_runs/filter", json=chosen)
        assert answer.status_code == 200, answer.text
        counted = self.client.post("/api/flow_runs/count", json=chosen)
        assert counted.json == len(answer.json)
        return " ".join(run["name"] for run in answer.json)


@pytest.fixture(scope="module")
def runs(client) -> Runs:
    return Runs(client)


EVERY = "completed plain running scheduled tagged"
FOUND = [
    ({}, EVERY),
    ({"name": {"any_": ["plain", "tagged", "nobody"]}}, "plain tagged"),
    ({"name": {"any_": []}}, ""),
    ({"name": {"like_": "LA"}}, "plain"),
    ({"name": {"like_": ""}}, EVERY),
    ({"name": {"any_": None}}, EVERY),
    ({"id": {"any_": [NOBODY]}}, ""),
    ({"id": {"not_any_": [NOBODY]}}, EVERY),
    ({"id": {"not_any_": []}}, EVERY),
    ({"tags": {"all_": ["a"]}}, "running tagged"),
    ({"tags": {"all_": ["a", "b"]}}, "tagged"),
    ({"tags": {"all_": []}}, EVERY),
    ({"tags": {"any_": ["b", "c"]}}, "tagged"),
    ({"tags": {"any_": []}}, ""),
    ({"tags": {"is_null_": True}}, "completed plain scheduled"),
    ({"tags": {"is_null_": False}}, "running tagged"),
    ({"tags": {"operator": "or_", "any_": ["b"], "is_null_": True}}, "completed plain scheduled tagged"),
    ({"tags": {"operator": "or_", "all_": [], "any_": ["b"]}}, "tagged"),
    ({"state": {"type": {"any_": ["RUNNING", "SCHEDULED"]}}}, "running scheduled"),
    ({"state": {"type": {"not_any_": ["RUNNING", "SCHEDULED"]}}}, "completed plain tagged"),
    ({"state": {"name": {"any_": ["Done"]}}}, "completed"),
    ({"state": {"name": {"not_any_": ["Done", "Pending"]}}}, "running scheduled"),
    ({"state": {"operator": "or_", "type": {"any_": ["RUNNING"]}, "name": {"any_": ["Done"]}}}, "completed running"),
    ({"operator": "or_", "name": {"any_": ["plain"]}, "tags": {"any_": ["b"]}}, "plain tagged"),
    ({"operator": "or_", "name": {"any_": ["plain"]}, "tags": {}}, EVERY),
    ({"operator": "or_", "name": {"any_": ["plain"]}, "tags": None}, "plain"),
    ({"operator": "or_", "name": {"any_": ["plain"]}, "state": {"type": {}}}, EVERY),
    ({"state": {"operator": "or_", "name": {"any_": ["Done"]}, "type": {}}}, "completed"),
    ({"state": {"type": {"any_": ["RUNNING", "COMPLETED"], "not_any_": ["COMPLETED"]}}}, "running"),
    ({"flow_version": {"any_": ["7"]}}, "tagged"),
    ({"work_queue_name": {"any_": ["here"]}}, "scheduled"),
    ({"work_queue_name": {"is_null_": True}}, "completed plain running tagged"),
    ({"deployment_id": {"is_null_": True}}, EVERY),
    ({"deployment_id": {"any_": [NOBODY]}}, ""),
    ({"start_time": {"is_null_": False}}, "completed running"),
    ({"end_time": {"is_null_": False}}, "completed"),
    ({"idempotency_key": {"not_any_": ["x"]}}, "tagged"),
    ({"parent_task_run_id": {"is_null_": True}}, EVERY),
    ({"parent_flow_run_id": {"any_": [NOBODY]}}, ""),
    ({"created_by": {"is_null_": True}}, EVERY),
    ({"created_by": {"id_": [NOBODY], "type_": ["SCHEDULE"]}}, ""),
]


@pytest.mark.parametrize(("criteria", "found"), FOUND, ids=lambda value: value if isinstance(value, str) else str(value)[1:60])
def test_flow_runs_are_found_by(runs, criteria, found):
    assert runs.find(flow_runs=criteria) == found


@pytest.mark.parametrize("field", ["start_time", "expected_start_time"])
def test_a_run_that_has_not_started_counts_as_starting_when_it_is_expected(runs, field):
    assert runs.find(flow_runs={field: {"after_": runs.middle.isoformat()}}) == "scheduled"
    assert runs.find(flow_runs={field: {"before_": runs.middle.isoformat()}}) == "completed plain running tagged"


def test_limits_of_a_time_are_inclusive(runs):
    exactly = runs.scheduled["next_scheduled_start_time"]
    assert runs.find(flow_runs={"next_scheduled_start_time": {"before_": exactly, "after_": exactly}}) == "scheduled"


def test_criteria_of_another_resource_ask_for_a_row_of_it_even_when_empty(client, runs):
    assert runs.find(flows={"id": {"any_": [runs.flow["id"]]}}) == EVERY
    assert runs.find(flows={"id": {"any_": [NOBODY]}}) == ""
    task_run = make_task_run(client, runs.plain, name="inside")
    assert runs.find(task_runs={}) == "plain"
    assert runs.find(task_runs={"name": {"any_": ["inside"]}}) == "plain"
    assert runs.find(task_runs={"name": {"any_": ["outside"]}}) == ""
    for other in ("deployments", "work_pools", "work_pool_queues"):
        assert runs.find(**{other: {}}) == ""
        assert runs.find(**{other: None}) == EVERY
    client.delete(f"/api/task_runs/{task_run['id']}")


def test_criteria_reached_through_the_same_resource_must_hold_for_one_row_of_it(client):
    flow = make_flow(client)
    with_task, _ = make_flow_run(client, flow, name="first"), make_flow_run(client, flow, name="second")
    make_task_run(client, with_task, name="inside")
    chosen = {"flows": {"id": {"any_": [flow["id"]]}}, "task_runs": {"name": {"any_": ["inside"]}}}
    for name, count in (("first", 1), ("second", 0)):
        criteria = {**chosen, "flow_runs": {"name": {"any_": [name]}}}
        assert client.post("/api/flows/count", json=criteria).json == count


def test_subflows_are_found_by_the_flow_run_that_called_them(client, runs):
    task_run = make_task_run(client, runs.running)
    child = make_flow_run(client, name="child", parent_task_run_id=task_run["id"])
    chosen = {"flow_runs": {"parent_flow_run_id": {"any_": [runs.running["id"]]}}}
    assert [run["id"] for run in client.post("/api/flow_runs/filter", json=chosen).json] == [child["id"]]
    for exists, ids in ((True, [task_run["id"]]), (False, [])):
        chosen = {"task_runs": {"id": {"any_": [task_run["id"]]}, "subflow_runs": {"exists_": exists}}}
        assert [run["id"] for run in client.post("/api/task_runs/filter", json=chosen).json] == ids
    client.delete(f"/api/task_runs/{task_run['id']}")


def test_task_runs_are_found_by_whether_they_have_a_flow_run(client):
    flow_run = make_flow_run(client)
    key = unique("task")
    inside, alone = make_task_run(client, flow_run, name=key), make_task_run(client, name=key)

    def find(**criteria) -> set[str]:
        answer = client.post("/api/task_runs/filter", json={"task_runs": {"name": {"any_": [key]}, "flow_run_id": criteria}})
        return {run["id"] for run in answer.json}

    assert find(is_null_=True) == {alone["id"]}
    assert find(is_null_=True, any_=[flow_run["id"]]) == {alone["id"]}
    assert find(any_=[flow_run["id"]]) == {inside["id"]}
    assert find() == {inside["id"]}
    assert find(is_null_=None) == {inside["id"], alone["id"]}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"flow_runs": {"bogus": 1}}, "body.flow_runs.bogus"),
        ({"flow_runs": []}, "body.flow_runs"),
        ({"flow_runs": {"id": {"any_": [1]}}}, "body.flow_runs.id.any_.0"),
        ({"flow_runs": {"id": {"any_": "x"}}}, "body.flow_runs.id.any_"),
        ({"flow_runs": {"operator": "nor_"}}, "body.flow_runs.operator"),
        ({"flow_runs": {"operator": None}}, "body.flow_runs.operator"),
        ({"flow_runs": {"state": {"type": {"any_": ["ASLEEP"]}}}}, "body.flow_runs.state.type.any_.0"),
        ({"flow_runs": {"start_time": {"before_": "10000-01-01T00:00:00Z"}}}, "body.flow_runs.start_time.before_"),
        ({"flow_runs": {"start_time": {"is_null_": 2}}}, "body.flow_runs.start_time.is_null_"),
        ({"flow_runs": {"name": {"like_": "a\0b"}}}, "body.flow_runs.name.like_"),
        ({"work_pool_queues": {"name": {"any_": [None]}}}, "body.work_pool_queues.name.any_.0"),
        ({"sort": "SIZE_DESC"}, "body.sort"),
        ({"limit": 201}, "body.limit"),
        ({"limit": -1}, "body.limit"),
        ({"limit": 10**30}, "body.limit"),
        ({"offset": -1}, "body.offset"),
        ({"offset": 10**30}, "body.offset"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_filter_that_makes_no_sense_is_refused_naming_the_field(client, body, place):
    assert place in problems(client.post("/api/flow_runs/filter", json=body))
