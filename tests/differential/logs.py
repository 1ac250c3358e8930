"""Sequences about logs."""

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, state


def log(message: str, level: int = 20, seconds: int = 0, **fields) -> dict:
    """Give a log as the client sends it, belonging to the flow run of the sequence."""
    moment = f"{{now{seconds:+}}}"
    run = {"flow_run_id": "{uuid.run}", "task_run_id": None}
    return {"name": "prefect.flow_runs", "level": level, "message": message, "timestamp": moment} | run | fields


OURS = {"flow_run_id": {"any_": ["{uuid.run}"]}}
SOME_LOGS = Step(
    "POST",
    "/logs/",
    [
        log("first", 10, -50),
        log("second: Ünïcode\nand lines", 20, -40),
        log("third 100%", 30, -30, task_run_id="{uuid.task}"),
        log("fourth a_b", 40, -20, task_run_id="{uuid.other_task}", name="other"),
        log("fifth", 50, -10, flow_run_id="{uuid.other_run}"),
    ],
)


def filters(*logs: dict) -> list[Step]:
    """Ask for the logs of the sequence by each filter."""
    return [Step("POST", "/logs/filter", {"logs": OURS | own}) for own in logs]


SEQUENCES = {
    "create": [
        SOME_LOGS,
        Step("POST", "/logs/filter", {"logs": OURS}),
        Step("POST", "/logs/", []),
        Step("POST", "/logs/", [log("a"), log("a")]),
        Step("POST", "/logs/filter", {"logs": OURS, "sort": "TIMESTAMP_DESC"}, unordered=True),
        Step("POST", "/logs/", [{"name": "n", "level": 20, "message": "alone", "timestamp": "{now+0}"}]),
        Step("POST", "/logs/", [log("x", flow_run_id=None, task_run_id="{uuid.task}")]),
        Step("POST", "/logs/filter", {"logs": {"task_run_id": {"any_": ["{uuid.task}"]}}}),
        Step("POST", "/logs/", [log("")]),
        Step("POST", "/logs/", [log("level", 0), log("level", -5), log("level", 2147483647)]),
        Step("POST", "/logs/", [log("x" * 10000, seconds=5)]),
        Step("POST", "/logs/filter", {"logs": OURS, "sort": "TIMESTAMP_DESC", "limit": 1}),
    ],
    "create_with_one_that_is_wrong": [
        Step("POST", "/logs/", [log("good"), log("bad", level="high")]),
        Step("POST", "/logs/", [log("good"), log("bad", timestamp="yesterday")]),
        Step("POST", "/logs/", [log("good"), log("bad", flow_run_id="nonsense")]),
        Step("POST", "/logs/", [log("good"), log("bad", extra=1)]),
        Step("POST", "/logs/", [log("good"), {"name": "x"}]),
        Step("POST", "/logs/", log("not a list")),
        Step("POST", "/logs/filter", {"logs": OURS}),
    ],
    "filter": [
        SOME_LOGS,
        *filters(
            {},
            {"level": {"ge_": 30}},
            {"level": {"le_": 20}},
            {"level": {"ge_": 20, "le_": 30}},
            {"timestamp": {"after_": "{now-30}"}},
            {"timestamp": {"before_": "{now-30}"}},
            {"task_run_id": {"any_": ["{uuid.task}"]}},
            {"task_run_id": {"is_null_": True}},
            {"task_run_id": {"is_null_": False}},
            {"text": {"query": "first"}},
            {"text": {"query": "FIRST"}},
            {"text": {"query": "first second"}},
            {"text": {"query": "third -first"}},
            {"text": {"query": '"second: Ünïcode"'}},
            {"text": {"query": "+third"}},
            {"text": {"query": "100%"}},
            {"text": {"query": "a_b"}},
            {"text": {"query": "flow_runs"}},
            {"text": {"query": ""}},
            {"operator": "and_", "level": None, "text": None},
        ),
        Step("POST", "/logs/filter", {"logs": OURS, "limit": 2}),
        Step("POST", "/logs/filter", {"logs": OURS, "limit": 2, "offset": 2}),
        Step("POST", "/logs/filter", {"logs": OURS, "sort": "TIMESTAMP_DESC", "limit": None}),
        Step("POST", "/logs/filter", {"logs": OURS | {"operator": "or_", "level": {"ge_": 9999}}}),
        Step("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": []}}}),
        Step("POST", "/logs/filter", {"logs": OURS, "sort": "LEVEL_ASC"}),
        Step("POST", "/logs/filter", {"logs": {"unknown": {"any_": []}}}),
    ],
    "download": [
        create_flow(),
        create_flow_run(name='größe "a"/b\n,%\'~{unique}', state=state("RUNNING")),
        Step("GET", "/flow_runs/{run.id}/logs/download"),
        Step(
            "POST",
            "/logs/",
            [
                log(text, 20 + number, -number, flow_run_id="{run.id}", task_run_id="{uuid.task}" if number % 3 else None)
                for number, text in enumerate(
                    ("", "a, b", 'a "b"', "two\nlines", "a\rb", "  spaces ", "'=1+1'", "\t\u2028ü", '"')
                )
            ],
        ),
        Step("POST", "/logs/", [log("of another run", task_run_id="{uuid.task}")]),
        Step("GET", "/flow_runs/{run.id}/logs/download"),
        Step("GET", "/flow_runs/{uuid.none}/logs/download"),
        Step("GET", "/flow_runs/nonsense/logs/download"),
    ],
}
