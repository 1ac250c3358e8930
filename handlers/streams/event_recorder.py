"""Events that clients send: the websocket /api/events/in, and POST for those who have a list of them.

What arrives on all of a process's sockets goes through one queue into the database, a batch in one transaction: up to
BATCH_EVENTS of them, or what came within LINGER_SECONDS of the first. Clients take the answer to a ping as word that all they
sent before it is stored, and send again what was not confirmed when a connection breaks. So pings (and closes) queue up with
the events and are answered when what came before them is committed. While the database is away nothing is answered; when
the queue is full no more is read, and what clients send waits in the network. A ping weighs in it as an event does.

No event stops those behind it: what spoils a batch is found by halving, and passed over with a line in the log.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from marshmallow import ValidationError
from psycopg import errors

import sql
from handlers.domain.task_run_events import read_task_run, record_task_runs
from handlers.http.threads import keep_running
from handlers.http.websockets import Purpose, Websocket, loop
from schemas.documents import read_document
from schemas.events import EVENT, read_fields
from schemas.settings import setting
from sql.database import transaction
from sql.pool import NoConnection

log = logging.getLogger("downbeat.events")

BATCH_EVENTS, BATCH_LENGTH = 500, 8 * 1024 * 1024
MAX_LENGTH = setting("server.events.maximum_size_bytes")  # of one event
QUEUE_LENGTH = 32 * 1024 * 1024  # characters of what waits, over all sockets of the process
OVERHEAD = 500  # in characters, for what each thing that waits takes beside its text
LINGER_SECONDS = 0.03
RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 1
TRIES = 5  # of a lone event that others stand in the way of

# Classes of SQLSTATE: the database is away, full, stopping or read-only; the event does not fit; others were in the way.
AWAY, UNFIT, IN_THE_WAY = ("08", "25", "53", "57", "58"), ("22", "23", "54"), ("23505", "40", "55", "57014")


class Received(NamedTuple):
    """What came on a socket: the text of an event, or a request to answer when what came before is stored."""

    websocket: Websocket
    text: str | None = None
    answer: Callable[[], None] | None = None

    @property
    def length(self) -> int:
        """How much of the queue it takes."""
        return OVERHEAD + len(self.text or "")


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
        """Queue an event."""
        if text is None:
            reject("an event", "it is too long")
        else:
            self.put(Received(websocket, text))

    def confirm(self, websocket: Websocket, answer: Callable[[], None]) -> None:
        """Have `answer` called when everything that the socket has brought so far is stored."""
        if self.unstored[websocket]:
            self.put(Received(websocket, answer=answer))
        else:
            answer()

    def put(self, received: Received) -> None:
        """Queue what was received and wake the thread when it has a reason to start.

        A socket that fills the queue is not read until there is room again.
        """
        with self.changed:
            self.thread = keep_running(self.thread, "events", self.record_batch)
            self.queue.append(received)
            self.unstored[received.websocket] += 1
            self.length += received.length
            self.answers_due += received.answer is not None
            if received.answer or len(self.queue) in (1, BATCH_EVENTS):
                self.changed.notify_all()
        if self.length > QUEUE_LENGTH:
            received.websocket.pause()
            self.paused.add(received.websocket)

    def flush(self, deadline: float) -> None:
        """Wait until everything is stored, at most until the deadline."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.queue and not self.busy, max(0, deadline - time.monotonic()))

    def record_batch(self) -> None:
        """Store the next batch and answer those who wait for it; if that cannot be said of it, clients have to send it again."""
        batch = self.take()
        try:
            store([received.text for received in batch if received.text is not None])
            for received in batch:
                if received.answer:
                    received.answer()
        except BaseException:
            for websocket in {received.websocket for received in batch}:
                loop.call(websocket.drop)
            raise
        finally:
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
                length += batch[-1].length
                self.answers_due -= batch[-1].answer is not None
            self.length -= length
            self.busy = True
        return batch

    def make_room(self) -> None:
        """Read on from the sockets that had to wait, if there is room."""
        while self.paused and self.length < QUEUE_LENGTH // 2:
            self.paused.pop().resume()


recorder = Recorder()
rejected = count(1)
EVENTS_IN = Purpose(recorder.receive, recorder.confirm, recorder.flush, MAX_LENGTH)


def store(texts: list[str]) -> None:
    """Store events and the task runs that they tell of; those that cannot be stored are logged and left out.

    Halves a batch until what spoils it is alone. Tries again for as long as the database is away.
    """
    batches = [[told for text in texts if (told := read_event(text))]]
    failures = 0
    while batches:
        batch = batches.pop()
        try:
            record(batch)
            failures = 0
        except Exception as error:
            if may_pass(error, len(batch), failures):
                if not isinstance(error, NoConnection):  # which is said once by the pool
                    log.warning("events are stored later: %s", error)
                time.sleep(min(RETRY_SECONDS * 2 ** min(failures, 10), MAX_RETRY_SECONDS))
                failures += 1
                batches.append(batch)
            else:
                failures = 0
                batches += split(batch, error)


def may_pass(error: Exception, number: int, failures: int) -> bool:
    """Tell whether to try a batch of `number` events again as it is, after so many failures.

    So it is while the database is at fault. A lone event that others stand in the way of, such as whoever holds a lock, has
    TRIES; a larger batch is better split. Of an error that says nothing, a mistake of ours perhaps, the database tells whose
    fault it is: the same statements without an event succeed or do not.
    """
    state = find_state(error)
    is_in_the_way = state.startswith(IN_THE_WAY)
    if not is_in_the_way and state.startswith(AWAY + UNFIT):
        return state.startswith(AWAY)
    return (is_in_the_way and number == 1 and failures < TRIES) or not takes_events()


def find_state(error: Exception) -> str:
    """Give the SQLSTATE of an error: that of a lost connection if it comes from psycopg, and '' for any other exception."""
    if isinstance(error, errors.Error) and error.sqlstate:
        return error.sqlstate
    return "08000" if isinstance(error, (errors.OperationalError, errors.InterfaceError)) else ""


def takes_events() -> bool:
    """Tell whether the database does what storing events asks of it, by storing none."""
    try:
        with transaction() as conn:
            sql.events.create.send(conn, events=[])
            sql.task_run_events.lock_flow_runs.send(conn, flow_run_ids=[])
            sql.task_run_events.upsert.send(conn, task_runs=[])
            sql.task_run_events.create_states.send(conn, states=[])
    except Exception as error:
        log.warning("the database takes no events: %s", error)
        return False
    return True


def split(batch: list[Told], error: Exception) -> list[list[Told]]:
    """Halve a batch that was refused, the half that goes first last; of a lone event only its task run is given up first."""
    if len(batch) > 1:
        middle = len(batch) // 2
        return [batch[middle:], batch[:middle]]
    told = batch[0]
    if told.task_run:
        reject(f"the task run that event {told.event['id']} tells of", error)
        return [[Told(told.event)]]
    reject(f"event {told.event['id']}", error)
    return []


def reject(what: str, reason: object, text: str = "") -> None:
    """Say in the log what is left out, how many that makes, and why; with a traceback where the reason is none of the known."""
    is_known = not isinstance(reason, Exception) or isinstance(reason, (ValueError, ValidationError, errors.Error))
    log.log(
        logging.WARNING if is_known else logging.ERROR,
        "%s is rejected (%d so far in this process): %s%s",
        what,
        next(rejected),
        reason,
        f": {text[:200]!r}" if text else "",
        exc_info=None if is_known else reason,
    )


def record(batch: list[Told]) -> None:
    """Store events and their task runs in one transaction."""
    with transaction() as conn:
        sql.events.create.send(conn, events=[told.event for told in batch])
        record_task_runs(conn, [told.task_run for told in batch if told.task_run])


def read_event(text: str) -> Told | None:
    """Read a message; None, and a line in the log, for what is no event."""
    content = None
    try:
        content = read_document(text)
        return tell(read_fields(content, EVENT))
    except Exception as error:  # whatever a client has thought of, it is about this event only
        id = content.get("id") if isinstance(content, dict) else None
        reject(f"event {id[:50]!r}" if isinstance(id, str) else "an event", error, text)
        return None


def tell(event: dict[str, Any]) -> Told:
    """Put an event together with the task run that it tells of."""
    try:
        return Told(event, read_task_run(event))
    except ValidationError as error:
        reject(f"the task run that event {event['id']} tells of", error)
        return Told(event)
