"""Slow statements are logged: by name, with their time and the sizes of what they were given."""

import logging
import re

import pytest
from psycopg import errors

from sql import statement
from sql.statement import Statement

SLEEP = Statement("test.sleep", "exec", "SELECT pg_sleep(%(seconds)s::float8), %(secret)s::text")
FAIL = Statement("test.fail", "exec", "SELECT 1 / (%(zero)s::integer + (pg_sleep(0.1) IS NULL)::integer)")


@pytest.fixture
def threshold(monkeypatch):
    """The time from which on statements are slow."""
    monkeypatch.setattr(statement, "slow_seconds", 0.05)


def test_a_slow_batch_is_told_of_with_sizes_and_without_values(conn, threshold, caplog):
    SLEEP.send(conn, seconds=0, secret=None)
    SLEEP(conn, seconds=0.1, secret="hush" * 10)
    (record,) = (record for record in caplog.records if record.name == "downbeat.sql")
    assert record.levelno == logging.WARNING
    assert re.fullmatch(r"Slow, \d+\.\d{3} s: test\.sleep \(1, 0\); test\.sleep \(3, 40\)", record.getMessage())


def test_one_that_is_prepared_already_is_told_of(conn, threshold, caplog):
    SLEEP(conn, seconds=0, secret="")
    caplog.clear()
    SLEEP(conn, seconds=0.1, secret="")
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["test.sleep (3, 0)"]


def test_one_that_fails_is_told_of(conn, threshold, caplog):
    with pytest.raises(errors.DivisionByZero):
        FAIL(conn, zero=0)
    assert "test.fail (1)" in caplog.text


def test_others_are_not(conn, monkeypatch, caplog):
    monkeypatch.setattr(statement, "slow_seconds", 600)
    SLEEP(conn, seconds=0, secret="x")
    assert "test.sleep" not in caplog.text


def test_a_large_batch_is_cut(conn, threshold, caplog):
    for _ in range(50):
        SLEEP.send(conn, seconds=0, secret="x")
    SLEEP(conn, seconds=0.1, secret="x")
    assert caplog.text.count("test.sleep") == 20
    assert "…" in caplog.text
