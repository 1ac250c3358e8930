"""Checking job variables against the base job template of a work pool.

The template's defaults come first, then the deployment's variables, then the run's. Only a run must have all that is
required, and not even that if a default breaks the template: it is left out, and what it would have been is not known.
"""

from collections.abc import Mapping
from typing import Any

from handlers.rules.inputs import validate


def check_job_variables(template: Any, *layers: Mapping[str, Any] | None, is_complete: bool = False) -> None:
    """Check layers of variables, later ones over earlier ones; with `is_complete`, that none is missing.

    Raises ValueError naming the variable that breaks the template. A template without variables allows everything.
    """
    schema = template.get("variables") if isinstance(template, dict) else None
    if not isinstance(schema, dict) or not schema:
        return
    lenient = without_required(schema)
    defaults, are_sound = read_defaults(schema, lenient)
    variables = defaults | {key: value for layer in layers for key, value in (layer or {}).items()}
    validate(variables, allow_null_defaults(schema if is_complete and are_sound else lenient))


def check_run(deployment: Mapping[str, Any], job_variables: Mapping[str, Any] | None) -> None:
    """Check the job variables of a run over those of its deployment, as sql.deployments.read_for_run gives it.

    Raises ValueError. Without a work pool there is nothing to check.
    """
    if deployment["work_pool_id"]:
        check_job_variables(deployment["base_job_template"], deployment["job_variables"], job_variables, is_complete=True)


def read_defaults(schema: dict[str, Any], lenient: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Give the defaults of a template's variables that are sound, and whether all are; references to blocks are not known."""
    properties = schema.get("properties")
    fields = properties.items() if isinstance(properties, dict) else ()
    given = {key: field["default"] for key, field in fields if isinstance(field, dict) and "default" in field}
    sound = {key: value for key, value in given.items() if not (isinstance(value, dict) and "$ref" in value)}
    if not is_valid(sound, lenient):
        sound = {key: value for key, value in sound.items() if is_valid({key: value}, lenient)}
    return sound, len(sound) == len(given)


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    """Tell whether a value conforms to a schema."""
    try:
        validate(value, schema)
    except ValueError:
        return False
    return True


def without_required(schema: Any) -> Any:
    """Give a schema in which nothing is required, at any depth."""
    if isinstance(schema, list):
        return [without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_required(item) for key, item in schema.items() if key != "required" or isinstance(item, dict)}


def allow_null_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """Let null stand for an optional variable that has a default: blocks have such, and they would fail otherwise."""
    properties, required = schema.get("properties"), schema.get("required", ())
    if not isinstance(properties, dict):
        return schema
    relaxed = {
        key: {"anyOf": [{"type": field["type"]}, {"type": "null"}], **{name: field[name] for name in field if name != "type"}}
        if isinstance(field, dict) and "default" in field and field.get("type", "null") != "null" and key not in required
        else field
        for key, field in properties.items()
    }
    return {**schema, "properties": relaxed}
