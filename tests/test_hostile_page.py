"""What a web page of somebody else can do to a server of this machine, in a real browser: nothing."""

import contextlib
import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from urllib.parse import urlencode

import pytest
from psycopg import sql

from sql.database import connect
from tests import downbeat_server
from tests.waiting import PATIENCE_SECONDS

PAGE = Path(__file__).with_name("hostile_page.html").read_bytes()
FLOW_ID = "00000000-0000-4000-8000-000000000001"
OPTIONS = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
           "disable-component-update", "disable-sync")  # fmt: skip
BROWSER = shutil.which("chromium")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no chromium")


class Site(BaseHTTPRequestHandler):
    """Serves the page, and keeps what it tells."""

    def do_GET(self):
        self.send_response(200 if self.path.startswith("/?") else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE)

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.told.put(json.loads(content))

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """A web server of somebody else, on another port of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.told = Queue()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def browser(folder: Path, *arguments: str, **options) -> subprocess.Popen:
    """Start a browser of its own on a page."""
    command = [BROWSER, *(f"--{option}" for option in OPTIONS), f"--user-data-dir={folder}", *arguments]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)}, **options)


def visit(site, folder: Path, name: str, server: downbeat_server.Server) -> dict:
    """Open the page under a name of this machine, and give what it tells of what it could do to a server."""
    targets = [server.api.removesuffix("/api"), server.api.removesuffix("/api").replace("127.0.0.1", "localhost")]
    url = f"http://{name}:{site.server_port}/?" + urlencode({"target": targets}, doseq=True)
    with browser(folder, url, stdout=subprocess.DEVNULL) as process:
        try:
            return site.told.get(timeout=PATIENCE_SECONDS)
        finally:
            process.terminate()


def read_everything(conn) -> dict[str, list]:
    """Give all rows of all tables, but for what the server's own clock writes."""
    tables = conn.execute(
        "SELECT quote_ident(schemaname), quote_ident(relname) FROM pg_stat_user_tables WHERE schemaname IN ('public', 'downbeat')"
    ).fetchall()
    statement = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1")
    return {name: conn.execute(statement.format(sql.SQL(f"{schema}.{name}"))).fetchall() for schema, name in tables}


@pytest.fixture
def flow(database):
    """A connection to a database with a flow in it."""
    with contextlib.closing(connect(database)) as conn:
        conn.execute("INSERT INTO flow (id, name, tags, labels) VALUES (%s, 'mine', '[]', '{}')", [FLOW_ID])
        yield conn


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_hostile_page_reads_opens_and_changes_nothing(database, flow, site, tmp_path, name):
    with downbeat_server.running(database, workers=1) as server:
        before = read_everything(flow)
        told = visit(site, tmp_path, name, server)
        assert told == {"read": [], "opened": []}
    # Only now is what nobody waited for, the beacon, done with.
    assert read_everything(flow) == before


def test_the_same_page_works_where_it_is_allowed(database, flow, site, tmp_path):
    origin = f"http://localhost:{site.server_port}"
    with downbeat_server.running(database, workers=1, PREFECT_SERVER_CORS_ALLOWED_ORIGINS=origin) as server:
        told = visit(site, tmp_path, "localhost", server)
        read = dict(told["read"])
        assert set(told["opened"]) == {"events/out", "events/in", "logs/out"}
        assert read["get"] == '"3.8.3"'
        assert read["events/out"] == '{"type":"auth_success"}'
        assert json.loads(read["json"])["name"] == f"json of {site.server_port}"
        assert "application/json" in json.loads(read["readable text"])["detail"]
        names = {name for (name,) in flow.execute("SELECT name FROM flow").fetchall()}
        # Those without a type are JSON, from whoever may talk to the server; and the flow is deleted.
        assert names == {f"{each} of {site.server_port}" for each in ("json", "blob", "blob without a type")}


def test_a_name_that_leads_here_by_somebody_elses_doing_reads_nothing(database, tmp_path):
    with downbeat_server.running(database, workers=1) as server:
        url = server.api.replace("127.0.0.1", "evil.example") + "/admin/version"
        arguments = ("--host-resolver-rules=MAP evil.example 127.0.0.1", "--dump-dom", url)
        with browser(tmp_path, *arguments, stdout=subprocess.PIPE, text=True) as process:
            shown, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert "DOWNBEAT_HOSTS" in shown
    assert "3.8.3" not in shown
