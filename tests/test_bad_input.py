"""Rubbish to every operation: a 4xx that says what is wrong, never a 5xx, and nothing written.

The operations are those of the application, and what their bodies look like is read from their schemas, so the tests grow
with the API. BAD_INPUT_EXAMPLES sets how many requests each operation gets (more than 25 to look for rare faults).
"""

import json
import os
import re
from functools import cache
from urllib.parse import quote
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import fields, validate

from app import create_app
from schemas.fields import Id, Time
from schemas.states import DETAILS, StateDetails
from sql.database import connect

EXAMPLES = int(os.environ.get("BAD_INPUT_EXAMPLES", "25"))

# Bodies that are no JSON, in whole or as PostgreSQL sees it.
BROKEN = {
    "half": b'{"name": ',
    "two": b"{} {}",
    "bom": b"\xef\xbb\xbf{}",
    "utf-8": b'{"name": "\xff\xfe"}',
    "utf-16": '{"name": "x"}'.encode("utf-16"),
    "overlong": b'{"name": "\xc0\x80"}',
    "nan": b'{"name": NaN}',
    "infinity": b'{"limit": -Infinity}',
    "raw nul": b'{"name": "\x00"}',
    "surrogate": b'{"name": "\\ud800"}',
    "surrogate key": b'{"\\udfff": 1}',
    "nested lists": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"state":' * 20_000 + b"1" + b"}" * 20_000,
    "single quotes": b"{'name': 'x'}",
    "form": b"name=x&limit=5",
}

# Values that stand where others should.
RUBBISH = [
    None,
    True,
    False,
    *(-1, 0, 201, 2**31, -(2**31) - 1, 2**63, 2**64, 10**40, -(10**400)),
    *(0.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf")),
    *("", " ", "x", "\0", "a\0b", "\ud800", "\U0010ffff", "x" * 3000, "é" * 70_000, "%s %(id)s {filter} {sort} '; --"),
    *("0", "-1", "1e5", "true", "null", "[]", "{}", "and_", "infinity", "now", "2026-02-30", "24:00:00"),
    *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "10000-01-01T00:00:00Z"),
    *("2026-11-21T25:00:00Z", "2026-11-21T04:03:26+99:00", "2026-W47-6", 1e20, -1e20, 253402300800),
    *("11111111-1111-1111-1111-11111111111g", "11111111111111111111111111111111", "{11111111-1111-1111-1111-111111111111}"),
    *([], [[]], [None], [0], [""], ["\0"], [{}], list(range(300)), ["x"] * 300),
    *({}, {"": ""}, {"\0": 1}, {"a": {"b": ["\0"]}}, {"x": None}, {"any_": None}, {"any_": "x"}, {"operator": "xor_"}),
    *({"type": "x"}, {"type": "RUNNING", "state_details": "x"}, {"__prefect_kind": "json"}, {"$ref": "x"}, {"k": float("nan")}),
]


# These stand for objects nested as deeply; they are put in when the body is written, so that a failure can be read.
RUBBISH += ["@nested 100@", "@nested 300@", "@nested 900@"]

# Samples for the fields that say nothing about themselves; `@flow_runs@` becomes the id of one that exists.
IDS = st.sampled_from(["@flows@", "@flow_runs@", "@task_runs@", "@flow_run_states@", str(uuid4())])
TIMES = st.sampled_from(["2026-11-21T04:03:26.789078Z", "2026-11-21 04:03:26+02:00", "2026-11-21T04:03:26", 1795233807])
TEXTS = st.sampled_from(["x", "Running", "a b", "größe", "flow-run", "@flow_runs@"])
NUMBERS = st.sampled_from([0, 1, 2, 50, 200])
DOCUMENTS = st.sampled_from([{}, {"a": 1}, {"a": {"b": [1, None, "x"]}}])
DETAIL_SAMPLES = {
    "UUID": IDS,
    "time": TIMES,
    "string": TEXTS,
    "boolean": st.booleans(),
    "object of strings": st.just({"schema": "x"}),
}


def samples(field: fields.Field) -> st.SearchStrategy:
    """Give values that a field should accept, as far as can be told from its class and validators."""
    for validator in field.validators:
        if isinstance(validator, validate.OneOf):
            return st.sampled_from(list(validator.choices))
    if isinstance(field, fields.Nested):
        return objects(type(field.schema))
    if isinstance(field, fields.List):
        return st.lists(samples(field.inner), max_size=2)
    if isinstance(field, StateDetails):
        return st.fixed_dictionaries({}, optional={key: DETAIL_SAMPLES[kind[0]] for key, kind in DETAILS.items()})
    kinds = {
        Id: IDS,
        Time: TIMES,
        fields.Boolean: st.booleans(),
        fields.Number: NUMBERS,
        fields.String: TEXTS,
    }
    return next((strategy for kind, strategy in kinds.items() if isinstance(field, kind)), DOCUMENTS)


@cache
def objects(schema: type) -> st.SearchStrategy:
    """Give objects with the required and some of the other fields of a schema."""
    known = {field.data_key or name: field for name, field in schema().fields.items()}
    required = {key: st.deferred(lambda field=field: samples(field)) for key, field in known.items() if field.required}
    others = {key: st.deferred(lambda field=field: samples(field)) for key, field in known.items() if not field.required}
    return st.fixed_dictionaries(required, optional=others)


@st.composite
def spoilt(draw, good: st.SearchStrategy):
    """Give a value of which none, one or two parts, however deep, are rubbish."""
    value = draw(good)
    for _ in range(draw(st.integers(0, 2))):
        value = spoil(draw, value)
    return value


def spoil(draw, value):
    """Put rubbish in the place of a part of a value, or beside its parts."""
    rubbish = draw(st.sampled_from(RUBBISH))
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: spoil(draw, value[key])}
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(st.sampled_from(["x", "", "\0", "id", "operator", "\ud800"])): rubbish}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [*value[:-1], spoil(draw, value[-1])]
    return rubbish


def body_strategy(view) -> st.SearchStrategy:
    """Give bodies for a view, by the schema that it says it takes."""
    schema = getattr(view, "body", None)
    if isinstance(schema, list) and isinstance(schema[0], type):
        return spoilt(st.lists(objects(schema[0]), max_size=2))
    return spoilt(objects(schema)) if isinstance(schema, type) else st.sampled_from([*RUBBISH, {}])


def operations() -> list:
    """Give every operation of the API as (rule, method, view), websockets left out."""
    app = create_app()
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/") and not rule.websocket]
    found = [(rule, method) for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}]
    found.sort(key=lambda pair: (pair[0].rule, pair[1]))
    return [pytest.param(rule, method, app.view_functions[rule.endpoint], id=f"{method} {rule}") for rule, method in found]


OPERATIONS = operations()
WITH_BODY = [each for each in OPERATIONS if hasattr(each.values[2], "body")]
WITH_ID = [each for each in OPERATIONS if "<id:" in each.id]
WITH_NAME = [each for each in OPERATIONS if any(part.startswith("<") and ":" not in part for part in each.id.split("/"))]

QUERIES = ["", "?flow_run_id=x", "?flow_run_id=%00", "?%ff=%fe&=&&a", "?task_run_id=", "?client=%00", "?limit=9" + "9" * 30]
NAMES = ["x", "%20", "%00", "a%00b", "%ff", "%f0%9f%91%8b", "%ed%a0%80", "..%2f", "x" * 4000, "{filter}", "%25s"]


@pytest.fixture(scope="module")
def rows(module_database):
    """Give a function that tells how many rows each table has and what is in them, in a form to compare."""
    with connect(module_database) as conn:
        tables = conn.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'downbeat')"
        ).fetchall()
        parts = [f"SELECT '{name}', count(*), sum(hashtextextended(row::text, 0)) FROM {name} AS row" for (name,) in tables]
        statement = " UNION ALL ".join(parts)
        yield lambda: conn.execute(statement).fetchall()


@pytest.fixture
def known(client):
    """The ids of things that exist, by the first part of their path."""
    flow = client.post("/api/flows/", json={"name": str(uuid4())}).json["id"]
    run = client.post("/api/flow_runs/", json={"flow_id": flow, "state": {"type": "PENDING"}}).json
    task_run = {"flow_run_id": run["id"], "task_key": "t", "dynamic_key": "0", "state": {"type": "PENDING"}}
    task_run = client.post("/api/task_runs/", json=task_run).json
    states = {"flow_run_states": run["state_id"], "task_run_states": task_run["state_id"]}
    return {"flows": flow, "flow_runs": run["id"], "task_runs": task_run["id"], **states}


def fill(rule, known: dict[str, str], **values: str) -> str:
    """Give the path of a rule with an id that exists and the other parts as given."""
    parts = [part.strip("<>").split(":") if part.startswith("<") else part for part in rule.rule.split("/")]
    existing = known.get(parts[2], str(uuid4()))
    return "/".join(p if isinstance(p, str) else values.get(p[0], existing if p[0] == "id" else "x") for p in parts)


def check(answer, before, rows) -> list:
    """Check that an answer is no 5xx and, if it is a 4xx, says why and left nothing behind; give the rows of now."""
    assert answer.status_code < 500, answer.text
    after = rows()
    if answer.status_code >= 400:
        content = answer.json
        assert isinstance(content.get("detail") or content.get("exception_message"), str), content
        for problem in content.get("exception_detail") or []:
            assert isinstance(problem["msg"], str) and problem["loc"][0] in ("body", "query", "path", "header"), problem
        if answer.status_code != 423:  # a limit counts what it denies, which steers how long others are told to wait
            assert after == before
    return after


def encode(value, known: dict[str, str]) -> bytes:
    """Write a value as JSON with all that Python lets pass (NaN, lone surrogates), ids and nested objects put in."""
    text = re.sub(r'"@nested (\d+)@"', lambda found: '{"a":' * int(found[1]) + "1" + "}" * int(found[1]), json.dumps(value))
    for kind, id in known.items():
        text = text.replace(f"@{kind}@", id)
    return text.encode()


@pytest.mark.parametrize(("rule", "method", "view"), OPERATIONS)
def test_answers_rubbish_with_a_4xx_and_writes_nothing(client, known, rows, rule, method, view):
    before = rows()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(content=body_strategy(view), query=st.sampled_from(QUERIES), name=st.sampled_from(NAMES))
    def attempt(content, query, name):
        nonlocal before
        path = fill(rule, known, **dict.fromkeys(rule.arguments - {"id"}, name))
        answer = client.open(path + query, method=method, data=encode(content, known), content_type="application/json")
        before = check(answer, before, rows)

    attempt()


@pytest.mark.parametrize(("rule", "method", "view"), WITH_BODY)
def test_refuses_a_body_that_is_no_json(client, known, rows, rule, method, view):
    before = rows()
    for name, content in BROKEN.items():
        answer = client.open(fill(rule, known), method=method, data=content, content_type="application/json")
        assert answer.status_code == 422, name
        check(answer, before, rows)


@pytest.mark.parametrize(("rule", "method", "view"), WITH_BODY)
def test_refuses_a_body_that_is_too_large(client, known, rows, monkeypatch, rule, method, view):
    monkeypatch.setitem(client.application.config, "MAX_CONTENT_LENGTH", 1000)
    before = rows()
    answer = client.open(fill(rule, known), method=method, data=b'{"name": "' + b"x" * 1000 + b'"}')
    assert answer.status_code == 413
    check(answer, before, rows)


@pytest.mark.parametrize(("rule", "method", "view"), WITH_ID)
@pytest.mark.parametrize(
    "id", ["x", "1", "null", "%00", "0f6e5c1a6d2e4a9c8c393f5b8f8f7d11", "0f6e5c1a-6d2e-4a9c-8c39-3f5b8f8f7d1g"]
)
def test_knows_no_path_with_an_id_that_is_no_uuid(client, known, rows, rule, method, view, id):
    before = rows()
    answer = client.open(fill(rule, known, id=id), method=method, json={})
    # The part may also be the name of another operation, such as `filter`; none of these ids is one.
    assert answer.status_code in (404, 405)
    check(answer, before, rows)


@pytest.mark.parametrize(("rule", "method", "view"), WITH_NAME)
def test_a_name_ends_with_its_last_character(client, known, rows, rule, method, view):
    flow = client.get(f"/api/flows/{known['flows']}").json["name"]
    client.post(f"/api/flow_runs/{known['flow_runs']}/input", json={"key": flow, "value": "1"})
    before = rows()
    names = {argument: quote(flow + "\0more") for argument in rule.arguments - {"id"}}
    answer = client.open(fill(rule, known, **names), method=method)
    assert 400 <= answer.status_code < 500
    check(answer, before, rows)


@pytest.mark.parametrize("content", [
    {f"unknown{number}": number for number in range(20_000)},
    {"name": 1, "x" * 1_000_000: 1},
    {"name": ["y" * 1_000_000]},
    {"name": {"z": [[] for _ in range(300_000)]}},
    {"name": "f", "tags": [None] * 50_000},
    {"name": "f", "tags": [{"a": "w" * 2000}] * 500},
    {"name": "f", "labels": {"k" * 5000 + str(number): [] for number in range(200)}},
    "t" * 1_000_000,
    [0] * 500_000,
], ids=lambda content: type(content).__name__)  # fmt: skip
def test_a_refusal_is_short_however_much_is_wrong(client, content):
    answer = client.post("/api/flows/", json=content)
    assert answer.status_code == 422
    assert 1 <= len(answer.json["exception_detail"]) <= 100
    assert len(answer.data) < 250_000


def test_a_refusal_of_what_is_no_json_is_short(client):
    answer = client.post("/api/flows/", data="{" * 1_000_000, content_type="application/json")
    assert answer.status_code == 422
    assert len(answer.data) < 250_000


def test_a_refusal_repeats_what_was_wrong(client):
    content = {"name": 1, "tags": ["a", None], "labels": {"a": [1]}}
    answer = client.post("/api/flows/", json=content)
    assert answer.json["request_body"] == content
    assert [problem["input"] for problem in answer.json["exception_detail"] if problem["loc"] == ["body", "name"]] == [1]
