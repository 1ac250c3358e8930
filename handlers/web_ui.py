"""The web interface: Prefect's two applications, v1 at the base path and v2 below it, as Prefect 3.8.3 serves them.

What differs from Prefect on purpose: a script that is not there is 404 instead of a page, pages are asked for anew each time
and scripts never again, and the address of the API is the one by which the page was reached.
"""

import html
import re
import zlib
from functools import partial
from pathlib import Path

from flask import Blueprint, Flask, Response, redirect, request
from werkzeug.routing import PathConverter

from handlers.domain.prefect_files import V1, V2, archive_path, open_archive, read_gzipped, read_plain
from handlers.errors import NotFound
from handlers.http.messages import answer, kept
from schemas.addresses import api_path, ui_path
from schemas.settings import setting

ONE_YEAR_SECONDS = 31_536_000
# What systems know of types differs; a script of a type that a browser does not expect is not run.
CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "xml": "text/xml; charset=utf-8",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "ttf": "font/ttf",
}
NOT_INSTALLED = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Downbeat</title>
<body style="font: 1rem/1.6 sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem">
<h1>Downbeat is running</h1>
<p>The API answers at <code>{api}</code>. Set it on clients:</p>
<pre>prefect config set PREFECT_API_URL={api}</pre>
<p>The web interface is not installed. <code>downbeat ui</code> fetches it from the package index. Where there is none, have
<code>pip download --no-deps prefect==3.8.3</code> fetch the file elsewhere and name it: <code>downbeat ui FILE</code>.
Then load this page again.</p>
"""

blueprint = Blueprint("web_ui", __name__)


def register_web_ui(app: Flask) -> None:
    """Serve the web interface at its base path, unless that is switched off."""
    if not setting("server.ui.enabled"):
        return
    base, api = ui_path(), api_path()
    others = f"(?!{re.escape(api.removeprefix(f'{base}/').strip('/'))}(?:/|$))" if api.startswith(f"{base}/") else ""

    class PagePath(PathConverter):
        """A path of the web interface: any but those of the API, which answers unknown paths and methods itself."""

        regex = rf"{others}[^\x00]+"

    app.url_map.converters["page_path"] = PagePath
    app.register_blueprint(blueprint, url_prefix=base or None)


@blueprint.after_request
def refuse_frames(response: Response) -> Response:
    """Have no page of another origin lay the interface, unseen, over what is clicked on there."""
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@blueprint.get("/ui-settings")
def read_ui_settings() -> Response:
    """Tell the applications where the API is and what it asks of them."""
    shown = {
        "api_url": api_url(),
        "csrf_enabled": setting("server.api.csrf_protection_enabled"),
        "auth": "BASIC" if setting("server.api.auth_string") else None,
        "flags": [],
        "default_ui": default_version(),
        "available_uis": ["v1", "v2"],
        "v1_base_url": ui_path() or "/",
        "v2_base_url": f"{ui_path()}/v2",
    }
    response = answer(shown)
    response.cache_control.no_store = True
    return response


@blueprint.get("/")
@blueprint.get("/<page_path:path>")
def read_page(path: str = "") -> Response:
    """Give a file of an application; its index.html for a path that is no file, by which it finds the page itself."""
    if not path and is_navigation() and preferred_version() == "v2":
        return redirect(f"{ui_path()}/v2/" + f"?{request.query_string.decode()}" * bool(request.query_string), 307)
    folder, path = (V2, path[3:]) if f"{path}/".startswith("v2/") else (V1, path)
    archive = archive_path()
    try:
        members = open_archive(archive).members
    except FileNotFoundError:
        if path:
            raise NotFound("Page") from None
        return Response(NOT_INSTALLED.format(api=html.escape(api_url())), content_type=CONTENT_TYPES["html"])
    is_asset = path.startswith("assets/")
    if is_asset and folder + path not in members:
        raise NotFound("File")
    return send(archive, folder + path if folder + path in members else f"{folder}index.html", is_asset)


def send(archive: Path, name: str, is_immutable: bool) -> Response:
    """Answer with a file, or with 304 to who has it already."""
    base = ui_path() + "/v2" * name.startswith(V2)
    response = Response(content_type=CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream"))
    if is_immutable:
        response.headers["Cache-Control"] = f"public, max-age={ONE_YEAR_SECONDS}, immutable"
    else:
        response.headers["Cache-Control"] = "no-cache"
    etag = f"{open_archive(archive).members[name].CRC:08x}-{zlib.crc32(base.encode()):x}"
    return kept(response, etag, *(partial(read, archive, name, base.encode()) for read in (read_plain, read_gzipped)))


def is_navigation() -> bool:
    """Tell whether a person follows a link, as opposed to a program that fetches something."""
    sent = request.headers
    return (
        sent.get("Sec-Fetch-Mode") == "navigate"
        or sent.get("Sec-Fetch-Dest") in ("document", "iframe")
        or "text/html" in sent.get("Accept", "")
    )


def preferred_version() -> str:
    """Give the application that a browser has chosen before, else the default."""
    chosen = request.cookies.get("prefect_ui_version")
    return chosen if chosen in ("v1", "v2") else default_version()


def default_version() -> str:
    """Give the application for those who have not chosen."""
    return "v2" if setting("server.ui.v2_enabled") else "v1"


def api_url() -> str:
    """Give the address of the API for a browser: the one that is set, else by the host that it asked."""
    return setting("server.ui.api_url") or request.host_url.rstrip("/") + api_path()
