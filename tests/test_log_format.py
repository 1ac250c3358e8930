"""Log lines: nobody can put one there, or speak to the terminal of who reads them."""

import io
import logging

import pytest

from handlers.http.log_format import LineFormatter, configure, reform

FOREIGN = "a\n2026-11-21 CRITICAL forged\r\x1b[2J\x00\x7f\x9b1A\u2028\u202e\ud800"


@pytest.fixture
def written():
    """A logger of its own, and what it has written."""
    stream, logger = io.StringIO(), logging.Logger("test")
    logger.addHandler(logging.StreamHandler(stream))
    reform(logger)
    return logger, stream


def test_a_record_is_one_line_whatever_is_in_it(written):
    logger, stream = written
    logger.warning("event %s is rejected: %s", FOREIGN, ValueError(FOREIGN))
    (line,) = stream.getvalue().splitlines()
    assert line.isprintable()
    assert "forged\\r\\x1b[2J\\x00\\x7f\\x9b1A\\u2028\\u202e\\ud800" in line


def test_lines_of_an_exception_are_indented(written):
    logger, stream = written
    try:
        raise ValueError(FOREIGN)
    except ValueError:
        logger.exception("failed")
    first, *others = stream.getvalue().removesuffix("\n").split("\n")
    assert first.endswith("failed")
    assert all(line.startswith("  ") and line.isprintable() for line in others)
    assert any("forged" in line for line in others)


def test_ordinary_text_is_as_it_was(written):
    logger, stream = written
    logger.warning("Käse 👋 \\n %s", {"a": 1})
    assert stream.getvalue().endswith("Käse 👋 \\n {'a': 1}\n")


def test_all_loggers_write_so(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    configure("WARNING")
    logging.getLogger("psycopg.pool").warning("lost: %s", FOREIGN)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert isinstance(logging.getLogger().handlers[0].formatter, LineFormatter)
