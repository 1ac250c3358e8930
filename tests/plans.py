"""What PostgreSQL does for a request: the plans of its statements, measured."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from psycopg import Connection

from sql.statement import Pending, Statement, checked


class Plan(NamedTuple):
    """What a statement did: tables read from end to end, the largest number of rows sorted, rows looked at, milliseconds."""

    statement: str
    whole_tables: list[str]
    sorted_rows: int
    read_rows: int
    milliseconds: float
    lines: list[str]


@contextlib.contextmanager
def recording(monkeypatch) -> Iterator[list[Pending]]:
    """Give a list that gets each statement that is sent meanwhile."""
    sent, send = [], Statement.send

    def record(statement: Statement, conn: Connection, **parameters: Any) -> Pending:
        sent.append(send(statement, conn, **parameters))
        return sent[-1]

    with monkeypatch.context() as patched:
        patched.setattr(Statement, "send", record)
        yield sent


def explain(conn: Connection, pending: Pending) -> Plan:
    """Run a statement that only reads again, as a one-off with its values, and give what it did."""
    command = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + pending.text
    result = checked(conn.pgconn.exec_params(command, pending.values))
    found = json.loads(result.get_value(0, 0))[0]
    nodes = list(walk(found["Plan"], 0))
    whole = [node["Relation Name"] for node, _ in nodes if node["Node Type"] == "Seq Scan"]
    counted = [node["Plans"][0] for node, _ in nodes if node["Node Type"] in ("Sort", "Incremental Sort")]
    return Plan(
        pending.statement.name,
        whole,
        max((int(node["Actual Rows"] * node["Actual Loops"]) for node in counted), default=0),
        int(sum(rows(node) for node, _ in nodes if "Scan" in node["Node Type"] and node["Node Type"] != "Bitmap Index Scan")),
        found["Execution Time"] + found["Planning Time"],
        [line(node, depth) for node, depth in nodes],
    )


def walk(node: dict[str, Any], depth: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Give a node and all below it, with their depths."""
    yield node, depth
    for child in node.get("Plans", ()):
        yield from walk(child, depth + 1)


def rows(node: dict[str, Any]) -> float:
    """Give how many rows a node gave or passed over."""
    passed_over = sum(value for key, value in node.items() if key.startswith("Rows Removed"))
    return (node["Actual Rows"] + passed_over) * node["Actual Loops"]


def line(node: dict[str, Any], depth: int) -> str:
    """Tell of a node in a line."""
    about = [node["Node Type"], node.get("Index Name", ""), node.get("Relation Name", ""), f"{rows(node):.0f} rows"]
    about += [f"{key}: {node[key]}" for key in ("Index Cond", "Filter", "Sort Key") if key in node]
    return "  " * depth + " ".join(filter(None, about))
