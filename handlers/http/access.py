"""Who may talk to the server: what is asked of every request and every handshake of a websocket before anything else is done.

In this order: the name that it was called by (421), the web page that it comes from (403, and answers to preflights), the
type of its body (415), credentials (401), the CSRF token (403) and the version of the API (400). Routing has happened,
bodies have not been looked at. Neither Prefect's client nor its websockets send an Origin.

A browser sends a page's requests to any address, its cookies and secrets aside; it is the server that has to tell which page
may. It always says in Origin which page it was, but for GETs that the page cannot read the answers to; the name that the page
knows the server by is in Host, which is all that gives away a page whose own name was made to lead here (DNS rebinding).
"""

import hmac
import re
from base64 import b64decode, b64encode
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from uuid import UUID

from flask import Flask, Response, after_this_request, request

import sql
from handlers.errors import Invalid
from handlers.http.messages import answer, no_content
from schemas.settings import given, setting
from sql.database import connection

MINIMUM_API_VERSION = (0, 8, 0)
# As Prefect 3.8.3's server reads it; what is longer is no number of a version.
USER_AGENT = re.compile(r"prefect/(\d{1,9})\.(\d{1,9})\.(\d{1,9})[a-z.+0-9]* \(API \S+\)", re.ASCII)
UNVERSIONED = ("root.read_health", "root.read_version")
OPEN = ("root.read_health", "root.read_readiness")
# Templates come as text/plain, by contract, and change nothing.
TAKE_TEXT = ("automations.validate_template", "automations.validate_template_deprecated")

AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/?#@\[\]\\,]+)(?::(\d{1,5}))?")
JSON_TYPE = re.compile(r"\s*application/([\w.!#$&^-]+\+)?json\s*(;.*)?", re.IGNORECASE)
DEFAULT_PORTS = {"http": "80", "https": "443"}
PREFLIGHT_SECONDS = 600
METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


class Origins(NamedTuple):
    """Whose web pages may talk to the server besides its own, and what preflights of theirs are told they may send."""

    allowed: frozenset[str]
    methods: str
    headers: str


def register_checks(app: Flask) -> None:
    """Have every request checked before its view, as the settings at this moment say."""
    hosts = frozenset(read_authority(host)[0] for host in setting("downbeat.hosts"))
    origins = read_origins()
    checks = [lambda: check_sender(request.environ, hosts, origins)]
    if auth_string := setting("server.api.auth_string"):
        credentials = b"Basic " + b64encode(auth_string.encode())
        checks.append(lambda: check_authorization(credentials))
    if setting("server.api.csrf_protection_enabled"):
        checks.append(check_csrf_token)
    checks.append(check_version)

    # One hook, and none behind the answer where no page asks: 2 µs less a request than three.
    @app.before_request
    def check() -> Response | None:
        if "HTTP_ORIGIN" in request.environ:
            after_this_request(lambda response: add_headers(response, origins))
        return next((refusal for one in checks if (refusal := one()) is not None), None)


def read_origins() -> Origins:
    """Read whose web pages may talk to the server; nobody's where nothing is set, unlike at Prefect's server."""
    allowed = split(given("server.api.cors_allowed_origins") or "")
    methods, headers = split(setting("server.api.cors_allowed_methods")), split(setting("server.api.cors_allowed_headers"))
    return Origins(
        frozenset(each.lower().rstrip("/") for each in allowed),
        METHODS if "*" in methods else ", ".join(methods),
        "*" if "*" in headers else ", ".join(headers),
    )


def split(text: str) -> list[str]:
    """Give the parts of a list separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


@lru_cache(maxsize=256)
def read_authority(text: str) -> tuple[str, str]:
    """Give the name and the port of `name:port` or `name`, in one spelling; ("", "") for anything else."""
    found = AUTHORITY.fullmatch(text.lower())
    return (found[1].strip("[]").removesuffix("."), found[2] or "") if found else ("", "")


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Tell whether a name or an address is that of this machine alone."""
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def check_sender(environ: dict, hosts: frozenset[str], origins: Origins) -> Response | None:
    """Make the checks that every request has to pass."""
    return check_host(environ, hosts) or check_origin(environ, origins) or check_content_type(environ)


def check_host(environ: dict, hosts: frozenset[str]) -> Response | None:
    """Refuse a request that calls a server of this machine alone by a name that leads here by somebody else's doing (421)."""
    # A unix socket has no address, and no browser reaches it. Only what no browser sends has no Host.
    if "HTTP_HOST" not in environ or environ.get("REMOTE_ADDR") == "" or not is_loopback(environ["SERVER_NAME"]):
        return None
    name, _ = read_authority(environ["HTTP_HOST"])
    if is_loopback(name) or name in hosts:
        return None
    return answer({"detail": "The server does not go by this name. DOWNBEAT_HOSTS tells it those of a reverse proxy."}, 421)


def check_origin(environ: dict, origins: Origins) -> Response | None:
    """Refuse what a web page sends that is neither the server's own nor allowed (403), and answer the preflights of others."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return None
    if not is_allowed(origin, environ.get("HTTP_HOST", ""), origins.allowed):
        detail = "Web pages of this origin may not talk to the server. PREFECT_SERVER_CORS_ALLOWED_ORIGINS tells it who may."
        return answer({"detail": detail}, 403)
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    response = no_content()
    response.headers["Access-Control-Allow-Methods"] = origins.methods
    asked = request.headers.get("Access-Control-Request-Headers", "")
    response.headers["Access-Control-Allow-Headers"] = asked if origins.headers == "*" else origins.headers
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return response


@lru_cache(maxsize=256)
def is_allowed(origin: str, host: str, allowed: frozenset[str]) -> bool:
    """Tell whether an origin is the server's own, by the name that it was called by, or one of those that are allowed.

    All names of this machine are one on the same port. Behind a reverse proxy the scheme may be another than here.
    """
    if "*" in allowed or origin.lower() in allowed:
        return True
    scheme, _, authority = origin.lower().partition("://")
    if scheme not in DEFAULT_PORTS:
        return False
    (name, port), (own_name, own_port) = (
        (name, port or DEFAULT_PORTS[scheme]) for name, port in map(read_authority, (authority, host))
    )
    is_same = name == own_name or (is_loopback(name) and is_loopback(own_name))
    return bool(name) and is_same and port == own_port


def check_content_type(environ: dict) -> Response | None:
    """Refuse bodies of types that a web page may send without asking first (415): those of forms, and plain text.

    JSON of any kind is taken, and a body without a type, which clients send.
    """
    kind = environ.get("CONTENT_TYPE")
    if (
        not kind
        or kind == "application/json"
        or JSON_TYPE.fullmatch(kind)
        or request.method in ("GET", "HEAD", "OPTIONS")
        or request.endpoint in TAKE_TEXT
    ):
        return None
    return answer({"detail": "The body must be application/json."}, 415)


def add_headers(response: Response, origins: Origins) -> Response:
    """Tell browsers which page may read an answer."""
    origin = request.environ["HTTP_ORIGIN"]
    if response.status_code != 421 and is_allowed(origin, request.environ.get("HTTP_HOST", ""), origins.allowed):
        response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins.allowed else origin
        response.vary.add("Origin")
    return response


def check_authorization(credentials: bytes) -> Response | None:
    """Refuse a request without the right credentials (401).

    Not for probes, for files of the web interface, which asks for credentials itself, for the API pages at the root, which
    are the same everywhere, and for websockets, which bring theirs in a frame.
    """
    rule = request.url_rule
    is_open = rule is not None and (rule.websocket or (rule.endpoint in OPEN and request.method == "GET"))
    if is_open or request.blueprint in ("web_ui", "openapi_at_root"):
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
    return answer({"detail": "Invalid CSRF token or client identifier."}, 403)


def check_version() -> Response | None:
    """Refuse a client that speaks an older API than this server understands (400)."""
    version = request.headers.get("X-PREFECT-API-VERSION")
    if not version or (fault := version_fault(version)) is None:
        return None
    if request.url_rule is None or request.endpoint in UNVERSIONED:
        return None
    return answer({"detail": fault}, 400)


def client_version() -> tuple[int, int, int] | None:
    """Give the version of the Prefect client that sent the request, or None if its user agent is none of Prefect's."""
    match = USER_AGENT.fullmatch(request.headers.get("User-Agent", ""))
    return tuple(int(part) for part in match.groups()) if match else None


def created_by() -> dict[str, str] | None:
    """Give the automation that the request says it comes from, if it does."""
    id, name = request.headers.get("Prefect-Automation-Id"), request.headers.get("Prefect-Automation-Name")
    try:
        id = id and str(UUID(id))
    except ValueError:
        problem = {"type": "value_error", "loc": ["header", "prefect-automation-id"], "msg": "Not a valid UUID.", "input": id}
        raise Invalid([problem]) from None
    try:
        display_value = b64decode(name or "").decode()
    except ValueError:
        return None
    return {"id": id, "type": "AUTOMATION", "display_value": display_value} if id and display_value else None


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


def find_danger(addresses: list) -> str | None:
    """Say why a server must not listen on these addresses, gunicorn's or those of sockets, as it is set; None if it may.

    Text is a unix socket's path, a tuple begins with a name or an address, a number is an open socket that is looked at later.
    """
    if setting("downbeat.open"):
        return None
    auth_string = setting("server.api.auth_string")
    if auth_string == "":
        return (
            "PREFECT_SERVER_API_AUTH_STRING is empty, which asks nobody for credentials. Set it to user:password, or unset it;"
            " DOWNBEAT_OPEN=yes serves everybody."
        )
    names = [address[0] or "the machine" for address in addresses if isinstance(address, tuple)]
    public = [name for name in names if not is_loopback(name)]
    if public and not auth_string:
        return (
            f"Everybody who reaches {public[0]} could run commands on your workers. Set PREFECT_SERVER_API_AUTH_STRING to"
            " user:password (and clients' PREFECT_API_AUTH_STRING to the same), or listen on 127.0.0.1 only;"
            " DOWNBEAT_OPEN=yes serves everybody."
        )
    return None


def find_doubts() -> str | None:
    """Say what is worth a warning in how access is set, or None."""
    if "*" in read_origins().allowed:
        return "PREFECT_SERVER_CORS_ALLOWED_ORIGINS is *: every web page that a user of this machine opens can use the server."
    return None
