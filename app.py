"""The application and its command line, `downbeat`, which a checkout has in .venv/bin.

downbeat serve      migrate, then serve under gunicorn; without DATABASE_URL on an embedded PostgreSQL
downbeat loops      what servers do by the clock beside requests, apart from them; DOWNBEAT_LOOPS=off keeps it out of servers
downbeat migrate    bring the database of DATABASE_URL up to date; adopts one that Prefect 3.8.3 made
downbeat tune       in an adopted database: swap Prefect's indexes for ours
downbeat handback   give the database back to Prefect: its indexes, by their names
downbeat ui [FILE]  install the web UI, from the published package of Prefect or from the wheel of it that is named
downbeat explain 'POST /api/flow_runs/filter' '{"limit": 5}' [--analyze]
                         show the statements that a request runs, with their plans on the rows at hand; all it does is undone
"""

import logging
import math
import os
import signal
import sys
import threading
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
if __package__:  # as a wheel has it: all in one folder, where this finds the others
    sys.path.insert(0, FOLDER)

from flask import Flask

import sql.database
import sql.migrate
import sql.statement
from handlers import BLUEPRINTS, loops, openapi
from handlers.domain import prefect_files
from handlers.http import log_format
from handlers.http.access import find_danger, register_checks
from handlers.http.messages import IdConverter, TextConverter, register_errors, repeat_undone
from handlers.http.request_log import register_request_log
from handlers.web_ui import register_web_ui
from schemas.addresses import api_path, database_url, direct_url
from schemas.settings import check, setting
from sql import postgres
from sql.explain import explaining

log = logging.getLogger("downbeat")

STOP_POLL_SECONDS = 0.2


def create_app() -> Flask:
    """Build the application. Who runs it opens the pool of connections: gunicorn.conf.py, or a test."""
    check()
    app = Flask("app", static_folder=None)
    app.url_map.converters.update(id=IdConverter, default=TextConverter, string=TextConverter)
    register_request_log(app)
    register_errors(app)
    register_checks(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint, url_prefix=api_path() + blueprint.url_prefix.removeprefix("/api"))
    app.register_blueprint(openapi.blueprint, url_prefix="/", name="openapi_at_root")
    register_web_ui(app)
    repeat_undone(app)
    return app


def serve(arguments: list[str]) -> None:
    """Run gunicorn in this process, with its arguments and --no-loops; it migrates the database first. Does not return."""
    from gunicorn.app.wsgiapp import WSGIApplication

    if "--no-loops" in arguments:
        arguments.remove("--no-loops")
        os.environ["DOWNBEAT_LOOPS"] = "off"
    if (setting("server.database.connection_url") or "").startswith("sqlite"):
        log.warning("Prefect's settings name an SQLite database: it is left alone, for Downbeat works on PostgreSQL.")
    sys.argv = ["gunicorn", "--config", os.path.join(FOLDER, "gunicorn.conf.py"), *arguments]
    sys.argv.append("app:app")
    gunicorn = WSGIApplication("%(prog)s [OPTIONS]")
    if danger := find_danger(gunicorn.cfg.address):  # before a PostgreSQL is started for nothing
        sys.exit(danger)
    if not database_url():
        os.environ["DATABASE_URL"] = postgres.start(setting("downbeat.home"))
    gunicorn.run()


def run_loops(arguments: list[str]) -> str | None:
    """Run the loops in this process until it is told to stop; gives what is wrong if all are switched off."""
    if not loops.enabled():
        return "All loops are switched off."
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda given, _: told.append(given))  # takes no lock: a second signal may come amid the first
    stopping, url = threading.Event(), database_url() or postgres.find(setting("downbeat.home"))
    threads = loops.start_threads(url, stopping, loops.enabled())
    while not told:
        time.sleep(STOP_POLL_SECONDS)
    stopping.set()
    for thread in threads:
        thread.join()
    return None


def explain(arguments: list[str]) -> str | None:
    """Show what a request does; gives what is wrong with the arguments. The database is the one at hand, which may be in use."""
    request = [argument for argument in arguments if argument != "--analyze"]
    method, _, path = (request or [""])[0].partition(" ")
    if not path or len(request) > 2:
        return "What request? downbeat explain 'POST /api/flow_runs/filter' '{\"limit\": 5}' [--analyze]"
    user, _, password = (setting("server.api.auth_string") or "").partition(":")
    client = create_app().test_client()
    with explaining(direct_url() or postgres.find(setting("downbeat.home")), "--analyze" in arguments) as statements:
        body = {"data": request[1], "content_type": "application/json"} if len(request) == 2 else {}
        answer = client.open(path, method=method, auth=(user, password), **body)
    print(*statements, f"-- {answer.status}, {len(answer.data)} bytes, {len(statements)} statements", sep="\n\n")
    return None if answer.status_code < 400 else answer.text


COMMANDS = {
    "serve": serve,
    "loops": run_loops,
    "migrate": lambda _: sql.migrate.migrate(direct_url() or postgres.find(setting("downbeat.home"))),
    "tune": lambda _: sql.migrate.tune(direct_url() or postgres.find(setting("downbeat.home"))),
    "handback": lambda _: sql.migrate.handback(direct_url() or postgres.start(setting("downbeat.home"))),
    "ui": lambda arguments: prefect_files.install(*arguments[:1]),
    "explain": explain,
}
# The most arguments of those commands whose work is not to be begun by mistake.
ARGUMENTS = {"loops": 0, "migrate": 0, "tune": 0, "handback": 0, "ui": 1}


def main(arguments: list[str]) -> str | None:
    """Run a command; gives what is wrong, if anything is."""
    run = COMMANDS.get((arguments or [""])[0])
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    if run is None:
        return __doc__
    if len(arguments) > 1 + ARGUMENTS.get(arguments[0], len(arguments)):
        return f"downbeat {arguments[0]} does not know what to do with {arguments[-1]!r}; nothing was done."
    check()
    sql.database.prepares_statements = setting("database.prepare")
    sql.statement.slow_seconds = setting("downbeat.slow_statement_seconds") or math.inf
    log_format.configure("INFO" if arguments[0] == "loops" else "WARNING")
    try:
        return run(arguments[1:])
    except (RuntimeError, sql.migrate.Refused) as error:
        return str(error)


def __getattr__(name: str) -> Flask:
    """Build `app:app` when gunicorn asks for it, so that the other commands and the tests do without."""
    if name == "app":
        return create_app()
    raise AttributeError(name)


def console() -> None:
    """Run the command that the process was started with: `downbeat`, or `python app.py` in a checkout."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    console()
