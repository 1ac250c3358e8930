"""Events that clients send: the websocket /api/events/in, and POST for those who have a list of them.

What arrives on all of a process's sockets goes through one queue into the database, a batch in one transaction: up to
BATCH_EVENTS of them, or what came within LINGER_SECONDS of the first. Clients take the answer to a ping as word that all they
sent before it is stored, and send again what was not confirmed when a connection breaks. So pings (and closes) queue up with
the events and are answered when what came before them is committed. While the database is away nothing is answered; when
the queue is full no more is read, and what clients send waits in the network.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from flask import Blueprint, Response
from marshmallow import ValidationError
from psycopg import errors
from psycopg_pool import PoolTimeout

import sql
from handlers.errors import Invalid, invalid
from handlers.http import find_nul, find_problems, no_content, read_body
from handlers.task_run_events import read_task_run, record_task_runs
from handlers.websockets import Purpose, Websocket, accept, loop
from schemas.events import EVENT, read_fields
from sql.database import transaction

log = logging.getLogger("downbeat.events")

blueprint = Blueprint("events", __name__, url_prefix="/api/events")

BATCH_EVENTS, BATCH_LENGTH = 500, 8 * 1024 * 1024
QUEUE_LENGTH = 32 * 1024 * 1024  # characters of unread events, over all sockets of the process
LINGER_SECONDS = 0.03
RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 2


class Received(NamedTuple):
    """What came on a socket: the text of an event, or a request to answer when what came before is stored."""

    websocket: Websocket
    text: str | None = None
    answer: Callable[[], None] | None = None


class Told(NamedTuple):
    """An event, and the task run that it tells of, if any."""

    event: dict[str, Any]
    task_run: dict[str, Any] | None = None


class Recorder:
    """The queue of what was received and the thread that stores it, which the first event starts."""

    def __init__(self):
        self.queue: deque[Received] = deque()
        self.length = self.answers_due = 0
        self.unstored: Counter[Websocket] = Counter()
        self.busy = self.stopping = False
        self.paused: set[Websocket] = set()
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None

    def receive(self, websocket: Websocket, text: str | None) -> None:
        """Queue an event. A socket that fills the queue is not read until there is room again."""
        if text is None:
            log.warning("an event is rejected: it is too long")
            return
        self.put(Received(websocket, text))
        if self.length > QUEUE_LENGTH:
            websocket.pause()
            self.paused.add(websocket)

    def confirm(self, websocket: Websocket, answer: Callable[[], None]) -> None:
        """Have `answer` called when everything that the socket has brought so far is stored."""
        if self.unstored[websocket]:
            self.put(Received(websocket, answer=answer))
        else:
            answer()

    def put(self, received: Received) -> None:
        """Queue what was received and wake the thread when it has a reason to start."""
        with self.changed:
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="events", daemon=True)
                self.thread.start()
            self.queue.append(received)
            self.unstored[received.websocket] += 1
            self.length += len(received.text or "")
            self.answers_due += received.answer is not None
            if received.answer or len(self.queue) in (1, BATCH_EVENTS):
                self.changed.notify_all()

    def flush(self, deadline: float) -> None:
        """Wait until everything is stored, at most until the deadline."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.queue and not self.busy, max(0, deadline - time.monotonic()))

    def run(self) -> None:
        """Store batch after batch for as long as the process lives, and answer those who wait for it."""
        while True:
            batch = self.take()
            store([received.text for received in batch if received.text is not None])
            for received in batch:
                if received.answer:
                    received.answer()
            with self.changed:
                self.unstored -= Counter(received.websocket for received in batch)
                self.busy = False
                self.changed.notify_all()
            loop.call(self.make_room)

    def take(self) -> list[Received]:
        """Wait for something to store, then a little for more, and give the next batch."""
        batch: list[Received] = []
        length = 0
        with self.changed:
            self.changed.wait_for(lambda: self.queue)
            self.changed.wait_for(lambda: self.answers_due or self.stopping or len(self.queue) >= BATCH_EVENTS, LINGER_SECONDS)
            while self.queue and len(batch) < BATCH_EVENTS and length < BATCH_LENGTH:
                batch.append(self.queue.popleft())
                length += len(batch[-1].text or "")
                self.answers_due -= batch[-1].answer is not None
            self.length -= length
            self.busy = True
        return batch

    def make_room(self) -> None:
        """Read on from the sockets that had to wait, if there is room."""
        while self.paused and self.length < QUEUE_LENGTH // 2:
            self.paused.pop().resume()


recorder = Recorder()
EVENTS_IN = Purpose(recorder.receive, recorder.confirm, recorder.flush)


@blueprint.post("")
def create_events() -> Response:
    """Store a list of events, as a whole or not at all (204). Those that are stored already are left alone."""
    contents, batch, problems = read_body(), [], {}
    if not isinstance(contents, list):
        raise invalid("must be a list of events")
    for place, content in enumerate(contents):
        try:
            batch.append(tell(read_fields(content, EVENT)))
        except ValidationError as error:
            problems[place] = error.normalized_messages()
    if problems:
        raise Invalid(list(find_problems(problems, contents, ("body",))), contents)
    record(batch)
    return no_content()


@blueprint.get("/in", websocket=True)
def stream_events_in() -> Response:
    """Store the events that a client sends, one to a message."""
    return accept(EVENTS_IN)


def store(texts: list[str]) -> None:
    """Store events and the task runs that they tell of; those that cannot be stored are logged and left out.

    Halves a batch until what spoils it is alone. Tries again for as long as the database is away.
    """
    batches = [[told for text in texts if (told := read_event(text))]]
    attempt = 0
    while batches:
        batch = batches.pop()
        if not batch:
            continue
        try:
            record(batch)
            attempt = 0
        except Exception as error:
            if is_passing(error) or (isinstance(error, errors.UniqueViolation) and not attempt):
                log.warning("events are stored later: %s", error)
                time.sleep(min(RETRY_SECONDS * 2**attempt, MAX_RETRY_SECONDS))
                attempt = min(attempt + 1, 10)
                batches.append(batch)
            else:
                attempt = 0
                batches += split(batch, error)


def is_passing(error: Exception) -> bool:
    """Tell whether an error says something about the state of the database and not about the events."""
    if isinstance(error, errors.Error) and (error.sqlstate or "").startswith("54"):
        return False  # a limit of PostgreSQL that an event exceeds, such as the length of an indexed text
    return isinstance(error, (errors.Error, PoolTimeout)) and not isinstance(error, (errors.DataError, errors.IntegrityError))


def split(batch: list[Told], error: Exception) -> list[list[Told]]:
    """Halve a batch that was refused, the half that goes first last; of a lone event only its task run is given up first."""
    if len(batch) > 1:
        middle = len(batch) // 2
        return [batch[middle:], batch[:middle]]
    told = batch[0]
    if told.task_run:
        log.warning("event %s tells of a task run that cannot be recorded: %s", told.event["id"], error)
        return [[Told(told.event)]]
    log.warning("event %s is rejected: %s", told.event["id"], error)
    return []


def record(batch: list[Told]) -> None:
    """Store events and their task runs in one transaction."""
    with transaction() as conn:
        sql.events.create.send(conn, events=[told.event for told in batch])
        record_task_runs(conn, [told.task_run for told in batch if told.task_run])


def read_event(text: str) -> Told | None:
    """Read a message; None, and a line in the log, for what is no event."""
    try:
        content = orjson.loads(text)
        if "\\u0000" in text and any(True for _ in find_nul(content)):
            raise ValidationError("must not contain the NUL character")
        event = read_fields(content, EVENT)
    except (orjson.JSONDecodeError, ValidationError) as error:
        log.warning("an event is rejected: %s: %.200s", error, text)
        return None
    return tell(event)


def tell(event: dict[str, Any]) -> Told:
    """Put an event together with the task run that it tells of."""
    try:
        return Told(event, read_task_run(event))
    except ValidationError as error:
        log.warning("event %s tells of a task run that cannot be recorded: %s", event["id"], error)
        return Told(event)
