"""The values of block documents: which are secret, which are other blocks, and showing them all together."""

from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet

from handlers.domain.encryption import decrypt
from handlers.errors import BadRequest

HIDDEN = "********"


def hide(values: Any, path: list[str]) -> Any:
    """Put stars in the place of a secret. The path leads to it by keys; with * it ends in all that is from there on."""
    if not path:
        return values if values is None or (isinstance(values, dict) and values) else HIDDEN
    if path[0] == "*":
        return {key: hide(item, path) for key, item in values.items()} if isinstance(values, dict) and values else HIDDEN
    if not isinstance(values, dict) or path[0] not in values:
        return values
    return values | {path[0]: hide(values[path[0]], path[1:])}


def restore(values: Any, present: Any, path: list[str]) -> Any:
    """Put the present secret back where a client sent the stars that it was shown."""
    if isinstance(values, dict) and values:
        if path and path[0] != "*":
            if path[0] not in values or not isinstance(present, dict):
                return values
            return values | {path[0]: restore(values[path[0]], present.get(path[0]), path[1:])}
        if path:
            below = present if isinstance(present, dict) else {}
            return {key: restore(item, below.get(key, HIDDEN), path) for key, item in values.items()}
        return values
    return present if values == HIDDEN and (path == ["*"] or (path == [] and present is not None)) else values


def secret_paths(fields: Any) -> list[list[str]]:
    """Give the paths of a schema's secret fields."""
    return [field.split(".") for field in fields or [] if isinstance(field, str)]


def separate(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Take apart plain values and blocks; of these, give the ids by field. A block is `{"$ref": {"block_document_id": id}}`.

    Raises BadRequest naming the field whose reference is of another form.
    """
    blocks = {}
    for key, value in values.items():
        if isinstance(value, dict) and "$ref" in value:
            try:
                blocks[key] = str(UUID(value["$ref"]["block_document_id"]))
            except (TypeError, KeyError, ValueError, AttributeError):
                raise BadRequest(f"The reference in {key!r} must hold a block_document_id that is a UUID.") from None
    return {key: value for key, value in values.items() if key not in blocks}, blocks


def assemble(
    id: str, found: dict[str, dict[str, Any]], fernet: Fernet, include_secrets: bool, above: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Give a document with its values and those of the documents nested in it; `found` are the rows of all, by id."""
    row = found[id]
    if "values" not in row:  # the same one may be in several places
        row["values"] = decrypt(fernet, row["data"]) if isinstance(row["data"], str) else {}
        for path in [] if include_secrets else secret_paths(row["secret_fields"]):
            row["values"] = hide(row["values"], path)
    values = dict(row["values"])
    blocks = {}
    for nested in row["nested"]:
        if nested["id"] in (*above, id):
            continue
        inner = assemble(nested["id"], found, fernet, include_secrets, (*above, id))
        values[nested["name"]] = inner["data"]
        told = {key: inner[key] for key in ("id", "name", "block_type", "is_anonymous", "block_document_references")}
        blocks[nested["name"]] = {"block_document": told}
    return row["shown"] | {"data": values, "block_document_references": blocks}
