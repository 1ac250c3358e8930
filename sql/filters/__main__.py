"""Prints what the filter objects of a resource become: python -m sql.filters flow_runs"""

import sys

from sql.filters import RESOURCES


def show(resource: str) -> str:
    """Give the predicates of a resource by their paths, how others are reached from it, and its orders."""
    criteria = RESOURCES[resource]
    reached = {other: f"through {middle}" for other, middle in criteria.through.items()}
    parts = {"conditions": criteria.predicate, "ways to other resources": criteria.via | reached, "sorts": criteria.sort}
    lines = [f"{resource}, the table {criteria.table}"]
    for title, entries in parts.items():
        width = max(map(len, entries), default=0) + 2
        indented = [f"  {name:{width}}{text}".replace("\n", "\n" + " " * (width + 2)) for name, text in entries.items()]
        lines += ["", title, *indented]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in RESOURCES:
        sys.exit(f"python -m sql.filters RESOURCE, which is one of {', '.join(RESOURCES)}")
    print(show(sys.argv[1]))
