"""Deployments: created once per flow and name, with their queue, limit, events and runs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

import sql
from handlers.domain.deployment_schedules import create
from handlers.domain.deployments import DEFAULTS, delete_deployments, what_to_schedule
from handlers.domain.schedules import schedule_deployment
from sql import database as db
from sql.database import connect, within
from sql.ids import uuid7
from sql.statement import flush
from tests.loops import mark_deployments_not_ready
from tests.resources import NOBODY, created, make_flow, problems, told, unique
from tests.runs import make_flow as make_flow_row
from tests.runs import make_flow_run as make_run_row
from tests.runs import propose_flow_run
from tests.waiting import wait_for_waiter

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
TEMPLATE = {
    "job_configuration": {"size": "{{ size }}"},
    "variables": {
        "type": "object",
        "properties": {"size": {"type": "integer"}, "image": {"type": "string", "default": None}},
        "required": ["size"],
    },
}
LIMITED = ["flow", "work-queue", "work-pool", "concurrency-limit"]
DAILY = {"cron": "0 9 * * *", "timezone": "UTC"}


def deploy(client, flow=None, status=201, **fields) -> dict:
    """Create or replace a deployment."""
    body = {"name": unique("deployment"), "flow_id": (flow or make_flow(client))["id"], **fields}
    answer = client.post("/api/deployments/", json=body)
    assert answer.status_code == status, answer.text
    return answer.json


def read(client, deployment) -> dict:
    """Read a deployment again."""
    return client.get(f"/api/deployments/{deployment['id']}").json


def change(client, deployment, status=204, **fields):
    """Update a deployment and give the answer."""
    answer = client.patch(f"/api/deployments/{deployment['id']}", json=fields)
    assert answer.status_code == status, answer.text
    return answer


def run(client, deployment, status=201, **fields) -> dict:
    """Create a run of a deployment."""
    answer = client.post(f"/api/deployments/{deployment['id']}/create_flow_run", json=fields)
    assert answer.status_code == status, answer.text
    return answer.json


def runs_of(client, deployment) -> list[dict]:
    """Read the runs of a deployment, the first due first."""
    criteria = {"deployments": {"id": {"any_": [deployment["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return client.post("/api/flow_runs/filter", json=criteria).json


def events_of(deployment) -> list[tuple]:
    """Read the events of a deployment in the order in which they were recorded."""
    with db.connection() as conn:
        query = "SELECT event, payload, related FROM events WHERE resource_id = %s ORDER BY occurred, id"
        return conn.execute(query, [f"prefect.deployment.{deployment['id']}"]).fetchall()


def make_pool(client, **fields) -> dict:
    """Create a work pool."""
    return created(client, "work_pools", **{"name": unique("pool"), "type": "process", **fields})


def test_a_deployment_is_created_once_for_its_flow_and_name(client):
    flow = make_flow(client)
    first = deploy(client, flow, name="same", description="first", tags=["a"], version="1")
    second = deploy(client, flow, name="same", status=200, tags=["b"])
    assert (second["id"], second["created"]) == (first["id"], first["created"])
    assert (second["tags"], second["description"], second["version"]) == (["b"], "first", "1")
    assert deploy(client, name="same")["id"] != first["id"]


def test_a_deployment_is_read_by_id_and_by_names(client):
    flow = make_flow(client)
    deployment = deploy(client, flow, name="read me")
    assert read(client, deployment) == deployment
    assert client.get(f"/api/deployments/name/{flow['name']}/read%20me").json == deployment
    assert client.get(f"/api/deployments/name/{flow['name']}/other").status_code == 404
    assert client.get(f"/api/deployments/{NOBODY}").status_code == 404


def test_labels_lie_over_those_of_the_flow(client):
    flow = make_flow(client, labels={"team": "flow", "floor": 3})
    labels = deploy(client, flow, labels={"team": "deployment"})["labels"]
    assert labels == {"team": "deployment", "floor": 3, "prefect.flow.id": flow["id"]}


def test_only_what_is_sent_changes(client):
    deployment = deploy(client, description="kept", path="/kept", tags=["a"], job_variables={"a": 1})
    change(client, deployment, tags=["b"], job_variables={})
    after = read(client, deployment)
    assert {key for key in after if after[key] != deployment[key]} == {"tags", "updated"}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"schedules": [{"schedule": {"interval": 0}}]}, "body.schedules"),
        ({"schedules": [{"schedule": {"cron": "never"}}]}, "body.schedules"),
        ({"schedules": [{"schedule": DAILY, "max_scheduled_runs": 51}]}, "body.schedules"),
        ({"concurrency_limit": 0}, "body.concurrency_limit"),
        ({"tags": None}, "body.tags"),
        ({"unknown": 1}, "body.unknown"),
        ({"enforce_parameter_schema": True, "parameters": {"x": "1"}, "parameter_openapi_schema": SCHEMA}, "body.parameters"),
    ],
)
def test_a_refusal_names_the_field_and_writes_nothing(client, fields, place):
    flow = make_flow(client)
    answer = client.post("/api/deployments/", json={"name": "refused", "flow_id": flow["id"], **fields})
    assert all(problem.startswith(place) for problem in problems(answer))
    assert client.post("/api/deployments/count", json={"flows": {"id": {"any_": [flow["id"]]}}}).json == 0


def test_an_unknown_work_pool_is_named(client):
    answer = client.post("/api/deployments/", json={"name": "x", "flow_id": make_flow(client)["id"], "work_pool_name": "nowhere"})
    assert answer.status_code == 404
    assert "nowhere" in answer.json["detail"]
    assert "nowhere" in change(client, deploy(client), 404, work_pool_name="nowhere").json["detail"]


def test_an_unknown_flow_schedule_or_deployment_is_named(client):
    answer = client.post("/api/deployments/", json={"name": "x", "flow_id": NOBODY})
    assert (answer.status_code, NOBODY in answer.json["detail"]) == (404, True)
    path = f"/api/deployments/{deploy(client)['id']}/schedules/{NOBODY}"
    for answer in (client.delete(path), client.patch(path, json={"active": False}), client.get(f"/api/deployments/{NOBODY}")):
        assert (answer.status_code, NOBODY in answer.json["detail"]) == (404, True)


def test_a_pool_gives_its_default_queue_and_a_named_queue_is_made(client):
    pool = make_pool(client)
    deployment = deploy(client, work_pool_name=pool["name"])
    assert (deployment["work_pool_name"], deployment["work_queue_id"]) == (pool["name"], pool["default_queue_id"])
    change(client, deployment, work_pool_name=pool["name"], work_queue_name="new")
    queue = client.get(f"/api/work_pools/{pool['name']}/queues/new").json
    assert read(client, deployment)["work_queue_id"] == queue["id"]
    assert run(client, deployment, work_queue_name="newer")["work_queue_name"] == "newer"
    change(client, deployment, work_pool_name=None)
    assert read(client, deployment)["work_queue_id"] is None


def test_job_variables_keep_to_the_template_of_the_pool(client):
    pool = make_pool(client, base_job_template=TEMPLATE)
    flow = make_flow(client)
    fields = {"name": "x", "flow_id": flow["id"], "work_pool_name": pool["name"]}
    assert "size" in told(client.post("/api/deployments/", json={**fields, "job_variables": {"size": "big"}}))
    deployment = deploy(client, flow, work_pool_name=pool["name"], job_variables={"image": "i"})
    change(client, deployment, 409, work_pool_name=pool["name"], job_variables={"size": "big"})
    answer = client.post(f"/api/deployments/{deployment['id']}/create_flow_run", json={"job_variables": {"size": "x"}})
    assert "size" in told(answer)
    waiting = run(client, deployment, job_variables={"size": 2})
    answer = client.patch(f"/api/flow_runs/{waiting['id']}", json={"job_variables": {"size": "x"}})
    assert "size" in told(answer)
    assert client.patch(f"/api/flow_runs/{waiting['id']}", json={"job_variables": {"size": 3}}).status_code == 204


def test_a_run_gets_what_its_deployment_has(client):
    deployment = deploy(client, parameters={"x": 1, "y": 2}, tags=["a"], labels={"l": 1}, version="v7")
    made = run(client, deployment, parameters={"y": 3}, tags=["b", "a"], labels={"m": 2})
    assert (made["parameters"], made["tags"], made["deployment_version"]) == ({"x": 1, "y": 3}, ["a", "b"], "v7")
    assert made["labels"].items() >= {"l": 1, "m": 2, "prefect.deployment.id": deployment["id"]}.items()
    assert (made["state"]["type"], made["deployment_id"]) == ("SCHEDULED", deployment["id"])


def test_an_idempotency_key_gives_the_same_run(client):
    deployment = deploy(client)
    first = run(client, deployment, idempotency_key="once")
    assert run(client, deployment, 200, idempotency_key="once")["id"] == first["id"]


def test_parameters_are_checked_if_the_deployment_says_so(client):
    deployment = deploy(client, parameter_openapi_schema=SCHEMA, enforce_parameter_schema=True)
    refused = run(client, deployment, 409, parameters={"x": "one"})
    assert "Validation failed for field 'x'. Failure reason: 'one' is not of type 'integer'" in refused["detail"]
    run(client, deployment, 409)
    run(client, deployment, parameters={"x": "one"}, enforce_parameter_schema=False)
    run(client, deployment, parameters={"x": 1, "unknown": 2})
    assert len(runs_of(client, deployment)) == 2


def test_many_runs_are_created_at_once_and_each_has_a_result(client):
    deployment = deploy(client, parameter_openapi_schema=SCHEMA)
    path = f"/api/deployments/{deployment['id']}/create_flow_run/bulk"
    results = client.post(path, json=[{"parameters": {"x": 1}}, {}, {"parameters": {"x": 2}}]).json["results"]
    assert [result["status"] for result in results] == ["CREATED", "FAILED", "CREATED"]
    assert "'x' is a required property" in results[1]["error"]
    assert {found["id"] for found in runs_of(client, deployment)} == {results[0]["flow_run_id"], results[2]["flow_run_id"]}
    assert client.post(path, json=[{}] * 101).status_code == 400


def test_a_limit_comes_changes_and_goes_with_its_deployment(client):
    deployment = deploy(client, concurrency_limit=2)
    bound = deployment["global_concurrency_limit"]
    assert (bound["name"], bound["limit"], deployment["concurrency_limit"]) == (f"deployment:{deployment['id']}", 2, None)
    change(client, deployment, concurrency_limit=3)
    assert read(client, deployment)["global_concurrency_limit"]["limit"] == 3
    change(client, deployment, concurrency_limit=None)
    assert read(client, deployment)["global_concurrency_limit"] is None
    change(client, deployment, concurrency_limit=4)
    client.delete(f"/api/deployments/{deployment['id']}")
    assert client.get(f"/api/v2/concurrency_limits/{bound['name']}").status_code == 404


def test_a_pause_takes_the_runs_of_schedules_and_the_end_of_it_brings_them_back(client):
    deployment = deploy(client, schedules=[{"schedule": DAILY}])
    own = run(client, deployment)
    assert client.post(f"/api/deployments/{deployment['id']}/schedule", json={"max_runs": 5, "min_runs": 5}).status_code == 200
    times = [found["expected_start_time"] for found in runs_of(client, deployment) if found["auto_scheduled"]]
    assert len(times) == 5
    assert client.post(f"/api/deployments/{deployment['id']}/pause_deployment").status_code == 200
    assert [found["id"] for found in runs_of(client, deployment)] == [own["id"]]
    client.post(f"/api/deployments/{deployment['id']}/schedule", json={})
    assert len(runs_of(client, deployment)) == 1
    assert client.post(f"/api/deployments/{deployment['id']}/resume_deployment").status_code == 200
    assert [found["expected_start_time"] for found in runs_of(client, deployment) if found["auto_scheduled"]] == times[:3]


def test_a_change_that_runs_would_have_got_takes_the_runs_that_have_not_started(client):
    deployment = deploy(client, schedules=[{"schedule": DAILY}])
    client.post(f"/api/deployments/{deployment['id']}/schedule", json={})
    change(client, deployment, description="no matter to runs")
    assert len(runs_of(client, deployment)) == 3
    change(client, deployment, parameters={"x": 1})
    assert runs_of(client, deployment) == []


def test_a_deployment_goes_with_its_scheduled_runs_and_leaves_those_that_have_started(client):
    deployment = deploy(client, schedules=[{"schedule": DAILY}])
    client.post(f"/api/deployments/{deployment['id']}/schedule", json={})
    run(client, deployment)
    done = run(client, deployment, state={"type": "COMPLETED"})
    assert client.delete(f"/api/deployments/{deployment['id']}").status_code == 204
    assert client.delete(f"/api/deployments/{deployment['id']}").status_code == 404
    left = client.post("/api/flow_runs/filter", json={"flow_runs": {"deployment_id": {"any_": [deployment["id"]]}}}).json
    assert [found["id"] for found in left] == [done["id"]]


def test_many_deployments_are_deleted_at_once(client):
    flow = make_flow(client)
    ids = [deploy(client, flow, name=name)["id"] for name in ("b", "a", "c")]
    deleted = client.post("/api/deployments/bulk_delete", json={"deployments": {"id": {"any_": ids}}, "limit": 2}).json
    assert deleted == {"deleted": [ids[1], ids[0]]}
    assert client.post("/api/deployments/count", json={"flows": {"id": {"any_": [flow["id"]]}}}).json == 1


def test_who_serves_a_deployment_gets_its_due_runs_and_makes_it_ready(client):
    deployment = deploy(client)
    due = run(client, deployment)
    run(client, deployment, state={"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}})
    body = {"deployment_ids": [deployment["id"]], "scheduled_before": "2098-01-01T00:00:00Z"}
    assert deployment["status"] == "NOT_READY"
    for _ in range(2):
        assert [found["id"] for found in client.post("/api/deployments/get_scheduled_flow_runs", json=body).json] == [due["id"]]
    after = read(client, deployment)
    assert (after["status"], after["updated"]) == ("READY", deployment["updated"])
    assert after["last_polled"] is not None
    assert [event for event, *_ in events_of(deployment)] == ["prefect.deployment.created", "prefect.deployment.ready"]


def test_events_tell_of_every_change_and_name_what_takes_part(client):
    pool = make_pool(client)
    flow = make_flow(client)
    deployment = deploy(client, flow, work_pool_name=pool["name"], version="1")
    deploy(client, flow, name=deployment["name"], status=200)
    change(client, deployment, version="2")
    client.delete(f"/api/deployments/{deployment['id']}")
    events = events_of(deployment)
    assert [event for event, *_ in events] == [f"prefect.deployment.{action}" for action in ("created", "updated", "deleted")]
    assert events[1][1] == {"updated_fields": ["version"], "updates": {"version": {"from": "1", "to": "2"}}}
    for _, _, related in events:
        assert [resource["prefect.resource.role"] for resource in related] == ["flow", "work-queue", "work-pool"]


def test_the_event_of_a_deployment_that_is_not_polled_names_what_takes_part(client):
    deployment = deploy(client, work_pool_name=make_pool(client)["name"], concurrency_limit=1)
    client.post("/api/deployments/get_scheduled_flow_runs", json={"deployment_ids": [deployment["id"]]})
    with db.connection() as conn:
        assert mark_deployments_not_ready(conn, datetime.now(timezone.utc) + timedelta(hours=1), 1000)
    events = events_of(deployment)
    assert [event.rpartition(".")[2] for event, *_ in events] == ["created", "ready", "not-ready"]
    assert [resource["prefect.resource.role"] for resource in events[2][2]] == LIMITED


def test_queues_that_can_pick_a_deployment_up_are_those_whose_filters_let_them(client):
    deployment = deploy(client, tags=["t", "u"])
    filters = {
        "tags": {"tags": ["t"]},
        "more-tags": {"tags": ["t", "v"]},
        "id": {"tags": [], "deployment_ids": [deployment["id"]]},
        "other-id": {"tags": ["t"], "deployment_ids": [NOBODY]},
    }
    queues = {unique(name): name for name in filters}
    for queue, name in queues.items():
        created(client, "work_queues", name=queue, filter=filters[name])
    found = client.get(f"/api/deployments/{deployment['id']}/work_queue_check").json
    assert {queues[queue["name"]] for queue in found if queue["name"] in queues} == {"tags", "id"}


def test_lists_are_sorted_and_paged(client):
    flow = make_flow(client)
    for name in ("b", "a", "c"):
        deploy(client, flow, name=name)
    criteria = {"flows": {"id": {"any_": [flow["id"]]}}}
    assert [found["name"] for found in client.post("/api/deployments/filter", json=criteria).json] == ["a", "b", "c"]
    page = client.post("/api/deployments/paginate", json={**criteria, "limit": 2, "page": 2, "sort": "NAME_DESC"}).json
    assert ([found["name"] for found in page.pop("results")], page) == (["a"], {"count": 3, "limit": 2, "pages": 2, "page": 2})


def test_a_run_that_starts_while_its_deployment_is_deleted_stays(database):
    """The deletion finds the run waiting for its start, waits for who starts it, and looks again."""
    with (
        connect(database) as worker,
        connect(database) as deleter,
        connect(database) as watcher,
        ThreadPoolExecutor(1) as threads,
    ):
        deployment_id = uuid7()
        with within(worker):
            flow_id = make_flow_row(worker)
            row = {**DEFAULTS, "id": deployment_id, "name": "d", "flow_id": flow_id, "labels": {}}
            sql.deployments.create(worker, deployment=row)
        run_id, other_id = (make_run_row(worker, "SCHEDULED", flow_id, deployment_id=str(deployment_id)) for _ in range(2))
        with within(worker):
            propose_flow_run(worker, run_id, "PENDING")
            flush(worker)
            deletion = threads.submit(delete_in_transaction, deleter, deployment_id)
            wait_for_waiter(watcher)
        assert deletion.result() == {str(deployment_id)}
        left = [id for (id,) in watcher.execute("SELECT id::text FROM flow_run WHERE flow_id = %s", [flow_id])]
        assert left == [run_id] != [other_id]


def delete_in_transaction(conn, id) -> set[str]:
    """Delete a deployment, and commit."""
    with within(conn):
        return delete_deployments(conn, [str(id)])


def test_no_run_is_made_for_a_deployment_that_is_being_paused(database):
    """Whoever makes runs waits for the pause, and then finds the deployment paused."""
    with (
        connect(database) as pauser,
        connect(database) as scheduler,
        connect(database) as watcher,
        ThreadPoolExecutor(1) as threads,
    ):
        deployment_id = uuid7()
        with within(pauser):
            row = {**DEFAULTS, "id": deployment_id, "name": "d", "flow_id": make_flow_row(pauser), "labels": {}}
            sql.deployments.create(pauser, deployment=row)
            create(pauser, deployment_id, [{"schedule": DAILY, "active": True, "parameters": {}}])
        with within(pauser):
            sql.deployments.lock(pauser, id=deployment_id, flow_id=None, name=None)
            sql.deployments.set_paused(pauser, id=deployment_id, paused=True)
            making = threads.submit(schedule_in_transaction, scheduler, deployment_id)
            wait_for_waiter(watcher)
        assert making.result() is None
        assert watcher.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)
        with within(pauser):
            sql.deployments.set_paused(pauser, id=deployment_id, paused=False)
        schedule_in_transaction(scheduler, deployment_id)
        assert watcher.execute("SELECT count(*) FROM flow_run").fetchone() == (3,)


def schedule_in_transaction(conn, id) -> None:
    """Make the runs of a deployment, and commit."""
    with within(conn):
        schedule_deployment(conn, str(id), **what_to_schedule(conn))
