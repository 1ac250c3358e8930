"""A named SQL statement as a function of a connection and its parameters.

psycopg's cursors cost about 50 µs of CPU a statement; libpq itself, which psycopg offers as `psycopg.pq`, about 10 µs,
and a batch of five statements in pipeline mode 40 µs. So statements run on libpq directly. Parameters travel as text and
get their type from the cast that must follow each of them (`%(id)s::uuid`), results are read by psycopg's own loaders.
"""

import logging
import re
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import islice
from math import inf
from time import monotonic
from typing import Any

import orjson
from psycopg import Connection, errors
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, PGresult
from psycopg.pq.abc import PGconn

PARAMETER = re.compile(r"%\((?P<name>[\w.]+)\)s(?P<type>::\w+(?: precision)?(?:\[\])?)?")
PLACEHOLDERS = ("{filter}", "{sort}", "{run}")  # of composed statements
MAX_TOLD = 20  # statements of a slow batch
SHAPES = ("one", "many", "value", "json", "exec")
ENDED = ("25P03", "25P04")  # idle_in_transaction_session_timeout, transaction_timeout: an InternalError by their class


log = logging.getLogger("downbeat.sql")
# From how long on a batch is logged; who runs the process sets it.
slow_seconds = inf


def dump_document(value: Any) -> bytes:
    """Give JSON text; bytes are taken to be JSON already."""
    return value if type(value) is bytes else orjson.dumps(value, option=orjson.OPT_UTC_Z)


def dump_scalar(value: Any) -> bytes:
    """Give PostgreSQL's text form of a string, number, boolean, UUID or time. Raises DataError for a NUL character."""
    if type(value) is not str:
        return value.isoformat().encode() if isinstance(value, datetime) else str(value).encode()
    if "\0" in value:
        raise errors.DataError("text must not contain the NUL character")  # libpq would cut it off there
    return value.encode()


def dump_array(values: Any) -> bytes:
    """Give PostgreSQL's text form of a one-dimensional array; None becomes NULL."""
    quoted = (
        b"NULL" if value is None else b'"' + dump_scalar(value).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        for value in values
    )
    return b"{" + b",".join(quoted) + b"}"


def dumper(type_name: str) -> Callable[[Any], bytes]:
    """Choose how a parameter is written from the SQL type that it is cast to."""
    if type_name.endswith("[]"):
        return dump_array
    return dump_document if type_name in ("json", "jsonb") else dump_scalar


@lru_cache(maxsize=1024)
def number_parameters(text: str) -> tuple[bytes, tuple[tuple[str, Callable[[Any], bytes]], ...]]:
    """Turn `%(name)s::type` into `$1::type`; give the text and, in order, each parameter's name and dumper.

    Raises ValueError for a parameter without a cast.
    """
    order: dict[tuple[str, str], str] = {}

    def number(match: re.Match) -> str:
        if match["type"] is None:
            raise ValueError(f"parameter {match['name']} needs a cast")
        key = (match["name"], match["type"])
        return order.setdefault(key, f"${len(order) + 1}") + match["type"]

    numbered = PARAMETER.sub(number, text)
    return numbered.encode(), tuple((name, dumper(cast.removeprefix("::"))) for name, cast in order)


@dataclass(frozen=True)
class Filter:
    """A composed condition: its SQL and the parameters that occur in it."""

    text: str = "TRUE"
    parameters: dict[str, Any] = field(default_factory=dict)


class Pending:
    """A statement that was queued and whose result is yet to be taken."""

    __slots__ = ("conn", "rows", "statement", "text", "values")

    def __init__(self, statement: "Statement", conn: Connection, text: bytes, values: list[bytes | None]):
        self.statement, self.conn, self.text, self.values = statement, conn, text, values
        self.rows: PGresult | None = None

    def result(self) -> Any:
        """Wait for the statement and give its result in the statement's shape; raises the database's error."""
        if self.rows is None:
            flush(self.conn)
        return self.statement.read(self.rows, self.conn)


class Statement:
    """One statement of a .sql file. Call it to run it and wait; `send` puts it in the connection's batch instead.

    Shapes of the result: `one` a dict or None, `many` a list of dicts, `value` the first column of the first row or None,
    `json` the bytes of a document or None, `exec` the number of rows touched. A statement that has `{filter}`, `{sort}` or
    `{run}` (a kind of run: flow_run or task_run) in its text is composed: these are arguments, and it is planned anew for its
    values instead of being prepared.
    """

    def __init__(self, name: str, shape: str, text: str, prose: str = ""):
        self.name, self.shape, self.text, self.prose = name, shape, text, prose
        self.prepared_name = name.encode()
        self.composed = any(placeholder in text for placeholder in PLACEHOLDERS)
        self.numbered = None if self.composed else number_parameters(text)
        self.columns: list[str] | None = None

    def __call__(self, conn: Connection, **parameters: Any) -> Any:
        """Run the statement and wait for its result. Raises TypeError for missing or unexpected parameters."""
        return self.send(conn, **parameters).result()

    def send(self, conn: Connection, **parameters: Any) -> Pending:
        """Queue the statement; it goes to the server with the next one that is waited for, or at commit."""
        text, order = self.numbered or self.assemble(parameters)
        try:
            values = [None if (value := parameters[name]) is None else dump(value) for name, dump in order]
        except KeyError as missing:
            raise TypeError(f"{self.name} needs the parameter {missing}") from None
        if len(parameters) > len(order):
            raise TypeError(f"{self.name} has no parameter {parameters.keys() - {name for name, _ in order}}")
        pending = Pending(self, conn, text, values)
        wire(conn).batch.append(pending)
        return pending

    def assemble(self, parameters: dict[str, Any]) -> tuple[bytes, tuple]:
        """Put filter, sort and run into the text; takes them out of `parameters` and adds the filter's own parameters."""
        text = self.text
        if "{filter}" in text:
            chosen = parameters.pop("filter")
            text = text.replace("{filter}", chosen.text)
            parameters.update(chosen.parameters)
        for placeholder in PLACEHOLDERS[1:]:
            if placeholder in text:
                text = text.replace(placeholder, parameters.pop(placeholder[1:-1]))
        return number_parameters(text)

    def read(self, rows: PGresult, conn: Connection) -> Any:
        """Give a result in the statement's shape."""
        if self.shape == "exec":
            return rows.command_tuples or 0
        if not rows.ntuples:
            return [] if self.shape == "many" else None
        if self.shape == "json":
            return rows.get_value(0, 0)
        loader = wire(conn).loader
        loader.set_pgresult(rows)
        if self.shape == "value":
            return loader.load_row(0, tuple)[0]
        if self.columns is None:
            self.columns = [rows.fname(column).decode() for column in range(rows.nfields)]
        if self.shape == "one":
            return dict(zip(self.columns, loader.load_row(0, tuple), strict=True))
        return [dict(zip(self.columns, row, strict=True)) for row in loader.load_rows(0, rows.ntuples, tuple)]


class Wire:
    """What a connection keeps for its statements: those queued, the names of those prepared, and its loaders of results."""

    __slots__ = ("batch", "loader", "prepared", "ready")

    def __init__(self, conn: Connection):
        self.batch: list[Pending] = []
        self.prepared: set[bytes] = set()
        self.loader = Transformer(conn)
        self.ready = select.poll()
        self.ready.register(conn.pgconn.socket, select.POLLIN)


def wire(conn: Connection) -> Wire:
    """Give what a connection keeps, made at its first use."""
    try:
        return conn.downbeat_wire
    except AttributeError:
        conn.downbeat_wire = Wire(conn)
        return conn.downbeat_wire


def flush(conn: Connection) -> None:
    """Send all queued statements in one round trip and wait; raises the first error, the ones behind it did not run."""
    line = wire(conn)
    queued, line.batch = line.batch, []
    if not queued:
        return
    began = monotonic()
    try:
        run_batch(conn, line, queued)
    finally:
        if (took := monotonic() - began) > slow_seconds:
            tell_slow(queued, took)


def tell_slow(queued: list[Pending], took: float) -> None:
    """Log which statements took so many seconds together, with the sizes of their parameters in bytes but not their values."""
    shown = (f"{each.statement.name} ({', '.join(str(len(value or b'')) for value in each.values)})" for each in queued)
    log.warning("Slow, %.3f s: %s", took, "; ".join(islice(shown, MAX_TOLD)) + (" …" if len(queued) > MAX_TOLD else ""))


def run_batch(conn: Connection, line: Wire, queued: list[Pending]) -> None:
    """Send statements and take their results, in a pipeline unless it is a single one that is prepared."""
    pgconn = conn.pgconn
    if len(queued) == 1 and queued[0].statement.prepared_name in line.prepared:
        queued[0].rows = checked(pgconn.exec_prepared(queued[0].statement.prepared_name, queued[0].values))
        return
    try:
        pgconn.enter_pipeline_mode()
        preparing = [dispatch(pgconn, line, pending, conn.prepare_threshold is not None) for pending in queued]
        pgconn.pipeline_sync()
        results = [(take(pgconn, line) if prepares else None, take(pgconn, line)) for prepares in preparing]
        pgconn.get_result()
        pgconn.exit_pipeline_mode()
    except BaseException:
        conn.close()
        raise
    for pending, (preparation, _) in zip(queued, results, strict=True):
        if preparation is not None and preparation.status != ExecStatus.COMMAND_OK:
            line.prepared.discard(pending.statement.prepared_name)
    for pending, (preparation, rows) in zip(queued, results, strict=True):
        if preparation is not None:
            checked(preparation)
        pending.rows = checked(rows)


def dispatch(pgconn: PGconn, line: Wire, pending: Pending, may_prepare: bool) -> bool:
    """Put one statement into the pipeline; true if a PREPARE went before it."""
    name = pending.statement.prepared_name
    if pending.statement.composed or not may_prepare:
        pgconn.send_query_params(pending.text, pending.values)
        return False
    prepares = name not in line.prepared
    if prepares:
        pgconn.send_prepare(name, pending.text)
        line.prepared.add(name)
    pgconn.send_query_prepared(name, pending.values)
    return prepares


def take(pgconn: PGconn, line: Wire) -> PGresult:
    """Take one statement's result, and the None that ends it, out of a pipeline.

    It is waited for without holding the interpreter's lock, which psycopg's get_result keeps while it waits. A batch that is
    larger than the socket's buffer is sent on meanwhile.
    """
    while pgconn.is_busy():
        unsent = pgconn.flush()
        if unsent:
            line.ready.modify(pgconn.socket, select.POLLIN | select.POLLOUT)
        line.ready.poll()
        if unsent:
            line.ready.modify(pgconn.socket, select.POLLIN)
        pgconn.consume_input()
    rows = pgconn.get_result()
    if rows is None:
        raise errors.OperationalError("the connection to PostgreSQL was lost")
    pgconn.get_result()
    return rows


def checked(rows: PGresult) -> PGresult:
    """Give the result back, or raise the error that it tells of."""
    if rows.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return rows
    error = errors.error_from_result(rows)
    # What has no SQLSTATE comes from libpq itself: the connection was lost. So it is where a transaction took too long.
    raise error if error.sqlstate and error.sqlstate not in ENDED else errors.OperationalError(*error.args)
