"""The operation /csrf-token; handlers/http/access.py asks for the tokens."""

import secrets

from flask import Blueprint, Response

import sql
from handlers.http.messages import answer, document, query
from schemas.csrf_token import CsrfTokenCreate
from schemas.settings import setting
from sql.database import connection
from sql.ids import uuid7

blueprint = Blueprint("csrf_token", __name__, url_prefix="/api/csrf-token")


@blueprint.get("")
@query(CsrfTokenCreate)
def create_csrf_token(client: str) -> Response:
    """Give a client a new token, or 422 when CSRF protection is off.

    The client of Prefect 3.8.3 goes on without tokens when it reads the text of that 422.
    """
    if not setting("server.api.csrf_protection_enabled"):
        return answer({"detail": "CSRF protection is disabled."}, 422)
    lifetime_seconds = setting("server.api.csrf_token_expiration").total_seconds()
    with connection() as conn:
        sql.csrf_tokens.delete_expired.send(conn)
        token = secrets.token_hex(32)
        return document(sql.csrf_tokens.upsert(conn, id=uuid7(), client=client, token=token, lifetime_seconds=lifetime_seconds))
