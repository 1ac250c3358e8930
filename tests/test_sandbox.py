"""What users store runs in a child process, where it can be stopped: schemas, patterns, templates, and their attacks."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.errors import Exhausted, Unavailable
from handlers.sandbox import pool
from sql import database as db
from sql.database import connect
from tests.resources import created, make_flow, told, unique

PATIENCE_SECONDS = 60 * float(os.environ.get("TEST_PATIENCE", 1))
SLOW_PATTERN = {"properties": {"x": {"pattern": "^(a+)+$"}}}
SLOW_TEXT = {"x": "a" * 60 + "!"}
HARMLESS: dict[str, Any] = {"value": {"x": 1}, "schema": {"properties": {"x": {"type": "integer"}}}}


def template(text: str) -> dict[str, Any]:
    """Give the arguments of a value that is a template."""
    return {"values": {"x": {"__prefect_kind": "jinja", "template": text}}, "variables": {}}


def chain(length: int, **more: Any) -> dict[str, Any]:
    """Give a schema whose checking doubles with every definition."""
    links = {f"d{at}": {"allOf": [{"$ref": f"#/definitions/d{at + 1}"}] * 2} for at in range(length)}
    return {"definitions": {**links, f"d{length}": {}}, "$ref": "#/definitions/d0", **more}


def nested(depth: int) -> dict[str, Any]:
    """Give a schema of properties within one another."""
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"properties": {"x": schema}}
    return schema


def wait_until(is_so: Callable[[], Any]) -> None:
    """Return once something has become true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended, even if nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(autouse=True)
def patient(monkeypatch) -> None:
    """A machine may be as busy as it likes."""
    for name in ("PLACE_SECONDS", "START_SECONDS", "CALL_SECONDS"):
        monkeypatch.setattr(pool, name, 10_000)
    monkeypatch.setenv("DOWNBEAT_SANDBOX_CPU_SECONDS", "1")
    pool.suspects.clear()


@pytest.fixture
def fresh() -> Iterator[None]:
    """A pool that has no child yet, and none afterwards."""
    pool.close()
    yield
    pool.close()


@pytest.fixture
def started(fresh, monkeypatch) -> list[pool.Child]:
    """The children as they are started."""
    children: list[pool.Child] = []

    def start(start=pool.start) -> pool.Child:
        children.append(start())
        return children[-1]

    monkeypatch.setattr(pool, "start", start)
    return children


@pytest.fixture
def attack(started, monkeypatch) -> Iterator[Callable]:
    """Begins calls that do not end, gives each with its outcome; they are killed afterwards."""
    monkeypatch.setenv("DOWNBEAT_SANDBOX_CPU_SECONDS", "10000")
    calls: list[SimpleNamespace] = []

    def begin() -> SimpleNamespace:
        call = SimpleNamespace(outcome=None)

        def run() -> None:
            try:
                call.outcome = pool.run("validate", value=SLOW_TEXT, schema=SLOW_PATTERN)
            except (Exhausted, Unavailable) as error:
                call.outcome = error

        call.thread = threading.Thread(target=run)
        call.thread.start()
        calls.append(call)
        return call

    def all_over() -> bool:
        for child in started:
            child.process.kill()
        return not any(call.thread.is_alive() for call in calls)

    yield begin
    wait_until(all_over)


def low_priority(child: pool.Child) -> bool:
    """Tell whether a child has left the quick places."""
    return child.process.returncode is None and os.getpriority(os.PRIO_PROCESS, child.process.pid) == pool.LOW_PRIORITY


@pytest.mark.parametrize(
    ("limit", "function", "arguments"),
    [
        ("CPU time", "validate", {"value": SLOW_TEXT, "schema": SLOW_PATTERN}),
        ("CPU time", "validate", {"value": {"a" * 60 + "!": 1}, "schema": {"patternProperties": {"^(a+)+$": {}}}}),
        ("CPU time", "validate", {"value": {}, "schema": chain(40)}),
        ("CPU time", "find_form_errors", {"values": {}, "schema": chain(40), "variables": {}}),
        ("CPU time", "validate", {"value": [{"n": n} for n in range(20_000)], "schema": {"uniqueItems": True}}),
        ("memory", "hydrate", template("{{ 'a' * (10 ** 9) }}")),
        ("memory", "hydrate", template("{{ 'a' * (10 ** 8) }}")),
        ("memory", "find_form_errors", {**template("{{ 'a' * (10 ** 8) }}"), "schema": {}}),
        ("memory", "hydrate", template("{% set x = ['a' * 1000] %}" + "{% set x = x + x %}" * 40)),
        ("CPU time", "hydrate", template("{% for a in 'x' * 10000 %}{% for b in 'x' * 10000 %}{% endfor %}{% endfor %}")),
        ("JSON", "hydrate", template("{{ 'a' * (5 * 10 ** 6) }}")),
        ("JSON", "validate", {"value": "a" * (5 * 10**6), "schema": {"type": "string"}}),
        ("CPU time", "check_job_variables", {"schema": SLOW_PATTERN, "defaults": {}, "layers": [SLOW_TEXT], "is_complete": True}),
        ("CPU time", "check_job_defaults", {"schema": SLOW_PATTERN, "defaults": SLOW_TEXT}),
    ],
)
def test_what_costs_too_much_is_stopped_and_told_by_which_limit(limit, function, arguments):
    with pytest.raises(Exhausted, match=limit):
        pool.run(function, **arguments)
    pool.run("validate", **HARMLESS)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({}, {"$ref": "#"}),
        ({}, {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}),
        ({}, {"$ref": "http://localhost/x"}),
        ({}, {"$dynamicRef": "#no"}),
        ({"x": 1}, {"properties": {"x": {"multipleOf": 0}}}),
        ({"x": 1e308}, {"properties": {"x": {"multipleOf": 1.5e-300}}}),
        ({"x": "a"}, {"properties": {"x": {"pattern": "("}}}),
        ({"x": "a"}, {"patternProperties": {"(": {}}}),
        ({"x": "a"}, {"properties": {"x": {"pattern": "(?P<n>a)(?P=m)"}}}),
        ({"x": "a"}, {"properties": {"x": {"$id": "http://[", "$ref": "y"}}}),
        ({}, {"required": 5}),
        ({"x": {}}, {"properties": {"x": 5}}),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(value, schema):
    with pytest.raises(ValueError, match=r"."):
        pool.run("validate", value=value, schema=schema)
    for defaults in ({}, value):
        with pytest.raises(ValueError, match=r"."):
            pool.run("check_job_variables", schema=schema, defaults=defaults, layers=[value], is_complete=True)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("ab12", {"pattern": r"^(?=.*\d)(?!.*\s)[a-z]+\d+$"}),
        ("abba", {"pattern": r"^(.)(.)\2\1$"}),
        ("2026-11-21T00:00:00Z", {"format": "date-time"}),
        ("a" * 100_000, {"format": "email"}),
        (2**63, {"multipleOf": 1}),
        (1e300, {"multipleOf": 1}),
        (["x"] * 5, {"items": {"enum": [str(n) for n in range(20_000)] + ["x"]}}),
        (list(range(20_000)), {"uniqueItems": True}),
        ({"x": {}}, nested(90)),
        ({}, chain(8)),
    ],
)
def test_what_is_only_unusual_goes_through(value, schema):
    assert pool.run("validate", value=value, schema=schema) is None


def test_a_neighbour_goes_through_while_a_schema_never_ends(attack, started):
    slow = attack()
    wait_until(lambda: any(map(low_priority, started)))
    pool.run("validate", **HARMLESS)
    with pytest.raises(ValueError, match="'x'"):
        pool.run("validate", **{**HARMLESS, "value": {"x": "one"}})
    assert slow.thread.is_alive() and slow.outcome is None


def test_neighbours_go_through_however_many_slow_ones_there_are(attack, started):
    calls = [attack() for _ in range(6)]
    for _ in range(5):
        pool.run("validate", **HARMLESS)
    wait_until(lambda: sum(isinstance(call.outcome, Unavailable) for call in calls) == len(calls) - pool.SLOW_PLACES)
    wait_until(lambda: sum(map(low_priority, started)) == pool.SLOW_PLACES)
    pool.run("validate", **HARMLESS)


def test_what_was_slow_of_late_does_not_take_a_quick_place_again(attack, started):
    calls = [attack() for _ in range(pool.SLOW_PLACES)]
    wait_until(lambda: sum(map(low_priority, started)) == pool.SLOW_PLACES)
    number = len(started)
    for _ in range(3):
        with pytest.raises(Unavailable):
            pool.run("validate", value=SLOW_TEXT, schema=SLOW_PATTERN)
    assert len(started) == number and all(call.thread.is_alive() for call in calls)


def test_a_schema_that_is_slow_once_is_kept_by_its_child(started):
    properties = {f"p{n}": {"anyOf": [{"type": "integer"}, {"type": "null"}], "title": f"P {n}"} for n in range(150)}
    for _ in range(5):
        pool.run("validate", value={}, schema={"properties": properties})
    assert len(started) == 1
    assert not pool.suspects


def test_a_call_whose_child_is_killed_is_tried_once_more_then_it_is_unavailable(attack, started):
    call = attack()
    for number in (1, 2):
        wait_until(lambda number=number: len(started) == number and low_priority(started[-1]))
        started[-1].process.kill()
    wait_until(lambda: call.outcome)
    assert isinstance(call.outcome, Unavailable) and "killed" in str(call.outcome)


def test_a_child_that_was_killed_while_nobody_called_is_replaced(started):
    pool.run("validate", **HARMLESS)
    pool.run("validate", **HARMLESS)
    assert len(started) == 1
    started[0].process.send_signal(signal.SIGKILL)
    pool.run("validate", **HARMLESS)
    assert len(started) == 2


def test_a_child_is_told_to_end_by_nobody_but_the_server(started):
    pool.run("validate", **HARMLESS)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        started[0].process.send_signal(number)
    pool.run("validate", **HARMLESS)
    assert len(started) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_has_no_secret_no_descriptor_and_no_terminal(started, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    with Path("/dev/null").open() as held:
        os.set_inheritable(held.fileno(), True)
        pool.run("validate", **HARMLESS)
    (child,) = started
    process = Path(f"/proc/{child.process.pid}")
    names = {line.partition("=")[0] for line in (process / "environ").read_text().split("\0") if line}
    assert names == {"PYTHONPATH", "LC_ALL"}
    assert sorted(os.listdir(process / "fd")) == ["0", "1", "2"]
    assert os.getsid(child.process.pid) == child.process.pid


def in_another_process(script: str) -> str:
    """Run a script and give what it printed, even if it was killed."""
    root = Path(__file__).parent.parent
    arguments = "value={'x': 1}, schema={'type': 'object'}"
    text = "import os, signal\nfrom handlers.sandbox import pool\ndef ask(): pool.run('validate', " + arguments + ")\n" + script
    return subprocess.run([sys.executable, "-c", text], cwd=root, capture_output=True, text=True, check=False).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_does_not_survive_the_server():
    printed = in_another_process(
        "ask()\nprint(pool.idle[0].process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"  # nothing tidies up
    )
    wait_until(lambda: is_gone(int(printed)))


def test_a_process_that_is_forked_has_children_of_its_own():
    printed = in_another_process(
        "ask()\nprint(pool.idle[0].process.pid, flush=True)\n"
        "if os.fork() == 0: ask(); print(pool.idle[0].process.pid, flush=True); os._exit(0)\n"
        "os.wait()\nask()\nprint(pool.idle[0].process.pid)"
    ).split()
    assert len(printed) == 3 and printed[0] == printed[2] != printed[1]


@pytest.fixture
def checked(client, monkeypatch) -> list[str]:
    """The functions that the sandbox was asked for; it fails where a connection is held meanwhile."""
    asked: list[str] = []

    def call(request, suspect, kept, call=pool.call) -> dict:
        assert db.pool.lent == 0, "a connection is held"
        asked.append(request.decode().split('"')[1])
        return call(request, suspect, kept)

    monkeypatch.setattr(pool, "call", call)
    return asked


VARIABLES = {"type": "object", "properties": {"x": {"type": "string", "default": "y"}}}
POOL = {"type": "process", "base_job_template": {"job_configuration": {"x": "{{ x }}"}, "variables": VARIABLES}}
PARAMETERS = {"type": "object", "properties": {"p": {"type": "string", "default": "q"}}}


@pytest.fixture
def deployment(client) -> dict[str, Any]:
    """A deployment in a pool, both with a schema."""
    name = created(client, "work_pools", name=unique("pool"), **POOL)["name"]
    fields = {"flow_id": make_flow(client)["id"], "work_pool_name": name, "parameter_openapi_schema": PARAMETERS}
    return created(client, "deployments", name=unique("deployment"), enforce_parameter_schema=True, **fields)


@pytest.fixture
def other(client):
    """A second client, which may send a request within one of the first."""
    return client.application.test_client()


def paused_run(client) -> str:
    """Give the id of a flow run that waits for an input."""
    flow_run = created(client, "flow_runs", flow_id=make_flow(client)["id"], state={"type": "RUNNING"})
    schema = {"key": "schema", "value": '{"type": "object", "properties": {"n": {"pattern": "^(a+)+$"}}}'}
    assert client.post(f"/api/flow_runs/{flow_run['id']}/input", json=schema).status_code == 201
    pause(client, flow_run["id"])
    return flow_run["id"]


def pause(client, id: str) -> None:
    """Pause a run, whatever it does."""
    state = {"type": "PAUSED", "state_details": {"run_input_keyset": {"schema": "schema", "response": unique("response")}}}
    assert client.post(f"/api/flow_runs/{id}/set_state", json={"state": state, "force": True}).status_code == 201


REQUESTS: dict[str, Callable[[Any, dict], Any]] = {
    "create a pool": lambda client, one: client.post("/api/work_pools/", json={"name": unique("pool"), **POOL}),
    "create a deployment": lambda client, one: client.post(
        "/api/deployments/",
        json={
            "name": unique("d"),
            "flow_id": one["flow_id"],
            "work_pool_name": one["work_pool_name"],
            "job_variables": {"x": "z"},
            "enforce_parameter_schema": True,
            "parameter_openapi_schema": PARAMETERS,
        },
    ),
    "update a deployment": lambda client, one: client.patch(
        f"/api/deployments/{one['id']}",
        json={"parameters": {"p": "r"}, "work_pool_name": one["work_pool_name"], "job_variables": {"x": "z"}},
    ),
    "create a run": lambda client, one: client.post(
        f"/api/deployments/{one['id']}/create_flow_run", json={"job_variables": {"x": "z"}, **parameters()}
    ),
    "create runs": lambda client, one: client.post(f"/api/deployments/{one['id']}/create_flow_run/bulk", json=[parameters()] * 2),
    "update a run": lambda client, one: client.patch(
        "/api/flow_runs/" + client.post(f"/api/deployments/{one['id']}/create_flow_run", json={}).json["id"],
        json={"job_variables": {"x": "z"}},
    ),
    "resume a run": lambda client, one: client.post(
        f"/api/flow_runs/{paused_run(client)}/resume", json={"run_input": {"n": "a", **parameters()}}
    ),
    "check a form": lambda client, one: client.post(
        "/api/ui/schemas/validate", json={"schema": PARAMETERS, "values": parameters()}
    ),
}


def parameters() -> dict[str, Any]:
    """Give parameters that have a placeholder for a variable."""
    return {"parameters": {"p": {"__prefect_kind": "jinja", "template": "{{ 1 }}"}}}


@pytest.mark.parametrize("request_name", REQUESTS)
def test_no_connection_is_held_while_the_sandbox_works(client, deployment, checked, request_name):
    checked.clear()
    answer = REQUESTS[request_name](client, deployment)
    assert answer.status_code < 300, answer.text
    assert checked


def test_the_answer_names_the_limit_and_says_how_it_is_raised(client, deployment):
    changes = {"parameter_openapi_schema": {"properties": {"p": {"pattern": "^(a+)+$"}}}, "parameters": {}}
    assert client.patch(f"/api/deployments/{deployment['id']}", json=changes).status_code == 204
    body = {"parameters": {"p": "a" * 60 + "!"}}
    for path in ("create_flow_run", "create_flow_run/bulk"):
        answer = client.post(f"/api/deployments/{deployment['id']}/{path}", json=[body] if "bulk" in path else body)
        assert "DOWNBEAT_SANDBOX_CPU_SECONDS" in told(answer)
    run_input = {"n": "a" * 60 + "!"}
    id = paused_run(client)
    assert "CPU" in told(client.post(f"/api/flow_runs/{id}/resume", json={"run_input": run_input}))
    assert client.get(f"/api/flow_runs/{id}").json["state_type"] == "PAUSED"


def test_a_crowd_is_answered_with_a_503_that_clients_repeat(client, monkeypatch):
    monkeypatch.setattr(pool, "quick", threading.Semaphore(0))
    monkeypatch.setattr(pool, "PLACE_SECONDS", 0)
    answer = client.post("/api/ui/schemas/validate", json={"schema": {}, "values": {}})
    assert answer.status_code == 503 and answer.headers["Retry-After"]


@pytest.fixture
def meanwhile(monkeypatch) -> Callable[[Callable], None]:
    """Has something happen once, while the sandbox works."""

    def plan(happen: Callable) -> None:
        waiting = [happen]

        def call(request, suspect, kept, call=pool.call) -> dict:
            answer = call(request, suspect, kept)
            if waiting:
                waiting.pop()()
            return answer

        monkeypatch.setattr(pool, "call", call)

    return plan


def test_an_update_is_checked_by_the_schema_that_another_one_has_stored_meanwhile(client, deployment, meanwhile, module_database):
    def forbid() -> None:
        with connect(module_database) as conn:
            conn.execute('UPDATE deployment SET parameter_openapi_schema = \'{"properties": {"p": {"type": "integer"}}}\'')

    meanwhile(forbid)
    path = f"/api/deployments/{deployment['id']}"
    assert "'p'" in told(client.patch(path, json={"parameters": {"p": "text"}}), 409)
    assert client.get(path).json["parameters"] == {}
    assert client.patch(path, json={"parameters": {"p": 5}}).status_code == 204


def test_an_input_is_checked_by_the_schema_of_the_pause_that_it_ends(client, other, meanwhile, module_database):
    id = paused_run(client)

    def pause_anew() -> None:
        with connect(module_database) as conn:
            conn.execute('UPDATE flow_run_input SET value = \'{"required": ["m"]}\' WHERE flow_run_id = %s', (id,))
        pause(other, id)

    meanwhile(pause_anew)
    answer = client.post(f"/api/flow_runs/{id}/resume", json={"run_input": {"n": "a"}}).json
    assert answer["status"] == "REJECT" and "'m'" in answer["details"]["reason"]


def test_job_variables_of_a_run_that_starts_while_they_are_checked_do_not_change(client, other, deployment, meanwhile):
    run = client.post(f"/api/deployments/{deployment['id']}/create_flow_run", json={}).json
    meanwhile(lambda: other.post(f"/api/flow_runs/{run['id']}/set_state", json={"state": {"type": "RUNNING"}}))
    assert client.patch(f"/api/flow_runs/{run['id']}", json={"job_variables": {"x": "z"}}).status_code == 400
