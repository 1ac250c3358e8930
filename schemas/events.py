"""Events as clients send them, with their times as times.

Hand-written readers instead of marshmallow's fields: events come by the thousand a second, and this takes 8 µs for one
where a schema takes 60.
"""

from collections.abc import Callable
from typing import Any

from marshmallow import ValidationError

from schemas.fields import check_key, parse_time
from schemas.settings import setting
from schemas.state_types import STATE_TYPES
from schemas.states import NO_DETAILS, StateDetails, read_id, read_text

MAX_NAME_LENGTH = setting("server.events.maximum_event_name_length")
MAX_LABELS = setting("server.events.maximum_labels_per_resource")
MAX_RELATED = setting("server.events.maximum_related_resources")
MAX_RESOURCE_ID_BYTES = 2048  # an entry of event_resources' index by resource and time takes 2704 bytes
REQUIRED = object()
read_details = StateDetails().deserialize

Fields = dict[str, tuple[str, Callable[[Any], Any], Any]]


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a reader that lets null pass."""
    return lambda value: None if value is None else read(value)


def read_name(value: Any) -> str:
    """Give the name of an event."""
    if not isinstance(value, str) or len(value) > MAX_NAME_LENGTH:
        raise ValueError
    return value


def read_key(value: Any) -> str:
    """Give a string that fits an index."""
    return check_key(read_text(value))


def read_object(value: Any) -> dict[str, Any]:
    """Give a JSON object."""
    if not isinstance(value, dict):
        raise TypeError
    return value


def read_resource(value: Any) -> dict[str, str]:
    """Give a resource: an object of strings that has an id."""
    if not isinstance(value, dict) or len(value) > MAX_LABELS or not (id := value.get("prefect.resource.id")):
        raise ValueError
    for item in value.values():
        if not isinstance(item, str):
            raise TypeError
    if len(id) * 4 > MAX_RESOURCE_ID_BYTES and len(id.encode()) > MAX_RESOURCE_ID_BYTES:
        raise ValidationError({"prefect.resource.id": [f"Longer than {MAX_RESOURCE_ID_BYTES} bytes."]})
    return value


def read_related(value: Any) -> list[dict[str, str]]:
    """Give a list of resources that have a role."""
    if not isinstance(value, list) or len(value) > MAX_RELATED:
        raise ValueError
    for place, item in enumerate(value):
        try:
            if not read_resource(item).get("prefect.resource.role"):
                raise ValueError
        except ValidationError as error:
            raise ValidationError({place: error.messages}) from None
    return value


def read_count(value: Any) -> int:
    """Give a whole number that fits the column."""
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise ValueError
    return value


def read_seconds(value: Any) -> float:
    """Give a length of time in seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 10**10:
        raise ValueError
    return value


def read_tags(value: Any) -> list[str]:
    """Give a list of strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return value


def read_labels(value: Any) -> dict[str, Any]:
    """Give an object of strings, numbers and booleans."""
    if not all(isinstance(item, (str, int, float, bool)) for item in read_object(value).values()):
        raise TypeError
    return value


def read_inputs(value: Any) -> dict[str, list[dict[str, Any]]]:
    """Give the inputs of a task run: an object of lists of objects."""
    for sources in read_object(value).values():
        if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
            raise TypeError
    return value


def read_type(value: Any) -> str:
    """Give the type of a state."""
    if value not in STATE_TYPES:
        raise ValueError
    return value


# Of each key: what it holds, what reads it, and the value where it is missing. Keys that are not here are ignored.
EVENT: Fields = {
    "id": ("UUID", read_id, REQUIRED),
    "occurred": ("time", parse_time, REQUIRED),
    "event": (f"string of at most {MAX_NAME_LENGTH} characters", read_name, REQUIRED),
    "resource": (f"resource: up to {MAX_LABELS} labels that are strings, with a prefect.resource.id", read_resource, REQUIRED),
    "related": (f"list of up to {MAX_RELATED} resources, each with a prefect.resource.role", read_related, []),
    "payload": ("JSON object", read_object, {}),
    "follows": ("UUID", optional(read_id), None),
}
STATE: Fields = {
    "type": ("type of a state", read_type, REQUIRED),
    "name": ("string", optional(read_key), None),
    "message": ("string", optional(read_text), None),
    "data": ("value", lambda value: value, None),
    "state_details": ("object with a state's details", read_details, NO_DETAILS),
}
TASK_RUN: Fields = {
    "name": ("string", read_key, REQUIRED),
    "task_key": ("string", read_key, REQUIRED),
    "dynamic_key": ("string", read_key, REQUIRED),
    "cache_key": ("string", optional(read_text), None),
    "cache_expiration": ("time", optional(parse_time), None),
    "task_version": ("string", optional(read_text), None),
    "empirical_policy": ("JSON object", read_object, {}),
    "tags": ("list of strings", read_tags, []),
    "labels": ("object of strings, numbers and booleans", optional(read_labels), {}),
    "task_inputs": ("object of lists of objects", read_inputs, {}),
    "run_count": ("whole number", read_count, 0),
    "flow_run_run_count": ("whole number", read_count, 0),
    "expected_start_time": ("time", optional(parse_time), None),
    "next_scheduled_start_time": ("time", optional(parse_time), None),
    "start_time": ("time", optional(parse_time), None),
    "end_time": ("time", optional(parse_time), None),
    "total_run_time": ("number of seconds", read_seconds, 0),
}


def read_fields(content: Any, fields: Fields) -> dict[str, Any]:
    """Give the fields of a JSON object. Raises ValidationError naming each that is missing or not what it should be."""
    if not isinstance(content, dict):
        raise ValidationError("Not a valid JSON object.")
    found, problems = {}, {}
    for key, (noun, read, default) in fields.items():
        value = content.get(key, REQUIRED)
        if value is REQUIRED:
            found[key] = default
            if default is REQUIRED:
                problems[key] = ["Missing data for required field."]
            continue
        try:
            found[key] = read(value)
        except ValidationError as error:
            problems[key] = error.messages
        except (ValueError, TypeError, AttributeError, OverflowError, OSError):
            problems[key] = [f"Not a valid {noun}."]
    if problems:
        raise ValidationError(problems)
    return found
