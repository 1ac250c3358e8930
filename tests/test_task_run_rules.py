"""What may follow what in the life of a task run that the server orchestrates."""

from datetime import datetime, timedelta, timezone

import pytest

from handlers.errors import NotFound
from handlers.rules.task_runs import jitter
from schemas.state_types import TERMINAL, TYPES
from sql.ids import uuid7
from tests.runs import make_flow_run, make_task_run, propose_flow_run, propose_task_run, read_task_run

RESULT = {"type": "result", "storage_key": "abc"}


def in_seconds(seconds: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()


def test_unknown_run_is_not_found(conn):
    with pytest.raises(NotFound):
        propose_task_run(conn, str(uuid7()), "RUNNING")


@pytest.mark.parametrize("type", sorted(TYPES))
def test_new_run_is_in_any_state_it_is_created_in(conn, type):
    run = read_task_run(conn, make_task_run(conn, type))
    assert run["state_type"] == run["state"]["type"] == type
    assert run["state"]["state_details"]["task_run_id"] == run["id"]
    assert (run["end_time"] is not None) == (type in TERMINAL)
    assert run["run_count"] == (type == "RUNNING")


def test_life_of_a_run_is_in_its_columns(conn):
    flow_run = make_flow_run(conn, "RUNNING")
    id = make_task_run(conn, "PENDING", flow_run_id=flow_run)
    for type in ("RUNNING", "COMPLETED"):
        assert propose_task_run(conn, id, type).status == "ACCEPT"
    run = read_task_run(conn, id)
    assert (run["run_count"], run["flow_run_run_count"]) == (1, 1)
    assert run["state"]["state_details"]["flow_run_id"] == flow_run
    assert run["start_time"] < run["end_time"] == run["state"]["timestamp"]


@pytest.mark.parametrize("flow_type", sorted(TYPES - {"RUNNING", "PAUSED"}))
def test_task_starts_only_in_a_running_flow(conn, flow_type):
    id = make_task_run(conn, "PENDING", flow_run_id=make_flow_run(conn, flow_type))
    assert propose_task_run(conn, id, "RUNNING").status == "ABORT"


def test_task_of_a_paused_flow_is_not_ready(conn):
    flow_run = make_flow_run(conn, "RUNNING")
    timeout = in_seconds(60)
    propose_flow_run(conn, flow_run, "PAUSED", state_details={"pause_timeout": timeout})
    refused = propose_task_run(conn, make_task_run(conn, "PENDING", flow_run_id=flow_run), "RUNNING")
    assert (refused.status, refused.proposed.name) == ("REJECT", "NotReady")
    assert refused.proposed.time("pause_timeout") == datetime.fromisoformat(timeout)


def test_early_task_is_told_how_long_to_wait(conn):
    id = make_task_run(conn, state={"type": "SCHEDULED", "state_details": {"scheduled_time": in_seconds(60)}})
    assert propose_task_run(conn, id, "RUNNING").status == "WAIT"
    assert propose_task_run(conn, id, "PENDING").status == "ACCEPT"
    assert propose_task_run(conn, id, "RUNNING").status == "WAIT"


def test_failed_task_is_retried_with_each_of_its_delays(conn):
    id = make_task_run(conn, "PENDING", empirical_policy={"retries": 3, "retry_delay": [0, 10]})
    propose_task_run(conn, id, "RUNNING")
    delays = []
    for _ in range(3):
        retried = propose_task_run(conn, id, "FAILED")
        assert (retried.status, retried.proposed.name) == ("REJECT", "AwaitingRetry")
        delays.append((retried.proposed.time("scheduled_time") - retried.now).total_seconds())
        propose_task_run(conn, id, "RUNNING", force=True)
    assert delays == [0, 10, 10]
    assert propose_task_run(conn, id, "FAILED").status == "ACCEPT"


def test_rerun_is_named_for_what_it_is(conn):
    id = make_task_run(conn, "PENDING", empirical_policy={"retries": 1})
    propose_task_run(conn, id, "RUNNING")
    assert propose_task_run(conn, id, "RUNNING").proposed.name == "Rerunning"
    propose_task_run(conn, make_task_run(conn), "RUNNING")
    propose_task_run(conn, id, "FAILED", state_details={"retriable": True})
    assert read_task_run(conn, id)["state_type"] == "FAILED"


def test_retry_is_named_retrying(conn):
    id = make_task_run(conn, "PENDING", empirical_policy={"retries": 1})
    propose_task_run(conn, id, "RUNNING")
    propose_task_run(conn, id, "FAILED")
    assert propose_task_run(conn, id, "RUNNING").proposed.name == "Retrying"


def test_client_may_object_to_a_retry(conn):
    id = make_task_run(conn, "RUNNING", empirical_policy={"retries": 1})
    assert propose_task_run(conn, id, "FAILED", state_details={"retriable": False}).status == "ACCEPT"


def test_task_is_retried_when_its_flow_is(conn):
    flow_run = make_flow_run(conn, "RUNNING", empirical_policy={"retries": 1, "retry_delay": 0})
    id = make_task_run(conn, "PENDING", flow_run_id=flow_run)
    propose_task_run(conn, id, "RUNNING")
    propose_task_run(conn, id, "FAILED")
    propose_flow_run(conn, flow_run, "FAILED")
    propose_flow_run(conn, flow_run, "RUNNING")
    again = propose_task_run(conn, id, "RUNNING")
    assert again.proposed.name == "Retrying"
    run = read_task_run(conn, id)
    assert (run["run_count"], run["flow_run_run_count"]) == (1, 2)


@pytest.mark.parametrize("type", ["CANCELLING", "PAUSED", "CRASHED"])
def test_finished_task_cannot_be_stopped(conn, type):
    assert propose_task_run(conn, make_task_run(conn, "FAILED"), type).status == "ABORT"


def test_completed_task_with_a_result_is_not_run_again(conn):
    id = make_task_run(conn, state={"type": "COMPLETED", "data": RESULT})
    assert propose_task_run(conn, id, "RUNNING").status == "REJECT"
    assert propose_task_run(conn, id, "RUNNING", force=True).status == "ACCEPT"


def test_completed_state_is_given_to_the_next_run_with_its_cache_key(conn):
    key = str(uuid7())
    propose_task_run(conn, make_task_run(conn, "RUNNING"), "COMPLETED", data=RESULT, state_details={"cache_key": key})
    cached = propose_task_run(conn, make_task_run(conn), "RUNNING", state_details={"cache_key": key})
    assert (cached.status, cached.proposed.type, cached.proposed.name) == ("REJECT", "COMPLETED", "Cached")
    assert cached.proposed.data == RESULT
    refreshed = propose_task_run(conn, make_task_run(conn), "RUNNING", state_details={"cache_key": key, "refresh_cache": True})
    assert refreshed.status == "ACCEPT"


def count_cached(conn, key: str) -> int:
    """Count the states that are kept under a cache key."""
    return conn.execute("SELECT count(*) FROM task_run_state_cache WHERE cache_key = %s", [key]).fetchone()[0]


def test_only_what_the_rules_let_complete_fills_the_cache_and_a_hit_does_not_fill_it_again(conn):
    details = {"cache_key": str(uuid7())}
    make_task_run(conn, state={"type": "COMPLETED", "data": RESULT, "state_details": details})
    propose_task_run(conn, make_task_run(conn, "RUNNING"), "COMPLETED", force=True, data=RESULT, state_details=details)
    assert count_cached(conn, details["cache_key"]) == 0
    propose_task_run(conn, make_task_run(conn, "RUNNING"), "COMPLETED", data=RESULT, state_details=details)
    for _ in range(2):
        assert propose_task_run(conn, make_task_run(conn), "RUNNING", state_details=details).proposed.name == "Cached"
    assert count_cached(conn, details["cache_key"]) == 1


def test_expired_cache_is_not_used(conn):
    details = {"cache_key": str(uuid7()), "cache_expiration": in_seconds(-1)}
    propose_task_run(conn, make_task_run(conn, "RUNNING"), "COMPLETED", state_details=details)
    assert propose_task_run(conn, make_task_run(conn), "RUNNING", state_details=details).status == "ACCEPT"


def test_cache_key_that_is_too_long_is_refused(conn):
    refused = propose_task_run(conn, make_task_run(conn, "RUNNING"), "COMPLETED", state_details={"cache_key": "k" * 2001})
    assert (refused.status, refused.proposed.type) == ("REJECT", "COMPLETED")


def test_background_task_is_submitted_once_and_keeps_its_parameters(conn):
    deferred = {"deferred": True, "task_parameters_id": str(uuid7())}
    id = make_task_run(conn, state={"type": "SCHEDULED", "state_details": deferred})
    pending = propose_task_run(conn, id, "PENDING", state_details={"deferred": True})
    assert pending.proposed.details["task_parameters_id"] == deferred["task_parameters_id"]
    assert propose_task_run(conn, id, "PENDING", state_details={"deferred": True}).status == "ABORT"


def test_same_keys_are_the_same_task_run(conn):
    flow_run = make_flow_run(conn, "RUNNING")
    for keys in ({"flow_run_id": flow_run, "dynamic_key": "1"}, {"task_key": "alone", "dynamic_key": "1"}):
        first = make_task_run(conn, "RUNNING", **keys)
        assert make_task_run(conn, "PENDING", **keys) == first
        assert read_task_run(conn, first)["state_type"] == "RUNNING"


def test_jitter_keeps_to_its_bounds():
    drawn = [jitter(10, 0.5) for _ in range(1000)]
    assert max(drawn) <= 15 and min(drawn) > 5
    assert len(set(drawn)) > 900
    assert jitter(0, 0.5) == 0 and jitter(10, 0) == 10


@pytest.mark.parametrize("delay", [1e300, -1e300, [1e18]])
def test_a_retry_stays_within_the_calendar(conn, delay):
    id = make_task_run(conn, "RUNNING", empirical_policy={"retries": 1, "retry_delay": delay})
    assert propose_task_run(conn, id, "FAILED").proposed.name == "AwaitingRetry"
