"""What happens by the clock: each loop called with a time of the test's choosing, alone and against others."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

import sql
from sql.database import connect, within
from tests.consistency import find_half_written
from tests.loops import (
    cancel_subflows,
    cancel_task_runs,
    end_cancelling,
    fail_expired_pauses,
    mark_deployments_not_ready,
    mark_late_runs,
    mark_work_pools_not_ready,
    mark_work_queues_not_ready,
    mark_workers_offline,
    release_expired_leases,
    schedule_recent,
    schedule_runs,
)
from tests.runs import (
    make_flow_run,
    make_task_run,
    propose_flow_run,
    read_flow_run,
    read_task_run,
)
from tests.schedules import make_deployment, make_schedule, read_due
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter

NOW = datetime.now(timezone.utc)
FAR = NOW + timedelta(days=3650)


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


@pytest.fixture
def db(session):
    """A session whose work is committed; what it leaves behind is whole."""
    conn = session()
    yield conn
    assert find_half_written(conn) == []


def due(seconds: float) -> dict:
    """Give a SCHEDULED state that is due some seconds from now."""
    details = {"scheduled_time": (NOW + timedelta(seconds=seconds)).isoformat()}
    return {"type": "SCHEDULED", "state_details": details}


def deployment(conn, **fields) -> str:
    """Give the id of a deployment of its own flow."""
    return str(make_deployment(conn, **fields)["id"])


def events(conn, resource: str) -> list[str]:
    """Give the names of the events of a resource, in order."""
    rows = conn.execute("SELECT event FROM events WHERE resource_id = %s ORDER BY occurred, id", [resource]).fetchall()
    return [row[0].removeprefix("prefect.") for row in rows]


# Late runs


def test_a_run_that_nobody_starts_is_late_after_a_while(db):
    overdue, recent = make_flow_run(db, state=due(-16)), make_flow_run(db, state=due(-14))
    assert mark_late_runs(db, NOW, 10) == 1
    late = read_flow_run(db, overdue)
    assert (late["state"]["type"], late["state"]["name"], late["run_count"]) == ("SCHEDULED", "Late", 0)
    assert late["next_scheduled_start_time"] == late["expected_start_time"] == late["state"]["state_details"]["scheduled_time"]
    assert read_flow_run(db, recent)["state"]["name"] == "Scheduled"
    assert events(db, f"prefect.flow-run.{overdue}") == ["flow-run.Scheduled", "flow-run.Late"]
    assert mark_late_runs(db, NOW, 10) == 0, "once"


def test_only_what_is_scheduled_anew_can_be_late(db):
    started = make_flow_run(db, state=due(-60))
    propose_flow_run(db, started, "PENDING")
    retrying = make_flow_run(db, state=due(-60) | {"name": "AwaitingRetry"})
    assert mark_late_runs(db, NOW, 10) == 0
    assert [read_flow_run(db, id)["state_name"] for id in (started, retrying)] == ["Pending", "AwaitingRetry"]


def test_late_runs_are_marked_in_batches_until_none_is_left(db):
    ids = [make_flow_run(db, state=due(-60)) for _ in range(5)]
    assert mark_late_runs(db, FAR, 2) == 5
    assert {read_flow_run(db, id)["state_name"] for id in ids} == {"Late"}


def test_two_markers_share_the_work_and_no_run_is_marked_twice(db, session):
    ids = [make_flow_run(db, state=due(-60)) for _ in range(40)]
    conns = [session() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(lambda conn: mark_late_runs(conn, NOW, 40), conns))
    assert sum(shares) == 40
    assert {tuple(events(db, f"prefect.flow-run.{id}")) for id in ids} == {("flow-run.Scheduled", "flow-run.Late")}


def test_a_run_that_somebody_starts_is_passed_over(db, session):
    started, forgotten = make_flow_run(db, state=due(-60)), make_flow_run(db, state=due(-60))
    other = session()
    with within(other):
        propose_flow_run(other, started, "PENDING")
        assert mark_late_runs(db, NOW, 10) == 1
    assert [read_flow_run(db, id)["state_name"] for id in (started, forgotten)] == ["Pending", "Late"]


def test_a_run_that_is_being_marked_late_can_be_started_behind_it(db, session):
    id = make_flow_run(db, state=due(-60))
    marker, worker = session(), session()
    with ThreadPoolExecutor(1) as threads:
        with within(marker):
            sql.loops.claim_late(marker, due_before=NOW, limit=1, after_place="-infinity", after=UUID(int=0))
            starting = threads.submit(propose_flow_run, worker, id, "PENDING")
            wait_for_waiter(db)
        assert starting.result(PATIENCE_SECONDS).status == "ACCEPT"


# Pauses


def paused(conn, timeout_seconds: float, **fields) -> str:
    """Give the id of a flow run that waits to be resumed."""
    id = make_flow_run(conn, "RUNNING", **fields)
    timeout = (NOW + timedelta(seconds=timeout_seconds)).isoformat()
    propose_flow_run(conn, id, "PAUSED", state_details={"pause_timeout": timeout, "pause_key": "a"})
    return id


def test_a_run_that_nobody_resumes_in_time_fails(db):
    expired, waiting, started = paused(db, 3600), paused(db, 3700), make_flow_run(db, "RUNNING")
    assert fail_expired_pauses(db, NOW + timedelta(seconds=3650), 10) == 1
    failed = read_flow_run(db, expired)
    assert (failed["state_type"], failed["state"]["message"]) == ("FAILED", "The run was paused and never resumed.")
    assert failed["end_time"]
    assert [read_flow_run(db, id)["state_type"] for id in (waiting, started)] == ["PAUSED", "RUNNING"]


def test_a_pause_that_is_being_resumed_does_not_expire(db, session):
    id, other = paused(db, 3600), session()
    with within(other):
        propose_flow_run(other, id, "RUNNING")
        assert fail_expired_pauses(db, FAR, 10) == 0
    assert fail_expired_pauses(db, FAR, 10) == 0
    assert read_flow_run(db, id)["state_type"] == "RUNNING"


# Cancellation


def test_cancelling_ends_when_nobody_confirms_it(db):
    id = make_flow_run(db, "RUNNING")
    propose_flow_run(db, id, "CANCELLING")
    assert end_cancelling(db, NOW + timedelta(seconds=290), 10) == 0
    assert end_cancelling(db, NOW + timedelta(seconds=900), 10) == 1
    assert read_flow_run(db, id)["state_type"] == "CANCELLED"


def test_task_runs_of_a_cancelled_run_are_cancelled(db):
    parent, other = make_flow_run(db, "RUNNING"), make_flow_run(db, "RUNNING")
    unfinished = [make_task_run(db, type, flow_run_id=parent) for type in ("PENDING", "RUNNING", "PAUSED")]
    done, elsewhere = make_task_run(db, "COMPLETED", flow_run_id=parent), make_task_run(db, "RUNNING", flow_run_id=other)
    assert cancel_task_runs(db, NOW, 10) == 0
    propose_flow_run(db, parent, "CANCELLED")
    assert cancel_task_runs(db, NOW + timedelta(days=2), 10) == 0, "that was long ago"
    assert cancel_task_runs(db, NOW, 10) == 3
    states = [read_task_run(db, id)["state"] for id in unfinished]
    assert {(state["type"], state["message"]) for state in states} == {("CANCELLED", "The parent flow run was cancelled.")}
    assert [read_task_run(db, id)["state_type"] for id in (done, elsewhere)] == ["COMPLETED", "RUNNING"]
    assert cancel_task_runs(db, NOW, 10) == 0


def subflow(conn, parent: str, type: str = "RUNNING", **fields) -> str:
    """Give the id of a flow run that is part of another."""
    task = make_task_run(conn, "RUNNING", flow_run_id=parent)
    return make_flow_run(conn, type, parent_task_run_id=task, **fields)


def test_subflows_of_a_cancelled_run_are_cancelled_with_theirs(db):
    parent = make_flow_run(db, "RUNNING")
    child = subflow(db, parent)
    grandchild = subflow(db, child)
    done = subflow(db, parent, "COMPLETED")
    assert cancel_subflows(db, NOW, 10) == 0
    propose_flow_run(db, parent, "CANCELLED")
    assert cancel_subflows(db, NOW, 10) == 1
    assert cancel_subflows(db, NOW, 10) == 1, "the grandchild's parent is cancelled only now"
    assert [read_flow_run(db, id)["state_type"] for id in (child, grandchild, done)] == ["CANCELLED", "CANCELLED", "COMPLETED"]
    task = read_flow_run(db, child)["parent_task_run_id"]
    assert read_task_run(db, task)["state_type"] == "CANCELLED"


def test_a_subflow_with_a_deployment_is_stopped_by_its_worker(db):
    parent = make_flow_run(db, "RUNNING")
    child = subflow(db, parent, deployment_id=deployment(db))
    propose_flow_run(db, parent, "CANCELLED")
    assert cancel_subflows(db, NOW, 10) == 1
    assert read_flow_run(db, child)["state_type"] == "CANCELLING"
    assert cancel_subflows(db, NOW, 10) == 0, "once"
    assert end_cancelling(db, FAR, 10) == 1
    assert read_flow_run(db, child)["state_type"] == "CANCELLED"


def test_a_subflow_that_cannot_be_stopped_does_not_keep_others_from_it(db):
    parent = make_flow_run(db, "RUNNING")
    stuck = [subflow(db, parent, deployment_id=deployment(db)) for _ in range(2)]
    for id in stuck:
        propose_flow_run(db, id, "PAUSED", state_details={"pause_key": "a"})
    child = subflow(db, parent)
    propose_flow_run(db, parent, "CANCELLED")
    assert cancel_subflows(db, NOW, 1) == 1
    assert read_flow_run(db, child)["state_type"] == "CANCELLED"


# Workers, pools, queues, deployments that nobody hears of


def make_pool(conn) -> dict:
    """Make a READY work pool with a READY queue and a worker ONLINE; give their ids."""
    ids = {"pool": uuid4(), "queue": uuid4(), "worker": uuid4()}
    conn.execute(
        "INSERT INTO work_pool (id, name, type, status) VALUES (%s, %s, 'process', 'READY')", [ids["pool"], str(ids["pool"])]
    )
    conn.execute(
        "INSERT INTO work_queue (id, name, work_pool_id, status, last_polled) VALUES (%s, 'q', %s, 'READY', %s)",
        [ids["queue"], ids["pool"], NOW],
    )
    conn.execute(
        "INSERT INTO worker (id, name, work_pool_id, status, last_heartbeat_time, heartbeat_interval_seconds)"
        " VALUES (%s, 'w', %s, 'ONLINE', %s, 10)",
        [ids["worker"], ids["pool"], NOW],
    )
    return ids


def status(conn, table: str, id) -> str:
    """Give the status of a row."""
    return conn.execute(f"SELECT status::text FROM {table} WHERE id = %s", [id]).fetchone()[0]


def test_slots_of_leases_that_ran_out_are_given_back(db):
    limit = uuid4()
    db.execute(
        'INSERT INTO concurrency_limit_v2 (id, active, name, "limit", active_slots, denied_slots, slot_decay_per_second,'
        " avg_slot_occupancy_seconds) VALUES (%s, true, 'x', 3, 3, 0, 0, 2)",
        [limit],
    )
    for place, (limit_id, seconds) in enumerate(((limit, -1), (limit, 60), (None, -1))):
        db.execute(
            "INSERT INTO downbeat.concurrency_lease (id, place, limit_id, slots, acquired, expires)"
            " VALUES (%s, %s, %s, 1, %s, %s)",
            [uuid4(), place, limit_id, NOW, NOW + timedelta(seconds=seconds)],
        )
    assert release_expired_leases(db, NOW, 10) == 2
    assert release_expired_leases(db, NOW, 10) == 0
    assert db.execute("SELECT active_slots FROM concurrency_limit_v2").fetchone()[0] == 2


def test_a_worker_that_misses_heartbeats_is_offline_and_its_pool_not_ready(db):
    ids = make_pool(db)
    assert mark_workers_offline(db, NOW + timedelta(seconds=29), 10) == 0
    assert mark_work_pools_not_ready(db, NOW + timedelta(seconds=29), 10) == 0
    assert mark_workers_offline(db, NOW + timedelta(seconds=31), 10) == 1
    assert mark_work_pools_not_ready(db, NOW + timedelta(seconds=31), 10) == 1
    assert (status(db, "worker", ids["worker"]), status(db, "work_pool", ids["pool"])) == ("OFFLINE", "NOT_READY")
    assert events(db, f"prefect.work-pool.{ids['pool']}") == ["work-pool.not-ready"]
    told = "SELECT FROM work_pool JOIN events ON events.id = last_status_event_id AND occurred = last_transitioned_status_at"
    assert len(db.execute(told).fetchall()) == 1
    assert mark_work_pools_not_ready(db, FAR, 10) == 0


def test_a_worker_without_an_interval_has_the_configured_one(db):
    make_pool(db)
    db.execute("UPDATE worker SET heartbeat_interval_seconds = NULL")
    assert mark_workers_offline(db, NOW + timedelta(seconds=89), 10) == 0
    assert mark_workers_offline(db, NOW + timedelta(seconds=91), 10) == 1


def test_a_queue_that_nobody_polls_is_not_ready(db):
    ids = make_pool(db)
    assert mark_work_queues_not_ready(db, NOW + timedelta(seconds=59), 10) == 0
    assert mark_work_queues_not_ready(db, NOW + timedelta(seconds=61), 10) == 1
    assert status(db, "work_queue", ids["queue"]) == "NOT_READY"
    assert events(db, f"prefect.work-queue.{ids['queue']}") == ["work-queue.not-ready"]


def test_a_deployment_whose_runs_nobody_asks_for_is_not_ready(db):
    ids = make_pool(db)
    served, queued = make_deployment(db)["id"], make_deployment(db, work_queue_id=ids["queue"])["id"]
    db.execute("UPDATE deployment SET status = 'READY', last_polled = %s", [NOW - timedelta(seconds=100)])
    db.execute("UPDATE deployment SET updated = %s", [NOW - timedelta(days=1)])
    assert mark_deployments_not_ready(db, NOW, 10) == 1, "the queue of the other was polled"
    assert (status(db, "deployment", served), status(db, "deployment", queued)) == ("NOT_READY", "READY")
    assert mark_deployments_not_ready(db, NOW + timedelta(seconds=61), 10) == 1
    assert events(db, f"prefect.deployment.{queued}") == ["deployment.not-ready"]
    related = "SELECT related_resource_ids FROM events WHERE resource_id = %s"
    assert len(db.execute(related, [f"prefect.deployment.{queued}"]).fetchone()[0]) == 3, "flow, queue and pool"
    assert db.execute("SELECT max(updated) FROM deployment").fetchone()[0] < NOW, "no change of the deployment itself"


# Schedules


def test_the_scheduler_keeps_runs_ahead_of_every_deployment(db):
    ids = [make_deployment(db)["id"] for _ in range(5)]
    for id in ids:
        make_schedule(db, id, {"cron": "0 0 * * *"})
        make_schedule(db, id, {"interval": 600, "anchor_date": "2020-01-01T00:00:00Z", "timezone": "UTC"})
    assert schedule_runs(db, NOW, 2) == 5 * (3 + 7)
    assert schedule_runs(db, NOW, 2) == 0
    assert schedule_runs(db, NOW + timedelta(minutes=20), 2) == 5 * 2, "the hour ahead has moved on"


def test_paused_deployments_and_inactive_schedules_get_no_runs(db):
    make_schedule(db, make_deployment(db, paused=True)["id"], {"cron": "0 0 * * *"})
    make_schedule(db, make_deployment(db)["id"], {"cron": "0 0 * * *"}, active=False)
    assert schedule_runs(db, NOW, 10) == 0


def test_a_schedule_that_cannot_be_understood_does_not_stop_the_others(db, caplog):
    id = make_deployment(db)["id"]
    make_schedule(db, id, {"cron": "every morning"})
    make_schedule(db, id, {"rrule": "FREQ=DAILY", "timezone": "Nowhere/Town"})
    make_schedule(db, id, {"cron": "0 0 * * *"})
    assert schedule_runs(db, NOW, 10) == 3
    assert caplog.text.count("is passed over") == 2


def test_what_was_changed_lately_is_scheduled_at_once(db):
    old, new, touched = [make_deployment(db)["id"] for _ in range(3)]
    for id in (old, new, touched):
        make_schedule(db, id, {"cron": "0 0 * * *"})
    long_ago = NOW - timedelta(hours=1)
    db.execute("UPDATE deployment SET updated = %s WHERE id <> %s", [long_ago, new])
    db.execute("UPDATE deployment_schedule SET updated = %s WHERE deployment_id <> %s", [long_ago, touched])
    assert schedule_recent(db, NOW, 10) == 6
    assert [len(read_due(db, id)) for id in (old, new, touched)] == [0, 3, 3]


def test_schedulers_at_once_double_no_run_and_miss_none(db, session):
    ids = [make_deployment(db)["id"] for _ in range(20)]
    for id in ids:
        make_schedule(db, id, {"cron": "0 * * * *"})
    conns = [session() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda conn: schedule_runs(conn, NOW, 3), conns))
    assert sum(made) == 60
    assert {len(set(read_due(db, id))) for id in ids} == {3}
