"""Sequences about artifacts."""

from tests.differential import Step
from tests.differential.steps import after_each, create_flow, create_flow_run, create_task_run, propose, propose_for_task


def create(save: str = "artifact", **fields) -> Step:
    """Make an artifact."""
    return Step("POST", "/artifacts/", fields, save=save)


def lists(*bodies: dict, latest: bool = False) -> list[Step]:
    """Ask for the artifacts and their number by each of these bodies."""
    prefix = "/artifacts/latest" if latest else "/artifacts"
    return [
        Step("POST", f"{prefix}/{verb}", {"sort": "CREATED_DESC"} | body if verb == "filter" else body)
        for body in bodies
        for verb in ("filter", "count")
    ]


KEYED = {"key": {"like_": "{unique}"}}
RUNS = [
    create_flow(),
    create_flow_run(name="run-{unique}"),
    create_flow_run("other", name="other-{unique}"),
    create_task_run(flow_run_id="{run.id}", name="task-{unique}"),
]
FOUR = [
    *RUNS,
    create("one", key="one-{unique}", type="markdown", data="# 1", flow_run_id="{run.id}", task_run_id="{task.id}"),
    create("two", key="two-{unique}", type="table", data='[{"a": 1}]', flow_run_id="{run.id}"),
    create("three", key="one-{unique}", type="markdown", data="# 2", flow_run_id="{other.id}"),
    create("four", type="result", data={"b": 1, "a": 2}, flow_run_id="{run.id}"),
]
OF_THE_RUN = {"flow_run_id": {"any_": ["{run.id}", "{other.id}"]}}
STORED = (
    "SELECT key, type, data::jsonb::text, metadata_::jsonb::text, description FROM {table}"
    " WHERE key LIKE '%-{unique}' ORDER BY created"
)
BY_RUNS = (
    {"flow_runs": {"name": {"any_": ["run-{unique}"]}}},
    {"task_runs": {"name": {"any_": ["task-{unique}"]}}},
    {"flows": {"name": {"like_": "{unique}"}}},
    {"flows": {"name": {"like_": "{unique}"}}, "flow_runs": {"name": {"any_": ["other-{unique}"]}}},
    {"flow_runs": {"name": {"any_": ["other-{unique}"]}}, "task_runs": {"name": {"any_": ["task-{unique}"]}}},
    {"artifacts": KEYED, "flow_runs": {}},
    {"artifacts": KEYED, "task_runs": None},
    {"artifacts": KEYED, "deployments": {}},
    {"artifacts": KEYED, "deployments": {"name": {"any_": ["none"]}}, "flows": {"name": {"like_": "{unique}"}}},
)

SEQUENCES = {
    "results_with_a_key": [
        *RUNS,
        propose("RUNNING"),
        *after_each(
            [
                propose(
                    "COMPLETED",
                    data={"artifact_key": "s-{unique}", "artifact_type": "t", "artifact_description": "d", "x": 1},
                    force=True,
                ),
                propose("COMPLETED", data={"artifact_key": "s-{unique}", "x": 2}, force=True),
                propose_for_task("COMPLETED", data={"artifact_key": "s-{unique}", "artifact_type": "u", "x": 3}, force=True),
                propose("COMPLETED", data={"artifact_type": "u", "x": 4}, force=True),
            ],
            [Step("GET", "/artifacts/s-{unique}/latest"), *lists({"artifacts": {"key": {"any_": ["s-{unique}"]}}}, latest=True)],
        ),
    ],
    "create_read_update_delete": [
        *RUNS,
        create(
            key="a-{unique}",
            type="markdown",
            description="what it is",
            data="# text",
            metadata_={"x": "y", "long": "z" * 501},
            flow_run_id="{run.id}",
            task_run_id="{task.id}",
        ),
        Step("GET", "/artifacts/{artifact.id}"),
        Step("GET", "/artifacts/a-{unique}/latest"),
        Step("PATCH", "/artifacts/{artifact.id}", {"data": {"b": 1, "a": [None]}}),
        Step("GET", "/artifacts/{artifact.id}"),
        Step("GET", "/artifacts/a-{unique}/latest"),
        Step("PATCH", "/artifacts/{artifact.id}", {"data": None, "description": None, "metadata_": None}),
        Step("GET", "/artifacts/{artifact.id}"),
        Step("GET", "/artifacts/a-{unique}/latest"),
        Step("PATCH", "/artifacts/{artifact.id}", {"metadata_": {"k": "w" * 600}}),
        Step("PATCH", "/artifacts/{artifact.id}", {}),
        Step("GET", "/artifacts/{artifact.id}"),
        Step("DELETE", "/artifacts/{artifact.id}"),
        Step("DELETE", "/artifacts/{artifact.id}"),
        Step("PATCH", "/artifacts/{artifact.id}", {"data": 1}),
        Step("GET", "/artifacts/{artifact.id}"),
        Step("GET", "/artifacts/a-{unique}/latest"),
    ],
    "create_with_fewest_fields": [
        create(),
        Step("GET", "/artifacts/{artifact.id}"),
        create(key="", type="", description="", data="", metadata_={}),
        Step("DELETE", "/artifacts/{artifact.id}"),
        *(create(data=data) for data in (None, 0, False, [], {}, "null", [1, {"a": 2}], {"$ref": "x"})),
        create(flow_run_id="{uuid.none}", task_run_id="{uuid.none}"),
    ],
    "versions": [
        create("first", key="k-{unique}", type="table", data="1", metadata_={"v": "1"}, flow_run_id="{uuid.run}"),
        create("second", key="k-{unique}", data="2", task_run_id="{uuid.task}"),
        Step("GET", "/artifacts/k-{unique}/latest"),
        *lists({"artifacts": KEYED}, latest=True),
        create("third", key="k-{unique}", type="markdown", description="3"),
        Step("PATCH", "/artifacts/{second.id}", {"description": "changed"}),
        Step("GET", "/artifacts/k-{unique}/latest"),
        Step("DELETE", "/artifacts/{third.id}"),
        Step("GET", "/artifacts/k-{unique}/latest"),
        *lists({"artifacts": KEYED}, latest=True),
        Step("DELETE", "/artifacts/{first.id}"),
        *lists({"artifacts": KEYED}, latest=True),
        Step("DELETE", "/artifacts/{second.id}"),
        Step("GET", "/artifacts/k-{unique}/latest"),
        *lists({"artifacts": KEYED}, latest=True),
    ],
    "stored_values": [
        create(key="a-{unique}"),
        create(key="b-{unique}", data={"b": 1, "a": 2}, metadata_={"x": "y"}, description=""),
        create(key="c-{unique}", data="x"),
        Step("PATCH", "/artifacts/{artifact.id}", {"data": None, "metadata_": None, "description": None}),
        *(Step("SQL", STORED.replace("{table}", table)) for table in ("artifact", "artifact_collection")),
    ],
    "refused": [
        *(create(key=key) for key in ("A-{unique}", "a_b", "a b", "é", 5)),
        *(create(metadata_=metadata) for metadata in ("x", [1], {"a": 1}, {"a": None}, {"a": {}})),
        *(create(type=kind) for kind in (5, ["x"])),
        create(flow_run_id="nonsense"),
        create(task_run_id=5),
        create(unknown=1),
        create(id="{uuid.id}"),
        create(),
        *(
            Step("PATCH", "/artifacts/{artifact.id}", body)
            for body in ({"key": "x"}, {"metadata_": {"a": 1}}, {"description": 5}, [1])
        ),
        Step("GET", "/artifacts/{artifact.id}"),
        Step("GET", "/artifacts/not-an-id"),
        Step("GET", "/artifacts/none-{unique}/latest"),
    ],
    "filter": [
        *FOUR,
        *lists(
            *(
                {"artifacts": criteria}
                for criteria in (
                    KEYED,
                    {"id": {"any_": ["{one.id}", "{four.id}"]}},
                    {"id": {"any_": []}},
                    {"key": {"any_": ["one-{unique}"]}},
                    OF_THE_RUN | {"key": {"exists_": False}},
                    OF_THE_RUN | {"key": {"exists_": True}},
                    {"key": {"like_": "ONE-{unique}"}},
                    OF_THE_RUN | {"key": {"like_": ""}},
                    OF_THE_RUN,
                    {"task_run_id": {"any_": ["{task.id}"]}},
                    OF_THE_RUN | {"type": {"any_": ["table", "result"]}},
                    OF_THE_RUN | {"type": {"not_any_": ["result"]}},
                    OF_THE_RUN | {"type": {"not_any_": []}},
                    OF_THE_RUN | {"type": {}, "key": None},
                    {"operator": "or_", "id": {"any_": ["{one.id}"]}, "key": {"any_": ["two-{unique}"]}},
                )
            ),
            *BY_RUNS,
        ),
        Step("POST", "/artifacts/filter", {"artifacts": {"latest_id": {"any_": ["{one.id}"]}}}),
        Step("POST", "/artifacts/count", {"artifacts": {"key": {"like_": 5}}}),
    ],
    "filter_latest": [
        *FOUR,
        *lists(
            *(
                {"artifacts": criteria}
                for criteria in (
                    KEYED,
                    {"latest_id": {"any_": ["{one.id}", "{two.id}", "{three.id}"]}},
                    {"latest_id": {"any_": []}},
                    {"key": {"any_": ["one-{unique}"]}},
                    OF_THE_RUN | {"key": {"exists_": False}},
                    OF_THE_RUN | {"key": {"exists_": True, "like_": "one"}},
                    {"task_run_id": {"any_": ["{task.id}"]}},
                    OF_THE_RUN | {"type": {"any_": ["table"]}},
                    OF_THE_RUN | {"type": {"not_any_": ["table"]}},
                    {"operator": "or_", "latest_id": {"any_": ["{three.id}"]}, "key": {"any_": ["two-{unique}"]}},
                )
            ),
            *BY_RUNS,
            latest=True,
        ),
        Step("POST", "/artifacts/latest/filter", {"artifacts": {"id": {"any_": ["{one.id}"]}}}),
    ],
    "sort_limit_offset": [
        *FOUR,
        Step("PATCH", "/artifacts/{two.id}", {"description": "newest"}),
        *(
            Step("POST", f"/artifacts{latest}/filter", {"artifacts": KEYED, "sort": sort})
            for latest in ("", "/latest")
            for sort in ("CREATED_DESC", "UPDATED_DESC", "NAME_ASC", *(("KEY_ASC", "KEY_DESC") if latest else ()))
        ),
        *(
            Step("POST", f"/artifacts{latest}/filter", {"artifacts": KEYED, "sort": "CREATED_DESC"} | page)
            for latest in ("", "/latest")
            for page in ({"limit": 2}, {"limit": 2, "offset": 1}, {"limit": 0}, {"limit": 201}, {"offset": -1}, {"offset": 9})
        ),
    ],
}
