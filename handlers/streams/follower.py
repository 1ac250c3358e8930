"""Rows of a table as they are stored, for clients that wait for them on websockets.

A client sends one filter, gets the older rows that its stream has for it, oldest first, and from then on what is stored anew
and matches. One thread of the process for each table looks for new rows while there are sockets, and asks for each of these
which rows match.

Rows become visible when their transaction commits, and not in the order of their times: cursor.py finds the new ones.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from marshmallow import ValidationError
from psycopg import Connection, errors

from handlers.http.threads import keep_running
from handlers.http.websockets import PROTOCOL_ERROR, SERVICE_RESTART, Purpose, Websocket, loop
from handlers.streams import cursor
from schemas.documents import read_document
from sql.database import connection

log = logging.getLogger("downbeat.follower")

LOOK_SECONDS = 0.5
REST = 4  # times as long as a look took: what looks at most takes a fifth of a thread, and of a session
PAGE, PAGE_BYTES = 250, 1024 * 1024  # what a client is sent before others have their turn; a page may be a row longer
MOST_WAITING = 100_000

DEAF = Purpose(lambda websocket, text: None)


@dataclass(eq=False)
class Subscription:
    """A socket, the filter of its client, the ids of rows that wait to be sent, and of those that it gets as older ones.

    While a page `is_on_its_way` the client has not read all that it was sent.
    """

    websocket: Websocket
    filter: dict[str, Any]
    waiting: list[str] = field(default_factory=list)
    older: set[str] = field(default_factory=set)
    is_on_its_way: bool = False


class Follower:
    """The thread that looks for new rows of a table; the first socket starts it.

    `statements` are the file of SQL with the statements list_new and read_frames. `read_filter(message)` gives
    the filter of a client's message, or raises ValidationError. `match(conn, filter, ids)` gives those of the ids that match,
    in the order in which they are sent; `find_older(conn, filter)` the ids of what is sent first.
    """

    def __init__(
        self,
        statements: Any,
        read_filter: Callable[[dict[str, Any]], dict[str, Any]],
        match: Callable[[Connection, dict[str, Any], list[str]], list[str]],
        find_older: Callable[[Connection, dict[str, Any]], list[str]] = lambda conn, filter: [],
    ):
        self.statements, self.read_filter, self.match, self.find_older = statements, read_filter, match, find_older
        self.purpose = Purpose(self.receive)
        self.arriving: list[Subscription] = []
        self.subscriptions: list[Subscription] = []
        self.changed = threading.Condition()
        self.ready: list[Subscription] = []
        self.next_look = 0.0
        self.thread: threading.Thread | None = None
        self.cursor: cursor.Cursor | None = None

    def receive(self, websocket: Websocket, text: str | None) -> None:
        """Take a client's filter; closes the socket for anything else. What comes behind it is ignored."""
        try:
            message = read_document(text or "")
            if not isinstance(message, dict) or message.get("type") != "filter":
                raise ValidationError("a message of the type filter is expected")
            criteria = self.read_filter(message)
        except (ValueError, ValidationError) as error:  # JSONDecodeError and NotStorable are ValueErrors
            websocket.close(PROTOCOL_ERROR, f"Invalid filter: {error}"[:100])
            return
        websocket.purpose = DEAF
        self.add(Subscription(websocket, criteria))

    def add(self, subscription: Subscription) -> None:
        """Serve a subscription from the next look on."""
        with self.changed:
            self.thread = keep_running(self.thread, "follower", self.serve_all)
            self.arriving.append(subscription)
            self.changed.notify_all()

    def serve_all(self) -> None:
        """Look for new rows when it is time to, and send those whose last page has left the next one."""
        with self.changed:
            rest = max(0, self.next_look - time.monotonic()) if self.subscriptions else None
            self.changed.wait_for(lambda: self.arriving or self.ready, rest)
            ready, self.ready = self.ready, []
        for subscription in ready:
            protect(subscription, self.send)
        if self.arriving or time.monotonic() >= self.next_look:
            began = time.monotonic()
            self.look()
            self.welcome()
            self.next_look = time.monotonic() + max(LOOK_SECONDS, REST * (time.monotonic() - began))

    def look(self) -> None:
        """Find the rows that are new since the last look and send them to those who wait for them."""
        self.subscriptions = [one for one in self.subscriptions if one.websocket in loop.websockets]
        with connection() as conn:
            self.cursor, fresh = cursor.look(conn, self.statements.list_new, self.cursor if self.subscriptions else None)
        for subscription in self.subscriptions:
            protect(subscription, self.serve, fresh)

    def welcome(self) -> None:
        """Take in the subscriptions that have arrived and send them older rows."""
        with self.changed:
            arriving, self.arriving = self.arriving, []
        for subscription in arriving:
            self.subscriptions.append(subscription)
            protect(subscription, self.serve_older)

    def serve(self, subscription: Subscription, fresh: list[str]) -> None:
        """Send those of the rows that are new which match, behind what waits."""
        if ids := [id for id in fresh if id not in subscription.older]:
            with connection() as conn:
                subscription.waiting += self.match(conn, subscription.filter, ids)
        if fresh:
            subscription.older = set()
        self.send(subscription)

    def serve_older(self, subscription: Subscription) -> None:
        """Send the rows that are older than the subscription."""
        with connection() as conn:
            subscription.waiting = self.find_older(conn, subscription.filter)
        subscription.older = set(subscription.waiting)
        self.send(subscription)

    def send(self, subscription: Subscription) -> None:
        """Send a page of what waits, unless the last one is still on its way."""
        if len(subscription.waiting) > MOST_WAITING:
            log.warning("a client reads more slowly than rows are stored; its websocket is dropped")
            loop.call(subscription.websocket.drop)
        elif subscription.waiting and not subscription.is_on_its_way:
            with connection() as conn:
                page = self.statements.read_frames(conn, ids=subscription.waiting[:PAGE], enough_bytes=PAGE_BYTES)
            del subscription.waiting[: len(page)]
            subscription.is_on_its_way = True
            frames = [row["frame"] for row in page if row["frame"]]
            loop.call(subscription.websocket.send_page, frames, partial(self.go_on, subscription))

    def go_on(self, subscription: Subscription) -> None:
        """Have a subscription sent what else waits for it, now that a page has left. Called in the websockets' thread."""
        with self.changed:
            subscription.is_on_its_way = False
            self.ready.append(subscription)
            self.changed.notify_all()


def protect(subscription: Subscription, function: Callable, *arguments: Any) -> None:
    """Serve a subscription. An error ends that one only; unless the filter is at fault, the client is told to come back."""
    try:
        function(subscription, *arguments)
    except (errors.DataError, errors.ProgramLimitExceeded) as error:
        loop.call(subscription.websocket.close, PROTOCOL_ERROR, f"Invalid filter: {error}"[:100])
    except Exception:
        log.exception("a subscription has to begin anew")
        loop.call(subscription.websocket.close, SERVICE_RESTART, "restarting")
