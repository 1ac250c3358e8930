"""Sequences about work pools, the queues in them, their workers, and what a worker's poll finds."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, propose, state

POOL = "/work_pools/pool-{unique}"
TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "env": {"A": ["{{env}}"]}},
    "variables": {
        "type": "object",
        "required": ["command"],
        "properties": {"command": {"type": "string"}, "env": {"type": "string", "default": "x"}},
    },
}
STORAGE = {"bundle_upload_step": {"a": {"b": 1}}, "default_result_storage_block_id": "{uuid.block}"}


def create_pool(name: str = "pool-{unique}", save: str = "pool", **fields: Any) -> Step:
    """Make a work pool."""
    return Step("POST", "/work_pools/", {"name": name, "type": "process"} | fields, save=save)


def create_queue(name: str, **fields: Any) -> Step:
    """Make a queue in the pool of the sequence."""
    return Step("POST", f"{POOL}/queues", {"name": name} | fields, save=f"queue_{name}")


def update_queue(queue: str, **fields: Any) -> Step:
    """Change a queue in the pool of the sequence."""
    return Step("PATCH", f"{POOL}/queues/{queue}", fields)


def template(**changes: Any) -> dict:
    """Give the template with other properties of its variables."""
    variables = TEMPLATE["variables"]
    return TEMPLATE | {"variables": variables | {"properties": variables["properties"] | changes}}


def due(name: str, queue: str = "default", seconds: int = -60, **fields: Any) -> Step:
    """Make a run of the pool of the sequence that is due at a time from its start."""
    scheduled = fields.pop("state", state("SCHEDULED", scheduled_time=f"{{now{seconds:+}}}"))
    queue_name = {} if queue == "default" else {"work_queue_name": queue}
    return create_flow_run(name, name=name, work_pool_name="pool-{unique}", state=scheduled, **queue_name, **fields)


def poll(**body: Any) -> Step:
    """Ask for due runs as a worker does."""
    return Step("POST", f"{POOL}/get_scheduled_flow_runs", body)


READ_POOL = Step("GET", POOL, save="pool")
LIST_QUEUES = Step("POST", f"{POOL}/queues/filter", {})
DURATIONS = ("time_in_current_state",)
POOL_STATUS = Step("POST", f"{POOL}/concurrency_status", {}, ignore=DURATIONS)


OLD = ("prefect/3.3.7 (API 0.8.4)", "prefect/3.3.8 (API 0.8.4)", "prefect/2.20.16 (API 0.8.4)", "prefect/3.3", "curl/8")


def by_client(agent: str) -> list[Step]:
    """Make, read and list a pool as a client of another version does."""
    name = f"{OLD.index(agent)}-{{unique}}"
    steps = (
        create_pool(name),
        Step("GET", f"/work_pools/{name}"),
        Step("POST", "/work_pools/filter", {"work_pools": {"name": {"any_": [name]}}}),
    )
    return [step._replace(headers={"User-Agent": agent}) for step in steps]


SEQUENCES = {
    "old_clients": [step for agent in OLD for step in by_client(agent)],
    "life_cycle": [
        create_pool(),
        create_pool(),
        READ_POOL,
        LIST_QUEUES,
        Step("GET", f"{POOL}/queues/default"),
        Step("PATCH", POOL, {"description": "new", "concurrency_limit": 2}),
        READ_POOL,
        Step("PATCH", POOL, {}),
        Step("PATCH", POOL, {"description": None, "concurrency_limit": None}),
        READ_POOL,
        Step("PATCH", POOL, {"is_paused": True}),
        READ_POOL,
        Step("PATCH", POOL, {"is_paused": False}),
        READ_POOL,
        Step("POST", f"{POOL}/workers/heartbeat", {"name": "w"}),
        READ_POOL,
        Step("PATCH", POOL, {"is_paused": True}),
        Step("POST", f"{POOL}/workers/heartbeat", {"name": "w"}),
        READ_POOL,
        Step("PATCH", POOL, {"is_paused": False, "storage_configuration": STORAGE}),
        READ_POOL,
        Step("PATCH", POOL, {"storage_configuration": {}}),
        READ_POOL,
        Step("DELETE", POOL),
        Step("DELETE", POOL),
        READ_POOL,
        LIST_QUEUES,
    ],
    "create": [
        create_pool("one-{unique}", description="d", is_paused=True, concurrency_limit=0),
        create_pool("two-{unique}", base_job_template=TEMPLATE, storage_configuration=STORAGE),
        Step("POST", "/work_pools/", {"name": "agent-{unique}"}, save="agent"),
        Step("GET", "/work_pools/agent-{unique}"),
        Step("PATCH", "/work_pools/agent-{unique}", {"is_paused": True}),
        Step("GET", "/work_pools/agent-{unique}"),
        create_pool("agent-2-{unique}", type="prefect-agent", is_paused=True),
        create_pool("a b\u00fc'\"{unique}"),
    ],
    "refused": [
        create_pool(""),
        create_pool(" "),
        create_pool("'\""),
        *(create_pool(f"a{character}b") for character in "/%&<>"),
        create_pool("prefect-{unique}"),
        create_pool("Prefect{unique}"),
        create_pool(None),
        create_pool(type=None),
        create_pool(is_paused=None),
        create_pool(concurrency_limit=-1),
        create_pool(concurrency_limit="x"),
        create_pool(unknown=1),
        create_pool(storage_configuration=None),
        create_pool(storage_configuration={"unknown": 1}),
        create_pool(storage_configuration={"default_result_storage_block_id": "x"}),
        create_pool(base_job_template=None),
        create_pool(base_job_template={"variables": {}}),
        create_pool(base_job_template={"job_configuration": {}, "variables": {}}),
        create_pool(base_job_template={"job_configuration": {"a": "{{ b }}"}, "variables": {"properties": {"c": {}}}}),
        create_pool(base_job_template=template(env={"type": "string", "default": 3})),
        create_pool(base_job_template=template(env={"type": "nonsense"})),
        create_pool(base_job_template=template(env={"default": {"$ref": {"block_document_id": "{uuid.none}"}}})),
        create_pool(base_job_template=template(env={"default": {"$ref": {"block_document_id": "x"}}})),
        READ_POOL,
        create_pool(base_job_template=template(env={"type": "string", "default": None})),
        Step("PATCH", POOL, {"base_job_template": {"variables": {}}}),
        Step("PATCH", POOL, {"base_job_template": None}),
        Step("PATCH", POOL, {"base_job_template": template(env={"type": "string", "default": 3})}),
        Step("PATCH", POOL, {"storage_configuration": None}),
        Step("PATCH", POOL, {"is_paused": None}),
        Step("PATCH", POOL, {"name": "other"}),
        Step("PATCH", POOL, {"concurrency_limit": -1}),
        READ_POOL,
        Step("PATCH", "/work_pools/prefect-{unique}", {"description": "x"}),
        Step("PATCH", "/work_pools/prefect-{unique}", {"is_paused": True}),
        Step("DELETE", "/work_pools/Prefect-{unique}"),
        Step("PATCH", "/work_pools/none-{unique}", {}),
    ],
    "filter": [
        create_pool("a-{unique}"),
        create_pool("b-{unique}", type="docker", concurrency_limit=4),
        create_pool("c-{unique}", save="third"),
        *(
            Step("POST", f"/work_pools/{verb}", {"work_pools": chosen} | more)
            for chosen in (
                {"name": {"any_": ["a-{unique}", "b-{unique}"]}},
                {"name": {"any_": ["b-{unique}", "a-{unique}"]}, "type": {"any_": ["docker"]}},
                {"operator": "or_", "name": {"any_": ["a-{unique}"]}, "id": {"any_": ["{third.id}"]}},
                {"name": {"any_": []}},
                {"id": {"any_": ["x"]}},
            )
            for verb, more in (("filter", {}), ("count", {}), ("filter", {"limit": 1, "offset": 1}))
        ),
        Step("POST", "/work_pools/filter", {"limit": 0, "work_pools": None, "offset": None}),
        Step("POST", "/work_pools/filter", {"limit": 201}),
    ],
    "priorities": [
        create_pool(),
        create_queue("a"),
        create_queue("b"),
        create_queue("c", priority=1),
        LIST_QUEUES,
        create_queue("far", priority=20),
        create_queue("gap"),
        LIST_QUEUES,
        update_queue("b", priority=2),
        LIST_QUEUES,
        update_queue("c", priority=21),
        LIST_QUEUES,
        update_queue("a", priority=20),
        LIST_QUEUES,
        Step("DELETE", f"{POOL}/queues/b"),
        LIST_QUEUES,
        create_queue("new"),
        create_queue("default"),
        update_queue("new", name="a"),
        update_queue("new", name="renamed", description="d", concurrency_limit=3, filter={"tags": ["x"]}),
        LIST_QUEUES,
        Step("POST", f"{POOL}/queues/filter", {"work_queues": {"name": {"startswith_": ["A", "re"]}}}),
        Step("POST", f"{POOL}/queues/filter", {"work_queues": {"name": {"any_": ["default"]}}, "limit": 1}),
        Step("POST", f"{POOL}/queues/filter", {"limit": 2, "offset": 1}),
    ],
    "queues_refused": [
        create_pool(),
        create_queue("a/b"),
        create_queue(""),
        create_queue("q", priority=0),
        create_queue("q", concurrency_limit=-1),
        create_queue("q", description=None),
        create_queue("q", unknown=1),
        create_queue("q", filter={"tags": "x"}),
        create_queue("q", filter={"deployment_ids": ["x"]}),
        create_queue("other"),
        update_queue("q", name=None),
        update_queue("q", description=None),
        update_queue("q", priority=None),
        update_queue("q", is_paused=None),
        update_queue("q", unknown=1),
        update_queue("none", description="x"),
        Step("GET", f"{POOL}/queues/none"),
        Step("GET", f"{POOL}/queues/q"),
        Step("DELETE", f"{POOL}/queues/none"),
        Step("DELETE", f"{POOL}/queues/default", differs="Prefect fails with 500.", status=409),
        Step("DELETE", "/work_queues/{pool.default_queue_id}"),
        Step("POST", "/work_pools/none-{unique}/queues", {"name": "q"}),
        Step("PATCH", "/work_pools/none-{unique}/queues/q", {"description": "x"}),
        Step("DELETE", "/work_pools/none-{unique}/queues/q"),
        Step("POST", "/work_pools/none-{unique}/queues/filter", {}),
        Step("POST", "/work_pools/none-{unique}/concurrency_status", {}),
        Step("POST", "/work_pools/none-{unique}/get_scheduled_flow_runs", {}),
        Step("POST", "/work_pools/none-{unique}/workers/heartbeat", {"name": "w"}),
        Step("POST", "/work_pools/none-{unique}/workers/filter", {}),
        Step("DELETE", "/work_pools/none-{unique}/workers/w"),
    ],
    "pause_a_queue": [
        create_pool(),
        create_queue("q", is_paused=True),
        update_queue("q", is_paused=True),
        Step("GET", f"{POOL}/queues/q"),
        update_queue("q", is_paused=False),
        Step("GET", f"{POOL}/queues/q"),
        update_queue("q", is_paused=True),
        update_queue("q", is_paused=False, last_polled="{now-5}"),
        Step("GET", f"{POOL}/queues/q"),
        update_queue("q", is_paused=True),
        update_queue("q", is_paused=False, last_polled="{now-500}"),
        Step("GET", f"{POOL}/queues/q"),
    ],
    "workers": [
        create_pool(),
        Step("POST", f"{POOL}/workers/heartbeat", {"name": "b", "heartbeat_interval_seconds": 10}),
        Step("POST", f"{POOL}/workers/heartbeat", {"name": "a"}),
        Step("POST", f"{POOL}/workers/filter", {}),
        Step("POST", f"{POOL}/workers/heartbeat", {"name": "b", "heartbeat_interval_seconds": None}),
        Step("POST", f"{POOL}/workers/heartbeat", {}),
        Step("POST", f"{POOL}/workers/heartbeat", {"name": "b", "heartbeat_interval_seconds": "x"}),
        *(
            Step("POST", f"{POOL}/workers/filter", {"workers": chosen})
            for chosen in (
                None,
                {},
                {"status": {"any_": ["ONLINE"]}},
                {"status": {"not_any_": ["ONLINE"]}},
                {"status": {"any_": []}},
                {"status": {"any_": ["x"]}},
                {"last_heartbeat_time": {"before_": "{now-60}"}},
                {"last_heartbeat_time": {"after_": "{now-60}"}},
                {"operator": "or_", "last_heartbeat_time": {"before_": "{now-60}"}, "status": {"any_": ["ONLINE"]}},
            )
        ),
        Step("POST", f"{POOL}/workers/filter", {"limit": 1, "offset": 1}),
        Step("SQL", "UPDATE worker SET status = 'OFFLINE' WHERE name = 'a' AND work_pool_id = '{pool.id}'"),
        Step("POST", f"{POOL}/workers/filter", {"workers": {"status": {"any_": ["OFFLINE"]}}}),
        Step("POST", f"{POOL}/workers/heartbeat", {"name": "a"}),
        Step("POST", f"{POOL}/workers/filter", {}),
        Step("DELETE", f"{POOL}/workers/a"),
        Step("DELETE", f"{POOL}/workers/a"),
        Step("POST", f"{POOL}/workers/filter", {}),
    ],
    "poll": [
        create_flow(),
        create_pool(),
        create_queue("low"),
        create_queue("high", priority=1),
        due("late", "low", -120),
        due("later", "high", -30),
        due("soon", "default", -60),
        due("future", "default", 600),
        due("running", "high", state=state("RUNNING")),
        due("retrying", "high", empirical_policy={"retries": 1, "retry_type": "in_process"}),
        poll(scheduled_before="{now+0}"),
        poll(),
        poll(scheduled_before="{now+0}", scheduled_after="{now-90}"),
        poll(limit=1),
        poll(limit=0),
        poll(limit=201),
        poll(work_queue_names=["low"]),
        poll(work_queue_names=["low", "default"], scheduled_before="{now+700}"),
        poll(work_queue_names=[]),
        poll(work_queue_names=["low", "none"]),
        poll(scheduled_before="x"),
        propose("PENDING", run="late"),
        poll(),
        update_queue("high", is_paused=True),
        poll(),
        Step("PATCH", POOL, {"is_paused": True}),
        poll(),
    ],
    "limits": [
        create_flow(),
        create_pool(concurrency_limit=3),
        create_queue("a", concurrency_limit=1, priority=1),
        create_queue("b"),
        *(due(f"a{number}", "a", -100 + number) for number in range(3)),
        *(due(f"b{number}", "b", -50 + number) for number in range(4)),
        poll(),
        READ_POOL,
        propose("PENDING", run="a0"),
        poll(),
        READ_POOL,
        LIST_QUEUES,
        propose("RUNNING", run="a0"),
        propose("PENDING", run="b1"),
        poll(),
        POOL_STATUS,
        Step("POST", f"{POOL}/concurrency_status", {"limit": 1, "page": 2, "flow_run_limit": 0}),
        Step("POST", f"{POOL}/concurrency_status", {"limit": 0}),
        Step("POST", f"{POOL}/concurrency_status", {"page": 0}),
        Step("POST", f"{POOL}/concurrency_status", {"flow_run_limit": 201}),
        propose("CANCELLING", run="a0"),
        poll(),
        READ_POOL,
        POOL_STATUS,
        Step("GET", f"{POOL}/queues/a"),
        Step("GET", "/work_queues/{queue_a.id}"),
        Step("POST", "/work_queues/{queue_a.id}/concurrency_status", {}, ignore=DURATIONS),
        propose("PENDING", run="b0"),
        propose("PENDING", run="b2"),
        poll(),
        propose("COMPLETED", run="b2"),
        poll(),
        update_queue("a", concurrency_limit=0),
        Step("PATCH", POOL, {"concurrency_limit": 0}),
        poll(),
        Step("PATCH", POOL, {"concurrency_limit": None}),
        poll(),
        update_queue("b", is_paused=True),
        Step("PATCH", POOL, {"concurrency_limit": 1}),
        Step(
            "POST",
            f"{POOL}/get_scheduled_flow_runs",
            {},
            differs="Runs of a queue that was paused meanwhile hold slots of the pool, too.",
            status=200,
        ),
    ],
    "delete_with_runs": [
        create_flow(),
        create_pool(),
        create_queue("q"),
        due("run", "q"),
        Step("DELETE", f"{POOL}/queues/q"),
        Step("GET", "/flow_runs/{run.id}"),
        due("other"),
        Step("DELETE", POOL),
        Step("GET", "/flow_runs/{other.id}"),
    ],
}
