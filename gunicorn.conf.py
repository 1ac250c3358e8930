"""How gunicorn serves Downbeat: `gunicorn app:app`, or `downbeat serve`.

The worker class was chosen by measuring, on 2 cores that other work kept busy, so that memory (PSS of all processes) and CPU
of the server are to be trusted more than rates. 2 workers, 8 clients that read a flow by id over kept-alive connections:

                              MiB at rest   with 200 websockets, after load   CPU ms a request   requests/s   p50 / p99 ms
    gthread, flask-sock            53                  114                         0.45             3300        0.7 / 20
    gevent, flask-sock             88                  117                         0.43             2400        2.5 / 16
    our worker, one loop           53                   60                         0.33             3900        0.5 / 16

1,000 clients at once that do not go on, and 8 that live lives of flow runs beside them: p99 in ms, worst answer of health. CPU is
that of the server for a read by id, one process, six rounds by turns on a machine at load 15, where all of it is dearer. What
gthread does beside such clients was seen in tests that fail with it, and not timed:

                              CPU ms    one byte         half a body      answers unread           nobody
    gthread and its threads    0.51     stands still     ended, TIMEOUT   stands still             44 to 150, 0.1 s
    waitress 3.0               0.50     210, 0.7 s       218, 1.0 s       (no answer in 100 s)
    gevent 26.9                0.84     (not tried)
    our worker, one loop       0.51     156, 0.1 s        64, 0.4 s       82, 0.1 s; 280 MiB

- gevent is lighter on a request that does nothing (0.23 ms against 0.30), but libpq does not yield to it: a query that waits
  for a lock stops its whole process. It needs the application loaded in each worker, which is the memory.
- flask-sock holds two threads for each open socket; ours drives them all in one, so that `threads` is only about requests.
  More than 16 gained nothing (8 clients or 32), fewer than 8 lost some.
- Of the 0.30 ms that the smallest request costs, gthread is 0.20 and Flask 0.10. Our worker brings gunicorn's part
  to 0.12 as long as there are threads for all clients. The C parser (gunicorn[fast]) gains 0.01, sendfile is for files only,
  and reuse_port for more processes than cores.
- The collector's marks copied 25 MiB of shared memory under load; hence gc.freeze. glibc gives threads heaps of their own,
  which keep what was freed in them: with one for all, two workers had 62 MiB instead of 76 after lists and logs of 200.
"""

import ctypes
import gc
import math
import os
import signal
import sys
import threading

from psycopg import OperationalError

import sql.database
import sql.statement
from handlers import loops
from handlers.domain.block_catalog import catalog, install_block_types
from handlers.http import log_format
from handlers.http.access import find_danger, find_doubts
from handlers.http.connections import raise_file_limit
from handlers.http.websockets import loop
from schemas.addresses import api_path, database_url, direct_url, ui_path
from schemas.addresses import bind as address
from schemas.settings import check, setting
from sql.database import close_pool, connect, open_pool, wait_for_server, within
from sql.migrate import Refused, migrate
from sql.postgres import SUPERVISORS, psql_command, replace_lost_supervisors
from sql.supervisor import die_with_parent

check()
sql.database.prepares_statements = setting("database.prepare")
sql.statement.slow_seconds = setting("downbeat.slow_statement_seconds") or math.inf
bind = address()
workers = setting("web.concurrency") or os.cpu_count() or 1
worker_class = "handlers.http.gunicorn_worker.Worker"
threads = setting("downbeat.threads")
preload_app = True
keepalive = 75
graceful_timeout = setting("downbeat.stop_seconds")
timeout = 60
control_socket_disable = True
logconfig_dict = log_format.configuration()
limit_request_line = 8190
forwarder_headers = ""  # or a header SCRIPT_NAME from loopback would change what is asked for

M_ARENA_MAX = -8  # of malloc.h
stopping = threading.Event()


def on_starting(server):
    """Wait for PostgreSQL and bring the database up to date. The start ends here if it is refused or not for us.

    The port opens after it: whoever asks for the health of a server that cannot know its tables yet gets no answer.
    """
    if danger := find_danger(server.cfg.address):
        sys.exit(danger)
    if doubts := find_doubts():
        server.log.warning(doubts)
    raise_file_limit()
    url = direct_url()
    if not url:
        sys.exit("DATABASE_URL is not set. `downbeat serve` runs a PostgreSQL of its own.")
    try:
        wait_for_server(url)
        migrate(url)
        if setting("server.register_blocks_on_start"):
            with connect(url) as conn, within(conn):
                install_block_types(conn, catalog())
    except (Refused, OperationalError) as error:
        sys.exit(str(error))


def when_ready(server):
    """See where it listens in fact; start PostgreSQL's supervisor again should it be lost, if PostgreSQL is our own."""
    if danger := find_danger([listener.sock.getsockname() for listener in server.LISTENERS]):
        sys.exit(danger)
    replace_lost_supervisors()


def pre_fork(server, worker):
    """Keep the collector away from what is shared with the workers."""
    gc.freeze()


def post_fork(server, worker):
    """Open the worker's own pool; connections must not be shared across a fork."""
    # Or it would hold the port for as long as it has connections, and a new server could not start.
    die_with_parent(signal.SIGKILL)
    # Until the worker has handlers of its own it has the master's, which would only note that it was told to stop.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(ctypes.CDLL(None), "mallopt"):  # glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    open_pool(database_url(), setting("database.pool_size"), threads)


def post_worker_init(worker):
    """Start the loops. Stop them and close websockets when the worker is told to stop, while requests in flight are finished."""
    worker.loops = loops.start(database_url(), stopping)

    def stop():
        stopping.set()
        threading.Thread(target=loop.stop, args=(graceful_timeout * 0.8,)).start()

    worker.on_stop = stop
    if worker.age == 1:  # once a start
        log_places(worker)


def log_places(worker):
    """Tell where the web interface, the API and the database are."""
    address = str(worker.sockets[0])
    if setting("server.ui.enabled"):
        worker.log.info("Web interface: %s%s", address, ui_path())
    worker.log.info("API: %s%s", address, api_path())
    if SUPERVISORS:
        worker.log.info("Look inside: %s", psql_command(setting("downbeat.home")))


def worker_exit(server, worker):
    """Wait until what came on websockets is stored and the loops have ended, then give the worker's connections back."""
    stopping.set()
    loop.stop(graceful_timeout * 0.4)
    for thread in getattr(worker, "loops", ()):
        thread.join(graceful_timeout * 0.1)
    close_pool()
