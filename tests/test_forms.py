"""Checking the values of a form: placeholders that cannot be filled in, and where each error is put."""

import socket

import pytest

from handlers.domain.inputs import find_form_errors, hydrate, validate
from tests.resources import created

INTEGER = {"type": "integer", "default": 0}
NESTED = {"type": "object", "properties": {"b": INTEGER, "c": {"type": "array", "items": INTEGER, "default": []}}}


def placeholder(kind, **fields) -> dict:
    return {"__prefect_kind": kind, **fields}


@pytest.fixture(scope="module")
def variables(client) -> None:
    """A variable that is a number and one that is a text."""
    created(client, "variables", name="answer", value=42)
    created(client, "variables", name="words", value="x")


def errors_at(tree: list, path: tuple = ()) -> list[tuple]:
    """Give the path of each error in a tree."""
    found = []
    for entry in tree:
        if isinstance(entry, str):
            found.append(path)
        else:
            (place,) = (entry[key] for key in ("property", "index") if key in entry)
            found += errors_at(entry["errors"], (*path, place))
    return found


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({"a": 1, "n": {"b": 1, "c": [1, 2]}}, []),
        ({"a": "x"}, [("a",)]),
        ({"n": {"b": "x", "c": [1, "x", 2, None]}}, [("n", "b"), ("n", "c", 1), ("n", "c", 3)]),
        ({"n": 5}, [("n",)]),
        ({"a": placeholder("json", value="5")}, []),
        ({"a": placeholder("json", value="[5]")}, [("a",)]),
        ({"a": placeholder("json", value="{")}, [("a",)]),
        ({"a": placeholder("json")}, []),
        ({"a": placeholder("none", value="x")}, [("a",)]),
        ({"a": placeholder("none")}, [("a",)]),
        ({"a": placeholder("jinja", template="{{ anything }}")}, []),
        ({"a": placeholder("jinja", template="{{ anything")}, [("a",)]),
        ({"a": placeholder("jinja", template=5)}, [("a",)]),
        ({"a": placeholder("jinja")}, [("a",)]),
        ({"a": placeholder("workspace_variable", variable_name="answer")}, []),
        ({"a": placeholder("workspace_variable", variable_name="words")}, [("a",)]),
        ({"a": placeholder("workspace_variable", variable_name="no_such")}, [("a",)]),
        ({"n": placeholder("none", value={"b": placeholder("json", value="{"), "c": ["x"]})}, [("n", "b"), ("n", "c", 0)]),
        ({"n": {"c": [placeholder("json"), "x", placeholder("json", value="{"), 1]}}, [("n", "c", 0), ("n", "c", 1)]),
        ({"not_in_the_schema": {"x": placeholder("json", value="{")}}, [("not_in_the_schema", "x")]),
        (placeholder("json", value="{"), [()]),
        (placeholder("json", value="5"), [()]),
        (placeholder("json"), []),
        (placeholder("jinja", template="{{ x }}"), []),
        (placeholder(["json"], value={"a": 1}), []),
    ],
)
def test_an_error_is_where_its_value_is(variables, values, places):
    schema = {"type": "object", "properties": {"a": INTEGER, "n": {**NESTED, "default": {}}}}
    assert sorted(errors_at(find_form_errors(values, schema)), key=str) == sorted(places, key=str)


@pytest.mark.parametrize("name", ["a", "first name", "it's", '"quoted"', "größe", "a\\b", ""])
def test_a_missing_property_is_an_error_of_that_property(name):
    schema = {"type": "object", "properties": {"in": {"type": "object", "properties": {name: INTEGER}, "required": [name]}}}
    assert errors_at(find_form_errors({"in": {}}, schema)) == [("in", name)]


def test_errors_of_one_item_stand_together():
    schema = {"properties": {"a": {"items": {"properties": {"b": INTEGER, "c": INTEGER}}}}}
    (errors,) = find_form_errors({"a": [{"b": "x", "c": "y"}, {"b": "z"}]}, schema)
    assert errors["property"] == "a"
    assert [(item["index"], len(item["errors"])) for item in errors["errors"]] == [(0, 2), (1, 1)]


def test_an_error_of_the_whole_does_not_hide_those_within():
    schema = {"additionalProperties": False, "properties": {"a": {"properties": {"b": INTEGER}}}}
    assert errors_at(find_form_errors({"x": 1, "a": {"b": "x"}}, schema)) == [(), ("a", "b")]


def test_an_error_that_is_very_deep_can_be_shown():
    values: dict = {"a": "x"}
    for _ in range(160):
        values = {"a": values}
    schema = {"properties": {"a": {"$ref": "#"}}, "not": {"type": "string"}}
    (path,) = errors_at(find_form_errors(values, schema))
    assert set(path) == {"a"} and len(path) == 101


@pytest.mark.parametrize(
    ("format", "good", "bad"),
    [
        ("date-time", "2026-11-21T04:00:00.5+02:00", "2026-11-21"),
        ("date-time", "2024-02-29T00:00:00z", "2025-02-29T00:00:00Z"),
        ("time", "04:00:00Z", "04:00"),
        ("time", "23:59:59.25-11:00", "25:00:00Z"),
        ("date", "2024-02-29", "2025-02-29"),
        ("uuid", "4b05f2b7-6d0f-4d3d-a7c9-000000000000", "x"),
    ],
)
def test_formats_are_checked(format, good, bad):
    schema = {"properties": {"a": {"format": format}}}
    for value, is_good in ((good, True), (5, True), (bad, False), ("", False)):
        assert find_form_errors({"a": value}, schema) == (
            [] if is_good else [{"property": "a", "errors": [f"{value!r} is not a {format!r}"]}]
        )


def test_a_reference_may_stand_for_a_block():
    block = {"title": "Other", "block_type_slug": "b", "type": "object", "properties": {"x": {}}, "required": ["x"]}
    schema = {"definitions": {"B": block}, "properties": {"a": {"$ref": "#/definitions/B"}}}
    for value in ({"x": 1}, {"$ref": {"block_document_id": "x"}}, {"$ref": "4b05f2b7-6d0f-4d3d-a7c9-000000000000"}):
        validate({"a": value}, schema)
    for value in ({}, {"$ref": 5}, {"$ref": {}}, 5):
        with pytest.raises(ValueError, match="'a'"):
            validate({"a": value}, schema)


def test_what_a_schema_refers_to_is_not_fetched():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        with pytest.raises(ValueError, match="Unresolvable"):
            validate({}, {"$ref": f"http://127.0.0.1:{server.getsockname()[1]}/schema"})
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "template",
    ["{{ 'a'.encode('no_such') }}", "{% for a in 'x' %}" * 30 + "{% endfor %}" * 30, "{{ " + "(" * 5000, "{{ {}.x.y() }}"],
    ids=("raises", "nested loops", "nested brackets", "calls nothing"),
)
def test_a_template_that_fails_is_refused(template):
    with pytest.raises(ValueError, match="invalid jinja"):
        hydrate({"a": placeholder("jinja", template=template)})


def test_a_placeholder_for_nothing_leaves_nothing():
    assert hydrate(placeholder("json")) == {}
    assert hydrate({"a": placeholder("jinja", template=placeholder("json")), "b": 1}) == {"b": 1}


@pytest.mark.parametrize("value", ["5", "[]", "null"])
def test_a_placeholder_for_the_whole_stands_for_an_object(value):
    assert hydrate(placeholder("json", value='{"a": 1}')) == {"a": 1}
    with pytest.raises(ValueError, match="object"):
        hydrate(placeholder("json", value=value))


@pytest.mark.parametrize(
    "value",
    [placeholder("jinja", template="{{ '\\ud800' }}"), placeholder("json", value="[" * 250 + "]" * 250)],
    ids=("half a surrogate pair", "nested too deeply"),
)
def test_a_value_that_cannot_be_stored_is_refused(value):
    with pytest.raises(ValueError, match="cannot be stored"):
        hydrate({"a": value})
