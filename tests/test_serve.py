"""`python app.py serve` on a machine that has nothing: the server, its PostgreSQL, and their common end."""

import contextlib
import http.client
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.downbeat_server import ROOT
from tests.prefect_server import free_port, is_healthy

PATIENCE_SECONDS = 60


@pytest.fixture
def home(tmp_path):
    """A folder for the server's data, not there yet; nothing of it runs on after the test."""
    yield tmp_path / "home"
    for pid in find_processes(tmp_path / "home"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def serve(home, tmp_path):
    """Start `app.py serve` on that folder and give the process, its port, and the file of what it says."""
    processes = []

    def serve(port: int | None = None) -> tuple[subprocess.Popen, int, Path]:
        port, said = port or free_port(), tmp_path / f"said-{len(processes)}"
        unset = ("DATABASE_URL", "DATABASE_DIRECT_URL")
        environment = {key: text for key, text in os.environ.items() if key not in unset} | {"DOWNBEAT_HOME": str(home)}
        command = [sys.executable, str(ROOT / "app.py"), "serve", "--bind", f"127.0.0.1:{port}"]
        with said.open("wb") as output:
            options = {"env": environment, "stdout": output, "stderr": output, "start_new_session": True}
            processes.append(subprocess.Popen(command, cwd=tmp_path, **options))
        return processes[-1], port, said

    yield serve
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def find_processes(home: Path) -> list[int]:
    """Find the processes that have this folder in their command line or environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(home) in (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def wait_until(condition, process: subprocess.Popen | None = None) -> None:
    """Wait until something is so; fails when the process ends meanwhile or it lasts too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.02)


def test_answers_and_says_how_to_look_inside(serve):
    process, port, said = serve()
    wait_until(lambda: is_healthy(port), process)
    (command,) = (line.partition(": ")[2] for line in said.read_text().splitlines() if line.startswith("Look inside: "))
    arguments = [*shlex.split(command), "-X", "-A", "-t", "-c", "SELECT count(name) FROM downbeat.flow_run"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_a_second_server_on_the_same_data_says_so_and_ends(serve, home):
    process, port, _ = serve()
    wait_until(lambda: is_healthy(port), process)
    second, _, said = serve()
    assert second.wait(PATIENCE_SECONDS) != 0
    assert f"in use by process {process.pid}" in said.read_text()
    assert str(home) in said.read_text()
    assert "Traceback" not in said.read_text()
    assert is_healthy(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_everything(serve, home, number):
    process, port, said = serve()
    wait_until(lambda: is_healthy(port), process)
    assert any(b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in find_processes(home))
    process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 0
    wait_until(lambda: not find_processes(home))
    assert "Traceback" not in said.read_text()
    assert "database system is shut down" in (home / "postgres.log").read_text()


def create_flow(port: int) -> int:
    """Create a flow that is always the same; gives 201 the first time and 200 later."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("POST", "/api/flows/", '{"name": "kept"}', {"Content-Type": "application/json"})
    with contextlib.closing(connection), connection.getresponse() as answer:
        return answer.status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_starts_again_on_its_data_and_port_however_it_ended(serve, number):
    process, port, _ = serve()
    wait_until(lambda: is_healthy(port), process)
    assert create_flow(port) == 201
    process.send_signal(number)
    process.wait()
    process, _, said = serve(port)
    wait_until(lambda: f"({process.pid})" in said.read_text() and is_healthy(port), process)
    assert create_flow(port) == 200
