"""Sequences about flows."""

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, create_task_run, state

NAMED = {"flows": {"name": {"like_": "{unique}"}}}
THREE_FLOWS = [
    create_flow("b", "b-{unique}", tags=["red", "blue"], labels={"a": 1}),
    create_flow("a", "a-{unique}", tags=["red"]),
    create_flow("c", "C-{unique}", tags=[]),
]


def filters(*bodies: dict) -> list[Step]:
    """Ask for the flows and their number by each filter."""
    return [Step("POST", f"/flows/{verb}", body) for body in bodies for verb in ("filter", "count")]


SEQUENCES = {
    "create_read_update_delete": [
        create_flow(tags=["x", "y"], labels={"team": "a", "number": 3, "ratio": 0.5, "on": True}),
        Step("GET", "/flows/{flow.id}"),
        Step("GET", "/flows/name/flow-{unique}"),
        Step("PATCH", "/flows/{flow.id}", {"tags": ["z"]}),
        Step("GET", "/flows/{flow.id}"),
        Step("PATCH", "/flows/{flow.id}", {"tags": []}),
        Step("GET", "/flows/{flow.id}"),
        Step("PATCH", "/flows/{flow.id}", {}),
        Step("PATCH", "/flows/{flow.id}", {"tags": None}),
        Step("PATCH", "/flows/{flow.id}", {"name": "other", "labels": {"a": 1}}),
        Step("GET", "/flows/{flow.id}"),
        Step("DELETE", "/flows/{flow.id}"),
        Step("DELETE", "/flows/{flow.id}"),
        Step("GET", "/flows/{flow.id}"),
        Step("PATCH", "/flows/{flow.id}", {"tags": ["z"]}),
        Step("GET", "/flows/name/flow-{unique}"),
    ],
    "create_existing": [
        create_flow("first", tags=["one"], labels={"a": "b"}),
        create_flow("second", tags=["two"], labels={"c": "d"}),
        Step("GET", "/flows/{first.id}"),
        Step("POST", "/flows/", {"name": "flow-{unique}"}),
    ],
    "create_with_fewest_fields": [
        Step("POST", "/flows/", {"name": "few-{unique}"}, save="flow"),
        Step("POST", "/flows/", {"name": "null-{unique}", "labels": None}, save="null", ignore=("labels",)),
        Step(
            "GET",
            "/flows/{null.id}",
            differs="null counts as no labels here, as it does for the runs of both servers",
            status=200,
            contains={"labels": {}},
        ),
        Step("POST", "/flows/", {"name": "extra-{unique}", "unknown": 1}),
        Step("POST", "/flows/", {"name": "tags-{unique}", "tags": ["same", "same", " ", ""]}),
    ],
    "names": [
        Step("POST", "/flows/", {"name": name}, save="flow")
        for name in ("späte Flöte {unique}", "a b-{unique}", "x" * 300 + "-{unique}", "q?&#-{unique}", " {unique} ")
    ]
    + [
        Step("GET", "/flows/name/sp%C3%A4te%20Fl%C3%B6te%20{unique}"),
        Step("GET", "/flows/name/a%20b-{unique}"),
        Step("GET", "/flows/name/A%20B-{unique}"),
        Step("GET", "/flows/name/q%3F%26%23-{unique}"),
    ],
    "filter_by_own_fields": [
        *THREE_FLOWS,
        *filters(
            NAMED,
            {"flows": {"id": {"any_": ["{a.id}", "{b.id}"]}}},
            {"flows": {"id": {"any_": []}}},
            {"flows": {"id": {"not_any_": ["{a.id}"]}, "name": {"like_": "{unique}"}}},
            {"flows": {"name": {"any_": ["a-{unique}", "c-{unique}"]}}},
            {"flows": {"name": {"like_": "C-{unique}"}}},
            {"flows": {"name": {"like_": "%-{unique}"}}},
            {"flows": {"name": {"like_": "_-{unique}"}}},
            {"flows": {"tags": {"all_": ["red"]}, "name": {"like_": "{unique}"}}},
            {"flows": {"tags": {"all_": ["red", "blue"]}, "name": {"like_": "{unique}"}}},
            {"flows": {"tags": {"all_": []}, "name": {"like_": "{unique}"}}},
            {"flows": {"tags": {"is_null_": True}, "name": {"like_": "{unique}"}}},
            {"flows": {"tags": {"is_null_": False}, "name": {"like_": "{unique}"}}},
            {"flows": {"deployment": {"is_null_": True}, "name": {"like_": "{unique}"}}},
            {"flows": {"deployment": {"is_null_": False}, "name": {"like_": "{unique}"}}},
            {"flows": {"operator": "or_", "id": {"any_": ["{a.id}"]}, "name": {"any_": ["b-{unique}"]}}},
            {"flows": {"operator": "and_", "id": {"any_": ["{a.id}"]}, "name": {"any_": ["b-{unique}"]}}},
            {"flows": {"id": None, "name": {"like_": "{unique}"}, "tags": None, "deployment": None}},
        ),
    ],
    "sort_limit_offset": [
        *THREE_FLOWS,
        *(Step("POST", "/flows/filter", NAMED | {"sort": sort}) for sort in ("NAME_ASC", "NAME_DESC", "CREATED_DESC")),
        Step("PATCH", "/flows/{b.id}", {"tags": ["newest"]}),
        Step("POST", "/flows/filter", NAMED | {"sort": "UPDATED_DESC"}),
        Step("POST", "/flows/filter", NAMED | {"limit": 2}),
        Step("POST", "/flows/filter", NAMED | {"limit": 2, "offset": 2}),
        Step("POST", "/flows/filter", NAMED | {"limit": 0}),
        Step("POST", "/flows/filter", NAMED | {"offset": 9}),
        Step("POST", "/flows/filter", NAMED | {"limit": None, "sort": "NAME_ASC"}),
        Step("POST", "/flows/filter", NAMED | {"flow_runs": None, "task_runs": None, "deployments": None}),
        Step("POST", "/flows/paginate", NAMED | {"limit": 2}),
        Step("POST", "/flows/paginate", NAMED | {"limit": 2, "page": 2}),
        Step("POST", "/flows/paginate", NAMED | {"limit": 2, "page": 9}),
        Step("POST", "/flows/paginate", NAMED | {"limit": 2, "page": 0}),
    ],
    "filter_by_runs": [
        *THREE_FLOWS,
        create_flow_run("run", "a", name="run-{unique}", state=state("RUNNING")),
        create_flow_run("other", "b", name="other-{unique}", state=state("SCHEDULED")),
        create_task_run("task", flow_run_id="{run.id}", name="task-{unique}"),
        *filters(
            {"flow_runs": {"name": {"like_": "{unique}"}}},
            {"flow_runs": {"id": {"any_": ["{run.id}"]}}},
            {"flow_runs": {"id": {"any_": ["{run.id}", "{other.id}"]}, "state": {"type": {"any_": ["RUNNING"]}}}},
            {"task_runs": {"name": {"any_": ["task-{unique}"]}}},
            {"flow_runs": {"id": {"any_": ["{other.id}"]}}, "task_runs": {"name": {"any_": ["task-{unique}"]}}},
            NAMED | {"flow_runs": {"id": {"not_any_": ["{run.id}"]}}},
            NAMED | {"deployments": {"name": {"any_": ["none-{unique}"]}}},
            NAMED | {"work_pools": {"name": {"any_": ["none-{unique}"]}}},
        ),
    ],
    "delete_with_runs": [
        create_flow(),
        create_flow_run(),
        Step("DELETE", "/flows/{flow.id}"),
        Step("GET", "/flow_runs/{run.id}"),
        create_flow(),
        create_flow_run("one"),
        create_flow_run("two"),
        Step("POST", "/flows/bulk_delete", {"flows": {"id": {"any_": ["{flow.id}", "{uuid.none}"]}}}),
        Step("GET", "/flows/{flow.id}"),
        Step("GET", "/flow_runs/{one.id}"),
    ],
    "bulk_delete": [
        *THREE_FLOWS,
        Step("POST", "/flows/bulk_delete", NAMED | {"limit": 2}, ignore=("deleted",)),
        Step("POST", "/flows/count", NAMED),
        Step("POST", "/flows/bulk_delete", NAMED),
        Step("POST", "/flows/bulk_delete", NAMED),
        Step("POST", "/flows/count", NAMED),
    ],
}
