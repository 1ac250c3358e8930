"""Sequences about the graphs of flow runs."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, create_task_run, propose, propose_for_task, state


def task(name: str, run: str = "run", state_type: str | None = "PENDING", **inputs: list) -> Step:
    """Make a task run whose inputs are names of others, or inputs as they are stored."""
    given = {key: [source(each) for each in value] for key, value in inputs.items()}
    made = {"state": state(state_type)} if state_type else {}
    return create_task_run(name, name=name, flow_run_id=f"{{{run}.id}}", task_inputs=given, **made)


def source(given: str | dict) -> dict:
    """Give an input: a task run by its name, or what is an input already."""
    return given if isinstance(given, dict) else {"input_type": "task_run", "id": f"{{{given}.id}}"}


def subflow(name: str, task_run: str, flow: str = "flow", **fields: Any) -> Step:
    """Make a subflow that a task run stands for."""
    return create_flow_run(name, flow, name=name, parent_task_run_id=f"{{{task_run}.id}}", state=state("RUNNING"), **fields)


def artifact(key: str | None, type: str | None, data: Any = "x", run: str = "run", task_run: str | None = None) -> Step:
    """Make an artifact of a flow run, or of one of its task runs."""
    made_by = {"flow_run_id": f"{{{run}.id}}"} | ({"task_run_id": f"{{{task_run}.id}}"} if task_run else {})
    return Step("POST", "/artifacts/", {"key": key, "type": type, "data": data} | made_by, save="artifact")


def read(run: str = "run", **arguments: str) -> Step:
    """Read the graph of a flow run."""
    query = "&".join(f"{key}={value}" for key, value in arguments.items())
    return Step("GET", f"/flow_runs/{{{run}.id}}/graph-v2" + (f"?{query}" if query else ""), save="graph")


def read_dependencies(*ignore: str) -> Step:
    """Read the older form; the order of runs, whose ids are random, means nothing, nor does that of their dependencies."""
    return Step("GET", "/flow_runs/{run.id}/graph", unordered=True, ignore=ignore)


BEGUN = [create_flow(), create_flow_run(name="root", state=state("RUNNING"))]
CONSTANTS = [{"input_type": "constant", "type": "int"}, {"input_type": "parameter", "name": "p"}]

SEQUENCES = {
    "of_a_run_without_tasks": [
        create_flow(),
        create_flow_run(),
        read(),
        read_dependencies(),
        create_flow_run("later", state=state("SCHEDULED", scheduled_time="{now+600}")),
        read("later"),
        *BEGUN,
        propose("PAUSED"),
        propose("RUNNING"),
        propose("COMPLETED"),
        read(),
        Step("GET", "/flow_runs/{uuid.none}/graph-v2"),
        Step("GET", "/flow_runs/{uuid.none}/graph"),
        Step("GET", "/flow_runs/nonsense/graph-v2"),
    ],
    "of_tasks_that_feed_each_other": [
        *BEGUN,
        task("a"),
        task("b", x=["a"]),
        task("c", x=["a"], y=[]),
        task("d", x=["b", "c"]),
        task("e", x=["d"], wait_for=["d"]),
        task("f", wait_for=["a", "e"], state_type=None),
        read(),
        read_dependencies("upstream_dependencies"),
    ],
    "of_inputs_of_all_kinds": [
        *BEGUN,
        create_flow_run("elsewhere", state=state("RUNNING")),
        task("other", "elsewhere"),
        task("a", x=CONSTANTS, y=CONSTANTS[:1]),
        task("b", x=["a"], y=CONSTANTS, z=["other", {"input_type": "task_run", "id": "{uuid.none}"}]),
        task("c", x=["b", "b"], y=["b", "a"]),
        read(),
        read("elsewhere"),
    ],
    "of_tasks_in_all_states": [
        *BEGUN,
        *(
            task(type.lower(), state_type=type, x=["before"] if number else [])._replace(save="before")
            for number, type in enumerate(("SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED"))
        ),
        read(),
        read_dependencies(),
    ],
    "of_a_task_that_is_retried": [
        *BEGUN,
        task("a", state_type="RUNNING"),
        propose_for_task("SCHEDULED", "AwaitingRetry", task="a", scheduled_time="{now-1}"),
        propose_for_task("RUNNING", "Retrying", task="a"),
        propose_for_task("COMPLETED", task="a", data={"type": "unpersisted"}, untrackable_result=True),
        read(),
        read_dependencies(),
    ],
    "of_subflows": [
        *BEGUN,
        create_flow("callee", "callee-{unique}"),
        task("call"),
        subflow("child", "call", "callee"),
        task("again"),
        subflow("first", "again"),
        subflow("second", "again"),
        task("behind", x=["child", {"input_type": "flow_run", "id": "{child.id}"}], y=["call"]),
        create_task_run("inner", name="inner", flow_run_id="{child.id}", state=state("RUNNING")),
        read(),
        read("child"),
        propose("COMPLETED", run="child"),
        read(),
        Step("DELETE", "/flow_runs/{second.id}"),
        read(),
    ],
    "of_tasks_in_tasks": [
        *BEGUN,
        task("outer", x=CONSTANTS),
        task("between", __parents__=["outer"]),
        task("inner", __parents__=["between", "outer", "between"], x=["outer"]),
        task("behind", x=["outer", "inner"]),
        read(),
        read_dependencies("upstream_dependencies"),
    ],
    "since_a_time": [
        *BEGUN,
        task("a", state_type="COMPLETED"),
        task("b", state_type="RUNNING", x=["a"]),
        *(read(since=since) for since in ("2000-01-01T00:00:00Z", "{now-60}", "{now+60}", "0001-01-01T00:00:00Z")),
        *(read(since=since) for since in ("", "x", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00%2B02:00")),
        read(until="2000-01-01T00:00:00Z"),
    ],
    "with_artifacts": [
        *BEGUN,
        task("a"),
        task("call"),
        subflow("child", "call"),
        artifact("one-{unique}", "markdown"),
        artifact("one-{unique}", "markdown", "newer", task_run="a"),
        artifact("two-{unique}", "table", [{"a": 1}], task_run="a"),
        artifact(None, "progress", 50.5, task_run="a"),
        artifact(None, "progress", None),
        artifact("three-{unique}", "result", task_run="a"),
        artifact("four-{unique}", None, task_run="a"),
        artifact("five-{unique}", "link", task_run="call"),
        artifact("six-{unique}", "image", run="child"),
        read(),
        read("child"),
    ],
}
SEQUENCES["of_inputs_of_all_kinds"].append(
    Step(
        "GET",
        "/flow_runs/{run.id}/graph",
        differs="Prefect fails when an input is no task run",
        status=200,
    )
)
