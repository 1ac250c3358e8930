"""Random requests to the operations that filter: made from the schemas, with values that rows have, so that they find some.

Not by Hypothesis: of what it makes, most is empty or null, and finds everything or nothing.
"""

from datetime import timedelta
from random import Random
from typing import Any

from marshmallow import Schema, fields

from schemas.fields import Id, Integer, Time
from tests.filter_rows import STATE_NAMES, TAGS, Rows

NOBODY = "00000000-0000-4000-8000-000000000000"
PARTS_OF_NAMES = ("alpha", "ALPHA", "A_", "%", "_", "\\", "\\_", "l%h", "-", "ürich", "b-", "'", '"', "{", "nothing", "")
QUERIES = ("error", "+error", "-debug", "error timeout", '"connection lost"', "+lost -error", "ZÜRICH", "nothing", "")
# The columns of lists that are not called as the object that they are in.
COLUMNS = {"state.type": "state_type", "state.name": "state_name"}


def make_request(choice: Random, schema: type[Schema], own: str, rows: Rows) -> dict[str, Any]:
    """Make a body of an operation by its schema: criteria for some resources, a sort, a part of the list."""
    arguments = schema().fields
    objects = {name: field for name, field in arguments.items() if isinstance(field, fields.Nested)}
    chosen = {own} if choice.random() < 0.7 else set()
    chosen |= set(choice.sample(sorted(objects), choice.choice((0, 0, 1, 1, 2, 3)) % (len(objects) + 1)))
    body = {objects[name].data_key or name: make_criteria(choice, objects[name].schema, name, rows) for name in sorted(chosen)}
    if "sort" in arguments:
        body["sort"] = choice.choice(arguments["sort"].validate.choices)
    body["limit"] = choice.choice((200, 200, 200, 5, 1, 0))
    if "offset" in arguments:
        body["offset"] = choice.choice((0, 0, 0, 1, 3, 500))
    if "page" in arguments:
        body["page"] = choice.choice((1, 1, 2, 9))
    return body


def make_criteria(choice: Random, schema: Schema, resource: str, rows: Rows) -> dict[str, Any]:
    """Make a filter object of a schema."""
    return some_of(choice, schema, (), rows[resource.removesuffix("s")], rows)


def some_of(choice: Random, schema: Schema, path: tuple, own: list[dict], rows: Rows) -> dict[str, Any]:
    """Make an object with a few of a schema's fields, joined as it may be; with many, hardly anything would be found."""
    names = [name for name in schema.fields if name != "operator"]
    chosen = choice.sample(names, min(len(names), choice.choice((0, 1, 1, 1, 1, 2, 2, 3))))
    chosen += [name for name in names if schema.fields[name].required and name not in chosen]
    found = {name: value_of(choice, schema.fields[name], (*path, name), own, rows) for name in chosen}
    if "operator" in schema.fields and choice.random() < 0.6:
        found["operator"] = choice.choice(("and_", "or_", "or_"))
    return found


def value_of(choice: Random, field: fields.Field, path: tuple, own: list[dict], rows: Rows) -> Any:
    """Make a value of a field of a filter, now and then null or none."""
    if field.allow_none and choice.random() < 0.06:
        return None
    if isinstance(field, fields.Nested):
        return some_of(choice, field.schema, path, own, rows)
    if isinstance(field, fields.Boolean):
        return choice.random() < 0.5
    if isinstance(field, Integer):
        return choice.choice((0, 2, 20, 40))
    if isinstance(field, fields.List):
        known = known_values(field, path, own, rows)
        if path[-1] == "all_":
            return choice.sample(known, choice.choice((0, 1, 1, 2)))
        return choice.sample(known, choice.choice((0, 1, 2, len(known) // 3, len(known) // 2)) % (len(known) + 1))
    if isinstance(field, Time):
        known = sorted(row[path[0]] for row in own if row[path[0]])
        return choice.choice([*known, known[0] - timedelta(days=1)]).isoformat()
    return choice.choice(QUERIES if path[-1] == "query" else PARTS_OF_NAMES)


def known_values(field: fields.List, path: tuple, own: list[dict], rows: Rows) -> list[Any]:
    """Give what may stand in a list: what rows have there, and something that none has."""
    *above, operator = path
    column = COLUMNS.get(".".join(above), above[0])
    if column == "tags":
        return [*TAGS, "nothing"]
    if column == "parent_flow_run_id":
        return [*(row["id"] for row in rows["flow_run"]), NOBODY]
    found = [row[column] for row in own if row[column] is not None]
    if column == "created_by":
        found = [creator[operator.rstrip("_")] for creator in found]
    if operator == "startswith_":
        found = [name[: len(name) // 2].upper() for name in found] + ["%", "a_"]
    if isinstance(field.inner, Id):
        found.append(NOBODY)
    elif not field.inner.validate:
        found += ["nothing", *(STATE_NAMES if column == "state_name" else ())]
    return sorted(set(found))
