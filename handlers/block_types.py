"""Operations under /block_types, and the block documents of a type."""

import html
from typing import Any

from flask import Blueprint, Response
from psycopg import Connection, errors

import sql
from handlers.block_documents import read_documents
from handlers.domain import events
from handlers.domain.block_catalog import OWN, install_block_types
from handlers.errors import Conflict, NotFound, require
from handlers.http import lists
from handlers.http.messages import answer, body, document, no_content, query
from schemas.block_documents import BlockDocumentFilter
from schemas.block_types import BlockTypeCreate, BlockTypesFilter, BlockTypeUpdate, Secrets
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

TOLD = ("name", "slug", "logo_url", "documentation_url", "description", "code_example", "is_protected")

listed_schema = BlockDocumentFilter()

blueprint = Blueprint("block_types", __name__, url_prefix="/api/block_types")


@blueprint.post("/")
@body(BlockTypeCreate)
def create_block_type(name: str, description: str | None, code_example: str | None, **columns: Any) -> Response:
    """Create a block type (201). Markup in its texts is escaped, for they are shown as they are."""
    if name.lower().startswith("prefect"):
        return answer({"detail": "Block type names that begin with 'Prefect' are reserved."}, 403)
    texts = {"description": description, "code_example": code_example}
    escaped = {key: text and html.escape(text, quote=False) for key, text in texts.items()}
    id = uuid7()
    try:
        with transaction() as conn:
            record_event(conn, "created", sql.block_types.create(conn, id=id, name=name, **escaped, **columns))
            shown = sql.block_types.read.send(conn, id=id)
    except errors.UniqueViolation:
        raise Conflict(f"A block type with the slug {columns['slug']!r} already exists.") from None
    return document(shown.result(), 201)


@blueprint.get("/<id:id>")
def read_block_type(id: str) -> Response:
    """Give a block type."""
    with connection() as conn:
        return document(require(sql.block_types.read(conn, id=id), "Block type"))


@blueprint.get("/slug/<slug>")
def read_block_type_by_slug(slug: str) -> Response:
    """Give the block type of a slug."""
    with connection() as conn:
        return document(require(sql.block_types.read_by_slug(conn, slug=slug), "Block type"))


@blueprint.post("/filter")
@body(BlockTypesFilter)
def filter_block_types(**arguments: Any) -> Response:
    """List the block types that match, by name."""
    return document(lists.read_list("block_types", sort="NAME_ASC", **arguments))


@blueprint.patch("/<id:id>")
@body(BlockTypeUpdate)
def update_block_type(id: str, **changes: Any) -> Response:
    """Change a block type; nothing happens when it is like all that the client knows of it already."""
    with transaction() as conn:
        present = sql.block_types.lock(conn, id=id)
        require(present, "Block type")
        if len(changes) < len(present) - 1 or any(plain(present[key]) != plain(value) for key, value in changes.items()):
            record_event(conn, "updated", sql.block_types.update(conn, id=id, changes=changes))
    return no_content()


@blueprint.delete("/<id:id>")
def delete_block_type(id: str) -> Response:
    """Delete a block type with its schemas and documents (403 if it is protected)."""
    with transaction() as conn:
        present = sql.block_types.lock(conn, id=id)
        require(present, "Block type")
        if present["is_protected"]:
            return answer({"detail": "Protected block types cannot be deleted."}, 403)
        record_event(conn, "deleted", sql.block_types.delete(conn, id=id))
        sql.block_documents.forget_storage.send(conn)
    return no_content()


@blueprint.post("/install_system_block_types")
def install_system_block_types() -> Response:
    """Register the protected block types where they are missing."""
    with transaction() as conn:
        install_block_types(conn, [each for each in OWN.values() if each["is_protected"]])
    return answer(None)


@blueprint.get("/slug/<slug>/block_documents")
@query(Secrets)
def read_block_documents_of_type(slug: str, include_secrets: bool) -> Response:
    """List the block documents of a type, by name, without anonymous ones."""
    with connection() as conn:
        if (id := sql.block_types.find(conn, slug=slug)) is None:
            raise NotFound("Block type")
        chosen = compose("block_documents", block_documents=listed_schema.load({"block_type_id": {"any_": [id]}}))
        order = sort_by("block_documents", "NAME_ASC")
        ids = [row["id"] for row in sql.block_documents.page(conn, filter=chosen, sort=order, limit=None, offset=0)]
        return answer(read_documents(conn, ids, include_secrets))


@blueprint.get("/slug/<slug>/block_documents/name/<block_document_name>")
@query(Secrets)
def read_block_document_by_name(slug: str, block_document_name: str, include_secrets: bool) -> Response:
    """Give the block document of a name among those of a type."""
    with connection() as conn:
        if (id := sql.block_documents.find(conn, name=block_document_name, slug=slug, block_type_id=None)) is None:
            raise NotFound("Block document")
        return answer(read_documents(conn, [id], include_secrets)[0])


def plain(text: str | None) -> str | None:
    """Give a text without the escaping of markup."""
    return text and html.unescape(text)


def record_event(conn: Connection, action: str, block_type: dict[str, Any]) -> None:
    """Record what happened to a block type, with the transaction that it happens in."""
    events.record(conn, [events.event("block-type", action, block_type, payload={name: block_type[name] for name in TOLD})])
