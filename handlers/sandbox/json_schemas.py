"""JSON Schema, draft 2020-12, as the schemas that flows send mean it."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator, FormatChecker, SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

# Checking a schema takes thirty times as long as checking a value by it, so the schemas of late are kept.
KEPT_SCHEMAS, KEPT_SCHEMA_BYTES = 64, 65_536
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


def validate(value: Any, schema: Any, is_complete: bool = True) -> None:
    """Check a value against a JSON Schema. Raises ValueError naming the field that breaks it.

    What is not complete may lack what is required, at any depth.
    """
    for error in find_errors(value, schema, is_complete=is_complete):
        field = f" for field {error.json_path.removeprefix('$.')!r}" if error.json_path != "$" else ""
        raise ValueError(f"Validation failed{field}. Failure reason: {error.message}")


def find_errors(
    value: Any, schema: Any, format_checker: FormatChecker | None = None, is_complete: bool = True
) -> Iterator[ValidationError]:
    """Give the errors of a value by a JSON Schema as jsonschema words them. Raises ValueError for a schema that is none.

    What the schema refers to must be within it: nothing is fetched.
    """
    text = orjson.dumps(schema)
    make = make_validator if len(text) <= KEPT_SCHEMA_BYTES else make_validator.__wrapped__
    try:
        yield from make(text, format_checker, is_complete).iter_errors(value)
    except SchemaError as error:
        raise ValueError(f"invalid schema: {error.message}") from None
    except Unresolvable as error:
        raise ValueError(f"Validation failed. Failure reason: {error}") from None
    except RecursionError:
        raise ValueError("Unable to validate schema with circular references.") from None
    except MemoryError:
        raise
    except Exception as error:  # a pattern that is none, say: what a schema makes jsonschema raise is its own fault
        raise ValueError(f"invalid schema: {type(error).__name__}: {error}") from None


@lru_cache(maxsize=KEPT_SCHEMAS)
def make_validator(text: bytes, format_checker: FormatChecker | None, is_complete: bool) -> Draft202012Validator:
    """Make the validator of a schema that is JSON text. Raises SchemaError for one that is none."""
    schema = relax(orjson.loads(text))
    if not is_complete:
        schema = without_required(schema)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=Registry(), format_checker=format_checker)


def relax(schema: Any) -> Any:
    """Let null stand for an optional field that has no default and a reference for a block; read lists of `items` as tuples.

    Flows send schemas that mean this without saying it, those written with pydantic 1 most of it. The schema is changed.
    """
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
    required = required_by(schema)
    for key, field in schema["properties"].items():
        if not isinstance(field, dict):
            continue
        if key not in required and "default" not in field and field.get("type", "null") != "null":
            field["anyOf"] = [{"type": field.pop("type")}, {"type": "null"}]
        if isinstance(field.get("items"), list) and "prefixItems" not in field:
            field["prefixItems"] = field.pop("items")
        relax_properties(field)


def required_by(schema: dict[str, Any]) -> list[Any]:
    """Give what an object's schema requires; nothing if that is no list."""
    required = schema.get("required")
    return required if isinstance(required, list) else []
