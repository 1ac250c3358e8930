"""Fill a migrated database, Prefect's or Downbeat's, with runs of 90 days; a factor of 1 is 1 M flow runs, in some minutes.

DATABASE_URL=postgresql://... python -m tests.bench.fill --factor 0.1
"""

import argparse
import contextlib
import io
import os
import time
from pathlib import Path

import psycopg

from sql.database import connect
from sql.migrate import read_indexes, swap_indexes

SETTINGS = (
    "SET statement_timeout = 0",
    "SET session_replication_role = replica",  # which leaves the checks of foreign keys off
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '512MB'",
    "SET work_mem = '256MB'",
)


def fill(database_url: str, factor: float, index_set: str = "downbeat") -> None:
    """Put the runs of `fill.sql` into an empty database and leave it analysed, with the indexes of that set.

    The indexes go first and are made again afterwards, which takes a fraction of the time.
    """
    with prepared(psycopg.connect(database_url, autocommit=True)) as conn:
        conn.execute("SELECT set_config('bench.factor', %s, FALSE)", [str(factor)])
        swap(database_url, {})
        conn.execute(Path(__file__).with_name("fill.sql").read_text(encoding="utf-8"))
        swap(database_url, read_indexes(index_set))
        conn.execute("VACUUM ANALYZE")


def swap(database_url: str, indexes: dict[str, str]) -> None:
    """Leave these of all known indexes."""
    with prepared(connect(database_url)) as conn, contextlib.redirect_stdout(io.StringIO()):
        swap_indexes(conn, indexes)


def prepared(conn: psycopg.Connection) -> psycopg.Connection:
    """Give a connection back that may take its time and its memory."""
    for command in SETTINGS:
        conn.execute(command)
    return conn


def main() -> None:
    """Fill the database that DATABASE_URL names."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fill", description=__doc__)
    parser.add_argument("--factor", type=float, default=1, help="1 is 1 M flow runs, 2 M task runs and 5 M logs (1)")
    parser.add_argument(
        "--indexes", choices=("downbeat", "prefect"), default="downbeat", help="whose indexes to leave (downbeat)"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    fill(os.environ["DATABASE_URL"], options.factor, options.indexes)
    with psycopg.connect(os.environ["DATABASE_URL"]) as conn:
        size = conn.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()[0]
    print(f"{size} in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
