"""Resuming paused runs, and the input that they wait for."""

import orjson
import pytest

import sql
from handlers.domain.inputs import hydrate, validate
from handlers.errors import NotFound
from handlers.rules import resume
from sql.ids import uuid7
from tests.resources import created
from tests.runs import make_flow_run, propose_flow_run, read_flow_run

KEYSET = {"schema": "paused-1-schema", "response": "paused-1-response"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def resume_flow_run(conn, id: str, run_input: dict | None):
    return resume.resume_flow_run(conn, id, resume.check_input(resume.read_pause(conn, id), run_input))


def make_paused_run(conn, **details) -> str:
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "PAUSED", state_details=details)
    return id


def store_schema(conn, id: str, schema: str) -> None:
    sql.flow_run_inputs.create(conn, id=uuid7(), flow_run_id=id, key=KEYSET["schema"], value=schema, sender=None)


def test_paused_run_is_resumed(conn):
    id = make_paused_run(conn)
    assert resume_flow_run(conn, id, None).status == "ACCEPT"
    assert read_flow_run(conn, id)["state_type"] == "RUNNING"


def test_suspended_run_is_scheduled(conn):
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "PAUSED", force=True, state_details={"pause_reschedule": True})
    conn.execute("UPDATE flow_run SET deployment_id = %s WHERE id = %s", (uuid7(), id))
    assert resume_flow_run(conn, id, None).proposed.name == "Resuming"


def test_run_that_is_not_paused_is_left_alone(conn):
    outcome = resume_flow_run(conn, make_flow_run(conn, "RUNNING"), None)
    assert (outcome.status, outcome.proposed, outcome.initial) == ("ABORT", None, None)


def test_unknown_run_is_not_found(conn):
    with pytest.raises(NotFound):
        resume_flow_run(conn, str(uuid7()), None)


def test_input_is_checked_and_stored(conn):
    id = make_paused_run(conn, run_input_keyset=KEYSET)
    store_schema(conn, id, orjson.dumps(SCHEMA).decode())
    refused = resume_flow_run(conn, id, {"n": "one"})
    assert (refused.status, refused.proposed) == ("REJECT", None) and "'n'" in refused.details["reason"]
    assert resume_flow_run(conn, id, {"n": 1}).status == "ACCEPT"
    assert orjson.loads(sql.flow_run_inputs.read(conn, flow_run_id=id, key=KEYSET["response"])) == {"n": 1}


@pytest.mark.parametrize("schema", [None, "{", '{"type": "nonsense"}', '{"$ref": "#"}', '{"$ref": "http://nowhere/x"}'])
def test_input_without_a_sound_schema_is_refused(conn, schema):
    id = make_paused_run(conn, run_input_keyset=KEYSET)
    if schema:
        store_schema(conn, id, schema)
    assert resume_flow_run(conn, id, {"n": 1}).status == "REJECT"
    assert read_flow_run(conn, id)["state_type"] == "PAUSED"


def test_placeholders_are_filled_in(client):
    created(client, "variables", name="answer", value=42)
    given = {
        "a": {"__prefect_kind": "json", "value": '{"b": [1]}'},
        "v": {"__prefect_kind": "workspace_variable", "variable_name": "answer"},
        "j": {"__prefect_kind": "jinja", "template": "{{ 1 + 1 }}{{ nothing.at.all }}"},
        "n": {"__prefect_kind": "none", "value": {"x": {"__prefect_kind": "json", "value": "1"}}},
        "gone": [{"__prefect_kind": "json"}],
    }
    assert hydrate(given) == {"a": {"b": [1]}, "v": 42, "j": "2", "n": {"x": 1}, "gone": []}


@pytest.mark.parametrize(
    "placeholder",
    [
        {"__prefect_kind": "json", "value": "{"},
        {"__prefect_kind": "jinja", "template": "{{ 1 // 0 }}"},
        {"__prefect_kind": "jinja", "template": "{% for"},
        {"__prefect_kind": "jinja"},
        {"__prefect_kind": "workspace_variable", "variable_name": "nowhere"},
    ],
)
def test_placeholder_that_cannot_be_filled_is_refused(client, placeholder):
    with pytest.raises(ValueError):
        hydrate({"x": placeholder})


def test_null_stands_for_an_optional_field(conn):
    schema = {"properties": {"n": {"type": "integer"}, "d": {"type": "integer", "default": 1}}}
    validate({"n": None}, schema)
    with pytest.raises(ValueError, match="'d'"):
        validate({"d": None}, schema)
