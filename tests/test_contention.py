"""Sessions that want the same run wait for each other, one after the other gets its answer, and none is a deadlock's victim.

Each test makes one session hold what another wants, sees in PostgreSQL that the other waits for it, and only then lets go.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any
from uuid import uuid4

import orjson
import pytest
from psycopg import Connection

import sql
from app import create_app
from handlers.domain.deletion import delete_flow_runs
from handlers.domain.task_run_events import read_task_run as read_task_run_event
from handlers.domain.task_run_events import record_task_runs
from handlers.errors import NotFound
from handlers.rules.creation import create_flow_run, create_task_run
from handlers.rules.resume import check_input, read_pause, resume_flow_run
from schemas.events import EVENT, read_fields
from schemas.runs import FlowRunCreate, TaskRunCreate
from sql import database as db
from sql.database import connect, within
from sql.statement import flush
from tests import downbeat_server
from tests.consistency import find_half_written
from tests.events import make_life
from tests.load import Client, live
from tests.runs import make_flow, make_flow_run, make_task_run, propose_flow_run, propose_task_run, read_flow_run, read_task_run
from tests.waiting import wait_for_waiter

Act = Callable[[Connection], Any]


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


@pytest.fixture
def watcher(session):
    """A session that looks on."""
    conn = session()
    yield conn
    assert find_half_written(conn) == []


@pytest.fixture
def requests(database):
    """Flask's test client on the test's own database."""
    db.open_pool(database, 2)
    yield create_app().test_client()
    db.close_pool()


@pytest.fixture
def contend(session, watcher):
    """Give a function: do something and, before that is committed, other things in other sessions, which all have to wait.

    It gives the results in this order, or the exceptions. The first goes on with `then`, and `gives_up` rolls it back.
    """

    def contend(first: Act, *rivals: Act, then: Act = flush, gives_up: bool = False) -> list[Any]:
        one, others = session(), [session() for _ in rivals]
        with ThreadPoolExecutor(len(rivals)) as threads:
            with suppress(GivenUp), within(one):
                result = first(one)
                flush(one)
                futures = [threads.submit(commit, conn, act) for conn, act in zip(others, rivals, strict=True)]
                wait_for_waiter(watcher, len(rivals))
                then(one)
                if gives_up:
                    raise GivenUp
            return [result, *(future.exception() or future.result() for future in futures)]

    return contend


class GivenUp(Exception):
    """Rolls a transaction back."""


def commit(conn: Connection, act: Act) -> Any:
    """Do something in a transaction."""
    with within(conn):
        return act(conn)


def propose(id: str, type: str, **fields: Any) -> Act:
    """Propose a state for a flow run."""
    return lambda conn: propose_flow_run(conn, id, type, **fields)


def delete(id: str) -> Act:
    """Delete a flow run."""
    return lambda conn: delete_flow_runs(conn, [id])


def create(schema, function: Callable, **fields: Any) -> Act:
    """Create a run; gives its id and whether it is new."""

    def act(conn: Connection) -> tuple[str, bool]:
        document, is_new = function(conn, schema.load(fields))
        return orjson.loads(document)["id"], is_new

    return act


def read_types(conn: Connection, id: str) -> list[str]:
    """Give the types of the states that a flow run went through."""
    rows = conn.execute("SELECT type::text FROM flow_run_state WHERE flow_run_id = %s ORDER BY timestamp", (id,))
    return [type for (type,) in rows]


def test_of_two_workers_that_submit_a_run_one_is_told_to_give_up(contend, watcher):
    id = make_flow_run(watcher, "SCHEDULED")
    first, second = contend(propose(id, "PENDING"), propose(id, "PENDING"))
    assert (first.status, second.status) == ("ACCEPT", "ABORT")
    assert second.initial.id == first.proposed.id
    assert read_types(watcher, id) == ["SCHEDULED", "PENDING"]


def test_the_second_worker_submits_the_run_when_the_first_did_not_come_to_it(contend, watcher):
    id = make_flow_run(watcher, "SCHEDULED")
    _, second = contend(propose(id, "PENDING"), propose(id, "PENDING"), gives_up=True)
    assert second.status == "ACCEPT"
    assert read_types(watcher, id) == ["SCHEDULED", "PENDING"]


def test_a_proposal_repeated_while_its_first_sending_is_under_way_is_carried_out_once(contend, watcher):
    id, details = make_flow_run(watcher, "PENDING"), {"transition_id": str(uuid4())}
    proposal = propose(id, "RUNNING", state_details=details)
    first, *others = contend(proposal, *[proposal] * 3)
    assert [outcome.status for outcome in others] == ["REJECT"] * 3
    assert {outcome.initial.id for outcome in others} == {first.proposed.id}
    assert read_flow_run(watcher, id)["run_count"] == 1


def test_proposals_that_waited_are_dated_in_the_order_in_which_they_were_carried_out(contend, watcher):
    id = make_flow_run(watcher, "PENDING")
    first, second = contend(propose(id, "RUNNING"), propose(id, "CANCELLING"))
    assert first.proposed.timestamp < second.proposed.timestamp
    assert read_types(watcher, id) == ["PENDING", "RUNNING", "CANCELLING"]


def test_of_two_who_resume_a_run_one_finds_it_resumed(contend, watcher):
    id = make_flow_run(watcher, "RUNNING")
    propose_flow_run(watcher, id, "PAUSED", state_details={"pause_key": "1"})
    checked = check_input(read_pause(watcher, id), None)
    first, second = contend(*[lambda conn: resume_flow_run(conn, id, checked)] * 2)
    assert (first.status, second.status) == ("ACCEPT", "ABORT")
    assert read_types(watcher, id) == ["RUNNING", "PAUSED", "RUNNING"]


@pytest.mark.parametrize("gives_up", [False, True])
def test_creations_with_one_idempotency_key_make_one_run(contend, watcher, gives_up):
    act = create(FlowRunCreate(), create_flow_run, flow_id=make_flow(watcher), idempotency_key="once")
    first, *others = contend(act, *[act] * 7, gives_up=gives_up)
    assert {id for id, _ in others} == {first[0]}
    assert [is_new for _, is_new in others].count(True) == gives_up
    assert watcher.execute("SELECT count(*) FROM flow_run").fetchone() == (1,)


@pytest.mark.parametrize("is_in_flow_run", [True, False])
def test_creations_of_task_runs_with_the_same_keys_make_one(contend, watcher, is_in_flow_run):
    flow_run_id = make_flow_run(watcher, "RUNNING") if is_in_flow_run else None
    act = create(TaskRunCreate(), create_task_run, flow_run_id=flow_run_id, task_key="task", dynamic_key="1")
    first, *others = contend(act, *[act] * 7)
    assert [id for id, _ in others] == [first[0]] * 7
    assert not any(is_new for _, is_new in others)
    assert watcher.execute("SELECT count(*) FROM task_run").fetchone() == (1,)


def test_a_state_proposed_for_a_run_that_is_being_deleted_finds_none(contend, watcher):
    id = make_flow_run(watcher, "PENDING")
    _, outcome = contend(delete(id), propose(id, "RUNNING"))
    assert isinstance(outcome, NotFound)
    assert read_types(watcher, id) == []


def test_a_deletion_waits_for_the_state_that_is_being_set_and_takes_it_along(contend, watcher):
    id = make_flow_run(watcher, "PENDING")
    outcome, deleted = contend(propose(id, "RUNNING"), delete(id))
    assert outcome.status == "ACCEPT"
    assert deleted == {id}
    assert read_types(watcher, id) == []


def make_subflow(conn: Connection) -> tuple[str, str, str]:
    """Make a running flow run with a subflow; gives the ids of the run, of its task run for the subflow, and of the subflow."""
    parent = make_flow_run(conn, "RUNNING")
    task_run = make_task_run(conn, "PENDING", flow_run_id=parent)
    return parent, task_run, make_flow_run(conn, "PENDING", parent_task_run_id=task_run)


def test_a_subflow_waits_for_the_task_run_that_stands_for_it(contend, watcher):
    _, task_run, subflow = make_subflow(watcher)
    contend(lambda conn: propose_task_run(conn, task_run, "RUNNING"), propose(subflow, "RUNNING"))
    shown = read_task_run(watcher, task_run)
    assert shown["state"]["state_details"]["child_flow_run_id"] == subflow
    assert shown["run_count"] == 2


def test_the_task_run_that_stands_for_a_subflow_waits_for_it(contend, watcher):
    _, task_run, subflow = make_subflow(watcher)
    _, outcome = contend(propose(subflow, "COMPLETED"), lambda conn: propose_task_run(conn, task_run, "PAUSED"))
    assert (outcome.status, outcome.initial.type) == ("ABORT", "COMPLETED")


def test_deleting_the_parent_waits_for_the_subflow_without_a_deadlock(contend, watcher):
    parent, _, subflow = make_subflow(watcher)
    # Between the two the transition has the subflow and not yet its task run.
    lock, go_on = lambda conn: sql.flow_run_transitions.lock(conn, id=subflow), propose(subflow, "RUNNING")
    _, deleted = contend(lock, delete(parent), then=go_on)
    assert deleted == {parent}
    assert watcher.execute("SELECT id::text, parent_task_run_id FROM flow_run").fetchall() == [(subflow, None)]


def test_deleting_the_task_run_of_a_subflow_waits_for_that_without_a_deadlock(contend, requests, watcher):
    _, task_run, subflow = make_subflow(watcher)
    lock, go_on = lambda conn: sql.flow_run_transitions.lock(conn, id=subflow), propose(subflow, "RUNNING")
    _, answer = contend(lock, lambda conn: requests.delete(f"/api/task_runs/{task_run}"), then=go_on)
    assert answer.status_code == 204
    assert watcher.execute("SELECT parent_task_run_id FROM flow_run WHERE id = %s", (subflow,)).fetchone() == (None,)


def test_a_state_does_not_wait_for_the_recording_of_task_runs(session, watcher):
    id = make_flow_run(watcher, "PENDING")
    told = [read_task_run_event(read_fields(event, EVENT)) for event in make_life(str(uuid4()), id)]
    recording = session()
    with within(recording):
        record_task_runs(recording, told)
        flush(recording)
        assert propose_flow_run(watcher, id, "RUNNING").status == "ACCEPT"


def test_runs_of_one_flow_wait_for_nothing(database, session, watcher):
    """A session holds a run of the flow in all its states, uncommitted, while fifty others live their lives."""
    with downbeat_server.running(database, workers=2) as server:
        flow_id = make_flow(watcher)
        clients = [Client(lambda: server.api) for _ in range(50)]
        held = session()
        with within(held):
            id = make_flow_run(held, "PENDING", flow_id=flow_id)
            for type in ("RUNNING", "COMPLETED"):
                propose_flow_run(held, id, type)
            with ThreadPoolExecutor(len(clients)) as threads:
                list(threads.map(lambda client: list(live(client, flow_id)), clients))
        for client in clients:
            client.close()
    states = "SELECT state_type::text, count(*) FROM flow_run GROUP BY 1"
    assert watcher.execute(states).fetchall() == [("COMPLETED", 101)]
