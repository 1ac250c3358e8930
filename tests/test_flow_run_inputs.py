"""Operations under /flow_runs/{id}/input."""

import pytest

from tests.resources import NOBODY, make_flow_run, problems

FIELDS = ["id", "created", "updated", "flow_run_id", "key", "value", "sender"]


@pytest.fixture
def path(client) -> str:
    """The path of the inputs of a flow run."""
    return f"/api/flow_runs/{make_flow_run(client)['id']}/input"


def keys(client, path, **arguments) -> list[str]:
    """Give the keys that are found, in order."""
    answer = client.post(f"{path}/filter", json=arguments)
    assert answer.status_code == 200, answer.text
    return [found["key"] for found in answer.json]


def test_an_input_is_stored_and_read_back_as_it_was_sent(client, path):
    value = '{"n": 1.0, "ü": "\\u00fc"}\n'
    assert client.post(path, json={"key": "in-1", "value": value, "sender": "flow-run.x"}).status_code == 201
    answer = client.get(f"{path}/in-1")
    assert (answer.text, answer.content_type) == (value, "text/plain; charset=utf-8")
    [found] = client.post(f"{path}/filter", json={"prefix": "in"}).json
    assert list(found) == FIELDS
    assert (found["key"], found["value"], found["sender"]) == ("in-1", value, "flow-run.x")


def test_a_key_is_given_once(client, path):
    assert client.post(path, json={"key": "k", "value": "first"}).status_code == 201
    assert client.post(path, json={"key": "k", "value": "second"}).status_code == 409
    assert client.get(f"{path}/k").text == "first"


def test_an_input_for_a_run_that_is_not_there_is_not_found(client):
    assert client.post(f"/api/flow_runs/{NOBODY}/input", json={"key": "k", "value": "v"}).status_code == 404
    assert keys(client, f"/api/flow_runs/{NOBODY}/input", prefix="", limit=9) == []


def test_the_oldest_inputs_with_a_prefix_are_found(client, path):
    for key in ("b-1", "a-1", "a-2", "a-3", ""):
        assert client.post(path, json={"key": key, "value": "v"}).status_code == 201
    assert keys(client, path, prefix="a") == ["a-1"]
    assert keys(client, path, prefix="a", limit=2) == ["a-1", "a-2"]
    assert keys(client, path, prefix="a-", limit=9, exclude_keys=["a-2"]) == ["a-1", "a-3"]
    assert keys(client, path, prefix="", limit=9) == ["b-1", "a-1", "a-2", "a-3", ""]
    assert keys(client, path, prefix="a", limit=0) == keys(client, path, prefix="c") == []


def test_a_deleted_input_is_gone(client, path):
    client.post(path, json={"key": "k", "value": "v"})
    assert client.delete(f"{path}/k").status_code == 204
    assert client.delete(f"{path}/k").status_code == 404
    assert client.get(f"{path}/k").status_code == 404


def test_a_key_is_not_cut_at_a_nul(client, path):
    client.post(path, json={"key": "k", "value": "v"})
    assert client.get(f"{path}/k%00more").status_code == 404
    assert client.delete(f"{path}/k%00more").status_code == 404


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"value": "v"}, "body.key"),
        ({"key": "k"}, "body.value"),
        ({"key": "k", "value": 5}, "body.value"),
        ({"key": "k", "value": "\0"}, "body.value"),
        ({"key": "k", "value": "v", "sender": 5}, "body.sender"),
        *(({"key": key, "value": "v"}, "body.key") for key in ("K", "k 1", "k_1", "k.1", "k/1", "ключ", "k\n", "k\0", 5)),
    ],
    ids=str,
)
def test_an_input_that_cannot_be_is_refused_naming_the_field(client, path, body, place):
    assert problems(client.post(path, json=body)) == [place]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "body.prefix"),
        ({"prefix": "", "limit": -1}, "body.limit"),
        ({"prefix": "", "limit": 2**31}, "body.limit"),
        ({"prefix": "", "exclude_keys": "k"}, "body.exclude_keys"),
    ],
    ids=str,
)
def test_a_search_that_makes_no_sense_is_refused_naming_the_field(client, path, body, place):
    assert problems(client.post(f"{path}/filter", json=body)) == [place]


def test_a_key_too_long_to_be_indexed_is_refused(client, path):
    from random import Random

    key = "".join(Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789-", k=10_000))
    assert problems(client.post(path, json={"key": key, "value": "v"})) == ["body.key"]
