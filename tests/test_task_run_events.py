"""Task runs are recorded as the newest of their events tells, whatever the order in which events come."""

import threading
from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest
from marshmallow import ValidationError

from handlers.domain.task_run_events import read_task_run, record_task_runs
from handlers.streams.event_recorder import Told, record
from schemas.events import EVENT, read_fields
from schemas.states import NO_DETAILS
from sql import database as db
from sql.database import connect, within
from sql.statement import flush
from tests.events import START, make_event, make_flow_run, make_life, make_task_run_event
from tests.waiting import wait_for_waiter


def read(*events):
    """Read events as the handler does, and give what they tell of task runs."""
    return [told for event in events if (told := read_task_run(read_fields(event, EVENT)))]


def record_events(conn, *events):
    """Record the task runs that events tell of, in the connection's transaction."""
    if told := read(*events):
        record_task_runs(conn, told)
        flush(conn)


def find_run(conn, task_run_id):
    """Give the columns of a task run that tell of its state, or None."""
    cursor = conn.execute(
        "SELECT state_name, run_count, start_time, end_time, total_run_time, state_id::text, state_timestamp"
        "  FROM task_run WHERE id = %s",
        (task_run_id,),
    )
    return cursor.fetchone()


def find_states(conn, task_run_id):
    """Give the names of a task run's states in order."""
    rows = conn.execute('SELECT name FROM task_run_state WHERE task_run_id = %s ORDER BY "timestamp"', (task_run_id,))
    return [name for (name,) in rows]


@pytest.fixture
def task_run_id():
    """The id of a task run that is not stored."""
    return str(uuid4())


def test_records_a_task_run_from_its_events(conn, task_run_id):
    flow_run_id = make_flow_run(conn)
    events = make_life(task_run_id, flow_run_id)
    record_events(conn, *events)
    assert find_run(conn, task_run_id) == (
        "Completed",
        1,
        START + timedelta(seconds=0.5),
        START + timedelta(seconds=3),
        timedelta(seconds=2.5),
        events[2]["id"],
        START + timedelta(seconds=3),
    )
    assert find_states(conn, task_run_id) == ["Pending", "Running", "Completed"]


def test_writes_json_columns_as_prefect_does(conn, task_run_id):
    flow_run_id = make_flow_run(conn)
    event = make_task_run_event("RUNNING", task_run_id, flow_run_id, tags=["t1"], task_inputs={"x": []})
    event["payload"]["validated_state"] |= {"state_details": {"untrackable_result": True}, "data": {"storage_key": "k"}}
    record_events(conn, event)
    row = conn.execute(
        "SELECT empirical_policy, tags, labels, task_inputs, flow_run_id::text FROM task_run WHERE id = %s", (task_run_id,)
    ).fetchone()
    policy = {"retries": 0, "max_retries": 0, "retry_delay": 0, "retry_delay_seconds": 0.0, "retry_jitter_factor": None}
    assert row == (policy, ["t1"], {}, {"x": []}, flow_run_id)
    state = conn.execute(
        "SELECT id::text, message, state_details, data FROM task_run_state WHERE task_run_id = %s", (task_run_id,)
    )
    ids = {"flow_run_id": flow_run_id, "task_run_id": task_run_id}
    assert state.fetchone() == (event["id"], "", NO_DETAILS | ids | {"untrackable_result": True}, {"storage_key": "k"})


def test_stores_no_data_as_null(conn, task_run_id):
    record_events(conn, make_task_run_event("RUNNING", task_run_id))
    assert conn.execute(
        "SELECT count(*) FROM task_run_state WHERE data IS NULL AND task_run_id = %s", (task_run_id,)
    ).fetchone() == (1,)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_any_order_of_events_gives_the_same_run(conn, task_run_id, order):
    events = make_life(task_run_id)
    for place in order:
        record_events(conn, events[place])
    assert find_run(conn, task_run_id)[:5] == (
        "Completed",
        1,
        START + timedelta(seconds=0.5),
        START + timedelta(seconds=3),
        timedelta(seconds=2.5),
    )
    assert find_states(conn, task_run_id) == ["Pending", "Running", "Completed"]


def test_repeated_events_change_nothing(conn, task_run_id):
    events = make_life(task_run_id)
    record_events(conn, *events)
    before = conn.execute("SELECT task_run::text FROM task_run WHERE id = %s", (task_run_id,)).fetchone()
    record_events(conn, *events, *events)
    assert conn.execute("SELECT task_run::text FROM task_run WHERE id = %s", (task_run_id,)).fetchone() == before
    assert len(find_states(conn, task_run_id)) == 3


def test_a_retry_keeps_what_its_events_leave_out(conn, task_run_id):
    events = make_life(task_run_id)
    record_events(conn, *events[:2])
    record_events(conn, make_task_run_event("SCHEDULED", task_run_id, seconds=1))
    name, _, start_time, *_ = find_run(conn, task_run_id)
    assert (name, start_time) == ("AwaitingRetry", START + timedelta(seconds=0.5))


def test_a_scheduled_state_without_a_time_is_due_when_it_was_entered(conn, task_run_id):
    event = make_task_run_event("SCHEDULED", task_run_id)
    record_events(conn, event)
    details = conn.execute("SELECT state_details FROM task_run_state WHERE task_run_id = %s", (task_run_id,)).fetchone()[0]
    assert details["scheduled_time"] == event["occurred"]


def test_an_older_event_never_overwrites_a_newer_one(conn, task_run_id):
    completed, running = make_life(task_run_id)[2], make_life(task_run_id)[1]
    record_events(conn, completed)
    record_events(conn, running)
    assert find_run(conn, task_run_id)[5] == completed["id"]


def test_a_task_run_of_a_deleted_flow_run_is_left_out_and_its_neighbours_are_not(conn, task_run_id):
    flow_run_id, orphan_id = make_flow_run(conn), str(uuid4())
    record_events(conn, *make_life(orphan_id, str(uuid4())), *make_life(task_run_id, flow_run_id))
    assert find_run(conn, orphan_id) is None
    assert find_run(conn, task_run_id)[0] == "Completed"


def test_a_task_run_known_by_another_id_keeps_that_one(conn, task_run_id):
    flow_run_id, other_id = make_flow_run(conn), str(uuid4())
    record_events(conn, make_task_run_event("PENDING", task_run_id, flow_run_id, dynamic_key="same"))
    record_events(conn, make_task_run_event("RUNNING", other_id, flow_run_id, 1, dynamic_key="same"))
    assert find_run(conn, other_id) is None
    assert find_run(conn, task_run_id)[0] == "Running"
    assert find_states(conn, task_run_id) == ["Pending", "Running"]
    details = conn.execute(
        "SELECT DISTINCT state_details ->> 'task_run_id' FROM task_run_state WHERE task_run_id = %s", (task_run_id,)
    )
    assert details.fetchall() == [(task_run_id,)]


def test_of_two_states_at_the_same_time_the_first_stands(conn, task_run_id):
    first, second = make_task_run_event("PENDING", task_run_id), make_task_run_event("RUNNING", task_run_id)
    record_events(conn, first, second)
    record_events(conn, second)
    assert find_run(conn, task_run_id)[5] == first["id"]
    assert find_states(conn, task_run_id) == ["Pending"]


def test_only_the_clients_own_task_run_events_are_recorded(task_run_id):
    event = make_task_run_event("RUNNING", task_run_id)
    event["resource"]["prefect.orchestration"] = "server"
    assert read(event, make_event()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("payload", "validated_state"), None),
        (("payload", "validated_state", "type"), "DREAMING"),
        (("payload", "validated_state", "state_details"), {"scheduled_time": "soon"}),
        (("payload", "task_run"), []),
        (("payload", "task_run", "task_key"), None),
        (("payload", "task_run", "run_count"), 2**31),
        (("payload", "task_run", "start_time"), "yesterday"),
        (("payload", "task_run", "tags"), "t1"),
        (("resource", "prefect.resource.id"), "prefect.task-run.not-a-uuid"),
    ],
)
def test_an_event_that_tells_of_no_proper_task_run_is_refused(task_run_id, path, value):
    event = make_task_run_event("RUNNING", task_run_id)
    *parents, key = path
    target = event
    for parent in parents:
        target = target[parent]
    target[key] = value
    with pytest.raises(ValidationError):
        read(event)


def test_two_sessions_that_record_the_same_runs_wait_for_each_other(database, task_run_id):
    other_id = str(uuid4())
    with connect(database) as first, connect(database) as second, connect(database) as watcher:
        flow_run_id = make_flow_run(first)
        lives = [make_life(task_run_id, flow_run_id), make_life(other_id, flow_run_id)]
        forward, backward = [event for life in lives for event in life], [event for life in lives[::-1] for event in life[::-1]]
        errors = []

        def contend():
            try:
                with within(second):
                    record_events(second, *backward)
            except Exception as error:
                errors.append(error)

        rival = threading.Thread(target=contend)
        with within(first):
            record_events(first, *forward[:2], *forward[3:5])
            rival.start()
            wait_for_waiter(watcher)
            record_events(first, *forward)
        rival.join()
        assert errors == []
        for run in (task_run_id, other_id):
            assert find_run(watcher, run)[0] == "Completed"
            assert find_states(watcher, run) == ["Pending", "Running", "Completed"]


def test_recording_waits_for_the_deletion_of_the_flow_run(database, task_run_id):
    db.open_pool(database, 2)
    try:
        with connect(database) as deleting, connect(database) as watcher:
            flow_run_id = make_flow_run(deleting)
            told = [read_fields(event, EVENT) for event in make_life(task_run_id, flow_run_id)]
            recording = threading.Thread(target=record, args=([Told(event, read_task_run(event)) for event in told],))
            with within(deleting):
                flush(deleting)
                deleting.execute("DELETE FROM flow_run WHERE id = %s", (flow_run_id,))
                recording.start()
                wait_for_waiter(watcher)
            recording.join()
            assert find_run(watcher, task_run_id) is None
            assert watcher.execute("SELECT count(*) FROM events").fetchone() == (3,)
    finally:
        db.close_pool()
