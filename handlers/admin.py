"""Operations under /admin."""

from flask import Blueprint, Response

import sql
from handlers.errors import require
from handlers.http.messages import answer, body, no_content
from schemas.admin import StorageUpdate
from schemas.settings import shown
from sql.database import connection, transaction
from sql.ids import uuid7

PREFECT_VERSION = "3.8.3"
STORAGE = "server-default-result-storage"

blueprint = Blueprint("admin", __name__, url_prefix="/api/admin")


@blueprint.get("/settings")
def read_settings() -> Response:
    """Give all settings, secrets hidden."""
    return answer(shown())


@blueprint.get("/version")
def read_version() -> Response:
    """Give the version of Prefect that this server takes the place of; clients compare it with their own."""
    return answer(PREFECT_VERSION)


@blueprint.get("/storage")
def read_storage() -> Response:
    """Give the default storage of results."""
    with connection() as conn:
        return answer(sql.configuration.read(conn, key=STORAGE) or {"default_result_storage_block_id": None})


@blueprint.put("/storage")
@body(StorageUpdate)
def update_storage(default_result_storage_block_id: str) -> Response:
    """Set the default storage of results to a block document: 404 if there is none, 422 if it cannot be written to."""
    value = {"default_result_storage_block_id": default_result_storage_block_id}
    with transaction() as conn:
        block = sql.configuration.read_capabilities(conn, id=default_result_storage_block_id)
        require(block, f"Block document {default_result_storage_block_id}")
        if "write-path" not in block["capabilities"]:
            detail = f"Block document {default_result_storage_block_id} is of a type that cannot store results."
            return answer({"detail": detail}, 422)
        sql.configuration.upsert(conn, id=uuid7(), key=STORAGE, value=value)
    return answer(value)


@blueprint.delete("/storage")
def delete_storage() -> Response:
    """Have no default storage of results any more."""
    with connection() as conn:
        sql.configuration.delete(conn, key=STORAGE)
    return no_content()
