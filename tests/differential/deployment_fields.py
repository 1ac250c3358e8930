"""Sequences that send each field of the operations under /deployments with values at the edge of what is allowed."""

from typing import Any

from tests.differential import Step
from tests.differential.deployed_runs import rows
from tests.differential.deployments import DAILY, READ, SCHEMA, create, run_of, update
from tests.differential.steps import create_flow, create_task_run, state

BIG = 2**31
EACH: dict[str, tuple[Any, ...]] = {
    "version": ("", "v" * 300, 5, None),
    "description": ("", "\u00fc\n\u20ac", 5, None),
    "paused": (True, "true", 1, "x", None),
    "tags": ([], ["a", "a", "\u00fc"], ["a", 1], "a", None),
    "pull_steps": ([], [{}], [{"a": 1}, {"b": None}], {}, [1], None),
    "path": ("", "/a b", 5, None),
    "entrypoint": ("", "a.py:f", 5, None),
    "job_variables": ({}, {"a": None, "b": {"c": [1]}}, [], "x"),
    "parameters": ({}, {"a": None}, {"a": {"__prefect_kind": "none", "value": 1}}, [], "x"),
    "parameter_openapi_schema": (
        {},
        SCHEMA,
        {"type": "object", "properties": {"x": {"$ref": "#/definitions/X"}}, "definitions": {"X": {"type": "integer"}}},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        [],
        "x",
        None,
    ),
    "enforce_parameter_schema": (False, True, "no", 2),
    "concurrency_limit": (1, BIG - 1, 0, -1, BIG, 1.5, "x", None),
    "concurrency_options": (
        {"collision_strategy": "ENQUEUE"},
        {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
        {"collision_strategy": "ENQUEUE", "grace_period_seconds": 86400},
        {"collision_strategy": "ENQUEUE", "grace_period_seconds": 86401},
        {"collision_strategy": "ENQUEUE", "unknown": 1},
        {"collision_strategy": "enqueue"},
        {},
        [],
        None,
    ),
    "global_concurrency_limit_id": ("{uuid.none}", "x", None),
    "storage_document_id": ("{uuid.none}", "x", None),
    "infrastructure_document_id": ("{uuid.none}", "x", None),
    "work_queue_name": ("queue-{unique}", "queue-2-{unique}", 5, "a/b", None),
    "work_pool_name": ("missing-{unique}", 5, None),
    "version_info": (
        {"type": "git", "version": "abc", "branch": "main", "message": "m", "url": "u", "repository": "r", "n": 1},
        {"type": "x", "version": "y"},
        {"type": "x"},
        {"version": "y"},
        {},
        [],
        None,
    ),
    "worker_pool_queue_id": ("x", None),
    "work_pool_queue_name": ("x",),
}
CHECKED = {
    "parameter_openapi_schema": SCHEMA | {"properties": {**SCHEMA["properties"], "z": {"type": "integer"}}},
    "enforce_parameter_schema": True,
}
LABELS = ({"a": "x", "b": 1, "c": 1.5, "d": True}, {"a": None}, {"a": [1]}, {"a": {}}, [], "x")
NAMES = ("", " ", "a/b", "a%b", "a&b", "a<b", "\u00fc '\"", "n" * 300, 5)
RUN_FIELDS: dict[str, tuple[Any, ...]] = {
    "name": ("", "a/b", 5, None),
    "state": (None, {"type": "PENDING"}, {"type": "SCHEDULED", "name": "Later"}, {"type": "x"}, {}),
    "parameters": ({}, {"x": 1}, [], None),
    "enforce_parameter_schema": (True, False, "x", None),
    "context": ({}, {"a": 1}, [], None),
    "infrastructure_document_id": ("x", None),
    "empirical_policy": ({}, {"retries": 2, "retry_delay": 1}, {"retries": "x"}, {"unknown": 1}),
    "tags": ([], ["t", "t"], "x", None),
    "labels": (*LABELS[:2], None),
    "idempotency_key": ("", "k-{unique}", 5, None),
    "parent_task_run_id": ("{parent.id}", "x", None),
    "work_queue_name": ("", "x", 5, None),
    "job_variables": ({}, {"a": 1}, [], None),
}
POLL, SCHEDULE = "/deployments/get_scheduled_flow_runs", "/deployments/{deployment.id}/schedule"
CRITERIA = (
    {"flows": {"id": {"any_": ["{flow.id}"]}}},
    {"flows": {"name": {"any_": ["flow-{unique}"]}}, "deployments": {"name": {"any_": ["one-{unique}"]}}},
    {"flow_runs": {"id": {"any_": ["{run.id}"]}}},
    {"flow_runs": {"id": {"any_": ["{run.id}"]}}, "flows": {"id": {"any_": ["{uuid.none}"]}}},
    {"task_runs": {"id": {"any_": ["{task.id}"]}}},
    {"work_pools": {"name": {"any_": ["pool-{unique}"]}}},
    {"work_pool_queues": {"name": {"any_": ["queue-{unique}"]}}, "work_pools": {"name": {"any_": ["pool-{unique}"]}}},
    {"deployments": {"id": {"any_": ["x"]}}},
    {"deployments": 5},
)


def after_refusals(steps: list[Step]) -> list[Step]:
    """Make the deployment that steps are about, and look at it once more at the end."""
    return [create_flow(), create(), *steps, READ]


SEQUENCES = {
    **{
        f"create_{field}": after_refusals(
            [create(f"made{number}", f"{field}-{number}-{{unique}}", **{field: value}) for number, value in enumerate(values)]
        )
        for field, values in {**EACH, "labels": LABELS}.items()
    },
    **{
        f"update_{field}": after_refusals([step for value in values for step in (update(**{field: value}), READ)])
        for field, values in EACH.items()
    },
    "create_name": [create_flow(), *(create(name=name) for name in NAMES)],
    **{
        f"run_{field}": after_refusals(
            [create_task_run("parent"), *(run_of(f"run{number}", **{field: value}) for number, value in enumerate(values))]
        )
        for field, values in RUN_FIELDS.items()
    },
    "parameters_by_their_schema": [
        create_flow(),
        *(
            create(f"made{number}", f"d-{number}-{{unique}}", parameters=given, **CHECKED)
            for number, given in enumerate(({}, {"x": 1}, {"x": None}, {"y": None}, {"x": "1"}, {"w": 1}))
        ),
        create("null", "null-{unique}", parameters={"z": None}, **CHECKED)._replace(
            differs="Null stands for an optional parameter here as it does in an update.", status=201
        ),
        create(**CHECKED),
        *(update(parameters=given) for given in ({}, {"x": 1}, {"x": None}, {"y": None}, {"z": None}, {"x": "1"}, {"w": 1})),
        READ,
    ],
    "limits_that_exist": [
        create_flow(),
        Step("POST", "/v2/concurrency_limits/", {"name": "g-{unique}", "limit": 7}, save="bound"),
        create(global_concurrency_limit_id="{bound.id}", concurrency_options={"collision_strategy": "ENQUEUE"}),
        READ,
        create("refused", global_concurrency_limit_id="{bound.id}", concurrency_limit=3),
        update(global_concurrency_limit_id="{bound.id}", concurrency_limit=3),
        rows("concurrency_limit_v2", "name = 'g-{unique}'"),
        READ,
        update(concurrency_limit="3")._replace(differs="A number that is text is no number.", status=422),
        update(concurrency_limit=True)._replace(differs="True is no number.", status=422),
    ],
    "lists": [
        create_flow(),
        Step("POST", "/work_pools/", {"name": "pool-{unique}", "type": "process"}),
        create(name="one-{unique}", work_pool_name="pool-{unique}", work_queue_name="queue-{unique}"),
        run_of(),
        create_task_run(flow_run_id="{run.id}"),
        create("other", name="two-{unique}"),
        *(Step("POST", f"/deployments/{verb}", criteria) for criteria in CRITERIA for verb in ("filter", "count", "paginate")),
        *(
            Step("POST", "/deployments/paginate", {"flows": {"id": {"any_": ["{flow.id}"]}}} | body)
            for body in (
                {"page": 0},
                {"page": 2},
                {"page": None},
                {"limit": 0},
                {"limit": 1, "sort": "NAME_DESC"},
                {"limit": 201},
            )
        ),
        Step("POST", "/deployments/filter", {"offset": -1}),
        Step("POST", "/deployments/bulk_delete", {"deployments": {"id": {"any_": ["{uuid.none}"]}}, "limit": 0}),
        Step("POST", "/deployments/bulk_delete", {"deployments": {"id": {"any_": []}}}),
    ],
    "schedule_arguments": [
        create_flow(),
        create(schedules=[{"schedule": DAILY}]),
        *(
            step
            for body in (
                {"start_time": "2040-01-01T00:00:00Z", "end_time": "2040-01-03T00:00:00Z"},
                {"start_time": "2040-01-01T00:00:00Z", "end_time": "2040-01-20T00:00:00Z", "max_runs": 5},
                {"start_time": "2041-01-01T00:00:00Z", "min_runs": 4},
                {"start_time": "2042-01-01T00:00:00Z", "min_time": 432000},
                {"start_time": "2043-01-03T00:00:00Z", "end_time": "2043-01-01T00:00:00Z"},
                {"start_time": "x"},
                {"end_time": 5},
                {"min_time": "x"},
                {"min_runs": "x"},
                {"max_runs": None},
            )
            for step in (
                Step("POST", SCHEDULE, body),
                Step(
                    "POST",
                    "/flow_runs/filter",
                    {
                        "flow_runs": {
                            "deployment_id": {"any_": ["{deployment.id}"]},
                            "expected_start_time": {"after_": "2039-01-01T00:00:00Z"},
                        },
                        "sort": "EXPECTED_START_TIME_ASC",
                    },
                    ignore=("scheduled_time",),  # theirs has the offset of the schedule's zone
                ),
            )
        ),
        Step("POST", "/deployments/{uuid.none}/schedule", {}),
    ],
    "poll_arguments": [
        create_flow(),
        create(),
        run_of("late", name="late", state=state("SCHEDULED", scheduled_time="{now-60}")),
        run_of("retry", name="retry", state=state("SCHEDULED", "AwaitingRetry", scheduled_time="{now-50}")),
        *(
            Step("POST", POLL, {"deployment_ids": ["{deployment.id}"]} | body)
            for body in ({"limit": 0}, {"limit": 201}, {"limit": None}, {"scheduled_before": "x"}, {"scheduled_before": None})
        ),
        Step("POST", POLL, {"deployment_ids": None}),
        Step("POST", POLL, {"deployment_ids": "{deployment.id}"}),
        Step("POST", "/deployments/{deployment.id}/pause_deployment"),
        Step("POST", POLL, {"deployment_ids": ["{deployment.id}", "{deployment.id}", "{uuid.none}"]}),
    ],
}
