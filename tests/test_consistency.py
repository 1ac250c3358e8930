"""The check that the crash tests rely on sees what is wrong, and nothing where nothing is."""

import pytest

import sql
from sql.statement import flush
from tests.consistency import find_half_written
from tests.events import make_event
from tests.runs import make_flow_run, make_task_run, propose_flow_run, propose_task_run


@pytest.fixture
def lived(conn):
    """A connection to a database in which a run with a subflow has failed, was retried and has ended."""
    run = make_flow_run(conn, "SCHEDULED", empirical_policy={"retries": 1, "retry_delay": 0})
    for type in ("PENDING", "RUNNING", "FAILED", "RUNNING"):
        propose_flow_run(conn, run, type)
    task_run = make_task_run(conn, "PENDING", flow_run_id=run)
    subflow = make_flow_run(conn, "PENDING", parent_task_run_id=task_run)
    for type in ("RUNNING", "COMPLETED"):
        propose_flow_run(conn, subflow, type, data={"type": "result"} if type == "COMPLETED" else None)
    propose_task_run(conn, make_task_run(conn, "PENDING", flow_run_id=run), "RUNNING")
    for type in ("COMPLETED", "FAILED"):
        propose_flow_run(conn, run, type)
    flush(conn)
    return conn


def test_nothing_is_wrong_with_what_was_written_as_a_whole(lived):
    assert find_half_written(lived) == []


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (
            "UPDATE flow_run SET state_name = 'Other' WHERE parent_task_run_id IS NULL",
            "flow run in another state than its newest",
        ),
        ("UPDATE flow_run SET state_timestamp = now()", "flow run in another state than its newest"),
        ("UPDATE flow_run SET start_time = NULL", "flow run whose times do not agree with its states"),
        (
            "UPDATE flow_run SET end_time = end_time + interval '1 microsecond'",
            "flow run whose times do not agree with its states",
        ),
        ("UPDATE flow_run SET total_run_time = '0'", "flow run whose times do not agree with its states"),
        ("UPDATE flow_run SET next_scheduled_start_time = now()", "flow run whose times do not agree with its states"),
        ("UPDATE flow_run SET run_count = run_count + 1", "flow run whose count does not agree with its states"),
        ("DELETE FROM flow_run_state", "flow run without a state"),
        ("DELETE FROM events", "state of a flow run without its event"),
        ("UPDATE events SET occurred = occurred - interval '1 second'", "state of a flow run without its event"),
        ("DELETE FROM flow_run_state WHERE type = 'PENDING'", "event of a flow run without its state"),
        ("DELETE FROM event_resources WHERE resource_role = 'flow'", "event whose resources are not all there"),
        ("UPDATE task_run SET state_type = 'CRASHED'", "task run in another state than its newest"),
        ("DELETE FROM task_run_state", "task run in another state than its newest"),
        ("UPDATE flow_run SET state_name = 'Other'", "task run that is not in the state of the subflow it stands for"),
        ("DELETE FROM flow_run_state WHERE result_artifact_id IS NOT NULL", "result of a state that is not there"),
    ],
)
def test_sees_what_is_wrong(lived, harm, complaint):
    assert lived.execute(harm).rowcount > 0
    assert complaint in {complaint for complaint, _ in find_half_written(lived)}


def test_sees_an_event_of_a_task_run_whose_state_is_missing(lived):
    (task_run,) = lived.execute("SELECT id FROM task_run LIMIT 1").fetchone()
    sql.events.create(lived, events=[make_event(resource={"prefect.resource.id": f"prefect.task-run.{task_run}"})])
    assert [complaint for complaint, _ in find_half_written(lived)] == ["event of a task run without its state"]
