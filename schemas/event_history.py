"""Bodies of the operations under /events that read, and the criteria that events are searched by.

A filter object of the API is given to Python in parts: `events` (criteria for an event itself), `resources` (a list of criteria,
for each of which a resource of the event must match), `order`, `distinct`, and `sent`, the object as it came, with both ends
of the time in which events occurred.
"""

from datetime import datetime, timedelta, timezone
from typing import Any

from marshmallow import RAISE, Schema, fields, post_load, validate

from schemas.fields import Arguments, Ids, Integer, Model, Strings, Time, one_of
from schemas.filters import group
from schemas.logs import Search

COUNTABLES = ("day", "time", "event", "resource")
UNIT_SECONDS = {"week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
PAGE_SIZE = 50
DAYS_BACK = 180
COLUMNS = ("prefect.resource.id", "prefect.resource.role")
WILDCARDS = str.maketrans({"*": "%", "?": "_", "\\": "\\\\", "%": "\\%", "_": "\\_"})


def now() -> datetime:
    """Give the present time."""
    return datetime.now(timezone.utc)


def first_day() -> datetime:
    """Give the time from which on events are found unless a filter says otherwise."""
    return now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS_BACK)


class Labels(fields.Field):
    """An object of patterns by label, given to Python as a list of objects: a label, patterns that are to match its value (one
    at least) and patterns that are not to (or one of these), in the language of LIKE."""

    default_error_messages = {"invalid": "Not a valid object of strings and lists of strings."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[dict[str, Any]]:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        found = []
        for label, given in value.items():
            patterns = [given] if isinstance(given, str) else given
            if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
                raise self.make_error("invalid")
            if not patterns and label in COLUMNS:
                patterns = ["*"]  # of all others nothing matches no patterns
            liked = [pattern.translate(WILDCARDS) for pattern in patterns if not pattern.startswith("!")]
            unliked = [pattern[1:].translate(WILDCARDS) for pattern in patterns if pattern.startswith("!")]
            found.append({"label": label, "liked": liked, "unliked": unliked})
        return found


class Pair(fields.List):
    """A list of two strings."""

    def __init__(self, **kwargs: Any):
        super().__init__(fields.String(), validate=validate.Length(equal=2), **kwargs)


class OneOrMany(fields.Field):
    """An object of a schema or a list of them, given to Python as a list."""

    def __init__(self, schema: type[Schema], **kwargs: Any):
        super().__init__(**kwargs)
        self.schema = schema()

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[dict[str, Any]]:
        if isinstance(value, list):
            return self.schema.load(value, many=True)
        return [self.schema.load(value)]


class EventCriteria(Model):
    """Criteria for an event itself."""

    occurred = fields.Nested(Model.from_dict({"since": Time(), "until": Time()}), load_default=dict)
    event = group(prefix=Strings(), exclude_prefix=Strings(), name=Strings(), exclude_name=Strings())
    id = fields.Nested(Model.from_dict({"id": Ids(allow_none=True)}))
    text = fields.Nested(Model.from_dict({"query": Search(required=True)}), allow_none=True)


class ResourceCriteria(Model):
    """Criteria for one resource of an event."""

    id = Strings(allow_none=True)
    id_prefix = Strings(allow_none=True)
    role = Strings(allow_none=True)
    resources_in_roles = fields.List(Pair(), allow_none=True)
    labels = Labels(allow_none=True)
    is_primary = fields.Boolean()


class ResourceFilter(ResourceCriteria):
    """Criteria for the resource that an event happened to."""

    class Meta:
        unknown = RAISE
        exclude = ("role", "resources_in_roles", "is_primary")

    distinct = fields.Boolean(load_default=False)


class RelatedFilter(ResourceCriteria):
    """Criteria for a resource that took part in an event."""

    class Meta:
        unknown = RAISE
        exclude = ("id_prefix", "is_primary")


class AnyResourceFilter(ResourceCriteria):
    """Criteria for a resource in any role."""

    class Meta:
        unknown = RAISE
        exclude = ("role", "resources_in_roles", "is_primary")


class EventFilter(EventCriteria):
    """Criteria for events, and their order."""

    resource = fields.Nested(ResourceFilter, allow_none=True, load_default=None)
    related = OneOrMany(RelatedFilter, allow_none=True, load_default=None)
    any_resource = OneOrMany(AnyResourceFilter, allow_none=True, load_default=None)
    order = one_of("ASC", "DESC", load_default="DESC")

    @post_load(pass_original=True)
    def split(self, criteria: dict[str, Any], sent: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Give the parts of the filter."""
        criteria["occurred"] = {"since": first_day(), "until": now()} | criteria["occurred"]
        own, related, anywhere, order = (criteria.pop(name) for name in ("resource", "related", "any_resource", "order"))
        distinct = (own or {}).pop("distinct", False)
        resources = [own | {"is_primary": True}] if own and any(own.values()) else []
        for wanted in related or []:
            if any(wanted.values()):
                resources.append(wanted if wanted.get("role") else wanted | {"is_primary": False})
        resources += [wanted for wanted in anywhere or [] if any(wanted.values())]
        sent = sent | {"occurred": criteria["occurred"]}
        return {"events": criteria, "resources": resources, "order": order, "distinct": distinct, "sent": sent}


class EventsFilter(Arguments):
    """The first page of a list of events."""

    filter = fields.Nested(EventFilter, load_default=lambda: EventFilter().load({}))
    limit = Integer(0, PAGE_SIZE, load_default=PAGE_SIZE)


class EventsPage(Model):
    """What the token of a further page holds: the filter as it was sent, how many events match and where the page begins."""

    filter = fields.Nested(EventFilter, required=True)
    limit = Integer(0, PAGE_SIZE, required=True)
    total = Integer(0, 2**53, required=True)
    offset = Integer(0, 2**53, required=True)


class EventsFurther(Arguments):
    """The token that a page gave in the address of the next one."""

    token = fields.String(required=True, data_key="page-token")


class EventsCount(Arguments):
    """Which events to count, and in steps of what length."""

    filter = fields.Nested(EventFilter, required=True)
    time_unit = one_of(*UNIT_SECONDS, load_default="day")
    time_interval = fields.Float(load_default=1.0, validate=validate.Range(0.01, 1_000_000))
