"""Ids of requests, by which a request is found in the logs of all through whose hands it went, and a line a request on demand."""

import logging
import re
from time import monotonic
from uuid import uuid4

from flask import Flask, Response, request

from schemas.settings import setting

log = logging.getLogger("downbeat.requests")

REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


def register_request_log(app: Flask) -> None:
    """Give each request an id, the one that it brings if it is of plain characters; to be registered before all else."""
    app.before_request(begin)
    app.after_request(tell if setting("downbeat.log_requests") else name)


def begin() -> None:
    """Note the id of a request and when it began."""
    brought = request.environ.get("HTTP_X_REQUEST_ID", "")
    request.environ["downbeat.request_id"] = brought if REQUEST_ID.fullmatch(brought) else uuid4().hex
    request.environ["downbeat.began"] = monotonic()


def name(response: Response) -> Response:
    """Give the id back."""
    response.headers["X-Request-Id"] = request.environ["downbeat.request_id"]
    return response


def tell(response: Response) -> Response:
    """Log what was answered, and how long it took. What the query says is left out, for it may be a secret."""
    took = (monotonic() - request.environ["downbeat.began"]) * 1000
    size = "stream" if response.is_streamed else response.content_length
    log.info(
        "%s %s %s %.1f ms, %s bytes, from %s", request.method, request.path, response.status_code, took, size, request.remote_addr
    )
    return name(response)
