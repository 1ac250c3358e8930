"""Variables: named values."""

import pytest

from tests.resources import NOBODY, created, problems, unique


@pytest.fixture
def variable(client) -> dict:
    return created(client, "variables", name=unique("variable"), value={"b": [1, None], "a": "x"}, tags=["t"])


def events_of(client, variable) -> list[tuple]:
    """Give name and payload of what was recorded about a variable, oldest first."""
    criteria = {"resource": {"id": [f"prefect.variable.{variable['id']}"]}, "order": "ASC"}
    found = client.post("/api/events/filter", json={"filter": criteria}).json["events"]
    return [(event["event"], event["payload"]["name"], event["payload"]["value"], event["payload"]["tags"]) for event in found]


def test_a_variable_is_found_by_id_and_by_name(client, variable):
    assert client.get(f"/api/variables/{variable['id']}").json == variable
    assert client.get(f"/api/variables/name/{variable['name']}").json == variable
    assert client.get(f"/api/variables/{NOBODY}").status_code == 404
    assert client.get("/api/variables/name/nobody").status_code == 404


def test_a_name_is_taken_only_once(client, variable):
    again = client.post("/api/variables/", json={"name": variable["name"], "value": 1})
    assert again.status_code == 409
    other = created(client, "variables", name=unique("other"), value=1)
    assert client.patch(f"/api/variables/{other['id']}", json={"name": variable["name"]}).status_code == 409
    assert client.get(f"/api/variables/{other['id']}").json == other


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_a_value_may_be_any_json_and_is_told_from_none_given(client, variable, value):
    client.patch(f"/api/variables/{variable['id']}", json={"value": value})
    assert client.get(f"/api/variables/{variable['id']}").json["value"] == value
    client.patch(f"/api/variables/name/{variable['name']}", json={"tags": ["other"]})
    changed = client.get(f"/api/variables/{variable['id']}").json
    assert (changed["value"], changed["tags"]) == (value, ["other"])


def test_a_value_is_at_most_5000_bytes_of_json(client):
    assert "body.value" in problems(client.post("/api/variables/", json={"name": unique("v"), "value": "x" * 4999}))
    created(client, "variables", name=unique("v"), value="x" * 4998)


@pytest.mark.parametrize("name", ["Upper", "a b", "a.b", "é", "x" * 256, None, 5])
def test_a_name_that_is_none_is_refused(client, variable, name):
    assert "body.name" in problems(client.post("/api/variables/", json={"name": name, "value": 1}))
    assert "body.name" in problems(client.patch(f"/api/variables/{variable['id']}", json={"name": name}))


def test_a_variable_is_deleted_by_id_or_by_name(client, variable):
    assert client.delete(f"/api/variables/name/{variable['name']}").status_code == 204
    assert client.delete(f"/api/variables/name/{variable['name']}").status_code == 404
    other = created(client, "variables", name=variable["name"], value=1)
    assert client.delete(f"/api/variables/{other['id']}").status_code == 204
    assert client.delete(f"/api/variables/{other['id']}").status_code == 404


def test_what_happens_to_a_variable_is_recorded(client, variable):
    name = variable["name"]
    client.patch(f"/api/variables/{variable['id']}", json={"value": 2})
    client.delete(f"/api/variables/{variable['id']}")
    client.delete(f"/api/variables/{variable['id']}")
    assert events_of(client, variable) == [
        ("prefect.variable.created", name, variable["value"], ["t"]),
        ("prefect.variable.updated", name, 2, ["t"]),
        ("prefect.variable.deleted", name, 2, ["t"]),
    ]


def test_variables_are_listed_by_name_and_counted(client):
    word = unique("list")
    for letter, tags in (("b", ["x", "y"]), ("c", []), ("a", ["x"])):
        created(client, "variables", name=f"{letter}-{word}", value=1, tags=tags)

    def find(sort="NAME_ASC", **criteria) -> str:
        chosen = {"variables": {"name": {"like_": word}, **criteria}}
        found = client.post("/api/variables/filter", json={"sort": sort, **chosen}).json
        assert client.post("/api/variables/count", json=chosen).json == len(found)
        return "".join(variable["name"][0] for variable in found)

    assert find() == "abc"
    assert find("NAME_DESC") == "cba"
    assert find("CREATED_DESC") == "acb"
    assert find(tags={"all_": ["x"]}) == "ab"
    assert find(tags={"is_null_": True}) == "c"
    assert find(tags={"operator": "or_", "all_": ["y"], "is_null_": True}) == "bc"
