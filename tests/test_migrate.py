"""Databases that Prefect's own server made and ours: made, adopted, tuned, handed back, refused."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import sql
import sql.migrate
from sql.database import connect
from sql.migrate import Refused, handback, migrate, read_indexes, tune
from tests import prefect_server
from tests.conftest import drop_database, make_database
from tests.waiting import PATIENCE_SECONDS, wait_until

CATALOG = SimpleNamespace(
    columns="""
        SELECT pg_class.relname, row_number() OVER (PARTITION BY pg_class.oid ORDER BY attnum), attname, attnotnull,
               format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid), attcollation, attidentity, attgenerated
          FROM pg_class
          JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
          LEFT JOIN pg_attrdef ON adrelid = pg_class.oid AND adnum = attnum
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'""",
    # PostgreSQL 18 lists NOT NULL as constraints too; which columns have it is among the columns.
    constraints="""
        SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid)
          FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND contype <> 'n'""",
    enums="""
        SELECT typname, array_agg(enumlabel::text ORDER BY enumsortorder)
          FROM pg_type
          JOIN pg_enum ON enumtypid = pg_type.oid
         WHERE typnamespace = 'public'::regnamespace
         GROUP BY typname""",
    indexes="""
        SELECT pg_get_indexdef(indexrelid), indisvalid
          FROM pg_index
          JOIN pg_class ON pg_class.oid = indexrelid
         WHERE relnamespace = 'public'::regnamespace""",
    others="""
        SELECT extname FROM pg_extension
        UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('r', 'i')
        UNION ALL SELECT version_num FROM alembic_version""",
)
ACTIVITY = "SELECT pid, state, wait_event, query FROM pg_stat_activity WHERE datname = current_database()"
UNIQUE_INDEXES = CATALOG.indexes + " AND indisunique"
# The transaction that last wrote each catalog row of a table, index, column or comment in public.
TOUCHED = """
    SELECT oid, 0, xmin::text, relfilenode FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT attrelid, attnum, pg_attribute.xmin::text, 0
      FROM pg_attribute
      JOIN pg_class ON pg_class.oid = attrelid
     WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT objoid, objsubid, pg_description.xmin::text, 0
      FROM pg_description
      JOIN pg_class ON pg_class.oid = objoid
     WHERE relnamespace = 'public'::regnamespace
"""
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ~ %s AND wait_event_type = 'Lock'"


def read(url: str, query: str, *parameters) -> list:
    """Run a query and give its rows, sorted."""
    with connect(url) as conn:
        return sorted(conn.execute(query, parameters).fetchall(), key=repr)


def read_catalog(url: str) -> dict[str, list]:
    """Give all that is compared of schema public."""
    return {name: read(url, query) for name, query in vars(CATALOG).items()}


def read_data(url: str) -> dict[str, list]:
    """Give every row of every table in public, as text."""
    tables = [name for (name,) in read(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return {table: read(url, f"SELECT t::text FROM public.{table} AS t") for table in tables}


def wait_for(url: str, count: int, query: str) -> list:
    """Wait until `count` sessions with a query that matches wait for a lock; gives their process ids."""
    wait_until(lambda: len(read(url, WAITING, query)) == count, lambda: read(url, ACTIVITY))
    return [pid for (pid,) in read(url, WAITING, query)]


@contextmanager
def in_thread(function, *arguments):
    """Run a function beside the block; gives a list that holds what it raised. Waits for it at the end."""
    raised = []

    def run():
        try:
            function(*arguments)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield raised
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def prefect_environment(url: str) -> dict[str, str]:
    """Give the variables by which Prefect finds the password where the connection string names a file with it."""
    passfile = conninfo_to_dict(url).get("passfile")
    return {"PGPASSFILE": passfile} if passfile else {}


@pytest.fixture(scope="session")
def prefect_template(cluster):
    """The name of a database that Prefect's own server made and that holds two runs of a flow, one of them finished."""
    name, url = make_database(cluster)
    with prefect_server.running(url, **prefect_environment(url)) as server, httpx.Client(base_url=server.api) as http:
        flow = http.post("/flows/", json={"name": "old"}).json()
        for number in range(2):
            run = http.post("/flow_runs/", json={"flow_id": flow["id"], "name": f"old-{number}"}).json()
            for state in ("RUNNING", "COMPLETED")[: 2 * number]:
                answer = http.post(f"/flow_runs/{run['id']}/set_state", json={"state": {"type": state}})
                assert answer.status_code == 201, answer.text
    yield name
    drop_database(cluster, name)


@pytest.fixture
def empty(cluster):
    """A connection string to an empty database."""
    name, url = make_database(cluster)
    yield url
    drop_database(cluster, name)


@pytest.fixture
def prefect_database(cluster, prefect_template):
    """A connection string to a database that Prefect made."""
    name, url = make_database(cluster, prefect_template)
    yield url
    drop_database(cluster, name)


def test_makes_the_tables_that_prefect_makes(database, prefect_database):
    ours, theirs = read_catalog(database), read_catalog(prefect_database)
    assert len({row[0] for row in ours["columns"]}) == 36
    for part in ("columns", "constraints", "enums"):
        assert ours[part] == theirs[part]
    assert read(database, UNIQUE_INDEXES) == read(prefect_database, UNIQUE_INDEXES)


def test_adopts_a_prefect_database_without_touching_anything_in_it(prefect_database):
    touched, data = read(prefect_database, TOUCHED), read_data(prefect_database)
    assert len(data["flow_run"]) == 2
    migrate(prefect_database)
    assert read(prefect_database, TOUCHED) == touched
    assert read_data(prefect_database) == data
    assert read(prefect_database, "SELECT adopted, index_set FROM downbeat.installation") == [(True, "prefect")]
    assert read(prefect_database, "SELECT name, count(*) FROM downbeat.flow GROUP BY name") == [("old", 1)]


def test_dropping_our_schema_leaves_the_prefect_database_that_was_adopted(prefect_database):
    before, touched = read_catalog(prefect_database), read(prefect_database, TOUCHED)
    migrate(prefect_database)
    with connect(prefect_database) as conn:
        conn.execute("DROP SCHEMA downbeat CASCADE")
    assert read_catalog(prefect_database) == before
    assert read(prefect_database, TOUCHED) == touched


def test_handing_back_leaves_what_prefect_makes(database, prefect_database):
    theirs = read_catalog(prefect_database)
    handback(database)
    with connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM pg_views WHERE schemaname = 'downbeat'").fetchone() == (0,)
        conn.execute("DROP SCHEMA downbeat CASCADE")
    assert read_catalog(database) == theirs


def test_tuning_swaps_the_indexes_and_handing_back_restores_them(database, prefect_database):
    theirs, data = read_catalog(prefect_database), read_data(prefect_database)
    with connect(prefect_database) as conn:
        conn.execute("CREATE INDEX of_somebody_else ON flow_run (name)")
    tune(prefect_database)
    mine = ("CREATE INDEX of_somebody_else ON public.flow_run USING btree (name)", True)
    assert read(prefect_database, CATALOG.indexes) == sorted([*read(database, CATALOG.indexes), mine], key=repr)
    tune(prefect_database)
    assert read(prefect_database, "SELECT index_set FROM downbeat.installation") == [("downbeat",)]
    handback(prefect_database)
    handback(prefect_database)
    assert read(prefect_database, CATALOG.indexes) == sorted([*theirs["indexes"], mine], key=repr)
    assert read_data(prefect_database) == data
    migrate(prefect_database)
    assert read(prefect_database, "SELECT name FROM downbeat.flow") == [("old",)]


def test_tuning_prints_a_line_for_each_index(prefect_database, capsys):
    ours, theirs = read_indexes("downbeat").keys(), read_indexes("prefect").keys()
    tune(prefect_database)
    lines = capsys.readouterr().out.splitlines()
    assert set(lines) == {f"created {name}" for name in ours - theirs} | {f"dropped {name}" for name in theirs - ours}
    assert max(lines.index(f"created {name}") for name in ours - theirs) < len(ours - theirs)


def test_an_interrupted_tuning_blocks_no_writer_and_is_finished_by_the_next(prefect_database):
    building = "^CREATE INDEX CONCURRENTLY"
    with connect(prefect_database) as writer, connect(prefect_database) as other:
        writer.execute("BEGIN")
        writer.execute("UPDATE flow_run SET name = 'written'")
        with in_thread(tune, prefect_database) as raised:
            (pid,) = wait_for(prefect_database, 1, building)
            other.execute("SET lock_timeout = '1s'")
            other.execute("UPDATE flow SET name = 'written'")
            other.execute("INSERT INTO flow_run (name, flow_id) SELECT 'new', id FROM flow")
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert isinstance(raised[0], psycopg.OperationalError)
        writer.execute("COMMIT")
    unfinished = read(prefect_database, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    assert unfinished[0][0].startswith("downbeat_flow_run__")
    tune(prefect_database)
    names = read(prefect_database, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexdef !~ 'UNIQUE'")
    assert {name for (name,) in names} == set(read_indexes("downbeat"))
    assert read(prefect_database, "SELECT FROM pg_index WHERE NOT indisvalid") == []


def test_only_one_process_swaps_indexes(database):
    with connect(database) as conn:
        conn.execute("BEGIN")
        sql.catalog.lock_indexes(conn)
        with pytest.raises(Refused, match="another process"):
            handback(database)
        conn.execute("COMMIT")
    assert read(database, "SELECT index_set FROM downbeat.installation") == [("downbeat",)]


@pytest.mark.parametrize("command", [migrate, tune, handback])
def test_refuses_another_revision_of_prefect_and_names_the_command_to_run(prefect_database, command):
    with connect(prefect_database) as conn:
        conn.execute("UPDATE alembic_version SET version_num = 'bad1e352c597'")
    before = read_catalog(prefect_database)
    with pytest.raises(Refused, match=r"revision bad1e352c597.*prefect server database upgrade -y"):
        command(prefect_database)
    assert read_catalog(prefect_database) == before


def test_refuses_a_database_that_prefect_has_upgraded_since(database):
    with connect(database) as conn:
        conn.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(Refused, match="revision ffffffffffff"):
        migrate(database)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE invoice (id integer)", "no Prefect database either; schema public holds invoice"),
        ("CREATE TABLE alembic_version (version_num text)", r"revision \(none\)"),
        ("CREATE TABLE alembic_version AS SELECT unnest('{a,b}'::text[]) AS version_num", "revision a and b"),
        ("CREATE TABLE alembic_version AS SELECT '50737cdaee36' AS version_num", "lacks its tables agent, artifact"),
    ],
)
def test_refuses_a_database_that_is_neither_empty_nor_of_prefect(empty, statement, reason):
    with connect(empty) as conn:
        conn.execute(statement)
    with pytest.raises(Refused, match=reason):
        migrate(empty)
    assert read(empty, "SELECT count(*) FROM pg_namespace WHERE nspname = 'downbeat'") == [(0,)]
    assert read(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]


def test_two_processes_may_migrate_at_once(empty):
    command = [sys.executable, "-c", "import sys; from sql.migrate import migrate; migrate(sys.argv[1])", empty]
    with connect(empty) as conn:
        conn.execute("BEGIN")
        sql.catalog.lock_migration(conn)
        processes = [subprocess.Popen(command, cwd=Path(sql.__file__).parents[1]) for _ in range(2)]
        wait_for(empty, 2, "pg_advisory_xact_lock")
        assert read(empty, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [(2,)]
        conn.execute("COMMIT")
    assert [process.wait(PATIENCE_SECONDS) for process in processes] == [0, 0]
    migrations = sorted((name,) for name in sql.migrate.read_migrations())
    assert read(empty, "SELECT name FROM downbeat.migration") == migrations


def test_a_start_with_nothing_to_do_takes_no_lock(database):
    views = "SELECT oid, relname FROM pg_class WHERE relnamespace = 'downbeat'::regnamespace AND relkind = 'v'"
    before = read(database, views)
    with connect(database) as conn:
        conn.execute("BEGIN")
        sql.catalog.lock_migration(conn)
        conn.execute("LOCK TABLE flow IN ACCESS EXCLUSIVE MODE")
        migrate(make_conninfo(database, options="-c lock_timeout=1s"))
        conn.execute("ROLLBACK")
    assert before and read(database, views) == before


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of our SQL files, which migrate reads instead, to change them in."""
    for folder in ("migrations", "indexes", "views"):
        (tmp_path / folder).symlink_to(sql.migrate.FOLDER / folder)
    (tmp_path / "views").unlink()
    (tmp_path / "views").mkdir()
    monkeypatch.setattr(sql.migrate, "FOLDER", tmp_path)
    return tmp_path


def test_views_are_made_after_those_that_they_need(empty, tree):
    (tree / "views" / "apple.sql").write_text("-- needs: pear, plum\nCREATE VIEW downbeat.apple AS TABLE downbeat.pear;")
    (tree / "views" / "pear.sql").write_text("-- needs: plum\nCREATE VIEW downbeat.pear AS TABLE downbeat.plum;")
    (tree / "views" / "plum.sql").write_text("CREATE VIEW downbeat.plum AS SELECT 1 AS stone;")
    migrate(empty)
    assert read(empty, "TABLE downbeat.apple") == [(1,)]
    (tree / "views" / "plum.sql").write_text("CREATE VIEW downbeat.plum AS SELECT 'two' AS stone;")
    (tree / "views" / "apple.sql").unlink()
    migrate(empty)
    assert read(empty, "TABLE downbeat.pear") == [("two",)]
    assert read(empty, "SELECT viewname FROM pg_views WHERE schemaname = 'downbeat'") == [("pear",), ("plum",)]


def test_a_view_of_somebody_else_on_ours_is_not_dropped(database, tree):
    with connect(database) as conn:
        conn.execute("CREATE VIEW public.report AS SELECT name FROM downbeat.flow")
    before = read(database, "SELECT viewname FROM pg_views WHERE schemaname = 'downbeat'")
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="view report depends on"):
        migrate(database)
    assert read(database, "SELECT viewname FROM pg_views WHERE schemaname = 'downbeat'") == before


def test_views_wait_for_a_long_query_only_briefly_and_try_again(database, tree):
    with connect(database) as reader, connect(database) as other:
        reader.execute("BEGIN")
        reader.execute("SELECT FROM downbeat.flow")
        with in_thread(migrate, database) as raised:
            wait_for(database, 1, "^DROP VIEW")
            # This one queues behind the waiting DROP VIEW, and gets through when that gives up.
            other.execute("SELECT FROM downbeat.flow")
            reader.execute("COMMIT")
    assert raised == []
    assert read(database, "SELECT viewname FROM pg_views WHERE schemaname = 'downbeat'") == []


def test_leaves_a_database_alone_that_a_newer_version_has_migrated(database, tree):
    with connect(database) as conn:
        sql.catalog.create_migration(conn, name="9999_of_a_newer_version")
    views = read(database, "SELECT viewname FROM pg_views WHERE schemaname = 'downbeat'")
    migrate(database)
    assert views and read(database, "SELECT viewname FROM pg_views WHERE schemaname = 'downbeat'") == views


def test_a_plain_role_that_is_called_like_our_schema_sees_the_tables(cluster, empty):
    with connect(empty) as conn:
        if conn.execute("SELECT FROM pg_roles WHERE rolname = 'downbeat'").fetchone() is None:
            conn.execute("CREATE ROLE downbeat")
        conn.execute("ALTER ROLE downbeat RESET search_path")
        conn.execute(f"ALTER DATABASE {conn.info.dbname} OWNER TO downbeat")
        conn.execute("ALTER SCHEMA public OWNER TO downbeat")
    migrate(make_conninfo(empty, options="-c role=downbeat -c lock_timeout=10s"))
    assert read(empty, "SELECT schemaname FROM pg_tables WHERE tablename = 'flow_run'") == [("public",)]
    settings = read(empty, "SELECT rolconfig::text FROM pg_roles WHERE rolname = 'downbeat'")
    assert settings == [("{search_path=public}",)]


def test_prefect_migrates_and_serves_a_database_that_was_handed_back(database, tmp_path):
    with connect(database) as conn:
        conn.execute("INSERT INTO flow (name) VALUES ('ours')")
        conn.execute("INSERT INTO flow_run (name, flow_id) SELECT 'run-' || n, id FROM flow, generate_series(1, 3) AS n")
        conn.execute("INSERT INTO flow_run_state (flow_run_id, type, name) SELECT id, 'RUNNING', 'Running' FROM flow_run")
        conn.execute(
            "UPDATE flow_run SET state_id = s.id, state_type = s.type, state_name = s.name, state_timestamp = s.timestamp"
            "  FROM flow_run_state AS s WHERE s.flow_run_id = flow_run.id"
        )
    handback(database)
    downgrade(database, "9e83011d1f2a", tmp_path)
    with (
        prefect_server.running(database, **prefect_environment(database)) as server,
        httpx.Client(base_url=server.api) as http,
    ):
        runs = http.post("/flow_runs/filter", json={"sort": "NAME_ASC"}).json()
    assert [(run["name"], run["state"]["type"]) for run in runs] == [(f"run-{n}", "RUNNING") for n in (1, 2, 3)]
    assert read(database, "TABLE alembic_version") == [(sql.migrate.REVISION,)]


def downgrade(url: str, revision: str, home: Path) -> None:
    """Have Prefect undo its migrations down to a revision; it finds what they made by name."""
    environment = os.environ | prefect_environment(url) | {"PREFECT_HOME": str(home)}
    environment["PREFECT_API_DATABASE_CONNECTION_URL"] = prefect_server.asyncpg_url(url)
    command = [sys.executable, "-W", "ignore", "-m", "prefect", "server", "database", "downgrade", "-y", "-r", revision]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert read(url, "TABLE alembic_version") == [(revision,)]
