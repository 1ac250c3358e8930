"""Values that users send, with placeholders for others, and the JSON Schemas that they keep to.

What users store is run in the sandbox: no transaction or connection may be held by who calls this.
"""

from typing import Any

import sql
from handlers.sandbox.pool import run
from schemas.documents import write_document
from sql.database import connection

MAX_READINGS = 10  # a placeholder may say in a placeholder which variable it stands for


def hydrate(values: dict[str, Any]) -> dict[str, Any]:
    """Fill in the placeholders of an object. Raises ValueError saying which one cannot be, or that no object comes of it."""
    if b'"__prefect_kind"' not in write_document(values):
        return values
    return run_with_variables("hydrate", values=values)["filled"]


def find_form_errors(values: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Give what is wrong with the values of a form, as sandbox.forms. Raises ValueError for a schema that is none."""
    return run_with_variables("find_form_errors", values=values, schema=schema)["errors"]


def validate(value: Any, schema: Any, is_complete: bool = True) -> None:
    """Check a value against a JSON Schema (draft 2020-12). Raises ValueError naming the field that breaks it.

    What is not complete may lack what is required, at any depth.
    """
    run("validate", value=value, schema=schema, is_complete=is_complete)


def run_with_variables(function: str, **arguments: Any) -> dict[str, Any]:
    """Run a function of the sandbox, again as long as it asks for variables. Raises ValueError as it does."""
    variables: dict[str, Any] = {}
    for _ in range(MAX_READINGS):
        outcome = run(function, variables=variables, **arguments)
        if not (names := outcome.get("variables")):
            return outcome
        with connection() as conn:
            found = sql.variables.read_values(conn, names=names)
        variables |= dict.fromkeys(names) | {row["name"]: {"value": row["value"]} for row in found}
    raise ValueError("the placeholders for variables stand too deeply in one another")
