"""The two servers under comparison, each on its own database of one PostgreSQL."""

import contextlib
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sql.migrate import migrate, read_indexes
from tests import downbeat_server, prefect_server
from tests.bench import processes
from tests.bench.fill import fill, swap
from tests.bench.load import Load
from tests.prefect_server import Server

# As they ship: Prefect's one process with its services, Downbeat's as many processes as cores with their loops.
STARTS = {
    "prefect": lambda url, **settings: prefect_server.start(url, services=True, **settings),
    "downbeat": lambda url, **settings: downbeat_server.start(url, DOWNBEAT_LOOPS="on", **settings),
}


class Contestant(NamedTuple):
    """A server, the database it uses and the process id of that database's postmaster."""

    name: str
    server: Server
    database_url: str
    postmaster: int

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server.api.rsplit(":")[-1].partition("/")[0])

    @property
    def database(self) -> str:
        """The name of its database."""
        return conninfo_to_dict(self.database_url)["dbname"]


class Measured(NamedTuple):
    """What one round came to: things done per second, latencies in seconds, CPU milliseconds per thing done."""

    rate: float
    latencies: list[float]
    server_milliseconds: float
    postgres_milliseconds: float
    generator_milliseconds: float
    parts: dict[str, list[float]] = {}


@contextlib.contextmanager
def cluster(folder: str | None = None) -> Iterator[str]:
    """Give a PostgreSQL to make databases on: TEST_DATABASE_URL, or an embedded one in a folder or one that goes afterwards."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    from sql import postgres

    with tempfile.TemporaryDirectory(prefix="downbeat-bench-", ignore_cleanup_errors=True) as passing:
        data = Path(folder or passing, "data").absolute()
        try:
            yield postgres.start(data)
        finally:
            postgres.stop(data)


@contextlib.contextmanager
def databases(
    cluster_url: str, names: list[str], factor: float, keep: bool = False, suffix: str = ""
) -> Iterator[dict[str, str]]:
    """Give a migrated database for each server, filled to a factor (see fill), with the indexes that the server comes with.

    Databases that are kept are taken again when they were filled to the same factor.
    """
    with psycopg.connect(cluster_url, autocommit=True) as conn:
        urls = {name: make_conninfo(cluster_url, dbname=f"bench_{name}{suffix}") for name in names}
        for name, url in urls.items():
            make_database(conn, f"bench_{name}{suffix}", url, name, factor)
        conn.execute("CHECKPOINT")
        yield urls
        for name in () if keep else names:
            conn.execute(f"DROP DATABASE bench_{name}{suffix} WITH (FORCE)")


def make_database(conn: psycopg.Connection, database: str, url: str, server: str, factor: float) -> None:
    """Make and fill the database of a server unless there is one with this factor; a comment on it tells the factor."""
    remark = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    if factor and conn.execute(remark, [database]).fetchone() == (f"factor {factor}",):
        if server == "downbeat":
            migrate(url)
        swap(url, read_indexes(server))
        return
    conn.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    conn.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    migrate(url) if server == "downbeat" else prefect_server.stop(prefect_server.start(url))
    if factor:
        fill(url, factor, server)
        conn.execute(f"COMMENT ON DATABASE {database} IS 'factor {factor}'")


def postmaster(database_url: str) -> int:
    """Give the process id of a PostgreSQL on this machine."""
    with psycopg.connect(database_url) as conn:
        backend = conn.execute("SELECT pg_backend_pid()").fetchone()[0]
        if not (fields := processes.stat(backend)):
            raise RuntimeError("The PostgreSQL of the benchmark must run on this machine.")
        return int(fields[1])


@contextlib.contextmanager
def running(urls: dict[str, str], starts: int = 1, **settings: str) -> Iterator[tuple[list[Contestant], dict]]:
    """Give the running servers and for each the median of the seconds from its start to its first answer.

    Each is started `starts` times, by turns.
    """
    seconds, servers = {name: [] for name in urls}, {}
    with tempfile.TemporaryDirectory(prefix="prefect-memo-") as folder:
        # Prefect remembers here what it need not do again at its next start.
        own = {"prefect": {"PREFECT_SERVER_MEMO_STORE_PATH": f"{folder}/memo.toml"}, "downbeat": settings}
        try:
            for _ in range(starts):
                for name, url in urls.items():
                    if name in servers:
                        prefect_server.stop(servers.pop(name))
                    started = time.perf_counter()
                    servers[name] = STARTS[name](url, **own[name])
                    seconds[name].append(time.perf_counter() - started)
            contestants = [Contestant(name, servers[name], url, postmaster(url)) for name, url in urls.items()]
            yield contestants, {name: statistics.median(of) for name, of in seconds.items()}
        finally:
            for server in servers.values():
                prefect_server.stop(server)


@contextlib.contextmanager
def alone(contestant: Contestant, contestants: list[Contestant]) -> Iterator[None]:
    """Stop all other servers in their tracks for as long as one is measured."""
    others = [other.server.process.pid for other in contestants if other is not contestant]
    for pid in others:
        os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.killpg(pid, signal.SIGCONT)


def measure(contestant: Contestant, contestants: list[Contestant], work) -> Measured:
    """Run `work(contestant) -> Load` while the other servers stand still, and give what it took."""
    other = next((other.database for other in contestants if other is not contestant), "")

    def costs() -> tuple[float, float]:
        server = processes.cpu_seconds(processes.tree(contestant.server.process.pid))
        return server, processes.postgres_cpu_seconds(contestant.postmaster, other)

    with alone(contestant, contestants):
        before = costs()
        load: Load = work(contestant)
        after = costs()
    if load.unexpected:
        print(f"  {contestant.name}: unexpected answers by status: {load.unexpected}; {contestant.server.log[-2000:]}")
    per_thing = 1000 / max(load.answers, 1)
    server, postgres = ((late - early) * per_thing for early, late in zip(before, after, strict=True))
    generator = load.generator_seconds * per_thing
    return Measured(load.answers / load.seconds, load.latencies, server, postgres, generator, load.parts)
