"""The composer: turns the filter objects of a request into one SQL condition.

A file of this folder holds, for one resource, its predicates (named by their path in the request), how the rows of other
resources are reached from it (`via` a condition, or `through` a resource that is reached itself), and its orders (`sort`):

    -- predicate: deployment_id.any_
    flow_run.deployment_id = ANY (%(flow_runs.deployment_id.any_)s::uuid[])

    -- via: work_queues
    EXISTS (SELECT FROM work_queue WHERE work_queue.id = flow_run.work_queue_id AND {filter})

    -- through: work_pools
    work_queues

    -- sort: EXPECTED_START_TIME_DESC
    flow_run.expected_start_time DESC, flow_run.id DESC

What a client sends reaches SQL only as parameters; operators that are null and predicates that are TRUE are left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sql.statement import Filter

HEADER = re.compile(r"^-- (?P<kind>predicate|via|through|sort): *(?P<name>[\w.]+)$", re.MULTILINE)
# One of several values; of a single one PostgreSQL knows more: that an index may begin with it and be in order behind it.
ANY = re.compile(r"= ANY \((%\([\w.]+\)s::\w+)\[\]\)")
# One of several prefixes, each of which PostgreSQL looks up in an index only if it stands by itself; so do as many as this.
PREFIXES = re.compile(r"\S+ \^@ (ANY \(%\([\w.]+\)s::text\[\]\))")
MOST_PREFIXES = 50
# The operators for which an empty list matches nothing; for all others an empty list or string does not restrict.
ONE_OF = ("any_", "id_", "type_")
# Objects that are left out when they do not restrict; any other holds then for all rows, which shows under or_ (observed on
# Prefect 3.8.3).
LEFT_OUT = ("state.type", "state.name", "concurrency_limit", "text")


def read_fragments(path: Path) -> dict[str, dict[str, str]]:
    """Read one file into {"predicate": {path: SQL}, "via": {resource: SQL}, "through": {resource: resource}, "sort": …}."""
    fragments: dict[str, dict[str, str]] = {"predicate": {}, "via": {}, "through": {}, "sort": {}}
    pieces = HEADER.split(path.read_text(encoding="utf-8"))
    for kind, name, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        lines = [line for line in text.strip().splitlines() if not line.startswith("--")]
        fragments[kind][name] = "\n".join(lines).strip()
    return fragments


FRAGMENTS = {path.stem: read_fragments(path) for path in sorted(Path(__file__).parent.glob("*.sql"))}


def sort_by(resource: str, name: str) -> str:
    """Give the ORDER BY list of one of a resource's sorts."""
    return FRAGMENTS[resource]["sort"][name]


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
            reached.setdefault(FRAGMENTS[resource]["through"].get(other, other), {})[other] = chosen
    for other, beyond in reached.items():
        clauses.append(FRAGMENTS[resource]["via"][other].replace("{filter}", gather(other, beyond, parameters)))
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
        if name in FRAGMENTS[resource]["predicate"]:
            text = FRAGMENTS[resource]["predicate"][name]
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
        elif (joined := join(resource, value, (*path, key), parameters)) != "TRUE" or name not in LEFT_OUT:
            yield joined
