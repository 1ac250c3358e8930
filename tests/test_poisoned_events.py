"""Whatever one client sends or the database makes of it: events beside it are stored, and the thread that stores them lives."""

import logging
import threading
from uuid import uuid4

import orjson
import pytest
from psycopg import errors

from handlers.http import threads
from handlers.streams import event_recorder as handler
from handlers.streams.event_recorder import OVERHEAD, QUEUE_LENGTH, Recorder, read_event, store
from schemas.documents import MAX_NESTING, find_nul
from schemas.events import MAX_RESOURCE_ID_BYTES
from sql.database import connect
from sql.pool import NoConnection
from tests import downbeat_server, streams
from tests.events import make_event, make_flow_run, make_task_run_event, written
from tests.waiting import PATIENCE_SECONDS

TEXT = "".join(f"{number:x}" for number in range(600))
REFUSE = """
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF {condition} THEN
            RAISE EXCEPTION 'not today' USING ERRCODE = '{state}';
        END IF;
        RETURN NULL;
    END $$
"""
TRIGGER = """
    CREATE TRIGGER refuse AFTER INSERT ON events REFERENCING NEW TABLE AS given FOR EACH STATEMENT EXECUTE FUNCTION refuse()
"""
HAS_POISON = "EXISTS (SELECT FROM given WHERE event = 'poison')"


def nest(levels, inside='"\\u0000"'):
    """Write an array in arrays."""
    return "[" * levels + inside + "]" * levels


def write(event, payload="{}"):
    """Write an event with the JSON text of its payload."""
    return orjson.dumps(event | {"payload": {}}).decode().replace('"payload":{}', f'"payload":{payload}')


POISONS = {
    "nested with a NUL in the middle": write(make_event(), f'{{"a":{nest(1010)}}}'),
    "nested": write(make_event(), f'{{"a":{nest(1010, "1")}}}'),
    "nested a little too deeply": write(make_event(), f'{{"a":{nest(MAX_NESTING, "1")}}}'),
    "nested beyond what is read": write(make_event(), f'{{"a":{nest(100_000, "1")}}}'),
    "only brackets": "[" * 1_400_000,
    "nested resource": write(make_event() | {"resource": {"prefect.resource.id": orjson.loads(nest(190, "1"))}}),
    "a lone surrogate": write(make_event(), '{"a":"\\ud800"}'),
    "a number beyond a double": write(make_event(), '{"a":1e400}'),
    "a number of many digits": write(make_event(), '{"a":' + "9" * 5000 + "}"),
    "an id of a resource that no index takes": write(make_event(resource={"prefect.resource.id": TEXT * 2})),
    "an id of a related resource that no index takes": write(
        make_event(related=[{"prefect.resource.id": TEXT * 2, "prefect.resource.role": "a"}])
    ),
    "a million related resources": write(make_event()).replace('"related":[]', '"related":[' + "{}," * 400_000 + "{}]"),
    "too many labels": write(make_event(resource={"prefect.resource.id": "a"} | {str(n): "" for n in range(500)})),
    "a label that is no text": write(make_event(resource={"prefect.resource.id": "a", "b": None})),
    "a resource that is a list": write(make_event(resource=["prefect.resource.id"])),
    "a time of no year": write(make_event(occurred="0000-01-01T00:00:00Z")),
    "a time before the first": write(make_event(occurred="0001-01-01T00:00:00+14:00")),
    "a time behind the last": write(make_event(occurred="9999-12-31T23:59:59-14:00")),
    "a time that is a number beyond all": write(make_event(occurred=1e300)),
    "an id that is none": write(make_event(id="x" * 100_000)),
    "an id that is a list": write(make_event(id=[[]])),
}
ODD = {
    "the first instant": make_event(occurred="0001-01-01T00:00:00Z"),
    "the last instant": make_event(occurred="9999-12-31T23:59:59.999999Z"),
    "an id as long as may be": make_event(resource={"prefect.resource.id": TEXT[: MAX_RESOURCE_ID_BYTES // 2] * 2}),
    "levels as many as may be": make_event(payload={"a": orjson.loads(nest(MAX_NESTING - 2, "1"))}),
    "a payload as large as may be": make_event(payload={"a": "x" * 1_400_000}),
    "text of all planes": make_event(payload={"\U0001f600\u2028": "\x01\ufffe"}, event="\U0001f600" * 1024),
}


@pytest.fixture(scope="module")
def server(module_database):
    """A server with one process, so that all sockets share one recorder."""
    with downbeat_server.running(module_database, workers=1) as server:
        yield server


@pytest.fixture
def stored(client, module_database):
    """A connection that sees what was committed in the module's database, which has the process's pool."""
    with connect(module_database) as conn:
        yield conn
        conn.execute("DROP TRIGGER IF EXISTS refuse ON events")


def refuse(conn, state, condition=HAS_POISON):
    """Have the database refuse events under a condition, with an SQLSTATE."""
    conn.execute(REFUSE.format(state=state, condition=condition))
    conn.execute(TRIGGER)


def count_events(conn, *events):
    """Count how many of the events are stored."""
    ids = [event["id"] for event in events]
    return conn.execute("SELECT count(*) FROM events WHERE id = ANY (%s::uuid[])", (ids,)).fetchone()[0]


def store_around(*poisons):
    """Store poisons among other events; gives these."""
    neighbours = [make_event() for _ in range(8)]
    texts = [orjson.dumps(event).decode() for event in neighbours]
    store([*texts[:3], *poisons, *texts[3:]])
    return neighbours


def test_no_frame_ends_the_thread_that_stores_events(server, module_database):
    before, after, odd = make_event(), make_event(), list(ODD.values())
    with streams.open_socket(server, "/events/in") as websocket:
        websocket.send(orjson.dumps(before).decode())
        for poison in POISONS.values():
            websocket.send(poison)
        for event in (*odd, after):
            websocket.send(orjson.dumps(event).decode())
        assert websocket.ping().wait(PATIENCE_SECONDS)
    with connect(module_database) as conn:
        assert count_events(conn, before, *odd, after) == len(odd) + 2


@pytest.mark.parametrize("name", POISONS)
def test_a_poisoned_event_is_rejected_alone(stored, caplog, name):
    number = stored.execute("SELECT count(*) FROM events").fetchone()[0]
    neighbours = store_around(POISONS[name])
    assert count_events(stored, *neighbours) == 8
    assert stored.execute("SELECT count(*) FROM events").fetchone() == (number + 8,)
    assert "rejected" in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out"])
def test_no_message_stops_a_websocket_of_others(server, path):
    with streams.open_socket(server, path) as other:
        for poison in (*POISONS.values(), f'{{"type":"filter","filter":{nest(1010)}}}', nest(1000), "\x00", "{}"):
            with streams.open_socket(server, path) as websocket:
                websocket.send(poison)
        assert other.ping().wait(PATIENCE_SECONDS)


def test_a_nul_is_found_at_any_depth_without_recursion():
    content = orjson.loads(nest(1000))
    assert find_nul(content) == (0,) * 1000
    assert find_nul({"a": [1, {"b": ["", "\0"]}]}) == ("a", 1, "b", 1)
    assert find_nul({"a": [{"\0": 1}]}) == ("a", 0)
    assert find_nul("\0") == () and find_nul({"a": [[], {}, "b", None]}) is None


@pytest.mark.parametrize("state", ["XX000", "P0001", "42883", "57014", "55P03", "40P01", "23514", "54000"])
def test_an_event_that_the_database_never_takes_is_passed_over(stored, caplog, monkeypatch, state):
    monkeypatch.setattr(handler, "MAX_RETRY_SECONDS", 0.01)
    refuse(stored, state)
    poison = make_event(event="poison")
    neighbours = store_around(orjson.dumps(poison).decode())
    assert count_events(stored, *neighbours) == 8
    assert count_events(stored, poison) == 0
    assert f"event {poison['id']} is rejected" in caplog.text


@pytest.mark.parametrize("state", ["53100", "57P03", "25006"])
def test_events_wait_for_a_database_that_is_full_or_away(stored, caplog, monkeypatch, state):
    monkeypatch.setattr(handler, "MAX_RETRY_SECONDS", 0.01)
    refuse(stored, state, condition="true")
    event = make_event()
    storing = threading.Thread(target=store, args=([orjson.dumps(event).decode()],))
    storing.start()
    while caplog.text.count("stored later") <= handler.TRIES:
        assert storing.is_alive()
    stored.execute("DROP TRIGGER refuse ON events")
    storing.join()
    assert count_events(stored, event) == 1
    assert "rejected" not in caplog.text


def test_a_batch_that_takes_too_long_is_stored_in_parts(stored, caplog):
    refuse(stored, "57014", condition="(SELECT count(*) FROM given) > 2")
    neighbours = store_around()
    assert count_events(stored, *neighbours) == 8
    assert "rejected" not in caplog.text


def test_a_mistake_of_ours_costs_one_event_and_says_so(stored, caplog, monkeypatch):
    poison, right = make_event(event="poison"), handler.record

    def record(batch):
        if any(told.event["event"] == "poison" for told in batch):
            raise KeyError("a mistake")
        right(batch)

    monkeypatch.setattr(handler, "record", record)
    neighbours = store_around(orjson.dumps(poison).decode())
    assert count_events(stored, *neighbours) == 8
    [line] = [line for line in caplog.records if line.levelno == logging.ERROR]
    assert poison["id"] in line.getMessage() and line.exc_info


def test_contradictory_task_runs_of_one_batch_are_told_apart(stored, caplog):
    flow_run_id, other_flow_run_id = make_flow_run(stored), make_flow_run(stored)
    first, second, third = str(uuid4()), str(uuid4()), str(uuid4())
    events = [
        make_task_run_event("PENDING", first, flow_run_id, 0, dynamic_key="same"),
        make_task_run_event("RUNNING", second, flow_run_id, 1, dynamic_key="same"),  # known by the other id
        make_task_run_event("PENDING", third, flow_run_id, 0),
        make_task_run_event("RUNNING", third, other_flow_run_id, 1),  # it moves
        make_task_run_event("COMPLETED", third, None, 2),
    ]
    neighbours = store_around(*(orjson.dumps(event).decode() for event in events))
    assert count_events(stored, *neighbours, *events) == 13
    runs = dict(stored.execute("SELECT id::text, state_name FROM task_run WHERE id = ANY (%s)", ([first, second, third],)))
    assert runs == {first: "Running", third: "Completed"}
    assert "rejected" not in caplog.text


@pytest.mark.parametrize(("running", "completed"), [(0, 0.5), (0.5, 1), (0.25, 0.5), (0, 0.000001), (59.9999, 60)])
def test_the_newest_state_of_a_batch_is_the_latest_in_time_not_in_text(stored, running, completed):
    for order in (1, -1):
        id = str(uuid4())
        events = [make_task_run_event("RUNNING", id, seconds=running), make_task_run_event("COMPLETED", id, seconds=completed)]
        for event, seconds in zip(events, (running, completed), strict=True):
            event["occurred"] = f"2026-11-21T04:{int(seconds) // 60:02}:{seconds % 60:09.6f}Z".replace(".000000Z", "Z")
        store([orjson.dumps(event).decode() for event in events[::order]])
        assert stored.execute("SELECT state_name FROM task_run WHERE id = %s", (id,)).fetchone() == ("Completed",)


def test_pings_that_wait_fill_the_queue_as_events_do():
    class Socket:
        is_paused = False

        def pause(self):
            self.is_paused = True

    recorder, websocket = Recorder(), Socket()
    recorder.thread = threading.current_thread()  # so that none is started, which would empty the queue
    recorder.receive(websocket, "")
    for _ in range(QUEUE_LENGTH // OVERHEAD):
        assert not websocket.is_paused
        recorder.confirm(websocket, lambda: None)
    assert websocket.is_paused and websocket in recorder.paused


def test_what_cannot_be_said_to_be_stored_is_not_confirmed(stored, monkeypatch):
    recorder, answers, dropped = Recorder(), [], []
    recorder.thread = threading.current_thread()
    monkeypatch.setattr(handler.loop, "call", lambda function, *arguments: dropped.append(function))
    monkeypatch.setattr(handler, "store", lambda texts: [].pop())

    class Socket:
        def drop(self):
            pass

    websocket = Socket()
    recorder.receive(websocket, "an event")
    recorder.confirm(websocket, lambda: answers.append(True))
    with pytest.raises(IndexError):
        recorder.record_batch()
    assert not answers and dropped[0] == websocket.drop
    assert not recorder.busy and not recorder.unstored and not recorder.length


@pytest.mark.parametrize("error", [SystemExit, MemoryError, RecursionError, KeyboardInterrupt, GeneratorExit])
def test_a_thread_goes_on_after_any_exception(monkeypatch, caplog, error):
    monkeypatch.setattr(threads, "PAUSE_SECONDS", 0)
    went_on, end, steps = threading.Event(), threading.Event(), []

    def step():
        steps.append(True)
        if len(steps) == 1:
            raise error
        went_on.set()
        end.wait()

    thread = threads.keep_running(None, "test", step)
    assert went_on.wait(PATIENCE_SECONDS)
    assert "goes on after an error" in caplog.text
    assert threads.keep_running(thread, "test", step) is thread


def test_a_thread_does_not_repeat_at_each_look_that_the_database_is_away(caplog):
    went_on, end, steps = threading.Event(), threading.Event(), []

    def step():
        steps.append(True)
        if len(steps) < 3:
            raise (NoConnection, errors.AdminShutdown)[len(steps) - 1]("away")
        went_on.set()
        end.wait()

    threads.keep_running(None, "test", step)
    assert went_on.wait(PATIENCE_SECONDS)
    assert [record.message for record in caplog.records] == ["the thread test was interrupted: away"]


def test_a_thread_that_has_died_is_started_again():
    dead, began, end = threading.Thread(target=lambda: None), threading.Event(), threading.Event()
    dead.start()
    dead.join()

    def step():
        began.set()
        end.wait()

    assert threads.keep_running(dead, "test", step) is not dead
    assert began.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (make_event(resource={"prefect.resource.id": TEXT * 2}), ["resource", "prefect.resource.id"]),
        (
            make_event(related=[{"prefect.resource.id": text, "prefect.resource.role": "a"} for text in ("b", TEXT * 2)]),
            ["related", 1, "prefect.resource.id"],
        ),
        (make_event(payload={"a": ["\0"]}), ["payload", "a", 0]),
        (make_event(occurred="0001-01-01T00:00:00+14:00"), ["occurred"]),
        (make_event(payload={"a": "x" * 1_500_000}), []),
    ],
)
def test_a_list_with_an_event_that_cannot_be_stored_is_refused_naming_the_field(client, event, path):
    neighbour = make_event()
    answer = client.post("/api/events", json=[neighbour, event])
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json["exception_detail"]] == [["body", 1, *path]]
    assert client.post("/api/events/filter", json={"filter": {"id": {"id": [neighbour["id"]]}}}).json["total"] == 0


def test_read_event_keeps_times_as_times():
    assert written(read_event(orjson.dumps(make_event()).decode()).event["occurred"]) == make_event()["occurred"]
