"""Sequences about what only the web interface asks for: points, counts, the next runs, and forms that are checked."""

from typing import Any

from tests.differential import Step
from tests.differential.run_history import IN_POOLS, OURS, PLACED, place
from tests.differential.steps import STATES, create_flow, create_flow_run, create_task_run, state
from tests.resources import NOBODY

SINCE = {"after_": "2026-01-05T00:00:30Z"}


def points(**arguments: Any) -> Step:
    """Ask for the flow runs of a scatter plot."""
    return Step("POST", "/ui/flow_runs/history", arguments)


def outcomes(start_time: dict | None, **criteria: Any) -> Step:
    """Ask how many of the task runs of the sequence have succeeded and failed by time."""
    return Step("POST", "/ui/task_runs/dashboard/counts", {"task_runs": OURS | {"start_time": start_time}} | criteria)


def counts(**criteria: Any) -> Step:
    """Ask how many task runs are in which state."""
    return Step("POST", "/ui/task_runs/count", criteria)


def of(path: str, field: str, *ids: Any) -> Step:
    """Ask for something about each of these ids."""
    return Step("POST", f"/ui/{path}", {field: list(ids)})


def scheduled(save: str, seconds: int, name: str | None = None, flow: str = "flow") -> Step:
    """Make a flow run that is to start so many seconds from now."""
    planned = state("SCHEDULED", name, scheduled_time=f"{{now{seconds:+}}}")
    return create_flow_run(save, flow, name=f"{save}-{{unique}}", state=planned)


def form(schema: Any, values: Any) -> Step:
    """Have the values of a form checked."""
    return Step("POST", "/ui/schemas/validate", {"schema": schema, "values": values}, unordered=True)


def form_with(a: dict, value: Any, **schema: Any) -> Step:
    """Have the value of the one field of a form checked."""
    return form({"type": "object", "properties": {"a": a}} | schema, {"a": value})


def placeholder(kind: str | None, **fields: Any) -> dict:
    """Give what stands for a value that is to be made of others."""
    return {"__prefect_kind": kind} | fields


def faulty(path: list, value: Any, words: list, **schema: Any) -> Step:
    """Have a value checked that cannot be filled in; the words of its error are ours."""
    errors: Any = words
    for name in reversed(path):
        errors = [{"index" if isinstance(name, int) else "property": name, "errors": errors}]
    step = form_with({"type": "integer"} | schema, value)
    return step._replace(differs="the wording is ours", status=200, contains={"errors": errors, "valid": False})


INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
# By format, what has it, and what does not.
FORMATS = {
    "date-time": (
        ("2026-11-21T04:00:00Z", "2026-11-21t04:00:00.5+02:00", "2024-02-29T23:59:59-11:30"),
        ("x", "2026-11-21", "2026-11-21 04:00:00Z", "2026-11-21T04:00:00", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z", ""),
    ),
    "date": (("2026-11-21",), ("2026-02-30", "x", "")),
    "time": (("04:00:00Z", "04:00:00.25+02:00"), ("04:00", "25:00:00Z", "x")),
    "uuid": (("4b05f2b7-6d0f-4d3d-a7c9-000000000000",), ("x", "4b05f2b7")),
    "email": (("a@b",), ("x",)),
    "regex": (("^a$",), ("(",)),
    "time-delta": (("x", "5"), ()),
    "password": (("x",), ()),
}
BLOCK = {"title": "B", "type": "object", "block_type_slug": "b", "properties": {"x": TEXT}, "required": ["x"]}
WITH_BLOCK = {"definitions": {"B": BLOCK}}
NESTED = {"type": "object", "properties": {"b": TEXT, "c": {"type": "array", "items": INTEGER}}, "required": ["b"]}
FORMS = [
    form({}, {}),
    form({"type": "object", "properties": {}}, {"a": 1}),
    form({"type": "object", "properties": {}, "additionalProperties": False}, {"a": 1}),
    *(form_with(INTEGER, value) for value in (1, 1.0, 1.5, "x", None, True, [], {})),
    *(form_with(INTEGER | {"default": 5}, value) for value in (1, None)),
    *(form_with({"type": "null"}, value) for value in (1, None)),
    *(form_with(INTEGER, value, required=["a"]) for value in (1, None)),
    form({"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a", "b"]}, {}),
    form_with({"type": "string", "minLength": 5, "pattern": "^x", "default": ""}, "b"),
    form_with({"enum": ["x", "y"]}, "z"),
    form_with({"anyOf": [INTEGER, {"type": "null"}]}, "x"),
    form_with({"allOf": [{"$ref": "#/definitions/N"}], "default": {}}, {"c": ["x"]}, definitions={"N": NESTED}),
    *(form_with({"type": "array", "items": INTEGER, "default": []}, value) for value in ([1, "x", 2, "y"], "x", [[]])),
    *(form_with({"type": "array", "items": NESTED}, value) for value in ([{"b": "x"}], [{}, {"b": 1, "c": [1, "x"]}])),
    *(form_with(NESTED, value) for value in ({"b": "x", "c": []}, {"b": 1, "c": ["x", "y"]}, {}, {"b": None, "c": None})),
    form_with({"type": "array", "items": [INTEGER, TEXT]}, ["x", 1]),
    form_with({"type": "array", "prefixItems": [INTEGER, TEXT], "default": []}, ["x", 1]),
    form({"properties": {"a": INTEGER, "b": NESTED, "c": TEXT}, "required": ["a"]}, {"a": "x", "b": {"c": [1, "x"]}, "c": 1}),
    form({"properties": {"b": NESTED, "c": TEXT}, "required": ["c"]}, {"b": {"b": "x"}, "c": None})._replace(
        differs="Prefect takes what is required inside of one field for what is required of those after it",
        contains={"errors": [{"property": "c", "errors": ["None is not of type 'string'"]}], "valid": False},
    ),
    *(form_with(TEXT | {"format": name}, text) for name, texts in FORMATS.items() for kind in texts for text in kind),
    *(form_with({"format": "date-time"}, value) for value in (5, None, [])),
    *(form_with({"$ref": "#/definitions/B"}, value, **WITH_BLOCK) for value in ({"x": "y"}, {}, 5, {"$ref": 5}, {"$ref": {}})),
    form_with({"$ref": "#/definitions/B"}, {"$ref": "4b05f2b7-6d0f-4d3d-a7c9-000000000000"}, **WITH_BLOCK),
    form_with({"$ref": "#/definitions/B"}, {"$ref": {"block_document_id": "{uuid.block}"}}, **WITH_BLOCK),
]
PLACEHOLDERS = [
    Step("POST", "/variables/", {"name": "v_{unique}", "value": {"n": 5}}),
    Step("POST", "/variables/", {"name": "w_{unique}", "value": "text"}),
    *(form_with(INTEGER, placeholder("json", value=text)) for text in ("5", '"x"', "[1]", "null")),
    *(form_with(INTEGER, placeholder("json", value=value)) for value in (5, ["x"], placeholder("none", value="5"))),
    *(form_with(INTEGER, placeholder(kind), required=["a"]) for kind in ("json", "workspace_variable")),
    *(form_with({"type": "array", "items": INTEGER}, [placeholder("json"), item]) for item in (1, "x")),
    form_with(INTEGER, placeholder("jinja", template="{{ anything }}")),
    form_with({"anyOf": [INTEGER, NESTED]}, placeholder("jinja", template="{{ anything }}")),
    form_with({"type": "array", "items": INTEGER, "default": []}, [placeholder("jinja", template=""), "x"]),
    form_with(INTEGER, placeholder("jinja", template=placeholder("json"))),
    *(form_with(INTEGER, placeholder("workspace_variable", variable_name=f"{name}_{{unique}}")) for name in "vw"),
    form_with({"properties": {"n": TEXT}}, placeholder("workspace_variable", variable_name="v_{unique}")),
    form_with(TEXT, placeholder("workspace_variable", variable_name=placeholder("none", value="w_{unique}"))),
    *(form_with(INTEGER, placeholder("none", value=value)) for value in (5, "x", None, placeholder("none", value="x"))),
    form_with(NESTED, placeholder("none", value={"b": placeholder("json", value="5"), "c": [placeholder("json")]})),
    *(form_with(INTEGER, placeholder(kind, value=value)) for kind in ("other", None) for value in (5, "x")),
    form_with(INTEGER, placeholder("other")),
    *(form({"type": "object"}, placeholder("json", **fields)) for fields in ({}, {"value": "{}"}, {"value": "[1]"})),
    form({"type": "object"}, placeholder("jinja", template="{{ x }}")),
    faulty(["a"], placeholder("none"), ["a 'none' placeholder lacks 'value'"]),
    faulty(["a"], placeholder("jinja"), ["a 'jinja' placeholder lacks 'template'"]),
    faulty(["a"], placeholder("workspace_variable", variable_name="no_such"), ["there is no variable 'no_such'"]),
    faulty(["a"], placeholder("workspace_variable", variable_name=["x"]), ["there is no variable ['x']"]),
    faulty(["a", 1], [5, placeholder("jinja")], ["a 'jinja' placeholder lacks 'template'"], type="array"),
    *(
        form_with(INTEGER, value)._replace(differs="the wording is ours", status=200, contains={"valid": False})
        for value in (
            placeholder("json", value="{"),
            placeholder("jinja", template="{{ x"),
            placeholder("jinja", template="{% x %}"),
        )
    ),
    form({}, {"a": placeholder("none")})._replace(
        differs="a run with it would be refused",
        contains={"errors": [{"property": "a", "errors": ["a 'none' placeholder lacks 'value'"]}], "valid": False},
    ),
    form({"type": "object", "properties": {"first name": TEXT}, "required": ["first name"]}, {})._replace(
        differs="Prefect cuts the name at the space",
        contains={"errors": [{"property": "first name", "errors": ["'first name' is a required property"]}], "valid": False},
    ),
    form_with(*({"$ref": "#/definitions/B"}, {"$ref": {"id": "x"}}), definitions={"B": {**BLOCK, "required": []}})._replace(
        differs="to Prefect it is a block as well, and so neither", contains={"errors": [], "valid": True}
    ),
]
BAD_SCHEMAS = (
    *(
        {"type": "nonsense"},
        {"properties": 5},
        {"properties": {"a": 5}},
        {"required": "a"},
        {"properties": {"a": {"pattern": "("}}},
    ),
    *({"$ref": "#"}, {"$ref": "#/definitions/no"}, {"$ref": "http://127.0.0.1:1/schema"}, {"$ref": 5}, {"$id": 5}),
    *({"definitions": 5}, {"definitions": {"A": 5}}, {"allOf": [{"$ref": "#"}]}, {"properties": {"a": {"$ref": "file:///etc"}}}),
)
BAD_BODIES = (None, {}, {"schema": {}}, {"values": {}}, {"schema": None, "values": {}}, {"schema": [], "values": {}})
BAD_BODIES += ({"schema": {}, "values": []}, {"schema": {}, "values": None}, {"schema": "{}", "values": "{}"}, [], 5)

SEQUENCES = {
    "points": [
        points(flow_runs=OURS),
        *PLACED,
        points(flow_runs=OURS),
        *(points(flow_runs=OURS, sort=sort) for sort in ("EXPECTED_START_TIME_ASC", "START_TIME_ASC", "START_TIME_DESC")),
        *(points(flow_runs=OURS, sort=sort) for sort in ("NAME_ASC", "NAME_DESC")),
        points(flow_runs=OURS, limit=2),
        points(flow_runs=OURS, limit=2, offset=3),
        points(flow_runs=OURS, limit=0),
        points(flow_runs=OURS, limit=1000, offset=10),
        points(flow_runs=OURS | {"start_time": {"after_": "2026-01-05T00:30:00Z", "before_": "2026-01-05T02:30:01Z"}}),
        points(flow_runs=OURS | {"start_time": {"is_null_": True}}),
    ],
    "points_of_runs_that_go_on": [
        create_flow(),
        *(create_flow_run(name.lower(), name=f"{name}-{{unique}}", state=state(type, name)) for type, name in STATES),
        scheduled("behind", -600, "Late"),
        scheduled("ahead", 600),
        Step("SQL", "UPDATE flow_run SET state_timestamp = '{now-100}' WHERE id = '{running.id}'"),
        points(flow_runs=OURS, sort="NAME_ASC"),
    ],
    "points_by_criteria": [
        *IN_POOLS,
        *(
            points(**criteria)
            for criteria in (
                {"flows": OURS},
                {"flows": OURS, "flow_runs": None, "task_runs": None, "deployments": None, "work_pools": None},
                {"task_runs": OURS},
                {"deployments": OURS},
                {"flows": OURS, "work_pools": {"name": {"any_": ["two-{unique}"]}}},
                {"flows": OURS, "deployments": {"tags": {"all_": ["one"]}}, "task_runs": {}},
                {"flows": OURS, "work_queues": {"name": {"any_": []}}, "work_pool_queues": {"name": {"any_": []}}},
            )
        ),
    ],
    "task_runs_of_flow_runs": [
        create_flow(),
        *(create_flow_run(name) for name in ("none", "some", "parent")),
        *(create_task_run(f"task{number}", flow_run_id="{some.id}") for number in range(3)),
        *(create_task_run(f"call{number}", flow_run_id="{parent.id}", state=state("RUNNING")) for number in range(3)),
        create_task_run("alone"),
        create_flow_run("child", parent_task_run_id="{call1.id}"),
        create_flow_run("second_child", parent_task_run_id="{call1.id}"),
        create_task_run("in_child", flow_run_id="{child.id}"),
        *(
            of("flow_runs/count-task-runs", "flow_run_ids", *ids)
            for ids in (
                (),
                ("{some.id}",),
                ("{none.id}", "{some.id}", "{parent.id}", "{child.id}", NOBODY),
                ("{some.id}", "{some.id}"),
            )
        ),
    ],
    "deployments_and_next_runs_of_flows": [
        *(create_flow(name, name=f"{name}-{{unique}}") for name in ("none", "one", "two")),
        *(
            Step("POST", "/deployments/", {"name": f"{name}-{{unique}}", "flow_id": f"{{{flow}.id}}"}, save=name)
            for name, flow in (("a", "one"), ("b", "two"), ("c", "two"))
        ),
        scheduled("second", 900, flow="two"),
        scheduled("first", 600, flow="two"),
        scheduled("third", 1200, "Late", flow="two"),
        scheduled("retrying", -60, "AwaitingRetry", flow="one"),
        create_flow_run("running", "one", state=state("RUNNING")),
        create_flow_run("pending", "none"),
        *(
            of(path, "flow_ids", *ids)
            for path in ("flows/count-deployments", "flows/next-runs")
            for ids in ((), ("{none.id}",), ("{one.id}", "{two.id}", "{none.id}", NOBODY), ("{two.id}", "{two.id}"))
        ),
        Step("POST", "/flow_runs/{first.id}/set_state", {"state": state("RUNNING"), "force": True}),
        of("flows/next-runs", "flow_ids", "{two.id}"),
    ],
    "outcomes_of_task_runs": [
        outcomes(SINCE | {"before_": "2026-01-06T00:00:00Z"}),
        *PLACED,
        *(
            outcomes(start_time)
            for start_time in (
                SINCE | {"before_": "2026-01-06T00:00:00Z"},
                {"after_": "2026-01-05T00:00:00Z", "before_": "2026-01-05T00:20:07Z"},
                {"after_": "2026-01-05T00:10:02.5Z", "before_": "2026-01-05T00:10:02.5Z"},
                {"after_": "2026-01-05T00:00:00Z", "before_": "2026-01-05T00:59:59.999999Z"},
                {"after_": "2026-01-05T00:00:00Z", "before_": "2026-01-05T01:00:00.1Z"},
                {"after_": "2026-01-04T23:59:59.999999Z", "before_": "2026-01-05T00:00:10Z"},
                {"after_": "2026-01-06T00:00:00Z", "before_": "2026-01-05T00:00:00Z"},
                {"after_": "2026-01-05T00:01:00Z", "before_": "2026-01-05T00:00:30Z"},
                {"after_": "2026-01-01T00:00:00+02:00", "before_": "2026-04-01T00:00:00+02:00"},
                {"after_": "2026-01-01T00:00:00Z"},
                {"after_": "2026-01-01T00:00:00Z", "before_": None, "is_null_": False},
                {"before_": "2026-01-06T00:00:00Z"},
                {"after_": None},
                {},
                None,
            )
        ),
        outcomes(SINCE, flow_runs={"tags": {"all_": ["even"]}}),
        outcomes(SINCE, flows={"name": {"any_": ["flow-{unique}"]}}),
        outcomes(SINCE, flows={"name": {"any_": ["nobody-{unique}"]}}),
        outcomes(SINCE, deployments={}),
        outcomes(SINCE, work_pools={}, work_queues={}),
        outcomes(SINCE, flows=None, flow_runs=None, deployments=None, work_pools=None, work_queues=None),
        Step(
            "POST",
            "/ui/task_runs/dashboard/counts",
            {"task_runs": OURS | {"start_time": SINCE, "state": {"type": {"any_": ["RUNNING"]}}}},
        ),
        create_task_run("now", name="now-{unique}", state=state("COMPLETED")),
        create_task_run("going", name="going-{unique}", state=state("RUNNING")),
        create_task_run("failing", name="failing-{unique}", state=state("FAILED")),
        outcomes({"after_": "{now-3600}"}),
        outcomes({"after_": "{now-90}", "before_": "{now+90}"}),
    ],
    "outcomes_in_pools": [
        *IN_POOLS,
        *(
            outcomes(SINCE, **criteria)
            for criteria in (
                {"work_pools": {"name": {"any_": ["two-{unique}"]}}},
                {"work_queues": {"name": {"any_": ["one-{unique}"]}}},
                {"work_queues": {"name": {"any_": ["one-{unique}"]}}, "work_pools": {"name": {"any_": ["two-{unique}"]}}},
                {"deployments": {"tags": {"all_": ["one"]}}},
            )
        ),
    ],
    "states_of_task_runs": [
        counts(task_runs=OURS),
        create_flow(),
        create_flow_run(),
        *(
            create_task_run(f"task{number}", name=f"task{number}-{{unique}}", flow_run_id="{run.id}", state=state(*of))
            for number, of in enumerate(STATES)
        ),
        create_task_run("alone", name="alone-{unique}", state=state("RUNNING")),
        counts(task_runs=OURS),
        counts(flow_runs={"id": {"any_": ["{run.id}"]}}),
        counts(flow_runs={"id": {"any_": ["{run.id}"]}}, task_runs={"state": {"type": {"any_": ["RUNNING", "FAILED"]}}}),
        counts(flows={"name": {"any_": ["flow-{unique}"]}}, deployments=None),
        counts(task_runs=OURS, deployments={}),
        counts(
            task_runs=OURS | {"subflow_runs": {"exists_": False}, "start_time": {"after_": "{now-60}", "before_": "{now+60}"}}
        ),
        counts(task_runs=OURS, work_pools={"name": {"any_": []}}),
    ],
    "task_run": [
        create_flow(),
        create_flow_run(name="named-{unique}"),
        create_task_run(flow_run_id="{run.id}", tags=["a"], labels={"b": 1}, state=state("COMPLETED", data={"x": 1})),
        create_task_run("alone", state=state("RUNNING")),
        Step("GET", "/ui/task_runs/{task.id}"),
        Step("GET", "/ui/task_runs/{alone.id}"),
        Step("GET", "/ui/task_runs/{uuid.nobody}"),
        Step("GET", "/ui/task_runs/{run.id}"),
        Step("GET", "/ui/task_runs/nonsense"),
        place("task_run", "task", "2026-01-05T00:00:00Z", 3, 4),
        Step("GET", "/ui/task_runs/{task.id}"),
    ],
    "forms": FORMS,
    "placeholders_in_forms": PLACEHOLDERS,
    "bad_forms": [
        *(form(schema, {"a": 1, "b": {}}) for schema in BAD_SCHEMAS),
        *(Step("POST", "/ui/schemas/validate", body) for body in BAD_BODIES),
    ],
    "bad_input": [
        *(
            Step("POST", path, body)
            for path, field in (
                ("/ui/flow_runs/count-task-runs", "flow_run_ids"),
                ("/ui/flows/count-deployments", "flow_ids"),
                ("/ui/flows/next-runs", "flow_ids"),
            )
            for body in (None, {}, [], {field: None}, {field: "x"}, {field: ["x"]}, {field: [None]}, {field: {}}, {field: [5]})
        ),
        *(
            points(flow_runs=OURS, **{field: value})
            for field, values in {
                "limit": (1001, "x", 1.5, [], 10**30),
                "offset": (-1, "x", 10**30),
                "sort": ("SIZE", 5, None),
                "flows": (5, {"id": {"any_": ["x"]}}),
                "work_pools": ([], {"name": 5}),
            }.items()
            for value in values
        ),
        *(Step("POST", "/ui/task_runs/dashboard/counts", body) for body in (None, {}, {"task_runs": None}, {"task_runs": 5}, [])),
        *(outcomes(start_time) for start_time in ({"after_": "x"}, "x", {"after_": "2026-01-05T00:00:00Z", "before_": 5.5e300})),
        outcomes(SINCE, flows={"x": 1}),
        *(counts(**{field: 5}) for field in ("flows", "flow_runs", "task_runs", "deployments")),
        points(flow_runs=OURS, limit=-1)._replace(differs="Prefect fails", status=422),
    ],
}
