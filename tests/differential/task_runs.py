"""Sequences about task runs: create, read, update, delete, filter, count, and every pair of states."""

from tests.differential import Step
from tests.differential.steps import (
    STATES,
    after_each,
    create_flow,
    create_flow_run,
    create_task_run,
    propose,
    propose_for_task,
    read_run,
    read_task,
    state,
)

OURS = {"name": {"like_": "{unique}"}}
IN_A_RUN = [create_flow(), create_flow_run(state=state("RUNNING"))]
FIVE_TASKS = [
    *IN_A_RUN,
    create_task_run("a", name="a-{unique}", flow_run_id="{run.id}", tags=["red"], state=state("PENDING")),
    create_task_run("b", name="b-{unique}", flow_run_id="{run.id}", tags=["red", "blue"], state=state("RUNNING")),
    create_task_run("c", name="C-{unique}", state=state("SCHEDULED", scheduled_time="{now+600}")),
    create_task_run("d", name="d-{unique}", state=state("COMPLETED")),
    create_task_run("e", name="e-{unique}", flow_run_id="{run.id}", state=state("SCHEDULED", "AwaitingRetry")),
    create_flow_run("child", name="child-{unique}", parent_task_run_id="{a.id}"),
]


def filters(*task_runs: dict) -> list[Step]:
    """Ask for the task runs of the sequence, and their number, by each filter of task runs."""
    bodies = [{"task_runs": OURS | own, "sort": "NAME_ASC"} for own in task_runs]
    counts = [Step("POST", "/task_runs/count", {"task_runs": OURS | own}) for own in task_runs]
    return [Step("POST", "/task_runs/filter", body) for body in bodies] + counts


def with_policy(**policy) -> list[Step]:
    """Make a task run of a flow run with a policy of retries."""
    return [*IN_A_RUN, create_task_run(flow_run_id="{run.id}", empirical_policy=policy)]


CACHED = Step("SQL", "SELECT count(*) AS number FROM task_run_state_cache WHERE starts_with(cache_key, 'cache-{unique}')")

SEQUENCES = {
    "life_cycle": [
        *IN_A_RUN,
        create_task_run(flow_run_id="{run.id}"),
        *after_each(
            [
                propose_for_task("PENDING", transition_id="{uuid.one}"),
                propose_for_task("RUNNING", transition_id="{uuid.two}"),
                propose_for_task("RUNNING", transition_id="{uuid.two}"),
                propose_for_task("COMPLETED", message="done", data={"a": 1}, transition_id="{uuid.three}"),
                propose_for_task("COMPLETED", transition_id="{uuid.three}"),
                propose_for_task("RUNNING"),
            ],
            read_task(),
        ),
        Step("DELETE", "/task_runs/{task.id}"),
        Step("DELETE", "/task_runs/{task.id}"),
        *read_task(),
    ],
    "create_in_every_state": [
        *IN_A_RUN,
        *(
            step
            for number, (type, name) in enumerate(STATES)
            for step in (
                create_task_run(f"in_run{number}", flow_run_id="{run.id}", state=state(type, name)),
                create_task_run(f"alone{number}", state=state(type, name)),
                *read_task(f"in_run{number}"),
                *read_task(f"alone{number}"),
            )
        ),
    ],
    "create_with_fields": [
        create_flow(labels={"of": "flow"}),
        create_flow_run(labels={"run": 1}, state=state("RUNNING")),
        create_task_run(
            id="{uuid.mine}",
            name="named-{unique}",
            flow_run_id="{run.id}",
            cache_key="key-{unique}",
            cache_expiration="{now+60}",
            task_version="3",
            empirical_policy={"retries": 2, "retry_delay": [1, 2.5], "retry_jitter_factor": 0.3},
            tags=["b", "a", "b"],
            labels={"a": 1, "run": "task"},
            task_inputs={
                "x": [{"input_type": "task_run", "id": "{uuid.up}"}],
                "y": [{"input_type": "parameter", "name": "p"}, {"input_type": "constant", "type": "int"}],
                "z": [{"input_type": "flow_run", "id": "{run.id}"}],
                "empty": [],
            },
        ),
        *read_task(),
        Step("POST", "/task_runs/", {"task_key": "few-{unique}", "dynamic_key": "0"}, save="fewest"),
        *read_task("fewest"),
        create_task_run("no_run", flow_run_id="{uuid.none}"),
        create_task_run("labels_null", labels=None),
        create_task_run("name_null", name=None),
        create_task_run("name_empty", name=""),
        create_task_run("state_null", state=None),
        create_task_run("policy", empirical_policy={"max_retries": 3, "retry_delay_seconds": 1.5}),
        create_task_run("policy_int", empirical_policy={"max_retries": 3, "retry_delay_seconds": 2}),
        create_task_run("policy_extra", empirical_policy={"unknown": 3}),
        create_task_run("jitter", empirical_policy={"retry_jitter_factor": -1}),
        create_task_run("delays", empirical_policy={"retry_delay": list(range(51))}),
        create_task_run("cache_key", cache_key="x" * 2001),
    ],
    "insert_or_get": [
        *IN_A_RUN,
        create_task_run("first", flow_run_id="{run.id}", task_key="k", dynamic_key="0", name="first"),
        create_task_run("second", flow_run_id="{run.id}", task_key="k", dynamic_key="0", name="second", tags=["x"]),
        create_task_run("other", flow_run_id="{run.id}", task_key="k", dynamic_key="1"),
        create_task_run("alone", task_key="k-{unique}", dynamic_key="0"),
        create_task_run("alone_again", task_key="k-{unique}", dynamic_key="0"),
        create_task_run("same_id", id="{first.id}", task_key="z", dynamic_key="9"),
        create_task_run("with_state", flow_run_id="{run.id}", task_key="k", dynamic_key="0", state=state("RUNNING")),
        *read_task("first"),
        create_task_run("with_id", id="{uuid.w}", flow_run_id="{run.id}", task_key="w", dynamic_key="0"),
        create_task_run("again_with_id", id="{uuid.v}", flow_run_id="{run.id}", task_key="w", dynamic_key="0"),
    ],
    "background_task": [
        create_task_run(name="bg-{unique}", state=state("SCHEDULED", deferred=True, task_parameters_id="{uuid.parameters}")),
        *after_each([propose_for_task("PENDING"), propose_for_task("RUNNING"), propose_for_task("COMPLETED")], read_task()),
    ],
    "update": [
        create_task_run(name="before"),
        Step("PATCH", "/task_runs/{task.id}", {"name": "after-{unique}"}),
        *read_task(),
        Step("PATCH", "/task_runs/{task.id}", {"name": None}),
        Step("PATCH", "/task_runs/{task.id}", {}),
        Step("PATCH", "/task_runs/{task.id}", {"tags": ["a"]}),
        Step("PATCH", "/task_runs/{uuid.none}", {"name": "x"}),
        *read_task(),
    ],
    "retries": [
        *with_policy(retries=2, retry_delay=0),
        *after_each(
            [
                propose_for_task("RUNNING"),
                propose_for_task("FAILED"),
                propose_for_task("RUNNING", "Retrying"),
                propose_for_task("FAILED"),
                propose_for_task("RUNNING"),
                propose_for_task("FAILED"),
                propose_for_task("RUNNING"),
            ],
            read_task(),
        ),
    ],
    "retries_with_delays": [
        *with_policy(retries=3, retry_delay=[600, 1200]),
        propose_for_task("RUNNING"),
        *after_each(
            [
                propose_for_task("FAILED"),
                propose_for_task("RUNNING"),
                propose_for_task("RUNNING", force=True),
                propose_for_task("FAILED"),
                propose_for_task("RUNNING", force=True),
                propose_for_task("FAILED"),
            ],
            read_task(),
        ),
    ],
    "retries_not_retriable": [
        *with_policy(retries=3, retry_delay=0),
        propose_for_task("RUNNING"),
        propose_for_task("FAILED", retriable=False),
        *read_task(),
    ],
    "retries_unset": [
        *with_policy(retries=None, retry_delay=None),
        propose_for_task("RUNNING"),
        propose_for_task("FAILED"),
        propose_for_task("SCHEDULED", "AwaitingRetry", scheduled_time="{now-1}"),
        propose_for_task("RUNNING"),
        *read_task(),
    ],
    "failed_is_run_again_by_the_flows_retry": [
        create_flow(),
        create_flow_run(empirical_policy={"retries": 1, "retry_delay": 0}),
        propose("RUNNING"),
        create_task_run(flow_run_id="{run.id}"),
        propose_for_task("RUNNING"),
        propose_for_task("FAILED"),
        propose("FAILED"),
        propose("RUNNING"),
        *after_each([propose_for_task("RUNNING"), propose_for_task("COMPLETED")], read_task()),
        *read_run(),
        propose_for_task("RUNNING"),
    ],
    "caching": [
        *IN_A_RUN,
        create_task_run("first", flow_run_id="{run.id}"),
        propose_for_task("RUNNING", task="first", cache_key="cache-{unique}"),
        propose_for_task("COMPLETED", task="first", cache_key="cache-{unique}", data={"x": 1}),
        *read_task("first"),
        create_task_run("second", flow_run_id="{run.id}"),
        propose_for_task("RUNNING", task="second", cache_key="cache-{unique}"),
        *read_task("second"),
        create_task_run("third", flow_run_id="{run.id}"),
        propose_for_task("RUNNING", task="third", cache_key="cache-{unique}", refresh_cache=True),
        propose_for_task("COMPLETED", task="third", cache_key="cache-{unique}", cache_expiration="{now-1}", refresh_cache=True),
        *read_task("third"),
        create_task_run("fourth", flow_run_id="{run.id}"),
        propose_for_task("RUNNING", task="fourth", cache_key="cache-{unique}"),
        *read_task("fourth"),
        create_task_run("fifth"),
        propose_for_task("RUNNING", task="fifth", cache_key="other-{unique}"),
        propose_for_task("COMPLETED", task="fifth", cache_key="other-{unique}", cache_expiration="{now-1}", message="old"),
        create_task_run("sixth"),
        propose_for_task("RUNNING", task="sixth", cache_key="other-{unique}"),
        *read_task("sixth"),
    ],
    "what_fills_the_cache": [
        *IN_A_RUN,
        create_task_run("made", flow_run_id="{run.id}", state=state("COMPLETED", cache_key="cache-{unique}", data={"x": 1})),
        CACHED,
        create_task_run("forced", flow_run_id="{run.id}", state=state("RUNNING")),
        propose_for_task("COMPLETED", force=True, task="forced", cache_key="cache-{unique}", data={"x": 2}),
        CACHED,
        create_task_run("first", flow_run_id="{run.id}", state=state("PENDING")),
        propose_for_task("COMPLETED", task="first", cache_key="cache-{unique}", data={"x": 3}),
        CACHED,
        create_task_run("hit", flow_run_id="{run.id}"),
        propose_for_task("RUNNING", task="hit", cache_key="cache-{unique}"),
        CACHED,
        create_task_run("too_long", flow_run_id="{run.id}", state=state("RUNNING")),
        propose_for_task("COMPLETED", task="too_long", cache_key="cache-{unique}" + "x" * 2000),
        create_task_run("background", state=state("RUNNING", deferred=True)),
        propose_for_task("COMPLETED", task="background", cache_key="cache-{unique}", deferred=True),
        CACHED,
    ],
    "flow_run_is_over": [
        create_flow(),
        *(
            step
            for number, type in enumerate(("COMPLETED", "FAILED", "CANCELLED", "CRASHED", "CANCELLING", "PENDING"))
            for step in (
                create_flow_run(f"run{number}", state=state("RUNNING")),
                create_task_run(f"task{number}", flow_run_id=f"{{run{number}.id}}"),
                propose(type, run=f"run{number}"),
                propose_for_task("PENDING", task=f"task{number}"),
                propose_for_task("RUNNING", task=f"task{number}"),
                propose_for_task("RUNNING", task=f"task{number}", force=True),
                *read_task(f"task{number}"),
            )
        ),
    ],
    "flow_run_is_paused": [
        *IN_A_RUN,
        create_task_run(flow_run_id="{run.id}"),
        propose("PAUSED", pause_key="1", pause_timeout="{now+60}"),
        propose_for_task("RUNNING"),
        *read_task(),
        create_task_run("later", flow_run_id="{run.id}", state=state("RUNNING")),
        *read_task("later"),
    ],
    "cancelling": [
        *IN_A_RUN,
        create_task_run(flow_run_id="{run.id}", state=state("RUNNING")),
        *after_each(
            [
                propose_for_task("CANCELLING"),
                propose_for_task("COMPLETED"),
                propose_for_task("RUNNING"),
                propose_for_task("CANCELLED"),
                propose_for_task("FAILED"),
            ],
            read_task(),
        ),
    ],
    "scheduled_time": [
        *IN_A_RUN,
        create_task_run(flow_run_id="{run.id}", state=state("SCHEDULED", scheduled_time="{now+600}")),
        *after_each(
            [
                propose_for_task("RUNNING"),
                propose_for_task("PENDING"),
                propose_for_task("RUNNING"),
                propose_for_task("RUNNING", force=True),
            ],
            read_task(),
        ),
    ],
    "pending_again": [
        *IN_A_RUN,
        create_task_run(flow_run_id="{run.id}"),
        *after_each(
            [propose_for_task(*chosen) for chosen in (("PENDING",), ("PENDING", "Other"), ("RUNNING",), ("PENDING",))],
            read_task(),
        ),
    ],
    "data_and_details_of_states": [
        create_task_run(),
        propose_for_task("RUNNING", data={"a": [1, None]}, flow_run_id="{uuid.other}", task_run_id="{uuid.else}"),
        *read_task(),
        propose_for_task("COMPLETED", data="text", child_flow_run_id="{uuid.child}", untrackable_result=True),
        *read_task(),
        propose_for_task("COMPLETED", data=[1], force=True),
        *read_task(),
        propose_for_task("RUNNING", unknown=1),
        propose_for_task("RUNNING", "My own name", message="text"),
    ],
    "filter_by_own_fields": [
        *FIVE_TASKS,
        *filters(
            {},
            {"id": {"any_": ["{a.id}", "{b.id}"]}},
            {"id": {"any_": []}},
            {"name": {"any_": ["a-{unique}", "missing"]}},
            {"name": {"like_": "c-{unique}"}},
            {"tags": {"all_": ["red"]}},
            {"tags": {"all_": ["blue", "red"]}},
            {"tags": {"is_null_": True}},
            {"tags": {"is_null_": False}},
            {"state": {"type": {"any_": ["PENDING", "SCHEDULED"]}}},
            {"state": {"name": {"any_": ["AwaitingRetry"]}}},
            {"state": {"operator": "or_", "type": {"any_": ["RUNNING"]}, "name": {"any_": ["AwaitingRetry"]}}},
            {"start_time": {"is_null_": True}},
            {"start_time": {"is_null_": False}},
            {"start_time": {"after_": "{now-60}", "before_": "{now+60}"}},
            {"end_time": {"is_null_": True}},
            {"end_time": {"is_null_": False}},
            {"end_time": {"after_": "{now-60}", "before_": "{now+60}"}},
            {"expected_start_time": {"after_": "{now+60}"}},
            {"expected_start_time": {"before_": "{now+60}"}},
            {"subflow_runs": {"exists_": True}},
            {"subflow_runs": {"exists_": False}},
            {"flow_run_id": {"any_": ["{run.id}"]}},
            {"flow_run_id": {"is_null_": True}},
            {"flow_run_id": {"is_null_": False}},
            {"flow_run_id": {"operator": "or_", "any_": ["{run.id}"], "is_null_": True}},
            {"state": None, "tags": None, "id": None},
        ),
        Step("POST", "/task_runs/count", {"task_runs": {"operator": "or_", "id": {"any_": ["{a.id}"]}} | OURS}),
    ],
    "filter_by_related": [
        *FIVE_TASKS,
        *(
            step
            for body in (
                {"flows": {"name": {"any_": ["flow-{unique}"]}}},
                {"flow_runs": {"id": {"any_": ["{run.id}"]}}},
                {"flow_runs": {"id": {"any_": ["{run.id}"]}}, "task_runs": {"tags": {"is_null_": True}}},
                {"flow_runs": {"id": {"any_": ["{run.id}"]}, "state": {"type": {"any_": ["COMPLETED"]}}}},
                {"task_runs": OURS, "deployments": {"name": {"any_": ["none"]}}},
                {"task_runs": OURS, "flows": None, "flow_runs": None, "deployments": None},
            )
            for step in (
                Step("POST", "/task_runs/filter", {"sort": "NAME_ASC"} | body),
                Step("POST", "/task_runs/count", body),
            )
        ),
    ],
    "sort_limit_offset": [
        *FIVE_TASKS,
        Step("POST", "/task_runs/filter", {"task_runs": OURS}, unordered=True),
        *(
            Step("POST", "/task_runs/filter", {"task_runs": OURS, "sort": sort})
            for sort in ("EXPECTED_START_TIME_ASC", "EXPECTED_START_TIME_DESC", "NAME_ASC", "NAME_DESC")
        ),
        *(
            Step("POST", "/task_runs/filter", {"task_runs": {"id": {"any_": ["{d.id}"]}}, "sort": sort})
            for sort in ("NEXT_SCHEDULED_START_TIME_ASC", "END_TIME_DESC", "START_TIME_DESC")
        ),
        Step("POST", "/task_runs/filter", {"task_runs": OURS, "sort": "NAME_ASC", "limit": 2}),
        Step("POST", "/task_runs/filter", {"task_runs": OURS, "sort": "NAME_ASC", "limit": 2, "offset": 3}),
        Step("POST", "/task_runs/paginate", {"task_runs": OURS, "sort": "NAME_ASC", "limit": 2, "page": 2}),
    ],
}
