"""Schedules that cannot be followed, or only with much work: they cost little, are told of, and disturb no other."""

import threading
import time
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone

import pytest

from handlers.domain.due_times import due_times
from handlers.domain.schedules import FAILURE, make_runs, plan_runs, schedule_deployment
from handlers.loops.scheduler import find_lacking
from schemas.recurrences import MAX_LENGTH
from schemas.schedules import CPU_SECONDS, Schedule
from sql.database import connect, within
from sql.statement import flush
from tests.loops import schedule_recent, schedule_runs
from tests.resources import created, make_flow, unique
from tests.schedules import make_deployment, make_schedule, read_due

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)
ALL = {name: ",".join(map(str, range(number))) for name, number in (("hours", 24), ("minutes", 60), ("seconds", 60))}
EVERY_SECOND = "BYHOUR={hours};BYMINUTE={minutes};BYSECOND={seconds}".format(**ALL)

# What dateutil walks for ever, to the year 9999, or through millions of recurrences.
ENDLESS = [
    "DTSTART:20200101T000000\nFREQ=MONTHLY;INTERVAL=0;BYDAY=MO;BYMONTHDAY=1",
    "DTSTART:20200101T000000\nFREQ=DAILY;INTERVAL=-1",
    "DTSTART:20200101T000000\nRRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY",
    "DTSTART:20200101T000000\nRRULE:FREQ=DAILY\n" + "EXRULE:FREQ=SECONDLY\n" * 200,
    "DTSTART:20200101T000000\nFREQ=MINUTELY;BYSECOND=0;COUNT=100000000",
    "DTSTART:20261231T235959\nFREQ=YEARLY;" + EVERY_SECOND + ";BYMONTHDAY=" + ",".join(map(str, range(1, 32))),
    "\n".join(["DTSTART:20200101T000000", *["RRULE:FREQ=YEARLY;" + EVERY_SECOND] * 12]),
    "DTSTART:20200101T000000\nFREQ=MINUTELY;INTERVAL=99999999999999",
    "DTSTART:20200101T000000\nFREQ=YEARLY;BYEASTER=99999",
    "DTSTART:20200101T000000\nRDATE:99999999999999999999999",
    "DTSTART:20200101T000000\n" + "RDATE:20300101T000000\n" * 100_000,
]
NEVER_DUE = [
    "DTSTART:20200101T000000\nFREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
    "DTSTART:20200101T000000\nFREQ=SECONDLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=30",
    "DTSTART:20200101T000000\nFREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "DTSTART:00010101T000000\nFREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
    "DTSTART:99991231T000000\nFREQ=DAILY",
]
ODD = [
    {"interval": 0, "anchor_date": "2020-01-01T00:00:00Z"},
    {"interval": -1e-6, "anchor_date": "2020-01-01T00:00:00Z"},
    {"interval": 1e300, "anchor_date": "2020-01-01T00:00:00Z"},
    {"interval": 60, "anchor_date": 1e18},
    {"interval": 60},
    {"cron": "* " * 100_000},
    {"cron": None},
    {"cron": "* * * * *", "timezone": "../../etc/passwd"},
    {"nothing": 1},
]


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


def follow(schedule: dict) -> list[datetime]:
    """Give when a stored schedule is due in the next days, and see that it takes no more than seconds of CPU."""
    started = time.thread_time()
    try:
        return list(due_times(schedule, NOW, NOW + 100 * DAY))
    finally:
        assert time.thread_time() - started < 10, "unbounded, it would be minutes or for ever"


@pytest.mark.parametrize("text", ENDLESS)
def test_what_cannot_be_followed_in_bounded_steps_fails_and_is_refused_at_the_door(client, text):
    with pytest.raises((ValueError, LookupError, OverflowError)):
        follow({"rrule": text})
    schedules = [{"schedule": {"rrule": text}}]
    answer = client.post("/api/deployments/", json={"name": "d", "flow_id": make_flow(client)["id"], "schedules": schedules})
    assert answer.status_code == 422
    assert "rrule" in str(answer.json["exception_detail"][0]["loc"])


@pytest.mark.parametrize("text", NEVER_DUE)
def test_what_is_never_due_is_passed_through_quickly(text):
    assert Schedule().deserialize({"rrule": text})["rrule"] == text
    assert follow({"rrule": text}) == []


@pytest.mark.parametrize("schedule", [
    {"interval": 60, "anchor_date": 1e18},
    {"interval": 60, "anchor_date": -1e18},
    {"interval": 1e15},
    {"interval": "9" * 4000},
    {"rrule": "FREQ=MINUTELY;INTERVAL=0"},
    {"rrule": "FREQ=SECONDLY;INTERVAL=99999999999999999999"},
    {"cron": "* " * MAX_LENGTH},
])  # fmt: skip
def test_figures_without_bounds_are_refused_by_their_field(client, schedule):
    field = "anchor_date" if "anchor_date" in schedule else next(iter(schedule))
    deployment = created(client, "deployments", name="d", flow_id=make_flow(client)["id"])
    answer = client.post(f"/api/deployments/{deployment['id']}/schedules", json=[{"schedule": schedule}])
    assert answer.status_code == 422, answer.text
    assert answer.json["exception_detail"][0]["loc"][-1] == field


def test_a_schedule_that_cannot_be_followed_is_told_of_once_and_stops_nobody(session, caplog):
    conn = session()
    bad = [make_deployment(conn, status="READY")["id"] for _ in range(len(ODD) + 2)]
    good = make_deployment(conn)["id"]
    for id, schedule in zip(bad, [*ODD, {"rrule": ENDLESS[0]}, {"rrule": ENDLESS[2]}], strict=True):
        make_schedule(conn, id, schedule)
        make_schedule(conn, id, {"cron": "0 0 * * *"})
    make_schedule(conn, good, {"cron": "0 0 * * *"})
    assert schedule_runs(conn, NOW, 4) == 3 * (len(bad) + 1), "the other schedules of the same deployments too"
    told = "SELECT resource_id, payload FROM events WHERE event = %s"
    events = dict(conn.execute(told, [FAILURE]).fetchall())
    assert events.keys() == {f"prefect.deployment.{id}" for id in bad}
    assert all(payload["schedule_id"] and payload["reason"] for payload in events.values())
    statuses = "SELECT DISTINCT status::text FROM deployment WHERE id = ANY (%s)"
    assert conn.execute(statuses, [bad]).fetchall() == [("NOT_READY",)]
    assert caplog.text.count("is passed over") == len(bad)
    assert schedule_runs(conn, NOW, 4) == schedule_recent(conn, NOW, 4) == 0
    assert len(conn.execute(told, [FAILURE]).fetchall()) == len(bad)
    assert find_lacking(conn, NOW, 100, {"id": "00000000-0000-0000-0000-000000000000"}) == [], "not even looked at"


def test_a_failed_schedule_is_looked_at_again_when_it_has_changed(session):
    conn = session()
    id = make_deployment(conn)["id"]
    schedule = make_schedule(conn, id, {"rrule": ENDLESS[0]})
    assert schedule_runs(conn, NOW, 10) == 0
    conn.execute('UPDATE deployment_schedule SET schedule = \'{"cron": "0 0 * * *"}\', updated = now() WHERE id = %s', [schedule])
    assert schedule_runs(conn, NOW, 10) == 3


def test_times_are_found_before_anything_is_locked_and_not_used_for_what_has_changed_since(session):
    conn, other = session(), session()
    kept, changed, inactive = (make_deployment(conn)["id"] for _ in range(3))
    for id in (kept, changed, inactive):
        make_schedule(conn, id, {"cron": "0 0 * * *"})
    plan = plan_runs(conn, [kept, changed, inactive], NOW, NOW + 100 * DAY, DAY, 3, 100)
    locked = "SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    assert other.execute(f"{locked} AND mode = 'RowShareLock'").fetchone() == (0,)
    other.execute(
        'UPDATE deployment_schedule SET schedule = \'{"cron": "0 9 * * *"}\', updated = now() WHERE deployment_id = %s', [changed]
    )
    other.execute("UPDATE deployment_schedule SET active = false WHERE deployment_id = %s", [inactive])
    with within(conn):
        make_runs(conn, plan, [kept, changed, inactive])
    flush(conn)
    assert [len(read_due(conn, id)) for id in (kept, changed, inactive)] == [3, 0, 0]


def test_schedules_of_one_thread_do_not_shorten_those_of_another():
    """The bound is of CPU time of the thread that walks, not of the machine."""
    stopping = threading.Event()

    def burn() -> None:
        while not stopping.is_set():
            sum(range(10_000))

    threads = [threading.Thread(target=burn) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        seconds = {"rrule": "DTSTART:20200101T000000\nFREQ=DAILY;BYHOUR={hours}".format(**ALL)}
        assert len(follow(seconds)) == pytest.approx(2400, abs=24)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def test_what_a_client_asks_too_far_ahead_is_no_failure_of_the_schedule(session):
    conn = session()
    id = make_deployment(conn, status="READY")["id"]
    make_schedule(conn, id, {"rrule": "DTSTART:20200101T000000\nFREQ=DAILY;BYMONTH=12;BYMONTHDAY=25"})
    with within(conn):
        made = schedule_deployment(conn, id, NOW, datetime(9999, 1, 1, tzinfo=timezone.utc), DAY, 1000, 1000)
    assert len(made) == len(read_due(conn, id)) > 100, "as far as it could be followed"
    assert conn.execute("SELECT count(*) FROM events WHERE event = %s", [FAILURE]).fetchone() == (0,)
    assert conn.execute("SELECT status::text FROM deployment WHERE id = %s", [id]).fetchone() == ("READY",)


@pytest.mark.parametrize("path", ["", "/{}/schedules"])
def test_a_request_with_many_slow_schedules_takes_as_long_as_one_with_a_few(client, path):
    flow = make_flow(client)["id"]
    path = path.format(created(client, "deployments", name=unique("d"), flow_id=flow)["id"]) or "/"
    schedules = [{"schedule": {"rrule": ENDLESS[2]}}] * 100
    body = {"name": unique("d"), "flow_id": flow, "schedules": schedules} if path == "/" else schedules
    began = time.thread_time()
    answer = client.post(f"/api/deployments{path}", json=body)
    assert time.thread_time() - began < 2 * CPU_SECONDS
    assert (answer.status_code, "Send fewer" in answer.text) == (422, True)


def test_a_client_does_not_wait_for_all_schedules_that_are_slow(session, monkeypatch):
    conn = session()
    id = make_deployment(conn)["id"]
    slow = {"rrule": "DTSTART:20200101T000000\nFREQ=DAILY;BYMONTH=12;BYMONTHDAY=25"}
    for _ in range(20):
        make_schedule(conn, id, slow)
    monkeypatch.setattr("handlers.domain.schedules.REQUEST_CPU_SECONDS", 0.1)
    with within(conn):
        schedule_deployment(conn, id, NOW, datetime(9999, 1, 1, tzinfo=timezone.utc), DAY, 1000, 1000)
    followed = conn.execute("SELECT count(DISTINCT created_by ->> 'id') FROM flow_run WHERE deployment_id = %s", [id])
    assert followed.fetchone() == (1,)
