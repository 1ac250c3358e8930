"""What can go wrong in the domain; handlers/http/messages.py makes each of them an HTTP answer."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeVar

Row = TypeVar("Row")

MAX_PROBLEMS = 100


class NotFound(Exception):
    """Something that the request names does not exist (404)."""

    def __init__(self, noun: str):
        super().__init__(f"{noun} not found")


def require(row: Row, noun: str) -> Row:
    """Give back what was found, one, several or how many. Raises NotFound for None, for 0 and for none of several."""
    if row is None or row == 0 or (isinstance(row, (list, set)) and not row):
        raise NotFound(noun)
    return row


class Conflict(Exception):
    """The request contradicts what is stored (409)."""


class BadRequest(Exception):
    """The request cannot be carried out in the present state of things (400)."""


class Unprocessable(Exception):
    """The request is well-formed but does not fit what is stored, in words for people (422)."""


class Exhausted(Exception):
    """What the request or something stored asks to be worked out is more than one may ask for; names the limit (422)."""


class Unavailable(Exception):
    """The server has no room for the request at the moment; clients ask again (503)."""


class Invalid(Exception):
    """The request breaks its schema (422): its first problems, each with `loc` (the path to the field) and `msg`."""

    def __init__(self, problems: Iterable[dict[str, Any]], body: Any = None):
        self.problems, self.body = list(islice(problems, MAX_PROBLEMS)), body
        super().__init__("; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in self.problems))


def invalid(message: str, *path: str | int) -> Invalid:
    """Make the error for one field of the body, e.g. `invalid("must be positive", "schedules", 0, "interval")`."""
    return Invalid([{"type": "value_error", "loc": ["body", *path], "msg": message, "input": None}])
