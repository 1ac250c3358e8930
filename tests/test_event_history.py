"""Reading events: what is found, page by page, and how it is counted."""

import base64
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import pytest

import sql
from schemas.event_history import EventFilter
from sql.database import connect
from sql.filters import sort_by
from sql.filters.events import compose_events
from tests.events import make_event, make_life
from tests.resources import problems

START = datetime(2025, 5, 5, 12, tzinfo=timezone.utc)  # a Monday
# Letter: seconds from the start, name, resource, related resources.
EVENTS = {
    "a": (0, "run.started", {"id": "run.1", "name": "one", "size": "big"}, [{"id": "flow.1", "role": "flow"}]),
    "b": (60, "run.ended", {"id": "run.1", "name": "uno"}, [{"id": "flow.1", "role": "flow", "team": "red"}]),
    "c": (3600, "run.started", {"id": "run.2"}, [{"id": "flow.2", "role": "flow"}, {"id": "flow.1", "role": "parent"}]),
    "d": (90000, "log_written", {"id": "flow.1"}, []),
    "e": (90000.5, "log.written", {"id": "log"}, [{"id": "run.1", "role": "source", "team": "blue"}]),
}
WITHIN = {"since": START.isoformat(), "until": (START + timedelta(days=2)).isoformat()}
LABELS = {"id": "prefect.resource.id", "role": "prefect.resource.role", "name": "prefect.resource.name"}


def resource(labels: dict[str, str]) -> dict[str, str]:
    """Give a resource with the full names of its labels."""
    return {LABELS.get(label, label): value for label, value in labels.items()}


@pytest.fixture(scope="module", autouse=True)
def stored(module_database) -> dict[str, str]:
    """Store the events; gives their ids by letter."""
    events = [
        make_event(
            occurred=START + timedelta(seconds=seconds),
            event=name,
            resource=resource(labels),
            related=[resource(one) for one in related],
            payload={"letter": f"Letter {letter}"},
        )
        for letter, (seconds, name, labels, related) in EVENTS.items()
    ]
    with connect(module_database) as conn:
        sql.events.create(conn, events=events)
    return {event["payload"]["letter"][-1]: event["id"] for event in events}


def search(client, limit=50, **criteria):
    """Ask for a page of events."""
    return client.post("/api/events/filter", json={"filter": {"occurred": WITHIN} | criteria, "limit": limit})


def letters(page: dict) -> str:
    """Give the letters of the events of a page."""
    return "".join(event["payload"]["letter"][-1] for event in page["events"])


def count(client, countable, criteria=None, **steps) -> list[dict]:
    """Ask for counts."""
    answer = client.post(f"/api/events/count-by/{countable}", json={"filter": {"occurred": WITHIN} | (criteria or {}), **steps})
    assert answer.status_code == 200, answer.text
    return answer.json


def count_all(client, name) -> int:
    """Count the events of a name, whenever they occurred."""
    return search(client, event={"name": [name]}, occurred={"since": "2000-01-01T00:00:00Z"}).json["total"]


FOUND = [
    ({}, "edcba"),
    ({"order": "ASC"}, "abcde"),
    ({"event": {"name": ["run.ended", "log_written"]}}, "db"),
    ({"event": {"exclude_name": ["run.ended"], "prefix": ["run."]}}, "ca"),
    ({"event": {"prefix": ["log_"]}}, "d"),
    ({"event": {"prefix": ["log_", "run."]}}, "dcba"),
    ({"event": {"prefix": [*(f"none-{number}" for number in range(60)), "log_"]}}, "d"),
    ({"event": {"exclude_prefix": ["run.", "log."]}}, "d"),
    ({"event": {"name": [], "prefix": []}}, "edcba"),
    ({"resource": {"id": ["run.1", "flow.1"]}}, "dba"),
    ({"resource": {"id_prefix": ["run."]}}, "cba"),
    ({"resource": {"id_prefix": ["run.2", "log"]}}, "ec"),
    ({"resource": {"distinct": True}}, "edcb"),
    ({"resource": {"distinct": True}, "order": "ASC"}, "acde"),
    ({"resource": {"labels": {"size": "b*"}}}, "a"),
    ({"resource": {"labels": {"prefect.resource.name": ["!on?"]}}}, "b"),
    ({"resource": {"labels": {"prefect.resource.id": ["run.?", "log"]}}}, "ecba"),
    ({"resource": {"labels": {"size": []}}}, ""),
    ({"related": {"id": ["flow.1"]}}, "cba"),
    ({"related": {"id": ["flow.1"], "role": ["parent"]}}, "c"),
    ({"related": {"role": ["source"]}}, "e"),
    ({"related": {"resources_in_roles": [["flow.1", "parent"], ["run.1", "source"]]}}, "ec"),
    ({"related": {"resources_in_roles": [["flow.2", "parent"]]}}, ""),
    ({"related": {"labels": {"team": ["*"]}}}, "eb"),
    ({"related": [{"id": ["flow.1"]}, {"id": ["flow.2"]}]}, "c"),
    ({"related": {}}, "edcba"),
    ({"any_resource": {"id": ["flow.1"]}}, "dcba"),
    ({"any_resource": {"id_prefix": ["run.1"]}}, "eba"),
    ({"any_resource": [{"id": ["flow.1"]}, {"id": ["run.1"]}]}, "ba"),
    ({"text": {"query": "letter -one"}}, "edcb"),
    ({"text": {"query": '"LETTER c" blue'}}, "ec"),
    ({"text": {"query": "+run.1 +red"}}, "b"),
    ({"event": {"prefix": ["run."]}, "related": {"id": ["flow.1"]}, "resource": {"id": ["run.2"]}}, "c"),
]


@pytest.mark.parametrize(("criteria", "found"), FOUND, ids=lambda value: value if isinstance(value, str) else str(value)[1:60])
def test_events_are_found_by(client, criteria, found):
    answer = search(client, **criteria)
    assert (letters(answer.json), answer.json["total"], answer.json["next_page"]) == (found, len(found), None)


def test_events_are_found_by_id(client, stored):
    assert letters(search(client, id={"id": [stored["b"], stored["e"]]}).json) == "eb"


def test_both_ends_of_the_time_are_included(client):
    ends = {"since": START.isoformat(), "until": (START + timedelta(seconds=60)).isoformat()}
    assert letters(search(client, occurred=ends).json) == "ba"
    inside = {"since": (START + timedelta(microseconds=1)).isoformat(), "until": (START + timedelta(seconds=59)).isoformat()}
    assert letters(search(client, occurred=inside).json) == ""


def test_only_the_last_180_days_are_searched_unless_a_filter_says_otherwise(client, module_database):
    recent = [make_event(occurred=datetime.now(timezone.utc) - timedelta(days=days), event="recent") for days in (1, 179, 182)]
    with connect(module_database) as conn:
        sql.events.create(conn, events=recent)
    found = client.post("/api/events/filter", json={"filter": {"event": {"name": ["recent"]}}}).json["events"]
    assert [event["id"] for event in found] == [event["id"] for event in recent[:2]]


def test_an_event_is_shown_as_it_was_sent(client, stored):
    [event] = search(client, id={"id": [stored["a"]]}).json["events"]
    assert event.pop("received").endswith("Z")
    assert event == {
        "id": stored["a"],
        "occurred": "2025-05-05T12:00:00Z",
        "event": "run.started",
        "resource": resource(EVENTS["a"][2]),
        "related": [resource(EVENTS["a"][3][0])],
        "payload": {"letter": "Letter a"},
        "follows": None,
    }


@pytest.mark.parametrize(
    "criteria", [{}, {"order": "ASC"}, {"resource": {"distinct": True}}, {"any_resource": {"id": ["flow.1"]}}]
)
def test_pages_follow_one_another_to_the_end(client, criteria):
    whole = search(client, **criteria).json
    page, found = search(client, 2, **criteria).json, ""
    while page["next_page"]:
        found += letters(page)
        assert len(letters(page)) == 2 and page["total"] == whole["total"]
        address = urlsplit(page["next_page"])
        page = client.get(f"{address.path}?{address.query}").json
    assert found + letters(page) == letters(whole)


@pytest.mark.parametrize("names", [60, 10_000])
def test_pages_of_a_long_filter_follow_one_another_by_short_addresses(client, module_database, names):
    criteria = {"resource": {"id": ["run.1", "run.2", "log", *(f"prefect.flow-run.{uuid4()}" for _ in range(names))]}}
    whole = search(client, **criteria).json
    page, found = search(client, 2, **criteria).json, ""
    while page["next_page"]:
        found += letters(page)
        assert len(page["next_page"]) < 4000 - len("GET  HTTP/1.1")
        address = urlsplit(page["next_page"])
        page = client.get(f"{address.path}?{address.query}").json
    assert found + letters(page) == letters(whole) == "ecba"
    with connect(module_database) as conn:
        conn.execute("UPDATE downbeat.event_filter SET expires = now() - interval '1 second'")
        search(client, 2, resource={"id": ["run.1", "run.2", *map(str, range(1000))]})
        assert conn.execute("SELECT count(*) FROM downbeat.event_filter").fetchone() == (1,)
    assert client.get(f"{address.path}?{address.query}").status_code == 403


def test_a_page_token_that_is_none_is_refused(client):
    token = urlsplit(search(client, 2).json["next_page"]).query.removeprefix("page-token=")
    content = orjson.loads(base64.urlsafe_b64decode(token))
    assert problems(client.get("/api/events/filter/next")) == ["query.page-token"]
    broken = [{}, [], content | {"limit": 51}, content | {"filter": {"x": 1}}, content | {"offset": -1}, content | {"total": "x"}]
    broken += [content | {"filter": name} for name in ("x", str(uuid4()), "0" * 32 + "\0")]
    tokens = [base64.urlsafe_b64encode(orjson.dumps(one)).decode() for one in broken]
    for bad in ("", "x", "%00", "é", token[:-9], *tokens):
        assert client.get("/api/events/filter/next", query_string={"page-token": bad}).status_code == 403


def test_events_are_counted_by_span_of_time_with_empty_spans(client):
    counts = count(client, "time", time_unit="hour", time_interval=12)
    assert [one["count"] for one in counts] == [3, 0, 2, 0]
    assert counts[0] == {
        "value": "0",
        "label": "2025-05-05T12:00:00+00:00",
        "count": 3,
        "start_time": "2025-05-05T12:00:00Z",
        "end_time": "2025-05-05T23:59:59.999999Z",
    }
    assert [one["count"] for one in count(client, "day")] == [3, 2, 0]
    assert [one["count"] for one in count(client, "time", time_unit="week")] == [5]
    narrow = {"occurred": WITHIN | {"until": (START + timedelta(seconds=61)).isoformat()}, "event": {"prefix": ["run."]}}
    assert [one["count"] for one in count(client, "time", narrow, time_unit="second", time_interval=60)] == [1, 1]


def test_no_span_begins_after_the_present_one(client):
    now = datetime.now(timezone.utc)
    criteria = {"occurred": {"since": (now - timedelta(days=2)).isoformat(), "until": (now + timedelta(days=9)).isoformat()}}
    last = count(client, "time", criteria, time_unit="day")[-1]
    assert datetime.fromisoformat(last["start_time"].replace("Z", "+00:00")) <= now


def test_events_are_counted_by_name_and_by_resource_under_its_latest_name(client):
    names = [(one["value"], one["count"]) for one in count(client, "event")]
    assert names == [("run.started", 2), ("log.written", 1), ("log_written", 1), ("run.ended", 1)]
    resources = [(one["value"], one["label"], one["count"]) for one in count(client, "resource")]
    assert resources[0] == ("run.1", "uno", 2)
    assert sorted(resources[1:]) == [("flow.1", "flow.1", 1), ("log", "log", 1), ("run.2", "run.2", 1)]
    started = count(client, "event", {"event": {"name": ["run.started"]}})
    assert [(one["start_time"], one["end_time"]) for one in started] == [("2025-05-05T12:00:00Z", "2025-05-05T13:00:00Z")]


@pytest.mark.parametrize(
    ("countable", "body", "place"),
    [
        ("time", {"filter": {"occurred": WITHIN}, "time_interval": 0.001}, "body.time_interval"),
        ("time", {"filter": {"occurred": WITHIN}, "time_unit": "week", "time_interval": 10**6}, "body.time_interval"),
        ("time", {"filter": {}, "time_unit": "year"}, "body.time_unit"),
        ("time", {}, "body.filter"),
        ("name", {"filter": {}}, "path.countable"),
    ],
)
def test_counts_that_make_no_sense_are_refused(client, countable, body, place):
    assert place in problems(client.post(f"/api/events/count-by/{countable}", json=body))


def test_counts_of_too_many_spans_are_refused_in_words(client):
    answer = client.post("/api/events/count-by/time", json={"filter": {"occurred": WITHIN}, "time_unit": "second"})
    assert (answer.status_code, "more than 1000" in answer.json["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("criteria", "place"),
    [
        ({"occurred": {"since": "x"}}, "occurred"),
        ({"occurred": None}, "occurred"),
        ({"event": {"name": "x"}}, "event"),
        ({"resource": {"role": ["x"]}}, "resource"),
        ({"resource": {"labels": {"a": 1}}}, "resource"),
        ({"related": {"resources_in_roles": [["x"]]}}, "related"),
        ({"related": [{"id": "x"}]}, "related"),
        ({"any_resource": 5}, "any_resource"),
        ({"id": {"id": ["x"]}}, "id"),
        ({"text": {"query": "x" * 201}}, "text"),
        ({"order": "asc"}, "order"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_naming_the_field(client, criteria, place):
    assert any(found.startswith(f"body.filter.{place}") for found in problems(search(client, **criteria)))


def plan(conn, **criteria) -> str:
    """Give the plan of a page of events."""
    chosen = EventFilter().load({"occurred": WITHIN} | criteria)
    composed = compose_events(chosen["events"], chosen["resources"])
    text = sql.events.page.text.replace("{filter}", composed.text).replace("{sort}", sort_by("events", "DESC"))
    text = text.replace("%(limit)s", "50").replace("%(offset)s", "0")
    parameters = {
        name: orjson.dumps(value).decode() if "labels" in name else value for name, value in composed.parameters.items()
    }
    return str(conn.execute(f"EXPLAIN {text}", parameters).fetchall())


def test_a_page_is_read_from_the_index_of_times_or_of_resources(conn):
    conn.execute("SET LOCAL enable_seqscan = off")
    conn.execute("SET LOCAL enable_sort = off")
    assert "ix_events__occurred_id" in plan(conn)
    assert "ix_event_resources__resource_id__occurred" in plan(conn, any_resource={"id": ["run.1"]})


def test_what_is_posted_is_found_and_stored_once(client):
    start = START + timedelta(days=30)
    events = [make_event(occurred=(start + timedelta(seconds=place)).isoformat(), event="posted") for place in range(2)]
    for sent in (events[:1], events, []):
        assert client.post("/api/events", json=sent).status_code == 204
    found = search(client, event={"name": ["posted"]}, occurred={"since": start.isoformat(), "until": events[1]["occurred"]}).json
    assert [event["id"] for event in found["events"]] == [event["id"] for event in reversed(events)]


def test_a_posted_event_that_tells_of_a_task_run_records_it(client):
    life = make_life(id := str(uuid4()))
    assert client.post("/api/events", json=life).status_code == 204
    assert client.get(f"/api/task_runs/{id}").json["state_type"] == "COMPLETED"


def test_posted_events_are_stored_as_a_whole_or_not_at_all(client):
    good, broken = make_event(event="whole"), make_event(event="whole", resource={"x": "y"})
    assert problems(client.post("/api/events", json=[good, broken])) == ["body.1.resource"]
    assert problems(client.post("/api/events", json=[good, 5])) == ["body.1"]
    assert problems(client.post("/api/events", json=good)) == ["body"]
    assert count_all(client, "whole") == 0
