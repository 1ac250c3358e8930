"""Operations under /saved_searches."""

from typing import Any

from flask import Blueprint, Response

import sql
from handlers.errors import require
from handlers.http.messages import body, document, no_content
from schemas.saved_searches import SavedSearchCreate, SavedSearchesFilter
from sql.database import connection, transaction
from sql.ids import uuid7

blueprint = Blueprint("saved_searches", __name__, url_prefix="/api/saved_searches")


@blueprint.put("/")
@body(SavedSearchCreate)
def upsert_saved_search(name: str, filters: list[dict[str, Any]]) -> Response:
    """Save a search (201), or replace the one that has the name (200)."""
    with transaction() as conn:
        saved = sql.saved_searches.upsert(conn, id=uuid7(), name=name, filters=filters)
        shown = sql.saved_searches.read.send(conn, id=saved["id"])
    return document(shown.result(), 201 if saved["is_new"] else 200)


@blueprint.get("/<id:id>")
def read_saved_search(id: str) -> Response:
    """Give a saved search."""
    with connection() as conn:
        saved = sql.saved_searches.read(conn, id=id)
    return document(require(saved, "Saved search"))


@blueprint.delete("/<id:id>")
def delete_saved_search(id: str) -> Response:
    """Delete a saved search."""
    with connection() as conn:
        require(sql.saved_searches.delete(conn, id=id), "Saved search")
    return no_content()


@blueprint.post("/filter")
@body(SavedSearchesFilter)
def filter_saved_searches(limit: int, offset: int) -> Response:
    """List the saved searches by name."""
    with connection() as conn:
        return document(sql.saved_searches.filter(conn, limit=limit, offset=offset))
