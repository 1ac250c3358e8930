"""The websocket /api/events/out of a real server: what is stored reaches those who wait for it, once."""

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

import sql
from sql.database import connect
from tests import downbeat_server, streams
from tests.events import make_event
from tests.resources import unique
from tests.waiting import PATIENCE_SECONDS

END_OTHERS = """
    SELECT pg_terminate_backend(pid)
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(scope="module")
def server(module_database):
    """A server with one process, so that all sockets share one thread that follows."""
    with downbeat_server.running(module_database, workers=1) as server:
        yield server


@pytest.fixture
def stored(module_database):
    """A session that stores events."""
    with connect(module_database) as conn:
        yield conn


def now() -> datetime:
    return datetime.now(timezone.utc)


def subscribe(server, name, backfill=True, **criteria):
    """Open a socket and ask for the events of a name."""
    occurred = {"since": (now() - timedelta(minutes=1)).isoformat(), "until": (now() + timedelta(days=365)).isoformat()}
    filter = {"occurred": occurred, "event": {"name": [name]}, "order": "DESC", **criteria}
    return streams.subscribe(server, "/events/out", filter=filter, backfill=backfill)


def store(conn, name, **fields) -> dict:
    """Store an event."""
    event = make_event(event=name, **{"occurred": now().isoformat(), **fields})
    sql.events.create(conn, events=[event])
    return event


def receive(websocket, *events) -> None:
    """Check that the next messages are these events."""
    messages = [orjson.loads(websocket.recv(PATIENCE_SECONDS)) for _ in events]
    assert {message["type"] for message in messages} == {"event"}
    assert [message["event"]["id"] for message in messages] == [event["id"] for event in events]


def test_older_events_come_first_in_order_and_new_ones_after_them_and_each_once(server, stored):
    name = unique("event")
    second = store(stored, name, occurred=(now() - timedelta(seconds=1)).isoformat())
    first = store(stored, name, occurred=(now() - timedelta(seconds=2)).isoformat())
    with subscribe(server, name) as websocket:
        receive(websocket, first, second)
        for _ in range(3):
            receive(websocket, store(stored, name))


def test_an_event_is_sent_as_the_api_shows_it(server, stored):
    name = unique("event")
    event = store(stored, name, payload={"a": [1]}, related=[])
    with subscribe(server, name) as websocket:
        shown = orjson.loads(websocket.recv(PATIENCE_SECONDS))["event"]
    assert shown.pop("received") and shown.pop("occurred").endswith("Z")
    assert shown == {key: event[key] for key in ("id", "event", "resource", "related", "payload", "follows")}


def test_no_older_events_come_unless_they_are_wanted(server, stored):
    name = unique("event")
    store(stored, name)
    with subscribe(server, name, backfill=False) as new_ones:
        assert new_ones.ping().wait(PATIENCE_SECONDS)
        with subscribe(server, name) as all_of_them:
            all_of_them.recv(PATIENCE_SECONDS)  # it is served after the other
            new = store(stored, name)
            receive(all_of_them, new)
        receive(new_ones, new)


def test_nothing_older_than_a_quarter_of_an_hour_is_sent(server, stored):
    name = unique("event")
    store(stored, name, occurred=(now() - timedelta(minutes=16)).isoformat())
    recent = store(stored, name, occurred=(now() - timedelta(minutes=14)).isoformat())
    occurred = {"since": (now() - timedelta(days=2)).isoformat(), "until": (now() + timedelta(days=2)).isoformat()}
    with subscribe(server, name, occurred=occurred) as websocket:
        receive(websocket, recent, store(stored, name))


def test_only_what_matches_is_sent(server, stored):
    name, other = unique("event"), unique("other")
    resource = {"prefect.resource.id": unique("thing"), "kind": "big one"}
    criteria = {"resource": {"labels": {"kind": "big*"}}, "id": {"id": []}}
    with subscribe(server, name, **criteria) as websocket, subscribe(server, other) as elsewhere:
        matching, elsewhere_matching = [], []
        for _ in range(2):
            store(stored, name)
            elsewhere_matching.append(store(stored, other))
            matching.append(store(stored, name, resource=resource))
        receive(websocket, *matching)
        receive(elsewhere, *elsewhere_matching)


def test_an_event_whose_transaction_commits_late_is_sent_all_the_same(server, stored, module_database):
    name = unique("event")
    with subscribe(server, name) as websocket, connect(module_database) as late:
        receive(websocket, store(stored, name))
        sql.transactions.begin(late)
        held = store(late, name, occurred=(now() - timedelta(seconds=30)).isoformat())
        for _ in range(2):  # looks that see what was stored after it, and not it
            receive(websocket, store(stored, name))
        sql.transactions.commit(late)
        receive(websocket, held)
        receive(websocket, store(stored, name))


def test_a_subscription_outlives_the_restart_of_the_database_sessions(server, stored):
    name = unique("event")
    with subscribe(server, name) as websocket:
        receive(websocket, store(stored, name))
        stored.execute(END_OTHERS)
        receive(websocket, store(stored, name))


def store_64_mib(conn, name) -> list[dict]:
    """Store as many events of 100 kB, a second apart from each other."""
    first, text = now() - timedelta(seconds=800), "x" * 100_000
    events = [
        make_event(event=name, occurred=(first + timedelta(seconds=number)).isoformat(), payload={"text": text})
        for number in range(64 * 1024 * 1024 // len(text) + 1)
    ]
    for start in range(0, len(events), 50):
        sql.events.create(conn, events=events[start : start + 50])
    return events


def subscribe_to_all(server, name):
    """Ask for the events of a name of the last quarter of an hour."""
    occurred = {"since": (now() - timedelta(minutes=15)).isoformat(), "until": (now() + timedelta(days=1)).isoformat()}
    return subscribe(server, name, occurred=occurred)


def test_large_backfills_arrive_whole_with_prompt_and_slow_readers_and_delay_nobody(server, stored):
    name = unique("event")
    events = store_64_mib(stored, name)
    for _ in range(2):  # and once more at a reconnect
        other = unique("other")
        with subscribe_to_all(server, name) as prompt, subscribe_to_all(server, name) as slow, subscribe(server, other) as small:
            for place, event in enumerate(events):
                receive(prompt, event)
                if place % 10 == 0:  # steadily, at a tenth of the other's pace
                    receive(slow, events[place // 10])
                if place % 100 == 0:
                    receive(small, store(stored, other))
            receive(slow, *events[(len(events) - 1) // 10 + 1 :])
            events.append(store(stored, name))
            receive(prompt, events[-1])
            receive(slow, events[-1])


def test_an_event_larger_than_what_a_socket_holds_unsent_is_sent_to_who_reads(server, stored):
    name = unique("event")
    giant, after = store(stored, name, payload={"text": "x" * 20_000_000}), store(stored, name)
    websocket = streams.open_socket(server, "/events/out", max_size=None)
    with websocket:
        occurred = {"since": (now() - timedelta(minutes=1)).isoformat(), "until": (now() + timedelta(days=1)).isoformat()}
        websocket.send(orjson.dumps({"type": "filter", "filter": {"occurred": occurred, "event": {"name": [name]}}}).decode())
        receive(websocket, giant, after)


def test_pages_end_where_there_are_bytes_enough_and_tell_of_rows_that_are_gone(conn):
    events = [make_event(payload={"text": "x" * 1000}) for _ in range(5)]
    sql.events.create(conn, events=events)
    ids = [event["id"] for event in events]
    wanted = [ids[0], str(uuid4()), *ids[1:]]

    def sent(enough_bytes):
        frames = sql.events.read_frames(conn, ids=wanted, enough_bytes=enough_bytes)
        return [row["frame"] and orjson.loads(row["frame"])["event"]["id"] for row in frames]

    assert sent(1) == [ids[0]]
    assert sent(2000) == [ids[0], None, ids[1]]
    assert sent(1_000_000) == [ids[0], None, *ids[1:]]


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        "[]",
        '{"type":"hello"}',
        '{"type":"filter"}',
        '{"type":"filter","filter":{"unknown":1}}',
        '{"type":"filter","filter":{"event":{"name":["a\\u0000b"]}}}',
        '{"type":"filter","filter":{"occurred":{"since":"' + "é" * 300 + '"}}}',
    ],
)
def test_anything_but_a_filter_closes_the_socket_with_a_reason(server, message):
    with streams.open_socket(server, "/events/out") as websocket:
        websocket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE_SECONDS)
    assert closed.value.rcvd.code == 1002
    assert closed.value.rcvd.reason.startswith("Invalid filter")
