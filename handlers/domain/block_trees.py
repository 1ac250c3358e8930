"""How much may be in a block: what is nested is shown whole, and two fields a level are 2^n blocks already."""

from typing import Any

MAX_NESTED = 200
MAX_LEVELS = 40  # values of 200 levels within these are what orjson can still write
TOO_MUCH = f"A block can hold {MAX_NESTED} others at most, each as often as it is there, in {MAX_LEVELS} levels."


def holds_too_much(id: str, found: dict[str, dict[str, Any]]) -> bool:
    """Tell whether there is too much in a block or schema to be shown; `found` are the rows of all, by id."""
    waiting, number = [(id, (id,))], 0
    while waiting:
        outer, path = waiting.pop()
        inner = [nested["id"] for nested in found[outer]["nested"] if nested["id"] not in path]
        number += len(inner)
        if number > MAX_NESTED or (inner and len(path) > MAX_LEVELS):
            return True
        waiting += [(each, (*path, each)) for each in inner]
    return False


def bounded(id: str, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Give the rows of which a block or schema is shown; of its own alone if there is too much in it, as others may leave it."""
    return {id: found[id] | {"nested": []}} if holds_too_much(id, found) else found
