"""Sequences about variables."""

from tests.differential import Step


def create(name: str, save: str = "variable", **fields) -> Step:
    """Make a variable."""
    return Step("POST", "/variables/", {"name": name, "value": 1} | fields, save=save)


def filters(*criteria: dict) -> list[Step]:
    """Ask for the variables and their number by each of these criteria."""
    return [Step("POST", f"/variables/{verb}", {"variables": chosen}) for chosen in criteria for verb in ("filter", "count")]


NAMED = {"name": {"like_": "{unique}"}}
THREE = [
    create("b-{unique}", "b", tags=["red", "blue"]),
    create("a_{unique}", "a", tags=["red"], value={"x": [1, None, "y"]}),
    create("c{unique}", "c"),
]
VALUES = (None, True, 0, -1.5, "", "text", [], [1, {"a": None}], {}, {"b": 1, "a": {"c": []}}, "é" * 2499, 2**63)

SEQUENCES = {
    "create_read_update_delete": [
        create("v-{unique}", value="one", tags=["x", "x", ""]),
        Step("GET", "/variables/{variable.id}"),
        Step("GET", "/variables/name/v-{unique}"),
        create("v-{unique}"),
        Step("PATCH", "/variables/{variable.id}", {"value": {"a": 1}}),
        Step("GET", "/variables/{variable.id}"),
        Step("PATCH", "/variables/{variable.id}", {"value": None, "tags": []}),
        Step("GET", "/variables/{variable.id}"),
        Step("PATCH", "/variables/name/v-{unique}", {"name": "w-{unique}", "tags": ["z"]}),
        Step("GET", "/variables/{variable.id}"),
        Step("PATCH", "/variables/name/v-{unique}", {"value": 2}),
        Step("PATCH", "/variables/name/w-{unique}", {}),
        Step("GET", "/variables/name/w-{unique}"),
        Step("DELETE", "/variables/{variable.id}"),
        Step("DELETE", "/variables/{variable.id}"),
        Step("GET", "/variables/{variable.id}"),
        Step("PATCH", "/variables/{variable.id}", {"value": 2}),
        create("v-{unique}"),
        Step("DELETE", "/variables/name/v-{unique}"),
        Step("DELETE", "/variables/name/v-{unique}"),
        Step("GET", "/variables/name/v-{unique}"),
    ],
    "rename_to_a_name_that_is_taken": [
        *THREE,
        Step("PATCH", "/variables/{a.id}", {"name": "b-{unique}"}),
        Step("PATCH", "/variables/name/a_{unique}", {"name": "b-{unique}"}),
        Step("GET", "/variables/{a.id}"),
    ],
    "values": [
        step
        for place, value in enumerate(VALUES)
        for step in (create(f"v{place}-{{unique}}", value=value), Step("GET", "/variables/{variable.id}"))
    ],
    "stored_values": [
        create("n-{unique}", value=None),
        create("s-{unique}", value="x"),
        Step("PATCH", "/variables/{variable.id}", {"value": None}),
        Step("SQL", "SELECT value::text, tags::text FROM variable WHERE name LIKE '%-{unique}' ORDER BY name"),
    ],
    "refused": [
        *(create(name) for name in ("A-{unique}", "a b", "a/b", "é", "x" * 256, "a.b")),
        *(Step("POST", "/variables/", body) for body in ({}, {"name": "x-{unique}"}, {"value": 1}, [], "x", None)),
        *(create("x-{unique}", tags=tags) for tags in (None, "x", [1], {"a": 1})),
        create("x-{unique}", value="x" * 4999),
        create("x-{unique}", value=["x" * 5000]),
        create("x-{unique}", unknown=1),
        create("x-{unique}"),
        *(Step("PATCH", "/variables/{variable.id}", body) for body in ({"name": "A"}, {"value": "x" * 5000}, {"tags": "x"})),
        *(
            step._replace(differs="Prefect fails in the database, with 409", status=422)
            for step in (
                Step("PATCH", "/variables/{variable.id}", {"name": None}),
                Step("PATCH", "/variables/{variable.id}", {"tags": None}),
            )
        ),
        Step("GET", "/variables/{variable.id}"),
        Step("GET", "/variables/not-an-id"),
    ],
    "filter": [
        *THREE,
        *filters(
            NAMED,
            {"id": {"any_": ["{a.id}", "{b.id}"]}},
            {"id": {"any_": []}},
            {"name": {"any_": ["b-{unique}", "c{unique}", "none"]}},
            {"name": {"like_": "B-{unique}"}},
            {"name": {"like_": "%_{unique}"}},
            NAMED | {"name": {"like_": "{unique}", "any_": ["b-{unique}"]}},
            NAMED | {"tags": {"all_": ["red"]}},
            NAMED | {"tags": {"all_": ["red", "blue"]}},
            NAMED | {"tags": {"all_": []}},
            NAMED | {"tags": {"is_null_": True}},
            NAMED | {"tags": {"is_null_": False}},
            NAMED | {"tags": {"operator": "or_", "all_": ["blue"], "is_null_": True}},
            {"operator": "or_", "id": {"any_": ["{a.id}"]}, "name": {"any_": ["b-{unique}"]}},
            {"id": None, "tags": None} | NAMED,
        ),
        Step("POST", "/variables/filter", {"variables": {"unknown": 1}}),
        Step("POST", "/variables/filter", {"variables": {"name": {"like_": 5}}}),
        Step("POST", "/variables/filter", {"variables": {"tags": {"is_null_": "perhaps"}}}),
    ],
    "sort_limit_offset": [
        *THREE,
        Step("PATCH", "/variables/{b.id}", {"value": 2}),
        *(
            Step("POST", "/variables/filter", {"variables": NAMED, "sort": sort})
            for sort in ("NAME_ASC", "NAME_DESC", "CREATED_DESC", "UPDATED_DESC", "NAME", None)
        ),
        *(
            Step("POST", "/variables/filter", {"variables": NAMED} | page)
            for page in ({"limit": 2}, {"limit": 2, "offset": 2}, {"limit": 0}, {"limit": 201}, {"offset": -1}, {"offset": 9})
        ),
    ],
}
