"""What a block schema is made of: its checksum, the schemas nested in it, and putting them together again."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from psycopg import Connection

import sql
from handlers.domain.block_trees import MAX_LEVELS, TOO_MUCH, holds_too_much
from handlers.errors import BadRequest, Conflict, invalid
from schemas.block_schemas import NO_VERSION
from sql.ids import uuid7

REFERENCES = "block_schema_references"


def register(
    conn: Connection,
    fields: dict[str, Any],
    block_type_id: str,
    capabilities: list[str] | None = None,
    version: str = NO_VERSION,
    definitions: dict[str, Any] | None = None,
    level: int = 0,
) -> tuple[str, bool]:
    """Store a schema, and those nested in it that are not stored yet; give its id and whether it is new.

    `definitions` are those of the outermost schema, which hold the fields of all nested ones. Raises Conflict when a nested
    block's type is not registered, BadRequest when there is too much in it, and Invalid when the fields of one are missing.
    """
    if level > MAX_LEVELS:
        raise BadRequest(TOO_MUCH)
    definitions = definitions or fields.get("definitions") or {}
    whole = fields | {"definitions": definitions} if definitions else fields
    digest = checksum(whole)
    if known := sql.block_schemas.find(conn, checksum=digest, version=version):
        return known, False
    stored = {key: value for key, value in whole.items() if key not in ("definitions", REFERENCES)}
    if own := own_definitions(whole, definitions):
        stored["definitions"] = own
    sql.block_schemas.create.send(
        conn,
        id=uuid7(),
        checksum=digest,
        fields=stored,
        block_type_id=block_type_id,
        capabilities=capabilities or [],
        version=version,
    )
    id = sql.block_schemas.find(conn, checksum=digest, version=version)
    for name, slug, nested_digest in nested_in(whole):
        if (nested_type_id := sql.block_types.find(conn, slug=slug)) is None:
            raise Conflict(f"The type {slug!r} of a nested block is not registered.")
        nested_id = sql.block_schemas.find(conn, checksum=nested_digest, version=None)
        if nested_id is None:
            nested = definition_of(whole, name, slug, definitions)
            nested_id, _ = register(conn, nested, nested_type_id, definitions=definitions, level=level + 1)
        sql.block_schemas.create_reference.send(conn, id=uuid7(), name=name, parent_id=id, nested_id=nested_id)
    if level == 0 and holds_too_much(id, {row["id"]: row for row in sql.block_schemas.read_trees(conn, ids=[id])}):
        raise BadRequest(TOO_MUCH)
    return id, True


def checksum(fields: dict[str, Any]) -> str:
    """Give the checksum by which clients know a schema: of sorted JSON, without secrets and the definitions of blocks."""
    content = without_secrets(fields)
    if definitions := content.pop("definitions", None):
        own = own_definitions(content | {"definitions": definitions}, definitions)
        content |= {"definitions": own} if own else {}
    elif "definitions" in fields:
        content["definitions"] = definitions
    # The client hashes the arguments of a call: a tuple of one, and no keywords.
    return "sha256:" + hashlib.sha256(json.dumps([[content], {}], sort_keys=True).encode()).hexdigest()


def without_secrets(value: Any) -> Any:
    """Leave out what says which fields are secret, however deep in objects."""
    if not isinstance(value, dict):
        return value
    return {key: without_secrets(item) for key, item in value.items() if key != "secret_fields"}


def own_definitions(fields: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Give those definitions that fields refer to, directly or not, and that are neither empty nor blocks."""
    found, waiting = {}, list(references(fields))
    while waiting:
        key = waiting.pop().removeprefix("#/definitions/")
        definition = definitions.get(key) if isinstance(definitions, dict) else None
        if key not in found and isinstance(definition, dict) and definition and definition.get("block_type_slug") is None:
            found[key] = definition
            waiting += references(definition)
    return found


def references(value: Any) -> Iterator[str]:
    """Give the JSON references in a value, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def nested_in(fields: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Give, of each block that fields hold, the name of the field, its type's slug and its schema's checksum."""
    try:
        for name, given in (fields.get(REFERENCES) or {}).items():
            for one in given if isinstance(given, list) else [given]:
                slug, digest = one["block_type_slug"], one["block_schema_checksum"]
                if not isinstance(slug, str) or not isinstance(digest, str):
                    raise TypeError
                yield name, slug, digest
    except (TypeError, KeyError, AttributeError):
        raise invalid("must hold objects with a block_type_slug and a block_schema_checksum", "fields", REFERENCES) from None


def definition_of(fields: dict[str, Any], name: str, slug: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of the block of a type that a field holds. Raises Invalid when they are not among the definitions."""
    properties = fields.get("properties")
    spec = properties.get(name) if isinstance(properties, dict) else None
    found = [definitions.get(reference.removeprefix("#/definitions/")) for reference in references(spec)]
    found = [definition for definition in found if isinstance(definition, dict)]
    for definition in found:
        if len(found) == 1 or definition.get("block_type_slug") == slug:
            return definition
    raise invalid(f"must have the definition of the block in {name}", "fields", "definitions")


def assemble(id: str, found: dict[str, dict[str, Any]], above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give a schema with the references and definitions of the schemas nested in it; `found` are the rows of all, by id."""
    shown = found[id]["shown"]
    held: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for nested in found[id]["nested"]:
        row = found[nested["id"]]["shown"]
        reference = {"block_schema_checksum": row["checksum"], "block_type_slug": row["block_type"]["slug"]}
        others = held.setdefault(nested["name"], [])
        if reference not in others:
            others.append(reference)
        if nested["id"] in (*above, id):
            continue
        inner = assemble(nested["id"], found, (*above, id))["fields"]
        if inner.get("title") is not None:
            beyond = inner.pop("definitions", {})
            definitions |= {inner["title"]: inner} | beyond
    fields = shown["fields"] | {REFERENCES: {name: given[0] if len(given) == 1 else given for name, given in held.items()}}
    if definitions:
        fields["definitions"] = fields.get("definitions", {}) | definitions
    return shown | {"fields": fields}
