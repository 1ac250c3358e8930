"""A PostgreSQL for the tests and databases on it.

One embedded cluster and one migrated template database are made per run. `conn` is a connection in a transaction that is
rolled back; `database` is a copy of the template for tests that commit, crash or contend; `client` speaks HTTP to the
application on a copy that a module's tests share.
"""

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator

import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo

# Before settings are read: nobody's own are to disturb.
for name in [name for name in os.environ if name.upper().startswith("PREFECT_")]:
    del os.environ[name]
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prefect-home-")
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)
# Nor what happens to be installed.
os.environ["DOWNBEAT_UI_FILES"] = os.path.join(os.environ["PREFECT_HOME"], "ui.zip")

# Files of few tests that take long, mostly by waiting: they come first, so that none of them is left over at the end.
SLOW = (
    "test_slow_clients.py",
    "test_browser.py",
    "test_outage.py",
    "test_differential.py",
    "test_client_deployments.py",
    "test_worker.py",
    "test_client.py",
    "test_client_concurrency.py",
    "test_crash.py",
    "test_slot_faults.py",
    "test_sandbox.py",
    "test_serve.py",
    "test_shutdown.py",
    "test_cursor.py",
    "test_hostile_page.py",
    "test_postgres.py",
    "test_proxies.py",
    "test_install.py",
)

import sql  # noqa: E402
from sql import database as db  # noqa: E402
from sql.database import connect  # noqa: E402
from sql.migrate import migrate  # noqa: E402
from sql.statement import wire  # noqa: E402


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one process more than there are cores, for tests wait as often as they work; at most 4."""
    return min((os.cpu_count() or 1) + 1, 4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow files first."""
    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[str]:
    """A connection string to a PostgreSQL on which databases can be made: TEST_DATABASE_URL or an embedded one."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    from sql import postgres

    folder = tmp_path_factory.mktemp("postgres")
    yield postgres.start(folder, settings={"fsync": "off", "synchronous_commit": "off", "max_connections": "200"})
    postgres.stop(folder)


def make_database(cluster: str, template: str = "template0") -> tuple[str, str]:
    """Create a database; gives its name and its connection string."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with connect(cluster) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return name, make_conninfo(cluster, dbname=name)


def drop_database(cluster: str, name: str) -> None:
    """Drop a database, whoever is connected."""
    with connect(cluster) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def template(cluster) -> Iterator[str]:
    """The name of a migrated database to copy."""
    name, url = make_database(cluster)
    migrate(url)
    yield name
    drop_database(cluster, name)


@pytest.fixture
def database(cluster, template) -> Iterator[str]:
    """A connection string to a fresh migrated database."""
    name, url = make_database(cluster, template)
    yield url
    drop_database(cluster, name)


@pytest.fixture(scope="module")
def module_database(cluster, template) -> Iterator[str]:
    """A connection string to a migrated database that the tests of a module share."""
    name, url = make_database(cluster, template)
    yield url
    drop_database(cluster, name)


@pytest.fixture
def conn(module_database) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back."""
    with connect(module_database) as conn:
        sql.transactions.begin(conn)
        yield conn
        wire(conn).batch.clear()
        sql.transactions.rollback(conn)


@pytest.fixture(scope="module")
def client(module_database):
    """Flask's test client on the module's database."""
    from app import create_app

    db.open_pool(module_database, 4)
    with create_app().test_client() as client:
        yield client
    db.close_pool()
