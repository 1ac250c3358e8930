"""How log lines are written: what clients and the database say in them cannot pass for lines of its own."""

import logging

FORMAT = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Write a record in one line, and what belongs to an exception in lines that are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escape(super().formatMessage(record))

    def formatException(self, exc_info) -> str:
        return "\n".join(f"  {escape(line)}" for line in super().formatException(exc_info).split("\n"))


def escape(text: str) -> str:
    """Write characters that a terminal or a reader of lines would obey as Python does: a new line as `\\n`, say."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def configure(level: str) -> None:
    """Have everything that is logged written to stderr in this form, from a level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


def reform(logger: logging.Logger) -> None:
    """Have what is logged by a logger that has handlers already written in this form."""
    for handler in logger.handlers:
        given = handler.formatter
        handler.setFormatter(LineFormatter(given._fmt, given.datefmt) if given else LineFormatter(FORMAT))
