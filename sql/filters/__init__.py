"""The composer: turns the filter objects of a request into one SQL condition.

A file of this folder tells of one resource what of it can be asked for, by the path that the request has it at, how the rows of
others are reached from its rows, and its orders. `python -m sql.filters flow_runs` prints the SQL that comes of it:

    -- table: flow_run
    -- view: flow_run
    -- rows: millions

    -- column: deployment_id  uuid         any_ is_null_
    -- column: start_time     timestamptz  after_ IS COALESCE(flow_run.start_time, flow_run.expected_start_time)

    -- predicate: created_by.id_
    flow_run.created_by ->> 'id' = ANY (%(flow_runs.created_by.id_)s::text[])

    -- via: work_queues ON work_queue.id = flow_run.work_queue_id
    -- via: work_pools THROUGH work_queues

    -- sort: NAME_ASC NAME_DESC BY flow_run.name, flow_run.id

    -- left out: state.type

A column has a row: its path, its type, the operators (OPERATORS), and what it is if it is not the column of that name. What is
no operator on a column is a predicate in SQL of its own. Objects are left out when they do not restrict; any other then holds
for all rows, which shows under or_ (observed on Prefect 3.8.3).

Table and view are those of its lists (sql/lists.sql); where there may be millions of rows, not all of them are counted.

What a client sends reaches SQL only as parameters; operators that are null and predicates that are TRUE are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sql.statement import Filter

# What an operator asks of a column; some ask something else of a list of tags. Most runs have no tags, and those that have some
# are in an index of their own: hence sparse_tags.
OPERATORS = {
    "any_": "{column} = ANY ({value}::{type}[])",
    "not_any_": "{column} <> ALL ({value}::{type}[])",
    "like_": "{column} ILIKE '%' || {value}::text || '%'",
    "is_null_": "({column} IS NULL) = {value}::boolean",
    "exists_": "({column} IS NOT NULL) = {value}::boolean",
    "eq_": "{column} = {value}::{type}",
    "ge_": "{column} >= {value}::{type}",
    "after_": "{column} >= {value}::{type}",
    "since": "{column} >= {value}::{type}",
    "le_": "{column} <= {value}::{type}",
    "before_": "{column} <= {value}::{type}",
    "until": "{column} <= {value}::{type}",
    "tags all_": "{column} ?& {value}::text[]",
    "tags any_": "{column} ?| {value}::text[]",
    "tags is_null_": "({column} = '[]') = {value}::boolean",
    "sparse_tags all_": "{column} <> '[]' AND {column} ?& {value}::text[]",
    "sparse_tags any_": "{column} <> '[]' AND {column} ?| {value}::text[]",
    "sparse_tags is_null_": "({column} = '[]') = {value}::boolean",
}
# The operators for which an empty list matches nothing; for all others an empty list or string does not restrict.
ONE_OF = ("any_", "id_", "type_")

ENTRY = re.compile(r"^-- (?P<kind>table|view|rows|column|predicate|via|sort|left out): *(?P<entry>.+)$", re.MULTILINE)
COLUMN = re.compile(r"(?P<path>\S+) +(?P<type>\S+) +(?P<operators>.+?)(?: IS (?P<expression>.+))?")
VIA = re.compile(r"(?P<other>\w+)(?: ON (?P<condition>.+)| THROUGH (?P<through>\w+))?")
COMMA = re.compile(r", (?![^()]*\))")  # not one inside a function's parentheses
# One of several values; of a single one PostgreSQL knows more: that an index may begin with it and be in order behind it.
ANY = re.compile(r"= ANY \((%\([\w.]+\)s::\w+)\[\]\)")
# One of several prefixes, each of which PostgreSQL looks up in an index only if it stands by itself; so do as many as this.
PREFIXES = re.compile(r"\S+ \^@ (ANY \(%\([\w.]+\)s::text\[\]\))")
MOST_PREFIXES = 50


@dataclass
class Criteria:
    """What one file tells: SQL by path, by other resource and by sort; `through` has the resource by which another is reached."""

    resource: str
    table: str = ""
    view: str = ""
    rows: str = ""
    predicate: dict[str, str] = field(default_factory=dict)
    via: dict[str, str] = field(default_factory=dict)
    through: dict[str, str] = field(default_factory=dict)
    sort: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, kind: str, entry: str, text: str) -> None:
        """Take in an entry and the SQL below it. Raises ValueError for one that is malformed."""
        if kind in ("table", "view", "rows"):
            setattr(self, kind, entry)
        elif kind == "predicate":
            self.predicate[entry] = text
        elif kind == "column":
            self.add_column(match(COLUMN, entry))
        elif kind == "via":
            self.add_via(match(VIA, entry), text)
        elif kind == "sort":
            names, _, columns = entry.partition(" BY ")
            for name in names.split():
                direction = "DESC" if name.endswith("DESC") else "ASC"
                self.sort[name] = ", ".join(f"{column} {direction}" for column in COMMA.split(columns))
        else:
            self.left_out += entry.split()

    def add_column(self, row: re.Match) -> None:
        """Make the predicates of a column's operators."""
        column = row["expression"] or f"{self.table}.{row['path'].replace('.', '_')}"
        for operator in row["operators"].split():
            path = f"{row['path']}.{operator}"
            form = OPERATORS.get(f"{row['type']} {operator}") or OPERATORS[operator]
            self.predicate[path] = form.format(column=column, value=f"%({self.resource}.{path})s", type=row["type"])

    def add_via(self, way: re.Match, text: str) -> None:
        """Note how the rows of another resource are reached; which table these are in is known when all files are read."""
        if way["through"]:
            self.through[way["other"]] = way["through"]
        elif way["condition"]:
            self.via[way["other"]] = f"EXISTS (SELECT FROM {{table}} WHERE {way['condition']} AND {{filter}})"
        else:
            self.via[way["other"]] = text


def match(pattern: re.Pattern, entry: str) -> re.Match:
    """Read an entry. Raises ValueError if it is malformed."""
    if found := pattern.fullmatch(entry):
        return found
    raise ValueError(f"a malformed entry: {entry}")


def read_criteria(path: Path) -> Criteria:
    """Read one file."""
    criteria = Criteria(path.stem)
    pieces = ENTRY.split(path.read_text(encoding="utf-8"))
    for kind, entry, below in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        lines = [line for line in below.strip().splitlines() if not line.startswith("--")]
        criteria.add(kind, entry, "\n".join(lines).strip())
    return criteria


RESOURCES = {path.stem: read_criteria(path) for path in sorted(Path(__file__).parent.glob("*.sql"))}
for criteria in RESOURCES.values():
    criteria.via = {other: way.replace("{table}", RESOURCES[other].table) for other, way in criteria.via.items()}


def sort_by(resource: str, name: str) -> str:
    """Give the ORDER BY list of one of a resource's sorts."""
    return RESOURCES[resource].sort[name]


def compose(resource: str, **criteria: dict[str, Any] | None) -> Filter:
    """Compose the condition on the rows of a resource, e.g. `compose("flow_runs", flow_runs={…}, flows={…})`.

    Criteria are validated filter objects by resource. Those of another resource hold for a row if one is reached from it
    that matches, and so even an empty object asks that there is one. None does not restrict.
    """
    parameters: dict[str, Any] = {}
    given = {other: chosen for other, chosen in criteria.items() if chosen is not None}
    return Filter(gather(resource, given, parameters), parameters)


def gather(resource: str, criteria: dict[str, dict], parameters: dict[str, Any]) -> str:
    """Give the condition on the rows of a resource and on those reached from it; criteria that are reached through the
    same resource must hold for one row of it together."""
    clauses = [join(resource, criteria[resource], (), parameters)] if resource in criteria else []
    reached: dict[str, dict] = {}
    for other, chosen in criteria.items():
        if other != resource:
            reached.setdefault(RESOURCES[resource].through.get(other, other), {})[other] = chosen
    for other, beyond in reached.items():
        clauses.append(RESOURCES[resource].via[other].replace("{filter}", gather(other, beyond, parameters)))
    return "\n   AND ".join(clauses) or "TRUE"


def join(resource: str, chosen: dict[str, Any], path: tuple, parameters: dict[str, Any]) -> str:
    """Join the predicates below a path by the operator of the object there and note their parameters."""
    glue = " OR " if chosen.get("operator") == "or_" else " AND "
    found = list(predicates(resource, chosen, path, parameters))
    return f"({glue.join(found)})" if found else "TRUE"


def predicates(resource: str, chosen: dict[str, Any], path: tuple, parameters: dict[str, Any]) -> Iterator[str]:
    """Give the predicate of each operator and of each object below a path."""
    for key, value in chosen.items():
        name = ".".join((*path, key))
        if value is None or key == "operator" or (value in ("", []) and key not in ONE_OF):
            continue
        if text := RESOURCES[resource].predicate.get(name):
            if (prefixes := PREFIXES.fullmatch(text)) and len(value) <= MOST_PREFIXES:
                each = {f"{resource}.{name}.{number}": prefix for number, prefix in enumerate(value)}
                parameters |= each
                yield f"({' OR '.join(text.replace(prefixes[1], f'%({one})s::text') for one in each)})"
                continue
            if isinstance(value, list) and len(value) == 1 and ANY.search(text):
                text, value = ANY.sub(r"= \1", text), value[0]
            if f"%({resource}.{name})s" in text:
                parameters[f"{resource}.{name}"] = value
            if text != "TRUE":
                yield f"({text})"
        elif (joined := join(resource, value, (*path, key), parameters)) != "TRUE" or name not in RESOURCES[resource].left_out:
            yield joined
