"""The counting proxy of the benchmark counts statements and round trips."""

import psycopg
import pytest

from tests.bench import round_trips


@pytest.fixture
def counted(cluster):
    """A connection through the proxy, and the counts of what it does."""
    url, counts = round_trips.start(cluster)
    with psycopg.connect(url, autocommit=True) as conn:
        yield conn, counts


def test_counts_one_statement_and_one_round_trip(counted):
    conn, counts = counted
    before = counts.statements, counts.round_trips
    conn.execute("SELECT 1")
    conn.execute("SELECT %s::int", [1])
    assert (counts.statements - before[0], counts.round_trips - before[1]) == (2, 2)


def test_counts_a_pipeline_as_one_round_trip(counted):
    conn, counts = counted
    before = counts.statements, counts.round_trips
    with conn.pipeline():
        for number in range(3):
            conn.execute("SELECT %s::int", [number])
    assert (counts.statements - before[0], counts.round_trips - before[1]) == (3, 1)


def test_counts_the_statements_of_a_transaction(counted):
    conn, counts = counted
    before = counts.statements
    with conn.transaction():
        conn.execute("SELECT 1")
    assert counts.statements - before == 3
