"""Operations under /events."""

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from math import ceil
from typing import Any
from uuid import UUID

import orjson
from flask import Blueprint, Response, request
from marshmallow import ValidationError

import sql
from handlers.errors import Invalid, Unprocessable, invalid
from handlers.http.handshakes import accept
from handlers.http.messages import answer, body, document, find_problems, no_content, query, read_body, takes
from handlers.streams import event_stream
from handlers.streams.event_recorder import EVENTS_IN, MAX_LENGTH, record, tell
from schemas.addresses import api_path
from schemas.event_history import COUNTABLES, UNIT_SECONDS, EventsCount, EventsFilter, EventsFurther, EventsPage
from schemas.events import EVENT, read_fields
from sql.database import connection
from sql.filters import sort_by
from sql.filters.events import compose_events
from sql.ids import derived

blueprint = Blueprint("events", __name__, url_prefix="/api/events")

MAX_SPANS = 1000
MAX_TOKEN_FILTER = 1500  # bytes of a filter that travel in an address; proxies and gunicorn take lines of 4,000
FIRST_SPAN = datetime(2024, 4, 1, tzinfo=timezone.utc)  # a Monday; as in sql.events.count_by_time
page_schema = EventsPage()


@blueprint.post("")
@takes(body=[EVENT])
def create_events() -> Response:
    """Store a list of events, as a whole or not at all (204). Those that are stored already are left alone."""
    contents, batch, problems = read_body(), [], {}
    if not isinstance(contents, list):
        raise invalid("must be a list of events")
    for place, content in enumerate(contents):
        try:
            if len(orjson.dumps(content)) > MAX_LENGTH:
                raise ValidationError(f"Longer than {MAX_LENGTH} bytes.")
            batch.append(tell(read_fields(content, EVENT)))
        except ValidationError as error:
            problems[place] = error.normalized_messages()
    if problems:
        raise Invalid(find_problems(problems, contents, ("body",)), contents)
    record(batch)
    return no_content()


@blueprint.get("/in", websocket=True)
def stream_events_in() -> Response:
    """Store the events that a client sends, one to a message."""
    return accept(EVENTS_IN)


@blueprint.get("/out", websocket=True)
def stream_events_out() -> Response:
    """Send a client the events that match its filter."""
    return accept(event_stream.follower.purpose)


@blueprint.post("/filter")
@body(EventsFilter)
def filter_events(filter: dict[str, Any], limit: int) -> Response:
    """List the events that match: the first page, how many match in all, and the address of the next page."""
    return show_page(filter, limit)


@blueprint.get("/filter/next")
@query(EventsFurther)
def filter_events_further(token: str) -> Response:
    """List the events of a further page, which the token in its address describes (403 if it is not one of ours)."""
    try:
        page = page_schema.load(read_token(token))
    except (ValueError, ValidationError):
        return answer({"detail": "The page token is not valid."}, 403)
    return show_page(**page)


@blueprint.post("/count-by/<countable>")
@body(EventsCount)
def count_events(countable: str, filter: dict[str, Any], time_unit: str, time_interval: float) -> Response:
    """Count the events that match: by span of time, by name, or by the resource that they happened to."""
    if countable not in COUNTABLES:
        message = f"Must be one of {', '.join(COUNTABLES)}."
        raise Invalid([{"type": "enum", "loc": ["path", "countable"], "msg": message, "input": countable}])
    chosen = compose_events(filter["events"], filter["resources"])
    if countable in ("event", "resource"):
        count = sql.events.count_by_event if countable == "event" else sql.events.count_by_resource
        with connection() as conn:
            return document(count(conn, filter=chosen))
    unit, steps = ("day", 1) if countable == "day" else (time_unit, time_interval)
    span = timedelta(seconds=UNIT_SECONDS[unit] * steps)
    starts = list(span_starts(**filter["events"]["occurred"], unit=timedelta(seconds=UNIT_SECONDS[unit]), span=span))
    with connection() as conn:
        rows = sql.events.count_by_time(
            conn, filter=chosen, span=f"{span.days} days {span.seconds}.{span.microseconds:06} seconds"
        )
    counts = {row["start"]: row["count"] for row in rows}
    return answer(
        [
            {
                "value": str(place),
                "label": start.isoformat(),
                "count": counts.get(start, 0),
                "start_time": start,
                "end_time": start + span - timedelta(microseconds=1),
            }
            for place, start in enumerate(starts)
        ]
    )


def show_page(filter: dict[str, Any], limit: int, offset: int = 0, total: int | None = None) -> Response:
    """Answer with a page of the events that match. They are counted for the first page only; its successors are told."""
    statements = sql.events
    chosen, order = compose_events(filter["events"], filter["resources"]), sort_by("events", filter["order"])
    page, count = (statements.page, statements.count)
    if filter["distinct"]:
        page, count = (statements.page_of_resources, statements.count_resources)
    with connection() as conn:
        found = page.send(conn, filter=chosen, sort=order, limit=limit, offset=offset)
        if total is None:
            total = count(conn, filter=chosen)
        rows = statements.read_many(conn, ids=[row["id"] for row in found.result()])
    address = None
    if offset + limit < total:
        token = write_token(filter["sent"], limit=limit, offset=offset + limit, total=total)
        address = f"{request.host_url.rstrip('/')}{api_path()}/events/filter/next?page-token={token}"
    rest = {"total": total, "next_page": address}
    return document(b'{"events":' + rows + b"," + orjson.dumps(rest)[1:])


def write_token(sent: dict[str, Any], **place: int) -> str:
    """Give the token of a page: the filter and the place where the page begins. A long filter is kept here, and named in it."""
    content = orjson.dumps(sent, option=orjson.OPT_UTC_Z)
    if len(content) > MAX_TOKEN_FILTER:
        id = str(derived("event_filter", content.decode()))
        with connection() as conn:
            sql.event_filters.upsert(conn, id=id, content=content)
        content = orjson.dumps(id)
    return base64.urlsafe_b64encode(orjson.dumps({"filter": orjson.Fragment(content), **place})).decode()


def read_token(token: str) -> Any:
    """Give what a token holds, the filter that it names in place of the name. Raises ValueError for what is none of ours."""
    page = orjson.loads(base64.urlsafe_b64decode(token))
    if isinstance(page, dict) and isinstance(page.get("filter"), str):
        with connection() as conn:
            page["filter"] = orjson.loads(sql.event_filters.read(conn, id=UUID(page["filter"])) or b"null")
    return page


def span_starts(since: datetime, until: datetime, unit: timedelta, span: timedelta) -> Iterator[datetime]:
    """Give the start of each span of time that has a moment between two times; none begins after the present unit of time.

    Raises Unprocessable for more than MAX_SPANS.
    """
    try:
        if (number := ceil((until - since) / span)) > MAX_SPANS:
            raise Unprocessable(f"The time_interval makes {number} spans, more than {MAX_SPANS}.")
        if until > (now := datetime.now(timezone.utc)):
            until = FIRST_SPAN + ((now - FIRST_SPAN) // unit + 1) * unit - timedelta(microseconds=1)
        start = FIRST_SPAN + (since - FIRST_SPAN) // span * span
        while start < until:
            yield start
            start += span
    except OverflowError:
        raise invalid("makes spans beyond the times there are", "time_interval") from None
