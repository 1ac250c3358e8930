"""Filling in placeholders: objects with `__prefect_kind` that stand for values.

`none` (its value as it is), `json` (JSON text), `jinja` (a template) or `workspace_variable` (the value of a variable). As
observed on Prefect 3.8.3. `variables` are values by name, as `{"value": …}`, or None where there is none of the name. Those that
are not among them yet are marked UNREAD; what comes of the rest is then of no use, and is worked out again when they are known.
"""

from collections.abc import Callable
from typing import Any

import orjson
from jinja2 import ChainableUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

ABSENT, UNREAD = object(), object()
# orjson writes 254 levels, and values are inside of other documents when they are stored and shown.
LEVELS_AROUND = 50


def hydrate(values: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """Give an object `filled` in, or else the `variables` to be read. Raises ValueError saying which placeholder cannot be."""
    try:
        filled = fill_in_object(values, variables)
    except ValueError:
        if not unread(variables):
            raise
    return {"variables": names} if (names := unread(variables)) else {"filled": filled}


def unread(variables: dict[str, Any]) -> list[str]:
    """Give the names of the variables that are to be read."""
    return [name for name, value in variables.items() if value is UNREAD]


def fill_in_object(values: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """Fill in the placeholders of an object. Raises ValueError, also if no object comes of it or none that can be stored."""
    filled = fill_in(values, variables)
    if filled is ABSENT:
        return {}
    if not isinstance(filled, dict):
        raise ValueError("the placeholder does not stand for an object")
    wrapped: Any = filled
    for _ in range(LEVELS_AROUND):
        wrapped = [wrapped]
    try:
        orjson.dumps(wrapped)
    except orjson.JSONEncodeError as error:  # half a surrogate pair made by a template, JSON text that is nested too deeply
        raise ValueError(f"the values cannot be stored: {error}") from None
    return filled


def fill_in(value: Any, variables: dict[str, Any]) -> Any:
    """Fill in the placeholders of any JSON value; gives ABSENT for one that is to be left out with its key or place."""
    if isinstance(value, list):
        return [filled for item in value if (filled := fill_in(item, variables)) is not ABSENT]
    if not isinstance(value, dict):
        return value
    if "__prefect_kind" not in value:
        return {key: filled for key, item in value.items() if (filled := fill_in(item, variables)) is not ABSENT}
    kind = value["__prefect_kind"] if isinstance(value["__prefect_kind"], str) else ""
    key, fill = PLACEHOLDERS.get(kind, ("value", None))
    if key not in value:
        if kind in ("json", "workspace_variable") or fill is None:
            return ABSENT if fill else None
        raise ValueError(f"a {kind!r} placeholder lacks {key!r}")
    given = value[key]
    if kind == "none" or isinstance(given, dict):
        given = fill_in(given, variables)
    return fill(given, variables) if fill and given is not ABSENT else given


def read_json(text: Any, variables: dict[str, Any]) -> Any:
    """Read JSON text; what is not text is taken as it is."""
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError as error:
        raise ValueError(f"invalid JSON: {error}") from None


def render_template(template: Any, variables: dict[str, Any]) -> str:
    """Render a Jinja template that has no context."""
    parsed = parse_template(template)
    try:
        return parsed.render()
    except MemoryError:
        raise
    except Exception as error:  # a template is a program: what it raises is its own fault
        raise ValueError(f"invalid jinja: {error}") from None


def parse_template(template: Any) -> Any:
    """Make a Jinja template of its text. Raises ValueError for what is none."""
    if not isinstance(template, str):
        raise ValueError("invalid jinja: not a template")
    environment = ImmutableSandboxedEnvironment(undefined=ChainableUndefined)
    environment.globals.pop("range")
    try:
        return environment.from_string(template)
    except MemoryError:
        raise
    except Exception as error:  # constants are reckoned while it is parsed; Python has limits on nesting that Jinja lacks
        raise ValueError(f"invalid jinja: {error}") from None


def read_variable(name: Any, variables: dict[str, Any]) -> Any:
    """Give the value of a variable, or ABSENT for one that is not read yet."""
    if not is_storable(name):
        raise ValueError(f"there is no variable {name!r}")
    found = variables.setdefault(name, UNREAD)
    if found is None:
        raise ValueError(f"there is no variable {name!r}")
    return ABSENT if found is UNREAD else found["value"]


def is_storable(name: Any) -> bool:
    """Tell whether a name is text that PostgreSQL can be asked for."""
    try:
        return b"\0" not in name.encode()
    except (AttributeError, UnicodeEncodeError):
        return False


PLACEHOLDERS: dict[str, tuple[str, Callable[[Any, dict[str, Any]], Any]]] = {
    "none": ("value", lambda value, variables: value),
    "json": ("value", read_json),
    "jinja": ("template", render_template),
    "workspace_variable": ("variable_name", read_variable),
}
