"""Operations under /block_schemas and /block_capabilities."""

from typing import Any

from flask import Blueprint, Response
from psycopg import Connection

import sql
from handlers.domain.block_schemas import assemble, register
from handlers.domain.block_trees import bounded
from handlers.errors import require
from handlers.http.messages import answer, body, document, no_content, query
from schemas.block_schemas import BlockSchemaCreate, BlockSchemasFilter, BlockSchemaVersion
from sql.database import connection, transaction
from sql.filters import compose, sort_by

blueprint = Blueprint("block_schemas", __name__, url_prefix="/api")


@blueprint.post("/block_schemas/")
@body(BlockSchemaCreate)
def create_block_schema(schema: dict, block_type_id: str, capabilities: list[str], version: str) -> Response:
    """Create a block schema (201), or give the one that has its checksum and version (200)."""
    with transaction() as conn:
        require(sql.block_types.read(conn, id=block_type_id), f"Block type {block_type_id}")
        id, is_new = register(conn, schema, block_type_id, capabilities, version)
        shown = read_schemas(conn, [id])[0]
    return answer(shown, 201 if is_new else 200)


@blueprint.delete("/block_schemas/<id:id>")
def delete_block_schema(id: str) -> Response:
    """Delete a block schema with its documents (403 if its type is protected)."""
    with transaction() as conn:
        present = sql.block_schemas.lock(conn, id=id)
        require(present, "Block schema")
        if present["is_protected"]:
            return answer({"detail": "Schemas of protected block types cannot be deleted."}, 403)
        sql.block_schemas.delete.send(conn, id=id)
        sql.block_documents.forget_storage.send(conn)
    return no_content()


@blueprint.post("/block_schemas/filter")
@body(BlockSchemasFilter)
def filter_block_schemas(limit: int, offset: int, block_schemas: dict | None = None) -> Response:
    """List the block schemas that match, newest first."""
    chosen, order = compose("block_schemas", block_schemas=block_schemas), sort_by("block_schemas", "CREATED_DESC")
    with connection() as conn:
        found = sql.block_schemas.page(conn, filter=chosen, sort=order, limit=limit, offset=offset)
        return answer(read_schemas(conn, [row["id"] for row in found]))


@blueprint.get("/block_schemas/<id:id>")
def read_block_schema(id: str) -> Response:
    """Give a block schema."""
    with connection() as conn:
        return shown_first(read_schemas(conn, [id]))


@blueprint.get("/block_schemas/checksum/<checksum>")
@query(BlockSchemaVersion)
def read_block_schema_by_checksum(checksum: str, version: str | None) -> Response:
    """Give the newest block schema of a checksum, of one version if that is asked for."""
    with connection() as conn:
        id = None if "\0" in (version or "") else sql.block_schemas.find(conn, checksum=checksum, version=version)
        return shown_first(read_schemas(conn, [id] if id else []))


@blueprint.get("/block_capabilities/")
def read_block_capabilities() -> Response:
    """List what blocks can do."""
    with connection() as conn:
        return document(sql.block_schemas.read_capabilities(conn))


def read_schemas(conn: Connection, ids: list[str]) -> list[dict[str, Any]]:
    """Give the schemas of these ids that there are, with those nested in them."""
    found = {row["id"]: row for row in sql.block_schemas.read_trees(conn, ids=ids)} if ids else {}
    return [assemble(id, bounded(id, found)) for id in ids if id in found]


def shown_first(shown: list[dict[str, Any]]) -> Response:
    """Answer with the one schema that there is. Raises NotFound if there is none."""
    require(shown, "Block schema")
    return answer(shown[0])
