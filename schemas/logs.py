"""Bodies of the operations under /logs.

A batch of logs is what clients send most of, and marshmallow takes 1.7 ms of CPU for one of 100 logs. So `is_plain` looks
first whether the batch is what Prefect's client sends and beyond doubt valid, column by column (0.06 ms); only what it
doubts goes through the schema, which says what is wrong or brings it into the plain form.
"""

import re
from datetime import date
from operator import itemgetter
from typing import Any

from marshmallow import ValidationError, fields

from schemas.fields import Arguments, Id, Ids, Integer, Model, Time, limit, offset, one_of
from schemas.filters import group, joining

LOG_SORTS = ("TIMESTAMP_ASC", "TIMESTAMP_DESC")
SMALLEST, LARGEST = -(2**15), 2**15 - 1
FIELDS = ("name", "level", "message", "timestamp", "flow_run_id", "task_run_id")
TIMESTAMPS = re.compile(
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|\+00:00)\n)*"
)
UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
TERM = re.compile(r'(?:([-!+])|(?![-!+]))(?:"((?:\\.|[^"\\]|\\\Z)*)(?:"|\Z)|([^\s"]+))', re.DOTALL)

columns_of = itemgetter(*FIELDS)


class Text(fields.String):
    """A string without NUL characters, which PostgreSQL cannot store: they are left out so that the log is not lost."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).replace("\0", "")


class LogCreate(Model):
    """A log to store."""

    name = Text(required=True)
    level = Integer(SMALLEST, LARGEST, required=True)
    message = Text(required=True)
    timestamp = Time(required=True)
    flow_run_id = Id(load_default=None, allow_none=True)
    task_run_id = Id(load_default=None, allow_none=True)


def is_plain(logs: Any) -> bool:
    """Tell whether a JSON value is a list of logs with all fields, in the forms that Prefect's client writes them in.

    May say no to a valid batch, never yes to one that LogCreate would refuse; does not look for NUL characters.
    """
    try:
        if type(logs) is not list or set(map(type, logs)) != {dict} or set(map(len, logs)) != {len(FIELDS)}:
            return False
        names, levels, messages, timestamps, flow_run_ids, task_run_ids = zip(*map(columns_of, logs), strict=True)
        return (
            set(map(type, names + messages + timestamps)) == {str}
            and set(map(type, levels)) == {int}
            and SMALLEST <= min(levels) <= max(levels) <= LARGEST
            and are_plain_times(timestamps)
            and all(id is None or UUID.fullmatch(id) for id in {*flow_run_ids, *task_run_ids})
        )
    except (KeyError, TypeError, ValueError):
        return False


def are_plain_times(timestamps: tuple[str, ...]) -> bool:
    """Tell whether all are RFC 3339 times in UTC. Raises ValueError if one is of a day that does not exist."""
    for day in {timestamp[:10] for timestamp in timestamps}:
        date.fromisoformat(day)
    lines = "\n".join((*timestamps, ""))
    return lines.count("\n") == len(timestamps) and TIMESTAMPS.fullmatch(lines) is not None


class Search(fields.String):
    """A text query, given to Python as lower-case terms that begin with a space (any of these), + (all) or - (none).

    Terms are separated by spaces; - or ! before one excludes, + requires; quotes make a phrase, in which a backslash
    escapes a quote or a backslash.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        query, terms = super()._deserialize(value, attr, data, **kwargs), []
        if len(query) > 200:
            raise ValidationError("Longer than 200 characters.")
        for sign, phrase, word in TERM.findall(query):
            text = re.sub(r'\\(["\\])', r"\1", phrase).lower() if not word else word.lower()
            if text.strip():
                terms.append({"!": "-"}.get(sign, sign or " ") + text)
        return terms


class LogFilter(Model):
    """Criteria for logs."""

    operator = joining()
    level = group(ge_=Integer(), le_=Integer())
    timestamp = group(before_=Time(), after_=Time())
    flow_run_id = group(any_=Ids())
    task_run_id = group(any_=Ids(), is_null_=fields.Boolean())
    text = fields.Nested(Model.from_dict({"query": Search(required=True)}), allow_none=True)


class LogsFilter(Arguments):
    """A list of logs."""

    logs = fields.Nested(LogFilter)
    sort = one_of(*LOG_SORTS, load_default="TIMESTAMP_ASC")
    limit = limit()
    offset = offset()
