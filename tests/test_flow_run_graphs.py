"""Graphs of flow runs: what ran in one, and which run gave its result to which."""

from typing import Any

import pytest

import sql
from sql.database import connect
from sql.ids import uuid7
from tests.resources import NOBODY, make_flow, make_flow_run, make_task_run, problems

NODE = ["kind", "id", "label", "state_type", "start_time", "end_time", "parents", "children", "encapsulating", "artifacts"]


class Run:
    """A flow run whose task runs and subflows are known by name."""

    def __init__(self, client):
        self.client, self.ids = client, {}
        self.run = make_flow_run(client, name="root", state={"type": "RUNNING"})

    def task(self, name: str, state: str | None = "PENDING", **inputs: Any) -> str:
        """Create a task run whose inputs are names of others, lists of them, or inputs as they are stored; gives its id."""
        given = {key: [self.source(each) for each in value] for key, value in inputs.items()}
        task = make_task_run(self.client, self.run, name=name, task_inputs=given, state=state and {"type": state})
        self.ids[name] = task["id"]
        return task["id"]

    def source(self, given: str | dict) -> dict:
        """Give an input."""
        return given if isinstance(given, dict) else {"input_type": "task_run", "id": self.ids[given]}

    def subflow(self, name: str, task: str, flow: dict) -> str:
        """Create a subflow for a task run; gives its id."""
        run = make_flow_run(self.client, flow, name=name, parent_task_run_id=self.ids[task], state={"type": "RUNNING"})
        self.ids[name] = run["id"]
        return run["id"]

    def graph(self, **arguments: Any) -> dict:
        """Give the graph."""
        answer = self.client.get(f"/api/flow_runs/{self.run['id']}/graph-v2", query_string=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json

    def edges(self, kind: str) -> dict[str, list[str]]:
        """Give the names of each node's parents, children or encapsulating nodes."""
        names = {id: name for name, id in self.ids.items()}
        return {names[id]: [names[edge["id"]] for edge in node[kind]] for id, node in self.graph()["nodes"] if node[kind]}


@pytest.fixture
def run(client) -> Run:
    """A flow run that has begun."""
    return Run(client)


def test_a_run_without_tasks_has_an_empty_graph(client, run):
    states = client.get(f"/api/flow_run_states/?flow_run_id={run.run['id']}").json
    assert run.graph() == {
        "start_time": run.run["start_time"],
        "end_time": None,
        "root_node_ids": [],
        "nodes": [],
        "artifacts": [],
        "states": [{key: states[0][key] for key in ("id", "timestamp", "type", "name")}],
    }


def test_a_run_that_has_not_begun_starts_when_it_is_due(client):
    due = "2030-01-01T00:00:00Z"
    run = make_flow_run(client, state={"type": "SCHEDULED", "state_details": {"scheduled_time": due}})
    assert client.get(f"/api/flow_runs/{run['id']}/graph-v2").json["start_time"] == due


def test_a_task_run_is_a_node(client, run):
    task = client.get(f"/api/task_runs/{run.task('one', 'RUNNING')}").json
    graph = run.graph()
    ((id, node),) = graph["nodes"]
    assert list(node) == NODE
    assert graph["root_node_ids"] == [id] == [task["id"]]
    assert node == {
        "kind": "task-run",
        "id": id,
        "label": "one",
        "state_type": "RUNNING",
        "start_time": task["start_time"],
        "end_time": None,
        **{key: [] for key in ("parents", "children", "encapsulating", "artifacts")},
    }


def test_a_subflow_stands_in_for_its_task_run(client, run):
    flow = make_flow(client)
    task = run.task("call")
    subflow = run.subflow("child", "call", flow)
    run.task("behind", x=[{"input_type": "flow_run", "id": subflow}], y=[{"input_type": "task_run", "id": task}])
    (child, _) = (node for _, node in run.graph()["nodes"])
    assert (child["kind"], child["id"], child["label"]) == ("flow-run", subflow, f"{flow['name']} / child")
    assert (child["state_type"], run.edges("children")) == ("RUNNING", {"child": ["behind"]})


def test_inputs_are_edges_whatever_they_are_called(run):
    run.task("a")
    run.task("b", x=["a"])
    run.task("c", wait_for=["a"])
    run.task("d", x=["b"], wait_for=["c"])
    assert run.edges("parents") == {"b": ["a"], "c": ["a"], "d": ["b", "c"]}
    assert run.edges("children") == {"a": ["b", "c"], "b": ["d"], "c": ["d"]}
    assert run.graph()["root_node_ids"] == [run.ids["a"]]


def test_inputs_that_are_no_runs_of_this_one_are_no_edges(run):
    constants = [{"input_type": "parameter", "name": "p"}, {"input_type": "constant", "type": "int"}]
    run.task("a", x=constants, y=[], z=[{"input_type": "task_run", "id": NOBODY}])
    assert run.edges("parents") == {}
    assert run.graph()["root_node_ids"] == [run.ids["a"]]


def test_inputs_that_events_brought_need_not_be_ids(run, module_database):
    run.task("a")
    with connect(module_database) as conn:
        inputs = '{"x": [{"input_type": "task_run", "id": "nonsense"}, {"id": 5}, {"id": null}, {}]}'
        conn.execute("UPDATE task_run SET task_inputs = %s WHERE id = %s", (inputs, run.ids["a"]))
    assert run.edges("parents") == {}
    assert run.client.get(f"/api/flow_runs/{run.run['id']}/graph").json[0]["upstream_dependencies"] == []


def test_an_edge_is_repeated_for_each_input_that_it_can_go_by(run):
    run.task("a")
    run.task("b", x=["a"], y=[])
    run.task("c", x=["b"], wait_for=["b"])
    assert run.edges("parents") == {"b": ["a"], "c": ["b"] * 4}
    assert run.edges("children") == {"a": ["b"], "b": ["c"] * 4}


def test_edges_that_would_be_repeated_too_often_are_there_once(run):
    run.task("a")
    run.task("b", x=[{"input_type": "constant", "type": "int"}] * 400)
    run.task("c", x=["b"] * 249)
    assert len(run.edges("parents")["c"]) == 400 * 249
    run.task("d", x=["b"] * 2)
    assert run.edges("parents") == {"c": ["b"], "d": ["b"]}
    assert run.edges("children") == {"b": ["c", "d"]}


def test_tasks_in_tasks_are_encapsulated_once_and_no_children(run):
    run.task("outer", x=[{"input_type": "constant", "type": "int"}] * 3)
    run.task("inner", __parents__=["outer", "outer"])
    assert run.edges("encapsulating") == {"inner": ["outer"]}
    assert run.edges("parents") == run.edges("children") == {}
    assert sorted(run.graph()["root_node_ids"]) == sorted(run.ids.values())


def test_a_task_run_that_is_not_due_is_no_node(run, module_database):
    run.task("a")
    run.task("b", x=["a"])
    with connect(module_database) as conn:
        conn.execute("UPDATE task_run SET start_time = NULL, expected_start_time = NULL WHERE id = %s", (run.ids["a"],))
    assert run.edges("parents") == {}
    assert run.graph()["root_node_ids"] == [run.ids["b"]]


def test_what_ended_before_a_time_is_left_out_but_is_a_parent_still(run, module_database):
    run.task("a", "COMPLETED")
    run.task("b", "RUNNING", x=["a"])
    with connect(module_database) as conn:
        set_end = "UPDATE task_run SET end_time = '2026-01-01T00:00:00Z' WHERE id = %s"
        conn.execute(set_end, (run.ids["a"],))
    assert len(run.graph(since="2026-01-01T00:00:00Z")["nodes"]) == 2
    graph = run.graph(since="2026-01-01T00:00:01Z")
    ((id, node),) = graph["nodes"]
    assert (id, node["parents"]) == (run.ids["b"], [{"id": run.ids["a"]}])
    assert graph["root_node_ids"] == []


def test_a_completed_task_run_without_an_end_ended_when_it_was_due(run, module_database):
    run.task("cached", "COMPLETED")
    with connect(module_database) as conn:
        conn.execute("UPDATE task_run SET end_time = NULL WHERE id = %s", (run.ids["cached"],))
    ((_, node),) = run.graph()["nodes"]
    assert node["end_time"] == node["start_time"]


def insert_artifact(conn, run: Run, task: str | None, key: str | None, type: str | None, data: str = '"x"') -> str:
    """Store an artifact of a run or of one of its task runs; gives its id."""
    id = str(uuid7())
    conn.execute(
        "INSERT INTO artifact (id, created, key, type, data, flow_run_id, task_run_id)"
        " VALUES (%s, clock_timestamp(), %s, %s, %s, %s, %s)",
        (id, key, type, data, run.run["id"], task and run.ids[task]),
    )
    return id


def test_artifacts_are_with_the_run_that_made_them(run, module_database):
    run.task("a")
    with connect(module_database) as conn:
        old = insert_artifact(conn, run, "a", f"k-{run.ids['a']}", "markdown")
        new = insert_artifact(conn, run, "a", f"k-{run.ids['a']}", "table")
        progress = insert_artifact(conn, run, None, None, "progress", "50.5")
        insert_artifact(conn, run, "a", None, "result")
        insert_artifact(conn, run, "a", None, None)
        latest = "INSERT INTO artifact_collection (key, latest_id) VALUES (%s, %s)"
        conn.execute(latest, (f"k-{run.ids['a']}", new))
    graph = run.graph()
    ((_, node),) = graph["nodes"]
    assert list(graph["artifacts"][0]) == ["id", "created", "key", "type", "is_latest", "data"]
    shown = [(artifact["id"], artifact["type"], artifact["is_latest"], artifact["data"]) for artifact in node["artifacts"]]
    assert shown == [(old, "markdown", False, None), (new, "table", True, None)]
    assert [(artifact["id"], artifact["is_latest"], artifact["data"]) for artifact in graph["artifacts"]] == [
        (progress, True, 50.5)
    ]


def test_no_more_artifacts_are_shown_than_set(run, module_database, monkeypatch):
    with connect(module_database) as conn:
        ids = [insert_artifact(conn, run, None, None, "markdown") for _ in range(3)]
    monkeypatch.setenv("PREFECT_API_MAX_FLOW_RUN_GRAPH_ARTIFACTS", "2")
    assert [artifact["id"] for artifact in run.graph()["artifacts"]] == ids[:2]


@pytest.mark.parametrize("graph", ["graph", "graph-v2"])
def test_a_graph_with_more_nodes_than_set_is_refused(client, run, monkeypatch, graph):
    for name in "abc":
        run.task(name)
    monkeypatch.setenv("PREFECT_SERVER_FLOW_RUN_GRAPH_MAX_NODES", "3")
    assert client.get(f"/api/flow_runs/{run.run['id']}/{graph}").status_code == 200
    monkeypatch.setenv("PREFECT_SERVER_FLOW_RUN_GRAPH_MAX_NODES", "2")
    answer = client.get(f"/api/flow_runs/{run.run['id']}/{graph}")
    assert (answer.status_code, list(answer.json)) == (400, ["detail"])
    assert "more than 2 nodes" in answer.json["detail"]


@pytest.mark.parametrize("graph", ["graph", "graph-v2"])
def test_a_run_that_is_not_there_has_no_graph(client, graph):
    assert client.get(f"/api/flow_runs/{NOBODY}/{graph}").status_code == 404
    assert client.get(f"/api/flow_runs/nonsense/{graph}").status_code == 404


@pytest.mark.parametrize("since", ["", "x", "2026-02-30T00:00:00Z", "\0", "2026-01-01T00:00:00+99:00"])
def test_a_time_that_is_none_is_refused(client, run, since):
    answer = client.get(f"/api/flow_runs/{run.run['id']}/graph-v2", query_string={"since": since})
    assert problems(answer) == ["query.since"]


def test_sets_of_nodes_are_never_compared_one_by_one(conn):
    """Nothing is known of the tables here, so PostgreSQL expects next to no rows, and would make nested loops if it might."""
    text = sql.flow_run_graphs.read.text
    given = {"flow_run_id": NOBODY, "since": "2026-01-01T00:00:00Z", "max_nodes": 10, "max_artifacts": 10}
    plan = [line for (line,) in conn.execute(f"EXPLAIN {text}", given)]
    assert sum("Full Join" in line for line in plan) == 5, "\n".join(plan)


def test_dependencies_are_the_task_runs_that_inputs_came_from(client, run):
    run.task("a")
    run.task(
        "b", "COMPLETED", x=["a"], y=["a", {"input_type": "parameter", "name": "p"}], z=[{"input_type": "flow_run", "id": NOBODY}]
    )
    dependencies = client.get(f"/api/flow_runs/{run.run['id']}/graph").json
    assert [each["id"] for each in dependencies] == sorted(run.ids.values(), reverse=True)
    shown = next(each for each in dependencies if each["name"] == "b")
    task = client.get(f"/api/task_runs/{run.ids['b']}").json
    copied = ("id", "name", "state", "expected_start_time", "start_time", "end_time", "total_run_time", "estimated_run_time")
    assert shown == {
        **{key: task[key] for key in copied},
        "upstream_dependencies": [{"input_type": "task_run", "id": run.ids["a"]}],
        "untrackable_result": False,
    }


def test_dependencies_tell_of_results_that_cannot_be_tracked(client, run, module_database):
    run.task("a", "COMPLETED")
    with connect(module_database) as conn:
        mark = (
            "UPDATE task_run_state SET state_details = state_details || '{\"untrackable_result\": true}' WHERE task_run_id = %s"
        )
        conn.execute(mark, (run.ids["a"],))
    (shown,) = client.get(f"/api/flow_runs/{run.run['id']}/graph").json
    assert shown["untrackable_result"] is True


def test_a_task_run_without_a_state_has_dependencies_too(client, run, module_database):
    run.task("a")
    with connect(module_database) as conn:
        conn.execute("UPDATE task_run SET state_id = NULL WHERE id = %s", (run.ids["a"],))
    (shown,) = client.get(f"/api/flow_runs/{run.run['id']}/graph").json
    assert (shown["state"], shown["untrackable_result"]) == (None, False)
