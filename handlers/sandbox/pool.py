"""The server's side of the sandbox: the child processes of this process, and the calls that they answer.

A child is started when it is first needed, by exec, and kept. It inherits nothing but its socket: no descriptor, no environment,
no connection. It ends by itself when this process does, for then its socket is closed.

A call that takes long must not keep the others waiting: every call begins in one of a few quick places, and gives that up when
its child tells that it is slow. Slow ones have a few places too, then a low priority, and are refused where the places are taken;
what was slow of late begins in these. (A schema that is new to a child takes up to some 100 ms once, and 0.1 ms from then on.)
"""

import atexit
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from handlers.errors import Exhausted, Unavailable
from handlers.sandbox.child import HEAD, READY, SLOW
from schemas.documents import write_document
from schemas.settings import setting

log = logging.getLogger("downbeat.sandbox")

QUICK_SECONDS = 0.05  # of CPU time
QUICK_PLACES, SLOW_PLACES = 2, 2
# How long a place, the start of a child, and a call are waited for. Nothing in a child waits: who is late had no processor.
PLACE_SECONDS, START_SECONDS, CALL_SECONDS = 10, 30, 30
SUSPECT_SECONDS = 1
LOW_PRIORITY, MARKS_TO_LOW_PRIORITY = 10, 10  # after so many times QUICK_SECONDS
MAX_SUSPECTS = 1000
CHILD = Path(__file__).with_name("child.py")

LIMITS = {
    "cpu_seconds": "{} seconds of CPU time",
    "memory_bytes": "{} bytes of memory",
    "max_bytes": "{} bytes of JSON",
}
CROWDED = "There are too many slow schemas and templates to be checked."
# By which signals a child ends that has reached a limit; Rust aborts without memory, and a stack that is full is memory too.
ENDS = {signal.SIGPROF: "cpu_seconds", **dict.fromkeys((signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS), "memory_bytes")}


class Child(NamedTuple):
    """A process and the socket on which it answers."""

    process: subprocess.Popen
    channel: socket.socket


class Died(Exception):
    """A child ended in the midst of a call, and not by its fault."""


idle: list[Child] = []
suspects: dict[int, None] = {}  # hashes of what was slow of late, the oldest first; a guess, which decides only the place
quick, slow = threading.Semaphore(QUICK_PLACES), threading.Semaphore(SLOW_PLACES)


def forget() -> None:
    """Begin without children in a process that was forked from one that had some."""
    global quick, slow
    for child in idle:
        child.channel.close()
        child.process.returncode = 0  # not a child of this process, which cannot wait for it
    idle.clear()
    quick, slow = threading.Semaphore(QUICK_PLACES), threading.Semaphore(SLOW_PLACES)


def close() -> None:
    """End the children that are kept."""
    while idle:
        end(idle.pop())


os.register_at_fork(after_in_child=forget)
atexit.register(close)


def run(function: str, **arguments: Any) -> Any:
    """Run one of the functions of child.load_functions on JSON values and give its result, also JSON.

    Raises ValueError as the function does, Exhausted where a limit is reached, Unavailable when there is no place or no
    processor, or when the child was killed twice. No lock, transaction or connection may be held meanwhile.
    """
    request = write_document((function, arguments))
    if len(request) > setting("downbeat.sandbox_max_bytes"):
        raise exhausted("max_bytes")
    suspect = hash(orjson.dumps(arguments["schema"]) if "schema" in arguments else request)
    for kept in (idle, []):
        with suppress(Died):
            return read_answer(call(request, suspect, kept))
    raise Unavailable("The process that checks what users store was killed.")


def read_answer(answer: dict[str, Any]) -> Any:
    """Give the result of an answer, or raise what it tells."""
    if "limit" in answer:
        raise exhausted(answer["limit"])
    if "refused" in answer:
        raise ValueError(answer["refused"])
    if "failed" in answer:
        raise RuntimeError(answer["failed"])
    return answer["result"]


def exhausted(limit: str) -> Exhausted:
    """Make the error that tells which limit was reached."""
    words = LIMITS[limit].format(setting(f"downbeat.sandbox_{limit}"))
    return Exhausted(f"Working it out takes more than {words}. The server's setting is DOWNBEAT_SANDBOX_{limit.upper()}.")


def call(request: bytes, suspect: int, kept: list[Child]) -> dict[str, Any]:
    """Have a child answer a request: one of those kept, or a new one. Raises Died, Exhausted and Unavailable.

    `suspect` is the hash of what the request may have in common with others that are slow.
    """
    place, child, marks = enter(suspect), None, 0
    try:
        child = take(kept)
        child.channel.settimeout(CALL_SECONDS)
        child.channel.sendall(HEAD.pack(len(request)) + request)
        while read(child, 1) == SLOW:
            marks += 1
            if place is quick:
                note(suspect)
                if not slow.acquire(blocking=False):
                    raise Unavailable(CROWDED)
                place.release()
                place = slow
            if marks == MARKS_TO_LOW_PRIORITY:
                os.setpriority(os.PRIO_PROCESS, child.process.pid, LOW_PRIORITY)
        answer = orjson.loads(read(child, HEAD.unpack(read(child, HEAD.size))[0]))
        if not marks:
            suspects.pop(suspect, None)
        if marks < MARKS_TO_LOW_PRIORITY and "limit" not in answer:
            idle.append(child)
            child = None
        return answer
    except TimeoutError:
        raise Unavailable("There was no processor to check a schema or a template.") from None
    except (ConnectionError, EOFError):
        raise what_ended(child) from None
    finally:
        if child:
            end(child)
        place.release()


def enter(suspect: int) -> threading.Semaphore:
    """Wait for a quick place, or not as long for a slow one for what was slow of late. Raises Unavailable if there is none."""
    place, patience_seconds = (slow, SUSPECT_SECONDS) if suspect in suspects else (quick, PLACE_SECONDS)
    if not place.acquire(timeout=patience_seconds):
        raise Unavailable(CROWDED)
    return place


def note(suspect: int) -> None:
    """Remember what is slow."""
    suspects[suspect] = None
    while len(suspects) > MAX_SUSPECTS:
        oldest, *_ = suspects
        suspects.pop(oldest, None)  # unless another thread has


def take(kept: list[Child]) -> Child:
    """Take one of the children kept, the last used, or start one."""
    with suppress(IndexError):
        return kept.pop()
    return start()


def start() -> Child:
    """Start a child and wait until it is ready. Raises Unavailable if it does not come up."""
    ours, theirs = socket.socketpair()
    limits = {name: setting(f"downbeat.sandbox_{name}") for name in LIMITS} | {"quick_seconds": QUICK_SECONDS}
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8"}
    null = subprocess.DEVNULL
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-S", CHILD, json.dumps(limits)],
            stdin=theirs,
            stdout=null,
            stderr=null,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    child = Child(process, ours)
    ours.settimeout(START_SECONDS)
    try:
        if read(child, 1) == READY:
            return child
    except (OSError, EOFError) as error:
        log.error("The sandbox does not start: %r, exit %s", error, process.poll())
    end(child)
    raise Unavailable("The process that checks what users store does not start.")


def read(child: Child, length: int) -> bytes:
    """Read so many bytes of what a child sends. Raises EOFError when it has ended."""
    content = bytearray()
    while len(content) < length:
        part = child.channel.recv(length - len(content))
        if not part:
            raise EOFError
        content += part
    return bytes(content)


def what_ended(child: Child) -> Exception:
    """Make the error that tells why a child has ended."""
    with suppress(subprocess.TimeoutExpired):
        child.process.wait(1)  # its socket closes just before it is gone
    limit = ENDS.get(-child.process.returncode) if child.process.returncode else None
    return exhausted(limit) if limit else Died()


def end(child: Child) -> None:
    """Kill a child and wait for its end."""
    child.channel.close()
    child.process.kill()
    child.process.wait()
