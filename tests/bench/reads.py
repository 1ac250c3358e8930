"""The lists, counts and charts that web UI and command line ask for, on a database that `fill` has filled.

A value in braces stands for something of the data: `{deployment}` has most of the runs, `{rare_deployment}` few, `{run}` many
task runs and lines of logs, `{now}` is when the data ends. `resolve` puts it in.
"""

from typing import Any

import psycopg

FACTS = """
    SELECT max(flow_run.updated) AS now,
           max(flow_run.updated) - interval '1 day' AS day_ago,
           max(flow_run.updated) - interval '7 days' AS week_ago,
           (SELECT id FROM deployment WHERE name = 'deployment-1') AS deployment,
           (SELECT id FROM deployment ORDER BY name DESC LIMIT 1) AS rare_deployment,
           (SELECT flow_id FROM deployment WHERE name = 'deployment-1') AS flow,
           (SELECT flow_id FROM deployment ORDER BY name DESC LIMIT 1) AS rare_flow,
           (SELECT name FROM flow WHERE name = 'flow-7') AS flow_name,
           (SELECT id FROM work_pool WHERE name = 'pool-1') AS pool,
           (SELECT id FROM work_queue
             WHERE name = 'slow' AND work_pool_id = (SELECT id FROM work_pool WHERE name = 'pool-1')) AS queue,
           (SELECT id FROM flow_run WHERE name LIKE 'quick-%00' AND state_type = 'COMPLETED'
             ORDER BY expected_start_time DESC LIMIT 1) AS run,
           (SELECT name FROM flow_run WHERE state_type = 'COMPLETED' ORDER BY expected_start_time DESC LIMIT 1) AS name,
           (SELECT id FROM task_run ORDER BY expected_start_time DESC LIMIT 1) AS task_run,
           (SELECT flow_run_id FROM task_run WHERE id IN (SELECT parent_task_run_id FROM flow_run) LIMIT 1) AS parent,
           ARRAY (SELECT id::text FROM flow ORDER BY name LIMIT 10) AS flows,
           ARRAY (SELECT id::text FROM deployment ORDER BY name LIMIT 10) AS deployments,
           ARRAY (SELECT id::text FROM flow_run WHERE state_type = 'COMPLETED' ORDER BY start_time DESC LIMIT 50) AS runs
      FROM flow_run
"""

DAY = {"after_": "{day_ago}", "before_": "{now}"}
WEEK = {"after_": "{week_ago}", "before_": "{now}"}
ENDED = ["COMPLETED", "FAILED", "CRASHED", "RUNNING"]
SHOWN = ["Late", "Resuming", "AwaitingRetry", "AwaitingConcurrencySlot", "Pending", "Paused", "Suspended", "Running", "Retrying"]
SHOWN += ["Completed", "Cached", "Cancelled", "Cancelling", "Crashed", "Failed", "TimedOut"]

# By page of the UI: name, path, body.
LISTS = (
    (
        "dashboard: runs of a day",
        "/flow_runs/filter",
        {"sort": "EXPECTED_START_TIME_DESC", "flow_runs": {"expected_start_time": DAY}},
    ),
    ("runs: newest", "/flow_runs/paginate", {"page": 1, "limit": 100, "sort": "START_TIME_DESC"}),
    (
        "runs: newest of a week",
        "/flow_runs/paginate",
        {"page": 1, "limit": 100, "sort": "START_TIME_DESC", "flow_runs": {"start_time": WEEK}},
    ),
    (
        "runs: failed",
        "/flow_runs/paginate",
        {"page": 1, "limit": 100, "sort": "START_TIME_DESC", "flow_runs": {"state": {"name": {"any_": ["Failed", "Crashed"]}}}},
    ),
    (
        "runs: with a tag",
        "/flow_runs/paginate",
        {"page": 1, "limit": 100, "sort": "START_TIME_DESC", "flow_runs": {"tags": {"all_": ["tag-39"]}}},
    ),
    (
        "runs: named like",
        "/flow_runs/paginate",
        {"page": 1, "limit": 100, "sort": "START_TIME_DESC", "flow_runs": {"name": {"like_": "{name}"}}},
    ),
    ("runs: newest task runs", "/task_runs/paginate", {"page": 1, "limit": 100, "sort": "EXPECTED_START_TIME_DESC"}),
    ("flows", "/flows/paginate", {"page": 1, "limit": 10, "sort": "NAME_ASC"}),
    (
        "flows: last run of one",
        "/flow_runs/filter",
        {
            "flows": {"id": {"any_": ["{rare_flow}"]}},
            "flow_runs": {"start_time": {"is_null_": False}},
            "limit": 1,
            "sort": "START_TIME_DESC",
        },
    ),
    (
        "flow: its runs",
        "/flow_runs/paginate",
        {"page": 1, "limit": 10, "sort": "START_TIME_DESC", "flows": {"id": {"any_": ["{flow}"]}}},
    ),
    ("deployments", "/deployments/paginate", {"page": 1, "limit": 10, "sort": "NAME_ASC"}),
    (
        "deployments: next run of one",
        "/flow_runs/filter",
        {
            "deployments": {"id": {"any_": ["{deployment}"]}},
            "flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 1,
        },
    ),
    (
        "deployment: its runs",
        "/flow_runs/paginate",
        {
            "page": 1,
            "limit": 5,
            "sort": "START_TIME_DESC",
            "deployments": {"id": {"any_": ["{deployment}"]}},
            "flow_runs": {"state": {"name": {"any_": SHOWN}}},
        },
    ),
    (
        "work pool: its runs",
        "/flow_runs/paginate",
        {"page": 1, "limit": 10, "sort": "START_TIME_DESC", "work_pools": {"name": {"any_": ["pool-1"]}}},
    ),
    (
        "work queue: what is next",
        "/flow_runs/paginate",
        {
            "page": 1,
            "limit": 5,
            "sort": "EXPECTED_START_TIME_ASC",
            "work_pools": {"name": {"any_": ["pool-1"]}},
            "work_pool_queues": {"name": {"any_": ["slow"]}},
            "flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}},
        },
    ),
    (
        "flow run: its logs",
        "/logs/filter",
        {"limit": 50, "sort": "TIMESTAMP_ASC", "logs": {"level": {"ge_": 0}, "flow_run_id": {"any_": ["{run}"]}}},
    ),
    (
        "flow run: its task runs",
        "/task_runs/paginate",
        {"page": 1, "sort": "EXPECTED_START_TIME_DESC", "flow_runs": {"id": {"any_": ["{run}"]}}},
    ),
    (
        "task run: its logs",
        "/logs/filter",
        {"limit": 50, "sort": "TIMESTAMP_ASC", "logs": {"task_run_id": {"any_": ["{task_run}"]}}},
    ),
)

COUNTS = (
    ("dashboard: all runs", "/flow_runs/count", {}),
    ("dashboard: runs of a day", "/flow_runs/count", {"flow_runs": {"expected_start_time": DAY}}),
    (
        "dashboard: failures of a day",
        "/flow_runs/count",
        {"flow_runs": {"expected_start_time": DAY, "state": {"type": {"any_": ["FAILED", "CRASHED"]}}}},
    ),
    (
        "dashboard: task runs of a day",
        "/task_runs/count",
        {"task_runs": {"subflow_runs": {"exists_": False}, "start_time": DAY, "state": {"type": {"any_": ENDED}}}},
    ),
    ("runs: all task runs", "/task_runs/count", {}),
    ("runs: their task runs", "/ui/flow_runs/count-task-runs", {"flow_run_ids": "{runs}"}),
    (
        "flow: its runs",
        "/flow_runs/count",
        {"flows": {"id": {"any_": ["{rare_flow}"]}}, "flow_runs": {"start_time": {"is_null_": False}}},
    ),
    ("flows: their deployments", "/ui/flows/count-deployments", {"flow_ids": "{flows}"}),
    ("flows: their next runs", "/ui/flows/next-runs", {"flow_ids": "{flows}"}),
    (
        "work pool: what is late",
        "/flow_runs/count",
        {"work_pools": {"name": {"any_": ["pool-1"]}}, "flow_runs": {"state": {"name": {"any_": ["Late"]}}}},
    ),
    (
        "flow run: its task runs",
        "/task_runs/count",
        {"task_runs": {"flow_run_id": {"any_": ["{run}"], "is_null_": False}, "subflow_runs": {"exists_": False}}},
    ),
    ("flow run: its subflows", "/flow_runs/count", {"flow_runs": {"parent_flow_run_id": {"any_": ["{parent}"]}}}),
)

CHARTS = (
    (
        "dashboard: lateness of a day",
        "/flow_runs/lateness",
        {"work_pools": {"id": {"any_": ["{pool}"]}}, "flow_runs": {"expected_start_time": DAY}},
    ),
    (
        "dashboard: task runs of a day",
        "/task_runs/history",
        {
            "history_start": "{day_ago}",
            "history_end": "{now}",
            "history_interval_seconds": 4320,
            "task_runs": {"start_time": DAY},
        },
    ),
    (
        "dashboard: flow runs of a day",
        "/flow_runs/history",
        {"history_start": "{day_ago}", "history_end": "{now}", "history_interval_seconds": 4320},
    ),
    ("runs: newest 1,000", "/ui/flow_runs/history", {"sort": "EXPECTED_START_TIME_DESC", "limit": 1000, "offset": 0}),
    (
        "runs: of a week",
        "/ui/flow_runs/history",
        {"sort": "START_TIME_DESC", "limit": 100, "offset": 0, "flow_runs": {"start_time": WEEK}},
    ),
    (
        "flow: task runs of a week",
        "/task_runs/history",
        {
            "history_start": "{week_ago}",
            "history_end": "{now}",
            "history_interval_seconds": 30240,
            "flows": {"id": {"any_": ["{flow}"]}},
            "task_runs": {"start_time": WEEK},
        },
    ),
    ("dashboard: task runs by state", "/ui/task_runs/dashboard/counts", {"task_runs": {"start_time": DAY}}),
    ("dashboard: task runs by state and time", "/ui/task_runs/count", {"task_runs": {"start_time": DAY}}),
)


def read_facts(conn: psycopg.Connection) -> dict[str, Any]:
    """Give what stands for the names in braces."""
    with conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        facts = cursor.execute(FACTS).fetchone()
    return {
        name: value if isinstance(value, list) else value.isoformat() if hasattr(value, "isoformat") else str(value)
        for name, value in facts.items()
    }


def resolve(value: Any, facts: dict[str, Any]) -> Any:
    """Put the facts into a body in place of their names."""
    if isinstance(value, dict):
        return {key: resolve(inner, facts) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, facts) for inner in value]
    return facts[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value
