"""The kinds of settings: each is the function that reads its text. Raises ValueError for what is none."""

import base64
import re
from datetime import timedelta
from typing import Any

import orjson
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
TRUE, FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
ISO_DURATION = re.compile(r"P(?:([\d.]+)W)?(?:([\d.]+)D)?(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]\\,*]+)(:\d{1,5})?")
ADDRESS = re.compile(r"unix:.+|fd://\d+|.*:(\d{1,5})")
CLOCK_DURATION = re.compile(r"(?:(\d+) ?d(?:ays?)?,? ?)?(?:(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?)?")


def flag(value: Any) -> bool:
    """Read true or false."""
    return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[str(value).strip().lower()]


def number(value: Any) -> float:
    """Read a number that is finite and not negative."""
    if isinstance(value, bool) or not 0 <= float(value) < float("inf"):
        raise ValueError
    return float(value)


def interval(value: Any) -> float:
    """Read a number of seconds between two rounds, of which there have to be some."""
    if not number(value):
        raise ValueError
    return number(value)


def integer(value: Any) -> int:
    """Read a whole number that is not negative."""
    if not number(value).is_integer():
        raise ValueError
    return int(float(value))


def positive(value: Any) -> int:
    """Read a whole number of something that there has to be."""
    if not integer(value):
        raise ValueError
    return integer(value)


def duration(value: Any) -> timedelta:
    """Read a duration: seconds, ISO 8601 (`PT1H30M`), or days and a time (`1:30:00`, `2 days`, `1 day, 1:30`)."""
    try:
        return timedelta(seconds=number(value))
    except ValueError:
        text = str(value).strip()
    if (iso := ISO_DURATION.fullmatch(text)) and any(iso.groups()):
        weeks, days, hours, minutes, seconds = (float(part or 0) for part in iso.groups())
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if (clock := CLOCK_DURATION.fullmatch(text)) and any(clock.groups()):
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    raise ValueError


def text(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise ValueError
    return value


def secret(value: Any) -> str:
    """Read a text that is never shown."""
    return text(value)


def key(value: Any) -> str:
    """Read a Fernet key; an empty text is none."""
    if value and len(base64.urlsafe_b64decode(value)) != 32:
        raise ValueError
    return text(value)


def connection(value: Any) -> str:
    """Read libpq's string of a connection."""
    try:
        conninfo_to_dict(text(value))
    except ProgrammingError:
        raise ValueError from None
    return value


def addresses(value: Any) -> str:
    """Read where to listen, as gunicorn has it, for which one without a port would be that of port 8000."""
    for each in text(value).split(","):
        found = ADDRESS.fullmatch(each.strip())
        if found is None or int(found[1] or 0) > 65535:
            raise ValueError
    return value


def level(value: Any) -> str:
    """Read how weighty something must be to be logged."""
    if text(value).upper() not in LEVELS:
        raise ValueError
    return value.upper()


def names(value: Any) -> list[str]:
    """Read a list of names, separated by commas or as JSON."""
    items = orjson.loads(value) if isinstance(value, str) and value.startswith("[") else value
    return [text(item).strip() for item in (items.split(",") if isinstance(items, str) else items) if text(item).strip()]


def form(value: Any) -> str:
    """Read the form of log lines."""
    if (name := text(value).strip().lower()) not in ("text", "json"):
        raise ValueError
    return name


def hosts(value: Any) -> list[str]:
    """Read a list of names of hosts, by which requests call the server; not `https://name`, nor `*`."""
    if not all(HOST.fullmatch(name) for name in names(value)):
        raise ValueError
    return names(value)


def document(value: Any) -> dict[str, Any]:
    """Read an object, as JSON."""
    return dict(orjson.loads(value) if isinstance(value, str) else value)


WANTED = {
    flag: "true or false",
    number: "a number",
    integer: "a whole number",
    positive: "a whole number above 0",
    interval: "a number above 0",
    duration: "a duration such as 90, PT1M30S or 0:01:30",
    text: "a text",
    secret: "a text",
    key: "a Fernet key, 32 bytes in URL-safe Base64,",
    connection: "a connection string of libpq, such as postgresql://user@host/name,",
    addresses: "an address such as 127.0.0.1:4200 or unix:/run/downbeat.sock",
    level: " or ".join(LEVELS),
    names: "a list of names such as a,b",
    hosts: "a list of names such as downbeat.example.org,192.0.2.1",
    form: "text or json",
    document: "an object as JSON",
}
