"""When schedules are due, and how many of their times are chosen."""

from datetime import datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from handlers.domain.due_times import choose, due_times
from schemas.schedules import Schedule

UTC = timezone.utc
NEW_YORK = "America/New_York"
NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = ("UTC", NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Asia/Kolkata")


def load(schedule):
    """Validate a schedule."""
    return Schedule().deserialize(schedule)


def due(schedule, start=NOW, number=3, days=400):
    """Give the first times at which a schedule is due."""
    return list(islice(due_times(load(schedule), start, start + days * DAY), number))


def at(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(times, zone=NEW_YORK) -> list[str]:
    """Give what a clock on the wall shows at these times."""
    return [f"{time.astimezone(ZoneInfo(zone)):%d %H:%M}" for time in times]


def test_a_daily_interval_stays_at_its_time_on_the_wall():
    schedule = {"interval": 86400, "anchor_date": "2026-01-01T14:00:00Z", "timezone": NEW_YORK}
    assert wall(due(schedule, at("2026-03-07T00:00"))) == ["07 09:00", "08 09:00", "09 09:00"]
    assert wall(due(schedule, at("2026-10-31T00:00"))) == ["31 09:00", "01 09:00", "02 09:00"]
    assert due(schedule, at("2026-07-01T00:00"), 1) == [at("2026-07-01T13:00")], "also when it begins on the other side"


def test_an_interval_of_less_than_a_day_goes_on_whatever_the_clock_on_the_wall_does():
    schedule = {"interval": 3600, "anchor_date": "2030-01-01T00:30:00Z", "timezone": NEW_YORK}
    assert wall(due(schedule, at("2026-11-01T05:00"))) == ["01 01:30", "01 01:30", "01 02:30"]
    assert wall(due(schedule, at("2026-03-08T06:00"))) == ["08 01:30", "08 03:30", "08 04:30"]


def test_a_time_that_the_wall_clock_skips_is_due_after_the_gap_and_one_that_it_shows_twice_the_first_time():
    for schedule in ({"cron": "30 2 * * *"}, {"rrule": "DTSTART:20200101T023000\nFREQ=DAILY"}):
        assert wall(due(schedule | {"timezone": NEW_YORK}, at("2026-03-07T12:00"))) == ["08 03:30", "09 02:30", "10 02:30"]
    for schedule in ({"cron": "30 1 * * *"}, {"rrule": "DTSTART:20200101T013000\nFREQ=DAILY"}):
        times = due(schedule | {"timezone": NEW_YORK}, at("2026-10-31T12:00"))
        assert wall(times) == ["01 01:30", "02 01:30", "03 01:30"]
        assert times[0] == at("2026-11-01T05:30")
        assert due(schedule | {"timezone": NEW_YORK}, at("2026-11-01T05:31"), 1) == [at("2026-11-02T06:30")]


def test_a_skipped_time_is_due_also_for_one_who_asks_within_the_gap():
    for schedule in ({"cron": "30 2 * * *"}, {"rrule": "DTSTART:20200101T023000\nFREQ=DAILY"}):
        assert wall(due(schedule | {"timezone": NEW_YORK}, at("2026-03-08T07:10"), 1)) == ["08 03:30"]


def test_an_hourly_cron_skips_the_second_of_two_equal_hours_and_does_not_double_after_a_gap():
    assert wall(due({"cron": "0 * * * *", "timezone": NEW_YORK}, at("2026-11-01T04:30"))) == ["01 01:00", "01 02:00", "01 03:00"]
    assert wall(due({"cron": "0 * * * *", "timezone": NEW_YORK}, at("2026-03-08T06:00"))) == ["08 01:00", "08 03:00", "08 04:00"]


def test_the_start_and_the_end_are_included():
    schedule = load({"cron": "30 12 * * *"})
    assert list(due_times(schedule, NOW, NOW + DAY)) == [NOW, NOW + DAY]
    assert list(due_times(schedule, NOW + timedelta(microseconds=1), NOW + DAY)) == [NOW + DAY]


def test_days_of_the_month_and_of_the_week_add_up_or_narrow_down():
    either, both = {"cron": "0 0 13 * 5"}, {"cron": "0 0 13 * 5", "day_or": False}
    assert wall(due(either, number=4), "UTC") == ["05 00:00", "12 00:00", "13 00:00", "19 00:00"]
    assert [f"{time:%Y-%m-%d}" for time in due(both, number=2)] == ["2026-11-13", "2027-08-13"][: len(due(both, number=2))]


def test_a_set_of_rrules_is_due_on_its_dates_but_for_its_exceptions():
    text = "DTSTART:20260607T000000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260608T000000\nRDATE:20260701T000000"
    assert wall(due({"rrule": text}, number=9), "UTC") == ["07 00:00", "09 00:00", "01 00:00"]


def test_an_rrule_ends_with_its_count_and_its_until():
    assert due({"rrule": "DTSTART:20260530T000000\nFREQ=DAILY;COUNT=4"}) == [at("2026-06-02T00:00")]
    assert due({"rrule": "DTSTART:20200101T000000\nFREQ=DAILY;UNTIL=20260603T000000"}) == [
        at("2026-06-02T00:00"),
        at("2026-06-03T00:00"),
    ]


@pytest.mark.parametrize("schedule", [
    {"cron": "0 0 30 2 *"},
    {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"},
    {"rrule": "DTSTART:20200101T000000\nFREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30"},
    {"rrule": "DTSTART:20200101T000000\nFREQ=DAILY;COUNT=3"},
    {"rrule": "DTSTART:20200101T000000\nFREQ=SECONDLY;COUNT=100000000"},
    {"rrule": "FREQ=SECONDLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=30"},
    {"rrule": "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"},
    {"rrule": "FREQ=YEARLY;INTERVAL=99999999999999999999"},
])  # fmt: skip
def test_what_is_never_due_is_not_searched_for_without_end(schedule):
    assert due(schedule) == []


def test_times_at_the_ends_of_the_calendar_are_no_error():
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for schedule in (
        {"interval": 86400 * 400},
        {"interval": 1e-3},
        {"cron": "0 0 1 1 *", "timezone": NEW_YORK},
        {"rrule": "FREQ=YEARLY"},
    ):
        assert list(islice(due_times(load(schedule), first, last), 2))
        assert not list(islice(due_times(load(schedule), last, last), 2))


CRON_PARTS = (
    st.sampled_from(["0", "*", "*/7", "5,35", "10-20"]),
    st.sampled_from(["*", "0", "*/5", "2,3", "8-17", "23"]),
    st.sampled_from(["*", "1", "31", "5-9"]),
    st.sampled_from(["*", "2", "1,7", "*/4"]),
    st.sampled_from(["*", "0", "1-5", "6"]),
)
STARTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))


@settings(max_examples=150, deadline=None)
@given(st.tuples(*CRON_PARTS).map(" ".join), STARTS)
def test_cron_agrees_with_an_independent_implementation(cron, start):
    before = start - timedelta(seconds=1) if not start.microsecond else start
    try:
        simulated = CronSim(cron, before)
    except CronSimError:
        assume(False)  # it refuses a day that no month has
    expected = [time for time in islice(simulated, 5) if start <= time <= start + 800 * DAY]
    assert due({"cron": cron}, start, len(expected) or 1, 800) == expected


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ZONES), STARTS, st.integers(0, 23), st.integers(0, 59), st.sampled_from(["cron", "rrule", "interval"]))
def test_a_daily_schedule_is_due_once_on_each_day_at_its_time_on_the_wall(zone, start, hour, minute, kind):
    anchor = datetime(2020, 1, 1, hour, minute, tzinfo=ZoneInfo(zone)).isoformat()
    schedule = {
        "cron": {"cron": f"{minute} {hour} * * *"},
        "rrule": {"rrule": f"DTSTART:20200101T{hour:02}{minute:02}00\nFREQ=DAILY"},
        "interval": {"interval": 86400, "anchor_date": anchor},
    }[kind]
    times = due(schedule | {"timezone": zone}, start, 400)
    local = [time.astimezone(ZoneInfo(zone)) for time in times]
    days = [time.date() for time in local]
    assert days == [days[0] + number * DAY for number in range(len(days))]
    for time in local:
        meant = time.replace(hour=hour, minute=minute, fold=0)
        assert time.astimezone(UTC) == meant.astimezone(UTC), "the first such time, or the one after the gap"


FREQUENCIES = st.sampled_from(["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
RULES = st.sampled_from(["", ";BYDAY=MO,SU", ";BYHOUR=2,9", ";BYMONTH=3,11", ";COUNT=2000", ";WKST=SU;BYDAY=TU,SU"])


@settings(max_examples=100, deadline=None)
@given(FREQUENCIES, RULES, st.integers(1, 5), st.integers(0, 20_000), st.integers(0, 86_399))
def test_leaping_to_the_start_of_an_rrule_leaves_out_no_time_and_adds_none(frequency, rule, interval, minutes, seconds):
    begin = datetime(2026, 3, 1) + timedelta(seconds=seconds)
    text = f"DTSTART:{begin:%Y%m%dT%H%M%S}\nFREQ={frequency};INTERVAL={interval}{rule}"
    start = begin + timedelta(minutes=minutes)
    assume(frequency != "SECONDLY" or minutes < 2000)
    try:
        rule = rrulestr(text)
    except ValueError:
        assume(False)  # no such hour is reached by this interval
    expected = [time.replace(tzinfo=UTC) for time in rule.xafter(start, count=5, inc=True)]
    expected = [time for time in expected if time <= start.replace(tzinfo=UTC) + 400 * DAY]
    assert due({"rrule": text}, start.replace(tzinfo=UTC), len(expected) or 1) == expected


# The promises


INTERVALS = st.sampled_from([60, 900, 3600, 86400, 7 * 86400])


@settings(max_examples=200, deadline=None)
@given(INTERVALS, STARTS, st.integers(0, 400_000), st.integers(0, 400_000), st.integers(0, 8), st.integers(0, 12))
def test_the_promises_hold_in_their_order(interval, start, end_seconds, min_seconds, min_runs, max_runs):
    schedule = load({"interval": interval, "anchor_date": "2020-01-01T00:00:00Z"})
    end, min_time = start + timedelta(seconds=end_seconds), timedelta(seconds=min_seconds)
    everything = list(islice(due_times(schedule, start, end), 1000))
    chosen = list(choose(due_times(schedule, start, end), start, min_time, min_runs, max_runs))
    assert chosen == everything[: len(chosen)], "the next ones, and none left out"
    assert all(start <= time <= end for time in chosen)
    assert len(chosen) <= max_runs
    if len(chosen) < min(max_runs, len(everything)):
        assert len(chosen) >= max(min_runs, 1)
        assert chosen[-1] >= start + min_time
    if len(chosen) > max(min_runs, 1):
        assert chosen[-2] < start + min_time, "no more than the promises need"
