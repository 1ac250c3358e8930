"""Sequences about deployments and their schedules, and what is stored of them."""

from typing import Any

from tests.differential import Step
from tests.differential.deployed_runs import rows
from tests.differential.steps import (
    create_flow,
    read_run,
    state,
)


def create(save: str = "deployment", name: str = "d-{unique}", **fields: Any) -> Step:
    """Make or replace a deployment."""
    return Step("POST", "/deployments/", {"name": name, "flow_id": "{flow.id}"} | fields, save=save)


def update(**fields: Any) -> Step:
    """Change a deployment."""
    return Step("PATCH", "/deployments/{deployment.id}", fields)


def run_of(save: str = "run", **fields: Any) -> Step:
    """Create a run of a deployment."""
    return Step("POST", "/deployments/{deployment.id}/create_flow_run", fields, save=save, ignore=("tags",))


READ = Step("GET", "/deployments/{deployment.id}", save="deployment_now")
HOURLY = {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
DAILY = {"cron": "0 9 * * *", "timezone": "America/New_York", "day_or": True}
WEEKLY = {"rrule": "DTSTART:20260101T000000\nFREQ=WEEKLY", "timezone": "Europe/Berlin"}
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "string", "default": "why"}},
    "required": ["x"],
}
TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "size": "{{ size }}"},
    "variables": {
        "type": "object",
        "properties": {"command": {"type": "string", "default": "run"}, "size": {"type": "integer"}},
        "required": ["size"],
    },
}
POOL = [
    Step("POST", "/work_pools/", {"name": "p-{unique}", "type": "process", "base_job_template": TEMPLATE}, save="work_pool"),
]
FULL = {
    "version": "v1",
    "description": "what it does",
    "tags": ["a", "b"],
    "labels": {"team": "x", "n": 1},
    "parameters": {"x": 1},
    "parameter_openapi_schema": SCHEMA,
    "enforce_parameter_schema": True,
    "pull_steps": [{"prefect.step": {"a": 1}}],
    "path": "/p",
    "entrypoint": "f.py:f",
    "job_variables": {"env": {"A": "1"}},
    "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
    "version_info": {"type": "git", "version": "abc", "branch": "main"},
}


SEQUENCES = {
    "create_and_replace": [
        create_flow(labels={"of": "flow", "team": "y"}),
        create(),
        rows("deployment", "id = '{deployment.id}'"),
        READ,
        create(),
        create(**FULL),
        rows("deployment", "id = '{deployment.id}'"),
        READ,
        create(tags=["c"], labels=None, job_variables={}, pull_steps=None, parameter_openapi_schema=None),
        rows("deployment", "id = '{deployment.id}'"),
        READ,
        create(paused=True, concurrency_options=None, description=None),
        Step("GET", "/deployments/name/flow-{unique}/d-{unique}"),
        Step("GET", "/deployments/name/flow-{unique}/missing"),
        Step("GET", "/deployments/{uuid.none}"),
    ],
    "create_full": [
        create_flow(),
        create(**FULL, schedules=[{"schedule": HOURLY, "slug": "hourly", "parameters": {"x": 2}}, {"schedule": DAILY}]),
        rows("deployment_schedule", "deployment_id = '{deployment.id}'", "updated"),
        READ,
        Step("GET", "/deployments/{deployment.id}/schedules"),
    ],
    "refuse": [
        create_flow(),
        create(name=None),
        Step("POST", "/deployments/", {"name": "d-{unique}"}),
        create(unknown=1),
        create(worker_pool_queue_id="x", work_pool_queue_name="y"),
        create(flow_id="{uuid.none}", differs="The answer says which flow is missing, as for a work pool.", status=404),
        create(parameters={"x": "one"}, parameter_openapi_schema=SCHEMA, enforce_parameter_schema=True),
        create(parameters={"x": "one"}, parameter_openapi_schema=SCHEMA),
        create(parameters={}, parameter_openapi_schema=SCHEMA, enforce_parameter_schema=True),
        create(parameter_openapi_schema={"type": "nonsense"}, enforce_parameter_schema=True),
        create(concurrency_limit=0),
        create(concurrency_limit=1, global_concurrency_limit_id="{uuid.none}"),
        create(global_concurrency_limit_id="{uuid.none}"),
        create(storage_document_id="{uuid.none}"),
        create(infrastructure_document_id="{uuid.none}"),
        create(concurrency_options={"collision_strategy": "WAIT"}),
        create(concurrency_options={"collision_strategy": "ENQUEUE", "grace_period_seconds": 1}),
        create(version_info={"type": "x"}),
        create(work_pool_name="missing-{unique}"),
        create(work_pool_name="missing-{unique}", work_queue_name="q"),
        create(schedules=[{"schedule": {"interval": 0}}]),
        create(schedules=[{"schedule": {"cron": "nonsense"}}]),
        create(schedules=[{"schedule": DAILY, "max_scheduled_runs": 0}]),
        create(schedules=[{"schedule": DAILY, "max_scheduled_runs": 51}]),
        create(schedules=[{"schedule": DAILY, "slug": "s"}, {"schedule": HOURLY, "slug": "s"}]),
        create(tags=None),
        create(paused=None),
        Step("POST", "/deployments/count", {"deployments": {"name": {"any_": ["d-{unique}"]}}}),
    ],
    "work_pool": [
        create_flow(),
        *POOL,
        create(work_pool_name="p-{unique}"),
        rows("deployment", "id = '{deployment.id}'"),
        create(work_pool_name="p-{unique}", work_queue_name="q-{unique}"),
        rows("deployment", "id = '{deployment.id}'"),
        rows("work_queue", "name = 'q-{unique}'"),
        READ,
        update(work_pool_name="p-{unique}"),
        READ,
        update(work_pool_name="p-{unique}", work_queue_name="r-{unique}"),
        READ,
        update(work_pool_name=None),
        READ,
        update(work_queue_name="p-{unique}"),
        READ,
        create(work_queue_name="agent-{unique}"),
        READ,
        create(work_pool_name="p-{unique}", job_variables={"size": "big"}),
        create(work_pool_name="p-{unique}", job_variables={"command": None}),
        create(work_pool_name="p-{unique}", job_variables={"command": "x"}),
        update(work_pool_name="p-{unique}", job_variables={"size": "big"}),
        update(job_variables={"size": "big"}),
        READ,
        run_of(),
        run_of(job_variables={"size": 3}),
        update(job_variables={"command": "y"}),
        run_of(),
        run_of(job_variables={"size": 3}),
        *read_run(),
        run_of(job_variables={"size": 3, "command": None}),
        run_of("queued", job_variables={"size": 3}, work_queue_name="s-{unique}"),
        rows("flow_run", "id = '{queued.id}'"),
        Step("PATCH", "/flow_runs/{queued.id}", {"job_variables": {"size": "x"}}),
        Step("PATCH", "/flow_runs/{queued.id}", {"job_variables": {"size": 4}}),
        Step("PATCH", "/flow_runs/{queued.id}", {"job_variables": {}}),
        *read_run("queued"),
    ],
    "update": [
        create_flow(labels={"of": "flow"}),
        create(**FULL),
        update(tags=["z"], description=None, version="v2", paused=True, path=None, entrypoint="g.py:g"),
        rows("deployment", "id = '{deployment.id}'"),
        READ,
        update(),
        update(pull_steps=None, parameter_openapi_schema=None, concurrency_options=None, parameters={"x": 5}),
        READ,
        update(parameters={"x": "five"}),
        update(parameters={"x": "five"}, enforce_parameter_schema=False),
        update(enforce_parameter_schema=True),
        update(parameters={"x": {"__prefect_kind": "json", "value": "7"}}),
        update(parameters={"x": {"__prefect_kind": "json", "value": "{"}}),
        update(job_variables={"env": {}}),
        update(job_variables={}),
        READ,
        update(tags=None),
        update(name="other"),
        update(global_concurrency_limit_id="{uuid.none}"),
        Step("PATCH", "/deployments/{uuid.none}", {"tags": []}),
        READ,
    ],
    "limit": [
        create_flow(),
        create(concurrency_limit=2, concurrency_options={"collision_strategy": "ENQUEUE", "grace_period_seconds": 60}),
        READ,
        rows("concurrency_limit_v2", "name = 'deployment:{deployment.id}'"),
        rows("deployment", "id = '{deployment.id}'"),
        create(concurrency_limit=3),
        rows("concurrency_limit_v2", "name = 'deployment:{deployment.id}'"),
        create(),
        READ,
        update(concurrency_limit=5),
        READ,
        update(concurrency_limit=None),
        rows("deployment", "id = '{deployment.id}'"),
        READ,
        Step("POST", "/v2/concurrency_limits/", {"name": "g-{unique}", "limit": 7}, save="bound"),
        update(global_concurrency_limit_id="{bound.id}"),
        READ,
        update(global_concurrency_limit_id=None),
        READ,
        update(concurrency_limit=4),
        Step("DELETE", "/deployments/{deployment.id}"),
        rows("concurrency_limit_v2", "name = 'deployment:{deployment.id}'"),
    ],
    "schedules": [
        create_flow(),
        create(),
        Step("POST", "/deployments/{deployment.id}/schedules", [{"schedule": HOURLY, "max_scheduled_runs": 5}], save="made"),
        Step("POST", "/deployments/{deployment.id}/schedules", [{"schedule": DAILY, "active": False, "slug": "daily"}]),
        Step("POST", "/deployments/{deployment.id}/schedules", [{"schedule": WEEKLY, "slug": "daily"}]),
        Step("POST", "/deployments/{deployment.id}/schedules", [{"schedule": WEEKLY, "parameters": {"x": 1}}]),
        Step("POST", "/deployments/{deployment.id}/schedules", []),
        Step("POST", "/deployments/{deployment.id}/schedules", [{"schedule": {"cron": "x"}}]),
        Step("POST", "/deployments/{deployment.id}/schedules", {"schedule": WEEKLY}),
        Step("POST", "/deployments/{uuid.none}/schedules", [{"schedule": WEEKLY}]),
        Step("GET", "/deployments/{deployment.id}/schedules", save="listed"),
        Step("GET", "/deployments/{uuid.none}/schedules"),
        Step("PATCH", "/deployments/{deployment.id}/schedules/{listed.0.id}", {"active": False}),
        Step("PATCH", "/deployments/{deployment.id}/schedules/{listed.1.id}", {"slug": "new", "parameters": {"y": 2}}),
        Step("PATCH", "/deployments/{deployment.id}/schedules/{listed.1.id}", {"schedule": HOURLY, "replaces": "x"}),
        Step("PATCH", "/deployments/{deployment.id}/schedules/{listed.1.id}", {"schedule": {"interval": -1}}),
        Step("PATCH", "/deployments/{deployment.id}/schedules/{uuid.none}", {"active": False}),
        Step("PATCH", "/deployments/{uuid.none}/schedules/{listed.1.id}", {"active": False}),
        READ,
        Step("DELETE", "/deployments/{deployment.id}/schedules/{uuid.none}"),
        Step("DELETE", "/deployments/{deployment.id}/schedules/{listed.0.id}"),
        Step("DELETE", "/deployments/{deployment.id}/schedules/{listed.0.id}"),
        Step("GET", "/deployments/{deployment.id}/schedules"),
    ],
    "replace_schedules": [
        create_flow(),
        create(schedules=[{"schedule": HOURLY}]),
        update(schedules=[{"schedule": DAILY}, {"schedule": WEEKLY, "active": False}, {"active": True}]),
        READ,
        update(schedules=[{"schedule": DAILY, "slug": "a"}, {"schedule": WEEKLY, "slug": "b"}]),
        READ,
        update(schedules=[{"slug": "a", "active": False}, {"schedule": HOURLY, "slug": "c"}]),
        Step("GET", "/deployments/{deployment.id}/schedules", unordered=True),
        update(schedules=[{"slug": "a2", "replaces": "a", "parameters": {"x": 1}}, {"slug": "c", "replaces": "b"}]),
        update(schedules=[{"slug": "b", "replaces": "c"}, {"slug": "c", "replaces": "b"}]),
        update(schedules=[{"slug": "b", "replaces": "c"}, {"slug": "d", "replaces": "c"}]),
        update(schedules=[{"slug": "e", "replaces": "z"}]),
        update(schedules=[{"slug": "e", "replaces": "z", "schedule": DAILY}]),
        update(schedules=[{"slug": "f"}]),
        update(schedules=[{"schedule": DAILY}]),
        update(schedules=[]),
        Step("GET", "/deployments/{deployment.id}/schedules", unordered=True),
        create(schedules=[{"schedule": HOURLY, "max_scheduled_runs": 5}]),
        READ,
        create(),
        READ,
    ],
    "create_flow_runs": [
        create_flow(labels={"of": "flow"}),
        create(**{**FULL, "job_variables": {"a": 1}}),
        run_of(),
        rows("flow_run", "id = '{run.id}'")._replace(ignore=("tags",)),
        run_of(parameters={"x": 2}, tags=["b", "c"], labels={"run": "r", "team": "z"}, name="named", context={"c": 1}),
        *(step._replace(ignore=("tags",)) for step in read_run()),
        run_of(parameters={"x": "two"}),
        run_of(parameters={"x": "two"}, enforce_parameter_schema=False),
        run_of(parameters={"x": {"__prefect_kind": "json", "value": "{"}}),
        run_of(parameters={"x": {"__prefect_kind": "json", "value": "5"}, "extra": 1}),
        run_of(idempotency_key="k-{unique}"),
        rows("flow_run", "id = '{run.id}'")._replace(ignore=("tags",)),
        run_of(idempotency_key="k-{unique}", name="other"),
        run_of(state=state("SCHEDULED", scheduled_time="{now+600}")),
        run_of(state=state("COMPLETED"), job_variables=None),
        run_of(work_queue_name="q"),
        run_of(unknown=1),
        run_of(parent_task_run_id="{uuid.none}"),
        Step("POST", "/deployments/{uuid.none}/create_flow_run", {}),
        Step("POST", "/deployments/{deployment.id}/create_flow_run/bulk", []),
        Step("POST", "/deployments/{uuid.none}/create_flow_run/bulk", []),
        Step("POST", "/deployments/{deployment.id}/create_flow_run/bulk", [{}] * 101),
        Step(
            "POST",
            "/deployments/{deployment.id}/create_flow_run/bulk",
            [{}, {"parameters": {"x": "two"}}, {"work_queue_name": "q"}, {"name": "last"}],
            ignore=("error",),
        ),
        Step("POST", "/flow_runs/count", {"deployments": {"id": {"any_": ["{deployment.id}"]}}}),
        update(parameter_openapi_schema=None, enforce_parameter_schema=False),
        run_of(enforce_parameter_schema=True),
    ],
    "poll": [
        create_flow(),
        create(),
        run_of("late", state=state("SCHEDULED", scheduled_time="{now-60}"), name="late"),
        run_of("later", state=state("SCHEDULED", scheduled_time="{now+60}"), name="later"),
        run_of("running", state=state("RUNNING")),
        *(
            Step("POST", "/deployments/get_scheduled_flow_runs", body)
            for body in (
                {"deployment_ids": ["{deployment.id}"]},
                {"deployment_ids": ["{deployment.id}"], "scheduled_before": "{now+5}"},
                {"deployment_ids": ["{deployment.id}"], "limit": 1},
                {"deployment_ids": ["{uuid.none}"]},
                {"deployment_ids": []},
                {"deployment_ids": ["nonsense"]},
                {},
            )
        ),
        READ._replace(pause_seconds=1.0),
    ],
    "pause_and_delete": [
        create_flow(),
        create(),
        run_of("mine", state=state("SCHEDULED", scheduled_time="{now+60}")),
        run_of("done", state=state("COMPLETED")),
        Step("POST", "/deployments/{deployment.id}/pause_deployment"),
        READ,
        Step("POST", "/deployments/{deployment.id}/resume_deployment"),
        READ,
        Step("POST", "/deployments/{uuid.none}/pause_deployment"),
        Step("POST", "/deployments/{uuid.none}/resume_deployment"),
        Step("GET", "/flow_runs/{mine.id}"),
        Step("DELETE", "/deployments/{deployment.id}"),
        Step("DELETE", "/deployments/{deployment.id}"),
        Step("GET", "/flow_runs/{mine.id}"),
        Step("GET", "/flow_runs/{done.id}"),
    ],
    "schedule_and_pause": [
        create_flow(),
        create(schedules=[{"schedule": DAILY, "parameters": {"x": 1}}], tags=["t"]),
        Step("POST", "/deployments/{deployment.id}/schedule", {"max_runs": 2, "start_time": "{now+0}"}),
        Step("POST", "/deployments/{deployment.id}/schedule", {"max_runs": 2, "start_time": "{now+0}"}),
        Step(
            "POST",
            "/flow_runs/filter",
            {"flow_runs": {"deployment_id": {"any_": ["{deployment.id}"]}}, "sort": "EXPECTED_START_TIME_ASC"},
            ignore=("scheduled_time",),
        ),
        Step("POST", "/deployments/{deployment.id}/pause_deployment"),
        Step("POST", "/flow_runs/count", {"deployments": {"id": {"any_": ["{deployment.id}"]}}}),
        Step("POST", "/deployments/{deployment.id}/schedule", {"min_time": "x"}),
        Step("POST", "/deployments/{deployment.id}/schedule"),
    ],
    "lists": [
        create_flow(),
        *(create(letter, name=letter + "-{unique}", tags=[letter], paused=letter == "a") for letter in "abc"),
        *(
            Step("POST", "/deployments/filter", {"deployments": {"name": {"like_": "{unique}"}}} | body)
            for body in ({}, {"sort": "NAME_DESC"}, {"sort": "CREATED_DESC"}, {"sort": "UPDATED_DESC"}, {"limit": 1, "offset": 1})
        ),
        *(
            Step("POST", "/deployments/" + action, {"flows": {"id": {"any_": ["{flow.id}"]}}, "deployments": criteria})
            for action in ("filter", "count", "paginate")
            for criteria in (
                {"tags": {"all_": ["a"]}},
                {"tags": {"any_": ["a", "b"]}},
                {"paused": {"eq_": True}},
                {"flow_or_deployment_name": {"like_": "b-"}},
                {"work_queue_name": {"any_": ["none"]}},
                {"id": {"not_any_": ["{a.id}"]}},
            )
        ),
        Step("POST", "/deployments/filter", {"sort": "nonsense"}),
        Step("POST", "/deployments/paginate", {"flows": {"id": {"any_": ["{flow.id}"]}}, "limit": 2, "page": 2}),
        Step(
            "POST", "/deployments/bulk_delete", {"deployments": {"name": {"any_": ["a-{unique}", "b-{unique}"]}}}, unordered=True
        ),
        Step("POST", "/deployments/count", {"flows": {"id": {"any_": ["{flow.id}"]}}}),
        Step("POST", "/deployments/bulk_delete", {"deployments": {"name": {"any_": ["a-{unique}"]}}}),
        Step("POST", "/deployments/bulk_delete", {"limit": 51}),
    ],
    "work_queue_check": [
        create_flow(),
        create(tags=["t-{unique}", "u"]),
        *(
            Step("POST", "/work_queues/", {"name": f"{number}-{{unique}}", "filter": filter}, save=f"queue{number}")
            for number, filter in enumerate(
                (
                    {"tags": ["t-{unique}"]},
                    {"tags": ["t-{unique}", "v"]},
                    {"tags": ["t-{unique}"], "deployment_ids": ["{deployment.id}"]},
                    {"tags": ["t-{unique}"], "deployment_ids": ["{uuid.none}"]},
                    {"tags": ["t-{unique}"], "deployment_ids": []},
                    {"deployment_ids": ["{deployment.id}"]},
                )
            )
        ),
        Step("GET", "/deployments/{deployment.id}/work_queue_check", unordered=True),
        Step("GET", "/deployments/{uuid.none}/work_queue_check"),
    ],
}
