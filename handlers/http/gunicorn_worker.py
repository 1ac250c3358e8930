"""gunicorn's worker: one loop waits for all clients of the process, threads only work.

The loop, in the main thread, accepts connections, reads until a request is whole, gives it to a thread, and sends what is left
of answers that their clients take slowly. So nobody who is silent, slow or gone holds a thread, whatever their number. An
answer that is made bit by bit is gone on with, in a thread, when the client has taken what was there.

A thread stays with its client for a millisecond after an answer: most clients' next request comes within that, and changing
threads twice is a third of what a small request costs.

What a process takes upon itself is bounded: connections (the one longest without progress makes room), bytes of requests and
answers that are half there (the same), requests that wait for a thread (503). Two more threads answer nothing but
/api/health and /api/ready.
"""

import contextlib
import errno
import logging
import os
import resource
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from gunicorn.http import wsgi
from gunicorn.workers import base

from handlers.http.connections import Answer, Connection, Lane
from handlers.http.messages import MAX_BODY_BYTES
from handlers.http.threads import keep_running
from handlers.http.websockets import loop as websockets
from schemas.addresses import api_path
from schemas.settings import setting

log = logging.getLogger("gunicorn.error")

HEALTH, READY = api_path() + "/health", api_path() + "/ready"
STAY_MILLISECONDS = 1
# How long a client may take: for a head in all, for the next bit of a body or an answer, to ask again, to see the end.
PATIENCE_SECONDS = {"head": 10, "body": 30, "answer": 60, "end": 2}
MAX_CONNECTIONS = setting("downbeat.max_connections")
FILES_IN_RESERVE = 128  # for the database, logs and libraries
MAX_HELD_BYTES = max(64 * 1024 * 1024, 4 * MAX_BODY_BYTES)
MAX_WAITING = 1000
MAX_WAIT_SECONDS = 10
STUCK_SECONDS = 300  # statements end after 60
FLUSH_BYTES = 65536
UNSENT_BYTES = 131072  # what the kernel keeps of an answer that a client does not take
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Worker(base.Worker):
    """Serve connections until told to stop; then finish what has begun, within gunicorn's graceful_timeout."""

    on_stop: Callable[[], None] = staticmethod(lambda: None)

    @classmethod
    def check_config(cls, cfg, log):
        """Refuse what this worker does not do."""
        if cfg.is_ssl:
            sys.exit("Downbeat does not speak TLS: let nginx or Caddy end it, as the README shows, and leave out --certfile.")

    def handle_quit(self, sig, frame):
        """Stop without finishing anything. Like gunicorn's handler for SIGTERM it takes no locks, which may be held already."""
        self.alive, self.graceful_seconds = False, 0

    def run(self):
        """Serve until told to stop."""
        self.graceful_seconds = self.cfg.graceful_timeout
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.PIPE[0], selectors.EVENT_READ)  # signals and threads ring it
        self.held: dict[Connection, None] = {}  # by the loop, the one longest without progress first
        self.returned: deque[Connection] = deque()
        self.lane, self.reserves = Lane(), {path: Lane() for path in (HEALTH, READY)}
        self.count = self.size = 0
        self.asked: dict[Connection, float] = {}  # when the requests that threads are at were begun
        self.ticked = 0.0
        self.accepting, self.accept_at = False, 0.0
        self.patience_seconds = PATIENCE_SECONDS | {"idle": self.cfg.keepalive}
        self.names = {listener: listener.getsockname() for listener in self.sockets}
        self.max_connections = max(16, min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_IN_RESERVE))
        websockets.max_websockets = self.max_connections // 2
        for listener in self.sockets:
            listener.setblocking(False)
            if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        for number in range(self.cfg.threads):
            keep_running(None, f"request-{number}", partial(self.work, self.lane, True))
        for path, lane in self.reserves.items():
            keep_running(None, path, partial(self.work, lane, False))
        while self.alive and self.ppid == os.getppid():
            self.turn()
        self.wind_up()

    def wind_up(self):
        """Accept no more, and serve until the connections have come to an end or time is up."""
        self.alive = False
        self.accept_at = float("inf")
        self.watch_listeners(False)
        self.on_stop()
        now = time.monotonic()
        self.patience_seconds["idle"] = self.patience_seconds["head"] = PATIENCE_SECONDS["end"]
        for connection in self.held:
            if connection.phase in ("idle", "head"):  # the last answer said keep-alive: a request may be on its way
                connection.deadline = now + PATIENCE_SECONDS["end"]
        deadline = now + self.graceful_seconds
        while self.count and time.monotonic() < deadline:
            self.turn(0.1)

    def turn(self, seconds=1.0):
        """Wait for something to happen, at most so long, and act on it. An error in here is one more thing that passes."""
        try:
            self.wait_and_act(seconds)
        except Exception:
            log.exception("the worker goes on after an error")
            time.sleep(0.1)

    def wait_and_act(self, seconds):
        """Serve what is ready and what threads have returned, and what the clock says."""
        for key, _ in self.selector.select(seconds):
            if key.data in self.held:  # and not closed or given away meanwhile
                self.protect(key.data, self.act)
            elif key.data in self.names:
                self.accept(key.data)
            elif key.data is None:
                os.read(key.fd, 4096)
            self.shed()
        while self.returned:
            connection = self.returned.popleft()
            self.protect(connection, self.step)
            self.shed()
        now = time.monotonic()
        if now - self.ticked >= 1 or seconds < 1:
            self.ticked = now
            self.tick(now)

    def tick(self, now):
        """Do what is done about once a second: end what takes too long, and tell gunicorn that this process lives."""
        for connection in [one for one in self.held if one.deadline < now]:
            self.protect(connection, self.expire)
        while self.lane.waiting and self.lane.waiting[0].queued < now - MAX_WAIT_SECONDS:
            with contextlib.suppress(IndexError):  # a thread was quicker
                self.turn_away(self.lane.waiting.popleft())
        self.watch_listeners(now >= self.accept_at)
        asked = list(self.asked.values())
        if len(asked) < self.cfg.threads or max(asked) > now - STUCK_SECONDS:
            self.notify()
        else:
            log.critical(
                "all threads have been at the same requests for %d seconds; gunicorn is to end this process", STUCK_SECONDS
            )

    def protect(self, connection, function):
        """Call a function; an error costs the connection that it is about, and no other."""
        try:
            function(connection)
        except Exception:
            log.exception("an error on a connection")
            with contextlib.suppress(Exception):
                self.close(connection)

    def watch_listeners(self, wanted):
        """Begin or cease to accept connections."""
        if wanted != self.accepting:
            for listener in self.sockets:
                if wanted:
                    self.selector.register(listener, selectors.EVENT_READ, listener)
                else:
                    self.selector.unregister(listener)
            self.accepting = wanted

    def accept(self, listener):
        """Accept a connection, and read from it at once, for the request is often there. Where there is no room, make some."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                log.warning("no connection can be accepted: %s", error)
                if not self.make_room():
                    self.accept_at = time.monotonic() + 1
                    self.watch_listeners(False)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR):
                log.exception("a connection cannot be accepted")
            return
        if self.count + len(websockets.websockets) >= self.max_connections and not self.make_room():
            accepted.close()
            return
        accepted.setblocking(False)
        self.count += 1
        connection = Connection(accepted, client, self.names[listener], self.cfg)
        self.protect(connection, self.act)

    def make_room(self):
        """Close the connection that has made no progress for the longest time; false if there is none."""
        for connection in self.held:
            self.close(connection)
            return True
        return False

    def act(self, connection):
        """Read from a connection, or go on writing, as it waits for."""
        if connection.lingering:
            connection.receive()
            connection.received.clear()
        elif not connection.unsent:
            connection.receive()
        self.step(connection)

    def step(self, connection):
        """Do what is next for a connection: send, end, go on with an answer, give a request to a thread, or wait."""
        if connection.socket is None:
            self.forget(connection)
        elif (connection.unsent and not connection.flush()) or (connection.lingering and not connection.broken):
            self.wait(connection)
        elif connection.broken:
            self.close(connection)
        elif connection.answer:
            self.dispatch(connection)
        elif not connection.keep:
            connection.lingering = True  # for what the client still sends, which would undo what it has not read yet
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_WR)
            self.wait(connection)
        elif not connection.has_request(MAX_BODY_BYTES):
            connection.flush()  # 100 Continue
            self.wait(connection)
        elif connection.fault:
            self.refuse(connection, *connection.fault)
        else:
            self.dispatch(connection)

    def wait(self, connection):
        """Hold a connection until it can be read from or written to, or its client's time is up."""
        interest = selectors.EVENT_WRITE if connection.unsent else selectors.EVENT_READ
        if not connection.interest:
            self.selector.register(connection.socket, interest, connection)
        elif connection.interest != interest:
            self.selector.modify(connection.socket, interest, connection)
        connection.interest = interest
        phase = connection.name_phase()
        if phase != connection.phase or phase in ("body", "answer"):
            connection.phase = phase
            connection.deadline = time.monotonic() + self.patience_seconds[phase]
        self.held.pop(connection, None)
        self.held[connection] = None
        self.account(connection)

    def account(self, connection):
        """Note what a connection holds of memory."""
        size = len(connection.received) + len(connection.body) + len(connection.unsent)
        self.size += size - connection.size
        connection.size = size

    def shed(self):
        """Drop what is half there, of more than average size, longest without progress first, while it is too much in all."""
        if self.size <= MAX_HELD_BYTES:
            return
        for connection in [one for one in self.held if one.size > MAX_HELD_BYTES // self.max_connections]:
            log.warning("a slow client's %s of %d bytes is dropped: there are too many", connection.phase, connection.size)
            self.protect(connection, self.turn_away if connection.request else self.close)
            if self.size <= MAX_HELD_BYTES:
                return

    def expire(self, connection):
        """End a connection whose client took too long."""
        if connection.phase in ("head", "body") and (connection.received or connection.request):
            self.refuse(connection, 408, "The request did not come in time.")
        else:
            self.close(connection)

    def turn_away(self, connection):
        """Answer 503, which the Prefect client repeats by itself; an answer that was begun is broken off."""
        if connection.answer:
            self.close(connection)
        else:
            self.refuse(connection, 503, "Service Unavailable")

    def refuse(self, connection, status, detail):
        """Answer an error and end the connection."""
        if status not in (408, 503):
            log.info("a request is refused with %d: %s", status, ascii(detail))
        connection.refuse(status, detail)
        self.step(connection)

    def let_go(self, connection):
        """Wait no more for a connection."""
        self.held.pop(connection, None)
        if connection.interest:
            self.selector.unregister(connection.socket)
            connection.interest = 0
        connection.phase = ""

    def close(self, connection):
        """Hang up."""
        if connection.socket:
            self.let_go(connection)
        self.forget(connection)
        try:
            connection.close()
        except Exception:
            log.exception("an answer cannot be ended")

    def forget(self, connection):
        """Count a connection no more."""
        self.count -= 1
        self.size -= connection.size

    def dispatch(self, connection):
        """Give a connection with something to do to a thread, if not too many wait for one."""
        self.let_go(connection)
        self.account(connection)
        if path := next(filter(connection.asks_for, self.reserves), None):
            self.reserves[path].put(connection)
        elif connection.answer or len(self.lane.waiting) < MAX_WAITING:
            self.lane.put(connection)
        else:
            self.turn_away(connection)

    def work(self, lane, stays):
        """Serve the connection of a lane that is next."""
        lane.tokens.get()
        try:
            connection = lane.waiting.popleft()
        except IndexError:
            return  # the loop was quicker
        try:
            self.serve(connection, stays)
        except BaseException:
            connection.broken = True
            raise
        finally:
            self.returned.append(connection)
            with contextlib.suppress(BlockingIOError):  # then it has been rung often enough
                os.write(self.PIPE[1], b"!")

    def serve(self, connection, stays):
        """Answer the request that has come on a connection, and what comes right behind it if nobody waits for a thread."""
        while True:
            self.answer(connection)
            if connection.unsent or connection.answer or connection.broken or not connection.keep or not connection.socket:
                return
            if not stays or self.lane.waiting or not self.alive:
                return
            if not connection.received and not (connection.is_readable(STAY_MILLISECONDS) and connection.receive()):
                return
            if not connection.has_request(MAX_BODY_BYTES) or connection.fault:
                return

    def answer(self, connection):
        """Have the application answer, or go on answering, as far as the client takes it."""
        self.asked[connection] = time.monotonic()
        try:
            answer = connection.answer or self.ask(connection)
            if answer:
                self.write(connection, answer)
        except Exception:
            log.exception("a request cannot be answered")
            if connection.answer:  # a part of it may have left
                connection.broken = True
            else:
                connection.refuse(500, "Internal Server Error")
        finally:
            del self.asked[connection]
        if connection.socket:
            connection.flush()

    def ask(self, connection):
        """Call the application; None if it has taken the connection over."""
        request = connection.take_request()
        response, environ = wsgi.create(request, connection, connection.client, connection.server, self.cfg)
        environ["wsgi.multithread"] = True
        environ["gunicorn.socket"] = connection.socket
        environ["downbeat.take_over"] = connection.take_over
        if not self.alive or not self.cfg.keepalive:
            response.force_close()
        parts = self.wsgi(environ, response.start_response)
        if connection.socket is None:
            return None
        connection.answer = Answer(response, environ, parts, iter(parts), self.asked[connection])
        return connection.answer

    def write(self, connection, answer):
        """Take from the application until its answer is complete or the client is behind."""
        for part in answer.rest:
            answer.response.write(part)
            if len(connection.unsent) >= FLUSH_BYTES and (not connection.flush() or connection.broken):
                return
        answer.response.close()
        connection.keep = not answer.response.should_close()
        took = timedelta(seconds=time.monotonic() - answer.asked)
        self.log.access(answer.response, answer.response.req, answer.environ, took)
        connection.answer = None
        if hasattr(answer.parts, "close"):
            answer.parts.close()
