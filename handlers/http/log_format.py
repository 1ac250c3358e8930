"""How log lines are written: what clients and the database say in them cannot pass for lines of its own."""

import json
import logging
import logging.config
from datetime import datetime, timezone
from typing import Any

from flask import has_request_context, request

from schemas.settings import given, setting

FORMAT = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Write a record in one line, and what belongs to an exception in lines that are indented."""

    def __init__(self):
        super().__init__(FORMAT)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        id = request_id()
        return escape(super().formatMessage(record)) + (f" [{id}]" if id else "")

    def formatException(self, exc_info) -> str:
        return "\n".join(f"  {escape(line)}" for line in super().formatException(exc_info).split("\n"))


class JsonFormatter(LineFormatter):
    """Write a record as one JSON object in a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        shown = {"time": self.formatTime(record), "level": record.levelname, "process": record.process, "logger": record.name}
        shown["message"] = record.getMessage()
        if id := request_id():
            shown["request_id"] = id
        if record.exc_info:
            shown["exception"] = logging.Formatter.formatException(self, record.exc_info)
        return json.dumps(shown).replace("\x7f", "\\u007f")


def request_id() -> str | None:
    """Give the id of the request that is being worked on, if one is."""
    return request.environ.get("downbeat.request_id") if has_request_context() else None


def escape(text: str) -> str:
    """Write characters that a terminal or a reader of lines would obey as Python does: a new line as `\\n`, say."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def configuration(default: str = "WARNING") -> dict[str, Any]:
    """Describe for logging.config where all is written that is logged: to stderr, from the level that is set, else `default`."""
    level = given("server.logging_level")
    least = level or default
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter if setting("downbeat.log_format") == "json" else LineFormatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": least, "handlers": ["stderr"]},
        "loggers": {
            # It tells of the start and the end.
            "gunicorn.error": {"level": level or "INFO", "handlers": [], "propagate": True},
            "psycopg": {"level": least},  # it has a level of its own otherwise
            "downbeat.requests": {"level": "INFO"},
        },
    }


def configure(default: str = "WARNING") -> None:
    """Have everything that is logged in this process written so."""
    logging.config.dictConfig(configuration(default))
