"""Bodies of the operations that count runs by intervals of time."""

from datetime import timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load

from schemas.fields import Arguments, Time
from schemas.filters import WorkQueueFilter
from schemas.flow_runs import FlowRunCriteria
from schemas.task_runs import TaskRunCriteria

MIN_INTERVAL, MAX_INTERVALS = timedelta(seconds=1), 500


class History(Arguments):
    """The time from `start` to `end` in pieces of `interval`: loaded, the end is that of the last piece, 500 at most.

    An end that is not after the start leaves no piece. An interval below MIN_INTERVAL is left for the operation to refuse.
    """

    start = Time(required=True, data_key="history_start")
    end = Time(required=True, data_key="history_end")
    interval = fields.Float(required=True, data_key="history_interval_seconds")

    @post_load
    def end_with_last_interval(self, history: dict[str, Any], **_: Any) -> dict[str, Any]:
        start, end = history["start"], history["end"]
        try:
            interval = timedelta(seconds=history["interval"])
            count = max(0, -((start - end) // max(interval, MIN_INTERVAL)))  # rounded up
            return history | {"interval": interval, "end": start + min(count, MAX_INTERVALS) * interval}
        except OverflowError:
            message = "The last interval must end before the year 10000."
            raise ValidationError(message, "history_interval_seconds") from None


class FlowRunHistory(History, FlowRunCriteria):
    """The history of the flow runs that match."""

    work_queues = fields.Nested(WorkQueueFilter)


class TaskRunHistory(History, TaskRunCriteria):
    """The history of the task runs that match."""
