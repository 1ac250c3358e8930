"""What `explain` shows of a request, and that nothing remains of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sql.database import connect
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent
COUNTS = "SELECT (SELECT count(*) FROM flow), (SELECT count(*) FROM flow_run), (SELECT count(*) FROM events)"


@pytest.fixture
def explain(module_database):
    """Run the command and give its exit code, what it printed, and what it said on standard error."""

    def explain(*arguments: str, **settings: str) -> tuple[int, str, str]:
        environment = os.environ | {"DATABASE_URL": module_database, **settings}
        command = [sys.executable, str(ROOT / "app.py"), "explain", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        return done.returncode, done.stdout, done.stderr

    return explain


def test_shows_the_statements_of_a_list_with_their_plans(explain, module_database):
    code, shown, said = explain("POST /api/flow_runs/filter", '{"flow_runs": {"name": {"any_": ["a"]}}, "limit": 7}')
    assert (code, said) == (0, "")
    assert "-- flow_runs.page" in shown and "flow_run.name = $1::text" in shown and "$1 = a\n$2 = 7" in shown
    assert "Index" in shown and "actual time" not in shown
    assert "-- 200 OK, 2 bytes, 1 statements" in shown


def test_measures_what_only_reads(explain):
    _, shown, _ = explain("POST /api/flow_runs/count", "--analyze", '{"flow_runs": {"name": {"any_": ["a"]}}}')
    assert "-- flow_runs.count" in shown and "actual time" in shown


def test_nothing_remains_of_a_request_that_writes(explain, module_database):
    with connect(module_database) as conn:
        before = conn.execute(COUNTS).fetchone()
        flow = conn.execute("INSERT INTO flow (name) VALUES ('explained') RETURNING id").fetchone()[0]
        code, shown, said = explain(
            "POST /api/flow_runs/", f'{{"flow_id": "{flow}", "state": {{"type": "PENDING"}}}}', "--analyze"
        )
        assert (code, said) == (0, "")
        assert "-- 201 CREATED" in shown and "Insert on flow_run" in shown
        conn.execute("DELETE FROM flow WHERE name = 'explained'")
        assert conn.execute(COUNTS).fetchone() == before


def test_says_what_is_wrong_with_a_request(explain):
    assert explain("flow_runs/filter")[0] == 1
    code, _, said = explain("POST /api/flow_runs/filter", '{"limit": "x"}')
    assert code == 1 and "limit" in said


def test_brings_the_credentials_that_the_server_asks_for(explain):
    code, shown, _ = explain("GET /api/admin/version", PREFECT_SERVER_API_AUTH_STRING="me:secret")
    assert (code, "-- 200 OK" in shown) == (0, True)
