"""Statements, batches, transactions and the pool."""

import threading
from datetime import datetime, timezone
from uuid import UUID

import pytest
from psycopg import errors

import sql
from sql import database
from sql.database import connect, connection, transaction, within
from sql.ids import derived, uuid7
from sql.statement import Filter, Statement, flush

ECHO = Statement("echo", "one", "SELECT %(a)s::text AS a, %(b)s::text[] AS b, %(c)s::jsonb AS c, %(d)s::timestamptz AS d")
SLEEP = Statement("sleep", "exec", "SELECT pg_sleep(%(seconds)s::float8)")
FAIL = Statement("fail", "exec", "SELECT 1 / %(zero)s::int")
ONE = Statement("one", "value", "SELECT 1")


@pytest.fixture
def plain(module_database):
    """A connection outside of any transaction."""
    with connect(module_database) as conn:
        yield conn


@pytest.fixture
def pool(module_database):
    """The process's pool, of two connections."""
    database.open_pool(module_database, 2)
    yield
    database.close_pool()


def test_values_come_back_as_they_were_given(plain):
    given = {"a": "ä'\\\"", "b": ['{"x"}', "", "NULL", None, "a\\b,c"], "c": {"k": [1, None, "é"]}}
    given["d"] = datetime(2026, 11, 21, 3, 4, 5, 678, tzinfo=timezone.utc)
    assert ECHO(plain, **given) == given
    nothing = dict.fromkeys(given)
    assert ECHO(plain, **nothing) == nothing


def test_missing_and_unexpected_parameters_are_named():
    with pytest.raises(TypeError, match="echo needs the parameter 'd'"):
        ECHO.send(None, a=1, b=[], c={})
    with pytest.raises(TypeError, match=r"echo has no parameter \{'e'\}"):
        ECHO.send(None, a=1, b=[], c={}, d=None, e=1)


def test_parameter_without_a_cast_is_refused():
    with pytest.raises(ValueError, match="id needs a cast"):
        Statement("bare", "one", "SELECT %(id)s")


def test_statement_that_fails_raises_and_the_connection_goes_on(plain):
    for _ in range(2):
        with pytest.raises(errors.DivisionByZero):
            FAIL(plain, zero=0)
        assert ONE(plain) == 1


def test_first_error_of_a_batch_is_raised_and_nothing_behind_it_runs(plain):
    created = sql.flows.create.send(plain, id=uuid7(), name="undone", tags=[], labels={})
    FAIL.send(plain, zero=0)
    with pytest.raises(errors.DivisionByZero):
        ONE(plain)
    assert created.rows is not None
    assert sql.flows.read_by_name(plain, name="undone") is None


def test_transaction_is_undone_by_an_exception(plain):
    with pytest.raises(RuntimeError), within(plain):
        sql.flows.create(plain, id=uuid7(), name="undone", tags=[], labels={})
        raise RuntimeError
    assert sql.flows.read_by_name(plain, name="undone") is None
    with within(plain):
        sql.flows.create.send(plain, id=uuid7(), name="done", tags=[], labels={})
    assert sql.flows.read_by_name(plain, name="done") is not None


def test_error_found_at_commit_is_raised(plain):
    with pytest.raises(errors.DivisionByZero), within(plain):
        sql.flows.create.send(plain, id=uuid7(), name="undone", tags=[], labels={})
        FAIL.send(plain, zero=0)
    assert sql.flows.read_by_name(plain, name="undone") is None


def test_composed_statement_takes_a_filter(plain):
    count = Statement("count", "value", "SELECT count(*) FROM generate_series(1, 10) AS n WHERE {filter}")
    assert count(plain, filter=Filter()) == 10
    assert count(plain, filter=Filter("n <= %(n.most)s::int", {"n.most": 3})) == 3


def test_unprepared_statements_run_as_well(module_database, monkeypatch):
    monkeypatch.setattr("sql.database.prepares_statements", False)
    with connect(module_database) as conn, within(conn):
        assert ONE(conn) == 1
        assert conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0] == 0


def test_session_has_limits_and_utc(plain):
    for name, value in {"statement_timeout": "1min", "lock_timeout": "30s", "timezone": "UTC", "search_path": "public"}.items():
        assert plain.execute("SELECT current_setting(%s)", (name,)).fetchone()[0] == value
    assert plain.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0] == "1min"


def test_options_of_the_url_are_left_alone(module_database):
    with connect(module_database + " options='-c statement_timeout=7s'") as conn:
        assert conn.execute("SHOW statement_timeout").fetchone()[0] == "7s"


def test_other_threads_run_while_a_batch_waits(module_database):
    with connect(module_database) as conn, connect(module_database) as other:
        holding = threading.Thread(target=lambda: (SLEEP.send(conn, seconds=1), ONE.send(conn), flush(conn)))
        holding.start()
        turns = 0
        while holding.is_alive():
            turns += ONE(other)
        holding.join()
    assert turns > 20


def test_batch_that_is_larger_than_the_sockets_buffer_arrives(plain):
    text = "x" * 3_000_000
    sent = [ECHO.send(plain, a=text, b=[], c=None, d=None) for _ in range(4)]
    flush(plain)
    assert [pending.result()["a"] == text for pending in sent] == [True] * 4


def test_connection_that_the_server_has_closed_is_not_lent(pool, plain):
    with connection() as conn:
        pid = conn.pgconn.backend_pid
    plain.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    for _ in range(3):
        with connection() as conn:
            assert ONE(conn) == 1 and conn.pgconn.backend_pid != pid


def test_connection_to_a_server_that_became_read_only_is_discarded(pool):
    with pytest.raises(errors.ReadOnlySqlTransaction), connection() as conn:
        pid = conn.pgconn.backend_pid
        conn.execute("SET default_transaction_read_only = on")
        sql.flows.create(conn, id=uuid7(), name="nowhere", tags=[], labels={})
    assert conn.closed
    with transaction() as conn:
        assert conn.pgconn.backend_pid != pid


def test_ids_grow_with_time_and_repeat_for_the_same_parts():
    ids = [uuid7() for _ in range(1000)]
    assert ids == sorted(set(ids)) and {id.version for id in ids} == {7} and {id.variant for id in ids} == {ids[0].variant}
    assert derived("a", "b") == derived("a", "b") != derived("ab", "")
    assert derived("a", "b").version == 5 and isinstance(ids[0], UUID)
