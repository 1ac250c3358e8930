"""People use the Prefect client that they have: it runs against a real server as it runs against Prefect's own."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sql.database import connect
from tests import downbeat_server
from tests.consistency import find_half_written
from tests.waiting import PATIENCE_SECONDS, wait_for_row, wait_until

FLOWS = Path(__file__).with_name("client_flows.py")

RUN_OF_FLOW = "SELECT flow_run.id FROM flow_run JOIN flow ON flow.id = flow_id WHERE flow.name = %s AND state_type = %s"

TASK_RUNS = """
SELECT task_run.name, task_run.run_count, task_run.flow_run_run_count, array_agg(state.name ORDER BY state.timestamp)
  FROM task_run
       JOIN task_run_state AS state ON state.task_run_id = task_run.id
 WHERE task_run.flow_run_id = %s
 GROUP BY task_run.id
 ORDER BY task_run.start_time
"""


@pytest.fixture(scope="module")
def server(module_database):
    """A server that the module's tests share."""
    with downbeat_server.running(module_database, workers=2) as server:
        yield server
        assert "Traceback" not in server.log, server.log


@pytest.fixture(scope="module")
def environment(server, tmp_path_factory):
    """The environment of a person who has set no more than PREFECT_API_URL."""
    home = str(tmp_path_factory.mktemp("home"))
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    return inherited | {"PREFECT_API_URL": server.api, "PREFECT_HOME": home, "HOME": home, "DO_NOT_TRACK": "1", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def start(environment, tmp_path_factory):
    """Start something of client_flows.py in a process of its own."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen:
        folder = tmp_path_factory.mktemp(arguments[0])
        pipe = subprocess.PIPE
        command = [sys.executable, str(FLOWS), *arguments]
        processes.append(subprocess.Popen(command, env=environment, cwd=folder, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: subprocess.Popen) -> dict:
    """Wait for what was started and give its outcome, with what it said on standard error."""
    output, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return {**json.loads(output.splitlines()[-1]), "said": said}


@pytest.fixture(scope="module")
def outcomes(start):
    """What came of the flows that need nobody; two run at a time, for each is an interpreter that a core is busy with."""
    with ThreadPoolExecutor(2) as pool:
        names = ("everything", "retried", "failing", "cached", "suspending", "delay")
        return dict(zip(names, pool.map(lambda name: finish(start(name)), names), strict=True))


@pytest.fixture(scope="module")
def prefect(environment):
    """Run a command of Prefect's command line and give what it printed."""

    def prefect(*arguments: str) -> str:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return prefect


@pytest.fixture
def stored(module_database):
    """A connection that sees what the server committed."""
    with connect(module_database) as conn:
        yield conn


def read_states(conn, flow_run_id: str) -> list[str]:
    """Give the names of the states that a flow run went through."""
    statement = "SELECT name FROM flow_run_state WHERE flow_run_id = %s ORDER BY timestamp"
    return [name for (name,) in conn.execute(statement, (flow_run_id,))]


def test_a_flow_with_tasks_and_a_subflow_runs_to_its_end(outcomes, stored):
    outcome = outcomes["everything"]
    assert outcome["state"] == "Completed"
    assert outcome["result"] == {"retried": "second time", "total": 380, "child": 42}
    assert read_states(stored, outcome["id"]) == ["Pending", "Running", "Completed"]
    run = stored.execute("SELECT name, run_count FROM flow_run WHERE id = %s", (outcome["id"],)).fetchone()
    assert (run[0] in outcome["said"], run[1]) == (True, 1)


def test_task_runs_and_their_states_are_in_the_tables(outcomes, stored):
    (retried, *doubled, summed, subflow) = stored.execute(TASK_RUNS, (outcomes["everything"]["id"],)).fetchall()
    assert retried[1:] == (2, 1, ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"])
    assert len(doubled) == 20
    assert {run[0].rpartition("-")[0] for run in doubled} == {"double"}
    assert all(run[1:] == (1, 1, ["Pending", "Running", "Completed"]) for run in (*doubled, summed))
    # The task run that stands for the subflow: the state it was made in, and those of the subflow.
    assert subflow[0].startswith("child")
    assert subflow[3] == ["Pending", "Pending", "Running", "Completed"]


def test_a_subflow_is_found_by_the_task_run_that_stands_for_it(outcomes, stored):
    statement = """
        SELECT subflow.state_name, state.state_details ->> 'child_flow_run_id' = subflow.id::text
          FROM task_run
               JOIN flow_run AS subflow ON subflow.parent_task_run_id = task_run.id
               JOIN task_run_state AS state ON state.id = task_run.state_id
         WHERE task_run.flow_run_id = %s"""
    assert stored.execute(statement, (outcomes["everything"]["id"],)).fetchall() == [("Completed", True)]


def test_the_graph_shows_which_task_gave_its_result_to_which(outcomes, server):
    with urllib.request.urlopen(f"{server.api}/flow_runs/{outcomes['everything']['id']}/graph-v2") as answer:
        nodes = dict(json.load(answer)["nodes"])
    (summed,) = (node for node in nodes.values() if node["label"].startswith("add_up"))
    doubled = [id for id, node in nodes.items() if node["label"].startswith("double")]
    assert sorted(parent["id"] for parent in summed["parents"]) == sorted(doubled)
    assert all(nodes[id]["children"] == [{"id": summed["id"]}] for id in doubled)
    assert [node["kind"] for node in nodes.values()].count("flow-run") == 1
    assert {node["state_type"] for node in nodes.values()} == {"COMPLETED"}


def test_logs_and_prints_of_flows_and_tasks_are_stored_once(outcomes, stored):
    def logged(pattern: str) -> list[tuple]:
        statement = """
            SELECT log.level, log.task_run_id IS NOT NULL
              FROM log WHERE log.flow_run_id = %s AND log.message LIKE %s"""
        return stored.execute(statement, (outcomes["everything"]["id"], pattern)).fetchall()

    assert logged("a warning from the flow") == [(30, False)]
    assert logged("a print from the flow") == [(20, False)]
    assert logged("adding up 20 numbers") == [(20, True)]
    assert logged("doubling %") == [(20, True)] * 20


def test_a_flow_is_retried(outcomes, stored):
    outcome = outcomes["retried"]
    assert (outcome["state"], outcome["result"]) == ("Completed", 3)
    assert read_states(stored, outcome["id"]) == ["Pending", *["Running", "AwaitingRetry"] * 2, "Running", "Completed"]
    assert stored.execute("SELECT run_count FROM flow_run WHERE id = %s", (outcome["id"],)).fetchone() == (3,)
    attempts = stored.execute(TASK_RUNS, (outcome["id"],)).fetchall()
    assert [run[2] for run in attempts] == [1, 2, 3]


def test_a_flow_that_raises_has_failed_with_its_message(outcomes, stored):
    outcome = outcomes["failing"]
    assert outcome["state"] == "Failed"
    statement = """
        SELECT state.type::text, state.message
          FROM flow_run
               JOIN flow_run_state AS state ON state.id = flow_run.state_id
         WHERE flow_run.id = %s"""
    type, message = stored.execute(statement, (outcome["id"],)).fetchone()
    assert (type, message) == ("FAILED", outcome["message"])
    assert "this flow always fails" in message


def test_a_task_is_answered_from_its_cache(outcomes, stored):
    assert outcomes["cached"]["result"] is True
    runs = stored.execute(TASK_RUNS, (outcomes["cached"]["id"],)).fetchall()
    assert [run[3][-1] for run in runs] == ["Completed", "Cached"]


def test_a_run_without_a_deployment_is_not_suspended(outcomes, stored):
    assert "without a deployment" in outcomes["suspending"]["message"]
    assert read_states(stored, outcomes["suspending"]["id"]) == ["Pending", "Running", "Failed"]


def test_a_delayed_task_is_scheduled(outcomes, stored):
    statement = """
        SELECT task_run.state_type::text, task_run.flow_run_id, (state.state_details -> 'deferred')::text
          FROM task_run
               JOIN task_run_state AS state ON state.id = task_run.state_id
         WHERE task_run.id = %s"""
    assert stored.execute(statement, (outcomes["delay"]["id"],)).fetchone() == ("SCHEDULED", None, "true")


def test_a_paused_flow_goes_on_with_the_input_that_another_process_gives(start, stored):
    asking = start("ask")
    (flow_run_id,) = wait_for_row(stored, RUN_OF_FLOW, "ask", "PAUSED")
    missing, wrong, right, again = finish(start("resume", str(flow_run_id)))["errors"]
    assert "'approved'" in missing
    assert "'perhaps'" in wrong
    assert right is None
    assert again.startswith("NotPausedError")
    outcome = finish(asking)
    assert outcome["result"] == {"approved": True, "reason": "looks good"}
    assert read_states(stored, outcome["id"]) == ["Pending", "Running", "Paused", "Running", "Completed"]


def test_the_command_line_shows_it_all(outcomes, prefect, stored):
    id = outcomes["everything"]["id"]
    (name,) = stored.execute("SELECT name FROM flow_run WHERE id = %s", (id,)).fetchone()
    assert "Server type:          server" in prefect("version")
    assert all(name in prefect("flow", "ls") for name in ("everything", "child", "retried"))
    listed = prefect("flow-run", "ls", "--flow-name", "everything")
    assert id in listed and name in listed and "COMPLETED" in listed
    inspected = json.loads(prefect("flow-run", "inspect", id, "--output", "json"))
    assert (inspected["id"], inspected["state"]["name"], inspected["run_count"]) == (id, "Completed", 1)
    assert "adding up 20 numbers" in prefect("flow-run", "logs", id)


def test_the_command_line_deletes_a_run_with_all_that_is_its(outcomes, prefect, stored):
    id = outcomes["retried"]["id"]
    prefect("flow-run", "delete", id)
    assert stored.execute("SELECT FROM flow_run WHERE id = %s", (id,)).fetchone() is None
    for table in ("flow_run_state", "task_run", "log"):
        assert stored.execute(f"SELECT FROM {table} WHERE flow_run_id = %s", (id,)).fetchone() is None, table


def test_the_run_of_a_killed_client_can_be_cancelled_from_the_command_line(start, prefect, stored, tmp_path):
    notes = tmp_path / "begun"
    endless = start("endless", str(notes))
    wait_until(lambda: notes.exists() or endless.poll() is not None)
    endless.send_signal(signal.SIGKILL)
    endless.wait()
    (id,) = stored.execute(RUN_OF_FLOW, ("endless", "RUNNING")).fetchone()
    assert read_states(stored, id) == ["Pending", "Running"]
    prefect("flow-run", "cancel", str(id))
    assert read_states(stored, id) == ["Pending", "Running", "Cancelling"]


def test_nothing_is_half_written(outcomes, stored):
    assert find_half_written(stored) == []
