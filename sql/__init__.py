"""Every statement of the project, by file and name: `sql.flow_runs.lock(conn, id=…)` runs `lock` of sql/flow_runs.sql.

A statement begins with its header and one sentence of prose:

    -- name: lock :one
    -- The columns that orchestration reads; serialises the transitions of one run.
    SELECT …

Files are read once, at import. A header that is malformed, a shape that does not exist, a name that is used twice and a
parameter without a cast are errors then.
"""

import re
from pathlib import Path
from types import SimpleNamespace

from sql.statement import SHAPES, Statement

FOLDER = Path(__file__).parent
HEADER = re.compile(r"^-- name: *(?P<name>\w+) +:(?P<shape>\w+)$", re.MULTILINE)


def read_statements(path: Path) -> dict[str, Statement]:
    """Read the named statements of a file, in its order. Raises ValueError naming the file and the fault."""
    pieces = HEADER.split(path.read_text(encoding="utf-8"))
    statements: dict[str, Statement] = {}
    for name, shape, body in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        if shape not in SHAPES or name in statements:
            raise ValueError(f"{path.name}: {name} :{shape} has an unknown shape or a name that is taken")
        lines = body.strip().splitlines()
        prose = " ".join(line.removeprefix("--").strip() for line in lines if line.startswith("--"))
        text = "\n".join(line for line in lines if not line.startswith("--")).rstrip().removesuffix(";")
        try:
            statements[name] = Statement(f"{path.stem}.{name}", shape, text, prose)
        except ValueError as error:
            raise ValueError(f"{path.name}: {name}: {error}") from None
    return statements


STATEMENTS = {path.stem: read_statements(path) for path in sorted(FOLDER.glob("*.sql"))}
globals().update({stem: SimpleNamespace(**statements) for stem, statements in STATEMENTS.items()})
