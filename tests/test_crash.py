"""Whatever is killed, nothing is half-written, nothing that was answered is lost, and what is repeated is done once."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection, OperationalError

from sql import postgres
from sql.database import connect
from sql.migrate import migrate
from tests import downbeat_server
from tests.consistency import find_half_written
from tests.load import LOGS, REQUESTS_OF_A_LIFE, Client, Load, live
from tests.waiting import wait_until

CLIENTS, ANSWERS_BETWEEN_CRASHES, CRASHES = 4, 20, 3


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory):
    """A PostgreSQL to kill: its folder and its address. Commits are not put off; the machine itself stays up."""
    folder = tmp_path_factory.mktemp("postgres")
    yield folder, postgres.start(folder, settings={"fsync": "off"})
    postgres.stop(folder)


@pytest.fixture
def fresh_database(own_postgres):
    """The address of the migrated database of that PostgreSQL, with nothing in it."""
    url = own_postgres[1]
    with connect(url) as conn:
        conn.execute("DROP SCHEMA IF EXISTS downbeat CASCADE")
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")
    migrate(url)
    return url


def children(pid: int) -> list[int]:
    """Give the numbers of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ask_again(url: str, ask: Callable[[Connection], Any]) -> Any:
    """Ask a PostgreSQL that is on its way back, or does not know yet that it is to end, until it answers."""
    answers = []

    def is_answered() -> bool:
        with suppress(OperationalError), connect(url) as conn:
            answers.append(ask(conn))
        return bool(answers)

    wait_until(is_answered)
    return answers[0]


def kill_server(servers, url, folder):
    """Kill the server with all its processes and start another."""
    os.killpg(servers[-1].process.pid, signal.SIGKILL)
    servers[-1].process.wait()
    servers.append(downbeat_server.start(url, workers=2))


def kill_worker(servers, url, folder):
    """Kill one of the server's processes that answer requests."""
    os.kill(children(servers[-1].process.pid)[0], signal.SIGKILL)


def kill_postgres(servers, url, folder):
    """Kill the process of PostgreSQL that starts all others."""
    os.kill(int((folder / "postgres/postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def kill_backend(servers, url, folder):
    """Kill the process of PostgreSQL that serves one of the server's connections; PostgreSQL then ends all of them."""
    statement = "SELECT pid FROM pg_stat_activity WHERE application_name = 'downbeat' AND pid <> pg_backend_pid() LIMIT 1"
    (pid,) = ask_again(url, lambda conn: conn.execute(statement).fetchone())
    os.kill(pid, signal.SIGKILL)


def check_what_was_answered(conn, load: Load) -> None:
    """See that everything that was answered is there, once."""
    exchanges = [exchange for client in load.clients for exchange in client.exchanges]
    runs, tasks = (
        Counter(exchange.answer["id"] for exchange in exchanges if exchange.path == path)
        for path in ("/flow_runs/", "/task_runs/")
    )
    assert set(runs.values()) == set(tasks.values()) == {1}
    assert {str(id) for (id,) in conn.execute("SELECT id FROM flow_run")} == set(runs)
    assert {str(id) for (id,) in conn.execute("SELECT id FROM task_run WHERE flow_run_id IS NOT NULL")} == set(tasks)
    answered = [exchange.answer["state"] for exchange in exchanges if exchange.path.endswith("/set_state")]
    written = conn.execute("SELECT id::text, state_details ->> 'transition_id' FROM flow_run_state").fetchall()
    proposed = {id: transition_id for id, transition_id in written if transition_id}
    assert proposed == {state["id"]: state["state_details"]["transition_id"] for state in answered}
    assert len(written) == len(proposed) + len(runs)
    batches = [exchange for exchange in exchanges if exchange.path == "/logs/"]
    assert conn.execute("SELECT count(*) FROM log").fetchone() == (LOGS * len(batches),)
    confirmed = {event["id"] for event in load.events.confirmed}
    for table in ("events", "task_run_state"):
        assert confirmed <= {str(id) for (id,) in conn.execute(f"SELECT id FROM {table}")}


@pytest.mark.parametrize("kill", [kill_server, kill_worker, kill_postgres, kill_backend])
def test_a_crash_loses_nothing_and_leaves_nothing_half_written(own_postgres, fresh_database, kill):
    servers = [downbeat_server.start(fresh_database, workers=2)]
    try:
        load = Load(lambda: servers[-1].api, CLIENTS)
        for _ in range(CRASHES):
            load.wait_for_answers(ANSWERS_BETWEEN_CRASHES)
            kill(servers, fresh_database, own_postgres[0])
            assert ask_again(fresh_database, find_half_written) == []
        load.wait_for_answers(ANSWERS_BETWEEN_CRASHES)
        load.stop()
        with connect(fresh_database) as conn:
            assert find_half_written(conn) == []
            check_what_was_answered(conn, load)
            assert conn.execute("SELECT DISTINCT state_name FROM flow_run").fetchall() == [("Completed",)]
    finally:
        for server in servers:
            downbeat_server.stop(server)


def without_estimates(answer):
    """Give an answer without what depends on the time of day: how late a run is, how long it runs already."""
    return answer and {key: value for key, value in answer.items() if not key.startswith("estimated_")}


def test_what_is_repeated_after_a_crash_gets_the_same_answer(own_postgres, fresh_database):
    servers = [downbeat_server.start(fresh_database, workers=2)]
    try:
        clients = [Client(lambda: servers[-1].api) for _ in range(REQUESTS_OF_A_LIFE)]
        flow_id = clients[0].post("/flows/", {"name": "load"})["id"]
        for steps, client in enumerate(clients, 1):
            for _ in islice(live(client, flow_id), steps):
                pass
        kill_server(servers, fresh_database, own_postgres[0])
        kill_postgres(servers, fresh_database, own_postgres[0])
        for client in clients:
            path, text, status, answer = client.exchanges[-1]
            again = client.repeat(path, text)
            client.close()
            if path.endswith("/set_state"):
                assert (status, answer["status"], again.status, again.answer["status"]) == (201, "ACCEPT", 200, "REJECT")
                assert again.answer["state"] == answer["state"]
            else:
                assert (status, again.status) == (201, 201 if path == "/logs/" else 200)
                assert without_estimates(again.answer) == without_estimates(answer)
        assert ask_again(fresh_database, find_half_written) == []
        (lines,) = ask_again(fresh_database, lambda conn: conn.execute("SELECT count(*) FROM log").fetchone())
        assert lines == 3 * LOGS
    finally:
        for server in servers:
            downbeat_server.stop(server)
