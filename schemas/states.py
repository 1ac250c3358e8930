"""States as clients propose them.

A state's details are one hand-written field instead of a schema of eighteen: every transition of every run passes here,
and this takes 12 µs where a nested schema takes 60.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields

from schemas.fields import Arguments, Document, Key, Model, check_key, limit, one_of, parse_time
from schemas.filters import FlowRunFilter
from schemas.state_types import STATE_TYPES


def read_id(value: Any) -> str:
    """Give a UUID in its canonical form."""
    return str(UUID(value))


def read_time(value: Any) -> str:
    """Give a time in UTC, as it is stored in JSON."""
    return parse_time(value).isoformat().replace("+00:00", "Z")


def read_text(value: Any) -> str:
    """Give a string."""
    if not isinstance(value, str):
        raise TypeError
    return value


read_flag = fields.Boolean().deserialize


def read_texts(value: Any) -> dict[str, str]:
    """Give an object of strings."""
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise TypeError
    return value


# Every key that a state's details have, what it holds, and its value where none is given.
DETAILS: dict[str, tuple[str, Callable, Any]] = {
    "flow_run_id": ("UUID", read_id, None),
    "task_run_id": ("UUID", read_id, None),
    "child_flow_run_id": ("UUID", read_id, None),
    "scheduled_time": ("time", read_time, None),
    "cache_key": ("string", read_text, None),
    "cache_expiration": ("time", read_time, None),
    "deferred": ("boolean", read_flag, False),
    "untrackable_result": ("boolean", read_flag, False),
    "pause_timeout": ("time", read_time, None),
    "pause_reschedule": ("boolean", read_flag, False),
    "pause_key": ("string", read_text, None),
    "run_input_keyset": ("object of strings", read_texts, None),
    "refresh_cache": ("boolean", read_flag, None),
    "retriable": ("boolean", read_flag, None),
    "transition_id": ("UUID", read_id, None),
    "task_parameters_id": ("UUID", read_id, None),
    "traceparent": ("string", read_text, None),
    "deployment_concurrency_lease_id": ("UUID", read_id, None),
}
NO_DETAILS = {key: default for key, (_, _, default) in DETAILS.items()}
NOT_NULL = ("untrackable_result", "pause_reschedule")


class StateDetails(fields.Field):
    """A state's details: an object with all keys of DETAILS, ready to be stored as JSON; unknown keys are ignored."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("Not a valid JSON object.")
        details, problems = NO_DETAILS.copy(), {}
        for key, item in value.items():
            if key not in details:
                continue
            noun, read, _ = DETAILS[key]
            if item is None and key not in NOT_NULL:
                details[key] = None
                continue
            try:
                details[key] = read(item)
            except (ValueError, TypeError, AttributeError, OverflowError, OSError, ValidationError):
                problems[key] = [f"Not a valid {noun}."]
        if problems:
            raise ValidationError(problems)
        return details


class StateData(fields.Raw):
    """The data of a state, any JSON value; what names the artifact that is made of it must fit an index."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        for key in ("artifact_key", "artifact_type"):
            if isinstance(value, dict) and isinstance(value.get(key), str):
                try:
                    check_key(value[key])
                except ValidationError as error:
                    raise ValidationError({key: error.messages}) from None
        return value


class StateCreate(Model):
    """A state to propose for a run."""

    type = one_of(*STATE_TYPES, required=True)
    name = Key(allow_none=True, load_default=None)
    message = fields.String(allow_none=True, load_default=None)
    data = StateData(allow_none=True, load_default=None)
    state_details = StateDetails(load_default=NO_DETAILS.copy)


class SetState(Arguments):
    """A proposed state, and whether to pass over the rules."""

    state = fields.Nested(StateCreate, required=True)
    force = fields.Boolean(load_default=False)


class BulkSetState(SetState):
    """A state to propose for all runs that match, at most 50."""

    flow_runs = fields.Nested(FlowRunFilter)
    limit = limit(50, 50, 1)


class ResumeFlowRun(Arguments):
    """The input to resume a paused run with."""

    run_input = Document(load_default=None)
