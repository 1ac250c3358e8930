"""Threads that live as long as their process, whatever happens in them."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from psycopg import errors

from sql.pool import RETRY_SECONDS, NoConnection

log = logging.getLogger("downbeat.threads")

PAUSE_SECONDS = 2  # after an error, so that one that stays does not keep a processor busy


def keep_running(thread: threading.Thread | None, name: str, step: Callable[[], None]) -> threading.Thread:
    """Give the thread if it lives, or start one that calls `step` again and again for as long as the process lives."""
    if thread is not None and thread.is_alive():
        return thread
    thread = threading.Thread(target=repeat, args=(step,), name=name, daemon=True)
    thread.start()
    return thread


def repeat(step: Callable[[], None]) -> None:
    """Call a function for ever. What it raises, be it SystemExit or MemoryError, is logged, and a pause follows.

    While PostgreSQL is away, which the pool says once, the pause is short.
    """
    while True:
        try:
            while True:
                step()
        except errors.OperationalError as error:
            if not isinstance(error, NoConnection):
                log.warning("the thread %s was interrupted: %s", threading.current_thread().name, error)
            time.sleep(RETRY_SECONDS)
        except BaseException:
            with suppress(BaseException):  # there may be no memory left to say so
                log.exception("the thread %s goes on after an error", threading.current_thread().name)
            time.sleep(PAUSE_SECONDS)
