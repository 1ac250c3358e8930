"""Artifacts: versions under one key, the newest of which is shown for it."""

import threading

import pytest

import sql
from sql.database import connect
from tests.resources import NOBODY, created, make_flow_run, make_task_run, problems, unique
from tests.waiting import wait_for_waiter


def make_artifact(client, key=None, **fields) -> dict:
    return created(client, "artifacts", key=key, **fields)


def latest(client, key) -> dict | None:
    answer = client.get(f"/api/artifacts/{key}/latest")
    return answer.json if answer.status_code == 200 else None


def collections(client, key) -> list[dict]:
    body = {"artifacts": {"key": {"any_": [key]}}}
    found = client.post("/api/artifacts/latest/filter", json=body).json
    assert client.post("/api/artifacts/latest/count", json=body).json == len(found)
    return found


def events_of(client, collection) -> list[dict]:
    """Give what was recorded about a collection, oldest first."""
    criteria = {"resource": {"id": [f"prefect.artifact-collection.{collection['id']}"]}, "order": "ASC"}
    return client.post("/api/events/filter", json={"filter": criteria}).json["events"]


def test_an_artifact_is_read_as_it_was_made(client):
    fields = {"type": "table", "description": "d", "data": '[{"b": 1}]', "metadata_": {"x": "y"}, "flow_run_id": NOBODY}
    artifact = make_artifact(client, unique("key"), **fields)
    assert client.get(f"/api/artifacts/{artifact['id']}").json == artifact
    assert {**fields, "task_run_id": None}.items() <= artifact.items()
    assert client.get(f"/api/artifacts/{NOBODY}").status_code == 404


def test_data_keeps_the_order_of_its_keys(client):
    content = '{"data":{"b":1,"a":{"d":2,"c":3}}}'
    artifact = client.post("/api/artifacts/", data=content, content_type="application/json").json
    client.patch(f"/api/artifacts/{artifact['id']}", json={"description": "other"})
    assert content.strip("{}") in client.get(f"/api/artifacts/{artifact['id']}").text


def test_metadata_that_is_too_long_is_cut_off(client):
    assert make_artifact(client, metadata_={"a": "x" * 501})["metadata_"] == {"a": "x" * 500 + "..."}
    assert make_artifact(client, metadata_={"a": "x" * 500})["metadata_"] == {"a": "x" * 500}
    assert problems(client.post("/api/artifacts/", json={"metadata_": {"a": 1}})) == ["body.metadata_"]


@pytest.mark.parametrize("key", ["Upper", "a_b", "a b", 5])
def test_a_key_that_is_none_is_refused(client, key):
    assert problems(client.post("/api/artifacts/", json={"key": key})) == ["body.key"]


def test_the_newest_version_is_shown_for_a_key(client):
    key = unique("key")
    first, second = (make_artifact(client, key, data=number, type="markdown") for number in (1, 2))
    [collection] = collections(client, key)
    assert (collection["latest_id"], collection["data"], collection["created"]) == (second["id"], 2, first["created"])
    assert latest(client, key) == {name: value for name, value in collection.items() if name != "latest_id"}


def test_a_change_of_the_newest_version_shows_and_of_another_does_not(client):
    key = unique("key")
    first, second = make_artifact(client, key), make_artifact(client, key)
    for artifact in (first, second):
        changes = {"data": artifact["id"], "description": "new", "metadata_": {"a": "b"}}
        assert client.patch(f"/api/artifacts/{artifact['id']}", json=changes).status_code == 204
        assert changes.items() <= client.get(f"/api/artifacts/{artifact['id']}").json.items()
    assert latest(client, key)["data"] == second["id"]
    client.patch(f"/api/artifacts/{second['id']}", json={"data": None, "description": None})
    assert (latest(client, key)["data"], latest(client, key)["description"]) == (None, None)
    assert latest(client, key)["metadata_"] == {"a": "b"}
    assert client.patch(f"/api/artifacts/{NOBODY}", json={}).status_code == 404


def test_the_version_before_takes_the_place_of_a_deleted_one(client):
    key = unique("key")
    first, second, third = (make_artifact(client, key, data=number, description=str(number)) for number in (1, 2, 3))
    for artifact, shown in ((second, 3), (third, 1), (first, None)):
        assert client.delete(f"/api/artifacts/{artifact['id']}").status_code == 204
        assert (latest(client, key) or {"data": None})["data"] == shown
        if shown == 1:
            assert collections(client, key)[0]["latest_id"] == first["id"]
    assert latest(client, key) is None
    assert collections(client, key) == []
    assert client.delete(f"/api/artifacts/{first['id']}").status_code == 404


def test_what_happens_to_the_newest_version_is_recorded(client):
    key, run = unique("key"), make_flow_run(client)
    first = make_artifact(client, key, data="1", type="markdown", flow_run_id=run["id"])
    [collection] = collections(client, key)
    second = make_artifact(client, key, data="2")
    for artifact in (second, first):
        client.delete(f"/api/artifacts/{artifact['id']}")
    recorded = events_of(client, collection)
    names = ["created", "updated", "updated", "deleted"]
    assert [event["event"].removeprefix("prefect.artifact-collection.") for event in recorded] == names
    assert recorded[0]["payload"] == {"key": key, "type": "markdown", "data": "1", "description": None}
    assert recorded[0]["related"] == [
        {"prefect.resource.id": f"prefect.artifact.{first['id']}", "prefect.resource.role": "latest"},
        {"prefect.resource.id": f"prefect.flow-run.{run['id']}", "prefect.resource.role": "flow-run"},
    ]
    ids = [event["related"][0]["prefect.resource.id"].rpartition(".")[2] for event in recorded]
    assert ids == [first["id"], second["id"], first["id"], first["id"]]


def test_artifacts_without_a_key_are_not_collected(client):
    artifact = make_artifact(client, data=1)
    body = {"artifacts": {"latest_id": {"any_": [artifact["id"]]}}}
    assert client.post("/api/artifacts/latest/filter", json=body).json == []
    assert client.delete(f"/api/artifacts/{artifact['id']}").status_code == 204


def test_artifacts_are_found_by_the_runs_that_made_them(client):
    run = make_flow_run(client, name=unique("run"))
    task_run = make_task_run(client, run, name=unique("task"))
    of_both = make_artifact(client, unique("key"), type="table", flow_run_id=run["id"], task_run_id=task_run["id"])
    of_run = make_artifact(client, type="result", flow_run_id=run["id"])

    def find(path="", **body) -> list[str]:
        found = client.post(f"/api/artifacts{path}/filter", json=body).json
        assert client.post(f"/api/artifacts{path}/count", json=body).json == len(found)
        return [artifact["latest_id" if path else "id"] for artifact in found]

    assert find(flow_runs={"id": {"any_": [run["id"]]}}) == [of_run["id"], of_both["id"]]
    assert find(task_runs={"id": {"any_": [task_run["id"]]}}) == [of_both["id"]]
    assert find(flows={"id": {"any_": [run["flow_id"]]}}, artifacts={"type": {"not_any_": ["result"]}}) == [of_both["id"]]
    assert find(flow_runs={"id": {"any_": [run["id"]]}}, deployments={}) == []
    assert find("/latest", flow_runs={"id": {"any_": [run["id"]]}}) == [of_both["id"]]
    assert find("/latest", flow_runs={"id": {"any_": [NOBODY]}}) == []


def test_a_new_version_waits_for_the_deletion_of_the_newest_and_takes_its_place(client, module_database):
    key = unique("key")
    old = make_artifact(client, key, data="old")
    made = []
    with connect(module_database) as conn:
        sql.transactions.begin(conn)
        collection = sql.artifact_collections.lock(conn, artifact_id=old["id"])
        adding = threading.Thread(target=lambda: made.append(make_artifact(client.application.test_client(), key, data="new")))
        adding.start()
        wait_for_waiter(conn)
        sql.artifacts.delete(conn, id=old["id"])
        sql.artifact_collections.delete(conn, id=collection["id"])
        sql.transactions.commit(conn)
        adding.join()
    assert [one["latest_id"] for one in collections(client, key)] == [made[0]["id"]]
