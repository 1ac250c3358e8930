"""When a schedule is due.

A schedule speaks of the clock on the wall. Its times become instants here, in one place and for all kinds: a time that the
wall clock skips is due when the clock has gone on by as much, one that it shows twice is due the first time, and what falls on
one instant so is due once. As on Prefect 3.8.3 for cron; its daily intervals drift by the hour of a change, ours do not.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import count, islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from schemas.recurrences import MAX_LENGTH, walk

UTC = timezone.utc
DAY = timedelta(days=1)
MAX_YEARS = 50  # how far croniter looks for the next day that an expression means, if it is asked for that much
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9900, 1, 1, tzinfo=UTC)


def read_zone(schedule: dict[str, Any]) -> ZoneInfo:
    """Give the time zone of a schedule; without one it is UTC."""
    return ZoneInfo(schedule.get("timezone") or "UTC")


def due_times(schedule: dict[str, Any], start: datetime, end: datetime) -> Iterator[datetime]:
    """Give the times in UTC, ascending, at which a stored schedule is due from `start` through `end`.

    Raises ValueError, LookupError or another error of the parser for a schedule that is not valid.
    """
    zone, start, end = read_zone(schedule), max(start, EARLIEST), min(end, LATEST)
    if start > end:
        return iter(())
    if "interval" in schedule and not schedule["interval"] > 0:
        raise ValueError("the interval must be positive")
    if "interval" in schedule and schedule["interval"] < DAY.total_seconds():
        instants = count_up(read_time(schedule["anchor_date"]), timedelta(seconds=schedule["interval"]), start.astimezone(UTC))
    else:
        kind = next(kind for kind in WALL_TIMES if kind in schedule)
        wall_times = WALL_TIMES[kind](schedule, first_wall_time(start, zone), wall_time(end, zone) + DAY)
        instants = localize(wall_times, zone)
    return takewhile(lambda instant: instant <= end, (instant for instant in instants if instant >= start))


def choose(times: Iterable[datetime], start: datetime, min_time: timedelta, min_runs: int, max_runs: int) -> Iterator[datetime]:
    """Give the first of the times: at most `max_runs`, else at least `min_runs` and until `start + min_time` is reached."""
    for number, time in enumerate(islice(times, max(0, max_runs)), 1):
        yield time
        if number >= min_runs and time >= start + min_time:
            return


def read_time(text: str) -> datetime:
    """Read a time in UTC from its text; one without an offset is in UTC."""
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """Give what the clock on the wall shows at an instant."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def first_wall_time(start: datetime, zone: ZoneInfo) -> datetime:
    """Give the earliest time on the wall that can be due at or after an instant: skipped times are due after the gap."""
    skipped = (start.astimezone(zone).utcoffset() or DAY * 0) - ((start - DAY).astimezone(zone).utcoffset() or DAY * 0)
    return wall_time(start, zone) - max(skipped, timedelta(0))


def localize(wall_times: Iterable[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """Turn ascending times on the wall into ascending instants, each once."""
    skipped: list[datetime] = []
    last: datetime | None = None
    for wall in wall_times:
        instant = wall.replace(tzinfo=zone).astimezone(UTC)
        if wall_time(instant, zone) != wall:
            skipped.append(instant)
            continue
        while skipped and skipped[0] <= instant:
            before = skipped.pop(0)
            if last is None or before > last:
                yield (last := before)
        if last is None or instant > last:
            yield (last := instant)
    yield from (instant for instant in skipped if last is None or instant > last)


def count_up(anchor: datetime, interval: timedelta, start: datetime) -> Iterator[datetime]:
    """Give the times from `start` on that are a whole number of intervals away from the anchor, as long as there are years."""
    first = -((anchor - start) // interval)
    try:
        yield from (anchor + number * interval for number in count(first))
    except OverflowError:
        return


def interval_wall_times(schedule: dict[str, Any], start: datetime, end: datetime) -> Iterator[datetime]:
    """Give the times on the wall of an interval of a day or more."""
    anchor = wall_time(read_time(schedule["anchor_date"]), read_zone(schedule))
    return count_up(anchor, timedelta(seconds=schedule["interval"]), start)


def cron_wall_times(schedule: dict[str, Any], start: datetime, end: datetime) -> Iterator[datetime]:
    """Give the times on the wall of a cron expression; none if there is no such day in the next decades."""
    if len(schedule["cron"]) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    second = start.replace(microsecond=0)
    before = second if start.microsecond else second - timedelta(seconds=1)
    years = min(end.year - start.year + 1, MAX_YEARS)
    times = croniter(schedule["cron"], before, day_or=schedule.get("day_or", True), max_years_between_matches=years)
    while True:
        try:
            wall = times.get_next(datetime)
        except (ValueError, OverflowError):  # no such day for decades, or the last year of the calendar
            return
        if wall > end:
            return
        yield wall


def rrule_wall_times(schedule: dict[str, Any], start: datetime, end: datetime) -> Iterator[datetime]:
    """Give the times on the wall of an RRULE, or of a set of them."""
    return walk(schedule["rrule"], start, end)


WALL_TIMES = {"interval": interval_wall_times, "cron": cron_wall_times, "rrule": rrule_wall_times}
