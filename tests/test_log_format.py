"""Log lines: nobody can put one there, or speak to the terminal of who reads them."""

import io
import json
import logging
import re
import subprocess
import sys

import pytest

from app import create_app
from handlers.http.log_format import JsonFormatter, LineFormatter, configuration
from tests.downbeat_server import ROOT

FOREIGN = "a\n2026-11-21 CRITICAL forged\r\x1b[2J\x00\x7f\x9b1A\u2028\u202e\ud800"


@pytest.fixture
def written():
    """A logger of its own, and what it has written."""
    stream, logger = io.StringIO(), logging.Logger("test")
    logger.addHandler(logging.StreamHandler(stream))
    logger.handlers[0].setFormatter(LineFormatter())
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


def test_a_line_says_when_who_and_how_bad(written):
    logger, stream = written
    logger.warning("here")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[\d+\] WARNING test: here\n", stream.getvalue())


def test_a_record_is_one_object_of_json_on_demand(written):
    logger, stream = written
    logger.handlers[0].setFormatter(JsonFormatter())
    try:
        raise ValueError(FOREIGN)
    except ValueError:
        logger.exception("failed: %s", FOREIGN)
    (line,) = stream.getvalue().splitlines()
    assert line.isascii() and line.isprintable()
    record = json.loads(line)
    assert record["message"] == f"failed: {FOREIGN}"
    assert (record["level"], record["logger"]) == ("ERROR", "test")
    assert record["exception"].startswith("Traceback")


def log_lines(**settings: str) -> list[str]:
    """Give what a process with these settings logs, its own and gunicorn's, about a request."""
    code = """
import logging, app
from gunicorn.config import Config
from gunicorn.glogging import Logger
from handlers.http import log_format
settings = Config()
settings.set("logconfig_dict", log_format.configuration())
server = Logger(settings)
server.info("started")
server.error("ended")
logging.getLogger("psycopg.pool").warning("lost")
logging.getLogger("downbeat.x").info("said")
app.create_app().test_client().get("/api/hello?token=x", headers={"X-Request-Id": "abc"})
"""
    environment = {**settings, "PATH": "", "PREFECT_HOME": "/nonexistent"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_gunicorns_lines_are_like_all_others():
    lines = log_lines()
    assert [line.partition("] ")[2] for line in lines] == [
        "INFO gunicorn.error: started",
        "ERROR gunicorn.error: ended",
        "WARNING psycopg.pool: lost",
    ]


@pytest.mark.parametrize("name", ["PREFECT_SERVER_LOGGING_LEVEL", "PREFECT_LOGGING_SERVER_LEVEL"])
def test_the_level_of_prefects_setting_counts_for_all(name):
    assert [line.rpartition(" ")[2] for line in log_lines(**{name: "error"})] == ["ended"]
    assert "said" in [line.rpartition(" ")[2] for line in log_lines(**{name: "INFO"})]


def test_requests_are_logged_on_demand_with_their_ids_and_without_their_queries():
    *_, line = log_lines(DOWNBEAT_LOG_REQUESTS="true")
    assert re.search(r" INFO downbeat\.requests: GET /api/hello 200 [\d.]+ ms, \d+ bytes, from 127\.0\.0\.1 \[abc\]$", line)
    *_, line = log_lines(DOWNBEAT_LOG_REQUESTS="true", DOWNBEAT_LOG_FORMAT="json")
    assert json.loads(line)["request_id"] == "abc"


@pytest.mark.parametrize("given", ["7f-0.a:b/c_d", "x" * 128])
def test_a_request_keeps_the_id_that_it_brings(given):
    answer = create_app().test_client().get("/api/hello", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a,b", "<b>", "\x7f", "é", "a\tb"])
def test_a_request_gets_an_id_where_it_brings_none_or_an_odd_one(given):
    answers = [create_app().test_client().get(path, headers={"X-Request-Id": given}) for path in ("/api/hello", "/api/none")]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in ids)


def test_a_form_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("DOWNBEAT_LOG_FORMAT", "xml")
    with pytest.raises(SystemExit, match="text or json is wanted"):
        configuration()
