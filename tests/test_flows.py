"""Operations under /flows."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import sql
from sql.database import connect, within
from sql.ids import uuid7
from tests.resources import NOBODY, make_flow, make_flow_run, make_task_run, problems, unique
from tests.waiting import wait_for_waiter

FIELDS = ["id", "created", "updated", "name", "tags", "labels"]


def events_of(client, flow) -> list[tuple]:
    """Give name and payload of the events recorded of a flow, oldest first."""
    from sql.database import connection

    with connection() as conn:
        rows = conn.execute(
            "SELECT event, resource, payload, related FROM events WHERE resource_id = %s ORDER BY occurred, id",
            [f"prefect.flow.{flow['id']}"],
        ).fetchall()
    assert all(row[1]["prefect.resource.name"] == flow["name"] and row[3] == [] for row in rows)
    return [(row[0], row[2]) for row in rows]


def test_a_flow_is_created_once_per_name(client):
    name = unique("flow")
    first = client.post("/api/flows/", json={"name": name, "tags": ["b", "a", "b"], "labels": {"x": 1, "y": True}})
    again = client.post("/api/flows/", json={"name": name, "tags": ["other"]})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert list(first.json) == FIELDS
    assert first.json["tags"] == ["b", "a", "b"]
    assert first.json["labels"] == {"x": 1, "y": True}


def test_a_creation_waits_for_another_of_the_same_name_and_finds_its_flow(client, module_database):
    name, theirs = unique("flow"), uuid7()
    with connect(module_database) as conn, ThreadPoolExecutor() as threads:
        with within(conn):
            sql.flows.create(conn, id=theirs, name=name, tags=[], labels={})
            ours = threads.submit(client.application.test_client().post, "/api/flows/", json={"name": name})
            wait_for_waiter(conn)
        assert ours.result().status_code == 200
        assert ours.result().json["id"] == str(theirs)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": 5}, "body.name"),
        ({"name": "a/b"}, "body.name"),
        ({"name": "a\0b"}, "body.name"),
        ({"name": "".join(map(chr, range(0x4E00, 0x4E00 + 6000)))}, "body.name"),
        ({"name": "x", "tags": None}, "body.tags"),
        ({"name": "x", "tags": [1]}, "body.tags.0"),
        ({"name": "x", "labels": {"a": [1]}}, "body.labels"),
        ({"name": "x", "colour": "red"}, "body.colour"),
        ([], "body"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_flow_that_cannot_be_is_refused_naming_the_field(client, body, place):
    assert place in problems(client.post("/api/flows/", json=body))


def test_a_flow_is_read_by_id_in_either_case_and_by_name(client):
    flow = make_flow(client, name=f"{unique('flow')} with spaces, é and 'quotes'")
    assert client.get(f"/api/flows/{flow['id']}").json == flow
    assert client.get(f"/api/flows/{flow['id'].upper()}").json == flow
    assert client.get(f"/api/flows/name/{flow['name']}").json == flow


@pytest.mark.parametrize("path", [NOBODY, "name/nobody", "nonsense", "name/a%00b", "name/a%2Fb"])
def test_a_flow_that_is_not_there_is_not_found(client, path):
    assert client.get(f"/api/flows/{path}").status_code == 404


def test_a_name_is_not_cut_at_a_nul(client):
    flow = make_flow(client)
    assert client.get(f"/api/flows/name/{flow['name']}%00more").status_code == 404


def test_tags_are_replaced_and_nothing_else(client):
    flow = make_flow(client, tags=["old"], labels={"kept": "yes"})
    path = f"/api/flows/{flow['id']}"
    assert client.patch(path, json={"tags": ["new"]}).status_code == 204
    assert client.get(path).json == {**flow, "tags": ["new"], "updated": client.get(path).json["updated"]}
    assert client.patch(path, json={}).status_code == 204
    assert client.get(path).json["tags"] == ["new"]
    assert problems(client.patch(path, json={"tags": None})) == ["body.tags"]
    assert problems(client.patch(path, json={"name": "other"})) == ["body.name"]
    assert client.patch(f"/api/flows/{NOBODY}", json={"tags": []}).status_code == 404


def test_what_happens_to_a_flow_is_recorded_as_events(client):
    flow = make_flow(client, tags=["a"], labels={"x": "y"})
    client.post("/api/flows/", json={"name": flow["name"]})
    client.patch(f"/api/flows/{flow['id']}", json={"tags": ["b"]})
    client.delete(f"/api/flows/{flow['id']}")
    payload = {"name": flow["name"], "labels": {"x": "y"}}
    assert events_of(client, flow) == [
        ("prefect.flow.created", {**payload, "tags": ["a"]}),
        ("prefect.flow.updated", {**payload, "tags": ["b"]}),
        ("prefect.flow.deleted", {**payload, "tags": ["b"]}),
    ]


def test_a_deleted_flow_takes_its_runs_with_it(client):
    flow = make_flow(client)
    run = make_flow_run(client, flow)
    task_run = make_task_run(client, run)
    assert client.delete(f"/api/flows/{flow['id']}").status_code == 204
    assert client.delete(f"/api/flows/{flow['id']}").status_code == 404
    assert client.get(f"/api/flow_runs/{run['id']}").status_code == 404
    assert client.get(f"/api/task_runs/{task_run['id']}").status_code == 404


def test_many_flows_are_deleted_by_a_filter(client):
    prefix = unique("bulk")
    flows = [make_flow(client, name=f"{prefix}-{number}") for number in range(3)]
    chosen = {"flows": {"name": {"like_": prefix}}}
    assert client.post("/api/flows/bulk_delete", json={**chosen, "limit": 2}).json == {"deleted": [f["id"] for f in flows[:2]]}
    assert client.post("/api/flows/bulk_delete", json=chosen).json == {"deleted": [flows[2]["id"]]}
    assert client.post("/api/flows/bulk_delete", json=chosen).json == {"deleted": []}
    assert [event for event, _ in events_of(client, flows[1])] == ["prefect.flow.created", "prefect.flow.deleted"]
    for limit in (0, 51):
        assert problems(client.post("/api/flows/bulk_delete", json={**chosen, "limit": limit})) == ["body.limit"]


def test_flows_are_listed_in_every_order_and_by_page(client):
    prefix = unique("page")
    flows = [make_flow(client, name=f"{prefix}-{number}") for number in range(3)]
    client.patch(f"/api/flows/{flows[0]['id']}", json={"tags": ["later"]})
    chosen = {"flows": {"name": {"like_": prefix}}}

    def order(**arguments) -> str:
        answer = client.post("/api/flows/filter", json={**chosen, **arguments})
        return "".join(flow["name"][-1] for flow in answer.json)

    assert order() == order(sort="NAME_ASC") == "012"
    assert order(sort="NAME_DESC") == order(sort="CREATED_DESC") == "210"
    assert order(sort="UPDATED_DESC") == "021"
    assert order(limit=1, offset=1) == "1"
    assert order(limit=0) == order(offset=3) == ""
    page = client.post("/api/flows/paginate", json={**chosen, "limit": 2, "page": 2}).json
    assert list(page) == ["results", "count", "limit", "pages", "page"]
    assert page == {"results": [client.get(f"/api/flows/{flows[2]['id']}").json], "count": 3, "limit": 2, "pages": 2, "page": 2}
    nothing = {"results": [], "count": 3, "limit": 0, "pages": 0, "page": 1}
    assert client.post("/api/flows/paginate", json={**chosen, "limit": 0}).json == nothing
    assert problems(client.post("/api/flows/paginate", json={"page": 0})) == ["body.page"]
    assert client.post("/api/flows/count", json=chosen).json == 3


def test_flows_are_found_by_tags_runs_and_whether_they_are_deployed(client):
    prefix = unique("find")
    plain, tagged = make_flow(client, name=f"{prefix}-plain"), make_flow(client, name=f"{prefix}-tagged", tags=["a", "b"])
    run = make_flow_run(client, plain)

    def find(flows: dict | None = None, **others) -> list[str]:
        criteria = {"flows": {"name": {"like_": prefix.upper()}, **(flows or {})}, **others}
        return [flow["name"] for flow in client.post("/api/flows/filter", json=criteria).json]

    assert find({"tags": {"all_": ["a"]}}) == find({"tags": {"is_null_": False}}) == [tagged["name"]]
    assert find({"id": {"not_any_": [plain["id"]]}}) == [tagged["name"]]
    assert find({"deployment": {"is_null_": True}}) == [plain["name"], tagged["name"]]
    assert find({"deployment": {"is_null_": False}}) == find(deployments={}) == find(work_pools={}) == []
    assert find(flow_runs={}) == find(flow_runs={"id": {"any_": [run["id"]]}}) == [plain["name"]]
