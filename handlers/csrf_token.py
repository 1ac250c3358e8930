"""The operation /csrf-token; handlers/access.py asks for the tokens."""

import secrets

from flask import Blueprint, Response, request

import sql
from handlers.errors import Invalid
from handlers.http import answer, document
from schemas.settings import setting
from sql.database import connection
from sql.ids import uuid7

blueprint = Blueprint("csrf_token", __name__, url_prefix="/api/csrf-token")


@blueprint.get("")
def create_csrf_token() -> Response:
    """Give a client (query parameter `client`) a new token, or 422 when CSRF protection is off.

    The client of Prefect 3.8.3 goes on without tokens when it reads the text of that 422.
    """
    client = request.args.get("client")
    if client is None or "\0" in client:
        message = "Field required" if client is None else "must not contain the NUL character"
        kind = "missing" if client is None else "value_error"
        raise Invalid([{"type": kind, "loc": ["query", "client"], "msg": message, "input": None}])
    if not setting("server.api.csrf_protection_enabled"):
        return answer({"detail": "CSRF protection is disabled."}, 422)
    lifetime_seconds = setting("server.api.csrf_token_expiration").total_seconds()
    with connection() as conn:
        sql.csrf_tokens.delete_expired.send(conn)
        token = secrets.token_hex(32)
        return document(sql.csrf_tokens.upsert(conn, id=uuid7(), client=client, token=token, lifetime_seconds=lifetime_seconds))
