"""Schedules: what is accepted, and that there is one run for each time that they are."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone

import pytest
from marshmallow import ValidationError

from handlers.domain.schedules import schedule_deployment
from schemas.schedules import MAX_LENGTH, Schedule, begin_rrule
from sql.database import connect, within
from sql.statement import flush
from tests.consistency import find_half_written
from tests.runs import read_flow_run
from tests.schedules import make_deployment, make_schedule, read_due
from tests.waiting import PATIENCE_SECONDS, wait_for_waiter

UTC = timezone.utc
NEW_YORK = "America/New_York"
NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def load(schedule):
    """Validate a schedule."""
    return Schedule().deserialize(schedule)


def at(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# What is accepted


@pytest.mark.parametrize(("given", "seconds"), [
    (3600, 3600), (0.5, 0.5), ("PT1H30M", 5400), ("P1D", 86400), ("P2W", 1209600), ("01:00:00", 3600), ("1 day, 00:00:10", 86410),
    ("60", 60),
])  # fmt: skip
def test_an_interval_is_seconds_or_a_duration(given, seconds):
    schedule = load({"interval": given, "anchor_date": "2026-01-01T00:00:00-05:00"})
    assert schedule == {"interval": seconds, "anchor_date": "2026-01-01T00:00:00-05:00", "timezone": "UTC"}
    assert type(schedule["interval"]) is float


def test_an_interval_counts_from_now_unless_it_is_told_from_when():
    anchor = load({"interval": 60})["anchor_date"]
    assert abs(datetime.fromisoformat(anchor.replace("Z", "+00:00")) - datetime.now(UTC)) < HOUR


@pytest.mark.parametrize(("given", "kept"), [
    ("2026-01-01T00:00:00", "2026-01-01T00:00:00Z"),
    ("2026-01-01", "2026-01-01T00:00:00Z"),
    ("2026-01-01 00:00:00+02:00", "2026-01-01T00:00:00+02:00"),
    ("2026-01-01T00:00:00-0530", "2026-01-01T00:00:00-05:30"),
])  # fmt: skip
def test_an_anchor_keeps_its_offset_and_is_in_utc_without_one(given, kept):
    assert load({"interval": 60, "anchor_date": given})["anchor_date"] == kept


@pytest.mark.parametrize("cron", ["0 9 * * *", "@daily", "*/5 * * * * *", "0 0 30 2 *", "0 0 L * *", "0 9 * * MON-FRI"])
def test_a_cron_expression_is_kept_as_it_is(cron):
    assert load({"cron": cron}) == {"cron": cron, "timezone": None, "day_or": True}


def test_an_rrule_is_given_a_beginning():
    given = {"rrule": "FREQ=DAILY", "timezone": NEW_YORK}
    assert load(given) == {"rrule": "DTSTART:20200101T000000\nFREQ=DAILY", "timezone": NEW_YORK}
    assert load({"rrule": "DTSTART:20250101T000000\nFREQ=DAILY"})["timezone"] == "UTC"


@pytest.mark.parametrize(("rule", "start"), [
    ("FREQ=MINUTELY;INTERVAL=7", "20260601T082700"),
    ("FREQ=SECONDLY", "20260601T083000"),
    ("FREQ=MINUTELY;COUNT=5", "20200101T000000"),
    ("FREQ=HOURLY", "20200101T000000"),
    ("RRULE:FREQ=MINUTELY\nEXDATE:20260101T000000", "20200101T000000"),
])  # fmt: skip
def test_an_rrule_that_recurs_often_begins_of_late_and_in_step(rule, start):
    assert begin_rrule(rule, NEW_YORK, NOW) == f"DTSTART:{start}\n{rule}"


@pytest.mark.parametrize(("schedule", "field"), [
    ({"interval": 0}, "interval"),
    ({"interval": -5}, "interval"),
    ({"interval": 1e-7}, "interval"),
    ({"interval": 1e300}, "interval"),
    ({"interval": float("nan")}, "interval"),
    ({"interval": True}, "interval"),
    ({"interval": None}, "interval"),
    ({"interval": "P"}, "interval"),
    ({"interval": "-PT1H"}, "interval"),
    ({"interval": [1]}, "interval"),
    ({"interval": 60, "anchor_date": None}, "anchor_date"),
    ({"interval": 60, "anchor_date": "yesterday"}, "anchor_date"),
    ({"interval": 60, "timezone": "Nowhere"}, "timezone"),
    ({"interval": 60, "timezone": "../etc/passwd"}, "timezone"),
    ({"interval": 60, "colour": "red"}, "colour"),
    ({"interval": 60, "cron": "* * * * *"}, "cron"),
    ({"cron": "every day"}, "cron"),
    ({"cron": "61 * * * *"}, "cron"),
    ({"cron": "R * * * *"}, "cron"),
    ({"cron": "H * * * *"}, "cron"),
    ({"cron": None}, "cron"),
    ({"cron": 5}, "cron"),
    ({"cron": "* " * MAX_LENGTH}, "cron"),
    ({"cron": "* * * * *", "timezone": 5}, "timezone"),
    ({"cron": "* * * * *", "timezone": "Mars/Base"}, "timezone"),
    ({"cron": "* * * * *", "day_or": "perhaps"}, "day_or"),
    ({"rrule": ""}, "rrule"),
    ({"rrule": "FOO"}, "rrule"),
    ({"rrule": "FREQ=HOURLY;INTERVAL=2;BYHOUR=3"}, "rrule"),
    ({"rrule": "FREQ=NEVER"}, "rrule"),
    ({"rrule": None}, "rrule"),
    ({"rrule": "FREQ=DAILY", "timezone": "Nope/X"}, "timezone"),
    ({"rrule": "RRULE:FREQ=DAILY\n" + "RDATE:20260101T000000\n" * 500}, "rrule"),
])  # fmt: skip
def test_what_is_wrong_with_a_schedule_is_said_of_its_field(schedule, field):
    with pytest.raises(ValidationError) as error:
        load(schedule)
    assert list(error.value.messages) == [field]


@pytest.mark.parametrize("schedule", [{}, {"timezone": "UTC"}, [], "0 * * * *", 5])
def test_what_is_no_schedule_is_refused(schedule):
    with pytest.raises(ValidationError):
        load(schedule)


# Runs of schedules


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


def plan(conn, deployment_id, start=NOW, **changes):
    """Make the runs of a deployment as by default."""
    arguments = {"end_time": start + 100 * DAY, "min_time": HOUR, "min_runs": 3, "max_runs": 100, **changes}
    made = schedule_deployment(conn, deployment_id, start_time=start, **arguments)
    flush(conn)
    return made


def test_a_scheduled_run_has_what_its_deployment_and_schedule_say(conn):
    fields = {"tags": ["t"], "parameters": {"a": 1, "b": 1}, "labels": {"team": "x"}, "version": "v1", "work_queue_name": "q"}
    deployment = make_deployment(conn, **fields)
    schedule = make_schedule(conn, deployment["id"], load({"cron": "0 9 * * *", "timezone": NEW_YORK}), parameters={"b": 2})
    id, *_ = plan(conn, deployment["id"])
    run = read_flow_run(conn, id)
    expected = {
        "deployment_id": str(deployment["id"]),
        "flow_id": deployment["flow_id"],
        "deployment_version": "v1",
        "work_queue_name": "q",
        "parameters": {"a": 1, "b": 2},
        "tags": ["auto-scheduled", "t"],
        "labels": {"team": "x", "prefect.flow.id": deployment["flow_id"], "prefect.deployment.id": str(deployment["id"])},
        "auto_scheduled": True,
        "created_by": {"id": str(schedule), "type": "SCHEDULE", "display_value": "CronSchedule"},
        "idempotency_key": f"scheduled {deployment['id']} {schedule} 2026-06-01 09:00:00-04:00",
        "expected_start_time": "2026-06-01T13:00:00Z",
        "next_scheduled_start_time": "2026-06-01T13:00:00Z",
        "state_type": "SCHEDULED",
        "state_name": "Scheduled",
        "run_count": 0,
    }
    assert {key: run[key] for key in expected} == expected
    assert run["state"]["message"] == "Flow run scheduled"
    assert run["state"]["state_details"]["scheduled_time"] == "2026-06-01T13:00:00Z"
    assert run["name"].count("-") == 1
    assert find_half_written(conn) == []


def test_the_event_of_a_scheduled_run_is_like_that_of_any_other(conn):
    deployment = make_deployment(conn)
    make_schedule(conn, deployment["id"], load({"cron": "0 9 * * *"}), slug="daily")
    id, *_ = plan(conn, deployment["id"])
    run = read_flow_run(conn, id)
    assert run["created_by"]["display_value"] == "daily"
    told = "SELECT event, resource, related, payload FROM events WHERE id = %s"
    event, resource, related, payload = conn.execute(told, [run["state_id"]]).fetchone()
    assert event == "prefect.flow-run.Scheduled"
    assert resource["prefect.resource.name"] == run["name"]
    assert [other["prefect.resource.role"] for other in related] == ["flow", "deployment", "tag"]
    assert payload["intended"] == {"from": None, "to": "SCHEDULED"}
    assert payload["validated_state"] == {"type": "SCHEDULED", "name": "Scheduled", "message": "Flow run scheduled"}
    resources = "SELECT count(*) FROM event_resources WHERE event_id = %s"
    assert conn.execute(resources, [run["state_id"]]).fetchone()[0] == 4


def test_scheduling_again_makes_no_run_twice_and_goes_on_where_it_ended(conn):
    id = make_deployment(conn)["id"]
    make_schedule(conn, id, load({"cron": "0 * * * *"}))
    assert len(plan(conn, id)) == 3
    assert plan(conn, id) == []
    assert plan(conn, id, NOW - timedelta(minutes=10)) == [], "a clock that steps back"
    assert len(plan(conn, id, NOW + 2 * HOUR)) == 2
    assert read_due(conn, id) == [at("2026-06-01T13:00") + number * HOUR for number in range(5)]


def test_a_run_is_not_made_again_whatever_became_of_it(conn):
    id = make_deployment(conn)["id"]
    make_schedule(conn, id, load({"cron": "0 * * * *"}))
    plan(conn, id)
    conn.execute("UPDATE flow_run SET state_type = 'CANCELLED', next_scheduled_start_time = NULL")
    assert plan(conn, id) == []


def test_each_schedule_has_runs_of_its_own_even_for_the_same_time(conn):
    id = make_deployment(conn)["id"]
    for _ in range(2):
        make_schedule(conn, id, load({"cron": "0 9 * * *"}))
    assert len(plan(conn, id)) == 6
    assert len(set(read_due(conn, id))) == 3


def test_a_schedule_has_no_more_runs_than_its_own_maximum(conn):
    id = make_deployment(conn)["id"]
    make_schedule(conn, id, load({"cron": "* * * * *"}), max_scheduled_runs=2)
    assert len(plan(conn, id)) == 2


def test_many_runs_are_made_at_once(conn):
    id = make_deployment(conn)["id"]
    for _ in range(3):
        make_schedule(conn, id, load({"cron": "* * * * *"}))
    assert len(plan(conn, id, min_runs=500, max_runs=500)) == 1500
    assert len(read_due(conn, id)) == 1500
    assert find_half_written(conn) == []


def test_neither_a_paused_nor_an_unknown_deployment_gets_runs(conn):
    id = make_deployment(conn, paused=True)["id"]
    make_schedule(conn, id, load({"cron": "0 9 * * *"}))
    assert plan(conn, id) == []
    assert plan(conn, "00000000-0000-4000-8000-000000000000") == []


def test_a_deployment_that_is_being_paused_gets_no_run_behind_it(session):
    watcher, pauser, scheduler = session(), session(), session()
    id = make_deployment(watcher)["id"]
    make_schedule(watcher, id, load({"cron": "0 9 * * *"}))

    def schedule():
        with within(scheduler):
            return plan(scheduler, id)

    with ThreadPoolExecutor(1) as threads:
        with within(pauser):
            flush(pauser)
            pauser.execute("UPDATE deployment SET paused = true WHERE id = %s", [id])
            made = threads.submit(schedule)
            wait_for_waiter(watcher)
        assert made.result(PATIENCE_SECONDS) == []


def test_a_schedule_that_is_being_deleted_gets_no_run_behind_it(session):
    watcher, deleter, scheduler = session(), session(), session()
    id = make_deployment(watcher)["id"]
    make_schedule(watcher, id, load({"cron": "0 9 * * *"}))

    def schedule():
        with within(scheduler):
            return plan(scheduler, id)

    with ThreadPoolExecutor(1) as threads:
        with within(deleter):
            flush(deleter)
            deleter.execute("SELECT FROM deployment WHERE id = %s FOR NO KEY UPDATE", [id])
            deleter.execute("DELETE FROM deployment_schedule WHERE deployment_id = %s", [id])
            made = threads.submit(schedule)
            wait_for_waiter(watcher)
        assert made.result(PATIENCE_SECONDS) == []
