"""Sequences about the history of runs, by interval of their expected start and by state, and about how late flow runs are."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, create_task_run, state

DAY = "2026-01-05T00:00:00Z"
OURS = {"name": {"like_": "{unique}"}}
# A flow run with a task run in each: what it is called, its state, when it was expected, how late it started and how long
# it ran, in seconds.
RUNS = (
    ("before", ("COMPLETED",), "2026-01-04T23:59:59.999999Z", 5, 10),
    ("at_start", ("COMPLETED",), "2026-01-05T00:00:00Z", 0, 20.25),
    ("same_state", ("COMPLETED",), "2026-01-05T00:10:00Z", 2.5, 30.000001),
    ("same_type", ("COMPLETED", "Cached"), "2026-01-05T00:20:00Z", 7, 0),
    ("other_type", ("FAILED",), "2026-01-05T00:30:00Z", -60, 40),
    ("last_moment", ("CRASHED",), "2026-01-05T00:59:59.999999Z", 0.1, 0.2),
    ("at_boundary", ("CANCELLED",), "2026-01-05T01:00:00Z", 3600, 86400),
    ("paused", ("PAUSED",), "2026-01-05T02:30:00Z", 1, 50),
    ("never_started", ("CANCELLED",), "2026-01-05T03:00:00Z", None, 0),
    ("at_end", ("COMPLETED",), "2026-01-06T00:00:00Z", 0, 60),
    ("much_later", ("COMPLETED",), "2026-03-30T01:30:00Z", 90, 70),
)


def place(table: str, save: str, expected: str, late: float | None, ran: float) -> Step:
    """Give a run the times that it is to have."""
    started = "NULL" if late is None else f"timestamptz '{expected}' + interval '{late} seconds'"
    times = f"expected_start_time = '{expected}', start_time = {started}, total_run_time = interval '{ran} seconds'"
    return Step("SQL", f"UPDATE {table} SET {times} WHERE id = '{{{save}.id}}'")


def make(name: str, of: tuple, expected: str, late: float | None, ran: float) -> list[Step]:
    """Make a flow run and a task run in it, both with these times."""
    tags = ["even"] if len(name) % 2 == 0 else []
    return [
        create_flow_run(name, name=f"{name}-{{unique}}", state=state(*of), tags=tags),
        create_task_run(f"in_{name}", name=f"{name}-{{unique}}", flow_run_id=f"{{{name}.id}}", state=state(*of), tags=tags),
        place("flow_run", name, expected, late, ran),
        place("task_run", f"in_{name}", expected, late, ran),
    ]


PLACED = [create_flow(), *(step for run in RUNS for step in make(*run))]


def history(start: str = DAY, end: str = "2026-01-06T00:00:00Z", seconds: Any = 3600, **criteria: Any) -> list[Step]:
    """Ask for the history of flow runs and of task runs."""
    body = {"history_start": start, "history_end": end, "history_interval_seconds": seconds}
    own = {} if criteria else {"flow_runs": OURS}
    return [Step("POST", f"/{runs}/history", body | own | criteria) for runs in ("flow_runs", "task_runs")]


def many(*requests: list[Step]) -> list[Step]:
    """Put sequences one after the other."""
    return [step for steps in requests for step in steps]


def lateness(**criteria: Any) -> Step:
    """Ask how late flow runs are on average."""
    return Step("POST", "/flow_runs/lateness", criteria)


# Two pools with a queue each; the run of the first is late by 10 seconds, the second's by 30.
IN_POOLS = [
    create_flow(),
    *(
        step
        for pool, hour, late in (("one", "06", 10), ("two", "07", 30))
        for step in (
            Step("POST", "/work_pools/", {"name": f"{pool}-{{unique}}", "type": "process"}, save=f"pool_{pool}"),
            Step("POST", f"/work_pools/{pool}-{{unique}}/queues", {"name": f"{pool}-{{unique}}"}, save=f"queue_{pool}"),
            Step(
                "POST",
                "/deployments/",
                {
                    "name": f"{pool}-{{unique}}",
                    "flow_id": "{flow.id}",
                    "work_pool_name": f"{pool}-{{unique}}",
                    "work_queue_name": f"{pool}-{{unique}}",
                    "tags": [pool],
                },
                save=f"deployment_{pool}",
            ),
            Step(
                "POST",
                f"/deployments/{{deployment_{pool}.id}}/create_flow_run",
                {"name": f"{pool}-{{unique}}", "state": state("COMPLETED")},
                save=pool,
                ignore=("tags",),
            ),
            create_task_run(f"in_{pool}", name=f"{pool}-{{unique}}", flow_run_id=f"{{{pool}.id}}", state=state("COMPLETED")),
            place("flow_run", pool, f"2026-01-05T{hour}:00:00Z", late, 5),
            place("task_run", f"in_{pool}", f"2026-01-05T{hour}:30:00Z", late, 5),
        )
    ),
    create_flow_run("alone", name="alone-{unique}", state=state("COMPLETED")),
    place("flow_run", "alone", "2026-01-05T08:00:00Z", 50, 5),
]
CRITERIA = (
    {"flows": {"name": {"any_": ["flow-{unique}"]}}},
    {"flows": {"name": {"any_": ["nobody-{unique}"]}}},
    {"deployments": {"name": {"like_": "{unique}"}}},
    {"deployments": {"tags": {"all_": ["one"]}}, "flows": {"id": {"any_": ["{flow.id}"]}}},
    {"deployments": {"id": {"any_": ["{deployment_two.id}"]}}},
    {"task_runs": OURS},
    {"task_runs": {"name": {"any_": ["one-{unique}"]}}},
    {"flow_runs": {"id": {"any_": ["{two.id}"]}}},
    {"flow_runs": {"id": {"any_": ["{two.id}", "{alone.id}"]}}, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}},
    {"flow_runs": OURS, "flows": {}, "task_runs": {}, "deployments": {}},
    {"flow_runs": OURS, "flows": None, "task_runs": None, "deployments": None},
)
OF_FLOW_RUNS = (
    {"work_pools": {"name": {"any_": ["one-{unique}"]}}},
    {"work_pools": {"id": {"any_": ["{pool_one.id}", "{pool_two.id}"]}}},
    {"work_pools": {"id": {"any_": ["{pool_two.id}"]}}, "flow_runs": OURS, "flows": OURS, "task_runs": OURS, "deployments": OURS},
)
BY_QUEUE = ({"name": {"any_": ["two-{unique}"]}}, {"id": {"any_": ["{queue_one.id}"]}}, {"name": {"startswith_": ["o"]}})

SEQUENCES = {
    "intervals": [
        *PLACED,
        *many(
            history(),
            history(end="2026-01-05T00:30:00Z"),
            history(end="2026-01-05T01:00:00.000001Z"),
            history(seconds=86400),
            history(seconds=604800),
            history(seconds=1800.5, end="2026-01-05T03:00:00Z"),
            history(seconds=1799.999999, end="2026-01-05T03:00:00Z"),
            history(seconds=0.999999999, end="2026-01-05T00:00:02Z"),
            history(start="2026-01-04T23:59:59.999999Z", seconds=1, end="2026-01-05T00:00:01Z"),
            history(start="2026-01-04T12:30:00.5+05:30", end="2026-01-06T01:00:00+01:00", seconds=43200),
            history(start="2026-03-28T00:00:00Z", end="2026-04-01T00:00:00Z", seconds=86400),
            history(start="2026-03-29T00:00:00+01:00", end="2026-04-01T00:00:00+02:00", seconds=3600),
            history(start="2025-12-29", end="2026-01-12T00:00:00", seconds=3 * 86400 + 0.25),
        ),
    ],
    "at_most_500_intervals": [
        *PLACED,
        *many(
            history(seconds=1),
            history(seconds=173),
            history(seconds=172.8),
            history(start="2026-01-04T23:30:00Z", seconds=10),
            history(start="2025-01-01T00:00:00Z", end="2027-01-01T00:00:00Z", seconds=86400),
            history(start="1700-01-01T00:00:00Z", end="2300-01-01T00:00:00Z", seconds=31557600 * 2),
        ),
    ],
    "no_intervals": many(
        [create_flow()],
        history(end=DAY),
        history(start="2026-01-07T00:00:00Z"),
        history(start="2026-01-07T00:00:00Z", seconds=10**9),
        history(end="2026-01-05T00:00:00.000001Z"),
    ),
    "runs_that_go_on": [
        create_flow(),
        create_flow_run("running", name="running-{unique}", state=state("RUNNING")),
        create_flow_run("late", name="late-{unique}", state=state("SCHEDULED", "Late", scheduled_time="{now-600}")),
        create_flow_run("ahead", name="ahead-{unique}", state=state("SCHEDULED", scheduled_time="{now+600}")),
        create_flow_run("pending", name="pending-{unique}"),
        create_flow_run("cancelling", name="cancelling-{unique}", state=state("CANCELLING")),
        create_task_run("task", name="task-{unique}", flow_run_id="{running.id}", state=state("RUNNING")),
        create_task_run("retry", name="retry-{unique}", flow_run_id="{running.id}", state=state("SCHEDULED", "AwaitingRetry")),
        Step("SQL", "UPDATE flow_run SET state_timestamp = '{now-100}', start_time = '{now-90}' WHERE id = '{running.id}'"),
        Step("SQL", "UPDATE task_run SET state_timestamp = '{now-200}', total_run_time = '50 s' WHERE id = '{task.id}'"),
        Step("SQL", "UPDATE flow_run SET state_timestamp = '{now+900}', start_time = NULL WHERE id = '{cancelling.id}'"),
        *history("{now-900}", "{now+900}", 300),
        *history("{now-900}", "{now+900}", 1800),
        Step("SQL", "UPDATE flow_run SET state_timestamp = '{now+900}' WHERE id = '{running.id}'"),
        *history("{now-900}", "{now+900}", 1800),
    ],
    "criteria": [
        *IN_POOLS,
        *many(*(history(**criteria) for criteria in CRITERIA)),
        *many(*(history(**criteria)[:1] for criteria in OF_FLOW_RUNS)),
        *many(*(history(work_queues=criteria, flows=OURS)[:1] for criteria in BY_QUEUE)),
        *many(history(flow_runs=OURS, work_pool_queues={"name": {"any_": []}}, work_queues=None)),
        *(lateness(**criteria) for criteria in (*CRITERIA, *OF_FLOW_RUNS)),
        *(lateness(work_pool_queues=criteria, flows=OURS) for criteria in BY_QUEUE),
        lateness(flows=OURS, work_queues={"name": {"any_": []}}),
    ],
    "own_fields": [
        *PLACED,
        *many(
            *(
                history(seconds=86400, flow_runs=OURS | of_flow_runs, task_runs=OURS | of_task_runs)
                for of_flow_runs in ({}, {"tags": {"all_": ["even"]}}, {"state": {"name": {"any_": ["Cached"]}}})
                for of_task_runs in (
                    {},
                    {"state": {"type": {"any_": ["FAILED", "COMPLETED"]}}},
                    {"start_time": {"after_": "2026-01-05T00:10:02.5Z", "before_": "2026-01-05T00:20:07Z"}},
                    {"operator": "or_", "tags": {"is_null_": True}},
                )
            )
        ),
    ],
    "lateness": [
        lateness(flow_runs=OURS),
        *PLACED,
        lateness(flow_runs=OURS),
        *(lateness(flow_runs={"id": {"any_": [f"{{{run[0]}.id}}"]}}) for run in RUNS),
        lateness(flow_runs=OURS | {"expected_start_time": {"after_": DAY, "before_": "2026-01-05T01:00:00Z"}}),
        lateness(flow_runs=OURS | {"tags": {"all_": ["even"]}}),
        lateness(flow_runs={"id": {"any_": []}}),
    ],
}
# What stands in the place of each field, and whether Prefect refuses it too.
REFUSED = {
    "history_start": (None, "x", [], {}, "2026-02-30T00:00:00Z", "10000-01-01T00:00:00Z"),
    "history_end": (None, "x", True, {}),
    "history_interval_seconds": (None, "x", "PT1H", [1], {}, 0, -1, 0.5, 1e-7, "nan"),
    "flows": (5, "x", [], {"nonsense": 1}),
    "flow_runs": (5, {"id": 5}, {"start_time": {"after_": "x"}}),
    "task_runs": ([], {"state": {"type": {"any_": ["ASLEEP"]}}}),
    "deployments": ("x", {"operator": "xor_"}),
    "work_pools": ("x", {"name": "x"}),
    "work_queues": ("x", {"id": {"any_": ["x"]}}),
}
BODY = {"history_start": DAY, "history_end": "2026-01-06T00:00:00Z", "history_interval_seconds": 3600, "flow_runs": OURS}
SEQUENCES["bad_input"] = [
    *(
        Step("POST", f"/{runs}/history", BODY | {field: value})
        for runs in ("flow_runs", "task_runs")
        for field, values in REFUSED.items()
        for value in values
    ),
    *(
        Step("POST", f"/{runs}/history", {key: item for key, item in BODY.items() if key != field})
        for runs in ("flow_runs", "task_runs")
        for field in BODY
        if field != "flow_runs"
    ),
    *(
        Step("POST", f"/flow_runs/{path}", raw=raw, headers={"Content-Type": "application/json"}, ignore=("",))
        for path in ("history", "lateness")
        for raw in (b"", b"null", b"[]", b"5", b"{", b'{"flow_runs": 5}', b'{"unknown": 1}')
    ),
    *(
        step._replace(differs="Prefect fails", status=422)
        for step in many(
            history(seconds=1e300),
            history(seconds=1e13),
            history(end="9999-12-31T00:00:00Z", seconds=864000000),
        )
    ),
]
