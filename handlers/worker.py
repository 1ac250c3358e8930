"""gunicorn's threaded worker, made to stay with a client that is about to ask again.

gunicorn's own sends a connection back to its main thread after each response, to be watched there and given to a thread of
the pool anew: two changes of thread and four system calls a request. Most clients' next request comes within a millisecond.
"""

import select

from gunicorn.workers.gthread import ThreadWorker

STAY_MILLISECONDS = 1


class Worker(ThreadWorker):
    """Serve a connection's next request in the same thread, if it comes at once and nobody waits for a thread."""

    def handle(self, conn):
        """Serve requests of a connection; the result tells gunicorn whether to keep it, as its own method does."""
        while True:
            keep = super().handle(conn)
            if keep is not True or not self.alive or conn.is_http2 or conn.parser.unreader.buf.getvalue():
                return keep
            if not self.tpool._work_queue.empty() or not is_readable(conn.sock):
                return keep


def is_readable(connection) -> bool:
    """Tell whether something has come on a socket, after waiting a little for it."""
    ready = select.poll()
    ready.register(connection, select.POLLIN)
    return bool(ready.poll(STAY_MILLISECONDS))
