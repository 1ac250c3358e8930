"""Every statement of the project, by file and name: `sql.flow_runs.lock(conn, id=…)` runs `lock` of sql/flow_runs.sql.

A statement begins with its header and one sentence of prose:

    -- name: lock :one
    -- The columns that orchestration reads; serialises the transitions of one run.
    SELECT …

Files are read once, at import. A header that is malformed, a shape that does not exist, a name that is used twice and a
parameter without a cast are errors then. Of sql/lists.sql each resource that can be filtered has statements of its own.
"""

import re
from pathlib import Path
from types import SimpleNamespace

from sql.filters import RESOURCES, Criteria
from sql.statement import SHAPES, Statement

TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.sql"))}
NONE = "{none}"  # in place of a view that a resource has not
HEADER = re.compile(r"^-- name: *(?P<name>\w+) +:(?P<shape>\w+)$", re.MULTILINE)


def read_statements(file: str, text: str) -> dict[str, Statement]:
    """Read the named statements of a file's text, in its order. Raises ValueError naming the file and the fault."""
    pieces = HEADER.split(text)
    statements: dict[str, Statement] = {}
    for name, shape, body in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        if shape not in SHAPES or name in statements:
            raise ValueError(f"{file}.sql: {name} :{shape} has an unknown shape or a name that is taken")
        lines = body.strip().splitlines()
        prose = " ".join(line.removeprefix("--").strip() for line in lines if line.startswith("--"))
        statement = "\n".join(line for line in lines if not line.startswith("--")).rstrip().removesuffix(";")
        try:
            statements[name] = Statement(f"{file}.{name}", shape, statement, prose)
        except ValueError as error:
            raise ValueError(f"{file}.sql: {name}: {error}") from None
    return statements


def read_lists(resource: str, criteria: Criteria) -> dict[str, Statement]:
    """Make the statements of sql/lists.sql for a resource; without a view there is none that shows rows."""
    text = TEXTS["lists"]
    for placeholder in ("table", "view"):
        text = text.replace(f"{{{placeholder}}}", getattr(criteria, placeholder) or NONE)
    made = read_statements(resource, text)
    if criteria.rows != "millions":
        del made["count_all"]
    return {name: statement for name, statement in made.items() if NONE not in statement.text}


STATEMENTS = {file: read_statements(file, text) for file, text in TEXTS.items() if file != "lists"}
for resource in RESOURCES.keys() & STATEMENTS.keys():
    STATEMENTS[resource] = read_lists(resource, RESOURCES[resource]) | STATEMENTS[resource]
globals().update({stem: SimpleNamespace(**statements) for stem, statements in STATEMENTS.items()})
