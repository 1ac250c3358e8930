"""Bodies of the operations under /concurrency_limits."""

from schemas.concurrency_limits_v2 import LimitsFilter
from schemas.fields import Arguments, Id, Ids, Integer, Model, Strings, name


class TagLimitCreate(Model):
    """The limit of a tag, to create or to change."""

    tag = name(required=True)
    concurrency_limit = Integer(0, required=True)


class SlotsReset(Arguments):
    """The task runs that hold the slots of a limit from now on."""

    slot_override = Ids(load_default=list)


class Slots(Arguments):
    """Tags of which a task run takes a slot each, or gives it back."""

    names = Strings(required=True)
    task_run_id = Id(required=True)


__all__ = ["LimitsFilter", "Slots", "SlotsReset", "TagLimitCreate"]
