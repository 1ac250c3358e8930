"""Schedules as clients send them: an interval, a cron expression or an RRULE, as Prefect 3.8.3 takes and stores them."""

import math
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from dateutil.rrule import MINUTELY, SECONDLY, rrule
from marshmallow import ValidationError, fields

from schemas.fields import parse_time
from schemas.recurrences import ANCHOR, MAX_LENGTH, MAX_STEPS, list_timezones, parse, walk

FAR = timedelta(days=50 * 365)  # how far ahead the next recurrence of an RRULE is looked for, as croniter does
DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)
CLOCK = re.compile(r"(?:(?P<days>\d+) ?(?:d|days?),? *)?(?P<hours>\d+):(?P<minutes>\d\d)(?::(?P<seconds>\d\d(?:\.\d+)?))?$")
SECONDS = {"years": 365 * 86400, "months": 30 * 86400, "weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
CPU_SECONDS = 2  # for all schedules of a request; an ordinary one takes 0.1 ms, the slowest that is accepted half a second
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)$")


class Schedule(fields.Field):
    """A schedule, given to Python as the object that is stored."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("Not a valid JSON object.")
        kinds = [kind for kind in READERS if kind in value]
        if not kinds:
            raise ValidationError("Missing data: one of interval, cron or rrule is needed.")
        if len(kinds) > 1:
            raise ValidationError({kinds[1]: ["Cannot be given together with another kind of schedule."]})
        readers = READERS[kinds[0]]
        unknown = value.keys() - readers.keys()
        if unknown:
            raise ValidationError({key: ["Unknown field."] for key in sorted(unknown)})
        schedule, problems = {}, {}
        for key, (read, default) in readers.items():
            try:
                schedule[key] = read(value[key]) if key in value else default()
            except (ValueError, TypeError, OverflowError, OSError, LookupError, AttributeError) as error:
                problems[key] = [f"Not valid: {error}" if str(error) else "Not valid."]
            except ValidationError as error:
                problems[key] = error.messages
        if problems:
            raise ValidationError(problems)
        if "rrule" in schedule:
            schedule["rrule"] = begin_rrule(schedule["rrule"], schedule["timezone"], datetime.now(timezone.utc))
        return schedule


class InTime(list):
    """A list that can be gone through as long as that takes no more CPU time than a request may."""

    def __iter__(self) -> Iterator[Any]:
        end = time.thread_time() + CPU_SECONDS
        for item in super().__iter__():
            if time.thread_time() > end:
                raise ValidationError(f"The schedules take more than {CPU_SECONDS} seconds to read. Send fewer or simpler ones.")
            yield item


def read_interval(value: Any) -> float:
    """Read a time that is positive: a number of seconds, an ISO 8601 duration or HH:MM:SS. Gives seconds."""
    if isinstance(value, str):
        match = DURATION.match(value) or CLOCK.match(value)
        if not match or not any(match[unit] for unit in match.groupdict() if unit != "sign"):
            value = float(value)
        else:
            parts = match.groupdict()
            value = sum(float(parts.get(unit) or 0) * length for unit, length in SECONDS.items())
            value = -value if parts.get("sign") == "-" else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("must be a number of seconds")
    seconds = timedelta(seconds=value).total_seconds()
    if seconds <= 0:
        raise ValueError("must be positive")
    return seconds


def read_anchor(value: Any) -> str:
    """Read the time that intervals are counted from; it keeps its offset from UTC."""
    time = parse_time(value)
    match = OFFSET.search(value) if isinstance(value, str) and ":" in value else None
    if match:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        time = time.astimezone(timezone(-offset if match[1] == "-" else offset))
    return write_time(time)


def write_time(time: datetime) -> str:
    """Write a time as RFC 3339."""
    return time.isoformat().replace("+00:00", "Z")


def read_timezone(value: Any) -> str | None:
    """Read the name of a time zone of the IANA database; null and the empty name mean UTC."""
    if value is None or value == "":
        return value
    if not isinstance(value, str) or value not in list_timezones():
        raise ValueError("must be the name of an IANA time zone, such as America/New_York")
    return value


def read_interval_timezone(value: Any) -> str:
    """Read the time zone of an interval; null means UTC."""
    return "UTC" if value is None else read_timezone(value)


def read_cron(value: Any) -> str:
    """Read a cron expression."""
    if not isinstance(value, str) or len(value) > MAX_LENGTH or not croniter.is_valid(value):
        raise ValueError("must be a cron expression")
    if any(part in ("R", "H", "r", "h") for part in value.split()):
        raise ValueError("random and hashed expressions are not supported")
    return value


def read_rrule(value: Any) -> str:
    """Read the text of an RRULE, or of a set of them, as of RFC 5545, that leads to its next recurrence in a few steps."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    next(walk(value, now, now + FAR, MAX_STEPS // 2), None)
    return value


def begin_rrule(text: str, zone: str | None, now: datetime) -> str:
    """Give an RRULE a DTSTART if it has none, as Prefect stores it.

    That is the start of 2020, or for what recurs by minutes or seconds without a COUNT, the last recurrence before now.
    """
    if "DTSTART" in text.upper():
        return text
    parsed, start = parse(text), ANCHOR
    if isinstance(parsed, rrule) and parsed._freq in (MINUTELY, SECONDLY) and parsed._count is None:
        period = timedelta(seconds=(60 if parsed._freq == MINUTELY else 1) * parsed._interval)
        local = now.astimezone(ZoneInfo(zone) if zone else timezone.utc).replace(tzinfo=None)
        start += max(0, (local - ANCHOR) // period) * period
    return f"DTSTART:{start:%Y%m%dT%H%M%S}\n{text}"


READERS: dict[str, dict[str, tuple[Callable[[Any], Any], Callable[[], Any]]]] = {
    "interval": {
        "interval": (read_interval, dict),
        "anchor_date": (read_anchor, lambda: write_time(datetime.now(timezone.utc))),
        "timezone": (read_interval_timezone, lambda: "UTC"),
    },
    "cron": {
        "cron": (read_cron, dict),
        "timezone": (read_timezone, lambda: None),
        "day_or": (fields.Boolean().deserialize, lambda: True),
    },
    "rrule": {
        "rrule": (read_rrule, dict),
        "timezone": (read_timezone, lambda: "UTC"),
    },
}
