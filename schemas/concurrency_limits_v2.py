"""Bodies of the operations under /v2/concurrency_limits."""

from marshmallow import fields, validate

from schemas.fields import Arguments, Id, Integer, Model, Strings, limit, name, offset, one_of


def lease_duration() -> fields.Float:
    """Make the field of the seconds that a lease lasts unless it is renewed."""
    return fields.Float(validate=validate.Range(60, 86400), load_default=300)


class LimitCreate(Model):
    """A limit to create."""

    active = fields.Boolean(load_default=True)
    name = name(required=True)
    limit = Integer(0, required=True)
    active_slots = Integer(0, load_default=0)
    denied_slots = Integer(0, load_default=0)
    slot_decay_per_second = fields.Float(validate=validate.Range(0), load_default=0)


class LimitUpdate(Model):
    """The fields of a limit that can change."""

    active = fields.Boolean()
    name = name()
    limit = Integer(0)
    active_slots = Integer(0)
    denied_slots = Integer(0)
    slot_decay_per_second = fields.Float(validate=validate.Range(0))


class LimitsFilter(Arguments):
    """A page of the list of limits."""

    limit = limit()
    offset = offset()


class SlotsIncrement(Arguments):
    """Slots to take of each of some limits."""

    names = Strings(required=True)
    slots = Integer(1, required=True)
    mode = one_of("concurrency", "rate_limit", load_default="concurrency")


class Holder(Model):
    """What holds a lease."""

    type = one_of("flow_run", "task_run", "deployment", required=True)
    id = Id(required=True)


class SlotsIncrementWithLease(SlotsIncrement):
    """Slots to take and to lease."""

    lease_duration = lease_duration()
    holder = fields.Nested(Holder)


class SlotsDecrement(Arguments):
    """Slots to give back that were taken without a lease."""

    names = Strings(required=True)
    slots = Integer(1, required=True)
    occupancy_seconds = fields.Float(validate=validate.Range(0, min_inclusive=False))


class LeaseRelease(Arguments):
    """A lease to give back."""

    lease_id = Id(required=True)


class LeaseRenew(Arguments):
    """For how long to renew a lease."""

    lease_duration = lease_duration()
