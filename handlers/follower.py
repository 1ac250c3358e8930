"""Rows of a table as they are stored, for clients that wait for them on websockets.

A client sends one filter, gets the older rows that its stream has for it, oldest first, and from then on what is stored anew
and matches. One thread of the process for each table looks for new rows while there are sockets, and asks for each of these
which rows match.

Rows become visible when their transaction commits, and not in the order of their times: handlers/cursor.py finds the new ones.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from marshmallow import ValidationError
from psycopg import Connection, errors

from handlers import cursor
from handlers.websockets import PROTOCOL_ERROR, SERVICE_RESTART, Purpose, Websocket, loop
from schemas.documents import read_document
from sql.database import connection

log = logging.getLogger("downbeat.follower")

LOOK_SECONDS = 0.5
REST = 4  # times as long as a look took: what looks at most takes a fifth of a thread, and of a session
RETRY_SECONDS = 2
PAGE, PAGES_AT_ONCE = 250, 20
ENOUGH_UNSENT_BYTES = 1024 * 1024  # for a client that has not read it to get no more
MOST_WAITING = 100_000

DEAF = Purpose(lambda websocket, text: None)


@dataclass(eq=False)
class Subscription:
    """A socket, the filter of its client, the ids of rows that wait to be sent, and of those that it gets as older ones."""

    websocket: Websocket
    filter: dict[str, Any]
    waiting: list[str] = field(default_factory=list)
    older: set[str] = field(default_factory=set)


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
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="follower", daemon=True)
                self.thread.start()
            self.arriving.append(subscription)
            self.changed.notify_all()

    def run(self) -> None:
        """Look again and again while there are subscriptions, for as long as the process lives."""
        pause = LOOK_SECONDS
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.arriving, pause if self.subscriptions else None)
            began = time.monotonic()
            try:
                self.look()
                self.welcome()
            except Exception:
                log.exception("new rows are looked for later")
                time.sleep(RETRY_SECONDS)
            pause = max(LOOK_SECONDS, REST * (time.monotonic() - began))

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
        """Send those of the rows that are new which match, behind what waits, as far as the client keeps up with reading."""
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
        """Send what waits, for as long as the client reads it and others need not wait long."""
        for _ in range(PAGES_AT_ONCE):
            if not subscription.waiting or len(subscription.websocket.unsent) > ENOUGH_UNSENT_BYTES:
                break
            page, subscription.waiting = subscription.waiting[:PAGE], subscription.waiting[PAGE:]
            with connection() as conn:
                frames = self.statements.read_frames(conn, ids=page)
            for row in frames:
                loop.call(subscription.websocket.send, row["frame"])
        if len(subscription.waiting) > MOST_WAITING:
            log.warning("a client reads more slowly than rows are stored; its websocket is dropped")
            loop.call(subscription.websocket.drop)


def protect(subscription: Subscription, function: Callable, *arguments: Any) -> None:
    """Serve a subscription. An error ends that one only; unless the filter is at fault, the client is told to come back."""
    try:
        function(subscription, *arguments)
    except (errors.DataError, errors.ProgramLimitExceeded) as error:
        loop.call(subscription.websocket.close, PROTOCOL_ERROR, f"Invalid filter: {error}"[:100])
    except Exception:
        log.exception("a subscription has to begin anew")
        loop.call(subscription.websocket.close, SERVICE_RESTART, "restarting")
