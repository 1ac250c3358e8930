"""The websocket /api/logs/out of a real server: what is stored reaches those who wait for it, once."""

import urllib.request
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from itertools import count
from uuid import uuid4

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

import sql
from sql.database import connect
from tests import downbeat_server, prefect_server, streams
from tests.conftest import drop_database, make_database
from tests.resources import unique
from tests.waiting import PATIENCE_SECONDS

START = datetime(2026, 11, 21, 4, 3, 26, tzinfo=timezone.utc)
RUN, TASK_RUN, OTHER = str(uuid4()), str(uuid4()), str(uuid4())
marks = count(1)
# What subscribers ask for. All of them get some of the logs that mark a begin and an end.
FILTERS = {
    "all": {},
    "nulls": {"level": None, "timestamp": {"before_": None}, "flow_run_id": {}, "task_run_id": {"any_": None}, "text": None},
    "levels": {"level": {"ge_": 20, "le_": 30}},
    "times": {"timestamp": {"after_": START.isoformat(), "before_": (START + timedelta(seconds=9)).isoformat()}},
    "runs": {"flow_run_id": {"any_": [RUN, str(uuid4())]}},
    "task runs": {"task_run_id": {"any_": [TASK_RUN, str(uuid4())]}},
    "no task run": {"task_run_id": {"is_null_": True}},
    "any task run": {"task_run_id": {"is_null_": False}},
    "two things": {"level": {"ge_": 20}, "flow_run_id": {"any_": [RUN]}},
    "one of two things": {"operator": "or_", "level": {"ge_": 20}, "flow_run_id": {"any_": [RUN]}},
    "text": {"text": {"query": "nowhere"}},
}


@pytest.fixture(scope="module")
def server(module_database):
    """A server with one process, so that all sockets share one thread that follows."""
    with downbeat_server.running(module_database, workers=1) as server:
        yield server


@pytest.fixture(scope="module")
def prefect(cluster):
    """Prefect's own server, which streams logs if it is told to."""
    name, url = make_database(cluster)
    settings = {"PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true", "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true"}
    with prefect_server.running(url, services=True, **settings) as server:
        yield server
    drop_database(cluster, name)


def a_log(message, **fields) -> dict:
    """Make a log as Prefect's client writes it."""
    plain = {"name": "prefect.flow_runs", "level": 20, "message": message, "timestamp": START.isoformat()}
    return {**plain, "flow_run_id": RUN, "task_run_id": None, **fields}


def post(server, path, body):
    """Send a request and give what came back."""
    request = urllib.request.Request(server.api + path, orjson.dumps(body), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return orjson.loads(answer.read())


def store(conn, *logs) -> None:
    """Store logs in a session of one's own."""
    sql.logs.create(conn, base=uuid4().hex[:27], logs=logs)


def receive(websocket) -> dict:
    """Give the log that comes next."""
    message = orjson.loads(websocket.recv(PATIENCE_SECONDS))
    assert message.keys() == {"type", "log"} and message["type"] == "log"
    return message["log"]


def begin(server, *websockets, firsts=()) -> list[dict]:
    """Return when all of the sockets are sent what is stored: nothing tells but that it comes. Gives what has come by then.

    `firsts` are the sockets that get only the first of the logs that mark a place.
    """
    logs = []
    for websocket in websockets:
        arrived = None
        while not arrived:
            mark(server, unique("mark"))  # a batch that is sent again is not stored again
            with suppress(TimeoutError):
                arrived = websocket.recv(1)
        logs.append(orjson.loads(arrived)["log"])
    word = unique("begin")
    mark(server, word)
    for websocket in websockets:
        logs += receive_until(websocket, f"{word}: {'first' if websocket in firsts else 'second'}")
    return logs


def mark(server, word) -> None:
    """Store the two logs that mark a place: without a task run and with one, so that one of them matches any of FILTERS.

    They are a microsecond later than those before them, for what is found at one look is sent in the order of time.
    """
    timestamp = (START + timedelta(microseconds=next(marks))).isoformat()
    first, second = a_log(f"{word}: first", timestamp=timestamp), a_log(f"{word}: second", timestamp=timestamp)
    post(server, "/logs/", [first, second | {"task_run_id": TASK_RUN}])


def receive_until(websocket, word) -> list[dict]:
    """Give the logs that come before the first that begins with a word."""
    logs = []
    while not (log := receive(websocket))["message"].startswith(word):
        logs.append(log)
    return logs


def subscribe(server, **criteria):
    """Open a socket and ask for the logs that match."""
    return streams.subscribe(server, "/logs/out", filter=criteria)


def follow(server, logs) -> dict[str, list[dict]]:
    """Give what each of FILTERS gets of logs, but for what each server chooses."""
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(subscribe(server, **criteria)) for name, criteria in FILTERS.items()}
        begin(server, *sockets.values(), firsts=[sockets["no task run"]])
        post(server, "/logs/", logs)
        found = {"all": [receive(sockets["all"]) for _ in logs]}
        word = unique("end")
        mark(server, word)
        found |= {name: receive_until(websocket, word) for name, websocket in sockets.items() if name != "all"}
    return {name: [{key: log[key] for key in a_log("")} for log in logs] for name, logs in found.items()}


def test_subscribers_get_what_prefect_sends_them(server, prefect):
    logs = []
    for number in range(60):
        moment = (START + timedelta(seconds=number / 5)).isoformat()
        runs = {"flow_run_id": (RUN, OTHER, None)[number % 3], "task_run_id": (TASK_RUN, OTHER, None, None)[number % 4]}
        logs.append(a_log(f"log {number}", level=(10, 20, 30, 40, 50)[number % 5], timestamp=moment, **runs))
    ours, theirs = follow(server, logs), follow(prefect, logs)
    assert ours == theirs
    assert len(ours["all"]) == len(ours["nulls"]) == len(ours["text"]) == 60
    assert ours["one of two things"] == ours["two things"]
    assert all(0 < len(ours[name]) < 60 for name in set(FILTERS) - {"all", "nulls", "text"})


def test_a_log_is_sent_as_the_api_shows_it(server):
    run = str(uuid4())
    with subscribe(server) as websocket:
        begin(server, websocket)
        post(server, "/logs/", [a_log("shown", flow_run_id=run, task_run_id=str(uuid4()))])
        assert [receive(websocket)] == post(server, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})


def test_logs_that_were_stored_before_are_not_sent(server):
    with subscribe(server) as first:
        begin(server, first)
        post(server, "/logs/", [a_log("before")])
        assert receive(first)["message"] == "before"
        with subscribe(server) as second:
            assert "before" not in [log["message"] for log in begin(server, second)]
        mark(server, "after")
        assert "before" not in [log["message"] for log in receive_until(first, "after")]


def test_a_log_whose_transaction_commits_late_is_sent_all_the_same(server, module_database):
    with subscribe(server) as websocket, connect(module_database) as late, connect(module_database) as other:
        begin(server, websocket)
        sql.transactions.begin(late)
        store(late, a_log("late"))
        for number in range(2):  # looks that see what was stored after it, and not it
            store(other, a_log(f"early {number}"))
            assert receive(websocket)["message"] == f"early {number}"
        sql.transactions.commit(late)
        assert receive(websocket)["message"] == "late"
        store(other, a_log("last"))
        assert receive(websocket)["message"] == "last"


def test_a_burst_larger_than_a_socket_may_hold_unread_arrives_whole(server, module_database):
    messages = [f"{number} {'x' * 8000}" for number in range(2500)]
    with subscribe(server) as slow, subscribe(server) as other, connect(module_database) as conn:
        begin(server, slow, other)
        store(conn, *map(a_log, messages))
        for websocket in (other, slow):  # the other has got it all before this one reads
            assert [receive(websocket)["message"] for _ in messages] == messages


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        '{"type":"filter"}',
        '{"type":"filter","filter":null}',
        '{"type":"filter","filter":{"unknown":1}}',
        '{"type":"filter","filter":{"level":{"ge_":99999999999999999999}}}',
        '{"type":"filter","filter":{"flow_run_id":{"any_":["x"]}}}',
    ],
)
def test_anything_but_a_filter_closes_the_socket_with_a_reason(server, message):
    with streams.open_socket(server, "/logs/out") as websocket:
        websocket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE_SECONDS)
    assert closed.value.rcvd.code == 1002
    assert closed.value.rcvd.reason.startswith("Invalid filter")
