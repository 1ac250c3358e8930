"""The requests of the workloads, byte for byte as Prefect's client sends them (recorded with client 3.8.3).

A conversation is a generator that one connection goes through: it yields a request and the status expected, and is sent
the body of the answer.
"""

import datetime
import json
import time
import uuid
import zlib
from collections.abc import Generator

Conversation = Generator[tuple[bytes, int | tuple[int, ...]], bytes, None]

HEADERS = (
    "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    "User-Agent: prefect/3.8.3 (API 0.8.4)\r\nX-PREFECT-API-VERSION: 0.8.4\r\n"
)
NO_DETAILS = dict.fromkeys(
    (
        *("flow_run_id", "task_run_id", "child_flow_run_id", "scheduled_time", "cache_key", "cache_expiration"),
        *("deferred", "untrackable_result", "pause_timeout", "pause_reschedule", "pause_key", "run_input_keyset"),
        *("refresh_cache", "retriable", "transition_id", "task_parameters_id", "traceparent"),
        "deployment_concurrency_lease_id",
    )
) | {"untrackable_result": False, "pause_reschedule": False}


def request(method: str, path: str, body: object = None) -> bytes:
    """Give a whole HTTP request."""
    head = f"{method} /api{path} HTTP/1.1\r\nHost: 127.0.0.1:4200\r\n{HEADERS}"
    if body is None:
        return f"{head}\r\n".encode()
    content = json.dumps(body, separators=(",", ":")).encode()
    return f"{head}Content-Length: {len(content)}\r\nContent-Type: application/json\r\n\r\n".encode() + content


def document(answer: bytes) -> dict:
    """Read the body of an answer, compressed or not."""
    return json.loads(zlib.decompress(answer, 31) if answer[:2] == b"\x1f\x8b" else answer)


def propose(run_id: str, type: str, name: str) -> bytes:
    """Give the proposal of a state as the client's engine sends it, with a transition id of its own."""
    details = NO_DETAILS | {"flow_run_id": run_id, "transition_id": str(uuid.uuid4())}
    state = {"type": type, "name": name, "message": None, "state_details": details, "data": None}
    return request("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": False})


def life_cycle(flow_id: str) -> Conversation:
    """Take one run after the other from its creation to its end: create, PENDING, RUNNING, COMPLETED, read."""
    scheduled = {"type": "SCHEDULED", "name": "Scheduled", "message": None, "state_details": {}, "data": None}
    new_run = {"state": scheduled, "name": None, "flow_id": flow_id, "flow_version": "49af250b22502ade38731c3488026cde"}
    new_run |= {"parameters": {}, "context": {}, "parent_task_run_id": None, "tags": []}
    create = request("POST", "/flow_runs/", new_run | {"empirical_policy": {"retries": 0, "retry_delay": 0}})
    while True:
        run_id = document((yield create, 201))["id"]
        for type in ("PENDING", "RUNNING", "COMPLETED"):
            yield propose(run_id, type, type.capitalize()), 201
        yield request("GET", f"/flow_runs/{run_id}"), 200


def read(run_ids: list[str]) -> Conversation:
    """Read one run after the other by its id."""
    requests = [request("GET", f"/flow_runs/{run_id}") for run_id in run_ids]
    while True:
        for one in requests:
            yield one, 200


def filter_newest() -> Conversation:
    """Ask for the newest 50 runs, as the pages of runs and of one flow's runs do by turns."""
    body = {"flow_runs": {"operator": "and_"}, "limit": 50, "offset": 0}
    requests = [
        request("POST", "/flow_runs/filter", body | {"sort": sort}) for sort in ("EXPECTED_START_TIME_DESC", "START_TIME_DESC")
    ]
    while True:
        for one in requests:
            yield one, 200


def polls(work_pool: str) -> Conversation:
    """Ask for what is due in a work pool, as a worker does that serves all its queues."""
    while True:
        before = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=10)
        body = {"work_queue_names": [], "scheduled_before": str(before)}
        yield request("POST", f"/work_pools/{work_pool}/get_scheduled_flow_runs", body), 200


def slots(limit: str, latencies: list[float]) -> Conversation:
    """Take a slot of a limit, asking again at once while there is none, and give it back; notes how long that took."""
    take = {"names": [limit], "slots": 1, "mode": "concurrency", "lease_duration": 300.0}
    acquire = request("POST", "/v2/concurrency_limits/increment-with-lease", take)
    while True:
        started = time.perf_counter()
        while "lease_id" not in (answer := document((yield acquire, (200, 423)))):
            pass
        yield request("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": answer["lease_id"]}), 204
        latencies.append(time.perf_counter() - started)


def rounds(named: list[tuple[str, bytes]], seconds: float, parts: dict[str, list[float]]) -> Conversation:
    """Send requests in their order, round after round until the seconds have passed; notes how long each took."""
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for name, one in named:
            sent = time.perf_counter()
            yield one, 200
            parts.setdefault(name, []).append(time.perf_counter() - sent)


def log_batches(run_id: str) -> Conversation:
    """Send batches of 100 logs."""
    while True:
        now = datetime.datetime.now(datetime.timezone.utc)
        logs = [
            {
                "name": "prefect.flow_runs",
                "level": 20,
                "message": f"Finished step {number} of the work, all is well and the next one begins",
                "timestamp": (now + datetime.timedelta(microseconds=number)).isoformat().replace("+00:00", "Z"),
                "flow_run_id": run_id,
                "task_run_id": None,
            }
            for number in range(100)
        ]
        yield request("POST", "/logs/", logs), 201


def task_run_events(flow_run_id: str) -> list[str]:
    """Give the three events of a task run that completes, as frames of `/api/events/in`."""
    now = datetime.datetime.now(datetime.timezone.utc)
    task_run_id, key = str(uuid.uuid4()), str(uuid.uuid4())
    related = [
        {"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", "prefect.resource.role": "flow-run"},
        {"prefect.resource.id": f"prefect.flow.{uuid.uuid4()}", "prefect.resource.role": "flow"},
    ]
    steps = ((None, "PENDING", 0), ("PENDING", "RUNNING", 1000), ("RUNNING", "COMPLETED", 2000))
    return [
        json.dumps(task_run_event(before, after, now + datetime.timedelta(microseconds=later), task_run_id, key, related))
        for before, after, later in steps
    ]


def task_run_event(before, after, occurred, task_run_id, key, related) -> dict:
    """Give one event about a task run's state."""
    moment = occurred.isoformat()
    resource = {
        "prefect.resource.id": f"prefect.task-run.{task_run_id}",
        "prefect.resource.name": "t-b74",
        "prefect.run-count": "1",
        "prefect.state-message": "",
        "prefect.state-name": after.capitalize(),
        "prefect.state-timestamp": moment,
        "prefect.state-type": after,
        "prefect.orchestration": "client",
    }
    task_run = {
        "name": "t-b74",
        "task_key": "t-89511c3d",
        "dynamic_key": key,
        "empirical_policy": {"max_retries": 0, "retry_delay_seconds": 0.0, "retries": 0, "retry_delay": 0},
        "tags": [],
        "labels": {},
        "task_inputs": {},
        "run_count": int(after != "PENDING"),
        "flow_run_run_count": 1,
        "expected_start_time": moment,
    }
    initial = {"type": before, "name": before.capitalize(), "message": "", "state_details": {}} if before else None
    state = {"type": after, "name": after.capitalize(), "message": "", "state_details": {}, "data": None}
    payload = {"intended": {"from": before, "to": after}, "initial_state": initial, "validated_state": state}
    return {
        "occurred": moment.replace("+00:00", "Z"),
        "event": f"prefect.task-run.{after.capitalize()}",
        "id": str(uuid.uuid4()),
        "follows": None,
        "resource": resource,
        "related": related,
        "payload": payload | {"task_run": task_run},
    }
