"""The block types that there are from the start: Prefect's own, and those of integrations where the web UI is installed.

Prefect 3.8.3 registers them whenever its server starts. Here those are registered that are missing; what clients made of a
type since stays as it is.
"""

import html
from pathlib import Path
from typing import Any

import orjson
from psycopg import Connection

import sql
from handlers.domain.block_schemas import register
from handlers.domain.prefect_files import BLOCKS, read_json
from sql.ids import uuid7

OWN = orjson.loads(Path(__file__).with_name("block_types.json").read_bytes())["block_types"]


def catalog() -> list[dict[str, Any]]:
    """Give all block types, each with its `block_schema`."""
    packages = (read_json(BLOCKS) or {"collections": {}})["collections"].values()
    return [*OWN.values(), *(each for package in packages for each in package["block_types"].values())]


def install_block_types(conn: Connection, block_types: list[dict[str, Any]]) -> None:
    """Register those of the block types and of their schemas that are missing, in the transaction of the caller."""
    sql.block_types.create_missing(conn, block_types=[describe(each) for each in block_types])
    schemas = {each["slug"]: each["block_schema"] for each in block_types}
    checksums, versions = zip(*((each["checksum"], each["version"]) for each in schemas.values()), strict=True)
    found = sql.block_schemas.find_known(conn, checksums=list(checksums), versions=list(versions))
    known = {(row["checksum"], row["version"]) for row in found}
    missing = {slug: each for slug, each in schemas.items() if (each["checksum"], each["version"]) not in known}
    if not missing:
        return
    ids = {row["slug"]: row["id"] for row in sql.block_types.find_many(conn, slugs=list(missing))}
    # A schema has the definitions of all that are nested in it, so that these come first.
    for slug, each in sorted(missing.items(), key=lambda item: len(item[1]["fields"].get("definitions") or {})):
        register(conn, each["fields"], ids[slug], each["capabilities"], each["version"])


def describe(block_type: dict[str, Any]) -> dict[str, Any]:
    """Give the columns of a block type. Markup in its texts is escaped, for they are shown as they are."""
    fields = block_type["block_schema"]["fields"]
    texts = {
        "description": block_type.get("description") or fields.get("description"),
        "code_example": block_type.get("code_example"),
    }
    escaped = {key: text and html.escape(text, quote=False) for key, text in texts.items()}
    columns = {key: block_type.get(key) for key in ("name", "slug", "logo_url", "documentation_url")}
    return {"id": uuid7(), **columns, **escaped, "is_protected": block_type.get("is_protected", False)}
