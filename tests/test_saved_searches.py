"""Saved searches: what the web UI keeps by name."""

import pytest

from tests.resources import problems, unique

CRITERION = {"object": "flow_run", "property": "name", "type": "string", "operation": "equals", "value": None}


def save(client, name, **fields):
    return client.put("/api/saved_searches/", json={"name": name, **fields})


def test_a_search_is_saved_under_its_name_and_replaced_under_the_same(client):
    name = unique("search")
    first = save(client, name, filters=[CRITERION | {"extra": 1}])
    second = save(client, name, filters=[CRITERION | {"value": [1]}, CRITERION])
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json["filters"] == [CRITERION]
    assert second.json["id"] == first.json["id"]
    assert client.get(f"/api/saved_searches/{first.json['id']}").json == second.json
    assert second.json["filters"] == [CRITERION | {"value": [1]}, CRITERION]


def test_searches_are_listed_by_name(client):
    names = [unique(letter) for letter in "bca"]
    for name in names:
        save(client, name)
    found = [search["name"] for search in client.post("/api/saved_searches/filter").json]
    assert [name for name in found if name in names] == sorted(names)
    assert len(client.post("/api/saved_searches/filter", json={"limit": 1, "offset": 1}).json) == 1


def test_a_deleted_search_is_gone(client):
    id = save(client, unique("search")).json["id"]
    assert client.delete(f"/api/saved_searches/{id}").status_code == 204
    assert client.delete(f"/api/saved_searches/{id}").status_code == 404
    assert client.get(f"/api/saved_searches/{id}").status_code == 404


@pytest.mark.parametrize("field", CRITERION)
def test_a_filter_that_lacks_something_is_refused(client, field):
    broken = {key: value for key, value in CRITERION.items() if key != field}
    assert f"body.filters.0.{field}" in problems(save(client, unique("search"), filters=[broken]))
