"""How gunicorn serves Downbeat: `gunicorn app:app`, or `python app.py serve`."""

import os
import signal
import threading

from handlers.websockets import loop
from sql.database import close_pool, open_pool

bind = os.environ.get("DOWNBEAT_BIND", "127.0.0.1:4200")
workers = int(os.environ.get("WEB_CONCURRENCY", os.cpu_count() or 1))
worker_class = "gthread"
threads = int(os.environ.get("DOWNBEAT_THREADS", "8"))
preload_app = True
keepalive = 75
graceful_timeout = int(os.environ.get("DOWNBEAT_STOP_SECONDS", "10"))
timeout = 60


def post_fork(server, worker):
    """Open the worker's own pool; connections must not be shared across a fork."""
    open_pool(os.environ["DATABASE_URL"], int(os.environ.get("DATABASE_POOL_SIZE", "8")))


def post_worker_init(worker):
    """Close websockets as soon as the worker is told to stop, while requests in flight are finished."""

    def terminate(signal_number, frame):
        threading.Thread(target=loop.stop, args=(graceful_timeout * 0.8,)).start()
        worker.handle_exit(signal_number, frame)

    signal.signal(signal.SIGTERM, terminate)


def worker_exit(server, worker):
    """Wait until what came on websockets is stored, then give the worker's connections back."""
    loop.stop(graceful_timeout * 0.4)
    close_pool()
