"""Sequences about flow runs: create, read, update, delete, filter, count, labels and states of many runs at once."""

from tests.differential import Step
from tests.differential.steps import (
    STATES,
    create_flow,
    create_flow_run,
    create_task_run,
    propose,
    propose_for_task,
    read_run,
    read_task,
    state,
)

# What the client sends for a run that it starts itself.
AS_THE_CLIENT = {
    "name": None,
    "flow_version": "8a6e1ef8d6a9",
    "parent_task_run_id": None,
    "empirical_policy": {"retries": 0, "retry_delay": 0},
    "state": state("PENDING", "Pending", data=None, scheduled_time=None, deferred=False, pause_reschedule=False),
}
OURS = {"name": {"like_": "{unique}"}}
FOUR_RUNS = [
    create_flow(),
    create_flow("other_flow", "other-{unique}"),
    create_flow_run("a", name="a-{unique}", tags=["red"], flow_version="1", state=state("PENDING")),
    create_flow_run("b", name="b-{unique}", tags=["red", "blue"], state=state("RUNNING", "Retrying")),
    create_flow_run("c", name="C-{unique}", tags=[], state=state("SCHEDULED", scheduled_time="{now+3600}")),
    create_flow_run("d", "other_flow", name="d-{unique}", idempotency_key="key-{unique}", state=state("COMPLETED", "Cached")),
    create_task_run("task", flow_run_id="{a.id}", name="task-{unique}"),
    create_flow_run("child", name="child-{unique}", parent_task_run_id="{task.id}", state=state("SCHEDULED", "Late")),
]


def filters(*flow_runs: dict) -> list[Step]:
    """Ask for the runs of the sequence, and their number, by each filter of flow runs."""
    bodies = [{"flow_runs": OURS | own, "sort": "NAME_ASC"} for own in flow_runs]
    counts = [Step("POST", "/flow_runs/count", {"flow_runs": OURS | own}) for own in flow_runs]
    return [Step("POST", "/flow_runs/filter", body) for body in bodies] + counts


def related_filters(*bodies: dict) -> list[Step]:
    """Ask for runs, and their number, by each whole body."""
    return [
        step
        for body in bodies
        for step in (
            Step("POST", "/flow_runs/filter", {"sort": "NAME_ASC"} | body),
            Step("POST", "/flow_runs/count", body),
        )
    ]


SEQUENCES = {
    "life_cycle": [
        create_flow(),
        create_flow_run(**AS_THE_CLIENT),
        propose("PENDING", "Pending", transition_id="{uuid.one}"),
        propose("RUNNING", "Running", transition_id="{uuid.two}"),
        *read_run(),
        propose("COMPLETED", "Completed", message="done", data={"a": [1, None]}, transition_id="{uuid.three}"),
        *read_run(),
        Step("DELETE", "/flow_runs/{run.id}"),
        Step("DELETE", "/flow_runs/{run.id}"),
        *read_run(),
        Step("GET", "/flow_run_states/{run.state_id}"),
    ],
    "create_in_every_state": [
        create_flow(),
        *(
            step
            for number, (type, name) in enumerate(STATES)
            for step in (create_flow_run(f"run{number}", state=state(type, name)), *read_run(f"run{number}"))
        ),
    ],
    "create_with_fields": [
        create_flow(labels={"from": "flow", "both": "flow"}),
        create_flow_run(
            name="given-{unique}",
            flow_version="v1",
            parameters={"x": 1, "y": [1.5, None, True], "z": {"deep": "ü"}},
            context={"a": "b"},
            tags=["b", "a", "b"],
            labels={"from_run": 1, "both": "run"},
            empirical_policy={"retries": 3, "retry_delay": 10},
            job_variables={"env": {"A": "1"}},
        ),
        *read_run(),
        create_flow_run("labels_null", labels=None),
        create_flow_run("named_null", name=None),
        create_flow_run("named_empty", name=""),
        create_flow_run("unknown_pool", work_pool_name="none-{unique}"),
        create_flow_run("unknown_queue", work_queue_name="none-{unique}"),
        create_flow_run("no_such_flow", flow_id="{uuid.none}"),
        create_flow_run("no_such_deployment", deployment_id="{uuid.none}"),
        create_flow_run("no_such_parent", parent_task_run_id="{uuid.none}"),
        create_flow_run("no_such_infrastructure", infrastructure_document_id="{uuid.none}"),
        create_flow_run("state_null", state=None),
        Step("POST", "/flow_runs/", {"flow_id": "{flow.id}"}, save="fewest"),
        *read_run("fewest"),
    ],
    "create_with_policy": [
        create_flow(),
        create_flow_run("a", empirical_policy={"max_retries": 2, "retry_delay_seconds": 1.5}),
        create_flow_run("b", empirical_policy={"retries": 2, "retry_delay": 3, "retry_type": "in_process"}),
        create_flow_run("c", empirical_policy={"pause_keys": ["a", "b"], "resuming": True}),
        create_flow_run("d", empirical_policy={"retries": None, "retry_delay": None}),
        create_flow_run("e", empirical_policy={"retries": 2, "retry_delay": [1, 2]}),
        create_flow_run("f", empirical_policy={"unknown": 1}),
        create_flow_run("g", empirical_policy={"max_retries": 1, "retries": 5}),
        create_flow_run("h", empirical_policy=None),
    ],
    "create_scheduled": [
        create_flow(),
        create_flow_run("later", state=state("SCHEDULED", scheduled_time="{now+3600}")),
        create_flow_run("earlier", state=state("SCHEDULED", scheduled_time="{now-3600}")),
        create_flow_run("at_once", state=state("SCHEDULED")),
        create_flow_run("pending_later", state=state("PENDING", scheduled_time="{now+60}")),
        *read_run("later"),
        *read_run("earlier"),
    ],
    "create_with_automation_headers": [
        create_flow(),
        create_flow_run()._replace(headers={"Prefect-Automation-Id": "{uuid.automation}", "Prefect-Automation-Name": "bmFtZQ=="}),
        create_flow_run()._replace(headers={"Prefect-Automation-Id": "{uuid.automation}", "Prefect-Automation-Name": "!!"}),
        create_flow_run()._replace(headers={"Prefect-Automation-Id": "{uuid.automation}"}),
        create_flow_run()._replace(headers={"Prefect-Automation-Id": "nonsense", "Prefect-Automation-Name": "bmFt"}),
    ],
    "idempotency_key": [
        create_flow(),
        create_flow("other", "other-{unique}"),
        create_flow_run("first", idempotency_key="key", tags=["first"], state=state("SCHEDULED")),
        create_flow_run("second", idempotency_key="key", tags=["second"], state=state("RUNNING")),
        *read_run("first"),
        create_flow_run("elsewhere", "other", idempotency_key="key"),
        create_flow_run("else", idempotency_key="other key"),
        propose("RUNNING", run="first"),
        create_flow_run("third", idempotency_key="key"),
        create_flow_run("empty", idempotency_key=""),
        create_flow_run("empty_again", idempotency_key="")._replace(
            differs="Prefect does not look for an empty key and runs into its own constraint"
        ),
    ],
    "subflow": [
        create_flow(),
        create_flow_run("parent", state=state("RUNNING")),
        create_task_run("dummy", flow_run_id="{parent.id}", name="child-0", state=state("PENDING")),
        create_flow_run("child", parent_task_run_id="{dummy.id}", state=state("PENDING")),
        *read_task("dummy"),
        propose("RUNNING", run="child"),
        *read_task("dummy"),
        propose("PAUSED", run="child", pause_timeout="{now+300}", pause_key="one", pause_reschedule=False),
        *read_task("dummy"),
        propose("RUNNING", run="child"),
        propose("FAILED", run="child", message="broken", data={"type": "x"}),
        *read_task("dummy"),
        *read_run("child"),
        propose("CANCELLED", run="child", force=True),
        *read_task("dummy"),
        Step("POST", "/task_runs/filter", {"task_runs": {"id": {"any_": ["{dummy.id}"]}}}),
        Step(
            "POST",
            "/flow_runs/filter",
            {"flow_runs": {"parent_flow_run_id": {"any_": ["{parent.id}"]}}},
        ),
        Step("DELETE", "/flow_runs/{parent.id}"),
        *read_run("child"),
        *read_task("dummy"),
    ],
    "subflow_deleted_dummy": [
        create_flow(),
        create_flow_run("parent", state=state("RUNNING")),
        create_task_run("dummy", flow_run_id="{parent.id}"),
        create_flow_run("child", parent_task_run_id="{dummy.id}"),
        Step("DELETE", "/task_runs/{dummy.id}"),
        *read_run("child"),
        propose("RUNNING", run="child"),
        *read_run("child"),
    ],
    "dummy_has_a_state_of_its_own": [
        create_flow(),
        create_flow_run("parent", state=state("RUNNING")),
        create_task_run("dummy", flow_run_id="{parent.id}", state=state("RUNNING")),
        create_flow_run("child", parent_task_run_id="{dummy.id}", state=state("SCHEDULED")),
        *read_task("dummy"),
        propose_for_task("COMPLETED", task="dummy"),
        propose("RUNNING", run="child"),
        *read_task("dummy"),
    ],
    "update": [
        create_flow(),
        create_flow_run(name="before-{unique}"),
        Step("PATCH", "/flow_runs/{run.id}", {"infrastructure_pid": "30690"}),
        *read_run(),
        Step(
            "PATCH",
            "/flow_runs/{run.id}",
            {
                "name": "after-{unique}",
                "flow_version": "v2",
                "parameters": {"n": 1},
                "empirical_policy": {"retries": 2, "retry_delay": 5},
                "tags": ["t", "t"],
                "job_variables": {"image": "x"},
            },
        ),
        *read_run(),
        Step("PATCH", "/flow_runs/{run.id}", {"name": None}),
        Step("PATCH", "/flow_runs/{run.id}", {"tags": []}),
        Step("PATCH", "/flow_runs/{run.id}", {}),
        Step("PATCH", "/flow_runs/{run.id}", {"flow_version": None, "infrastructure_pid": None, "job_variables": None}),
        *read_run(),
        Step("PATCH", "/flow_runs/{run.id}", {"labels": {"a": 1}}),
        Step("PATCH", "/flow_runs/{run.id}", {"state": {"type": "RUNNING"}}),
        Step("PATCH", "/flow_runs/{run.id}", {"tags": None}),
        Step("PATCH", "/flow_runs/{uuid.none}", {"tags": ["a"]}),
        Step("PATCH", "/flow_runs/{uuid.none}", {"job_variables": {"a": 1}}),
        *read_run(),
    ],
    "labels": [
        create_flow(labels={"from": "flow"}),
        create_flow_run(labels={"a": 1}),
        Step("PATCH", "/flow_runs/{run.id}/labels", {"b": "two", "a": 2.5, "c": False}),
        *read_run(),
        Step("PATCH", "/flow_runs/{run.id}/labels", {}),
        Step("PATCH", "/flow_runs/{run.id}/labels", {"prefect.flow.id": "other"}),
        *(
            Step("PATCH", "/flow_runs/{run.id}/labels", labels)._replace(
                differs="Prefect writes it and fails at every later read of the run", status=422
            )
            for labels in ({"n": None}, {"deep": {"a": 1}}, {"list": [1]})
        ),
        *read_run(),
        Step("PATCH", "/flow_runs/{uuid.none}/labels", {"b": "two"}),
        Step("PATCH", "/flow_runs/{run.id}/labels", ["a"]),
        create_flow_run("null", labels=None),
        Step("PATCH", "/flow_runs/{null.id}/labels", {"b": "two"}),
        *read_run("null"),
    ],
    "filter_by_own_fields": [
        *FOUR_RUNS,
        *filters(
            {},
            {"id": {"any_": ["{a.id}", "{b.id}"]}},
            {"id": {"any_": []}},
            {"id": {"not_any_": ["{a.id}"]}},
            {"name": {"any_": ["a-{unique}", "C-{unique}", "missing"]}},
            {"name": {"like_": "c-{unique}"}},
            {"name": {"like_": "A-{unique}"}},
            {"tags": {"all_": ["red"]}},
            {"tags": {"all_": ["blue", "red"]}},
            {"tags": {"any_": ["blue", "green"]}},
            {"tags": {"is_null_": True}},
            {"tags": {"is_null_": False}},
            {"deployment_id": {"is_null_": True}},
            {"deployment_id": {"any_": ["{uuid.none}"]}},
            {"work_queue_name": {"is_null_": True}},
            {"work_queue_name": {"any_": ["default"]}},
            {"state": {"type": {"any_": ["PENDING", "SCHEDULED"]}}},
            {"state": {"type": {"not_any_": ["PENDING", "SCHEDULED"]}}},
            {"state": {"name": {"any_": ["Late", "Retrying"]}}},
            {"state": {"name": {"not_any_": ["Late", "Retrying"]}}},
            {"state": {"type": {"any_": ["RUNNING"]}, "name": {"any_": ["Late"]}}},
            {"state": {"operator": "or_", "type": {"any_": ["RUNNING"]}, "name": {"any_": ["Late"]}}},
            {"flow_version": {"any_": ["1", "2"]}},
            {"start_time": {"is_null_": True}},
            {"start_time": {"is_null_": False}},
            {"start_time": {"after_": "{now-60}"}},
            {"start_time": {"before_": "{now-60}"}},
            {"end_time": {"is_null_": True}},
            {"end_time": {"is_null_": False}},
            {"end_time": {"after_": "{now-60}", "before_": "{now+60}"}},
            {"expected_start_time": {"after_": "{now+60}"}},
            {"expected_start_time": {"before_": "{now+60}"}},
            {"next_scheduled_start_time": {"after_": "{now+60}"}},
            {"next_scheduled_start_time": {"before_": "{now+60}"}},
            {"parent_flow_run_id": {"any_": ["{a.id}"]}},
            {"parent_task_run_id": {"any_": ["{task.id}"]}},
            {"parent_task_run_id": {"is_null_": True}},
            {"parent_task_run_id": {"is_null_": False}},
            {"idempotency_key": {"any_": ["key-{unique}"]}},
            {"idempotency_key": {"not_any_": ["key-{unique}"]}},
            {"created_by": {"is_null_": True}},
            {"created_by": {"type_": ["AUTOMATION"]}},
            {"created_by": {"id_": ["{uuid.none}"]}},
            {"state": None, "tags": None, "id": None},
            {"operator": "and_", "id": {"any_": ["{a.id}"]}, "tags": {"all_": ["blue"]}},
        ),
    ],
    "filter_with_or": [
        *FOUR_RUNS,
        *related_filters(
            {
                "flow_runs": {
                    "operator": "or_",
                    "id": {"any_": ["{a.id}"]},
                    "idempotency_key": {"any_": ["key-{unique}"]},
                }
            },
            {"flow_runs": {"operator": "or_", "id": {"any_": ["{a.id}"]}, "name": {"any_": []}}},
            {"flow_runs": {"operator": "not_", "id": {"any_": ["{a.id}"]}}},
            {
                "flow_runs": {
                    "id": {"any_": ["{a.id}", "{b.id}", "{c.id}"]},
                    "tags": {"operator": "or_", "all_": ["blue"], "is_null_": True},
                }
            },
            {
                "flow_runs": {
                    "id": {"any_": ["{a.id}", "{child.id}"]},
                    "parent_task_run_id": {"operator": "or_", "any_": ["{task.id}"], "is_null_": True},
                }
            },
        ),
    ],
    "filter_by_related": [
        *FOUR_RUNS,
        *related_filters(
            {"flows": {"name": {"any_": ["flow-{unique}"]}}},
            {"flows": {"id": {"any_": ["{other_flow.id}"]}}},
            {"flows": {"name": {"like_": "{unique}"}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}},
            {"task_runs": {"name": {"any_": ["task-{unique}"]}}},
            {"task_runs": {"id": {"any_": ["{task.id}"]}}, "flow_runs": {"name": {"any_": ["b-{unique}"]}}},
            {"flow_runs": OURS, "deployments": {"name": {"any_": ["none"]}}},
            {"flow_runs": OURS, "work_pools": {"name": {"any_": ["none"]}}},
            {"flow_runs": OURS, "work_pool_queues": {"name": {"any_": ["none"]}}},
            {"flow_runs": OURS, "flows": {"tags": {"is_null_": True}}},
            {"flow_runs": OURS, "flows": None, "task_runs": None, "deployments": None, "work_pools": None},
        ),
    ],
    "sort_limit_offset": [
        *FOUR_RUNS,
        Step("POST", "/flow_runs/filter", {"flow_runs": OURS, "sort": "ID_DESC"}, unordered=True),
        *(
            Step("POST", "/flow_runs/filter", {"flow_runs": OURS, "sort": sort, "limit": None, "offset": 0})
            for sort in ("EXPECTED_START_TIME_ASC", "EXPECTED_START_TIME_DESC", "NAME_ASC", "NAME_DESC")
        ),
        *(
            Step(
                "POST",
                "/flow_runs/filter",
                {"flow_runs": {"id": {"any_": ["{b.id}", "{d.id}"]}}, "sort": sort},
            )
            for sort in ("START_TIME_ASC", "START_TIME_DESC", "END_TIME_DESC", "NEXT_SCHEDULED_START_TIME_ASC")
        ),
        Step("POST", "/flow_runs/filter", {"flow_runs": OURS, "sort": "NAME_ASC", "limit": 2}),
        Step("POST", "/flow_runs/filter", {"flow_runs": OURS, "sort": "NAME_ASC", "limit": 2, "offset": 3}),
        Step("POST", "/flow_runs/filter", {"flow_runs": OURS, "limit": 0}),
        Step("POST", "/flow_runs/paginate", {"flow_runs": OURS, "sort": "NAME_ASC", "limit": 2}),
        Step("POST", "/flow_runs/paginate", {"flow_runs": OURS, "sort": "NAME_ASC", "limit": 2, "page": 3}),
        Step("POST", "/flow_runs/paginate", {"flow_runs": OURS, "limit": 0}),
    ],
    "bulk_set_state": [
        *FOUR_RUNS,
        Step(
            "POST",
            "/flow_runs/bulk_set_state",
            {"flow_runs": {"id": {"any_": ["{a.id}"]}}, "state": state("RUNNING")},
        ),
        Step("POST", "/flow_runs/bulk_set_state", {"flow_runs": OURS, "state": state("CANCELLING")}, ignore=("results",)),
        *(step for run in ("a", "b", "c", "d", "child") for step in read_run(run)),
        Step(
            "POST",
            "/flow_runs/bulk_set_state",
            {"flow_runs": {"id": {"any_": ["{d.id}"]}}, "state": state("RUNNING"), "force": True},
        ),
        Step("POST", "/flow_runs/bulk_set_state", {"flow_runs": {"id": {"any_": []}}, "state": state("FAILED")}),
        Step("POST", "/flow_runs/bulk_set_state", {"flow_runs": {"id": {"any_": ["{uuid.x}"]}}, "state": {}}),
        Step("POST", "/flow_runs/bulk_set_state", {"flow_runs": {"id": {"any_": ["{uuid.x}"]}}}),
    ],
    "bulk_delete": [
        *FOUR_RUNS,
        Step("POST", "/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": ["{a.id}", "{uuid.none}"]}}}),
        *read_run("a"),
        Step("GET", "/flow_runs/{child.id}"),
        Step("POST", "/flow_runs/bulk_delete", {"flow_runs": OURS}, unordered=True),
        Step("POST", "/flow_runs/count", {"flow_runs": OURS}),
    ],
    "delete_takes_what_belongs_to_it": [
        create_flow(),
        create_flow_run(state=state("RUNNING")),
        create_task_run(flow_run_id="{run.id}", state=state("RUNNING")),
        Step(
            "POST",
            "/logs/",
            [{"name": "n", "level": 20, "message": "m", "timestamp": "{now+0}", "flow_run_id": "{run.id}"}],
        ),
        Step("POST", "/flow_runs/{run.id}/input", {"key": "k", "value": "1"}),
        Step("DELETE", "/flow_runs/{run.id}"),
        *read_run(),
        *read_task(),
        Step("GET", "/flow_runs/{run.id}/input/k"),
        Step("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": ["{run.id}"]}}}),
    ],
}
