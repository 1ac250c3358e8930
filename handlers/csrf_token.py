"""The operation /csrf-token, and the checks that come before every request: authorization, CSRF token, API version."""

import base64
import hmac
import secrets
from functools import lru_cache

from flask import Blueprint, Flask, Response, request

import sql
from handlers.errors import Invalid
from handlers.http import answer, document
from schemas.settings import setting
from sql.database import connection
from sql.ids import uuid7

MINIMUM_API_VERSION = (0, 8, 0)
UNVERSIONED = ("root.read_health", "root.read_version")
OPEN = ("root.read_health", "root.read_readiness")

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


def register_checks(app: Flask) -> None:
    """Have every request checked before its view, as the settings at this moment say."""
    if auth_string := setting("server.api.auth_string"):
        credentials = b"Basic " + base64.b64encode(auth_string.encode())
        app.before_request(lambda: check_authorization(credentials))
    if setting("server.api.csrf_protection_enabled"):
        app.before_request(check_csrf_token)
    app.before_request(check_version)


def check_authorization(credentials: bytes) -> Response | None:
    """Refuse a request without the right credentials (401).

    Not for probes, for files of the web interface, which asks for credentials itself, and for websockets, which bring theirs
    in a frame.
    """
    rule = request.url_rule
    is_open = rule is not None and (rule.websocket or (rule.endpoint in OPEN and request.method == "GET"))
    if is_open or request.blueprint == "web_ui":
        return None
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if hmac.compare_digest(given, credentials):
        return None
    return answer({"exception_message": "Unauthorized"}, 401)


def check_csrf_token() -> Response | None:
    """Refuse a request that changes something without its client's token (403).

    The client fetches a new token and tries again when it reads `Invalid CSRF token`.
    """
    if request.method not in ("POST", "PUT", "PATCH", "DELETE"):
        return None
    token, client = request.headers.get("Prefect-Csrf-Token"), request.headers.get("Prefect-Csrf-Client")
    if token is None:
        return answer({"detail": "Missing CSRF token."}, 403)
    if client is None:
        return answer({"detail": "Missing client identifier."}, 403)
    with connection() as conn:
        expected = sql.csrf_tokens.read(conn, client=client)
    if expected is not None and hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace")):
        return None
    response = answer({"detail": "Invalid CSRF token or client identifier."}, 403)
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def check_version() -> Response | None:
    """Refuse a client that speaks an older API than this server understands (400)."""
    version = request.headers.get("X-PREFECT-API-VERSION")
    if not version or (fault := version_fault(version)) is None:
        return None
    if request.url_rule is None or request.endpoint in UNVERSIONED:
        return None
    return answer({"detail": fault}, 400)


@lru_cache(maxsize=64)
def version_fault(version: str) -> str | None:
    """Say what is wrong with the text of a version header, or None."""
    try:
        major, minor, patch = (int(part) for part in version.split("."))
    except ValueError:
        return f"Invalid X-PREFECT-API-VERSION header format. Expected header in format 'x.y.z' but received {version}"
    if (major, minor, patch) >= MINIMUM_API_VERSION:
        return None
    required = ".".join(map(str, MINIMUM_API_VERSION))
    return f"The request specified API version {version} but this server requires version {required} or higher."
