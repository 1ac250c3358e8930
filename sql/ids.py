"""Ids are made here rather than by the database, so that a statement can name a row before it is inserted."""

import os
import threading
import time
from uuid import UUID, uuid5

NAMESPACE = UUID("6f1e0d5c-9d0a-5b0e-8b8f-3a53c1d0d0b7")

lock = threading.Lock()
last = 0


def uuid7() -> UUID:
    """Make a time-ordered id (RFC 9562, version 7), strictly increasing within a process.

    The 12 bits behind the millisecond hold its fraction (section 6.2, method 3), so that ids made by several processes
    within a millisecond sort nearly as they were made.
    """
    global last
    with lock:
        now = time.time_ns() * 4096 // 1_000_000
        last = now if now > last else last + 1
        ticks = last
    value = (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64
    return UUID(int=value | 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2)


def derived(*parts: object) -> UUID:
    """Make the id that the same parts always give, for rows that a repeated request must not make twice."""
    return uuid5(NAMESPACE, "\x1f".join(map(str, parts)))
