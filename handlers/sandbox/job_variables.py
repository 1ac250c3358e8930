"""Job variables against the schema of variables in the base job template of a work pool.

The template's defaults come first, then the deployment's variables, then the run's. Only a run must have all that is
required, and not even that if a default breaks the template: it is left out, and what it would have been is not known.
"""

from typing import Any

from handlers.sandbox.json_schemas import required_by, validate


def check(schema: dict[str, Any], defaults: dict[str, Any], layers: list[dict[str, Any] | None], is_complete: bool) -> None:
    """Check layers of variables, later ones over earlier ones; with `is_complete`, that none is missing.

    Raises ValueError naming the variable that breaks the schema.
    """
    sound = defaults
    if not is_valid(defaults, schema):
        sound = {key: value for key, value in defaults.items() if is_valid({key: value}, schema)}
    variables = sound | {key: value for layer in layers for key, value in (layer or {}).items()}
    validate(variables, allow_null_defaults(schema), is_complete=is_complete and len(sound) == len(defaults))


def check_defaults(schema: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Check the defaults of a template; none of them need be there. Raises ValueError naming the variable."""
    validate(defaults, allow_null_defaults(schema), is_complete=False)


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    """Tell whether a value conforms to a schema, apart from what it may lack."""
    try:
        validate(value, schema, is_complete=False)
    except ValueError:
        return False
    return True


def allow_null_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """Let null stand for an optional variable that has a default: blocks have such, and they would fail otherwise."""
    properties, required = schema.get("properties"), required_by(schema)
    if not isinstance(properties, dict):
        return schema
    relaxed = {
        key: {"anyOf": [{"type": field["type"]}, {"type": "null"}], **{name: field[name] for name in field if name != "type"}}
        if isinstance(field, dict) and "default" in field and field.get("type", "null") != "null" and key not in required
        else field
        for key, field in properties.items()
    }
    return {**schema, "properties": relaxed}
