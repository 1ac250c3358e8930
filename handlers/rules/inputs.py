"""The input that a paused run is resumed with: its placeholders are filled in, then it is checked against a JSON Schema.

A value may stand as an object with `__prefect_kind`: `none` (its value as it is), `json` (JSON text), `jinja` (a template,
rendered in a sandbox) or `workspace_variable` (the value of a variable). As observed on Prefect 3.8.3.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import orjson
from psycopg import Connection

import sql

ABSENT = object()
MAX_TEMPLATE_CHARACTERS = 100_000
# orjson writes 254 levels, and values are inside of other documents when they are stored and shown.
LEVELS_AROUND = 50
# The id of a block, or an object of strings that names it.
BLOCK_REFERENCE = {
    "type": "object",
    "properties": {
        "$ref": {
            "anyOf": [
                {"type": "string", "format": "uuid"},
                {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
            ]
        }
    },
    "required": ["$ref"],
}


def hydrate(conn: Connection, values: dict[str, Any]) -> dict[str, Any]:
    """Fill in the placeholders of an object. Raises ValueError saying which one cannot be, or that no object comes of it."""
    filled = fill_in(conn, values)
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


def fill_in(conn: Connection, value: Any) -> Any:
    """Do what hydrate does for any JSON value, but give ABSENT for a placeholder that is to be left out with its key or place."""
    if isinstance(value, list):
        return [filled for item in value if (filled := fill_in(conn, item)) is not ABSENT]
    if not isinstance(value, dict):
        return value
    if "__prefect_kind" not in value:
        return {key: filled for key, item in value.items() if (filled := fill_in(conn, item)) is not ABSENT}
    kind = value["__prefect_kind"] if isinstance(value["__prefect_kind"], str) else ""
    key, fill = PLACEHOLDERS.get(kind, ("value", None))
    if key not in value:
        if kind in ("json", "workspace_variable") or fill is None:
            return ABSENT if fill else None
        raise ValueError(f"a {kind!r} placeholder lacks {key!r}")
    given = value[key]
    if kind == "none" or isinstance(given, dict):
        given = fill_in(conn, given)
    return fill(conn, given) if fill and given is not ABSENT else given


def read_json(conn: Connection, text: Any) -> Any:
    """Read JSON text; what is not text is taken as it is."""
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError as error:
        raise ValueError(f"invalid JSON: {error}") from None


def render_template(conn: Connection, template: Any) -> str:
    """Render a Jinja template that has no context, in a sandbox."""
    parsed = parse_template(template)
    try:
        return parsed.render()
    except Exception as error:  # a template is a program: what it raises is its own fault
        raise ValueError(f"invalid jinja: {error}") from None


def parse_template(template: Any) -> Any:
    """Make a Jinja template of its text. Raises ValueError for what is none."""
    from jinja2 import ChainableUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if not isinstance(template, str) or len(template) > MAX_TEMPLATE_CHARACTERS:
        raise ValueError("invalid jinja: not a template")
    environment = ImmutableSandboxedEnvironment(undefined=ChainableUndefined)
    environment.globals.pop("range")
    try:
        return environment.from_string(template)
    except (TemplateError, SyntaxError, RecursionError) as error:  # Python has limits on nesting that Jinja does not know
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


def validate(value: Any, schema: Any, is_complete: bool = True) -> None:
    """Check a value against a JSON Schema (draft 2020-12). Raises ValueError naming the field that breaks it.

    What is not complete may lack what is required, at any depth.
    """
    for error in find_errors(value, schema, is_complete=is_complete):
        field = f" for field {error.json_path.removeprefix('$.')!r}" if error.json_path != "$" else ""
        raise ValueError(f"Validation failed{field}. Failure reason: {error.message}")


def find_errors(value: Any, schema: Any, format_checker: Any = None, is_complete: bool = True) -> Iterator[Any]:
    """Give the errors of a value by a JSON Schema as jsonschema words them. Raises ValueError for a schema that is none.

    What the schema refers to must be within it: nothing is fetched.
    """
    # Imported here: it takes 60 ms and 8 MiB, and few servers ever need it.
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    relaxed = relax(schema) if is_complete else without_required(relax(schema))
    try:
        Draft202012Validator.check_schema(relaxed)
        yield from Draft202012Validator(relaxed, registry=Registry(), format_checker=format_checker).iter_errors(value)
    except SchemaError as error:
        raise ValueError(f"invalid schema: {error.message}") from None
    except Unresolvable as error:
        raise ValueError(f"Validation failed. Failure reason: {error}") from None
    except RecursionError:
        raise ValueError("Unable to validate schema with circular references.") from None


def relax(schema: Any) -> Any:
    """Let null stand for an optional field that has no default and a reference for a block; read lists of `items` as tuples.

    Flows send schemas that mean this without saying it, those written with pydantic 1 most of it.
    """
    schema = deepcopy(schema)
    definitions = schema.get("definitions") if isinstance(schema, dict) else None
    definitions = definitions if isinstance(definitions, dict) else {}
    for part in (schema, *definitions.values()):
        relax_properties(part)
    for key, part in definitions.items():
        if isinstance(part, dict) and "block_type_slug" in part:
            definitions[key] = {"anyOf": [part, BLOCK_REFERENCE]}
    return schema


def without_required(schema: Any) -> Any:
    """Give a schema in which nothing is required, at any depth."""
    if isinstance(schema, list):
        return [without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_required(item) for key, item in schema.items() if key != "required" or isinstance(item, dict)}


def relax_properties(schema: Any) -> None:
    """Relax the properties of one object's schema, and of those nested in it."""
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        return
    required = schema.get("required") if isinstance(schema.get("required"), list) else ()
    for key, field in schema["properties"].items():
        if not isinstance(field, dict):
            continue
        if key not in required and "default" not in field and field.get("type", "null") != "null":
            field["anyOf"] = [{"type": field.pop("type")}, {"type": "null"}]
        if isinstance(field.get("items"), list) and "prefixItems" not in field:
            field["prefixItems"] = field.pop("items")
        relax_properties(field)
