"""Sequences that send each field under /work_pools and /work_queues with values at the edge of what is allowed."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import create_flow
from tests.differential.work_pools import POOL, READ_POOL, TEMPLATE, create_pool, create_queue, due, poll, update_queue

BIG = 2**31
POOL_FIELDS: dict[str, tuple[Any, ...]] = {
    "description": ("", "\u00fc\n\u20ac", 5, None),
    "is_paused": (True, False, "false", 2, None),
    "concurrency_limit": (0, BIG - 1, -1, BIG, 1.5, "x", None),
    "base_job_template": (
        {},
        TEMPLATE,
        TEMPLATE | {"unknown": 1},
        {"job_configuration": {}, "variables": {}},
        {"job_configuration": {"a": 1}, "variables": {"properties": {}}},
        {"job_configuration": {"a": "{{ b }}"}, "variables": {"properties": {"b": {"type": "string"}}}},
        {"job_configuration": {"a": "{{ b }}"}, "variables": {"properties": []}},
        {"job_configuration": {"a": "{{ b }}"}, "variables": {}},
        {"job_configuration": [], "variables": {}},
        [],
        "x",
    ),
    "storage_configuration": (
        {},
        {"bundle_upload_step": {"a": 1}},
        {"bundle_upload_step": None, "bundle_execution_step": {}},
        {"bundle_upload_step": []},
        {"default_result_storage_block_id": "{uuid.block}"},
        [],
    ),
    "type": ("", "docker", "kubernetes:push", 5),
}
QUEUE_FIELDS: dict[str, tuple[Any, ...]] = {
    "description": ("", "\u00fc", 5),
    "is_paused": (True, False, "x"),
    "concurrency_limit": (0, BIG - 1, -1, BIG, "x", None),
    "priority": (1, 5, 0, -1, BIG, "x"),
    "filter": (
        {},
        {"tags": []},
        {"tags": ["a"], "deployment_ids": ["{uuid.x}"]},
        {"tags": None, "deployment_ids": None},
        {"tags": [1]},
        {"deployment_ids": "x"},
        [],
        None,
    ),
    "last_polled": ("2026-01-01T00:00:00Z", "2026-01-01 00:00:00+02:00", 5, "x", None),
}
QUEUE_NAMES = ("", " ", "a/b", "a%b", "\u00fc '", "n" * 300, 5, None)
LIST = Step("POST", f"{POOL}/queues/filter", {})
UPDATE_QUEUE, READ_QUEUE = "/work_queues/{queue.id}", Step("GET", "/work_queues/{queue.id}")
AGENT_QUEUE = Step("POST", "/work_queues/", {"name": "agent-{unique}"}, save="queue")
LIMITS = ({"limit": 0}, {"limit": -1}, {"limit": 201}, {"limit": None}, {"limit": "x"}, {"offset": -1}, {"offset": 10**9})


SEQUENCES = {
    **{
        f"create_pool_{field}": [
            create_pool(f"{field}-{number}-{{unique}}", **{field: value}) for number, value in enumerate(values)
        ]
        for field, values in POOL_FIELDS.items()
    },
    **{
        f"update_pool_{field}": [
            create_pool(concurrency_limit=1),
            *(step for value in values for step in (Step("PATCH", POOL, {field: value}), READ_POOL)),
        ]
        for field, values in POOL_FIELDS.items()
    },
    **{
        f"create_queue_{field}": [
            create_pool(),
            *(create_queue(f"q{number}", **{field: value}) for number, value in enumerate(values)),
            LIST,
        ]
        for field, values in QUEUE_FIELDS.items()
    },
    **{
        f"update_queue_{field}": [
            create_pool(),
            create_queue("q"),
            *(step for value in values for step in (update_queue("q", **{field: value}), Step("GET", f"{POOL}/queues/q"))),
        ]
        for field, values in QUEUE_FIELDS.items()
    },
    **{
        f"update_agent_queue_{field}": [
            AGENT_QUEUE,
            *(step for value in values for step in (Step("PATCH", UPDATE_QUEUE, {field: value}), READ_QUEUE)),
        ]
        for field, values in QUEUE_FIELDS.items()
        if field != "priority"  # the others of the pool of agents are those of all sequences
    },
    "queue_names": [
        create_pool(),
        *(Step("POST", f"{POOL}/queues", {"name": name}) for name in QUEUE_NAMES),
        create_queue("q"),
        *(update_queue("q", name=name) for name in QUEUE_NAMES[2:4]),
        LIST,
    ],
    "pages": [
        create_pool(),
        create_queue("q"),
        *(Step("POST", "/work_pools/filter", {"work_pools": {"name": {"any_": ["pool-{unique}"]}}} | body) for body in LIMITS),
        *(Step("POST", f"{POOL}/queues/filter", body) for body in LIMITS),
        *(Step("POST", f"{POOL}/workers/filter", body) for body in LIMITS),
        *(Step("POST", "/work_queues/filter", {"work_queues": {"name": {"any_": ["q-{unique}"]}}} | body) for body in LIMITS),
        *(poll(**body) for body in LIMITS[:5]),
        *(Step("POST", f"{POOL}/concurrency_status", body) for body in (*LIMITS[:5], {"page": 0}, {"page": 9})),
        *(Step("POST", "/work_queues/{queue_q.id}/concurrency_status", body) for body in (*LIMITS[:5], {"page": 0}, {"page": 9})),
    ],
    "agent_queue": [
        create_flow(),
        AGENT_QUEUE,
        AGENT_QUEUE,
        Step("GET", "/work_queues/name/agent-{unique}"),
        Step("GET", "/work_queues/name/none-{unique}"),
        Step("GET", "/work_queues/{uuid.none}"),
        Step("GET", "/work_queues/{uuid.none}/status"),
        Step("POST", "/work_queues/{uuid.none}/get_runs", {}),
        Step("POST", "/work_queues/{uuid.none}/concurrency_status", {}),
        Step("PATCH", "/work_queues/{uuid.none}", {}),
        Step("DELETE", "/work_queues/{uuid.none}"),
        Step("GET", "/work_queues/{queue.id}/status"),
        *(Step("POST", "/work_queues/{queue.id}/get_runs", body) for body in (*LIMITS[:5], {"scheduled_before": "x"})),
        Step("GET", "/work_queues/{queue.id}/status"),
        Step("DELETE", "/work_queues/{queue.id}"),
        Step("GET", "/work_queues/{queue.id}"),
    ],
    "status_of_a_queue": [
        create_flow(),
        create_pool(),
        create_queue("q"),
        due("run", "q"),
        Step("GET", "/work_queues/{queue_q.id}/status"),
        poll(work_queue_names=["q"])._replace(pause_seconds=0.2),
        Step("GET", "/work_queues/{queue_q.id}/status", pause_seconds=0.5),
        Step("SQL", "UPDATE flow_run SET state_name = 'Late' WHERE id = '{run.id}'"),
        Step("GET", "/work_queues/{queue_q.id}/status"),
    ],
    "heartbeats": [
        create_pool(),
        *(
            Step("POST", f"{POOL}/workers/heartbeat", body)
            for body in (
                {"name": ""},
                {"name": "a/b"},
                {"name": 5},
                {"name": "w", "heartbeat_interval_seconds": 0},
                {"name": "w", "heartbeat_interval_seconds": -1},
                {"name": "w", "heartbeat_interval_seconds": BIG},
                {"name": "w", "unknown": 1},
                {"name": "w \u00fc"},
            )
        ),
        Step("POST", f"{POOL}/workers/filter", {}, unordered=True),
        Step("DELETE", f"{POOL}/workers/w%20%C3%BC"),
        Step("POST", f"{POOL}/workers/filter", {}, unordered=True),
    ],
}
