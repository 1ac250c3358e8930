"""The logs of a flow run as a file: the same as Prefect writes, in pages that hold neither memory nor connections."""

import csv
import io
from uuid import UUID

import pytest

import sql
from handlers import flow_runs
from sql import database as db
from sql.database import connect
from tests.resources import NOBODY, make_flow_run

LONG_RUN = UUID(int=2)
FIELDS = ["timestamp", "level", "flow_run_id", "task_run_id", "message"]


def store(client, run: dict, *messages: str, **fields) -> None:
    """Store lines of a run, a second apart."""
    lines = [
        {"name": "n", "level": 20, "message": text, "timestamp": f"2026-11-21T04:03:{second:02}.5Z", "flow_run_id": run["id"]}
        for second, text in enumerate(messages)
    ]
    assert client.post("/api/logs/", json=[{**line, **fields} for line in lines]).status_code == 201


def download(client, run: dict) -> list[list[str]]:
    """Give the rows of a run's file."""
    answer = client.get(f"/api/flow_runs/{run['id']}/logs/download")
    assert answer.status_code == 200
    return list(csv.reader(io.StringIO(answer.text, newline="")))


def test_the_file_has_a_name_and_a_header(client):
    run = make_flow_run(client, name='größe "a"/b')
    answer = client.get(f"/api/flow_runs/{run['id']}/logs/download")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    name = "gr%C3%B6%C3%9Fe%20%22a%22%2Fb-logs.csv"
    assert answer.headers["Content-Disposition"] == f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{name}"
    assert answer.text == ",".join(FIELDS) + "\r\n"


def test_lines_are_quoted_where_they_need_it(client):
    run, task = make_flow_run(client), str(LONG_RUN)
    texts = ["plain", "a, b", 'a "b"', "two\nlines", "a\rb", "", "  spaces ", "'=1+1'", "tab\tand größe 👋", '"']
    store(client, run, *texts, level=30, task_run_id=task)
    header, *rows = download(client, run)
    assert (header, [row[4] for row in rows]) == (FIELDS, texts)
    assert rows[0][:4] == ["2026-11-21 04:03:00.500000+00:00", "30", run["id"], task]
    text = client.get(f"/api/flow_runs/{run['id']}/logs/download").text
    assert text.count('"') == 2 + 6 + 2 + 2 + 4


def test_lines_without_a_task_run_or_a_fraction_of_a_second_have_none(client):
    run = make_flow_run(client)
    store(client, run, "a", timestamp="2026-11-21T04:03:26Z")
    assert download(client, run)[1:] == [["2026-11-21 04:03:26+00:00", "20", run["id"], "", "a"]]


def test_all_lines_are_there_once_in_the_order_of_their_times(client, module_database):
    run = make_flow_run(client)
    with connect(module_database) as conn:
        conn.execute(
            "INSERT INTO log (name, level, message, flow_run_id, timestamp)"
            " SELECT 'n', 20, n, %s, timestamptz '2026-11-21Z' + n / 700 * interval '1 s' FROM generate_series(1, 3500) AS n",
            (run["id"],),
        )
    rows = download(client, run)[1:]
    assert sorted(int(row[4]) for row in rows) == list(range(1, 3501))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_a_page_ends_after_a_megabyte(client, module_database):
    run = make_flow_run(client)
    with connect(module_database) as conn:
        conn.execute(
            "INSERT INTO log (name, level, message, flow_run_id, timestamp)"
            " SELECT 'n', 20, repeat('x', 600 * 1024), %s, now() + n * interval '1 second' FROM generate_series(1, 5) AS n",
            (run["id"],),
        )
    page, lengths = flow_runs.read_log_page(run["id"], flow_runs.BEGINNING, 1000), []
    while page["lines"]:
        lengths.append(page["lines"].count("\r\n"))
        page = flow_runs.read_log_page(run["id"], page, 1000)
    assert lengths == [2, 2, 1]


def test_a_slow_reader_holds_no_connection(client):
    run = make_flow_run(client)
    store(client, run, "a", "b")
    answer = client.get(f"/api/flow_runs/{run['id']}/logs/download", buffered=False)
    parts = answer.iter_encoded()
    assert (next(parts), next(parts).count(b"\r\n")) == (b"timestamp,level,flow_run_id,task_run_id,message\r\n", 2)
    assert (db.pool.lent, len(db.pool.idle)) == (0, 1)
    assert list(parts) == []


def test_the_file_ends_where_the_run_is_deleted_meanwhile(client, monkeypatch):
    run = make_flow_run(client)
    store(client, run, "a")
    answer = client.get(f"/api/flow_runs/{run['id']}/logs/download", buffered=False)
    client.delete(f"/api/flow_runs/{run['id']}")
    assert len(list(answer.iter_encoded())) == 2


def test_a_run_that_is_not_there_has_no_logs(client):
    assert client.get(f"/api/flow_runs/{NOBODY}/logs/download").status_code == 404


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_a_page_passes_over_no_lines_of_other_runs(conn, mode):
    conn.execute("INSERT INTO flow (id, name) VALUES (%s, 'f')", (LONG_RUN,))
    conn.execute("INSERT INTO flow_run (id, name, flow_id) VALUES (%s, 'r', %s)", (LONG_RUN, LONG_RUN))
    conn.execute(
        "INSERT INTO log (name, level, message, flow_run_id, timestamp)"
        " SELECT 'x', 20, 'x', lpad((n / 10000)::text, 32, '0')::uuid,"
        "        '2026-11-21Z'::timestamptz + n * interval '1 s'"
        "   FROM generate_series(0, 29999) AS n"
    )
    conn.execute("ANALYZE log")
    conn.execute(f"SET LOCAL plan_cache_mode = {mode}")
    given = {"flow_run_id": LONG_RUN, "timestamp": "-infinity", "id": NOBODY, "limit": 1000}
    explain = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql.logs.page_csv.text}"
    plan = [line for (line,) in conn.execute(explain, given, prepare=True)]
    (scan,) = [number for number, line in enumerate(plan) if "Scan" in line and "on log" in line]
    assert "ix_log__flow_run_id_timestamp" in plan[scan], plan
    # What is read is a page and what is sorted together with its last line, not all that is behind it.
    assert int(plan[scan].partition("rows=")[2].split()[0].partition(".")[0]) < 2500, plan
