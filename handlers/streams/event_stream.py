"""Events as they are stored: the websocket /api/events/out, which sends what matches of the last minutes first."""

from datetime import datetime, timezone
from typing import Any

from psycopg import Connection

import sql
from handlers.streams.follower import Follower
from schemas.event_history import EventFilter
from schemas.settings import setting
from sql.filters import sort_by
from sql.filters.events import compose_events

BACKFILL = setting("server.events.maximum_websocket_backfill")
BACKFILL_EVENTS = 5000

filter_schema = EventFilter()


def read_filter(message: dict[str, Any]) -> dict[str, Any]:
    """Give the filter of a client's message, none before the time that older events are sent from."""
    criteria = filter_schema.load(message.get("filter"))
    occurred = criteria["events"]["occurred"]
    occurred["since"] = max(occurred["since"], datetime.now(timezone.utc) - BACKFILL)
    return criteria | {"wants_older": message.get("backfill") is not False}


def match(conn: Connection, criteria: dict[str, Any], ids: list[str]) -> list[str]:
    """Give those of the events that match, oldest first."""
    wanted = (criteria["events"].get("id") or {}).get("id")
    ids = [id for id in ids if not wanted or id in wanted]
    if not ids:
        return []
    chosen = compose_events(criteria["events"] | {"id": {"id": ids}}, criteria["resources"])
    return [row["id"] for row in sql.events.page(conn, filter=chosen, sort=sort_by("events", "ASC"), limit=len(ids), offset=0)]


def find_older(conn: Connection, criteria: dict[str, Any]) -> list[str]:
    """Give the newest of the stored events that match, oldest first."""
    if not criteria["wants_older"]:
        return []
    chosen = compose_events(criteria["events"], criteria["resources"])
    found = sql.events.page(conn, filter=chosen, sort=sort_by("events", "DESC"), limit=BACKFILL_EVENTS, offset=0)
    return [row["id"] for row in reversed(found)]


follower = Follower(sql.events, read_filter, match, find_older)
