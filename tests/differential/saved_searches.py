"""Sequences about saved searches."""

from tests.differential import Step

CRITERION = {"object": "flow_run", "property": "name", "type": "string", "operation": "equals", "value": "x"}


def save(name: str, **fields) -> Step:
    """Save a search."""
    return Step("PUT", "/saved_searches/", {"name": name} | fields, save="saved")


SEQUENCES = {
    "save_read_replace_delete": [
        save("s-{unique}", filters=[CRITERION, CRITERION | {"value": None, "unknown": 1}]),
        Step("GET", "/saved_searches/{saved.id}"),
        save("s-{unique}", filters=[CRITERION | {"value": {"a": [1]}}]),
        Step("GET", "/saved_searches/{saved.id}"),
        save("s-{unique}"),
        Step("GET", "/saved_searches/{saved.id}"),
        Step("DELETE", "/saved_searches/{saved.id}"),
        Step("DELETE", "/saved_searches/{saved.id}"),
        Step("GET", "/saved_searches/{saved.id}"),
        Step("GET", "/saved_searches/not-an-id"),
    ],
    "list": [
        Step("SQL", "DELETE FROM saved_search"),
        save("b-{unique}"),
        save("a-{unique}", filters=[CRITERION]),
        save(""),
        Step("POST", "/saved_searches/filter"),
        Step("POST", "/saved_searches/filter", {}),
        Step("POST", "/saved_searches/filter", {"limit": 1, "offset": 1}),
        Step("POST", "/saved_searches/filter", {"limit": 0}),
        Step("POST", "/saved_searches/filter", {"limit": 201}),
        Step("POST", "/saved_searches/filter", {"offset": -1}),
    ],
    "refused": [
        Step("PUT", "/saved_searches/", {}),
        save("x-{unique}", filters=None),
        save("x-{unique}", filters=[{}]),
        save("x-{unique}", filters=[CRITERION | {"object": 5}]),
        save("x-{unique}", unknown=1),
        save(None),
    ],
}
