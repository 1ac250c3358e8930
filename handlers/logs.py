"""Operations under /logs."""

import hashlib
from datetime import datetime, timedelta, timezone

import orjson
from flask import Blueprint, Response, request
from psycopg import errors

import sql
from handlers.errors import invalid
from handlers.http.handshakes import accept
from handlers.http.messages import body, document, load, read_body, takes
from handlers.streams import log_stream
from schemas.documents import is_nested_too_deeply
from schemas.fields import parse_time
from schemas.logs import LogCreate, LogsFilter, is_plain
from sql.database import connection
from sql.filters import compose, sort_by

MAX_LOGS = 2**20 - 1  # what the five hexadecimal digits of a log's place can count

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

batch_schema = LogCreate(many=True)

blueprint = Blueprint("logs", __name__, url_prefix="/api/logs")


@blueprint.post("/")
@takes(body=[LogCreate])
def create_logs() -> Response:
    """Store a batch of logs (201), as a whole or not at all. A batch that is sent again is not stored again."""
    raw = request.get_data()
    logs, content = read_logs(raw)
    if logs:
        try:
            with connection() as conn:
                sql.logs.create(conn, base=id_base(raw, logs[0]["timestamp"]), logs=content)
        except errors.UniqueViolation as error:
            if error.diag.constraint_name != "pk_log":
                raise
    return document(None, 201)


@blueprint.get("/out", websocket=True)
def stream_logs_out() -> Response:
    """Send a client the logs that match its filter, as they are stored."""
    return accept(log_stream.follower.purpose)


@blueprint.post("/filter")
@body(LogsFilter)
def filter_logs(sort: str, limit: int, offset: int, logs: dict | None = None) -> Response:
    """List the logs that match."""
    chosen, order = compose("logs", logs=logs), sort_by("logs", order_name(sort, logs or {}))
    with connection() as conn:
        return document(sql.logs.filter(conn, filter=chosen, sort=order, limit=limit, offset=offset))


def order_name(sort: str, criteria: dict) -> str:
    """Choose the order to write in SQL: by run first if the logs are those of one run, which is the same order.

    Otherwise PostgreSQL takes the index of all times for it and passes over the logs of all earlier runs.
    """
    if criteria.get("operator") == "and_":
        for run in ("flow_run_id", "task_run_id"):
            if len((criteria.get(run) or {}).get("any_") or ()) == 1:
                return f"{run}.{sort}"
    return sort


def read_logs(raw: bytes) -> tuple[list[dict], bytes]:
    """Give the logs of a body and the JSON of them to store. Raises Invalid naming index and field of each fault."""
    try:
        logs = orjson.loads(raw)
    except orjson.JSONDecodeError:
        logs = None
    if isinstance(logs, list) and len(logs) > MAX_LOGS:
        raise invalid(f"must not hold more than {MAX_LOGS} logs")
    if is_plain(logs) and b"\\u0000" not in raw:
        return logs, raw
    if logs is None or is_nested_too_deeply(logs):
        logs = read_body()  # which words these faults as it does for all operations
    logs = load(batch_schema, logs)
    return logs, orjson.dumps(logs, option=orjson.OPT_UTC_Z)


def id_base(raw: bytes, time: datetime | str) -> str:
    """Give the first 27 digits of the ids of a batch's logs: a version 7 UUID whose random bits are the body's hash.

    `time` is that of the first log. The last five digits are each log's place.
    """
    moment = parse_time(time) if isinstance(time, str) else time
    milliseconds = max(0, (moment - EPOCH) // timedelta(milliseconds=1))
    digest = hashlib.sha256(raw).hexdigest()
    return f"{milliseconds:012x}7{digest[:3]}{'89ab'[int(digest[3], 16) % 4]}{digest[4:14]}"
