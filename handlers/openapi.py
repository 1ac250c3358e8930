"""The description of the API for programs, /openapi.json, and the pages that show it, /docs and /redoc.

The description is made of what the server runs by: the routes, the schemas that `body` and `query` validate with, and the
docstrings of the views. Each process makes it when it is first asked for. The viewers, Swagger UI and ReDoc, are files of
the package offapi; nothing of it is imported, and no page asks another host for anything.
"""

import gzip
import inspect
import re
import zlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, current_app
from marshmallow import Schema, fields
from werkzeug.routing import Rule

from handlers.admin import PREFECT_VERSION
from handlers.errors import NotFound
from handlers.http.messages import kept
from schemas.addresses import api_path
from schemas.events import REQUIRED
from schemas.fields import Arguments, Document, Id, Time
from schemas.schedules import Schedule
from schemas.settings import setting
from schemas.states import DETAILS, StateDetails

UNVERSIONED = ("root.read_health", "root.read_version")
UNDESCRIBED = ("openapi", "openapi_at_root", "web_ui")
ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>")
VERSION_HEADER = {"name": "x-prefect-api-version", "in": "header", "required": False, "schema": {"type": "string"}}
PROBLEM = {"type": "object", "properties": {"type": {"type": "string"}, "loc": {"type": "array"}, "msg": {"type": "string"}}}
PROBLEMS = {
    "type": "object",
    "properties": {"exception_message": {"type": "string"}, "exception_detail": {"type": "array", "items": PROBLEM}},
}
CONTENT_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
# The viewers make styles and workers of their own. ReDoc has a logo and telemetry elsewhere, which the browser is to refuse.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src data:; worker-src blob:"
)
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Downbeat</title><link rel="icon" href="data:,">
"""
DOCS = f"""{PAGE}<link rel="stylesheet" href="docs/swagger_style.css">
<div id="swagger-ui"></div>
<script src="docs/swagger_bundle.js"></script>
<script>SwaggerUIBundle({{url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null}})</script>
"""
REDOC = f"""{PAGE}<style>body {{ margin: 0 }}</style>
<div id="redoc"></div>
<script type="module">
import {{init}} from "./docs/redoc.js"
init("openapi.json", {{disableTelemetry: true}}, document.getElementById("redoc"))
</script>
"""

blueprint = Blueprint("openapi", __name__, url_prefix="/api")


@blueprint.get("/openapi.json")
def read_openapi() -> Response:
    """Give the description of the API."""
    return send(describe(current_app._get_current_object()), "application/json")


@blueprint.get("/docs")
def show_docs() -> Response:
    """Show it in Swagger UI, in which the operations can be tried."""
    return show_page(DOCS)


@blueprint.get("/redoc")
def show_redoc() -> Response:
    """Show it in ReDoc."""
    return show_page(REDOC)


@blueprint.get("/docs/<file>")
def read_viewer_file(file: str) -> Response:
    """Give a file of the viewers."""
    if file not in ("swagger_bundle.js", "swagger_style.css", "redoc.js"):
        raise NotFound("File")
    return send(read_viewer(file), CONTENT_TYPES[file.rpartition(".")[2]])


def show_page(page: str) -> Response:
    """Answer with a page that gets everything from this server."""
    response = send(page.encode(), "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def send(content: bytes, content_type: str) -> Response:
    """Answer with what is the same for the life of the process."""
    response = Response(content_type=content_type)
    response.headers["Cache-Control"] = "no-cache"
    return kept(response, f"{zlib.crc32(content):08x}", lambda: content, lambda: compress(content))


@cache
def compress(content: bytes) -> bytes:
    """Compress what is sent again and again."""
    return gzip.compress(content, compresslevel=6, mtime=0)


@cache
def read_viewer(file: str) -> bytes:
    """Read a file of the viewers."""
    return Path(find_spec("offapi").submodule_search_locations[0], file).read_bytes()


@cache
def describe(app: Flask) -> bytes:
    """Describe the operations of an application below the path of the API, as OpenAPI 3.1."""
    # Only who reads the description pays for what makes it.
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin

    plugin = MarshmallowPlugin(schema_name_resolver=name_schema)
    description = "The API of Prefect's server as Downbeat serves it. Websockets: /events/in, /events/out and /logs/out."
    spec = APISpec("Prefect REST API", PREFECT_VERSION, "3.1.0", [plugin], info={"description": description})
    spec.options["servers"] = [{"url": api_path() or "/"}]
    if setting("server.api.auth_string"):
        spec.components.security_scheme("credentials", {"type": "http", "scheme": "basic"})
        spec.options["security"] = [{"credentials": []}]
    for field, kind in {Id: ("string", "uuid"), Time: ("string", "date-time"), Document: ("object", None)}.items():
        plugin.map_to_openapi_type(field, *kind)
    plugin.converter.add_attribute_function(describe_field)
    spec.components.schema("Problems", PROBLEMS)
    for path, operations in find_operations(app).items():
        spec.path(path, operations=operations)
    return orjson.dumps(spec.to_dict(), default=str)


def name_schema(schema: type[Schema] | Schema) -> str | None:
    """Give the name of a schema, or None for those that are only part of another."""
    name = (schema if isinstance(schema, type) else type(schema)).__name__
    return None if name == "GeneratedSchema" else name


def describe_field(converter: Any, field: fields.Field, **_: Any) -> dict[str, Any]:
    """Tell of the fields that are tables of readers."""
    if isinstance(field, StateDetails):
        return describe_table(DETAILS)
    return {"type": "object"} if isinstance(field, Schedule) else {}


def describe_table(table: dict[str, tuple]) -> dict[str, Any]:
    """Describe an object whose keys are in a table, with a noun, a reader and a default."""
    properties = {key: {"description": noun} for key, (noun, _, _) in table.items()}
    required = [key for key, (_, _, default) in table.items() if default is REQUIRED]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def find_operations(app: Flask) -> dict[str, dict[str, Any]]:
    """Give the operations by path and method; a path has the arguments' names of the first route that has it."""
    names, paths = {}, {}
    for rule in app.url_map.iter_rules():
        if rule.websocket or rule.endpoint.partition(".")[0] in UNDESCRIBED:
            continue
        template = ARGUMENT.sub("{}", rule.rule)
        arguments = names.setdefault(template, [name for _, name in ARGUMENT.findall(rule.rule)])
        path = template.format(*(f"{{{name}}}" for name in arguments)).removeprefix(api_path())
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            view = app.view_functions[rule.endpoint]
            operation = {
                "operationId": f"{view.__name__}{re.sub('[^a-z0-9_]', '_', path)}_{method.lower()}",
                "tags": [tag(rule, path)],
            }
            paths.setdefault(path, {})[method.lower()] = operation | describe_operation(rule, view, arguments)
    return paths


def tag(rule: Rule, path: str) -> str:
    """Give the heading under which an operation is shown: the thing that its path begins with."""
    if rule.endpoint.startswith("root."):
        return "Root"
    first, _, rest = path.strip("/").partition("/")
    words = f"{rest.partition('/')[0]} {first}" if first == "v2" else first
    return words.replace("_", " ").replace("-", " ").title().replace("Ui", "UI")


def describe_operation(rule: Rule, view: Any, arguments: list[str]) -> dict[str, Any]:
    """Describe what a view takes and, in its own words, what it does."""
    told = inspect.getdoc(view) or ""
    operation = {"summary": re.split(r"[.;:](?:\s|$)", told, maxsplit=1)[0].replace("\n", " "), "description": told}
    kinds = [kind for kind, _ in ARGUMENT.findall(rule.rule)]
    operation["parameters"] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} | ({"format": "uuid"} if kind == "id" else {}),
        }
        for name, kind in zip(arguments, kinds, strict=True)
    ]
    operation["responses"] = {"2XX": {"description": "It is done."}}
    operation |= dict(describe_body(view))
    if query := getattr(view, "query", None):
        operation["parameters"].append({"in": "query", "schema": query})
    if rule.endpoint not in UNVERSIONED:
        operation["parameters"].append(VERSION_HEADER)
    if query or "requestBody" in operation:
        told = {"application/json": {"schema": "Problems"}}
        operation["responses"]["422"] = {"description": "Something is wrong with what was sent.", "content": told}
    return operation


def describe_body(view: Any) -> Iterator[tuple[str, Any]]:
    """Give the body that a view takes as the item of an operation, if it takes one."""
    schema = getattr(view, "body", None)
    if schema is None:
        return
    inner = schema[0] if isinstance(schema, list) else schema
    is_optional = isinstance(inner, type) and issubclass(inner, Arguments)
    shown = describe_table(inner) if isinstance(inner, dict) else inner
    shown = {"type": "array", "items": shown} if isinstance(schema, list) else shown
    yield "requestBody", {"required": not is_optional, "content": {"application/json": {"schema": shown}}}
