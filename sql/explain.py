"""What PostgreSQL does for a request: the statements that it runs, each with its plan.

Within `explaining` all statements run on one connection, in one transaction that is rolled back at the end: what a request opens
and commits are savepoints in it, so that nothing remains of the request, and nobody sees anything of it. Each statement is
explained just before it runs, with its values and on the rows that it meets. A server prepares most of its statements; after
five runs PostgreSQL may plan one of these for any values instead of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.pq import ExecStatus, PGresult

from sql import database
from sql.statement import Pending, Statement, checked, wire

SAVEPOINTS = {"BEGIN": b"SAVEPOINT request", "COMMIT": b"RELEASE request", "ROLLBACK": b"ROLLBACK TO request"}
UTILITY = ("BEGIN", "COMMIT", "ROLLBACK", "NOTIFY", "SET")
WRITES = ("Insert on ", "Update on ", "Delete on ", "Merge on ")


@dataclass(frozen=True)
class Explained:
    """A statement that was run: its name, SQL and values as PostgreSQL got them, its plan, and the rows it gave or touched."""

    name: str
    text: str
    values: list[str | None]
    plan: list[str]
    rows: int

    def __str__(self) -> str:
        given = [f"${number} = {value}" for number, value in enumerate(self.values, 1)]
        parts = ["-- " + self.name, self.text, *given, f"{self.rows} rows", *("    " + line for line in self.plan)]
        return "\n".join(parts)


class OneConnection:
    """In place of the pool of a process: a single connection, lent again and again."""

    def __init__(self, conn: Connection):
        self.conn = conn

    def borrow(self, *_: Any) -> Connection:
        """Lend the connection."""
        return self.conn

    def give_back(self, conn: Connection) -> None:
        """Take it back."""


@contextmanager
def explaining(url: str, analyze: bool = False) -> Iterator[list[Explained]]:
    """Give a list that gets each statement that is run meanwhile; all is undone at the end.

    With `analyze` statements that only read are run once more and measured.
    """
    explained: list[Explained] = []
    send, pool = Statement.send, database.pool

    def explain_and_send(statement: Statement, conn: Connection, **parameters: Any) -> Pending:
        pending = send(statement, conn, **parameters)
        wire(conn).batch.remove(pending)
        word = statement.text.split(maxsplit=1)[0].upper()
        plan = [] if word in UTILITY else explain(conn, pending, analyze)
        pending.rows = checked(run(conn, SAVEPOINTS.get(statement.text.upper(), pending.text), pending.values))
        if word not in UTILITY:
            values = [None if value is None else value.decode() for value in pending.values]
            number = pending.rows.command_tuples or pending.rows.ntuples
            explained.append(Explained(statement.name, pending.text.decode(), values, plan, number))
        return pending

    with database.connect(url) as conn:
        run(conn, b"BEGIN", [])
        Statement.send, database.pool = explain_and_send, OneConnection(conn)
        try:
            yield explained
        finally:
            Statement.send, database.pool = send, pool
            run(conn, b"ROLLBACK", [])


def explain(conn: Connection, pending: Pending, analyze: bool) -> list[str]:
    """Give the lines of a statement's plan; measured, if that is wanted and it changes nothing. No lines if it is at fault."""
    run(conn, b"SAVEPOINT plan", [])
    result = run(conn, b"EXPLAIN " + pending.text, pending.values)
    if analyze and not any(word in line for line in read_lines(result) for word in WRITES):
        result = run(conn, b"EXPLAIN (ANALYZE, BUFFERS) " + pending.text, pending.values)
    run(conn, b"ROLLBACK TO plan", [])
    return read_lines(result)


def read_lines(result: PGresult) -> list[str]:
    """Give the lines that EXPLAIN printed."""
    if result.status != ExecStatus.TUPLES_OK:
        return []
    return [result.get_value(line, 0).decode() for line in range(result.ntuples)]


def run(conn: Connection, text: bytes, values: list[bytes | None]) -> PGresult:
    """Run SQL with its values in a round trip of its own."""
    return conn.pgconn.exec_params(text, values)
