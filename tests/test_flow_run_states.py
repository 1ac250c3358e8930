"""Operations under /flow_run_states, and how a state is shown."""

import json

import pytest

import sql
from schemas.states import NO_DETAILS
from sql.ids import uuid7
from tests.resources import NOBODY, make_flow_run, problems, unique

FIELDS = ["id", "type", "name", "timestamp", "message", "data", "state_details"]


@pytest.fixture
def insert(conn):
    """A function that writes a state into the table as given, and gives it as it is shown."""
    run_id, flow_id = uuid7(), uuid7()
    sql.flows.create(conn, id=flow_id, name=unique("flow"), tags=[], labels={})
    conn.execute("INSERT INTO flow_run (id, name, flow_id) VALUES (%s, 'run', %s)", [run_id, flow_id])

    def write(**columns) -> dict:
        columns = {"id": uuid7(), "flow_run_id": run_id, "type": "RUNNING", "name": "Running", **columns}
        places = ", ".join(["%s"] * len(columns))
        conn.execute(f"INSERT INTO flow_run_state ({', '.join(columns)}) VALUES ({places})", list(columns.values()))
        return json.loads(sql.run_states.read(conn, run="flow_run", id=columns["id"]))

    return write


def test_a_state_is_shown_with_every_field_and_every_detail(insert):
    state = insert(timestamp="2026-11-21T04:00:00Z")
    assert list(state) == FIELDS
    assert state["state_details"] == NO_DETAILS
    assert (state["timestamp"], state["message"], state["data"]) == ("2026-11-21T04:00:00Z", None, None)


def test_details_of_older_servers_are_filled_in(insert):
    assert insert(state_details='{"deferred": null, "pause_key": "x"}')["state_details"] == {
        **NO_DETAILS,
        "deferred": None,
        "pause_key": "x",
    }


def test_details_that_are_complete_are_shown_as_they_are(insert):
    details = {**NO_DETAILS, "run_input_keyset": {"schema": "s"}, "retriable": False}
    assert insert(state_details=json.dumps(details))["state_details"] == details


def test_the_result_is_in_an_artifact_or_in_the_state_itself(conn, insert):
    artifact = uuid7()
    conn.execute('INSERT INTO artifact (id, data) VALUES (%s, \'{"b": 1, "a": 2}\')', [artifact])
    assert insert(data="null", result_artifact_id=artifact)["data"] == {"b": 1, "a": 2}
    assert insert(data="{}", result_artifact_id=artifact, timestamp="2026-01-01T00:00Z")["data"] == {"b": 1, "a": 2}
    assert insert(data='"inline"', timestamp="2026-01-02T00:00Z")["data"] == "inline"
    assert insert(data="null", timestamp="2026-01-03T00:00Z")["data"] is None


def test_states_are_listed_oldest_first(client):
    run = make_flow_run(client, state={"type": "SCHEDULED"})
    for type in ("PENDING", "RUNNING", "COMPLETED"):
        answer = client.post(f"/api/flow_runs/{run['id']}/set_state", json={"state": {"type": type}, "force": True})
        assert answer.status_code == 201, answer.text
    states = client.get(f"/api/flow_run_states/?flow_run_id={run['id']}").json
    assert [state["type"] for state in states] == ["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"]
    assert states[0] == run["state"]
    assert states[-1] == client.get(f"/api/flow_run_states/{states[-1]['id']}").json
    assert states[-1] == client.get(f"/api/flow_runs/{run['id']}").json["state"]


def test_a_state_that_is_not_there_is_not_found(client):
    assert client.get(f"/api/flow_run_states/{NOBODY}").status_code == 404
    assert client.get("/api/flow_run_states/nonsense").status_code == 404
    assert client.get(f"/api/flow_run_states/?flow_run_id={NOBODY}").json == []


@pytest.mark.parametrize("query", ["", "?flow_run_id=", "?flow_run_id=nonsense", "?flow_run_id=%00"])
def test_whose_states_to_list_must_be_said(client, query):
    assert problems(client.get(f"/api/flow_run_states/{query}")) == ["query.flow_run_id"]
