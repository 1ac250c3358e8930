"""Sequences of requests that go to Prefect's own server and to Downbeat, and the comparison of what comes back.

A sequence is data: a list of steps. Strings in a path, header or body may refer to earlier answers or to other values:
`{flow.id}` is a field of the answer saved as `flow`, `{unique}` a word nobody else uses (for names and tags),
`{uuid.x}` an id that stays the same throughout the sequence, `{now+60}` a time so many seconds from the start of the
sequence. `python -m tests.differential --help` runs them from the command line.
"""

import importlib
from typing import Any, NamedTuple

MODULES = (
    *("flows", "flow_runs", "orchestration", "pauses", "task_runs", "states", "inputs", "logs", "admin", "bad_input"),
    *(
        "deployed_runs",
        "deployments",
        "concurrency_limits",
        "concurrency_limits_v2",
        "slots",
        "work_pools",
        "work_queues",
        "walks",
        "automations",
        "schedules",
        "deployment_fields",
        "work_pool_fields",
        "job_variables",
    ),
    *("artifacts", "variables", "saved_searches", "events", "event_history", "blocks"),
    *("run_history", "ui", "filters", "graphs", "bulk"),
)


class Step(NamedTuple):
    """One request and how its answer is judged; with the method SQL, a statement for the server's database as the path.

    `save` names the answer for later steps; `unordered` holds when the order of the lists in the answer means nothing;
    `ignore` holds keys that are not compared; `raw` is a body sent as it is; `pause_seconds` passes before sending.
    `differs` says why Downbeat answers differently on purpose; then its answer must have `status` and contain
    `contains`.
    """

    method: str
    path: str
    body: Any = None
    save: str = "last"
    headers: dict = {}
    unordered: bool = False
    ignore: tuple[str, ...] = ()
    raw: bytes | None = None
    pause_seconds: float = 0
    differs: str | None = None
    status: int | None = None
    contains: Any = None


def sequences(full: bool = False, databases: bool = True) -> dict[str, list[Step]]:
    """Give sequences by name, `module.name`: with `full` the many generated ones too, with `databases` those with SQL."""
    found = {}
    for module in MODULES:
        resource = importlib.import_module(f"tests.differential.{module}")
        found |= {f"{module}.{name}": steps for name, steps in resource.SEQUENCES.items()}
        generate = getattr(resource, "generated", None)
        if generate:
            found |= {f"{module}.{name}": steps for name, steps in generate(full).items()}
    return {name: steps for name, steps in found.items() if databases or not any(step.method == "SQL" for step in steps)}
