"""Sequences of requests that must be refused: the same status, the same shape, nothing written."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, create_task_run, read_run, read_task, state

# Every operation with a body, and a body that is fine.
OPERATIONS = {
    "POST /flows/": {"name": "bad-{unique}"},
    "PATCH /flows/{flow.id}": {"tags": ["a"]},
    "POST /flows/filter": {"flows": {"id": {"any_": ["{flow.id}"]}}},
    "POST /flows/count": {"flows": {"id": {"any_": ["{flow.id}"]}}},
    "POST /flow_runs/": {"flow_id": "{flow.id}"},
    "PATCH /flow_runs/{run.id}": {"tags": ["a"]},
    "POST /flow_runs/filter": {"flow_runs": {"id": {"any_": ["{run.id}"]}}},
    "POST /flow_runs/count": {"flow_runs": {"id": {"any_": ["{run.id}"]}}},
    "POST /flow_runs/{run.id}/set_state": {"state": {"type": "RUNNING"}},
    "POST /flow_runs/{run.id}/resume": {"run_input": {}},
    "POST /flow_runs/{run.id}/input": {"key": "k", "value": "v"},
    "POST /flow_runs/{run.id}/input/filter": {"prefix": "k"},
    "PATCH /flow_runs/{run.id}/labels": {"a": 1},
    "POST /flow_runs/bulk_set_state": {"flow_runs": {"id": {"any_": ["{run.id}"]}}, "state": {"type": "PENDING"}},
    "POST /task_runs/": {"task_key": "k-{unique}", "dynamic_key": "0"},
    "PATCH /task_runs/{task.id}": {"name": "x"},
    "POST /task_runs/filter": {"task_runs": {"id": {"any_": ["{task.id}"]}}},
    "POST /task_runs/count": {"task_runs": {"id": {"any_": ["{task.id}"]}}},
    "POST /task_runs/{task.id}/set_state": {"state": {"type": "RUNNING"}},
    "POST /logs/filter": {"logs": {"flow_run_id": {"any_": ["{run.id}"]}}},
    "POST /logs/": [{"name": "n", "level": 20, "message": "m", "timestamp": "{now+0}"}],
}
THINGS = [create_flow(), create_flow_run(), create_task_run()]
UNCHANGED = [Step("GET", "/flows/{flow.id}"), *read_run(), *read_task()]
NOT_IDS = ("not-a-uuid", "123", "00000000-0000-0000-0000-00000000000g", "%20")


def steps_for(operation: str, *bodies: Any, raw: tuple[bytes, ...] = ()) -> list[Step]:
    """Send an operation with each of these bodies."""
    method, path = operation.split()
    return [Step(method, path, body) for body in bodies] + [
        Step(method, path, raw=content, headers={"Content-Type": "application/json"}) for content in raw
    ]


def everywhere(*bodies: Any, raw: tuple[bytes, ...] = ()) -> list[Step]:
    """Send these bodies to every operation."""
    steps = [step for name in OPERATIONS for step in steps_for(name, *bodies, raw=raw)]
    # Without a body a filter finds whatever is in the database: of those answers only the status is compared.
    return [*THINGS, *(step._replace(ignore=("",)) for step in steps), *UNCHANGED]


def with_field(operation: str, field: str, *values: Any) -> list[Step]:
    """Send an operation with one field, `a.b` for one inside another, set to each of these values."""
    return steps_for(operation, *(replaced(OPERATIONS[operation], field.split("."), value) for value in values))


def replaced(body: dict, path: list[str], value: Any) -> dict:
    """Give a body with the value at the path."""
    first, *rest = path
    return body | {first: replaced(body.get(first) or {}, rest, value) if rest else value}


def refused(steps: list[Step], why: str) -> list[Step]:
    """Say that Downbeat refuses what Prefect takes."""
    return [step._replace(differs=why, status=422) for step in steps]


def undecided(steps: list[Step], why: str) -> list[Step]:
    """Say that Downbeat may refuse or take it, as long as it does not fail."""
    return [step._replace(differs=why) for step in steps]


CONVERTED = "Prefect converts it, the client never sends it"
NUL_IN_JSON = "what Prefect keeps in a json column is jsonb elsewhere, which cannot hold a NUL"

SEQUENCES = {
    "types_that_prefect_converts": [
        *THINGS,
        *undecided(with_field("POST /flows/filter", "limit", "5", 1.0, True), CONVERTED),
        *undecided(with_field("POST /flows/filter", "flows.tags", {"is_null_": "true"}), CONVERTED),
        *undecided(with_field("POST /flow_runs/filter", "flow_runs.start_time", {"after_": 5}), CONVERTED),
    ],
    "malformed_json": everywhere(raw=(b"{", b"nonsense", b'{"a": 1,}')),
    "not_utf_8": [*THINGS, *refused(steps_for("POST /flows/", raw=(b'{"name": "\xff"}',)), "Prefect says 400")],
    "no_body": everywhere(raw=(b"",)),
    "null_body": everywhere(raw=(b"null",)),
    "bodies_of_another_type": [
        *THINGS,
        *(step for name in OPERATIONS for step in steps_for(name, raw=(b"[1]", b'"text"', b"5", b"true"))),
    ],
    "unknown_fields": [
        *THINGS,
        *(
            step
            for name, body in OPERATIONS.items()
            if isinstance(body, dict)
            for step in steps_for(name, body | {"unknown_field": 1})
        ),
    ],
    "other_content_types": [
        *THINGS,
        Step("POST", "/flows/", raw=b'{"name": "any"}', headers={"Content-Type": "application/json; charset=utf-8"}),
        *undecided(
            [
                Step("POST", "/flow_runs/{run.id}/input/filter", raw=b'{"prefix": "x"}', headers={"Content-Type": kind})
                for kind in ("text/plain", "application/octet-stream", "")
            ],
            "Prefect does not read it as JSON",
        ),
    ],
    "not_ids": [
        *THINGS,
        *(Step("GET", f"/flows/{bad}") for bad in NOT_IDS),
        *(Step("GET", f"/flow_runs/{bad}") for bad in NOT_IDS),
        *(Step("GET", f"/task_runs/{bad}") for bad in NOT_IDS),
        *(Step("DELETE", f"/{resource}/not-a-uuid") for resource in ("flows", "flow_runs", "task_runs")),
        *(Step("PATCH", f"/{resource}/not-a-uuid", {}) for resource in ("flows", "flow_runs", "task_runs")),
        *(Step("POST", f"/{kind}/not-a-uuid/set_state", {"state": {}}) for kind in ("flow_runs", "task_runs")),
        Step("GET", "/flow_runs/0123456789abcdef0123456789abcdef"),
        Step("GET", "/flow_runs/01234567-89AB-CDEF-0123-456789ABCDEF"),
        *with_field("POST /flow_runs/", "flow_id", "nonsense", None, 5, "{flow.name}"),
        *with_field("POST /flow_runs/", "parent_task_run_id", "nonsense", 5),
        *with_field("POST /flow_runs/filter", "flow_runs.id.any_", ["nonsense"], "{run.id}", [None], [5]),
        *with_field("POST /task_runs/", "flow_run_id", "nonsense"),
        *with_field("POST /task_runs/", "id", "nonsense"),
        *with_field("POST /flow_runs/{run.id}/set_state", "state.state_details", {"transition_id": "nonsense"}),
    ],
    "flows": [
        *THINGS,
        *with_field("POST /flows/", "name", None, 5, "", "a/b", "a%b", "a<b", ["x"], {"x": 1}, True),
        *with_field("POST /flows/", "tags", None, "red", [1], [None], {"a": 1}),
        *with_field("POST /flows/", "labels", "red", [1], {"a": {"b": 1}}, {"a": [1]}, {"a": None}),
        *with_field("PATCH /flows/{flow.id}", "tags", None, "red", [1]),
        *with_field("POST /flows/filter", "limit", -1, 0, 200, 201, 10**20, "x", 1.5, [1]),
        *with_field("POST /flows/filter", "offset", -1, "x", None, 1.5),
        *with_field("POST /flows/filter", "sort", "NAME", None, 5, "name_asc"),
        *with_field("POST /flows/filter", "flows", [], "x", 5),
        *with_field("POST /flows/filter", "flows.name", {"any_": "x"}, {"like_": ["x"]}, {"any_": [5]}, {"x": 1}),
        *with_field("POST /flows/filter", "flows.operator", "xor_", "or_", "AND_", None),
        *with_field("POST /flows/filter", "flows.tags", {"is_null_": "perhaps"}, {"all_": 1}),
        *UNCHANGED,
    ],
    "flow_runs": [
        *THINGS,
        *with_field("POST /flow_runs/", "name", 5, ["x"]),
        *with_field("POST /flow_runs/", "tags", None, "red", [1]),
        *with_field("POST /flow_runs/", "labels", "red", {"a": {"b": 1}}),
        *with_field("POST /flow_runs/", "parameters", None, "x", [1], 5),
        *with_field("POST /flow_runs/", "context", None, "x"),
        *with_field("POST /flow_runs/", "idempotency_key", 5, ["x"]),
        *with_field("POST /flow_runs/", "empirical_policy", "x", [1], {"retries": "x"}, {"retries": 1.5}),
        *with_field("POST /flow_runs/", "empirical_policy", {"pause_keys": "x"}, {"retry_type": "other"}),
        *with_field("POST /flow_runs/", "state", "RUNNING", {}, {"type": "running"}, {"type": None}, [1]),
        *with_field("POST /flow_runs/", "job_variables", "x", [1]),
        *with_field("POST /flow_runs/filter", "limit", -1, 201, "x", 10**20),
        *with_field("POST /flow_runs/filter", "offset", -1, "x", 10**20),
        *with_field("POST /flow_runs/filter", "sort", "ID_ASC", None, 5),
        *with_field("POST /flow_runs/filter", "flow_runs.state", {"type": {"any_": ["NOPE"]}}, {"type": "RUNNING"}),
        *with_field("POST /flow_runs/filter", "flow_runs.start_time", {"after_": "x"}, {"after_": [5]}, {"x": 1}),
        *with_field("POST /flow_runs/filter", "flow_runs.start_time", {"is_null_": 7}, {"before_": {}}),
        *with_field("PATCH /flow_runs/{run.id}", "name", 5, [1]),
        *with_field("PATCH /flow_runs/{run.id}", "infrastructure_pid", 5, ["x"]),
        *with_field("PATCH /flow_runs/{run.id}", "parameters", "x", [1]),
        *with_field("PATCH /flow_runs/{run.id}", "empirical_policy", "x", {"retries": "x"}),
        *UNCHANGED,
    ],
    "states": [
        *THINGS,
        *(
            step
            for operation in ("POST /flow_runs/{run.id}/set_state", "POST /task_runs/{task.id}/set_state")
            for step in (
                *with_field(operation, "state", None, "RUNNING", {}, [1]),
                *with_field(operation, "state.type", None, "running", "NOPE", 5),
                *with_field(operation, "state.name", 5, ["x"]),
                *with_field(operation, "state.message", 5, ["x"]),
                *with_field(operation, "state.unknown", 5),
                *with_field(operation, "state.timestamp", "2020-01-01T00:00:00Z"),
                *with_field(operation, "state.id", "{uuid.id}"),
                *with_field(operation, "state.state_details", None, "x", [1], {"scheduled_time": "x"}),
                *with_field(operation, "state.state_details", {"deferred": "x"}, {"pause_reschedule": None}),
                *with_field(operation, "state.state_details", {"run_input_keyset": "x"}, {"cache_key": 5}),
                *with_field(operation, "force", "perhaps", None, 5, [1]),
                *steps_for(operation, {}, {"force": True}, {"type": "RUNNING"}),
            )
        ),
        *UNCHANGED,
    ],
    "task_runs": [
        *THINGS,
        *with_field("POST /task_runs/", "task_key", None, 5, [1]),
        *with_field("POST /task_runs/", "dynamic_key", None, 5, [1]),
        *with_field("POST /task_runs/", "tags", None, "x", [1]),
        *with_field("POST /task_runs/", "task_inputs", None, "x", {"a": "x"}, {"a": [{"input_type": "x"}]}),
        *with_field("POST /task_runs/", "task_inputs", {"a": [{"input_type": "task_run", "id": "x"}]}),
        *with_field("POST /task_runs/", "empirical_policy", "x", {"retries": "x"}, {"retry_delay": "x"}),
        *with_field("POST /task_runs/", "empirical_policy", {"retry_delay": ["x"]}, {"retry_jitter_factor": "x"}),
        *with_field("POST /task_runs/", "cache_expiration", "x", {}),
        *with_field("POST /task_runs/", "state", "RUNNING", {}),
        *with_field("POST /task_runs/filter", "limit", -1, 201),
        *with_field("POST /task_runs/filter", "sort", "ID_ASC", "START_TIME_ASC"),
        *with_field("POST /task_runs/filter", "task_runs.subflow_runs", {"exists_": "x"}, {"exists_": None}),
        *UNCHANGED,
    ],
    "nul_characters": [
        *THINGS,
        *with_field("POST /flows/", "name", "a\u0000b"),
        *with_field("POST /flows/", "tags", ["a\u0000b"]),
        *with_field("POST /flow_runs/", "name", "a\u0000b"),
        *with_field("POST /flow_runs/", "parameters", {"a": "a\u0000b"}, {"a\u0000b": 1}),
        *with_field("POST /flow_runs/{run.id}/set_state", "state.message", "a\u0000b"),
        create_flow_run("other"),
        *refused(
            steps_for("POST /flow_runs/{other.id}/set_state", {"state": state("RUNNING", data={"a": "a\u0000b"})}),
            NUL_IN_JSON,
        ),
        *with_field("POST /task_runs/", "dynamic_key", "a\u0000b"),
        Step("GET", "/flows/name/a%00b"),
        *UNCHANGED,
    ],
    "beyond_the_column": [
        *THINGS,
        *with_field("POST /flow_runs/", "state", state("SCHEDULED", scheduled_time="0001-01-01T00:00:00Z")),
        *with_field("POST /flow_runs/", "state", state("SCHEDULED", scheduled_time="9999-12-31T23:59:59Z")),
        *with_field("POST /flow_runs/", "state", state("SCHEDULED", scheduled_time="20000-01-01T00:00:00Z")),
        *undecided(with_field("POST /flow_runs/", "empirical_policy", {"retries": 10**20}), "it is inside a document"),
        *steps_for("POST /logs/", [{"name": "n", "level": 10**20, "message": "m", "timestamp": "{now+0}"}]),
        *steps_for("POST /logs/", [{"name": "n", "level": 2**31, "message": "m", "timestamp": "{now+0}"}]),
        *UNCHANGED,
    ],
}
