"""What becomes of the slots of a Prefect database, whose leases were in the memory of its server."""

import pytest

from sql.database import connect
from sql.ids import uuid7
from sql.migrate import migrate
from tests.runs import make_flow, make_flow_run, make_task_run, propose_flow_run, propose_task_run
from tests.slots import LEASE, Deployed, count_active, insert_limit, read_leases


@pytest.fixture
def conn(database):
    """A connection to a database of the test's own."""
    with connect(database) as conn:
        yield conn


def adopt(database):
    """Have the database be Prefect's, and adopt it."""
    with connect(database) as conn:
        conn.execute("DROP SCHEMA downbeat CASCADE")
    migrate(database)


def leave_to_prefect(conn, deployed, type, lease):
    """Make a run of a deployment as Prefect leaves it: in a state that names a lease or none."""
    details = {LEASE: lease} if lease else {}
    return make_flow_run(
        conn, flow_id=deployed.flow_id, deployment_id=deployed.id, state={"type": type, "state_details": details}
    )


def test_runs_on_their_way_go_on_with_the_leases_that_their_processes_know(conn, database):
    deployed = Deployed(conn, 9, active_slots=7)
    leases = {type: str(uuid7()) for type in ("PENDING", "RUNNING", "CANCELLING", "PAUSED", "COMPLETED")}
    runs = {type: leave_to_prefect(conn, deployed, type, lease) for type, lease in leases.items()}
    leave_to_prefect(conn, deployed, "RUNNING", None)
    adopt(database)
    held = {str(lease["id"]): str(lease["holder_id"]) for lease in read_leases(conn, deployed.limit_id)}
    assert held == {leases[type]: runs[type] for type in ("PENDING", "RUNNING", "CANCELLING")}
    assert deployed.active == 3
    assert propose_flow_run(conn, runs["PENDING"], "RUNNING").proposed.details[LEASE] == leases["PENDING"]
    for type in ("PENDING", "RUNNING", "CANCELLING"):
        propose_flow_run(conn, runs[type], "CANCELLED")
    assert deployed.active == 0


def test_running_task_runs_hold_the_slots_of_their_tags_as_far_as_slots_were_counted(conn, database):
    limit, _ = insert_limit(conn, 3, "tag:t", active_slots=2)
    dead, *running = (make_task_run(conn, "RUNNING", tags=["t", "other"]) for _ in range(3))
    make_task_run(conn, "RUNNING", tags=["other"])
    make_task_run(conn, "COMPLETED", tags=["t"])
    adopt(database)
    assert {str(lease["holder_id"]) for lease in read_leases(conn, limit)} == set(running)
    assert count_active(conn, limit) == 2
    assert dead not in running
    propose_task_run(conn, running[0], "COMPLETED")
    assert count_active(conn, limit) == 1


def test_slots_that_nobody_can_be_shown_to_hold_are_free(conn, database):
    limit, _ = insert_limit(conn, 3, active_slots=2)
    rate, _ = insert_limit(conn, 3, active_slots=2, slot_decay_per_second=0.001)
    adopt(database)
    assert (count_active(conn, limit), count_active(conn, rate)) == (0, 2)


def test_a_database_that_is_ours_already_keeps_what_is_counted(conn, database):
    limit, _ = insert_limit(conn, 3, active_slots=2)
    make_flow(conn)
    conn.execute("DELETE FROM downbeat.migration WHERE name = '0008_downbeat_holders'")
    conn.execute("DROP INDEX downbeat.ix_concurrency_lease__holder_id")
    migrate(database)
    assert count_active(conn, limit) == 2
