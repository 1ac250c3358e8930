"""The values of a form that is being filled in, checked against a JSON Schema: what is wrong, at the field that has it.

As observed on Prefect 3.8.3, but for what cannot be filled in, which is an error wherever it is: a run would be refused for it.
"""

import re
from ast import literal_eval
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from handlers.sandbox import json_schemas, placeholders
from handlers.sandbox.placeholders import ABSENT

# Errors further down stand there: orjson writes 254 levels, and each step is two.
MAX_STEPS = 100
RFC3339_TIME = r"\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"


class Unknown:
    """A value that is not known yet (a template is rendered when the run starts) or that cannot be filled in."""

    def __repr__(self) -> str:
        return "a value that is not known"


UNKNOWN = Unknown()


def find_errors(values: dict[str, Any], schema: dict[str, Any], variables: dict[str, Any]) -> dict[str, list]:
    """Give `errors` as a tree, words or objects with the errors of a `property` or an `index`; or the `variables` to be read.

    Raises ValueError for a schema that is none.
    """
    found: list[tuple[tuple, str]] = []
    filled = fill_in(values, variables, (), found)
    if names := placeholders.unread(variables):
        return {"variables": names}
    for error in json_schemas.find_errors({} if filled is ABSENT else filled, schema, make_format_checker()):
        if error.instance is UNKNOWN:
            continue
        path = tuple(error.relative_path)
        if error.validator == "required":
            # Which one is missing is only in the words: its name as Python writes it comes first.
            path += (literal_eval(error.message.removesuffix(" is a required property")),)
        found.append((path, error.message))
    return {"errors": make_tree(found)}


def fill_in(value: Any, variables: dict[str, Any], path: tuple, faults: list[tuple[tuple, str]]) -> Any:
    """Fill in the placeholders of a value; for what cannot be known an UNKNOWN, and if it never can, a fault at its path."""
    if isinstance(value, list):
        kept: list[Any] = []
        for item in value:
            if (filled := fill_in(item, variables, (*path, len(kept)), faults)) is not ABSENT:
                kept.append(filled)
        return kept
    if not isinstance(value, dict):
        return value
    kind = value.get("__prefect_kind", ABSENT)
    if kind is ABSENT:
        filled = {key: fill_in(item, variables, (*path, key), faults) for key, item in value.items()}
        return {key: item for key, item in filled.items() if item is not ABSENT}
    if kind == "none" and "value" in value:
        return fill_in(value["value"], variables, path, faults)
    try:
        if kind == "jinja" and not isinstance(value.get("template", {}), dict):
            placeholders.parse_template(value["template"])
            return UNKNOWN
        return placeholders.fill_in(value, variables)
    except ValueError as error:
        faults.append((path, str(error)))
        return UNKNOWN


def make_tree(errors: Iterable[tuple[tuple, str]]) -> list[Any]:
    """Put each error below the names and indexes of its path."""
    tree: list[Any] = []
    for path, message in errors:
        level: list[Any] = tree
        for step in path[: min(len(path) - 1, MAX_STEPS)]:
            level = enter(level, step)
        level.append({**place(path[-1]), "errors": [message]} if path else message)
    return tree


def enter(level: list[Any], step: str | int) -> list[Any]:
    """Give the errors of a property or item among those of the level above, where they are put if there are none yet."""
    found = next((entry for entry in level if isinstance(entry, dict) and place(step).items() <= entry.items()), None)
    if found is None:
        found = {**place(step), "errors": []}
        level.append(found)
    return found["errors"]


def place(step: str | int) -> dict[str, Any]:
    """Give a step of a path as the contract words it."""
    return {"index": step} if isinstance(step, int) else {"property": step}


@cache
def make_format_checker() -> FormatChecker:
    """Make the checker of formats: jsonschema's, with those of times, for which it would need another package."""
    checker = FormatChecker()
    checker.checkers = dict(Draft202012Validator.FORMAT_CHECKER.checkers)
    checker.checks("date-time", ValueError)(lambda value: is_time(value, r"\d{4}-\d\d-\d\d[Tt]" + RFC3339_TIME))
    checker.checks("time", ValueError)(lambda value: is_time(value, RFC3339_TIME, "1970-01-01T"))
    return checker


def is_time(value: Any, pattern: str, day: str = "") -> bool:
    """Tell whether a value is no string or a time of that form. Raises ValueError for one that does not exist."""
    if not isinstance(value, str):
        return True
    if not re.fullmatch(pattern, value, re.IGNORECASE | re.ASCII):
        return False
    # What Python 3.10 reads: no fraction of another length than 3 or 6, no Z.
    whole = re.sub(r"\.\d+", "", day + value.upper())
    return datetime.fromisoformat(whole.replace("Z", "+00:00")) is not None
