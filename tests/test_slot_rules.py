"""Slots that runs take on their way in and give back on their way out, whatever the way."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

import sql
from handlers.domain.deletion import delete_flow_runs, delete_flows
from handlers.rules.flow_runs import FLOW_RUN
from handlers.rules.orchestration import make_state, set_flow_run_state
from schemas.state_types import CANCELLED, TERMINAL
from schemas.states import StateCreate
from sql.database import connect, within
from sql.ids import uuid7
from sql.statement import flush
from tests.loops import mark_late_runs
from tests.runs import make_flow_run, make_task_run, propose_flow_run, propose_task_run
from tests.slots import LEASE, Deployed, count_active, expire, insert_limit, make_tag, read_leases
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter


@pytest.fixture
def own(database):
    """A connection to a database of the test's own, for loops make transactions of their own."""
    with connect(database) as conn:
        yield conn


def now():
    return datetime.now(timezone.utc)


def test_a_run_holds_a_slot_from_pending_until_it_ends(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    lease = propose_flow_run(conn, id, "PENDING").proposed.details[LEASE]
    (held,) = read_leases(conn, deployed.limit_id)
    assert (str(held["id"]), held["holder_type"], str(held["holder_id"])) == (lease, "flow_run", id)
    assert (held["expires"] - held["acquired"]) == timedelta(seconds=300)
    for type in ("RUNNING", "CANCELLING"):
        assert propose_flow_run(conn, id, type).proposed.details[LEASE] == lease
        assert deployed.active == 1
    propose_flow_run(conn, id, "CANCELLED")
    assert deployed.active == 0


@pytest.mark.parametrize("type", sorted(TERMINAL | {"PAUSED", "SCHEDULED"}))
@pytest.mark.parametrize("force", [False, True])
def test_a_slot_goes_back_however_a_run_leaves(conn, type, force):
    deployed = Deployed(conn)
    id, _ = deployed.start()
    propose_flow_run(conn, id, type, force=force)
    assert deployed.active == 0
    propose_flow_run(conn, id, "CRASHED", force=True)
    assert deployed.active == 0


def test_a_run_without_a_slot_is_put_off(conn):
    deployed = Deployed(conn)
    deployed.start()
    refused = propose_flow_run(conn, deployed.make_run(), "PENDING")
    assert (refused.status, refused.proposed.name, refused.proposed.details[LEASE]) == ("REJECT", "AwaitingConcurrencySlot", None)
    assert refused.proposed.time("scheduled_time") - refused.now == timedelta(seconds=30)
    assert deployed.active == 1


def test_a_run_that_was_put_off_gets_the_slot_that_came_free(conn):
    deployed = Deployed(conn)
    first, _ = deployed.start()
    id = deployed.make_run()
    propose_flow_run(conn, id, "PENDING")
    propose_flow_run(conn, first, "COMPLETED")
    assert propose_flow_run(conn, id, "PENDING").status == "ACCEPT"
    assert deployed.active == 1


def test_a_run_without_a_slot_is_cancelled_where_that_is_wanted(conn):
    deployed = Deployed(conn, collision_strategy="CANCEL_NEW")
    deployed.start()
    refused = propose_flow_run(conn, deployed.make_run(), "PENDING")
    assert (refused.status, refused.proposed.type) == ("REJECT", CANCELLED)
    assert deployed.active == 1


def test_a_run_of_a_deployment_without_slots_is_given_up(conn):
    assert propose_flow_run(conn, Deployed(conn, 0).make_run(), "PENDING").status == "ABORT"


def test_a_run_of_a_deployment_that_is_gone_is_given_up(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    sql.deployments.delete(conn, ids=[deployed.id])
    assert propose_flow_run(conn, id, "PENDING").status == "ABORT"


def test_a_limit_that_is_switched_off_holds_nobody_up(conn):
    deployed = Deployed(conn, 1, active=False)
    for _ in range(2):
        assert propose_flow_run(conn, deployed.make_run(), "PENDING").proposed.details[LEASE] is None
    assert deployed.active == 0


def test_a_forced_start_takes_no_slot(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    for type in ("PENDING", "RUNNING", "COMPLETED"):
        propose_flow_run(conn, id, type, force=True)
        assert deployed.active == 0


def test_a_worker_that_tells_how_far_it_is_keeps_the_slot(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    lease = propose_flow_run(conn, id, "PENDING").proposed.details[LEASE]
    assert propose_flow_run(conn, id, "PENDING", name="Submitting").proposed.details[LEASE] == lease
    assert deployed.active == 1


def test_a_deployment_says_how_long_a_slot_is_kept_for_a_run_that_is_being_started(conn):
    deployed = Deployed(conn, grace_period_seconds=600)
    propose_flow_run(conn, deployed.make_run(), "PENDING")
    (held,) = read_leases(conn, deployed.limit_id)
    assert held["expires"] - held["acquired"] == timedelta(seconds=600)


def test_the_start_of_a_run_renews_its_lease(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    propose_flow_run(conn, id, "PENDING")
    conn.execute("UPDATE downbeat.concurrency_lease SET expires = clock_timestamp() + interval '9 s'")
    propose_flow_run(conn, id, "RUNNING")
    (held,) = read_leases(conn, deployed.limit_id)
    assert held["expires"] - held["acquired"] > timedelta(seconds=200)


def test_a_run_that_lost_its_slot_takes_another_when_it_starts(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    lease = propose_flow_run(conn, id, "PENDING").proposed.details[LEASE]
    expire(conn, lease)
    started = propose_flow_run(conn, id, "RUNNING")
    assert (started.status, deployed.active) == ("ACCEPT", 1)
    assert started.proposed.details[LEASE] == str(read_leases(conn, deployed.limit_id)[0]["id"]) != lease


def test_a_run_that_lost_its_slot_to_another_is_cancelled_when_it_starts(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    expire(conn, propose_flow_run(conn, id, "PENDING").proposed.details[LEASE])
    _, lease = deployed.start()
    refused = propose_flow_run(conn, id, "RUNNING")
    assert (refused.status, refused.proposed.type) == ("REJECT", CANCELLED)
    assert [str(held["id"]) for held in read_leases(conn, deployed.limit_id)] == [lease]
    assert deployed.active == 1


def test_a_client_that_does_not_renew_leases_holds_its_slot_until_the_run_ends(conn):
    deployed = Deployed(conn)
    id = deployed.make_run()
    lease = propose_flow_run(conn, id, "PENDING").proposed.details[LEASE]
    running = make_state(StateCreate().load({"type": "RUNNING"}))
    assert set_flow_run_state(conn, id, running, FLOW_RUN, renews_leases=False).proposed.details[LEASE] == lease
    flush(conn)
    endless = "SELECT id::text FROM downbeat.concurrency_lease WHERE expires = 'infinity'"
    assert conn.execute(endless).fetchall() == [(lease,)]
    propose_flow_run(conn, id, "COMPLETED")
    assert deployed.active == 0


def test_a_retry_gives_the_slot_back_and_gets_it_again_under_the_lease_that_its_process_knows(conn):
    deployed = Deployed(conn)
    id, lease = deployed.start(empirical_policy={"retries": 1, "retry_delay": 0})
    assert propose_flow_run(conn, id, "FAILED").proposed.name == "AwaitingRetry"
    assert deployed.active == 0
    assert propose_flow_run(conn, id, "RUNNING").proposed.details[LEASE] == lease
    assert [str(held["id"]) for held in read_leases(conn, deployed.limit_id)] == [lease]
    propose_flow_run(conn, id, "COMPLETED")
    assert deployed.active == 0


def test_a_retry_waits_for_a_slot(conn):
    deployed = Deployed(conn)
    id, _ = deployed.start(empirical_policy={"retries": 1, "retry_delay": 0})
    propose_flow_run(conn, id, "FAILED")
    other, _ = deployed.start()
    assert propose_flow_run(conn, id, "RUNNING").details["delay_seconds"] == 30
    propose_flow_run(conn, other, "COMPLETED")
    assert propose_flow_run(conn, id, "RUNNING").status == "ACCEPT"
    assert deployed.active == 1


@pytest.mark.parametrize("is_free", [True, False])
def test_a_resumed_run_has_its_slot_again_if_there_is_one(conn, is_free):
    deployed = Deployed(conn)
    id, lease = deployed.start()
    propose_flow_run(conn, id, "PAUSED", state_details={"pause_key": "k"})
    if not is_free:
        deployed.start()
    assert propose_flow_run(conn, id, "RUNNING").status == "ACCEPT"
    assert deployed.active == 1
    assert ([str(held["id"]) for held in read_leases(conn, deployed.limit_id)] == [lease]) == is_free
    propose_flow_run(conn, id, "COMPLETED")
    assert deployed.active == (not is_free)


def test_the_limit_of_a_deployment_counts_from_its_next_run(conn):
    deployed = Deployed(conn, 2)
    for _ in range(2):
        deployed.start()
    sql.deployments.set_limit(conn, id=deployed.id, limit=1, limit_id=uuid7())
    assert propose_flow_run(conn, deployed.make_run(), "PENDING").proposed.name == "AwaitingConcurrencySlot"
    sql.deployments.set_limit(conn, id=deployed.id, limit=3, limit_id=uuid7())
    assert propose_flow_run(conn, deployed.make_run(), "PENDING").status == "ACCEPT"
    assert deployed.active == 3


def test_runs_outlive_the_limit_of_their_deployment(conn):
    deployed = Deployed(conn)
    id, lease = deployed.start()
    sql.deployments.delete(conn, ids=[deployed.id])
    assert sql.concurrency_limits_v2.renew(conn, lease_id=lease, lease_duration=60) == 1
    propose_flow_run(conn, id, "COMPLETED")
    assert read_leases(conn, deployed.limit_id) == []


def test_a_deployment_gets_its_limit_again_whatever_has_its_name(conn):
    deployed = Deployed(conn)
    conn.execute("UPDATE deployment SET concurrency_limit_id = NULL WHERE id = %s", [deployed.id])
    sql.deployments.set_limit(conn, id=deployed.id, limit=5, limit_id=uuid7())
    shown = conn.execute('SELECT id::text, "limit" FROM concurrency_limit_v2 WHERE name = %s', [deployed.limit_name]).fetchall()
    assert shown == [(deployed.limit_id, 5)]


@pytest.mark.parametrize("delete", [delete_flow_runs, delete_flows])
def test_deleted_runs_give_back_what_they_and_their_task_runs_hold(conn, delete):
    deployed = Deployed(conn)
    id, _ = deployed.start()
    tag_id, tag = make_tag(conn)
    task_run = make_task_run(conn, "PENDING", flow_run_id=id, tags=[tag])
    propose_task_run(conn, task_run, "RUNNING")
    assert count_active(conn, tag_id) == deployed.active == 1
    delete(conn, [id if delete is delete_flow_runs else deployed.flow_id])
    flush(conn)
    assert read_leases(conn, deployed.limit_id) == read_leases(conn, tag_id) == []
    assert count_active(conn, tag_id) == 0
    if delete is delete_flow_runs:
        assert deployed.active == 0


def test_a_late_run_is_cancelled_only_while_no_slot_is_free_and_only_where_that_is_wanted(own):
    conn = own
    due = {"type": "SCHEDULED", "state_details": {"scheduled_time": (now() - timedelta(minutes=1)).isoformat()}}
    runs = []
    for strategy, is_full in (("CANCEL_NEW", True), ("CANCEL_NEW", False), ("ENQUEUE", True)):
        deployed = Deployed(conn, collision_strategy=strategy)
        runs.append(make_flow_run(conn, flow_id=deployed.flow_id, deployment_id=deployed.id, state=due))
        if is_full:
            deployed.start()
    mark_late_runs(conn, now(), 100)
    names = (
        "SELECT state_name FROM flow_run JOIN unnest(%s::uuid[]) WITH ORDINALITY AS made (id, place) USING (id) ORDER BY place"
    )
    assert conn.execute(names, [runs]).fetchall() == [("Cancelled",), ("Late",), ("Late",)]


def test_the_database_shows_who_holds_what(conn):
    deployed = Deployed(conn)
    id, lease = deployed.start(name="nightly")
    _, tag = make_tag(conn)
    task_run = make_task_run(conn, "PENDING", flow_run_id=id, tags=[tag], name="load")
    propose_task_run(conn, task_run, "RUNNING")
    shown = conn.execute(
        'SELECT limit_name, "limit", slots, holder_type, holder_name, holder_state, flow_run_name, since < until, lease_id::text'
        "  FROM downbeat.slots WHERE flow_run_id = %s ORDER BY limit_name",
        [id],
    ).fetchall()
    assert shown[0] == (deployed.limit_name, 1, 1, "flow_run", "nightly", "Running", "nightly", True, lease)
    assert shown[1][:-1] == (f"tag:{tag}", 1, 1, "task_run", "load", "Running", "nightly", True)


# Which slot it is


def hold_something_else(conn, run: str) -> None:
    """Let a flow run hold a slot of a limit that is not its deployment's, as `concurrency(…)` inside a flow does."""
    _, name = insert_limit(conn)
    taken = {"slots": 1, "mode": "concurrency", "holder_type": "flow_run", "holder_id": run, "lease_id": uuid7()}
    waits = {"lease_duration": 300, "tag_wait_seconds": 1, "wait_seconds": 1}
    assert sql.concurrency_limits_v2.acquire(conn, names=[name], **taken, **waits)["granted"]


def test_a_run_that_holds_another_lease_waits_for_a_slot_of_its_deployment_after_a_retry(conn):
    deployed = Deployed(conn)
    retrying, _ = deployed.start(empirical_policy={"retries": 1, "retry_delay": 0})
    hold_something_else(conn, retrying)
    assert propose_flow_run(conn, retrying, "FAILED").proposed.name == "AwaitingRetry"
    other, _ = deployed.start()
    assert propose_flow_run(conn, retrying, "RUNNING").status == "WAIT"
    assert deployed.active == 1
    propose_flow_run(conn, other, "COMPLETED")
    assert propose_flow_run(conn, retrying, "RUNNING").status == "ACCEPT"
    assert [str(lease["holder_id"]) for lease in read_leases(conn, deployed.limit_id)] == [retrying]


def test_the_lease_of_another_run_is_no_slot_for_the_one_that_names_it(conn):
    deployed = Deployed(conn)
    _, lease = deployed.start()
    thief = deployed.make_run()
    propose_flow_run(conn, thief, "PENDING", force=True, state_details={LEASE: lease})
    assert propose_flow_run(conn, thief, "RUNNING").proposed.type == CANCELLED
    assert deployed.active == 1


def test_a_run_that_names_the_lease_of_another_does_not_give_it_back(conn):
    deployed = Deployed(conn)
    _, lease = deployed.start()
    thief = deployed.make_run()
    hold_something_else(conn, thief)
    propose_flow_run(conn, thief, "RUNNING", force=True, state_details={LEASE: lease})
    assert propose_flow_run(conn, thief, "PAUSED").status == "ACCEPT"
    assert deployed.active == 1


def test_limits_are_locked_before_the_artifact_that_the_state_of_a_subflow_leaves(database):
    """As for all other states, or two of them would be each other's deadlock."""
    with connect(database) as watcher, connect(database) as holder, connect(database) as worker:
        deployed = Deployed(watcher)
        result = {"artifact_key": "k", "x": 1}
        propose_flow_run(watcher, make_flow_run(watcher, "RUNNING"), "COMPLETED", data=result)
        parent = make_task_run(watcher, "RUNNING", flow_run_id=make_flow_run(watcher, "RUNNING"))
        id, _ = deployed.start(parent_task_run_id=parent)

        def complete():
            with within(worker):
                return propose_flow_run(worker, id, "COMPLETED", data=result)

        with ThreadPoolExecutor(1) as threads:
            with within(holder):
                sql.concurrency_limits_v2.lock(holder, id=deployed.limit_id, name=None)
                completing = threads.submit(complete)
                wait_for_waiter(watcher)
                watcher.execute("SELECT FROM artifact_collection WHERE key = 'k' FOR UPDATE NOWAIT")
            assert completing.result(PATIENCE_SECONDS).status == "ACCEPT"
        assert deployed.active == 0
