"""Checking job variables against the base job template of a work pool; what they are is in sandbox/job_variables.py.

No transaction or connection may be held by who calls this: the schema of variables is the user's.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from psycopg import Connection

import sql
from handlers.domain.block_documents import assemble
from handlers.domain.block_trees import bounded
from handlers.domain.encryption import cipher
from handlers.domain.inputs import validate
from handlers.errors import NotFound
from handlers.sandbox.pool import run
from sql.database import connection


def check_job_variables(template: Any, *layers: Mapping[str, Any] | None, is_complete: bool = False) -> None:
    """Check layers of variables, later ones over earlier ones; with `is_complete`, that none is missing.

    Raises ValueError naming the variable that breaks the template, and NotFound for a default whose block is gone. A template
    without variables allows everything.
    """
    if schema := variables_of(template):
        run("check_job_variables", schema=schema, defaults=read_defaults(schema), layers=layers, is_complete=is_complete)


def check_changed(template: Any, job_variables: Mapping[str, Any]) -> None:
    """Check the variables that a deployment is to have instead of its own; the template's defaults are not looked at.

    Raises ValueError naming the variable that breaks the template.
    """
    if schema := variables_of(template):
        validate(job_variables, schema, is_complete=False)


def check_defaults(template: Any) -> None:
    """Check the defaults of a base job template against its own schema of variables; none of them need be there.

    Raises ValueError naming the variable, and NotFound for a default that refers to a block that is not there.
    """
    if schema := variables_of(template):
        run("check_job_defaults", schema=schema, defaults=read_defaults(schema))


def check_run(deployment: Mapping[str, Any], job_variables: Mapping[str, Any] | None) -> None:
    """Check the job variables of a run over those of its deployment, as sql.deployments.read_for_run gives it.

    Raises ValueError and NotFound as check_job_variables. Without a work pool there is nothing to check.
    """
    if deployment["work_pool_id"]:
        check_job_variables(deployment["base_job_template"], deployment["job_variables"], job_variables, is_complete=True)


def variables_of(template: Any) -> dict[str, Any]:
    """Give the schema of a template's variables, empty if it has none."""
    schema = template.get("variables") if isinstance(template, dict) else None
    return schema if isinstance(schema, dict) else {}


def read_defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give the defaults of a template's variables. One that refers to a block is what that holds, its secrets hidden.

    A reference that names no block is no default. Raises NotFound for a block that is not there.
    """
    properties = schema.get("properties")
    fields = properties.items() if isinstance(properties, dict) else ()
    defaults = {key: field["default"] for key, field in fields if isinstance(field, dict) and "default" in field}
    references = {key: defaults.pop(key)["$ref"] for key in list(defaults) if refers(defaults[key])}
    ids = {key: given.get("block_document_id") for key, given in references.items() if isinstance(given, dict)}
    if ids:
        with connection() as conn:
            defaults |= {key: read_block(conn, id) for key, id in ids.items() if id is not None}
    return defaults


def refers(default: Any) -> bool:
    """Tell whether a default is a reference."""
    return isinstance(default, dict) and "$ref" in default


def read_block(conn: Connection, id: Any) -> dict[str, Any]:
    """Give what a block holds. Raises NotFound."""
    try:
        id = str(UUID(id))
        found = {row["id"]: row for row in sql.block_documents.read_trees(conn, ids=[id])}
    except (ValueError, TypeError, AttributeError):
        found = {}
    if id not in found:
        raise NotFound(f"Block {id}")
    return assemble(id, bounded(id, found), cipher(conn), include_secrets=False)["data"]
