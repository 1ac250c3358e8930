"""The configurations of nginx and Caddy that the project brings along, with the real programs where they are installed."""

import contextlib
import http.client
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from tests import downbeat_server
from tests.downbeat_server import ROOT
from tests.events import make_event
from tests.prefect_server import free_port, is_healthy
from tests.test_websockets import AUTH, send
from tests.waiting import PATIENCE_SECONDS, wait_until

HOST = "downbeat.example.org"
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/downbeat.conf;
}}
"""


@pytest.fixture(scope="module")
def folder():
    """A folder that every user may enter and whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="proxies-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def server(module_database, folder):
    """A server that listens on a port and on a socket."""
    bind = ("--bind", f"unix:{folder}/socket", "--umask", "0")
    with downbeat_server.running(module_database, workers=1, arguments=bind, DOWNBEAT_HOSTS=HOST) as server:
        yield server


def nginx(folder, port, upstream):
    """Write the configuration of nginx and give the command that runs it."""
    text = (ROOT / "deploy/nginx.conf").read_text()
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("server 127.0.0.1:4200;", f"server {upstream};")
    Path(folder, "downbeat.conf").write_text(text)
    Path(folder, "nginx.conf").write_text(NGINX.format(folder=folder))
    return ["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"]


def caddy(folder, port, upstream):
    """Write the configuration of Caddy and give the command that runs it."""
    text = (ROOT / "deploy/Caddyfile").read_text()
    text = text.replace(f"\n{HOST} {{", f"\n{{\n\tadmin off\n}}\n\nhttp://{HOST}:{port}, http://127.0.0.1:{port} {{")
    text = text.replace("reverse_proxy 127.0.0.1:4200", f"reverse_proxy {upstream.replace('unix:', 'unix/')}")
    Path(folder, "Caddyfile").write_text(text)
    return ["caddy", "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


@contextlib.contextmanager
def running(command, folder, port):
    """Run a proxy until it answers, and for the length of a `with` block."""
    with open(Path(folder, "output"), "wb") as output:
        environment = {"HOME": folder, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
        proxy = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        wait_until(lambda: is_healthy(port) or proxy.poll() is not None)
        assert proxy.poll() is None, Path(folder, "output").read_text()
        yield
    finally:
        proxy.terminate()
        proxy.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("listens_on", ["port", "socket"])
@pytest.mark.parametrize("configure", [nginx, caddy])
def test_requests_and_websockets_pass_a_proxy(server, folder, configure, listens_on):
    if not shutil.which(configure.__name__, path="/usr/local/bin:/usr/bin:/usr/sbin"):
        pytest.skip(f"{configure.__name__} is not installed")
    port, own = free_port(), server.api.removeprefix("http://").removesuffix("/api")
    upstream = own if listens_on == "port" else f"unix:{folder}/socket"
    with running(configure(folder, port, upstream), folder, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        for size in (1, 1_000_000, 30_000_000):
            body = '{"name": "behind a proxy", "labels": {"text": "%s"}}' % ("x" * size)
            headers = {"Content-Type": "application/json", "Host": HOST}
            connection.request("POST", "/api/flows/", iter([body.encode()]) if size > 1 else body, headers, encode_chunked=True)
            response = connection.getresponse()
            assert response.status in (200, 201), response.read()
            response.read()
        connection.close()
        address = f"ws://127.0.0.1:{port}/api/events/in"
        with connect_websocket(address, subprotocols=["prefect"], additional_headers={}) as websocket:
            websocket.send(AUTH)
            assert "auth_success" in websocket.recv(PATIENCE_SECONDS)
            send(websocket, make_event())
            assert websocket.ping().wait(PATIENCE_SECONDS)
