"""Sequences about filters: what is refused at each level, and the corners that random criteria seldom meet.

Random criteria on many rows, which both servers read from one database, are in tests/test_shared_database.py.
"""

from typing import Any

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, state

RESOURCES = ("flows", "flow_runs", "task_runs", "deployments", "work_pools", "work_pool_queues")
OF_THE_FLOW = {"flows": {"id": {"any_": ["{flow.id}"]}}}
LISTS = ("/flows/filter", "/flow_runs/filter", "/task_runs/filter", "/deployments/filter")
PAGES = ("/flows/paginate", "/flow_runs/paginate", "/task_runs/paginate", "/deployments/paginate")
OTHERS = ("/work_pools/filter", "/work_queues/filter", "/logs/filter", "/v2/concurrency_limits/filter")
OF_A_POOL = ("/work_pools/pool-{unique}/queues/filter", "/work_pools/pool-{unique}/workers/filter")
COUNTS = ("/flows/count", "/flow_runs/count", "/task_runs/count", "/deployments/count", "/work_pools/count")


def runs(**criteria: Any) -> Step:
    """List the flow runs of the sequence that match, by name."""
    return Step("POST", "/flow_runs/filter", OF_THE_FLOW | criteria | {"sort": "NAME_ASC"})


def refused_everywhere(**fields: Any) -> list[Step]:
    """Send arguments to every operation that gives a list."""
    return [Step("POST", path, fields) for path in (*LISTS, *OTHERS)]


SOME_RUNS = [
    create_flow(),
    create_flow_run("one", name="One%", tags=["a", "b"], state=state("COMPLETED", "Done")),
    create_flow_run("two", name="two_\\", tags=["a"], state=state("RUNNING")),
    create_flow_run("three", name="Three", tags=[]),
]

SEQUENCES = {
    "limits": [
        *refused_everywhere(limit=201),
        *refused_everywhere(limit=-1),
        *refused_everywhere(limit=0),
        *refused_everywhere(offset=-1),
        *(Step("POST", path, {"limit": 0, "flows": {"name": {"any_": ["{unique}"]}}}) for path in PAGES),
        *(Step("POST", path, body) for path in PAGES for body in ({"limit": 201}, {"limit": -1}, {"page": 0}, {"page": -1})),
    ],
    "limits_in_a_pool": [
        Step("POST", "/work_pools/", {"name": "pool-{unique}", "type": "process"}),
        Step("POST", "/work_pools/pool-{unique}/workers/heartbeat", {"name": "worker"}),
        *(
            Step("POST", path, body)
            for path in OF_A_POOL
            for body in ({"limit": 201}, {"limit": -1}, {"offset": -1}, {"limit": 0})
        ),
        *(Step("POST", path, body) for path in OF_A_POOL for body in ({"offset": 1}, {"nonsense": 1, "limit": 0})),
        Step("POST", OF_A_POOL[0], {"work_queues": {"nonsense": 1}}),
        Step("POST", OF_A_POOL[1], {"workers": {"nonsense": 1}}),
        Step("POST", OF_A_POOL[1], {"workers": {"status": {"any_": ["ASLEEP"]}}}),
        Step("POST", OF_A_POOL[1], {"workers": {"status": {"any_": ["ONLINE"], "not_any_": ["ONLINE"]}}}),
    ],
    "orders_that_do_not_exist": [
        *(Step("POST", path, {"sort": sort}) for path in (*LISTS, *PAGES, "/logs/filter") for sort in ("SIZE_DESC", "", 1)),
        *(Step("POST", path, {"flows": {"id": {"any_": []}}, "sort": "nonsense"}) for path in COUNTS[:1]),
    ],
    "unknown_names_at_each_level": [
        *(Step("POST", path, {"nonsense": 1, "flows": {"name": {"any_": []}}}) for path in COUNTS[:4]),
        *(Step("POST", "/flow_runs/count", {name: {"nonsense": {}}}) for name in RESOURCES),
        *(Step("POST", "/flow_runs/count", {name: {"id": {"nonsense": []}}}) for name in RESOURCES),
        *(Step("POST", "/flow_runs/count", {name: {"operator": "nonsense"}}) for name in RESOURCES),
        *(Step("POST", "/flow_runs/count", {name: {"and_": []}}) for name in RESOURCES),
        Step("POST", "/flow_runs/count", {"flow_runs": {"state": {"type": {"nonsense": 1}}}}),
        Step("POST", "/flow_runs/count", {"flow_runs": {"id": {"operator": "or_"}}}),
        Step("POST", "/logs/filter", {"logs": {"name": {"any_": []}}}),
        Step("POST", "/flows/count", {"flows": {"name": {"any_": []}}, "work_pool_queues": {"nonsense": 1}}),
    ],
    "nulls": [
        *SOME_RUNS,
        runs(flow_runs={"id": None, "name": {"any_": None, "like_": None}, "tags": {"all_": None, "is_null_": None}}),
        runs(flow_runs={"state": {"type": None, "name": {"any_": None}}}),
        Step("POST", "/flow_runs/filter", OF_THE_FLOW | {"sort": None, "limit": None, "offset": None}, unordered=True),
        Step("POST", "/flow_runs/count", {"flow_runs": {"operator": None}}),
        Step("POST", "/flow_runs/count", {"flow_runs": {"name": {"any_": [None]}}}),
        Step("POST", "/flow_runs/count", {"flow_runs": {"name": {"like_": "a\0b"}}}),
        Step("POST", "/flow_runs/count", {"flow_runs": {"tags": {"all_": ["a\0b"]}}}),
    ],
    "patterns": [
        *SOME_RUNS,
        *(runs(flow_runs={"name": {"like_": part}}) for part in ("%", "_", "\\", "\\%", "\\_", "ONE", "o_e", "T%e", "one\\")),
    ],
    "times": [
        create_flow(),
        create_flow_run("run", state=state("SCHEDULED", scheduled_time="2024-05-05T12:00:00.123456Z")),
        *(
            runs(flow_runs={"next_scheduled_start_time": {operator: time}})
            for operator in ("before_", "after_")
            for time in (
                "2024-05-05T12:00:00.123456Z",
                "2024-05-05T12:00:00.123455+00:00",
                "2024-05-05T14:00:00.123457+02:00",
                "2024-05-05 12:00:00.123456",
                "2024-05-05T12:00:00.123456z",
                "2024-05-05T12:00Z",
                "2024-05-05T12:00:00.5Z",
                "0001-01-01T00:00:00Z",
                "9999-12-31T23:59:59Z",
                "2024-02-30T00:00:00Z",
                "yesterday",
                "",
            )
        ),
    ],
    "joined": [
        *SOME_RUNS,
        *(
            runs(flow_runs={"operator": "or_", "name": {"any_": ["Three"]}, **other})
            for other in (
                {"tags": {"any_": ["b"]}},
                {"tags": {}},
                {"tags": {"operator": "or_"}},
                {"tags": None},
                {"state": {}},
                {"state": {"type": {}}},
                {"state": {"name": {"any_": ["Done"]}, "type": {}}},
                {"state": {"operator": "or_", "name": {"any_": ["Done"]}, "type": {}}},
                {"state": {"operator": "or_", "name": {"any_": ["Done"]}, "type": {"not_any_": []}}},
                {"id": {"not_any_": []}},
                {"id": {"any_": []}},
            )
        ),
        runs(
            flow_runs={"tags": {"operator": "or_", "all_": ["b"], "is_null_": True}},
            deployments=None,
        ),
    ],
    "what_prefect_passes_over": [
        *SOME_RUNS,
        Step(
            "POST",
            "/flow_runs/count",
            OF_THE_FLOW | {"flow_runs": {"state": {"type": {"any_": ["RUNNING"], "not_any_": ["COMPLETED"]}}}},
            differs="Prefect passes over types of states that must be some and must not be others; here both hold",
            status=200,
            contains=1,
        ),
        Step(
            "POST",
            "/flow_runs/count",
            OF_THE_FLOW | {"flow_runs": {"state": {"name": {"any_": ["Done"], "not_any_": ["Running"]}}}},
            differs="Prefect passes over names of states that must be some and must not be others; here both hold",
            status=200,
            contains=1,
        ),
        *(
            Step(
                "POST", "/deployments/count", {"deployments": {"operator": "or_", "id": {"any_": []}, "concurrency_limit": limit}}
            )
            for limit in ({"ge_": 1}, {"le_": 1, "is_null_": False}, {})
        ),
        Step("POST", "/deployments/count", {"deployments": {"concurrency_limit": {"ge_": "many"}}}),
        Step("POST", "/deployments/count", {"deployments": {"concurrency_limit": {"nonsense": 1}}}),
    ],
    "logs": [
        Step(
            "POST",
            "/logs/",
            [
                {"name": "n", "level": level, "message": message, "timestamp": "{now+0}", "flow_run_id": "{uuid.run}"}
                for level, message in ((10, "error here"), (1_000_000_000, "all fine"))
            ],
        ),
        *(
            Step(
                "POST",
                "/logs/filter",
                {
                    "logs": {
                        "operator": "or_",
                        "level": {"ge_": 999_999_999},
                        "timestamp": {"before_": "0001-01-02T00:00:00Z"},
                        **text,
                    }
                },
            )
            for text in ({"text": {"query": ""}}, {"text": None}, {"flow_run_id": {"any_": []}})
        ),
        Step(
            "POST",
            "/logs/filter",
            {"logs": {"operator": "or_", "flow_run_id": {"any_": []}, "text": {"query": "-error -{uuid.run} +fine"}}, "limit": 0},
            differs="Prefect takes the parts of a query apart under or_; here a query holds as a whole",
            status=200,
        ),
        Step("POST", "/logs/filter", {"logs": {"text": {"query": None}}}),
        Step("POST", "/logs/filter", {"logs": {"level": {"ge_": 10**12}}}),
    ],
}
