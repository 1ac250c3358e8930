"""How long the schedulers take to make the runs of many deployments with three schedules each.

Prefect's own scheduler service and Downbeat's loop each go through them once, in a process of their own.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from tests.bench import processes, round_trips
from tests.bench.contest import Measured, postmaster
from tests.prefect_server import asyncpg_url

# Each prints its seconds and CPU seconds from the first look at the deployments to the last run made, without its start.
PROGRAMS = {
    "prefect": """
import asyncio, json, logging, time
from prefect.server.services.scheduler import schedule_deployments
logging.disable(logging.CRITICAL)
started, cpu = time.perf_counter(), time.process_time()
asyncio.run(schedule_deployments())
print(json.dumps([time.perf_counter() - started, time.process_time() - cpu]))
""",
    "downbeat": """
import json, os, time
import sql
from handlers.loops import DEPLOYMENTS
from sql.database import connect
from tests.loops import schedule_runs
conn = connect(os.environ["DATABASE_URL"])
started, cpu = time.perf_counter(), time.process_time()
schedule_runs(conn, sql.loops.read_clock(conn), DEPLOYMENTS)
print(json.dumps([time.perf_counter() - started, time.process_time() - cpu]))
""",
}

DEPLOYMENTS = """
    INSERT INTO flow (name) SELECT 'scheduled-' || number FROM generate_series(1, 100) AS number;
    INSERT INTO deployment (name, flow_id, parameter_openapi_schema)
    SELECT 'scheduled-' || number, (SELECT id FROM flow WHERE name = 'scheduled-' || number % 100 + 1), '{}'
      FROM generate_series(1, {number}) AS number;
    INSERT INTO deployment_schedule (deployment_id, active, schedule)
    SELECT deployment.id, TRUE, schedule.of
      FROM deployment
     CROSS JOIN (VALUES ('{"interval": 3600.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}'::jsonb),
                        ('{"cron": "*/15 * * * *", "timezone": "Europe/Berlin", "day_or": true}'),
                        ('{"rrule": "DTSTART:20260101T000000\\nFREQ=DAILY;BYHOUR=8;BYMINUTE=0", "timezone": "America/New_York"}'))
           AS schedule (of)
     WHERE deployment.name LIKE 'scheduled-%'
"""


def prepare(database_url: str, number: int) -> None:
    """Put so many deployments into a database that has no others."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(DEPLOYMENTS.replace("{number}", str(number)))
        conn.execute("VACUUM ANALYZE")


def measure(name: str, database_url: str, path: str | None = None) -> tuple[int, Measured]:
    """Let a scheduler make all runs, those there were being gone; `path` is another way to the database.

    Gives their number, and what it took: runs per second, CPU milliseconds per run, the time of the round as its latency.
    """
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("TRUNCATE flow_run CASCADE")
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")
    before = processes.postgres_cpu_seconds(postmaster(database_url), "")
    seconds, cpu = run(name, path or database_url)
    postgres = processes.postgres_cpu_seconds(postmaster(database_url), "") - before
    with psycopg.connect(database_url) as conn:
        runs = conn.execute("SELECT count(*) FROM flow_run").fetchone()[0]
    per_run = 1000 / max(runs, 1)
    return runs, Measured(runs / seconds, [seconds], cpu * per_run, postgres * per_run, 0)


def run(name: str, database_url: str) -> tuple[float, float]:
    """Run a program on a database and give the seconds and CPU seconds that it took."""
    with tempfile.TemporaryDirectory(prefix="prefect-home-") as home:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")} | {
            "DATABASE_URL": database_url,
            "PREFECT_HOME": home,
            "PREFECT_API_DATABASE_CONNECTION_URL": asyncpg_url(database_url),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        command = [sys.executable, "-W", "ignore", "-c", PROGRAMS[name]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"The scheduler of {name} failed: {done.stderr[-2000:]}")
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def count(name: str, database_url: str) -> tuple[float, float]:
    """Give the statements and round trips that a scheduler needs for each run that it makes."""
    url, counts = round_trips.start(database_url)
    runs, _ = measure(name, database_url, url)
    return counts.statements / max(runs, 1), counts.round_trips / max(runs, 1)
