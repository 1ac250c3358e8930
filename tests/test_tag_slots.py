"""Slots of tags that task runs take and give back, those that the server orchestrates and those that their clients do."""

from datetime import datetime, timedelta, timezone

import pytest

from handlers.domain.task_run_events import read_task_run, record_task_runs
from handlers.rules.moving import move_task_runs
from handlers.rules.transition import State
from schemas.state_types import CANCELLED, TERMINAL
from sql.database import connect
from sql.ids import uuid7
from sql.statement import flush
from tests.loops import release_ended_holders
from tests.runs import make_flow_run, make_task_run, propose_flow_run, propose_task_run
from tests.slots import count_active, insert_limit, make_tag, read_leases, take


@pytest.fixture
def own(database):
    """A connection to a database of the test's own, for loops make transactions of their own."""
    with connect(database) as conn:
        yield conn


def tell(conn, id, type, occurred, flow_run_id=None):
    """Record a task run's state as its client tells it."""
    related = [{"prefect.resource.role": "flow-run", "prefect.resource.id": f"prefect.flow-run.{flow_run_id}"}]
    state = {"type": type, "name": type.capitalize(), "state_details": {}}
    run = {"name": "t", "task_key": "t", "dynamic_key": id, "empirical_policy": {}, "tags": [], "task_inputs": {}, "run_count": 1}
    event = {
        "id": str(uuid7()),
        "occurred": occurred.isoformat(),
        "event": f"prefect.task-run.{type.capitalize()}",
        "resource": {"prefect.resource.id": f"prefect.task-run.{id}", "prefect.orchestration": "client"},
        "related": related if flow_run_id else [],
        "payload": {"validated_state": state, "task_run": run},
    }
    record_task_runs(conn, [read_task_run(event)])
    flush(conn)


def now():
    return datetime.now(timezone.utc)


def test_a_task_run_holds_a_slot_of_each_of_its_tags_while_it_runs(conn):
    (one, tag), (other, other_tag) = make_tag(conn), make_tag(conn)
    id = make_task_run(conn, "PENDING", tags=[tag, other_tag, "free"])
    assert propose_task_run(conn, id, "RUNNING").status == "ACCEPT"
    assert (count_active(conn, one), count_active(conn, other)) == (1, 1)
    assert conn.execute("SELECT DISTINCT expires = 'infinity' FROM downbeat.concurrency_lease").fetchall() == [(True,)]
    propose_task_run(conn, id, "COMPLETED")
    assert (count_active(conn, one), count_active(conn, other)) == (0, 0)


def test_a_task_run_takes_all_its_slots_or_none(conn):
    (one, tag), (full, full_tag) = make_tag(conn), make_tag(conn)
    take(conn, f"tag:{full_tag}")
    refused = propose_task_run(conn, make_task_run(conn, "PENDING", tags=[tag, full_tag]), "RUNNING")
    assert refused.status == "WAIT"
    assert refused.details["delay_seconds"] in (2, 3)
    assert (count_active(conn, one), count_active(conn, full)) == (0, 1)
    counted = conn.execute("SELECT denied_slots FROM concurrency_limit_v2 WHERE id = %s", [full])
    assert counted.fetchone() == (0,)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("type", sorted(TERMINAL | {"PAUSED", "PENDING"}))
def test_slots_of_tags_go_back_however_a_task_run_leaves(conn, type, force):
    limit, tag = make_tag(conn)
    id = make_task_run(conn, "PENDING", tags=[tag])
    propose_task_run(conn, id, "RUNNING")
    propose_task_run(conn, id, type, force=force)
    assert count_active(conn, limit) == 0


def test_a_task_run_that_is_being_cancelled_still_holds_its_slots(conn):
    limit, tag = make_tag(conn)
    id = make_task_run(conn, "PENDING", tags=[tag])
    for type in ("RUNNING", "CANCELLING"):
        propose_task_run(conn, id, type)
    assert count_active(conn, limit) == 1


def test_a_task_run_that_asks_again_after_a_lost_answer_does_not_wait_for_itself(conn):
    limit, tag = make_tag(conn)
    id = make_task_run(conn, "PENDING", tags=[tag])
    for _ in range(2):
        assert propose_task_run(conn, id, "RUNNING").status == "ACCEPT"
    assert count_active(conn, limit) == 1


def test_a_task_run_with_a_tag_without_slots_is_given_up(conn):
    refused = propose_task_run(conn, make_task_run(conn, "PENDING", tags=[make_tag(conn, 0)[1]]), "RUNNING")
    assert refused.status == "ABORT"


def test_the_limit_of_a_tag_that_is_switched_off_does_not_count(conn):
    limit, tag = make_tag(conn, 0, active=False)
    assert propose_task_run(conn, make_task_run(conn, "PENDING", tags=[tag]), "RUNNING").status == "ACCEPT"
    assert count_active(conn, limit) == 0


def test_a_task_run_that_comes_early_takes_no_slot(conn):
    limit, tag = make_tag(conn)
    later = {"scheduled_time": (now() + timedelta(minutes=1)).isoformat()}
    id = make_task_run(conn, state={"type": "SCHEDULED", "state_details": later}, tags=[tag])
    assert propose_task_run(conn, id, "RUNNING").status == "WAIT"
    assert count_active(conn, limit) == 0


def test_a_task_run_that_is_retried_gives_its_slot_back_between(conn):
    limit, tag = make_tag(conn)
    id = make_task_run(conn, "PENDING", tags=[tag], empirical_policy={"retries": 1})
    propose_task_run(conn, id, "RUNNING")
    assert propose_task_run(conn, id, "FAILED").proposed.name == "AwaitingRetry"
    assert count_active(conn, limit) == 0
    propose_task_run(conn, id, "RUNNING")
    assert count_active(conn, limit) == 1


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_task_run_that_its_client_says_has_ended_gives_back_what_it_holds(conn, is_gone):
    limit, name = insert_limit(conn)
    id, flow_run = str(uuid7()), str(uuid7()) if is_gone else make_flow_run(conn, "RUNNING")
    take(conn, name, holder=id)
    tell(conn, id, "RUNNING", now() + timedelta(seconds=1), flow_run)
    assert count_active(conn, limit) == 1
    tell(conn, id, "COMPLETED", now() + timedelta(seconds=2), flow_run)
    assert (count_active(conn, limit), read_leases(conn, limit)) == (0, [])


def test_an_end_that_is_told_late_does_not_take_what_the_task_run_holds_by_now(conn):
    limit, name = insert_limit(conn)
    id = str(uuid7())
    take(conn, name, holder=id)
    tell(conn, id, "FAILED", now() - timedelta(seconds=9))
    assert count_active(conn, limit) == 1


def test_many_task_runs_that_are_cancelled_at_once_give_back_what_they_hold(conn):
    limits = [make_tag(conn, 9) for _ in range(3)]
    runs = [make_task_run(conn, "PENDING", tags=[tag for _, tag in limits]) for _ in range(3)]
    for id in runs:
        propose_task_run(conn, id, "RUNNING")
    assert [count_active(conn, id) for id, _ in limits] == [3, 3, 3]
    move_task_runs(conn, runs, State(CANCELLED, "Cancelled"))
    flush(conn)
    assert [count_active(conn, id) for id, _ in limits] == [0, 0, 0]


def test_what_a_run_holds_without_end_goes_back_when_its_end_went_unnoticed(own):
    conn = own
    limit, tag = make_tag(conn, 3)
    flow_run = make_flow_run(conn, "RUNNING")
    ended, orphaned, going_on = (make_task_run(conn, "PENDING", flow_run_id=flow_run, tags=[tag]) for _ in range(3))
    for id in (ended, orphaned, going_on):
        propose_task_run(conn, id, "RUNNING")
    as_another_server = "UPDATE task_run SET state_type = 'FAILED', state_timestamp = clock_timestamp() WHERE id = %s"
    conn.execute(as_another_server, [ended])
    other = make_flow_run(conn, "RUNNING")
    conn.execute("UPDATE task_run SET flow_run_id = %s WHERE id = %s", [other, orphaned])
    propose_flow_run(conn, other, "CRASHED")
    assert release_ended_holders(conn, now() + timedelta(seconds=60), 9) == 1
    assert release_ended_holders(conn, now() + timedelta(seconds=400), 9) == 1
    assert [str(lease["holder_id"]) for lease in read_leases(conn, limit)] == [going_on]
    assert count_active(conn, limit) == 1


def test_what_a_holder_that_nobody_knows_holds_without_end_goes_back_after_an_hour(own):
    """Clients that take slots here tell of their task run at about the same time; one that never does so is no holder."""
    conn = own
    limit, tag = make_tag(conn, 3)
    unknown, known = str(uuid7()), make_task_run(conn, "RUNNING")
    for holder in (unknown, known):
        assert take(conn, f"tag:{tag}", seconds=None, holder=holder)[1]["granted"]
    assert release_ended_holders(conn, now() + timedelta(minutes=59), 9) == 0
    assert release_ended_holders(conn, now() + timedelta(minutes=61), 9) == 1
    assert [str(lease["holder_id"]) for lease in read_leases(conn, limit)] == [known]
    assert count_active(conn, limit) == 1
