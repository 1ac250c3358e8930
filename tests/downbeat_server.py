"""Downbeat under gunicorn as a subprocess, as it runs in production."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.prefect_server import Server, free_port, launch, stop

ROOT = Path(__file__).parent.parent


def start(database_url: str, workers: int | None = None, arguments: tuple[str, ...] = (), **settings: str) -> Server:
    """Start gunicorn with the project's configuration on a migrated database and wait for its health.

    `workers` is the number of processes (as configured when None); `arguments` are more of gunicorn's;
    `settings` are environment variables of the server.
    Raise RuntimeError with the server's output when it ends or does not become healthy.
    """
    folder = tempfile.TemporaryDirectory(prefix="downbeat-", ignore_cleanup_errors=True)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "--chdir", str(ROOT)]
    command += ["--bind", f"127.0.0.1:{port}", *(["--workers", str(workers)] if workers else []), *arguments, "app:app"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")} | {
        "DATABASE_URL": database_url,
        "PREFECT_HOME": folder.name,
        "DOWNBEAT_LOOPS": "off",  # so that nothing happens but what a test does; `settings` may turn them on
        **settings,
    }
    return launch(command, environment, folder, port)


@contextlib.contextmanager
def running(database_url: str, workers: int | None = None, arguments: tuple[str, ...] = (), **settings: str) -> Iterator[Server]:
    """Give a server on this database for the length of a `with` block."""
    server = start(database_url, workers, arguments, **settings)
    try:
        yield server
    finally:
        stop(server)


__all__ = ["Server", "running", "start", "stop"]
