"""RRULEs, read and walked in bounded steps.

dateutil walks a rule period by period, and where there is no recurrence it goes on to the year 9999 or for ever. It does so by
adding the rule's interval, and compares each recurrence with the rule's end. Both are given to it as values that count: so the
count holds within dateutil's own loops, and whatever a rule says, it stops.
"""

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from math import prod
from zoneinfo import ZoneInfo, available_timezones

from dateutil.rrule import DAILY, HOURLY, MINUTELY, MONTHLY, SECONDLY, WEEKLY, rrule, rruleset, rrulestr

MAX_LENGTH = 6500  # of an RRULE or a cron expression in characters, by Prefect's schemas: a year of dates
MAX_TIMES = 86_400  # times of day that a text may list; dateutil makes a list of them for each of its rules
MAX_STEPS = 200_000  # half a second; what is accepted takes a half of it at most, for with a COUNT it takes more each day
CPU_SECONDS_PER_STEP = 5e-6  # on average; more is taken only by rules with hundreds of parts
ANCHOR = datetime(2020, 1, 1)  # where an RRULE without a DTSTART begins
PERIODS = {
    WEEKLY: timedelta(weeks=1),
    DAILY: timedelta(days=1),
    HOURLY: timedelta(hours=1),
    MINUTELY: timedelta(minutes=1),
    SECONDLY: timedelta(seconds=1),
}
TIMES = re.compile(r"BY(?:HOUR|MINUTE|SECOND)=([^;]*)")


class PastTheEnd(Exception):
    """A rule has come to its end without a recurrence there."""


class Steps:
    """How many more steps may be taken, and the CPU time of this thread at which it is enough."""

    def __init__(self, number: int):
        self.number, self.left, self.end = number, number, time.thread_time() + number * CPU_SECONDS_PER_STEP

    def take(self) -> None:
        """Take a step. Raises ValueError when there is none left."""
        self.left -= 1
        if self.left < 0 or (not self.left % 8 and time.thread_time() > self.end):
            raise ValueError(f"takes more than {self.number} steps or {self.number * CPU_SECONDS_PER_STEP:g} s to follow")


class Interval(int):
    """The interval of a rule, which takes a step each time that dateutil goes on by it, and knows after how many it is over."""

    steps: Steps
    periods: int

    def __radd__(self, other: int) -> int:
        self.go_on()
        return other + int(self)

    def __mul__(self, other: int) -> int:
        self.go_on()
        return int(self) * other

    def __rfloordiv__(self, other: int) -> int:
        periods = other // int(self)  # how many are leapt over, on days without a recurrence
        self.go_on(periods)
        return periods

    def go_on(self, periods: int = 1) -> None:
        """Go on by some periods. Raises PastTheEnd, or ValueError when there are no steps left."""
        self.steps.take()
        self.periods -= periods
        if self.periods < 0:
            raise PastTheEnd


class End(datetime):
    """The end of a rule, which takes a step each time that dateutil asks whether a recurrence is behind it."""

    steps: Steps

    def __lt__(self, other: datetime) -> bool:
        self.steps.take()
        return super().__lt__(other)


@lru_cache(maxsize=1)
def list_timezones() -> frozenset[str]:
    """Give the names of all time zones."""
    return frozenset(available_timezones())


def find_zone(name: str) -> tzinfo | None:
    """Give a time zone by its name, never by that of a file as dateutil does."""
    return ZoneInfo(name) if name in list_timezones() else None


def parse(text: str) -> rrule | rruleset:
    """Read the text of an RRULE, or of a set of them, as of RFC 5545. Raises ValueError or what dateutil raises."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"must have at most {MAX_LENGTH} characters")
    if sum(prod(part.count(",") + 1 for part in TIMES.findall(line)) for line in text.upper().split()) > MAX_TIMES:
        raise ValueError(f"must not list more than {MAX_TIMES} times of day")
    rule = rrulestr(text, dtstart=ANCHOR, tzids=find_zone)
    parts = [*rule._rrule, *rule._exrule] if isinstance(rule, rruleset) else [rule]
    if any(part._interval < 1 for part in parts):
        raise ValueError("must have an INTERVAL of 1 or more")
    return rule


def walk(text: str, start: datetime, end: datetime, max_steps: int = MAX_STEPS) -> Iterator[datetime]:
    """Give the times on the wall from `start` through `end` at which an RRULE, or a set of them, is due.

    Zones in its text are not heeded, but its figures. Raises ValueError if that takes too many steps, or as `parse`.
    """
    rule, steps = parse(text), Steps(max_steps)
    if isinstance(rule, rruleset):
        rule._rrule = [follow(part, start, end, steps) for part in rule._rrule]
        rule._exrule = [follow(part, start, end, steps) for part in rule._exrule]
        rule._rdate = [date.replace(tzinfo=None) for date in rule._rdate]
        rule._exdate = [date.replace(tzinfo=None) for date in rule._exdate]
    else:
        rule = follow(rule, start, end, steps)
    return (wall for wall in rule if start <= wall <= end)


def follow(rule: rrule, start: datetime, end: datetime, steps: Steps) -> Iterator[datetime]:
    """Give the recurrences of a rule from shortly before `start`, in step with its DTSTART, through `end`."""
    first, until = rule._dtstart.replace(tzinfo=None), rule._until and rule._until.replace(tzinfo=None)
    count, until = rule._count, min(until or end, end)
    # What comes after COUNT recurrences is found by counting them, unless there is one in each period.
    if rule._freq in PERIODS and (count is None or not any(rule._original_rule.values())):
        period = PERIODS[rule._freq] * rule._interval
        passed = max(0, (start - first) // period - 1)
        first, count = first + passed * period, count if count is None else max(0, count - passed)
    interval, last = Interval(rule._interval), End.combine(until.date(), until.time())
    interval.steps = last.steps = steps
    interval.periods = count_periods(rule._freq, first, until) // rule._interval + 2
    bounded = rule.replace(dtstart=first, interval=interval, count=count, until=None)
    bounded._until = last  # the constructor takes no COUNT beside it
    try:
        yield from bounded
    except PastTheEnd:
        return


def count_periods(frequency: int, start: datetime, end: datetime) -> int:
    """Count the years, months, weeks or shorter periods between two moments."""
    if frequency in PERIODS:
        return (end - start) // PERIODS[frequency]
    months = 12 * (end.year - start.year) + end.month - start.month
    return months if frequency == MONTHLY else months // 12 + 1
