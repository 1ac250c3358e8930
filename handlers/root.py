"""Operations at the root of the API: whether the server is well, and which API it speaks."""

from flask import Blueprint, Response

from handlers.http.messages import answer
from sql.database import is_answering

API_VERSION = "0.8.4"
PATIENCE_SECONDS = 2

blueprint = Blueprint("root", __name__, url_prefix="/api")


@blueprint.get("/health")
def read_health() -> Response:
    """Tell that the process answers."""
    return answer(True)


@blueprint.get("/version")
def read_version() -> Response:
    """Give the version of the API."""
    return answer(API_VERSION)


@blueprint.get("/hello")
def say_hello() -> Response:
    """Wave."""
    return answer("👋")


@blueprint.get("/ready")
def read_readiness() -> Response:
    """Tell whether the database answers too (200 or 503); waits no longer for it than a probe does."""
    if is_answering(PATIENCE_SECONDS):
        return answer({"message": "OK"})
    return answer({"message": "Database is not available"}, 503)
