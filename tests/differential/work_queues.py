"""Sequences about work queues by id, and about those that agents poll by name or tags."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import create_flow, create_flow_run, propose, state


def create_queue(name: str = "q-{unique}", save: str = "queue", **fields: Any) -> Step:
    """Make a queue in the pool of agents. Its priority depends on those of other sequences."""
    return Step("POST", "/work_queues/", {"name": name} | fields, save=save, ignore=("priority",))


def read_queue(reference: str = "{queue.id}") -> Step:
    """Read a queue."""
    return Step("GET", f"/work_queues/{reference}", ignore=("priority",))


def poll(**body: Any) -> Step:
    """Ask for due runs as an agent does."""
    return Step("POST", "/work_queues/{queue.id}/get_runs", body)


def due(name: str, seconds: int = -60, **fields: Any) -> Step:
    """Make a run that is due at a time from the start of the sequence."""
    return create_flow_run(name, name=name, state=state("SCHEDULED", scheduled_time=f"{{now{seconds:+}}}"), **fields)


DEPLOYMENT = Step(
    "SQL",
    "INSERT INTO deployment (name, flow_id) VALUES ('d-{unique}', '{flow.id}') RETURNING id",
    save="deployment",
)
STATUS = Step("GET", "/work_queues/{queue.id}/status")

SEQUENCES = {
    "life_cycle": [
        create_queue(description="d", concurrency_limit=2),
        create_queue(),
        read_queue(),
        read_queue("name/q-{unique}"),
        Step("PATCH", "/work_queues/{queue.id}", {"description": "e", "concurrency_limit": None, "is_paused": True}),
        read_queue(),
        Step("PATCH", "/work_queues/{queue.id}", {"is_paused": False, "last_polled": "{now-1}"}),
        read_queue(),
        STATUS,
        create_queue("other-{unique}", "other", filter={"tags": ["a"]}),
        Step("PATCH", "/work_queues/{other.id}", {"name": "q-{unique}"}),
        Step("PATCH", "/work_queues/{other.id}", {"name": "new-{unique}", "filter": None}),
        read_queue("{other.id}"),
        *(
            Step("POST", "/work_queues/filter", {"work_queues": chosen}, ignore=("priority",))
            for chosen in (
                {"name": {"any_": ["q-{unique}", "new-{unique}"]}},
                {"name": {"startswith_": ["NEW-{unique}"]}},
                {"id": {"any_": ["{queue.id}"]}, "name": {"any_": ["new-{unique}"]}},
                {"operator": "or_", "id": {"any_": ["{queue.id}"]}, "name": {"any_": ["new-{unique}"]}},
            )
        ),
        Step("POST", "/work_queues/filter", {"limit": 0}),
        Step("DELETE", "/work_queues/{queue.id}"),
        Step("DELETE", "/work_queues/{queue.id}"),
        read_queue(),
        read_queue("name/q-{unique}"),
        STATUS,
        poll(),
        Step("PATCH", "/work_queues/{queue.id}", {"description": "e"}),
        Step("POST", "/work_queues/{queue.id}/concurrency_status", {}),
    ],
    "priority": [
        Step("POST", "/work_pools/", {"name": "pool-{unique}", "type": "process"}, save="pool"),
        Step("POST", "/work_pools/pool-{unique}/queues", {"name": "q"}, save="queue"),
        Step("PATCH", "/work_queues/{queue.id}", {"priority": 1}),
        read_queue(),
        Step(
            "GET",
            "/work_pools/pool-{unique}/queues/default",
            differs="Priorities stay unique, whichever way one is changed.",
            status=200,
            contains={"priority": 2},
        ),
    ],
    "poll_by_name": [
        create_flow(),
        create_queue(concurrency_limit=2),
        due("late", -120, work_queue_name="q-{unique}"),
        due("early", -60, work_queue_name="q-{unique}"),
        due("future", 60, work_queue_name="q-{unique}"),
        due("elsewhere", -60, work_queue_name="none-{unique}"),
        Step("POST", "/work_queues/{queue.id}/get_runs", {}, headers={"X-Prefect-UI": "true"}),
        read_queue(),
        poll(),
        poll(scheduled_before="{now-90}"),
        poll(limit=1),
        propose("PENDING", run="late"),
        propose("RUNNING", run="late"),
        propose("CANCELLING", run="late"),
        poll(),
        Step("POST", "/work_queues/{queue.id}/concurrency_status", {}, ignore=("time_in_current_state",)),
        Step("POST", "/work_queues/{queue.id}/concurrency_status", {"limit": 1, "page": 2}),
        Step("PATCH", "/work_queues/{queue.id}", {"is_paused": True}),
        poll(),
    ],
    "poll_by_tags": [
        create_flow(),
        DEPLOYMENT,
        create_queue(filter={"tags": ["a-{unique}"]}, concurrency_limit=2),
        due("tagged", -120, deployment_id="{deployment.id}", tags=["a-{unique}", "b"]),
        due("also", -60, deployment_id="{deployment.id}", tags=["a-{unique}"]),
        due("third", -50, deployment_id="{deployment.id}", tags=["a-{unique}"]),
        due("apart", -60, tags=["a-{unique}"]),
        due("untagged", -60, deployment_id="{deployment.id}"),
        poll(),
        propose("PENDING", run="tagged"),
        read_queue(),
        poll(),
        propose("RUNNING", run="tagged"),
        propose("CANCELLING", run="tagged"),
        poll(),
        read_queue(),
        Step("PATCH", "/work_queues/{queue.id}", {"filter": {"deployment_ids": ["{deployment.id}"]}}),
        poll(),
        Step("PATCH", "/work_queues/{queue.id}", {"filter": {"deployment_ids": []}}),
        poll(),
        read_queue(),
        Step("PATCH", "/work_queues/{queue.id}", {"filter": {"tags": [], "deployment_ids": ["{uuid.x}"]}}),
        poll(),
        Step("PATCH", "/work_queues/{queue.id}", {"is_paused": True}),
        poll(),
    ],
    "late_runs": [
        create_flow(),
        Step("POST", "/work_pools/", {"name": "pool-{unique}", "type": "process"}, save="pool"),
        Step("POST", "/work_pools/pool-{unique}/queues", {"name": "q-{unique}"}, save="queue"),
        Step("PATCH", "/work_queues/{queue.id}", {"last_polled": "{now-1}"}),
        STATUS,
        create_flow_run(
            work_pool_name="pool-{unique}",
            work_queue_name="q-{unique}",
            state=state("SCHEDULED", "Late", scheduled_time="{now-60}"),
        ),
        STATUS,
        Step("PATCH", "/work_queues/{queue.id}", {"last_polled": "{now-90}"}),
        STATUS,
    ],
    "refused": [
        create_queue(""),
        create_queue("a/b"),
        create_queue(priority=0),
        create_queue(unknown=1),
        create_queue(filter=[]),
        create_queue(),
        Step("PATCH", "/work_queues/{queue.id}", {"name": None}),
        Step("PATCH", "/work_queues/{queue.id}", {"concurrency_limit": -1}),
        poll(limit=201),
        poll(scheduled_before="x"),
        Step("POST", "/work_queues/filter", {"work_queues": {"unknown": 1}}),
    ],
}
