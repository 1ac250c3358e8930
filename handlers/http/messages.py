"""What all blueprints share of HTTP: request bodies, JSON answers, and errors in the contract's shapes."""

import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import orjson
from flask import Flask, Response, request
from marshmallow import Schema, ValidationError
from psycopg import errors
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import BaseConverter, UnicodeConverter

from handlers.errors import BadRequest, Conflict, Exhausted, Invalid, NotFound, Unavailable, Unprocessable, invalid
from schemas.documents import NotStorable, read_document
from schemas.fields import Arguments
from schemas.settings import setting
from sql.database import repeat
from sql.pool import NoConnection, outage

log = logging.getLogger("downbeat.http")

MAX_BODY_BYTES = setting("downbeat.max_body_bytes")
MAX_ECHOED_BODY, MAX_ECHOED_TEXT = 65536, 1024  # characters; by far more than Prefect's own client ever sends in vain
RETRYABLE = (errors.OperationalError, errors.ReadOnlySqlTransaction, Unavailable)


class TextConverter(UnicodeConverter):
    """Text in a path, of which nothing stored can have the NUL character."""

    regex = r"[^/\x00]+"


class IdConverter(BaseConverter):
    """An id in a path: a UUID in its canonical form, lower case in Python; anything else is an unknown path (404)."""

    regex = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

    def to_python(self, value: str) -> str:
        return value.lower()


def document(content: bytes | None, status: int = 200) -> Response:
    """Answer with a JSON document that is bytes already; None is JSON null."""
    return Response(b"null" if content is None else content, status, content_type="application/json")


def answer(value: Any, status: int = 200) -> Response:
    """Answer with a Python value as JSON; times in UTC with a Z."""
    return document(orjson.dumps(value, option=orjson.OPT_UTC_Z), status)


def no_content() -> Response:
    """Answer 204."""
    return Response(status=204)


def kept(response: Response, etag: str, plain: Callable[[], bytes], gzipped: Callable[[], bytes]) -> Response:
    """Fill an answer that browsers keep: 304 to who has it already, gzip to who takes it."""
    response.vary.add("Accept-Encoding")
    response.set_etag(etag, weak=True)
    if request.if_none_match.contains_weak(etag):
        response.status_code = 304
    elif request.accept_encodings["gzip"]:
        response.headers["Content-Encoding"] = "gzip"
        response.data = gzipped()
    else:
        response.data = plain()
    return response


def takes(**schemas: Any) -> Callable:
    """Note for the API pages what a view takes, its `body` or `query`: a schema, a list of one, or the JSON Schema itself."""

    def decorate(view: Callable) -> Callable:
        view.__dict__.update(schemas)
        return view

    return decorate


def body(schema: type[Schema], many: str = "") -> Callable:
    """Validate the JSON body by a schema and pass its fields to the view as arguments, or a list of such as the one of that name.

    A body that is missing or null is one without arguments, but not a model. Raises Invalid naming each faulty field.
    """
    loader = schema(many=bool(many))
    is_optional = issubclass(schema, Arguments)

    def decorate(view: Callable) -> Callable:
        @takes(body=[schema] if many else schema)
        @wraps(view)
        def validated(**path: Any) -> Any:
            content = read_body()
            loaded = load(loader, {} if content is None and is_optional else content)
            return view(**path, **({many: loaded} if many else loaded))

        return validated

    return decorate


def query(schema: type[Schema]) -> Callable:
    """Validate the parameters of the query by a schema and pass them to the view as arguments, as body does."""
    loader = schema()

    def decorate(view: Callable) -> Callable:
        @takes(query=schema)
        @wraps(view)
        def validated(**path: Any) -> Any:
            return view(**path, **load(loader, request.args.to_dict(), "query"))

        return validated

    return decorate


def read_body() -> Any:
    """Read the request's JSON. Raises Invalid for malformed JSON and for what cannot be stored."""
    raw = request.get_data()  # kept, for a view may be called again
    try:
        return read_document(raw) if raw else None
    except orjson.JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ["body", error.pos], "msg": f"JSON decode error: {error.msg}", "input": {}}
        raise Invalid([problem], raw.decode(errors="replace")) from None
    except NotStorable as error:
        raise invalid(error.message, *error.path) from None


def load(schema: Schema, content: Any, location: str = "body") -> Any:
    """Validate a JSON value by a schema. Raises Invalid with one problem for each fault."""
    try:
        return schema.load(content)
    except ValidationError as error:
        problems = find_problems(error.normalized_messages(), content, (location,))
        raise Invalid(problems, content if location == "body" else None) from None


def find_problems(messages: Any, value: Any, path: tuple) -> Iterator[dict[str, Any]]:
    """Flatten marshmallow's nested messages into the contract's list of problems."""
    if isinstance(messages, dict):
        for key, nested in messages.items():
            if key == "_schema":
                yield from find_problems(nested, value, path)
                continue
            inner = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, list) and isinstance(key, int) and key < len(value):
                inner = value[key]
            yield from find_problems(nested, inner, (*path, key))
        return
    for message in messages if isinstance(messages, list) else [messages]:
        if not isinstance(message, str):
            yield from find_problems(message, value, path)
            continue
        kind = "missing" if message.startswith("Missing data") else "value_error"
        yield {"type": kind, "loc": list(path), "msg": message, "input": value}


def register_errors(app: Flask) -> None:
    """Make every exception an answer in the contract's shape."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.register_error_handler(NotFound, lambda error: answer({"detail": str(error)}, 404))
    app.register_error_handler(Conflict, lambda error: answer({"detail": str(error)}, 409))
    app.register_error_handler(BadRequest, lambda error: answer({"detail": str(error)}, 400))
    app.register_error_handler(Unprocessable, lambda error: answer({"detail": str(error)}, 422))
    app.register_error_handler(Exhausted, lambda error: answer({"detail": str(error)}, 422))
    app.register_error_handler(Invalid, answer_invalid)
    app.register_error_handler(errors.IntegrityError, answer_integrity)
    app.register_error_handler(errors.DataError, answer_data)
    app.register_error_handler(errors.ProgramLimitExceeded, answer_data)
    for transient in RETRYABLE:
        app.register_error_handler(transient, answer_unavailable)
    app.register_error_handler(RequestEntityTooLarge, lambda error: answer({"detail": "The body is too large."}, 413))
    app.register_error_handler(HTTPException, lambda error: answer({"detail": error.name}, error.code))
    app.register_error_handler(Exception, answer_unexpected)


def repeat_undone(app: Flask) -> None:
    """Have a view called again, a few times, when its transaction was undone (see database.repeat).

    Views have one transaction each that writes, read their request anew and have answered nothing by then.
    """
    dispatch = app.dispatch_request
    app.dispatch_request = lambda *context: repeat(f"{request.method} {request.path}", dispatch, *context)


def answer_invalid(error: Invalid) -> Response:
    """Answer 422 with the first problems and the body that has them, as far as these are not too large to be repeated."""
    problems: list[bytes] = []
    size = 0
    for problem in error.problems:
        parts = [excerpt(part, MAX_ECHOED_TEXT) for part in problem["loc"]]
        shown = {
            "loc": parts,
            "msg": excerpt(problem["msg"], MAX_ECHOED_TEXT),
            "input": excerpt(problem["input"], MAX_ECHOED_TEXT),
        }
        problems.append(encode({**problem, **shown}))
        size += len(problems[-1])
        if size > MAX_ECHOED_BODY:
            break
    content = {
        "exception_message": "Invalid request received.",
        "exception_detail": [orjson.Fragment(problem) for problem in problems],
        "request_body": excerpt(error.body, MAX_ECHOED_BODY),
    }
    return document(encode(content), 422)


def encode(content: Any) -> bytes:
    """Write as JSON what may have come from anywhere."""
    return orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)


def excerpt(value: Any, room: int) -> Any:
    """Give a value that takes about so many characters as JSON; of a longer text the beginning, of anything else None."""
    if isinstance(value, str):
        return value if len(value) <= room else f"{value[:room]}…"
    stack = [value]
    while stack and room >= 0:
        item = stack.pop()
        room -= len(item) if isinstance(item, (str, dict, list)) else 5
        if room >= 0 and isinstance(item, (dict, list)):
            stack += [*item, *item.values()] if isinstance(item, dict) else item
    return value if room >= 0 else None


def answer_integrity(error: errors.IntegrityError) -> Response:
    """Answer 409, naming the constraint."""
    detail = f"Data integrity conflict: {error.diag.constraint_name or error.diag.message_primary}."
    return answer({"detail": detail}, 409)


def answer_data(error: errors.Error) -> Response:
    """Answer 422 for a value that PostgreSQL cannot hold (a number or time out of range, a key too long to index)."""
    return answer_invalid(
        Invalid([{"type": "value_error", "loc": ["body"], "msg": error.diag.message_primary or str(error), "input": None}])
    )


def answer_unavailable(error: Exception) -> Response:
    """Answer 503, which the Prefect client repeats by itself: the database is away, busy, or has chosen a victim."""
    if not isinstance(error, NoConnection):  # which is said once, and not for each request
        log.warning("%s %s: %s", request.method, request.path, error)
    return unavailable()


def unavailable() -> Response:
    """Answer 503, to be asked again after a time that goes by how long an outage has lasted."""
    response = answer({"exception_message": "Service Unavailable"}, 503)
    response.headers["Retry-After"] = str(outage.retry_after_seconds())
    return response


def answer_unexpected(error: Exception) -> Response:
    """Answer 500 and log what happened."""
    log.exception("%s %s failed", request.method, request.path, exc_info=error)
    return answer({"exception_message": "Internal Server Error"}, 500)
