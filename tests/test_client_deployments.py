"""Deployments are run with the Prefect client that people have: its command line, its workers, and flows that serve themselves.

All of it happens once, at the same time, on one server with its loops; the tests look at what has become of it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from sql.database import connect
from tests import downbeat_server
from tests.consistency import find_half_written
from tests.test_client import read_states
from tests.waiting import PATIENCE_SECONDS, wait_for_row, wait_until

SCRIPT = Path(__file__).with_name("client_deployments.py")
PROJECT = """
name: project
pull:
  - prefect.deployments.steps.set_working_directory: {directory: "FOLDER"}
definitions:
  work_pool: &pool {name: busy}
deployments:
  - name: described
    entrypoint: client_deployments.py:greet
    work_pool: *pool
    parameters: {name: "from a file"}
    tags: [a, b]
    schedules:
      - {interval: 3600, anchor_date: "2026-01-01T00:30:00+00:00", timezone: UTC, slug: hourly, active: true}
      - {cron: "0 9 * * *", timezone: America/New_York, slug: daily, active: true}
  - name: forgotten
    entrypoint: client_deployments.py:greet
    work_pool: {name: idle}
"""
RUNS_AHEAD = """
SELECT array_agg(flow_run.state_id), array_agg(DISTINCT flow_run.created_by ->> 'id')
  FROM flow_run
       JOIN deployment ON deployment.id = flow_run.deployment_id
 WHERE deployment.name = %s AND flow_run.auto_scheduled AND flow_run.expected_start_time > now() + interval '1 minute'
HAVING count(*) >= %s
"""
RUN_OF_SCHEDULE = """
SELECT flow_run.id, flow_run.expected_start_time, flow_run.start_time
  FROM flow_run
       JOIN deployment ON deployment.id = flow_run.deployment_id
 WHERE deployment.name = %s AND flow_run.auto_scheduled AND flow_run.state_name = 'Completed'
"""
RUN_IN_STATE = """
SELECT flow_run.id
  FROM flow_run
       JOIN deployment ON deployment.id = flow_run.deployment_id
 WHERE deployment.name = %s AND flow_run.state_name = %s
"""


@pytest.fixture(scope="module")
def server(module_database) -> Iterator[downbeat_server.Server]:
    """A server with its loops, which looks often."""
    services = "PREFECT_SERVER_SERVICES_"
    settings = {
        f"{services}SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "0.5",
        f"{services}LATE_RUNS_LOOP_SECONDS": "0.5",
        f"{services}LATE_RUNS_AFTER_SECONDS": "3",
    }
    with downbeat_server.running(module_database, workers=1, DOWNBEAT_LOOPS="on", **settings) as server:
        yield server
        assert "Traceback" not in server.log, server.log


@pytest.fixture(scope="module")
def stored(module_database):
    """A connection that sees what the server committed."""
    with connect(module_database) as conn:
        yield conn


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with flows and a prefect.yaml that deploys them."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(SCRIPT, folder)
    (folder / "prefect.yaml").write_text(PROJECT.replace("FOLDER", str(folder)))
    return folder


@pytest.fixture(scope="module")
def start(server, project, tmp_path_factory):
    """Start Python as a person who has set PREFECT_API_URL and is in a hurry; what is still running at the end is killed."""
    home = str(tmp_path_factory.mktemp("home"))
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")} | {
        "PREFECT_API_URL": server.api,
        "PREFECT_HOME": home,
        "HOME": home,
        "DO_NOT_TRACK": "1",
        "COLUMNS": "400",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    processes = []

    def start(*arguments: str) -> subprocess.Popen:
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, "-W", "ignore", *arguments]
        processes.append(subprocess.Popen(command, env=environment, cwd=project, start_new_session=True, **streams))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="module")
def prefect(start):
    """Run commands of Prefect's command line; gives what each printed."""

    def prefect(*commands: str) -> list[str]:
        process = start(SCRIPT.name, "commands")
        outcomes = finish(process, json.dumps([command.split() for command in commands]))
        assert [code for code, _ in outcomes] == [0] * len(commands), outcomes
        return [output for _, output in outcomes]

    return prefect


def finish(process: subprocess.Popen, given: str = "") -> Any:
    """Wait for what was started and give its outcome."""
    said, _ = process.communicate(given, timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return json.loads(said.splitlines()[-1])


def add_schedule(server, stored, deployment: str) -> None:
    """Give a deployment one more schedule, which is due in some seconds and not again for long."""
    (id,) = wait_for_row(stored, "SELECT id FROM deployment WHERE name = %s", deployment)
    anchor = (datetime.now(timezone.utc) + timedelta(seconds=8)).isoformat()
    body = json.dumps([{"schedule": {"interval": 86400, "anchor_date": anchor}}]).encode()
    request = urllib.request.Request(f"{server.api}/deployments/{id}/schedules", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        assert answer.status == 201


@pytest.fixture(scope="module")
def told(server, start, prefect, stored, tmp_path_factory) -> dict[str, Any]:
    """What the client told of all that was started: a worker, a flow that serves itself, and deployments of both kinds."""
    notes = tmp_path_factory.mktemp("notes") / "begun"
    (_, _, created) = prefect("work-pool create busy --type process", "work-pool create idle --type process", "deploy --all")
    start("-m", "prefect", "worker", "start", "--pool", "busy", "--name", "w")
    serving, deploying = start(SCRIPT.name, "serve"), start(SCRIPT.name, "deploy", "busy")
    (states, schedules) = wait_for_row(stored, RUNS_AHEAD, "described", 5)
    deployed = finish(deploying)
    waiting = start(SCRIPT.name, "run", "greet/daily")
    prefect("deploy --all", "deployment run greet/forgotten", f"deployment run linger/lingering --param notes={notes}")
    kept = "SELECT count(*) FROM flow_run_state AS state JOIN flow_run ON flow_run.id = flow_run_id WHERE state.id = ANY (%s)"
    kept_schedules = "SELECT count(*) FROM deployment_schedule WHERE id::text = ANY (%s)"
    kept = [stored.execute(kept, (states,)).fetchone()[0], stored.execute(kept_schedules, (schedules,)).fetchone()[0]]
    add_schedule(server, stored, "described")
    add_schedule(server, stored, "served")
    return {
        "created": created,
        "before": [len(states), len(schedules)],
        "kept": kept,
        "deployed": deployed,
        "serving": serving,
        "run": finish(waiting),
        "notes": notes,
    }


def test_flows_are_deployed_with_their_schedules(told, stored):
    for name, kind, number in (("daily", "cron", 3), ("hourly", "interval", 3)):
        (id, _) = stored.execute("SELECT id::text, status FROM deployment WHERE name = %s", (name,)).fetchone()
        assert told["deployed"][name] == id
        (schedule,) = stored.execute("SELECT schedule FROM deployment_schedule WHERE deployment_id = %s", (id,)).fetchone()
        assert kind in schedule
        wait_for_row(stored, RUNS_AHEAD, name, number - 1)


def test_deploying_again_what_is_the_same_keeps_schedules_and_runs(told, stored):
    assert told["created"].count("successfully created") == 2
    assert told["kept"] == told["before"]
    slugs = "SELECT slug FROM deployment_schedule JOIN deployment ON deployment.id = deployment_id WHERE name = 'described'"
    assert {slug for (slug,) in stored.execute(slugs)} == {"hourly", "daily", None}


def test_a_run_that_is_waited_for_is_given_back_at_its_end(told, stored):
    assert told["run"]["state"] == "Completed"
    assert read_states(stored, told["run"]["id"]) == ["Scheduled", "Pending", "Submitting", "Running", "Completed"]
    wait_for_row(stored, "SELECT 1 FROM log WHERE flow_run_id = %s AND message = 'Hello somebody'", told["run"]["id"])


@pytest.mark.parametrize("name", ["described", "served"])
def test_the_run_of_a_schedule_is_started_when_it_is_due(told, stored, name):
    id, expected, started = wait_for_row(stored, RUN_OF_SCHEDULE, name)
    assert started > expected - timedelta(seconds=1)  # less than a second is not waited for
    states = read_states(stored, id)
    assert [state for state in states if state not in ("Late", "Submitting")] == ["Scheduled", "Pending", "Running", "Completed"]


def test_a_run_that_nobody_starts_is_late(told, stored):
    (id,) = wait_for_row(stored, RUN_IN_STATE, "forgotten", "Late")
    assert read_states(stored, id) == ["Scheduled", "Late"]


def test_a_running_flow_is_cancelled_with_its_process(told, stored, prefect):
    wait_until(told["notes"].exists)
    (id,) = wait_for_row(stored, RUN_IN_STATE, "lingering", "Running")
    (process_id,) = stored.execute("SELECT infrastructure_pid FROM flow_run WHERE id = %s", (id,)).fetchone()
    prefect(f"flow-run cancel {id}")
    wait_for_row(stored, RUN_IN_STATE, "lingering", "Cancelled")
    assert [state for state in read_states(stored, id) if state != "Late"][-3:] == ["Running", "Cancelling", "Cancelled"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(process_id.rpartition(":")[2]), 0)


def test_the_command_line_shows_and_changes_deployments(told, prefect, stored):
    id = told["deployed"]["daily"]
    (schedule,) = stored.execute("SELECT id FROM deployment_schedule WHERE deployment_id = %s", (id,)).fetchone()
    inspected, listed, schedules, *_, left = prefect(
        "deployment inspect greet/daily --output json",
        "deployment ls",
        "deployment schedule ls greet/daily",
        f"deployment schedule pause greet/daily {schedule}",
        "deployment schedule create greet/daily --interval 3600 --accept-yes",
        "deployment schedule ls greet/daily",
    )
    assert json.loads(inspected)["id"] == id
    assert all(name in listed for name in ("greet/daily", "greet/hourly", "greet/described", "linger/lingering"))
    assert "0 9 * * *" in schedules and "True" in schedules
    assert "False" in left and "interval" in left
    of_schedule = "SELECT count(*) FROM flow_run WHERE created_by ->> 'id' = %s AND state_type = 'SCHEDULED'"
    assert stored.execute(of_schedule, (str(schedule),)).fetchone() == (0,)


def test_the_command_line_shows_and_changes_pools_and_queues(told, prefect):
    listed, inspected, *_, limited, queues, queue, shown, slots = prefect(
        "work-pool ls",
        "work-pool inspect busy --output json",
        "work-pool pause idle",
        "work-pool resume idle",
        "work-pool set-concurrency-limit idle 4",
        "work-queue create q --pool idle --limit 2",
        "work-queue pause q --pool idle",
        "work-queue resume q --pool idle",
        "work-queue set-concurrency-limit q 3 --pool idle",
        "work-pool inspect idle --output json",
        "work-queue ls --pool idle",
        "work-queue inspect q --pool idle",
        "work-pool preview idle",
        "work-pool slots idle",
    )
    assert "busy" in listed and "idle" in listed
    assert json.loads(inspected)["status"] == "READY"
    assert json.loads(limited)["concurrency_limit"] == 4
    assert "default" in queues and "q" in queues
    assert "concurrency_limit=3" in queue
    assert shown and slots
    prefect("work-queue delete q --pool idle", "work-pool clear-concurrency-limit idle", "work-pool delete idle")


def test_a_flow_that_stops_serving_itself_is_paused_and_has_no_runs_ahead(told, stored):
    wait_for_row(stored, RUN_OF_SCHEDULE, "served")
    wait_for_row(stored, RUNS_AHEAD, "served", 1)
    told["serving"].send_signal(signal.SIGINT)
    told["serving"].communicate(timeout=PATIENCE_SECONDS)
    assert stored.execute("SELECT paused FROM deployment WHERE name = 'served'").fetchone() == (True,)
    assert stored.execute(RUNS_AHEAD, ("served", 1)).fetchone() is None


def test_nothing_is_half_written(told, stored):
    assert find_half_written(stored) == []
