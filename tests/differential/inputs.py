"""Sequences about the inputs of flow runs, and resuming with them."""

from tests.differential import Step
from tests.differential.steps import after_each, create_flow, create_flow_run, propose, read_run, state

INPUT = "/flow_runs/{run.id}/input"
A_RUN = [create_flow(), create_flow_run(state=state("RUNNING"))]
SCHEMA = (
    '{"title": "Person", "type": "object", "required": ["age"],'
    ' "properties": {"age": {"type": "integer"}, "name": {"type": "string", "default": "x"}}}'
)
KEYSET = {"schema": "paused-1-schema", "response": "paused-1-response", "description": "paused-1-description"}
PAUSED_WITH_SCHEMA = [
    *A_RUN,
    Step("POST", INPUT, {"key": "paused-1-schema", "value": SCHEMA, "sender": None}),
    propose("PAUSED", pause_key="paused-1", pause_timeout="{now+300}", run_input_keyset=KEYSET),
]


def resume(body: dict | None) -> Step:
    """Ask for the run to go on."""
    return Step("POST", "/flow_runs/{run.id}/resume", body)


SEQUENCES = {
    "create_read_delete": [
        *A_RUN,
        Step("POST", INPUT, {"key": "one", "value": '{"a": 1}', "sender": None}),
        Step("GET", INPUT + "/one"),
        Step("POST", INPUT, {"key": "one", "value": "2"}),
        Step("POST", INPUT, {"key": "two", "value": "text", "sender": "prefect.flow-run.x"}),
        Step("GET", INPUT + "/two"),
        Step("POST", INPUT, {"key": "ü and space", "value": "1"}),
        Step("POST", INPUT, {"key": "", "value": "1"}),
        Step("POST", INPUT, {"key": "a_b.c", "value": "1"}),
        Step("POST", INPUT, {"key": "dash-2", "value": ""}),
        Step("POST", INPUT, {"key": "umlaut", "value": "ü"}),
        Step("GET", INPUT + "/umlaut"),
        Step("POST", INPUT, {"key": "number", "value": 5}),
        Step("POST", INPUT, {"key": "object", "value": {"a": 1}}),
        Step("POST", INPUT, {"value": "1"}),
        Step("POST", INPUT, {"key": "none"}),
        Step("DELETE", INPUT + "/one"),
        Step("DELETE", INPUT + "/one"),
        Step("GET", INPUT + "/one"),
        Step("POST", "/flow_runs/{uuid.none}/input", {"key": "one", "value": "1"}),
        Step("GET", "/flow_runs/{uuid.none}/input/one"),
        Step("POST", "/flow_runs/{uuid.none}/input/filter", {"prefix": "a"}),
    ],
    "filter": [
        *A_RUN,
        *(Step("POST", INPUT, {"key": f"p-{number}", "value": str(number)}) for number in range(3)),
        Step("POST", INPUT, {"key": "q-1", "value": "9", "sender": "someone"}),
        Step("POST", INPUT + "/filter", {"prefix": "p-"}),
        Step("POST", INPUT + "/filter", {"prefix": "p-", "limit": 1}),
        Step("POST", INPUT + "/filter", {"prefix": "p-", "exclude_keys": ["p-0", "p-2"]}),
        Step("POST", INPUT + "/filter", {"prefix": "p-", "limit": 2, "exclude_keys": []}),
        Step("POST", INPUT + "/filter", {"prefix": "P-", "limit": 2}),
        Step("POST", INPUT + "/filter", {"prefix": "%", "limit": 2}),
        Step("POST", INPUT + "/filter", {"prefix": "_-", "limit": 9}),
        Step("POST", INPUT + "/filter", {"prefix": "", "limit": 10}),
        Step("POST", INPUT + "/filter", {"prefix": "p-", "limit": 0}),
        Step("POST", INPUT + "/filter", {"limit": 2}),
    ],
    "resume_with_input": [
        *PAUSED_WITH_SCHEMA,
        *after_each(
            [
                resume({"run_input": {"age": "not a number"}}),
                resume({"run_input": {}}),
                resume({"run_input": None}),
                resume(None),
                resume({"run_input": {"age": 5, "name": "y"}}),
            ],
            read_run(),
        ),
        Step("GET", INPUT + "/paused-1-response"),
        Step("GET", INPUT + "/paused-1-schema"),
    ],
    "resume_with_schema_that_is_missing": [
        *A_RUN,
        propose("PAUSED", pause_key="paused-1", pause_timeout="{now+300}", run_input_keyset=KEYSET),
        resume({"run_input": {"age": 5}}),
        resume(None),
        *read_run(),
    ],
    "resume_with_schema_that_is_no_json": [
        *A_RUN,
        Step("POST", INPUT, {"key": "paused-1-schema", "value": "no json"}),
        propose("PAUSED", pause_key="paused-1", pause_timeout="{now+300}", run_input_keyset=KEYSET),
        resume({"run_input": {"age": 5}}),
        *read_run(),
    ],
    "resume_suspended_with_input": [
        *A_RUN,
        Step("POST", INPUT, {"key": "paused-1-schema", "value": SCHEMA}),
        propose(
            *("PAUSED", "Suspended"),
            pause_key="paused-1",
            pause_timeout="{now+300}",
            pause_reschedule=True,
            run_input_keyset=KEYSET,
        ),
        resume({"run_input": {"age": 7}}),
        *read_run(),
        Step("GET", INPUT + "/paused-1-response"),
    ],
    "resume_with_input_not_asked_for": [
        *A_RUN,
        propose("PAUSED", pause_key="1", pause_timeout="{now+300}"),
        resume({"run_input": {"age": 5}}),
        *read_run(),
    ],
}
