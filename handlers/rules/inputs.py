"""The input that a paused run is resumed with: its placeholders are filled in, then it is checked against a JSON Schema.

A value may stand as an object with `__prefect_kind`: `none` (its value as it is), `json` (JSON text), `jinja` (a template,
rendered in a sandbox) or `workspace_variable` (the value of a variable). As observed on Prefect 3.8.3.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import orjson
from psycopg import Connection

import sql

ABSENT = object()
MAX_TEMPLATE_CHARACTERS = 100_000


def hydrate(conn: Connection, value: Any) -> Any:
    """Fill in the placeholders of a JSON value. Raises ValueError saying which one cannot be."""
    if isinstance(value, list):
        return [filled for item in value if (filled := hydrate(conn, item)) is not ABSENT]
    if not isinstance(value, dict):
        return value
    if "__prefect_kind" not in value:
        return {key: filled for key, item in value.items() if (filled := hydrate(conn, item)) is not ABSENT}
    kind = value["__prefect_kind"] if isinstance(value["__prefect_kind"], str) else ""
    key, fill = PLACEHOLDERS.get(kind, ("value", None))
    if key not in value:
        if kind in ("json", "workspace_variable") or fill is None:
            return ABSENT if fill else None
        raise ValueError(f"a {kind!r} placeholder lacks {key!r}")
    given = value[key]
    if kind == "none" or isinstance(given, dict):
        given = hydrate(conn, given)
    return fill(conn, given) if fill else given


def read_json(conn: Connection, text: Any) -> Any:
    """Read JSON text; what is not text is taken as it is."""
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError as error:
        raise ValueError(f"invalid JSON: {error}") from None


def render_template(conn: Connection, template: Any) -> str:
    """Render a Jinja template that has no context, in a sandbox."""
    from jinja2 import ChainableUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if not isinstance(template, str) or len(template) > MAX_TEMPLATE_CHARACTERS:
        raise ValueError("invalid jinja: not a template")
    environment = ImmutableSandboxedEnvironment(undefined=ChainableUndefined)
    environment.globals.pop("range")
    try:
        return environment.from_string(template).render()
    except (TemplateError, ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"invalid jinja: {error}") from None


def read_variable(conn: Connection, name: Any) -> Any:
    """Give the value of a variable."""
    variable = sql.variables.read_value(conn, name=name) if isinstance(name, str) else None
    if variable is None:
        raise ValueError(f"there is no variable {name!r}")
    return variable["value"]


PLACEHOLDERS: dict[str, tuple[str, Callable[[Connection, Any], Any]]] = {
    "none": ("value", lambda conn, value: value),
    "json": ("value", read_json),
    "jinja": ("template", render_template),
    "workspace_variable": ("variable_name", read_variable),
}


def validate(value: Any, schema: Any) -> None:
    """Check a value against a JSON Schema (draft 2020-12). Raises ValueError naming the field that breaks it."""
    # Imported here: it takes 60 ms and 8 MiB, and few servers ever need it.
    from jsonschema import Draft202012Validator, SchemaError, ValidationError
    from referencing.exceptions import Unresolvable

    validator = Draft202012Validator(allow_nulls(schema))
    try:
        validator.check_schema(validator.schema)
        validator.validate(value)
    except SchemaError as error:
        raise ValueError(f"invalid schema: {error.message}") from None
    except Unresolvable as error:
        raise ValueError(f"Validation failed. Failure reason: {error}") from None
    except RecursionError:
        raise ValueError("Unable to validate schema with circular references.") from None
    except ValidationError as error:
        field = f" for field {error.json_path.removeprefix('$.')!r}" if error.json_path != "$" else ""
        raise ValueError(f"Validation failed{field}. Failure reason: {error.message}") from None


def allow_nulls(schema: Any) -> Any:
    """Let null stand for an optional field that has no default, and read lists of `items` as tuples.

    Flows written with pydantic 1 send schemas that mean this without saying it.
    """
    schema = deepcopy(schema)
    definitions = schema.get("definitions") if isinstance(schema, dict) else None
    for part in (schema, *(definitions.values() if isinstance(definitions, dict) else ())):
        relax_properties(part)
    return schema


def relax_properties(schema: Any) -> None:
    """Apply allow_nulls to the properties of one object's schema, and of those nested in it."""
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        return
    for key, field in schema["properties"].items():
        if not isinstance(field, dict):
            continue
        if key not in schema.get("required", ()) and "default" not in field and field.get("type", "null") != "null":
            field["anyOf"] = [{"type": field.pop("type")}, {"type": "null"}]
        if isinstance(field.get("items"), list) and "prefixItems" not in field:
            field["prefixItems"] = field.pop("items")
        relax_properties(field)
