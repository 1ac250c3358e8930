"""Prefect's own server as a subprocess, for the tests that compare with it."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from tests.waiting import PATIENCE_SECONDS, wait_until


class Server(NamedTuple):
    """A running server: its process, the base address that clients use, and the folder that goes when it stops."""

    process: subprocess.Popen
    api: str
    folder: tempfile.TemporaryDirectory

    @property
    def log(self) -> str:
        """What the server printed so far."""
        return (Path(self.folder.name) / "server.log").read_text(errors="replace")


def start(database_url: str, services: bool = False, **settings: str) -> Server:
    """Start `prefect server start` on a PostgreSQL database (made ready by its own migrations) and wait for its health.

    `services` switches the background loops and event consumers; `settings` are environment variables of the server.
    Raise RuntimeError with the server's output when it ends or does not become healthy.
    """
    folder = tempfile.TemporaryDirectory(prefix="prefect-home-", ignore_cleanup_errors=True)
    (Path(folder.name) / ".prefect").mkdir()
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")} | {
        "HOME": folder.name,
        "PREFECT_HOME": folder.name,
        "PREFECT_API_DATABASE_CONNECTION_URL": asyncpg_url(database_url),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        **settings,
    }
    return launch(command if services else [*command, "--no-services"], environment, folder, port)


def stop(server: Server, sign: int = signal.SIGTERM) -> None:
    """End the server by its process group and forget its folder."""
    if server.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, sign)
        try:
            server.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
    server.folder.cleanup()


@contextlib.contextmanager
def running(database_url: str, services: bool = False, **settings: str) -> Iterator[Server]:
    """Give a server on this database for the length of a `with` block."""
    server = start(database_url, services, **settings)
    try:
        yield server
    finally:
        stop(server)


def launch(command, environment, folder, port) -> Server:
    """Run a server command in a process group of its own and wait until the health of its API on `port` answers 200."""
    path = environment.get("PREFECT_SERVER_API_BASE_PATH", "/api")
    with open(Path(folder.name) / "server.log", "wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    server = Server(process, f"http://127.0.0.1:{port}{path}", folder)
    wait_until(lambda: is_healthy(port, path) or process.poll() is not None, lambda: server.log)
    if process.poll() is not None:
        output = server.log
        stop(server, signal.SIGKILL)
        raise RuntimeError(f"The server did not start: {' '.join(command)}\n{output}")
    return server


def is_healthy(port: int, path: str = "/api") -> bool:
    """Tell whether a server answers 200 on the health of the API at a path."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"{path}/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Give a TCP port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def asyncpg_url(database_url: str) -> str:
    """Word a libpq connection string or URL as SQLAlchemy's asyncpg driver wants it; hosts may be socket folders."""
    parts = conninfo_to_dict(database_url)
    if "passfile" in parts and "password" not in parts:
        parts["password"] = Path(parts["passfile"]).read_text().strip().rpartition(":")[2]
    user = quote(parts.get("user") or "postgres", safe="")
    password = f":{quote(parts['password'], safe='')}" if parts.get("password") else ""
    host, port = parts.get("host") or "127.0.0.1", parts.get("port") or 5432
    database = quote(parts.get("dbname") or "postgres", safe="")
    if host.startswith("/"):
        return f"postgresql+asyncpg://{user}{password}@/{database}?host={quote(host, safe='')}&port={port}"
    return f"postgresql+asyncpg://{user}{password}@{host}:{port}/{database}"
