"""Who may talk to the server: names, origins and types of bodies, at every route and websocket, before anything else."""

import base64
import http.client
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from flask import request
from psycopg.conninfo import make_conninfo

from app import create_app
from handlers.http.access import TAKE_TEXT, find_danger
from sql import database as db
from tests import downbeat_server
from tests.prefect_server import free_port
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent
HOST = {"Host": "127.0.0.1:4200"}
BEARER = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "QUFBQUFBQUFBQUFBQUFBQQ==",
}


@pytest.fixture
def serving(client, monkeypatch):
    """Give a function that makes a client of an application with these settings, on the module's database."""

    def make(**variables: str):
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        return create_app().test_client()

    return make


def every_operation(app):
    """Give a path, a method and whether it is a websocket for everything that the server answers, and for what it does not."""
    for rule in app.url_map.iter_rules():
        values = {name: "11111111-1111-1111-1111-111111111111" if "id" in name else "x" for name in rule.arguments}
        path = rule.build(values)[1]
        yield from ((path, method, rule.websocket) for method in rule.methods)
    yield from (
        ("/api/nothing", "POST", False),
        ("/api/flows/", "TRACE", False),
        ("/", "GET", False),
        ("/api/flows", "GET", False),
    )


@pytest.mark.parametrize(("headers", "status"), [
    ({"Host": "evil.example:4200"}, 421),
    ({"Host": "127.0.0.1:4200", "Origin": "https://evil.example"}, 403),
    ({"Host": "evil.example:4200", "Origin": "http://evil.example:4200"}, 421),
])  # fmt: skip
def test_nothing_answers_a_strange_name_or_origin_be_it_route_or_websocket_or_neither(serving, headers, status):
    client = serving(PREFECT_SERVER_API_AUTH_STRING="me:secret", PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true")
    operations = list(every_operation(client.application))
    assert sum(is_websocket for _, _, is_websocket in operations) > 2
    reached = []
    client.application.view_functions = dict.fromkeys(client.application.view_functions, lambda **path: reached.append(path))
    for path, method, is_websocket in operations:
        answer = client.open(path, method=method, headers=headers | BEARER | (UPGRADE if is_websocket else {}))
        assert answer.status_code == status, (path, method)
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert not reached


@pytest.mark.parametrize("host", [
    "127.0.0.1", "127.0.0.1:4200", "127.0.0.1:9999", "127.8.9.10", "localhost", "LocalHost:4200", "localhost.:4200", "[::1]:4200",
    "[::1]", "[0:0:0:0:0:0:0:1]:1", "[::ffff:127.0.0.1]:4200",
])  # fmt: skip
def test_goes_by_all_names_of_this_machine(client, host):
    assert client.get("/api/hello", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", [
    "", "evil.example", "0.0.0.0:4200", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example@127.0.0.1",
    "127.0.0.1@evil.example", "127.0.0.1:4200:80", "localhost..", "[::2]:4200", "[::1", "::1", "127.0.0.1,evil.example",
    "127.0.0.1 ", "localhost/", "localhost\\", "127.0.0.1#", "2130706433", "127.1", "lo\u0441alhost".encode().decode("latin-1"),
])  # fmt: skip
def test_goes_by_no_other_name(client, host):
    assert client.get("/api/hello", headers={"Host": host}).status_code == 421


def test_goes_by_the_names_that_a_reverse_proxy_is_known_by(serving):
    client = serving(DOWNBEAT_HOSTS="flows.example, other.example")
    for host, status in (("flows.example", 200), ("Flows.Example:8443", 200), ("other.example", 200), ("evil.example", 421)):
        assert client.get("/api/hello", headers={"Host": host}).status_code == status


def test_a_server_of_the_network_goes_by_any_name(client):
    assert client.get("/api/hello", headers={"Host": "flows.example"}, base_url="http://192.0.2.1:4200").status_code == 200
    environ = {"SERVER_NAME": "0.0.0.0", "HTTP_HOST": "flows.example"}
    assert client.get("/api/hello", environ_overrides=environ).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "localhost:4200", "[::1]:4200"])
@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:4200", "http://localhost:4200", "HTTP://LOCALHOST:4200", "http://[::1]:4200"]
)
def test_pages_of_this_machine_on_the_same_port_are_its_own(client, host, origin):
    answer = client.post("/api/flows/count", json={}, headers={"Host": host, "Origin": origin})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [
    "null", "", "http://127.0.0.1", "http://localhost:4201", "http://localhost", "https://127.0.0.1", "http://evil.example:4200",
    "http://127.0.0.1:4200.evil.example", "http://evil.example@127.0.0.1:4200", "http://127.0.0.1:4200@evil.example", "http://",
    "127.0.0.1:4200", "//127.0.0.1:4200", "file://127.0.0.1:4200", "chrome-extension://127.0.0.1:4200", "http://127.0.0.1:4200/",
    "http://127.0.0.1:4200,http://evil.example", "http://127.0.0.1:4200 http://evil.example", "http://127.0.0.1:04200", "*",
    "http://localhost:4200\\@evil.example", "http://0.0.0.0:4200", "http://[::1]", "http://sub.localhost:4200",
    "http:/127.0.0.1:4200",
])  # fmt: skip
def test_pages_of_any_other_origin_are_refused(client, origin):
    for method, path in (("GET", "/api/hello"), ("POST", "/api/flows/count"), ("OPTIONS", "/api/flows/count")):
        preflight = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
        answer = client.open(path, method=method, headers={**HOST, **preflight, "Origin": origin})
        assert answer.status_code == 403
        assert "PREFECT_SERVER_CORS_ALLOWED_ORIGINS" in answer.json["detail"]
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_the_web_interface_works_behind_a_reverse_proxy(serving):
    client = serving(DOWNBEAT_HOSTS="flows.example")
    for host, origin in (
        ("flows.example", "https://flows.example"),
        ("flows.example:8443", "https://flows.example:8443"),
        ("flows.example:443", "https://flows.example"),
    ):
        answer = client.post("/api/flows/count", json={}, headers={"Host": host, "Origin": origin})
        assert answer.status_code == 200
    wrong = {"Host": "flows.example", "Origin": "https://flows.example:8443"}
    assert client.post("/api/flows/count", json={}, headers=wrong).status_code == 403
    # Who the proxy says it was asked by, and by what name, changes nothing.
    forged = {"Host": "evil.example", "X-Forwarded-Host": "flows.example", "Forwarded": "host=flows.example"}
    assert client.get("/api/hello", headers=forged).status_code == 421
    forged = {"Host": "flows.example", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"}
    assert client.get("/api/hello", headers=forged).status_code == 403


@pytest.fixture
def shared(serving):
    """A client of an application that pages of two other origins may use."""
    return serving(PREFECT_SERVER_CORS_ALLOWED_ORIGINS="https://a.example, http://b.example:3000/")


@pytest.mark.parametrize("origin", ["https://a.example", "http://b.example:3000"])
def test_pages_that_are_allowed_may_read_answers_and_errors(shared, origin):
    for method, path, status in (
        ("POST", "/api/flows/count", 200),
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/health", 405),
        ("POST", "/api/flows/", 422),
        ("GET", "/api/events/in", 400),
    ):
        answer = shared.open(path, method=method, headers={**HOST, "Origin": origin})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, origin)


def test_others_are_still_refused_where_some_are_allowed(shared):
    for origin in ("http://a.example", "https://a.example:444", "https://sub.a.example", "http://b.example", "null"):
        assert shared.post("/api/flows/count", headers={**HOST, "Origin": origin}).status_code == 403


def test_preflights_of_allowed_pages_are_answered_without_credentials(serving):
    client = serving(PREFECT_SERVER_API_AUTH_STRING="me:secret", PREFECT_SERVER_CORS_ALLOWED_ORIGINS="https://a.example")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    answer = client.options("/api/flows/", headers={**HOST, **asked, "Origin": "https://a.example"})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    refused = client.post("/api/flows/", json={}, headers={**HOST, "Origin": "https://a.example"})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, "https://a.example")


def test_preflights_name_the_methods_and_headers_that_are_set(serving):
    client = serving(
        PREFECT_SERVER_CORS_ALLOWED_ORIGINS="https://a.example",
        PREFECT_SERVER_API_CORS_ALLOWED_METHODS="GET,POST",
        PREFECT_SERVER_CORS_ALLOWED_HEADERS="content-type, x-mine",
    )
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    answer = client.options("/api/flows/", headers={**HOST, **asked, "Origin": "https://a.example"})
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type, x-mine"


def test_an_explicit_star_allows_every_page(serving):
    client = serving(PREFECT_SERVER_CORS_ALLOWED_ORIGINS="*")
    for origin in ("https://evil.example", "null"):
        answer = client.post("/api/flows/count", json={}, headers={**HOST, "Origin": origin})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")


@pytest.mark.parametrize("kind", [
    "text/plain", "Text/Plain; charset=utf-8", " text/plain", "text/plain;application/json", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x", "multipart/mixed", "text/plain, application/json", "application/csp-report", "text/ping",
    "application/jsonp", "text/json", "nonsense", "application/json text/plain", "application/x-json-text", ";", "application/",
])  # fmt: skip
def test_bodies_that_are_not_json_are_refused(client, kind):
    for method, path in (("POST", "/api/flows/"), ("PATCH", "/api/nothing"), ("DELETE", "/api/admin/storage")):
        answer = client.open(path, method=method, data='{"name": "f"}', headers=HOST, content_type=kind)
        assert (answer.status_code, answer.json) == (415, {"detail": "The body must be application/json."})


@pytest.mark.parametrize("kind", [
    None, "", "application/json", "Application/JSON; Charset=UTF-8", "application/json;charset=utf-8", "application/x+json",
    " application/json ",
])  # fmt: skip
def test_json_and_bodies_without_a_type_are_taken(client, kind):
    assert client.post("/api/flows/count", data="{}", headers=HOST, content_type=kind).status_code == 200


def test_reads_may_have_any_type(client):
    assert client.get("/api/hello", headers=HOST, content_type="text/plain").status_code == 200


def test_templates_are_taken_as_plain_text(client):
    app = create_app()
    app.add_url_rule("/api/test-templates", TAKE_TEXT[0], lambda: request.get_data(), methods=["POST"])
    answer = app.test_client().post("/api/test-templates", data="{{ x }}", headers=HOST, content_type="text/plain")
    assert (answer.status_code, answer.data) == (200, b"{{ x }}")


def test_browsers_are_told_not_to_guess_types(client):
    for method, path in (("GET", "/api/hello"), ("GET", "/api/nothing"), ("POST", "/api/flows/"), ("DELETE", "/api/hello")):
        assert client.open(path, method=method, headers=HOST).headers["X-Content-Type-Options"] == "nosniff"


def test_reading_changes_nothing(database, monkeypatch):
    """A page may have anything fetched by GET without saying so; hence nothing but the tokens of clients may come of it."""
    monkeypatch.setattr(db, "pool", None)
    ids = make_everything(database)
    db.open_pool(make_conninfo(database, options="-c default_transaction_read_only=on"), 2)
    try:
        client = create_app().test_client()
        assert client.post("/api/flows/", json={"name": "f"}, headers=HOST).status_code == 503, "nothing can be written"
        for rule in client.application.url_map.iter_rules():
            if "GET" in rule.methods and not rule.websocket and rule.endpoint != "csrf_token.create_csrf_token":
                values = {
                    name: ids.get(rule.rule.split("/")[2], ids["flows"]) if name == "id" else "x" for name in rule.arguments
                }
                answer = client.get(rule.build(values)[1], headers=HOST)
                assert answer.status_code in (200, 404, 422), (rule, answer.json)
    finally:
        db.close_pool()


def make_everything(database: str) -> dict[str, str]:
    """Make one of each thing that can be read by its id, by name x where it has one; gives the ids by the first part of paths."""
    db.open_pool(database, 2)
    client, ids = create_app().test_client(), {}
    try:
        for noun, content in (
            ("flows", {"name": "x"}),
            ("work_pools", {"name": "x", "type": "process"}),
            ("deployments", {"name": "x", "flow_id": "flows", "work_pool_name": "x"}),
            ("flow_runs", {"flow_id": "flows", "deployment_id": "deployments", "state": {"type": "SCHEDULED"}}),
            ("task_runs", {"flow_run_id": "flow_runs", "task_key": "x", "dynamic_key": "0"}),
            ("concurrency_limits", {"tag": "x", "concurrency_limit": 1}),
            ("artifacts", {"key": "x", "data": 1}),
            ("variables", {"name": "x", "value": 1}),
            ("block_types", {"name": "X", "slug": "x"}),
            ("saved_searches", {"name": "x"}),
        ):
            given = {key: ids.get(value, value) if key.endswith("_id") else value for key, value in content.items()}
            method = client.put if noun == "saved_searches" else client.post
            answer = method(f"/api/{noun}/", json=given, headers=HOST)
            assert answer.status_code in (200, 201), (noun, answer.json)
            ids[noun] = answer.json["id"]
        ids["work_queues"] = client.get("/api/work_pools/x/queues/default", headers=HOST).json["id"]
        return ids
    finally:
        db.close_pool()


def say(port: int, head: str, body: bytes = b"") -> bytes:
    """Send a request as it is, and give the answer."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as conn:
        conn.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"Connection: close\r\n\r\n" + body)
        answer = b""
        while part := conn.recv(65536):
            answer += part
        return answer


@pytest.fixture(scope="module")
def server(module_database):
    """A server on an address of this machine."""
    with downbeat_server.running(module_database, workers=1) as server:
        yield server


@pytest.fixture
def port(server):
    return int(server.api.split(":")[2].split("/")[0])


@pytest.mark.parametrize(("head", "status"), [
    ("GET /api/hello HTTP/1.1\nHost: localhost\n", b"200"),
    ("GET /api/hello HTTP/1.0\n", b"200"),
    ("GET /api/hello HTTP/1.1\nHost: evil.example\n", b"421"),
    ("GET /api/hello HTTP/1.1\nHost: localhost\nHost: evil.example\n", b"400"),
    ("GET http://evil.example/api/hello HTTP/1.1\nHost: evil.example\n", b"421"),
    ("GET /api/hello HTTP/1.1\nHost: localhost\nOrigin: http://localhost\nOrigin: http://evil.example\n", b"403"),
    ("GET /api/hello HTTP/1.1\nHost: localhost\nORIGIN: null\n", b"403"),
    ("POST /api/flows/count HTTP/1.1\nHost: localhost\nContent-Length: 2\nContent-Type: text/plain\n", b"415"),
    ("POST /api/flows/count HTTP/1.1\nHost: localhost\nContent-Length: 2\nContent-Type: application/json\0text/plain\n", b"400"),
    ("POST /api/flows/count HTTP/1.1\nHost: localhost\nContent-Length: 2\nContent-Type: application/json\n"
     "Content-Type: text/plain\n", b"400"),
    ("POST /api/flows/count HTTP/1.1\nHost: localhost\nContent-Length: 2\nContent_Type: application/json\n"
     "Content-Type: text/plain\n", b"415"),
    ("GET /api/hello HTTP/1.1\nHost: localhost\nSCRIPT_NAME: /x\n", b"200"),
    ("GET /api/hello HTTP/1.1\nHost: localhost\nScript-Name: /api\n", b"200"),
    ("GET /api/hello HTTP/1.1\nHost: localhost\nPATH_INFO: /nothing\n", b"200"),
    ("GET /api/hello HTTP/1.1\nHost: localhost\nX-Forwarded-Host: evil.example\nX-Forwarded-Prefix: /x\n", b"200"),
    ("GET /api/hello HTTP/1.1\nHost: evil.example\nX-Forwarded-Host: localhost\n", b"421"),
])  # fmt: skip
def test_a_real_server_asks_the_same(port, head, status):
    assert say(port, head, b"{}" if "POST" in head else b"").split()[1] == status


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
@pytest.mark.parametrize(("host", "origin", "status"), [
    ("127.0.0.1:{}", None, 101),
    ("localhost:{}", "http://127.0.0.1:{}", 101),
    ("127.0.0.1:{}", "http://evil.example", 403),
    ("127.0.0.1:{}", "null", 403),
    ("evil.example:{}", "http://evil.example:{}", 421),
])  # fmt: skip
def test_websockets_are_opened_to_nobody_else(port, path, host, origin, status):
    head = {**UPGRADE, "Sec-WebSocket-Protocol": "prefect", "Host": host.format(port)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("GET", f"/api/{path}", headers=head | ({"Origin": origin.format(port)} if origin else {}))
    assert connection.getresponse().status == status
    connection.close()


def start(*arguments: str, **settings: str) -> subprocess.Popen:
    """Start gunicorn as a person would."""
    environment = {"PATH": "/usr/bin:/bin", "DATABASE_URL": "postgresql://127.0.0.1:1/nowhere", **settings}
    command = [sys.executable, "-m", "gunicorn", *arguments, "app:app"]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(("arguments", "settings", "sentence"), [
    (["--bind", "0.0.0.0:{}"], {}, "Everybody who reaches 0.0.0.0"),
    (["--bind", "127.0.0.1:{}", "--bind", "[::]:{}"], {}, "Everybody who reaches ::"),
    ([], {"DOWNBEAT_BIND": "0.0.0.0:{}"}, "Everybody who reaches 0.0.0.0"),
    ([], {"PREFECT_SERVER_API_HOST": "0.0.0.0", "PREFECT_SERVER_API_PORT": "{}"}, "Everybody who reaches 0.0.0.0"),
    (["--bind", ":{}"], {}, "Everybody who reaches"),
    ([], {"PREFECT_SERVER_API_AUTH_STRING": ""}, "PREFECT_SERVER_API_AUTH_STRING is empty"),
    (["--bind", "0.0.0.0:{}"], {"PREFECT_SERVER_API_AUTH_STRING": ""}, "PREFECT_SERVER_API_AUTH_STRING is empty"),
])  # fmt: skip
def test_does_not_start_open_to_everybody_unasked(arguments, settings, sentence):
    port = free_port()
    settings = {name: text.format(port) for name, text in settings.items()}
    process = start(*(argument.format(port) for argument in arguments), **settings)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert sentence in output
    assert "DOWNBEAT_OPEN=yes" in output
    assert "Traceback" not in output


def test_does_not_start_open_on_a_socket_that_it_was_given(module_database):
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        fd = listening.fileno()
        environment = {"PATH": "/usr/bin:/bin", "DATABASE_URL": module_database}
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{fd}", "app:app"]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, pass_fds=[fd], capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
    assert done.returncode == 1
    assert "Everybody who reaches 0.0.0.0" in done.stderr


@pytest.mark.parametrize(("addresses", "settings"), [
    ([("127.0.0.1", 4200)], {}),
    ([("::1", 4200, 0, 0), ("localhost", 1)], {}),
    (["/run/downbeat.sock"], {}),
    ([("0.0.0.0", 4200)], {"PREFECT_SERVER_API_AUTH_STRING": "me:secret"}),
    ([("0.0.0.0", 4200)], {"DOWNBEAT_OPEN": "yes"}),
    ([("0.0.0.0", 4200)], {"PREFECT_SERVER_API_AUTH_STRING": "", "DOWNBEAT_OPEN": "yes"}),
])  # fmt: skip
def test_starts_where_only_this_machine_listens_or_credentials_are_asked_for_or_it_was_told_to(monkeypatch, addresses, settings):
    for name, text in settings.items():
        monkeypatch.setenv(name, text)
    assert find_danger(addresses) is None


def test_a_unix_socket_goes_by_any_name(module_database, tmp_path):
    path = tmp_path / "socket"
    process = start("--bind", f"unix:{path}", "--workers", "1", DATABASE_URL=module_database, DOWNBEAT_LOOPS="off",
                    PREFECT_SERVER_CORS_ALLOWED_ORIGINS="*", PREFECT_HOME=str(tmp_path))  # fmt: skip
    try:
        output = ""
        while "Booting worker" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        assert "every web page" in output, "a warning, for * is set"
        with socket.socket(socket.AF_UNIX) as conn:
            conn.connect(str(path))
            conn.sendall(b"GET /api/hello HTTP/1.1\r\nHost: flows.example\r\nConnection: close\r\n\r\n")
            assert conn.recv(65536).split()[1] == b"200"
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def test_the_api_is_under_the_path_that_is_set(serving):
    client = serving(PREFECT_SERVER_API_BASE_PATH="/orchestra/api/")
    assert client.get("/orchestra/api/hello", headers=HOST).status_code == 200
    assert client.get("/api/hello", headers=HOST).status_code == 404


def test_the_web_interface_is_shown_in_no_page_of_others(client):
    assert client.get("/", headers=HOST).headers["X-Frame-Options"] == "SAMEORIGIN"
