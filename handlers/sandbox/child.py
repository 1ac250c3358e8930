"""The child process in which what users store is run; pool.py starts it as a script and speaks to it over its standard input.

A frame is four bytes of length and JSON. For each request `[function, arguments]` the child answers with one of `result`,
`refused` (the words of a ValueError), `limit` (the name of the one that was reached) and `failed` (the traceback of a fault of
ours). A byte goes before each answer, and another one when a call has used so much CPU time that it counts as slow.
"""

import json
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson

READY, ANSWER, SLOW = b"r", b"a", bytes([signal.SIGVTALRM])
IDLE_SECONDS = 1e6  # a socket with a timeout is what Python calls non-blocking, and signals write to no other
HEAD = struct.Struct("!I")


def main(cpu_seconds: float, quick_seconds: float, memory_bytes: int, max_bytes: int) -> None:
    """Answer requests until the server is gone. CPU time that runs out ends the process by SIGPROF."""
    channel = socket.socket(fileno=0)
    channel.settimeout(IDLE_SECONDS)
    functions = load_functions()
    confine(memory_bytes)
    # Python runs handlers between its own steps, which a pattern may never reach; but the byte is written at once.
    signal.signal(signal.SIGVTALRM, lambda *_: None)
    signal.set_wakeup_fd(channel.fileno())
    channel.sendall(READY)
    while True:
        request = receive(channel)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_VIRTUAL, quick_seconds, quick_seconds)
        try:
            answer, is_sound = run(functions, request, max_bytes), True
        except MemoryError:
            answer, is_sound = b'{"limit":"memory_bytes"}', False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        channel.sendall(ANSWER + HEAD.pack(len(answer)) + answer)
        if not is_sound:
            sys.exit()


def load_functions() -> dict[str, Callable[..., Any]]:
    """Import what can be asked for. The package's own __init__ would import the whole server, so it is passed over."""
    package = ModuleType("handlers")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["handlers"] = package
    from handlers.sandbox import forms, job_variables, json_schemas, placeholders

    return {
        "validate": json_schemas.validate,
        "find_form_errors": forms.find_errors,
        "hydrate": placeholders.hydrate,
        "check_job_variables": job_variables.check,
        "check_job_defaults": job_variables.check_defaults,
    }


def confine(memory_bytes: int) -> None:
    """Bound memory, forbid files, processes and dumps, and be the first to go when the machine runs out of memory."""
    limits = {"RLIMIT_AS": memory_bytes, "RLIMIT_FSIZE": 0, "RLIMIT_NPROC": 0, "RLIMIT_CORE": 0}
    for name, value in limits.items():
        with suppress(ValueError, OSError):  # macOS takes no limit of memory
            resource.setrlimit(getattr(resource, name), (value, value))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the server ends it, or is gone


def run(functions: dict[str, Callable[..., Any]], request: bytes, max_bytes: int) -> bytes:
    """Run a function and give the answer as JSON. Raises MemoryError."""
    try:
        name, arguments = orjson.loads(request)
        answer = orjson.dumps({"result": functions[name](**arguments)})
    except MemoryError:
        raise
    except ValueError as error:
        answer = orjson.dumps({"refused": str(error).encode(errors="replace").decode()})
    except RecursionError:
        answer = b'{"refused":"nested too deeply"}'
    except Exception:
        answer = json.dumps({"failed": traceback.format_exc()}).encode()
    return answer if len(answer) <= max_bytes else b'{"limit":"max_bytes"}'


def receive(channel: socket.socket) -> bytes:
    """Give the next request. Ends the process when there is nobody to send one."""
    return read(channel, HEAD.unpack(read(channel, HEAD.size))[0])


def read(channel: socket.socket, length: int) -> bytes:
    """Read so many bytes."""
    content = bytearray()
    while len(content) < length:
        part = channel.recv(min(length - len(content), 1 << 20))
        if not part:
            os._exit(0)
        content += part
    return bytes(content)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
