"""`downbeat serve` on a machine that has nothing: the server, its PostgreSQL, and their common end."""

import contextlib
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from app import main
from sql.database import connect
from tests.consistency import find_half_written
from tests.downbeat_server import ROOT
from tests.prefect_server import free_port, is_healthy
from tests.waiting import PATIENCE_SECONDS, wait_until


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


def wait_while_running(process: subprocess.Popen, condition) -> None:
    """Wait until something is so; fails when the process ends meanwhile."""

    def is_so() -> bool:
        assert process.poll() is None
        return condition()

    wait_until(is_so)


def psql_command(said: Path) -> str:
    """Give the command that the server said opens its database."""
    (command,) = (line.partition("Look inside: ")[2] for line in said.read_text().splitlines() if "Look inside: " in line)
    return command


def open_events_in(port: int):
    """Open the websocket that every client has open while it runs flows."""
    websocket = connect_websocket(f"ws://127.0.0.1:{port}/api/events/in", subprotocols=["prefect"])
    websocket.send(json.dumps({"type": "auth", "token": None}))
    assert json.loads(websocket.recv(PATIENCE_SECONDS)) == {"type": "auth_success"}
    return websocket


def test_answers_and_says_how_to_look_inside(serve):
    process, port, said = serve()
    wait_while_running(process, lambda: is_healthy(port))
    arguments = [*shlex.split(psql_command(said)), "-X", "-A", "-t", "-c", "SELECT count(name) FROM downbeat.flow_run"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.parametrize("command", ["loops", "migrate", "tune", "handback"])
def test_a_command_that_is_asked_for_help_or_misspelled_does_nothing(command, home, monkeypatch, capsys):
    monkeypatch.setenv("DOWNBEAT_HOME", str(home))
    assert main([command, "--help"]) is None
    assert f"\ndownbeat {command} " in capsys.readouterr().out
    assert main([command, "--dry-run"]) == f"downbeat {command} does not know what to do with '--dry-run'; nothing was done."
    assert not home.exists()


def test_a_second_server_on_the_same_data_says_so_and_ends(serve, home):
    process, port, _ = serve()
    wait_while_running(process, lambda: is_healthy(port))
    second, _, said = serve()
    assert second.wait(PATIENCE_SECONDS) != 0
    assert f"in use by process {process.pid}" in said.read_text()
    assert str(home) in said.read_text()
    assert "Traceback" not in said.read_text()
    assert is_healthy(port)


@pytest.mark.parametrize("command", ["migrate", "tune"])
def test_a_command_works_on_the_data_of_a_server_that_runs(command, serve, home):
    process, port, _ = serve()
    wait_while_running(process, lambda: is_healthy(port))
    unset = ("DATABASE_URL", "DATABASE_DIRECT_URL")
    environment = {key: text for key, text in os.environ.items() if key not in unset} | {"DOWNBEAT_HOME": str(home)}
    done = subprocess.run([sys.executable, str(ROOT / "app.py"), command], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert is_healthy(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_everything(serve, home, number):
    process, port, said = serve()
    wait_while_running(process, lambda: is_healthy(port))
    assert any(b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in find_processes(home))
    process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 0
    wait_until(lambda: not find_processes(home))
    assert "Traceback" not in said.read_text()
    assert "database system is shut down" in (home / "postgres.log").read_text()


def create_flow(connection: http.client.HTTPConnection) -> int:
    """Create a flow that is always the same; gives 201 the first time and 200 later."""
    connection.request("POST", "/api/flows/", '{"name": "kept"}', {"Content-Type": "application/json"})
    with connection.getresponse() as answer:
        answer.read()
        return answer.status


def connect_http(port: int) -> contextlib.closing:
    """Make a connection to a server, to be closed at the end of a `with` block."""
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_starts_again_on_its_data_and_port_however_it_ended(serve, number):
    process, port, _ = serve()
    wait_while_running(process, lambda: is_healthy(port))
    with open_events_in(port), connect_http(port) as kept_alive:
        assert create_flow(kept_alive) == 201
        process.send_signal(number)
        process.wait()
        process, _, said = serve(port)
        wait_while_running(process, lambda: "Booting worker" in said.read_text() and is_healthy(port))
    assert "Connection in use" not in said.read_text()
    with connect_http(port) as connection:
        assert create_flow(connection) == 200


def test_a_flow_outlives_a_killed_server(serve, tmp_path):
    process, port, _ = serve()
    wait_while_running(process, lambda: is_healthy(port))
    notes, home = tmp_path / "notes", str(tmp_path / "client")
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": home, "HOME": home}
    environment["PREFECT_CLIENT_MAX_RETRIES"] = "100"  # however long the machine takes to start the server again
    command = [sys.executable, str(ROOT / "tests/client_flows.py"), "steady", str(notes)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as client:
        try:
            wait_while_running(client, notes.exists)
            process.kill()
            process.wait()
            process, _, said = serve(port)
            wait_while_running(process, lambda: is_healthy(port))
            notes.unlink()
            output, errors = client.communicate(timeout=PATIENCE_SECONDS)
        finally:
            client.kill()
    assert client.returncode == 0, errors
    assert json.loads(output.splitlines()[-1])["result"] == 42, errors
    with connect(shlex.split(psql_command(said))[-1]) as conn:
        assert find_half_written(conn) == []
        assert conn.execute("SELECT state_name, run_count FROM flow_run").fetchall() == [("Completed", 1)] * 2
        # Thirty tasks, the one in the subflow, and the one that stands for the subflow, which was Pending twice.
        assert conn.execute("SELECT state_name, count(*) FROM task_run GROUP BY 1").fetchall() == [("Completed", 32)]
        assert conn.execute("SELECT count(*) FROM task_run_state").fetchone() == (3 * 32 + 1,)


def test_a_start_that_is_refused_leaves_nothing_behind(home, tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOWNBEAT_HOME": str(home)}
    command = [sys.executable, str(ROOT / "app.py"), "serve", "--bind", f"0.0.0.0:{free_port()}"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Everybody who reaches 0.0.0.0 ")
    assert not home.exists()
