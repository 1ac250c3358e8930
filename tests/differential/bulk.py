"""Sequences about deleting many things, and setting the states of many runs, at once."""

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, create_task_run, read_run, read_task, state

NAMED = {"flows": {"name": {"like_": "-{unique}"}}}
LOGS = Step(
    "POST",
    "/logs/",
    [
        {"name": "n", "level": 20, "message": "m", "timestamp": "{now+0}", "flow_run_id": f"{{{run}.id}}"}
        for run in ("one", "two")
    ],
)
DEPLOYED = Step("POST", "/deployments/", {"name": "d-{unique}", "flow_id": "{flow.id}", "concurrency_limit": 2}, save="deployed")
TWO_FLOWS = [
    create_flow("flow", "a-{unique}"),
    create_flow("other", "b-{unique}"),
    DEPLOYED,
    create_flow_run("one", state=state("RUNNING"), deployment_id="{deployed.id}"),
    create_flow_run("two", "other", state=state("RUNNING")),
    create_task_run("call", flow_run_id="{one.id}", state=state("RUNNING")),
    create_flow_run("child", "other", parent_task_run_id="{call.id}", state=state("RUNNING")),
    LOGS,
    Step("POST", "/flow_runs/{one.id}/input", {"key": "k", "value": "1"}),
]


def rest(*runs: str) -> list[Step]:
    """See what is left of runs, and of the deployment."""
    return [
        *(step for run in runs for step in read_run(run)),
        *read_task("call"),
        Step("GET", "/flow_runs/{one.id}/input/k"),
        Step("GET", "/deployments/{deployed.id}"),
        Step("POST", "/flows/count", NAMED),
    ]


def refusals(resource: str, **fields) -> list[Step]:
    """Ask for too many, for none, and by filters that are none."""
    filters = [{"id": {"any_": ["nonsense"]}}, {"nonsense": 1}, "nonsense", []]
    return [
        *(Step("POST", f"/{resource}", {"limit": limit, **fields}) for limit in (0, 51, -1, "x", 1.5)),
        *(Step("POST", f"/{resource}", {resource.partition("/")[0]: chosen, **fields}) for chosen in filters),
    ]


SEQUENCES = {
    "delete_a_flow": [*TWO_FLOWS, Step("DELETE", "/flows/{flow.id}"), *rest("one", "two", "child")],
    "delete_flows": [
        *TWO_FLOWS,
        Step("POST", "/flows/bulk_delete", {"flows": {"id": {"any_": ["{other.id}", "{uuid.none}"]}}}),
        *rest("one", "two", "child"),
        Step("POST", "/flows/bulk_delete", NAMED, unordered=True),
        *rest("one", "two", "child"),
        Step("POST", "/flows/bulk_delete", NAMED),
    ],
    "logs_of_a_flow_that_is_deleted": [
        *TWO_FLOWS,
        Step("DELETE", "/flows/{flow.id}"),
        Step(
            "POST",
            "/logs/filter",
            {"logs": {"flow_run_id": {"any_": ["{one.id}"]}}},
            differs="Prefect leaves the lines of runs whose flow is deleted, though it deletes those of a run that is",
            status=200,
            contains=[],
        ),
    ],
    "delete_flow_runs": [
        *TWO_FLOWS,
        Step("POST", "/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": ["{one.id}", "{uuid.none}"]}}}),
        *rest("one", "two", "child"),
        Step("POST", "/flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": ["{two.id}", "{child.id}"]}}}, unordered=True),
        *rest("one", "two", "child"),
    ],
    "delete_deployments": [
        *TWO_FLOWS,
        Step("POST", "/deployments/bulk_delete", {"deployments": {"id": {"any_": ["{deployed.id}", "{uuid.none}"]}}}),
        *rest("one", "two", "child"),
    ],
    "set_states": [
        *TWO_FLOWS,
        Step(
            "POST",
            "/flow_runs/bulk_set_state",
            {"flow_runs": {"id": {"any_": ["{one.id}", "{uuid.none}"]}}, "state": state("COMPLETED")},
        ),
        *rest("one", "two", "child"),
        Step(
            "POST",
            "/flow_runs/bulk_set_state",
            {"flow_runs": {"id": {"any_": ["{one.id}"]}}, "state": state("PENDING"), "limit": 1},
        ),
    ],
    "refusals": [
        *TWO_FLOWS,
        *refusals("flows/bulk_delete"),
        *refusals("flow_runs/bulk_delete"),
        *refusals("deployments/bulk_delete"),
        *refusals("flow_runs/bulk_set_state", state=state("RUNNING")),
        *rest("one", "two", "child"),
    ],
}
