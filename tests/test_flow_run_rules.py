"""What may follow what in the life of a flow run."""

from datetime import datetime, timedelta, timezone

import orjson
import pytest

import sql
from handlers.errors import NotFound
from handlers.rules.effects import FLOW_RUN_EFFECTS
from handlers.rules.flow_runs import FLOW_RUN, LATE_FLOW_RUN
from handlers.rules.orchestration import set_flow_run_state
from handlers.rules.shared import wait_for_scheduled_time
from handlers.rules.transition import State, Transition
from schemas.state_types import TERMINAL, TYPES
from schemas.states import NO_DETAILS
from sql.ids import uuid7
from tests.runs import make_flow, make_flow_run, make_task_run, propose_flow_run, read_flow_run, read_task_run

RESULT = {"type": "result", "storage_key": "abc"}


def in_seconds(seconds: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()


def make_deployment(conn, flow_id: str) -> str:
    id = str(uuid7())
    conn.execute("INSERT INTO deployment (id, name, flow_id) VALUES (%s, %s, %s)", (id, id, flow_id))
    return id


def make_deployed_run(conn, type: str, **fields) -> str:
    flow_id = make_flow(conn)
    return make_flow_run(conn, type, flow_id=flow_id, deployment_id=make_deployment(conn, flow_id), **fields)


def test_unknown_run_is_not_found(conn):
    with pytest.raises(NotFound):
        propose_flow_run(conn, str(uuid7()), "RUNNING")


@pytest.mark.parametrize("type", sorted(TYPES))
def test_new_run_is_in_any_state_it_is_created_in(conn, type):
    run = read_flow_run(conn, make_flow_run(conn, type))
    assert run["state_type"] == run["state"]["type"] == type
    assert run["state"]["state_details"]["flow_run_id"] == run["id"]
    assert (run["start_time"] is not None) == (type == "RUNNING" or type in TERMINAL)
    assert (run["end_time"] is not None) == (type in TERMINAL)
    assert run["run_count"] == (type == "RUNNING")
    assert (run["next_scheduled_start_time"] is not None) == (type == "SCHEDULED")


def test_new_run_without_a_state_is_pending(conn):
    assert read_flow_run(conn, make_flow_run(conn))["state_name"] == "Pending"


def test_life_of_a_run_is_in_its_columns(conn):
    id = make_flow_run(conn, "SCHEDULED")
    for type in ("PENDING", "RUNNING", "COMPLETED"):
        assert propose_flow_run(conn, id, type).status == "ACCEPT"
    run = read_flow_run(conn, id)
    assert run["run_count"] == 1
    assert run["next_scheduled_start_time"] is None
    assert run["expected_start_time"] <= run["start_time"] < run["end_time"] == run["state"]["timestamp"]
    lived = datetime.fromisoformat(run["end_time"]) - datetime.fromisoformat(run["start_time"])
    assert run["total_run_time"] == pytest.approx(lived.total_seconds())


def test_repeated_transition_gets_the_state_that_it_made(conn):
    id, details = make_flow_run(conn, "PENDING"), {"transition_id": str(uuid7())}
    first = propose_flow_run(conn, id, "RUNNING", state_details=details)
    again = propose_flow_run(conn, id, "RUNNING", state_details=details)
    assert (first.status, again.status) == ("ACCEPT", "REJECT")
    assert again.proposed is None and again.initial.id == first.proposed.id
    assert read_flow_run(conn, id)["run_count"] == 1


def test_second_worker_is_told_to_give_up(conn):
    id = make_flow_run(conn, "SCHEDULED")
    assert propose_flow_run(conn, id, "PENDING").status == "ACCEPT"
    assert propose_flow_run(conn, id, "PENDING").status == "ABORT"
    assert propose_flow_run(conn, id, "RUNNING").status == "ACCEPT"
    assert propose_flow_run(conn, id, "PENDING").status == "ABORT"


def test_worker_may_tell_how_far_it_is(conn):
    id = make_flow_run(conn, "SCHEDULED")
    due = read_flow_run(conn, id)["next_scheduled_start_time"]
    propose_flow_run(conn, id, "PENDING")
    submitting = propose_flow_run(conn, id, "PENDING", name="Submitting")
    assert submitting.status == "ACCEPT"
    assert submitting.proposed.details["scheduled_time"] == due
    assert propose_flow_run(conn, id, "PENDING", name="Submitting").status == "ABORT"


@pytest.mark.parametrize("first", ["SCHEDULED", "PENDING"])
def test_early_run_is_told_how_long_to_wait(conn, first):
    id = make_flow_run(conn, state={"type": "SCHEDULED", "state_details": {"scheduled_time": in_seconds(60)}})
    if first == "PENDING":
        assert propose_flow_run(conn, id, "PENDING").status == "ACCEPT"
    waiting = propose_flow_run(conn, id, "RUNNING")
    assert waiting.status == "WAIT" and waiting.proposed is None
    assert 58 <= waiting.details["delay_seconds"] <= 60
    assert read_flow_run(conn, id)["state_type"] == first


@pytest.mark.parametrize(
    ("early_seconds", "wait_seconds"),
    [(-5, None), (-0.3, None), (0.5, None), (0.500001, 1), (1.5, 1), (1.500001, 2), (2.5, 2), (59.999999, 60)],
)
def test_a_wait_is_in_whole_seconds_of_which_a_half_is_none(early_seconds, wait_seconds):
    now = datetime(2026, 11, 21, tzinfo=timezone.utc)
    due = (now + timedelta(seconds=early_seconds)).isoformat()
    initial = State("SCHEDULED", "Scheduled", details={**NO_DETAILS, "scheduled_time": due})
    outcome = wait_for_scheduled_time(None, Transition({}, initial, State("RUNNING", "Running"), now))
    assert outcome.details.get("delay_seconds") == wait_seconds


def test_run_that_is_less_than_half_a_second_early_starts(conn):
    id = make_flow_run(conn, state={"type": "SCHEDULED", "state_details": {"scheduled_time": in_seconds(0.4)}})
    assert propose_flow_run(conn, id, "RUNNING").status == "ACCEPT"


def test_failed_run_is_retried_as_often_as_its_policy_says(conn):
    id = make_flow_run(conn, "RUNNING", empirical_policy={"retries": 1, "retry_delay": 0, "pause_keys": ["seen"]})
    retried = propose_flow_run(conn, id, "FAILED", message="broken")
    assert (retried.status, retried.proposed.name, retried.proposed.message) == ("REJECT", "AwaitingRetry", "broken")
    assert read_flow_run(conn, id)["empirical_policy"]["retry_type"] == "in_process"
    assert read_flow_run(conn, id)["empirical_policy"]["pause_keys"] == []
    assert propose_flow_run(conn, id, "RUNNING").status == "ACCEPT"
    failed = propose_flow_run(conn, id, "FAILED")
    assert (failed.status, failed.proposed.type) == ("ACCEPT", "FAILED")
    run = read_flow_run(conn, id)
    assert (run["run_count"], run["empirical_policy"]["retry_type"]) == (2, None)


def test_retry_is_scheduled_after_its_delay(conn):
    id = make_flow_run(conn, "RUNNING", empirical_policy={"retries": 1, "retry_delay": 30})
    retried = propose_flow_run(conn, id, "FAILED")
    assert retried.proposed.time("scheduled_time") - retried.now == timedelta(seconds=30)
    assert propose_flow_run(conn, id, "RUNNING").status == "WAIT"


@pytest.mark.parametrize("type", ["CANCELLING", "PAUSED", "CRASHED"])
@pytest.mark.parametrize("terminal", sorted(TERMINAL))
def test_finished_run_cannot_be_stopped(conn, terminal, type):
    assert propose_flow_run(conn, make_flow_run(conn, terminal), type).status == "ABORT"


def test_completed_run_with_a_result_is_not_run_again(conn):
    id = make_flow_run(conn, state={"type": "COMPLETED", "data": RESULT})
    assert propose_flow_run(conn, id, "RUNNING").status == "REJECT"
    assert propose_flow_run(conn, make_flow_run(conn, "COMPLETED"), "RUNNING").status == "ACCEPT"


@pytest.mark.parametrize("force", [False, True])
def test_result_is_not_overwritten_by_none(conn, force):
    id = make_flow_run(conn, state={"type": "COMPLETED", "data": RESULT})
    assert propose_flow_run(conn, id, "COMPLETED", force=force).status == "REJECT"
    assert propose_flow_run(conn, id, "COMPLETED", force=force, data=RESULT).status == "ACCEPT"
    assert read_flow_run(conn, id)["state"]["data"] == RESULT


def test_data_marked_as_unpersisted_is_not_stored(conn):
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "COMPLETED", data={"type": "unpersisted"})
    assert read_flow_run(conn, id)["state"]["data"] is None


def test_only_deployed_runs_are_scheduled_again(conn):
    assert propose_flow_run(conn, make_flow_run(conn, "FAILED"), "SCHEDULED").status == "ABORT"
    id = make_deployed_run(conn, "FAILED", empirical_policy={"pause_keys": ["seen"]})
    assert propose_flow_run(conn, id, "SCHEDULED").status == "ACCEPT"
    policy = read_flow_run(conn, id)["empirical_policy"]
    assert (policy["retry_type"], policy["pause_keys"]) == ("reschedule", [])


def test_what_a_refused_transition_would_have_changed_is_not_changed(conn):
    id = make_flow_run(conn, "CANCELLED", empirical_policy={"pause_keys": ["seen"]})
    assert propose_flow_run(conn, id, "PENDING").status == "ABORT"
    assert read_flow_run(conn, id)["empirical_policy"]["pause_keys"] == ["seen"]


def test_run_that_is_started_again_has_no_end(conn):
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "FAILED")
    started = read_flow_run(conn, id)["start_time"]
    propose_flow_run(conn, id, "RUNNING")
    run = read_flow_run(conn, id)
    assert (run["end_time"], run["start_time"], run["run_count"]) == (None, started, 2)


def test_cancelling_ends_cancelled(conn):
    id = make_flow_run(conn, "RUNNING")
    assert propose_flow_run(conn, id, "CANCELLING").status == "ACCEPT"
    for type in sorted(TYPES - {"CANCELLED"}):
        assert propose_flow_run(conn, id, type).status == "REJECT"
    assert propose_flow_run(conn, id, "CANCELLED").status == "ACCEPT"


@pytest.mark.parametrize("force", [False, True])
def test_run_without_infrastructure_is_cancelled_at_once(conn, force):
    cancelled = propose_flow_run(conn, make_flow_run(conn, "SCHEDULED"), "CANCELLING", force=force)
    assert (cancelled.status, cancelled.proposed.type) == ("REJECT", "CANCELLED")


def test_scheduled_run_with_infrastructure_is_cancelled_by_its_worker(conn):
    id = make_flow_run(conn, "SCHEDULED")
    sql.flow_runs.update(conn, id=id, changes={"infrastructure_pid": "1"})
    assert propose_flow_run(conn, id, "CANCELLING").proposed.type == "CANCELLING"


def test_only_scheduled_runs_become_late_and_once(conn):
    id, late = make_flow_run(conn, "SCHEDULED"), State("SCHEDULED", "Late")
    assert set_flow_run_state(conn, id, late, LATE_FLOW_RUN).status == "ACCEPT"
    assert set_flow_run_state(conn, id, late, LATE_FLOW_RUN).status == "REJECT"
    assert propose_flow_run(conn, make_flow_run(conn, "RUNNING"), "SCHEDULED", name="Late").status == "REJECT"


def test_pause_takes_place_once_per_key(conn):
    id = make_flow_run(conn, "RUNNING")
    assert propose_flow_run(conn, id, "PAUSED", state_details={"pause_key": "1"}).status == "ACCEPT"
    assert propose_flow_run(conn, id, "RUNNING").status == "ACCEPT"
    assert propose_flow_run(conn, id, "PAUSED", state_details={"pause_key": "1"}).status == "REJECT"
    assert propose_flow_run(conn, id, "PAUSED", state_details={"pause_key": "2"}).status == "ACCEPT"
    assert read_flow_run(conn, id)["empirical_policy"]["pause_keys"] == ["1", "2"]


def test_pause_without_a_key_gets_one(conn):
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "PAUSED")
    assert len(read_flow_run(conn, id)["empirical_policy"]["pause_keys"]) == 1


def test_only_running_runs_pause(conn):
    assert propose_flow_run(conn, make_flow_run(conn, "PENDING"), "PAUSED").status == "REJECT"


def test_only_deployed_runs_are_suspended_and_no_subflows(conn):
    suspended = {"name": "Suspended", "state_details": {"pause_reschedule": True}}
    assert propose_flow_run(conn, make_flow_run(conn, "RUNNING"), "PAUSED", **suspended).status == "ABORT"
    assert propose_flow_run(conn, make_deployed_run(conn, "RUNNING"), "PAUSED", **suspended).status == "ACCEPT"
    parent = make_task_run(conn, "RUNNING", flow_run_id=make_flow_run(conn, "RUNNING"))
    subflow = make_deployed_run(conn, "RUNNING", parent_task_run_id=parent)
    assert propose_flow_run(conn, subflow, "PAUSED", **suspended).status == "ABORT"


def test_paused_run_goes_on_or_ends(conn):
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "PAUSED")
    for type in ("PENDING", "PAUSED", "CANCELLING"):
        assert propose_flow_run(conn, id, type).status == "REJECT"
    assert propose_flow_run(conn, id, "RUNNING").status == "ACCEPT"


def test_pause_that_has_timed_out_has_failed(conn):
    id = make_flow_run(conn, "RUNNING")
    propose_flow_run(conn, id, "PAUSED", state_details={"pause_timeout": in_seconds(-1)})
    resumed = propose_flow_run(conn, id, "RUNNING")
    assert (resumed.status, resumed.proposed.type) == ("REJECT", "FAILED")


def test_resuming_a_suspended_run_does_not_count_as_a_start(conn):
    id = make_deployed_run(conn, "RUNNING")
    propose_flow_run(conn, id, "PAUSED", name="Suspended", state_details={"pause_reschedule": True})
    propose_flow_run(conn, id, "SCHEDULED", name="Resuming")
    assert read_flow_run(conn, id)["empirical_policy"]["resuming"] is True
    propose_flow_run(conn, id, "PENDING")
    propose_flow_run(conn, id, "RUNNING")
    run = read_flow_run(conn, id)
    assert (run["run_count"], run["empirical_policy"]["resuming"]) == (1, False)


def test_subflow_shows_in_its_parents_task_run(conn):
    parent = make_flow_run(conn, "RUNNING")
    task_run = make_task_run(conn, flow_run_id=parent)
    subflow = make_flow_run(conn, "PENDING", parent_task_run_id=task_run)
    propose_flow_run(conn, subflow, "RUNNING")
    propose_flow_run(conn, subflow, "COMPLETED", data=RESULT)
    shown = read_task_run(conn, task_run)
    assert (shown["state_type"], shown["run_count"], shown["state"]["data"]) == ("COMPLETED", 1, RESULT)
    details = shown["state"]["state_details"]
    assert details["child_flow_run_id"] == subflow
    assert (details["task_run_id"], details["flow_run_id"]) == (task_run, parent)
    assert shown["start_time"] < shown["end_time"]
    assert read_flow_run(conn, subflow)["state"]["state_details"]["task_run_id"] == task_run


def test_every_state_is_told_by_its_event(conn):
    id = make_flow_run(conn, "PENDING", flow_id=make_flow(conn, name="told", tags=["f"]), name="teller", tags=["b", "a"])
    outcome = propose_flow_run(conn, id, "RUNNING", message="go")
    event = conn.execute("SELECT * FROM events WHERE id = %s", (outcome.proposed.id,))
    columns = [column.name for column in event.description]
    event = dict(zip(columns, event.fetchone(), strict=True))
    assert event["event"] == "prefect.flow-run.Running"
    assert event["resource"] == {
        "prefect.resource.id": f"prefect.flow-run.{id}",
        "prefect.resource.name": "teller",
        "prefect.run-count": "1",
        "prefect.state-message": "go",
        "prefect.state-name": "Running",
        "prefect.state-timestamp": outcome.proposed.timestamp.isoformat(),
        "prefect.state-type": "RUNNING",
    }
    assert [resource["prefect.resource.role"] for resource in event["related"]] == ["flow", "tag", "tag", "tag"]
    assert event["related_resource_ids"][1:] == ["prefect.tag.a", "prefect.tag.b", "prefect.tag.f"]
    assert event["payload"] == {
        "intended": {"from": "PENDING", "to": "RUNNING"},
        "initial_state": {"type": "PENDING", "name": "Pending"},
        "validated_state": {"type": "RUNNING", "name": "Running", "message": "go"},
    }
    assert event["follows"] == outcome.initial.id
    resources = conn.execute(
        "SELECT resource_role, resource_id FROM event_resources WHERE event_id = %s ORDER BY resource_id", (event["id"],)
    ).fetchall()
    assert ("", f"prefect.flow-run.{id}") in resources and len(resources) == 5


def test_repeated_creation_with_an_idempotency_key_writes_nothing(conn):
    flow_id = make_flow(conn)
    task_run = make_task_run(conn, flow_run_id=make_flow_run(conn, "RUNNING"))
    first = make_flow_run(conn, "PENDING", flow_id=flow_id, idempotency_key="once", parent_task_run_id=task_run)
    propose_flow_run(conn, first, "RUNNING")
    again = make_flow_run(conn, "PENDING", flow_id=flow_id, idempotency_key="once", parent_task_run_id=task_run)
    assert again == first
    assert read_flow_run(conn, first)["state_type"] == read_task_run(conn, task_run)["state_type"] == "RUNNING"
    assert make_flow_run(conn, idempotency_key="once") != first


def test_labels_come_from_flow_or_deployment_system_and_client(conn):
    flow_id = make_flow(conn, labels={"a": 1, "b": 1})
    run = read_flow_run(conn, make_flow_run(conn, flow_id=flow_id, labels={"b": 2}))
    assert run["labels"] == {"a": 1, "b": 2, "prefect.flow.id": flow_id}
    deployment_id = make_deployment(conn, flow_id)
    conn.execute("UPDATE deployment SET labels = %s WHERE id = %s", (orjson.dumps({"c": 3}).decode(), deployment_id))
    run = read_flow_run(conn, make_flow_run(conn, flow_id=flow_id, deployment_id=deployment_id))
    assert run["labels"] == {"c": 3, "prefect.flow.id": flow_id, "prefect.deployment.id": deployment_id}


def test_times_of_states_only_go_forward(conn):
    id = make_flow_run(conn, "PENDING")
    conn.execute("UPDATE flow_run_state SET timestamp = now() + interval '1 hour' WHERE flow_run_id = %s", (id,))
    outcome = propose_flow_run(conn, id, "RUNNING")
    assert outcome.proposed.timestamp > outcome.initial.timestamp


def test_tables_have_an_entry_for_every_pair():
    assert set(FLOW_RUN) == set(FLOW_RUN_EFFECTS) == {(old, new) for old in TYPES | {None} for new in TYPES}


def test_state_details_have_all_keys_in_the_table(conn):
    id = make_flow_run(conn, "RUNNING")
    stored = conn.execute("SELECT state_details FROM flow_run_state WHERE flow_run_id = %s", (id,)).fetchone()[0]
    assert stored.keys() == NO_DETAILS.keys()
