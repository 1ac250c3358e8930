"""Operations under /block_documents."""

from typing import Any

from flask import Blueprint, Response
from psycopg import Connection

import sql
from handlers.block_schemas import read_schemas
from handlers.domain.block_documents import assemble, restore, secret_paths, separate
from handlers.domain.block_trees import TOO_MUCH, bounded, holds_too_much
from handlers.domain.encryption import cipher, decrypt, encrypt
from handlers.domain.events import event, record, resource
from handlers.errors import BadRequest, Conflict, require
from handlers.http import lists
from handlers.http.messages import answer, body, no_content, query
from schemas.block_documents import BlockDocumentCreate, BlockDocumentCriteria, BlockDocumentsFilter, BlockDocumentUpdate
from schemas.block_types import Secrets
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

blueprint = Blueprint("block_documents", __name__, url_prefix="/api/block_documents")


@blueprint.post("/")
@body(BlockDocumentCreate)
def create_block_document(name: str | None, values: dict[str, Any], block_type_id: str, **columns: Any) -> Response:
    """Create a block document (201)."""
    id = str(uuid7())
    plain, blocks = separate(values)
    with transaction() as conn:
        if name and sql.block_documents.find(conn, name=name, block_type_id=block_type_id, slug=None):
            raise Conflict("A block of the type and name already exists.")
        stored = {"id": id, "name": name or f"anonymous-{id}", "data": encrypt(cipher(conn), plain)}
        require(sql.block_documents.create(conn, block_type_id=block_type_id, **stored, **columns), f"Block type {block_type_id}")
        hold(conn, id, blocks)
        shown = read_documents(conn, [id])[0]
        record_event(conn, "created", shown)
    return answer(shown, 201)


@blueprint.post("/filter")
@body(BlockDocumentsFilter)
def filter_block_documents(sort: str, limit: int, offset: int, include_secrets: bool, **criteria: dict) -> Response:
    """List the block documents that match."""
    chosen, order = compose("block_documents", **criteria), sort_by("block_documents", sort)
    with connection() as conn:
        found = sql.block_documents.page(conn, filter=chosen, sort=order, limit=limit, offset=offset)
        return answer(read_documents(conn, [row["id"] for row in found], include_secrets))


@blueprint.post("/count")
@body(BlockDocumentCriteria)
def count_block_documents(**criteria: dict) -> Response:
    """Count the block documents that match."""
    return answer(lists.count("block_documents", **criteria))


@blueprint.get("/<id:id>")
@query(Secrets)
def read_block_document(id: str, include_secrets: bool) -> Response:
    """Give a block document."""
    with connection() as conn:
        shown = read_documents(conn, [id], include_secrets)
    require(shown, "Block document")
    return answer(shown[0])


@blueprint.delete("/<id:id>")
def delete_block_document(id: str) -> Response:
    """Delete a block document."""
    with transaction() as conn:
        shown = read_documents(conn, [id])
        require(sql.block_documents.delete(conn, id=id), "Block document")
        sql.block_documents.forget_storage.send(conn)
        record_event(conn, "deleted", shown[0])
    return no_content()


@blueprint.patch("/<id:id>")
@body(BlockDocumentUpdate)
def update_block_document(
    id: str, block_schema_id: str | None, merge_existing_data: bool, values: dict[str, Any] | None = None
) -> Response:
    """Replace values of a block document, all or those that are given, and with them its schema.

    Stars in the place of a secret leave it as it is. Blocks inside it that are not given are taken out.
    """
    with transaction() as conn:
        present = sql.block_documents.lock(conn, id=id)
        require(present, "Block document")
        if values is not None or not merge_existing_data:
            schema_id = block_schema_id or present["block_schema_id"]
            check_schema(conn, schema_id, present["block_type_id"])
            plain, blocks = separate(values or {})
            fernet = cipher(conn)
            kept = decrypt(fernet, present["data"])
            for path in secret_paths(present["secret_fields"]):
                plain = restore(plain, kept, path)
            merged = {key: value for key, value in kept.items() if key not in blocks} if merge_existing_data else {}
            sql.block_documents.update.send(conn, id=id, data=encrypt(fernet, merged | plain), block_schema_id=schema_id)
            hold(conn, id, blocks)
        record_event(conn, "updated", read_documents(conn, [id])[0])
    return no_content()


def check_schema(conn: Connection, schema_id: str, block_type_id: str) -> None:
    """Make sure that a schema is one of the block type. Raises NotFound or BadRequest if not."""
    schema = sql.block_documents.find_schema(conn, id=schema_id)
    require(schema, f"Block schema {schema_id}")
    if schema["block_type_id"] != block_type_id:
        raise BadRequest("The block schema must be one of the same block type.")


def hold(conn: Connection, id: str, blocks: dict[str, str]) -> None:
    """Have fields of a document hold these documents and no others. Raises BadRequest if one holds it in turn, or too much."""
    if blocks and sql.block_documents.reaches(conn, id=id, others=list(blocks.values())):
        raise BadRequest("A block cannot be inside itself.")
    references = [{"id": uuid7(), "name": name, "nested_id": nested_id} for name, nested_id in blocks.items()]
    sql.block_documents.replace_references.send(conn, id=id, references=references)
    if blocks and holds_too_much(id, {row["id"]: row for row in sql.block_documents.read_trees(conn, ids=[id])}):
        raise BadRequest(TOO_MUCH)


def read_documents(conn: Connection, ids: list[str], include_secrets: bool = False) -> list[dict[str, Any]]:
    """Give the documents of these ids that there are, with their schemas and the documents nested in them."""
    found = {row["id"]: row for row in sql.block_documents.read_trees(conn, ids=ids)} if ids else {}
    if not found:
        return []
    fernet = cipher(conn)
    shown = [assemble(id, bounded(id, found), fernet, include_secrets) for id in ids if id in found]
    schema_ids = list({one["block_schema_id"] for one in shown})
    schemas = dict(zip(schema_ids, read_schemas(conn, schema_ids), strict=True))
    return [one | {"block_schema": schemas[one["block_schema_id"]]} for one in shown]


def record_event(conn: Connection, action: str, shown: dict[str, Any]) -> None:
    """Record what happened to a block document as it is shown, with the transaction that it happens in; not if anonymous."""
    if shown["is_anonymous"]:
        return
    schema, block_type = shown["block_schema"], {"id": shown["block_type_id"], "name": shown["block_type_name"] or ""}
    secret = schema["fields"].get("secret_fields") or []
    related = [
        resource("block-type", shown["block_type_id"], shown["block_type_name"] or None, "block-type"),
        resource("block-schema", shown["block_schema_id"], role="block-schema"),
    ]
    payload = {
        "name": shown["name"],
        "data": {key: value for key, value in shown["data"].items() if key not in secret and isinstance(value, str)},
        "block_schema": {"capabilities": schema["capabilities"], "block_type": block_type},
    }
    record(conn, [event("block-document", action, {"id": shown["id"], "name": shown["name"]}, related, payload)])
