"""Job variables against the template of a work pool whose defaults may be blocks."""

import pytest

from tests.resources import NOBODY, created, make_flow, told, unique


@pytest.fixture
def block(client) -> str:
    """The id of a block that holds a text and a secret."""
    type_id = created(client, "block_types", name=unique("type"), slug=unique("type"))["id"]
    fields = {"title": unique("Block"), "properties": {"x": {"type": "string"}}, "secret_fields": ["hidden"]}
    schema_id = created(client, "block_schemas", fields=fields, block_type_id=type_id)["id"]
    values = {"x": "text", "hidden": "secret"}
    named = {"name": unique("block"), "block_type_id": type_id, "block_schema_id": schema_id}
    return created(client, "block_documents", data=values, **named)["id"]


def template(field: dict, required: tuple = ()) -> dict:
    """Give a template with a variable `from` and a number `size`."""
    variables = {"type": "object", "required": list(required), "properties": {"from": field, "size": {"type": "integer"}}}
    return {"job_configuration": {"from": "{{ from }}", "size": "{{ size }}"}, "variables": variables}


def refers(id: str) -> dict:
    """Give a default that is a block."""
    return {"$ref": {"block_document_id": id}}


def make_pool(client, field: dict, status: int = 201, required: tuple = ()):
    """Create a work pool with such a variable and give the answer."""
    body = {"name": unique("pool"), "type": "process", "base_job_template": template(field, required)}
    answer = client.post("/api/work_pools/", json=body)
    assert answer.status_code == status, answer.text
    return answer


def deploy(client, pool: dict, **job_variables) -> dict:
    """Create a deployment in a work pool."""
    fields = {"flow_id": make_flow(client)["id"], "work_pool_name": pool["name"], "job_variables": job_variables}
    return created(client, "deployments", name=unique("deployment"), **fields)


def run(client, deployment: dict, **job_variables):
    """Ask for a run of a deployment and give the answer."""
    return client.post(f"/api/deployments/{deployment['id']}/create_flow_run", json={"job_variables": job_variables})


@pytest.mark.parametrize("id", [NOBODY, "no id", 5])
def test_a_default_that_refers_to_no_block_is_refused_and_named(client, id):
    assert str(id) in make_pool(client, {"type": "object", "default": refers(id)}, 404).json["detail"]


def test_a_block_is_an_object_of_what_it_holds(client, block):
    make_pool(client, {"type": "object", "default": refers(block)})
    make_pool(client, {"type": "object", "properties": {"x": {"type": "string"}}, "default": refers(block)})
    make_pool(client, {"default": refers(block)})
    wrong = {"type": "object", "properties": {"x": {"type": "integer"}}, "default": refers(block)}
    assert "'from.x'" in told(make_pool(client, wrong, 422))
    answer = make_pool(client, {"type": "string", "default": refers(block)}, 422)
    assert "'from'" in told(answer)


def test_a_block_stands_for_a_variable_that_is_required_but_null_does_not(client, block):
    pool = make_pool(client, {"type": "object", "required": ["x"], "default": refers(block)}, required=("from",)).json
    deployment = deploy(client, pool, size=1)
    assert run(client, deployment).status_code == 201
    assert run(client, deployment, **{"from": {"x": 1}}).status_code == 201
    assert "'from'" in told(run(client, deployment, **{"from": None}))
    assert "'from'" in told(run(client, deployment, **{"from": {"y": 1}}))


def test_a_block_that_lacks_what_is_required_of_it_does_not_do_for_a_run(client, block):
    pool = make_pool(client, {"type": "object", "required": ["y"], "default": refers(block)}).json
    assert "'from'" in told(run(client, deploy(client, pool, size=1)))


def test_a_secret_is_not_told(client, block):
    pool = make_pool(client, {"type": "string", "default": refers(block)}, 422)
    assert "text" in pool.text and "secret" not in pool.text.replace("secret_fields", "")


def test_a_block_that_is_gone_is_named_when_it_is_needed(client, block):
    pool = make_pool(client, {"type": "object", "default": refers(block)}).json
    deployment = deploy(client, pool, size=1)
    assert client.delete(f"/api/block_documents/{block}").status_code == 204
    assert run(client, deployment).status_code == 404
    assert block in run(client, deployment).json["detail"]
    body = {"name": "x", "flow_id": deployment["flow_id"], "work_pool_name": pool["name"], "job_variables": {"size": 1}}
    assert client.post("/api/deployments/", json=body).status_code == 404


def test_what_a_deployment_is_to_have_instead_is_checked_without_the_defaults(client):
    pool = make_pool(client, {"type": "string", "default": "here"}).json
    deployment = deploy(client, pool, **{"from": None})
    path, body = f"/api/deployments/{deployment['id']}", {"work_pool_name": pool["name"]}
    assert client.patch(path, json={**body, "job_variables": {"from": None}}).status_code == 409
    assert client.patch(path, json={**body, "job_variables": {"from": "there", "size": None}}).status_code == 204
