"""Field types and base schemas that the schemas of all resources are made of. Input only: answers are built by SQL views.

Ids are strings in canonical form in Python, times are aware datetimes in UTC.
"""

import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import orjson
from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, pre_load, validate

from schemas.settings import setting

# A row of a B-tree has at most 2,704 bytes, compressed, and no index has more than two texts of clients. Characters may take
# four bytes each, and what is random cannot be compressed.
MAX_KEY_BYTES = 1200
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:\.(\d+))?\s*(Z|z|[+-]\d\d:?\d\d)?$")


class Model(Schema):
    """A resource's fields as a client sends them; unknown fields are refused."""

    class Meta:
        unknown = RAISE


class Arguments(Schema):
    """The arguments of an operation, each a key of the body: null means the default, unknown keys are ignored."""

    class Meta:
        unknown = EXCLUDE

    @pre_load
    def drop_nulls(self, content: Any, **_: Any) -> Any:
        return {k: v for k, v in content.items() if v is not None} if isinstance(content, Mapping) else content


class Id(fields.Field):
    """A UUID, given to Python as its canonical text."""

    default_error_messages = {"invalid": "Not a valid UUID."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return str(UUID(value))
        except (ValueError, TypeError, AttributeError):
            raise self.make_error("invalid") from None


class Time(fields.Field):
    """An RFC 3339 time (a space for the T and a missing zone, meaning UTC, are accepted) or Unix seconds."""

    default_error_messages = {"invalid": "Not a valid time."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return parse_time(value)
        except (ValueError, TypeError, OverflowError, OSError):
            raise self.make_error("invalid") from None


def parse_time(value: Any) -> datetime:
    """Parse a time into UTC; raises ValueError, TypeError or OverflowError for what is none or out of range."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, timezone.utc)
    if sys.version_info >= (3, 11):
        parsed = datetime.fromisoformat(value.replace("z", "Z") if isinstance(value, str) else value)
    else:
        match = TIME.match(value)
        if not match:
            raise ValueError(value)
        day, minute, second, fraction, zone = match.groups()
        zone = "+00:00" if zone in (None, "Z", "z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
        parsed = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}.{(fraction or '').ljust(6, '0')[:6]}{zone}")
    return parsed.replace(tzinfo=timezone.utc) if parsed.tzinfo is None else parsed.astimezone(timezone.utc)


class Integer(fields.Integer):
    """A whole number that fits PostgreSQL's integer; 5.0 is one, true is none."""

    def __init__(self, minimum: int = -(2**31), maximum: int = 2**31 - 1, **kwargs: Any):
        super().__init__(strict=True, validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._validated(int(value) if isinstance(value, float) and value.is_integer() else value)


class Document(fields.Field):
    """A JSON object, kept as it is."""

    default_error_messages = {"invalid": "Not a valid JSON object."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return value


class StoredSchema(Document):
    """A JSON Schema, or an object that holds some, small enough to be checked by later, together with values and defaults."""

    default_error_messages = {"size": "Larger than {maximum} bytes as JSON."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict:
        schema = super()._deserialize(value, attr, data, **kwargs)
        maximum = setting("downbeat.sandbox_max_bytes") // 4
        if len(orjson.dumps(schema)) > maximum:
            raise self.make_error("size", maximum=maximum)
        return schema


class Labels(Document):
    """A JSON object whose values are strings, numbers or booleans; null counts as none."""

    default_error_messages = {"scalar": "Values must be strings, numbers or booleans."}

    def __init__(self, **kwargs: Any):
        super().__init__(allow_none=True, load_default=dict, **kwargs)

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> dict:
        return super().deserialize(value, attr, data, **kwargs) or {}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict:
        labels = super()._deserialize(value, attr, data, **kwargs)
        if not all(isinstance(item, (str, int, float, bool)) for item in labels.values()):
            raise self.make_error("scalar")
        return labels


def check_key(text: str) -> str:
    """Give a text that fits an index. Raises ValidationError for one that is too long."""
    if 4 * len(text) > MAX_KEY_BYTES and len(text.encode()) > MAX_KEY_BYTES:
        raise ValidationError(f"Longer than {MAX_KEY_BYTES} bytes.")
    return text


class Key(fields.String):
    """A string that ends in an index: a name, a tag, a key, a version."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return check_key(super()._deserialize(value, attr, data, **kwargs))


class Tags(fields.List):
    """A list of tags. Each becomes the id of a resource of events and the name of a limit."""

    def __init__(self, **kwargs: Any):
        super().__init__(Key(), **kwargs)


class Strings(fields.List):
    """A list of strings."""

    def __init__(self, **kwargs: Any):
        super().__init__(fields.String(), **kwargs)


class Ids(fields.List):
    """A list of ids."""

    def __init__(self, **kwargs: Any):
        super().__init__(Id(), **kwargs)


def name(**kwargs: Any) -> Key:
    """Make the field of a name that may stand in a path: not empty, none of / % & > <."""
    pattern = validate.Regexp(r"^[^/%&><]+$", error="Must not be empty or contain any of / % & > <.")
    return Key(validate=pattern, **kwargs)


def one_of(*choices: str, **kwargs: Any) -> fields.String:
    """Make the field of an enumeration."""
    return fields.String(validate=validate.OneOf(choices), **kwargs)


def limit(maximum: int = 200, default: int = 200, minimum: int = 0) -> Integer:
    """Make the field of a list's page size."""
    return Integer(minimum, maximum, load_default=default)


def offset() -> Integer:
    """Make the field of the number of rows to skip."""
    return Integer(0, load_default=0)


def page() -> Integer:
    """Make the field of a page number, from 1."""
    return Integer(1, load_default=1)


__all__ = [
    "Arguments",
    "Document",
    "Id",
    "Ids",
    "Integer",
    "Key",
    "Labels",
    "Model",
    "StoredSchema",
    "Strings",
    "Tags",
    "Time",
    "ValidationError",
    "check_key",
    "limit",
    "name",
    "offset",
    "one_of",
    "page",
    "parse_time",
]
