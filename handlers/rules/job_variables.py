"""Checking job variables against the base job template of a work pool.

The template's defaults come first, then the deployment's variables, then the run's. Only a run must have all that is
required, and not even that if a default breaks the template: it is left out, and what it would have been is not known.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from psycopg import Connection

import sql
from handlers.errors import NotFound
from handlers.rules.block_documents import assemble
from handlers.rules.encryption import cipher
from handlers.rules.inputs import validate


def check_job_variables(conn: Connection, template: Any, *layers: Mapping[str, Any] | None, is_complete: bool = False) -> None:
    """Check layers of variables, later ones over earlier ones; with `is_complete`, that none is missing.

    Raises ValueError naming the variable that breaks the template, and NotFound for a default whose block is gone. A template
    without variables allows everything.
    """
    schema = template.get("variables") if isinstance(template, dict) else None
    if not isinstance(schema, dict) or not schema:
        return
    defaults = read_defaults(conn, schema)
    sound = defaults
    if not is_valid(defaults, schema):
        sound = {key: value for key, value in defaults.items() if is_valid({key: value}, schema)}
    variables = sound | {key: value for layer in layers for key, value in (layer or {}).items()}
    validate(variables, allow_null_defaults(schema), is_complete=is_complete and len(sound) == len(defaults))


def check_changed(template: Any, job_variables: Mapping[str, Any]) -> None:
    """Check the variables that a deployment is to have instead of its own; the template's defaults are not looked at.

    Raises ValueError naming the variable that breaks the template.
    """
    schema = template.get("variables") if isinstance(template, dict) else None
    if isinstance(schema, dict):
        validate(job_variables, schema, is_complete=False)


def check_defaults(conn: Connection, template: Mapping[str, Any]) -> None:
    """Check the defaults of a base job template against its own schema of variables; none of them need be there.

    Raises ValueError naming the variable, and NotFound for a default that refers to a block that is not there.
    """
    schema = template.get("variables", {})
    validate(read_defaults(conn, schema), allow_null_defaults(schema), is_complete=False)


def check_run(conn: Connection, deployment: Mapping[str, Any], job_variables: Mapping[str, Any] | None) -> None:
    """Check the job variables of a run over those of its deployment, as sql.deployments.read_for_run gives it.

    Raises ValueError and NotFound as check_job_variables. Without a work pool there is nothing to check.
    """
    if deployment["work_pool_id"]:
        template = deployment["base_job_template"]
        check_job_variables(conn, template, deployment["job_variables"], job_variables, is_complete=True)


def read_defaults(conn: Connection, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give the defaults of a template's variables. One that refers to a block is what that holds, its secrets hidden.

    A reference that names no block is no default. Raises NotFound for a block that is not there.
    """
    properties = schema.get("properties")
    fields = properties.items() if isinstance(properties, dict) else ()
    defaults = {key: field["default"] for key, field in fields if isinstance(field, dict) and "default" in field}
    for key in [key for key, value in defaults.items() if isinstance(value, dict) and "$ref" in value]:
        reference = defaults.pop(key)["$ref"]
        id = reference.get("block_document_id") if isinstance(reference, dict) else None
        if id is not None:
            defaults[key] = read_block(conn, id)
    return defaults


def read_block(conn: Connection, id: Any) -> dict[str, Any]:
    """Give what a block holds. Raises NotFound."""
    try:
        id = str(UUID(id))
        found = {row["id"]: row for row in sql.block_documents.read_trees(conn, ids=[id])}
    except (ValueError, TypeError, AttributeError):
        found = {}
    if id not in found:
        raise NotFound(f"Block {id}")
    return assemble(id, found, cipher(conn), include_secrets=False)["data"]


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    """Tell whether a value conforms to a schema, apart from what it may lack."""
    try:
        validate(value, schema, is_complete=False)
    except ValueError:
        return False
    return True


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
