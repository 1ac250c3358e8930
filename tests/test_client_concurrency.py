"""Limits as people use them with the Prefect client that they have, in several processes at once, against a real server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sql.database import connect
from tests import downbeat_server
from tests.load import Client
from tests.slots import insert_limit
from tests.waiting import PATIENCE_SECONDS, wait_until

SCRIPT = Path(__file__).with_name("client_concurrency.py")
QUICK = {
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "0.3",
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "0.3",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
}
RATE = 4  # slots a second
RUNS = """
SELECT flow_run.state_name
  FROM flow_run
       JOIN deployment ON deployment.id = flow_run.deployment_id
 WHERE deployment.name = %s
 ORDER BY flow_run.state_name
"""

COMMANDS = {
    "gcl create gate --limit 3 --active-slots 1 --slot-decay-per-second 0.5": "Created global concurrency limit",
    "gcl create gate --limit 3": "already exists",
    "gcl inspect gate": "slot_decay_per_second",
    "gcl update gate --limit 7 --slot-decay-per-second 0 --active-slots 2": "Updated global concurrency limit",
    "gcl disable gate": "Disabled global concurrency limit",
    "gcl disable gate ": "already disabled",
    "gcl inspect gate --output json": '"limit": 7',
    "gcl enable gate": "Enabled global concurrency limit",
    "gcl ls": "gate",
    "gcl delete gate": "Deleted global concurrency limit",
    "gcl inspect gate ": "not found",
    "concurrency-limit create passage 2": "Created concurrency limit",
    "concurrency-limit create passage 4": "Created concurrency limit",
    "concurrency-limit inspect passage --output json": '"concurrency_limit": 4',
    "concurrency-limit ls": "passage",
    "concurrency-limit reset passage": "Reset concurrency limit",
    "gcl inspect tag:passage --output json": '"active_slots": 0',
    "concurrency-limit delete passage": "Deleted concurrency limit",
    "concurrency-limit inspect passage": "No concurrency limit found",
}
FAILING = {"gcl create gate --limit 3", "gcl disable gate ", "gcl inspect gate ", "concurrency-limit inspect passage"}


@pytest.fixture(scope="module")
def stored(module_database):
    """A connection that sees what the server committed, in a database with the limits that the client's script knows."""
    with connect(module_database) as conn:
        insert_limit(conn, 2, name="doors")
        insert_limit(conn, 3, name="windows")
        insert_limit(conn, 1, name="closed", active_slots=1)
        insert_limit(conn, 2, name="turnstile", slot_decay_per_second=RATE)
        insert_limit(conn, 2, name="tag:narrow")
        yield conn


@pytest.fixture(scope="module")
def server(module_database, stored):
    """A server that does not have people wait for long."""
    with downbeat_server.running(module_database, workers=2, **QUICK) as server:
        yield server
        assert "Traceback" not in server.log, server.log


@pytest.fixture(scope="module")
def start(server, tmp_path_factory):
    """Start something of client_concurrency.py in a process of its own."""
    home = str(tmp_path_factory.mktemp("home"))
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    quiet = {"DO_NOT_TRACK": "1", "COLUMNS": "200", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    environment = inherited | quiet | {"PREFECT_API_URL": server.api, "PREFECT_HOME": home, "HOME": home}
    processes = []

    def start(*arguments: str) -> subprocess.Popen:
        pipe = subprocess.PIPE
        command = [sys.executable, str(SCRIPT), *arguments]
        processes.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Give the file in which those are noted who had a slot."""
    folder = tmp_path_factory.mktemp("notes")
    return lambda what: folder / what


@pytest.fixture(scope="module")
def started(start, notes):
    """All that happens at the same time."""
    started = {what: start(what, str(notes(what))) for what in ("deployed", "share", "rate")}
    commands = start("commands", str(notes("commands")), *COMMANDS)
    return {**started, "share too": start("share", str(notes("share"))), "commands": commands}


def finish(process: subprocess.Popen):
    """Wait for what was started and give its outcome."""
    output, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return json.loads(output.splitlines()[-1])


def most_at_once(path: Path) -> tuple[int, int]:
    """Give how many had a slot at the same instant at most, and how often a slot was had."""
    spans = [json.loads(line) for line in path.read_text().splitlines()]
    changes = sorted(change for began, ended in spans for change in ((began, 1), (ended, -1)))
    return max(sum(change for _, change in changes[:count]) for count in range(len(changes) + 1)), len(spans)


def wait_for_rows(conn, done, statement: str, *parameters) -> list[tuple]:
    """Ask until the rows are as they should be and give them."""

    def read() -> list[tuple]:
        return conn.execute(statement, parameters).fetchall()

    return wait_until(lambda: (rows := read()) and done(rows) and rows, read)


@pytest.fixture(scope="module")
def outcomes(started, stored, server):
    """What came of all that ends by itself."""
    return {what: finish(process) for what, process in started.items() if what != "deployed"}


@pytest.fixture(scope="module")
def runs(started, stored, server, notes):
    """Two runs of each deployment, which are started at once: the states that they end in."""
    found = wait_for_rows(stored, lambda rows: len(rows) == 2, "SELECT name, id FROM deployment")
    client = Client(lambda: server.api)
    for name, id in found * 2:
        client.post(f"/deployments/{id}/create_flow_run", {"parameters": {"notes": str(notes(name))}})
    client.close()
    ended = {("Completed",), ("Cancelled",), ("Failed",), ("Crashed",)}
    return {name: wait_for_rows(stored, lambda rows: {*rows} <= ended, RUNS, name) for name, _ in found}


def test_slots_are_shared_by_threads_and_coroutines_of_several_processes(outcomes, notes):
    assert most_at_once(notes("share.slots")) == (2, 2 * 2 * 3 * 2)
    refused = ["ConcurrencySlotAcquisitionError", "ConcurrencySlotAcquisitionError", "AcquireConcurrencySlotTimeoutError"]
    assert outcomes["share"][0] == outcomes["share too"][0] == refused


def test_a_rate_is_kept(outcomes):
    began, *passed = outcomes["rate"]
    for number, moment in enumerate(passed, 1):
        assert moment - began >= (number - 2) / RATE


def test_tasks_with_a_tag_run_in_limited_number_whatever_process_they_are_in(outcomes, notes):
    assert outcomes["share"][1] == outcomes["share too"][1] == "Completed"
    assert most_at_once(notes("share.tagged")) == (2, 2 * 4)


@pytest.mark.parametrize(("number", "line"), list(enumerate(COMMANDS)))
def test_the_command_line_manages_limits(outcomes, number, line):
    code, printed = outcomes["commands"][number]
    assert COMMANDS[line] in printed, printed
    assert (code != 0) == (line in FAILING), printed


def test_runs_of_a_deployment_wait_for_each_other(runs, notes):
    assert runs["queueing"] == [("Completed",)] * 2
    assert most_at_once(notes("queueing")) == (1, 2)


def test_runs_of_a_deployment_are_cancelled_while_another_runs(runs, notes):
    assert runs["cancelling"] == [("Cancelled",), ("Completed",)]
    assert most_at_once(notes("cancelling")) == (1, 1)


def test_nothing_is_held_in_the_end(outcomes, runs, stored):
    # Of limits that are not there the client leases nothing and, when it is strict, does not give that back.
    held = stored.execute("SELECT count(*) FROM downbeat.concurrency_lease WHERE limit_id IS NOT NULL")
    assert held.fetchone() == (0,)
    held = stored.execute("SELECT name FROM concurrency_limit_v2 WHERE active_slots <> 0 AND slot_decay_per_second = 0")
    assert held.fetchall() == [("closed",)]
