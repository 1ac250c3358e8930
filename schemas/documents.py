"""JSON from clients that may be stored: what PostgreSQL and orjson take back, looked at before anything else looks at it.

Used by the bodies of requests and the messages of websockets alike. orjson itself refuses what is not UTF-8, lone surrogates,
numbers beyond a double and more than 1024 levels. Nothing here recurses: Python's stack ends before orjson's levels do.
"""

import re
from typing import Any

import orjson

MAX_NESTING = 200  # orjson writes 254 levels, and what is stored is wrapped in a few
MAX_VALUES = 1_000_000  # each takes up to 100 bytes in Python, and in JSON as few as three
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class NotStorable(ValueError):
    """A text is no JSON that may be stored; `path` leads to the fault in it."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()):
        super().__init__(f"{'.'.join(map(str, path))} {message}".lstrip()[:200])
        self.message, self.path = message, path


def read_document(text: bytes | str) -> Any:
    """Give the value of a JSON text. Raises orjson.JSONDecodeError, and NotStorable for too many values, deep nesting or a NUL
    character."""
    if len(text) > MAX_VALUES and holds_too_many_values(text if isinstance(text, bytes) else text.encode()):
        raise NotStorable(f"must not hold more than {MAX_VALUES} values")
    content = orjson.loads(text)
    brackets, nul = ((b"[", b"{"), b"\\u0000") if isinstance(text, bytes) else (("[", "{"), "\\u0000")
    if sum(map(text.count, brackets)) > MAX_NESTING and is_nested_too_deeply(content):
        raise NotStorable(f"must not be nested deeper than {MAX_NESTING}")
    if nul in text and (path := find_nul(content)) is not None:
        raise NotStorable("must not contain the NUL character", path)
    return content


def holds_too_many_values(text: bytes) -> bool:
    """Tell whether a JSON text holds more than MAX_VALUES values, without making them; strings are passed over."""
    if sum(map(text.count, (b",", b"[", b"{"))) <= MAX_VALUES:
        return False
    number = place = 0
    while number <= MAX_VALUES and place < len(text):
        quote = text.find(b'"', place)
        end = quote if quote >= 0 else len(text)
        number += sum(text.count(mark, place, end) for mark in (b",", b"[", b"{"))
        place = STRING.match(text, quote).end() if quote >= 0 else end
    return number > MAX_VALUES


def write_document(value: Any) -> bytes:
    """Give a JSON value as text. Raises NotStorable for one of more levels than are written, as another hand may have stored."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise NotStorable(f"cannot be written as JSON: {error}") from None


def is_nested_too_deeply(content: Any) -> bool:
    """Tell whether a JSON value is nested deeper than orjson and PostgreSQL take it when it is stored or shown again."""
    level = [content] if isinstance(content, (dict, list)) else []
    for _ in range(MAX_NESTING):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return bool(level)


def find_nul(content: Any) -> tuple[str | int, ...] | None:
    """Give the path to the first string of a JSON value with a NUL character, or to the object that has one in a key."""
    path: list[str | int] = []
    levels = [iter([("", content)])]
    while levels:
        for key, item in levels[-1]:
            if isinstance(key, str) and "\0" in key:
                return tuple(path[1:])
            if isinstance(item, str) and "\0" in item:
                return (*path, key)[1:]
            if isinstance(item, (dict, list)):
                path.append(key)
                levels.append(iter(item.items() if isinstance(item, dict) else enumerate(item)))
                break
        else:
            levels.pop()
            del path[-1:]
    return None
