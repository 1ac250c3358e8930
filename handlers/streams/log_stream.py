"""Logs as they are stored: the websocket /api/logs/out. What is older is not sent, as with Prefect 3.8.3."""

from typing import Any

from psycopg import Connection

import sql
from handlers.streams.follower import Follower
from schemas.logs import LogFilter
from sql.filters import compose

# All of them must hold, whatever the filter's operator: the client adds a time to every filter. Text is not looked for.
# (Observed on Prefect 3.8.3.)
CRITERIA = ("level", "timestamp", "flow_run_id", "task_run_id")

filter_schema = LogFilter()


def read_filter(message: dict[str, Any]) -> dict[str, Any]:
    """Give the criteria of a client's message."""
    criteria = filter_schema.load(message.get("filter"))
    return {name: criteria.get(name) for name in CRITERIA}


def match(conn: Connection, criteria: dict[str, Any], ids: list[str]) -> list[str]:
    """Give those of the logs that match, oldest first."""
    return [row["id"] for row in sql.logs.list_matching(conn, filter=compose("logs", logs=criteria), ids=ids)]


follower = Follower(sql.logs, read_filter, match)
