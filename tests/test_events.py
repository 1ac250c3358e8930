"""Events are stored once each, with their resources; what cannot be stored is left out without its neighbours."""

import secrets
import threading
from datetime import datetime, timezone
from uuid import uuid4

import orjson
import pytest

import sql
from handlers.streams.event_recorder import read_event, store
from schemas.events import MAX_RESOURCE_ID_BYTES
from sql import database as db
from sql.database import connect
from tests.events import make_event, make_life, make_task_run_event
from tests.resources import NOBODY

# A database that Prefect's server made has this one, and takes less than read_fields lets pass.
PREFECTS_INDEX = "CREATE INDEX prefects ON events (event, resource_id, occurred)"
RUN = {"prefect.resource.id": "prefect.flow-run.1", "prefect.resource.role": "flow-run", "prefect.resource.name": "r"}
TAG = {"prefect.resource.id": "prefect.tag.a", "prefect.resource.role": "tag"}


def write(*events):
    """Give the messages of events as a client sends them."""
    return [orjson.dumps(event).decode() for event in events]


def random_text(length):
    """Give a text that cannot be compressed, of so many characters of one byte each."""
    return secrets.token_urlsafe(length)[:length]


def find_resources(conn, event_id):
    """Give the rows of event_resources of an event, in order of role."""
    rows = conn.execute(
        "SELECT resource_id, resource_role, resource, occurred FROM event_resources WHERE event_id = %s ORDER BY resource_role",
        (event_id,),
    )
    return rows.fetchall()


def count_events(conn, *events):
    """Count how many of the events are stored."""
    ids = [event["id"] for event in events]
    return conn.execute("SELECT count(*) FROM events WHERE id = ANY (%s::uuid[])", (ids,)).fetchone()[0]


@pytest.fixture(scope="module")
def pool(module_database):
    """The process's pool, on the module's database."""
    db.open_pool(module_database, 4)
    yield
    db.close_pool()


@pytest.fixture
def stored(pool, module_database):
    """A connection that sees what was committed."""
    with connect(module_database) as conn:
        yield conn


def test_an_event_is_stored_with_a_row_for_every_resource(conn):
    event = make_event(related=[RUN, TAG], payload={"b": 1, "a": None}, follows=str(uuid4()))
    assert sql.events.create(conn, events=[event]) == 3
    row = conn.execute(
        "SELECT event, resource_id, resource, related_resource_ids, related, payload, follows::text, occurred,"
        "       received = now(), recorded = now() FROM events WHERE id = %s",
        (event["id"],),
    ).fetchone()
    occurred = datetime(2026, 11, 21, 3, 53, 37, 877836, tzinfo=timezone.utc)
    ids = ["prefect.flow-run.1", "prefect.tag.a"]
    assert row[:6] == ("example.happened", "example.thing", event["resource"], ids, [RUN, TAG], {"b": 1, "a": None})
    assert row[6:] == (event["follows"], occurred, True, True)
    assert find_resources(conn, event["id"]) == [
        ("example.thing", "", {"prefect.resource.name": "thing"}, occurred),
        ("prefect.flow-run.1", "flow-run", {"prefect.resource.name": "r"}, occurred),
        ("prefect.tag.a", "tag", {}, occurred),
    ]


def test_an_event_needs_no_more_than_its_id_time_name_and_resource(conn):
    event = {key: value for key, value in make_event().items() if key in ("id", "occurred", "event", "resource")}
    received = "2026-11-21T04:00:00+00:00"
    sql.events.create(conn, events=[{**event, "received": received}])
    row = conn.execute(
        "SELECT related_resource_ids, related, payload, received::text FROM events WHERE id = %s", (event["id"],)
    ).fetchone()
    assert row == ([], [], {}, "2026-11-21 04:00:00+00")


def test_an_event_that_comes_twice_is_stored_once(conn):
    event, other = make_event(related=[TAG]), make_event()
    assert sql.events.create(conn, events=[event, event]) == 2
    assert sql.events.create(conn, events=[event, other]) == 1
    assert len(find_resources(conn, event["id"])) == 2


def test_lists_of_events_that_overlap_do_not_deadlock(stored, module_database):
    events = [make_event() for _ in range(400)]
    batches = [events, events[::-1], events[200:] + events[:200]]
    rivals = [threading.Thread(target=store, args=(write(*batch),)) for batch in batches]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert count_events(stored, *events) == 400
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert stored.execute(deadlocks).fetchone() == (0,)


def test_events_and_task_runs_are_stored_together(stored):
    task_run_id = str(uuid4())
    events = make_life(task_run_id)
    store(write(*events))
    assert count_events(stored, *events) == 3
    assert stored.execute("SELECT state_name FROM task_run WHERE id = %s", (task_run_id,)).fetchone() == ("Completed",)


@pytest.mark.parametrize(
    "poison",
    [
        "",
        "{",
        "[]",
        "null",
        "Ω" * 10,
        '{"id": "\\ud800"}',
        *write(
            make_event(id="1"),
            make_event(occurred="yesterday"),
            make_event(event="x" * 1025),
            make_event(event=None),
            make_event(resource={}),
            make_event(resource={"prefect.resource.id": "a", "count": 1}),
            make_event(related=[{"prefect.resource.id": "a"}]),
            make_event(related=[TAG] * 101),
            make_event(payload=[]),
            make_event(payload={"a": ["\0"]}),
            make_event(payload={"\0": 1}),
            make_event(follows="before"),
            {"id": NOBODY},
        ),
    ],
)
def test_what_is_no_event_is_rejected_with_a_line_in_the_log(poison, caplog):
    assert read_event(poison) is None
    assert "rejected" in caplog.text


def test_an_escaped_backslash_is_no_nul():
    assert read_event(write(make_event(payload={"path": "\\u0000"}))[0]).event["payload"] == {"path": "\\u0000"}


@pytest.mark.parametrize("place", [0, 3, 6])
def test_an_event_that_the_database_refuses_does_not_take_its_neighbours_with_it(stored, caplog, place):
    neighbours = [make_event() for _ in range(6)]
    poison = make_event(event=random_text(1024), resource={"prefect.resource.id": random_text(MAX_RESOURCE_ID_BYTES)})
    stored.execute(PREFECTS_INDEX)
    store(write(*neighbours[:place], poison, *neighbours[place:]))
    stored.execute("DROP INDEX prefects")
    assert count_events(stored, *neighbours) == 6
    assert count_events(stored, poison) == 0
    assert f"event {poison['id']} is rejected" in caplog.text


def test_of_an_event_whose_task_run_cannot_be_recorded_the_event_remains(stored, caplog):
    poison = make_task_run_event("RUNNING", str(uuid4()), cache_key="x", total_run_time="long")
    refused = make_task_run_event("RUNNING", str(uuid4()), task_key="".join(str(uuid4()) for _ in range(300)))
    neighbours = make_life(str(uuid4()))
    store(write(neighbours[0], poison, refused, *neighbours[1:]))
    assert count_events(stored, poison, refused, *neighbours) == 5
    for event in (poison, refused):
        assert f"the task run that event {event['id']} tells of is rejected" in caplog.text


def test_events_are_stored_when_the_database_is_back(stored, caplog):
    event = make_event()
    lock = threading.Event()
    with connect(stored.info.dsn) as admin:
        admin.execute("ALTER TABLE events RENAME TO events_away")
        storing = threading.Thread(target=lambda: (store(write(event)), lock.set()))
        storing.start()
        while "stored later" not in caplog.text:
            pass
        assert not lock.is_set()
        admin.execute("ALTER TABLE events_away RENAME TO events")
        storing.join()
    assert count_events(stored, event) == 1
