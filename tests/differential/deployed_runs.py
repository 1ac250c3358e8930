"""Sequences about runs of deployments, which are put into the database itself, and about the rows that are stored."""

from tests.differential import Step
from tests.differential.steps import (
    after_each,
    create_flow,
    create_flow_run,
    create_task_run,
    propose,
    propose_for_task,
    read_run,
    resume,
    state,
)

POOL_AND_QUEUE = [
    Step("SQL", "INSERT INTO work_pool (name, type) VALUES ('pool-{unique}', 'process') RETURNING id", save="pool"),
    Step(
        "SQL",
        "INSERT INTO work_queue (name, work_pool_id) VALUES ('default', '{pool.id}') RETURNING id",
        save="queue",
    ),
    Step(
        "SQL",
        "INSERT INTO work_queue (name, work_pool_id) VALUES ('q-{unique}', '{pool.id}') RETURNING id",
        save="other_queue",
    ),
    Step("SQL", "UPDATE work_pool SET default_queue_id = '{queue.id}' WHERE id = '{pool.id}'"),
]
DEPLOYMENT = [
    create_flow(labels={"flow": 1, "both": "flow"}, tags=["of-flow"]),
    *POOL_AND_QUEUE,
    Step(
        "SQL",
        """
        INSERT INTO deployment (name, flow_id, labels, tags, parameters, version, work_queue_name, work_queue_id)
        VALUES ('deployment-{unique}', '{flow.id}', '{"deployment": 2, "both": "deployment"}', '["of-deployment"]',
                '{"x": 1}', 'v7', 'q-{unique}', '{other_queue.id}')
        RETURNING id""",
        save="deployment",
    ),
]


def rows(table: str, where: str, order: str = "id") -> Step:
    """Read rows as they are stored."""
    return Step("SQL", f"SELECT row_to_json({table}) AS row FROM {table} WHERE {where} ORDER BY {order}")


SEQUENCES = {
    "create_run": [
        *DEPLOYMENT,
        create_flow_run(deployment_id="{deployment.id}", labels={"run": 3, "both": "run"}, tags=["of-run"]),
        *read_run(),
        create_flow_run("in_pool", work_pool_name="pool-{unique}"),
        create_flow_run("in_queue", work_pool_name="pool-{unique}", work_queue_name="q-{unique}"),
        create_flow_run("in_no_queue", work_pool_name="pool-{unique}", work_queue_name="missing"),
        create_flow_run("named", deployment_id="{deployment.id}", work_queue_name="q-{unique}"),
        *(
            Step("POST", "/flow_runs/filter", {"flow_runs": {"id": {"any_": ["{run.id}"]}}} | own)
            for own in (
                {"flow_runs": {"deployment_id": {"any_": ["{deployment.id}"]}}, "sort": "EXPECTED_START_TIME_ASC"},
                {"deployments": {"name": {"any_": ["deployment-{unique}"]}}},
                {"work_pools": {"name": {"any_": ["pool-{unique}"]}}, "deployments": {"id": {"any_": ["{uuid.x}"]}}},
                {"work_pool_queues": {"id": {"any_": ["{other_queue.id}"]}}, "flows": {"id": {"any_": ["{uuid.x}"]}}},
            )
        ),
        Step("POST", "/flows/filter", {"deployments": {"id": {"any_": ["{deployment.id}"]}}}),
        Step("POST", "/flows/filter", {"work_pools": {"name": {"any_": ["pool-{unique}"]}}}),
        Step("POST", "/flows/count", {"flows": {"id": {"any_": ["{flow.id}"]}, "deployment": {"is_null_": True}}}),
        Step("POST", "/flows/count", {"flows": {"id": {"any_": ["{flow.id}"]}, "deployment": {"is_null_": False}}}),
        Step("POST", "/task_runs/count", {"deployments": {"id": {"any_": ["{deployment.id}"]}}}),
    ],
    "suspend_and_resume": [
        *DEPLOYMENT,
        create_flow_run(deployment_id="{deployment.id}"),
        *after_each(
            [
                propose("RUNNING"),
                propose("PAUSED", "Suspended", pause_timeout="{now+300}", pause_key="s", pause_reschedule=True),
                resume(),
                propose("PENDING"),
                propose("RUNNING"),
                propose("PAUSED", "Suspended", pause_timeout="{now+300}", pause_key="s", pause_reschedule=True),
                propose("PAUSED", pause_timeout="{now+300}", pause_key="t", pause_reschedule=False),
                propose("SCHEDULED"),
            ],
            read_run(),
        ),
    ],
    "cancel": [
        *DEPLOYMENT,
        create_flow_run(deployment_id="{deployment.id}", state=state("SCHEDULED")),
        propose("CANCELLING"),
        *read_run(),
        create_flow_run(deployment_id="{deployment.id}", state=state("RUNNING")),
        propose("PAUSED", "Suspended", pause_timeout="{now+60}", pause_key="k", pause_reschedule=True),
        propose("CANCELLING"),
        *read_run(),
    ],
    "update_job_variables": [
        *DEPLOYMENT,
        create_flow_run(deployment_id="{deployment.id}", state=state("SCHEDULED")),
        Step("PATCH", "/flow_runs/{run.id}", {"job_variables": {"a": 1}}),
        *read_run(),
        create_flow_run("plain", state=state("SCHEDULED")),
        Step("PATCH", "/flow_runs/{plain.id}", {"job_variables": {"a": 1}}),
        *read_run("plain"),
    ],
    "retry_and_late": [
        *DEPLOYMENT,
        create_flow_run(
            deployment_id="{deployment.id}",
            state=state("SCHEDULED", scheduled_time="{now-60}"),
            empirical_policy={"retries": 1, "retry_delay": 0},
        ),
        *after_each(
            [
                propose("SCHEDULED", "Late", scheduled_time="{now-60}"),
                propose("PENDING"),
                propose("RUNNING"),
                propose("FAILED"),
                propose("PENDING"),
                propose("RUNNING"),
                propose("FAILED"),
            ],
            read_run(),
        ),
    ],
    "rows_of_flow_runs": [
        create_flow(labels={"a": 1}, tags=["t"]),
        create_flow_run(empirical_policy={"retries": 1, "retry_delay": 0}, parameters={"x": [1, None]}, state=state("SCHEDULED")),
        rows("flow", "id = '{flow.id}'"),
        *after_each(
            [
                propose("PENDING", transition_id="{uuid.one}"),
                propose("RUNNING", data={"a": 1}),
                propose("FAILED", message="text"),
                propose("RUNNING"),
                propose("PAUSED", pause_key="k", pause_timeout="{now+60}"),
                propose("RUNNING"),
                propose("COMPLETED", data="result"),
            ],
            [
                rows("flow_run", "id = '{run.id}'"),
                rows("flow_run_state", "flow_run_id = '{run.id}'", "timestamp"),
                rows("artifact", "flow_run_id = '{run.id}'", "created"),
            ],
        ),
        Step("POST", "/flow_runs/{run.id}/input", {"key": "k", "value": "1"}),
        rows("flow_run_input", "flow_run_id = '{run.id}'"),
    ],
    "rows_of_task_runs": [
        create_flow(),
        create_flow_run(state=state("RUNNING")),
        create_task_run(
            flow_run_id="{run.id}",
            empirical_policy={"retries": 1, "retry_delay": 0},
            task_inputs={"x": [{"input_type": "parameter", "name": "p"}]},
        ),
        *after_each(
            [
                propose_for_task("RUNNING"),
                propose_for_task("FAILED"),
                propose_for_task("RUNNING"),
                propose_for_task("COMPLETED", data={"x": 1}, cache_key="cache-{unique}"),
            ],
            [
                rows("task_run", "id = '{task.id}'"),
                rows("task_run_state", "task_run_id = '{task.id}'", "timestamp"),
                rows("artifact", "task_run_id = '{task.id}'", "created"),
                rows("task_run_state_cache", "cache_key = 'cache-{unique}'"),
            ],
        ),
    ],
    "rows_of_logs": [
        Step(
            "POST",
            "/logs/",
            [
                {"name": "n", "level": 20, "message": "m", "timestamp": "{now+0}", "flow_run_id": "{uuid.run}"},
                {"name": "n", "level": 20, "message": "ü\n", "timestamp": "{now+1}", "flow_run_id": "{uuid.run}"},
            ],
        ),
        rows("log", "flow_run_id = '{uuid.run}'", "timestamp"),
    ],
}
