"""Bodies of the operations on work queues, in their work pool and apart from it."""

from marshmallow import EXCLUDE, Schema, fields

from schemas.fields import Arguments, Ids, Integer, Key, Model, Strings, Time, limit, name, offset, page
from schemas.filters import WorkQueueFilter


class QueueFilter(Schema):
    """What an older queue finds its runs by, instead of by its name."""

    class Meta:
        unknown = EXCLUDE

    tags = Strings(allow_none=True, load_default=None)
    deployment_ids = Ids(allow_none=True, load_default=None)


class WorkQueueCreate(Model):
    """A work queue to create."""

    name = name(required=True)
    description = fields.String(allow_none=True, load_default="")
    is_paused = fields.Boolean(load_default=False)
    concurrency_limit = Integer(0, allow_none=True, load_default=None)
    priority = Integer(1, allow_none=True, load_default=None)
    queue_filter = fields.Nested(QueueFilter, data_key="filter", allow_none=True, load_default=None)


class WorkQueueUpdate(Model):
    """The fields of a work queue that can change."""

    name = Key(allow_none=True)
    description = fields.String(allow_none=True)
    is_paused = fields.Boolean()
    concurrency_limit = Integer(0, allow_none=True)
    priority = Integer(1, allow_none=True)
    last_polled = Time(allow_none=True)
    filter = fields.Nested(QueueFilter, allow_none=True)


class WorkQueuesFilter(Arguments):
    """A list of work queues."""

    work_queues = fields.Nested(WorkQueueFilter)
    limit = limit()
    offset = offset()


class WorkQueuePoll(Arguments):
    """The runs of a queue that are due."""

    scheduled_before = Time(load_default=None)
    limit = limit()


class WorkQueueConcurrency(Arguments):
    """A page of the runs that hold slots of a queue."""

    page = page()
    limit = limit()
