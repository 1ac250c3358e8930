"""What is nested too deeply is refused where it comes in, and where another hand has stored it, the answer says so."""

import orjson
import pytest

from schemas.documents import read_document
from sql.database import connect
from tests.resources import unique


def nest(levels):
    """Write an array in arrays."""
    return "[" * levels + "]" * levels


def create(client, path, **body):
    """Create something and give its id."""
    answer = client.post(f"/api{path}", json=body)
    assert answer.status_code == 201
    return answer.json["id"]


def test_a_paused_flow_whose_schema_is_nested_too_deeply_is_not_resumed_with_input(client):
    flow_id = create(client, "/flows/", name=unique("flow"))
    run_id = create(client, "/flow_runs/", flow_id=flow_id, state={"type": "RUNNING"})
    details = {"pause_timeout": "2090-01-01T00:00:00Z", "run_input_keyset": {"schema": "s", "response": "r"}}
    paused = {"state": {"type": "PAUSED", "state_details": details}, "force": True}
    assert client.post(f"/api/flow_runs/{run_id}/set_state", json=paused).status_code == 201
    assert client.post(f"/api/flow_runs/{run_id}/input", json={"key": "s", "value": nest(600)}).status_code == 201
    answer = client.post(f"/api/flow_runs/{run_id}/resume", json={"run_input": {"a": 1}})
    assert answer.status_code == 200
    assert answer.json["status"] == "REJECT" and "nested too deeply" in answer.json["details"]["reason"]


@pytest.mark.parametrize("levels", [600, 1500])
def test_what_another_hand_has_nested_too_deeply_is_a_clear_answer_and_no_error_of_the_server(client, module_database, levels):
    flow_id = create(client, "/flows/", name=unique("flow"))
    schema = {"type": "object", "properties": {"a": {}}}
    deployment = {"name": unique("deployment"), "flow_id": flow_id, "parameter_openapi_schema": schema}
    id = create(client, "/deployments/", **deployment, enforce_parameter_schema=True)
    with connect(module_database) as conn:
        conn.execute("UPDATE deployment SET parameters = %s WHERE id = %s", (f'{{"a":{nest(levels)}}}', id))
    assert client.get(f"/api/deployments/{id}").status_code == 200
    for answer in (
        client.post(f"/api/deployments/{id}/create_flow_run", json={}),
        client.patch(f"/api/deployments/{id}", json={"description": "new"}),
        client.patch(f"/api/deployments/{id}", json={"parameter_openapi_schema": schema | {"title": "new"}}),
    ):
        assert answer.status_code in (201, 204, 400, 409, 422), answer.text


@pytest.mark.parametrize("value", [b"{}", b'"\\""', b"1"])
def test_more_values_than_memory_is_meant_for_are_refused_before_they_are_made(client, value):
    body = b'{"x":[' + b",".join([value] * 1_100_000) + b"]}"
    answer = client.post("/api/flows/filter", data=body, content_type="application/json")
    assert answer.status_code == 422
    assert "must not hold more than 1000000 values" in answer.text


def test_a_long_text_with_many_commas_is_one_value(client):
    text = ',[{"' * 1_000_000
    assert read_document(orjson.dumps({"text": text})) == {"text": text}
