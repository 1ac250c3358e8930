"""What is measured, and what the result is to be."""

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

import psycopg

from tests.bench import reads, requests
from tests.bench.contest import Contestant
from tests.bench.load import Load, drive
from tests.bench.sockets import Socket

MOST_SECONDS = 300  # of whole rounds of requests


class Workload(NamedTuple):
    """A load and its goals as ratios to Prefect: throughput as (floor, goal), CPU as one by (floor, goal)."""

    title: str
    work: Callable[[Contestant, float], Load]
    throughput: tuple[float, float]
    cpu: tuple[float, float]
    unit: str = "request"
    needs_runs: bool = False


def post(contestant: Contestant, path: str, body: object) -> dict:
    """Send a request apart from the load and give the answer."""
    call = urllib.request.Request(contestant.server.api + path, json.dumps(body).encode())
    call.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(call, timeout=30) as answer:
        return json.load(answer)


def make_run(contestant: Contestant) -> str:
    """Make a flow run for others to belong to and give its id."""
    flow = post(contestant, "/flows/", {"name": "bench"})
    return post(contestant, "/flow_runs/", {"flow_id": flow["id"]})["id"]


def life_cycle(clients: int) -> Callable[[Contestant, float], Load]:
    """Give the life cycle of runs with so many clients."""

    def work(contestant: Contestant, seconds: float) -> Load:
        flow_id = post(contestant, "/flows/", {"name": "bench"})["id"]
        return drive(contestant.port, [requests.life_cycle(flow_id) for _ in range(clients)], seconds)

    return work


def read(contestant: Contestant, seconds: float) -> Load:
    """Read runs by id with 8 clients."""
    with psycopg.connect(contestant.database_url) as conn:
        rows = conn.execute("SELECT id FROM flow_run ORDER BY created, id LIMIT 800").fetchall()
    run_ids = [str(id) for (id,) in rows] or [make_run(contestant)]
    return drive(contestant.port, [requests.read(run_ids[client::8] or run_ids) for client in range(8)], seconds)


def filter_newest(contestant: Contestant, seconds: float) -> Load:
    """Filter the newest 50 runs with 8 clients."""
    return drive(contestant.port, [requests.filter_newest() for _ in range(8)], seconds)


def logs(contestant: Contestant, seconds: float) -> Load:
    """Send batches of 100 logs with 8 clients."""
    run_id = make_run(contestant)
    return drive(contestant.port, [requests.log_batches(run_id) for _ in range(8)], seconds)


def poll(contestant: Contestant, seconds: float) -> Load:
    """Poll the work pool that has 1,000 due runs with 8 clients."""
    return drive(contestant.port, [requests.polls("polled") for _ in range(8)], seconds)


def slots(contestant: Contestant, seconds: float) -> Load:
    """Take and give back the 10 slots of one limit with 32 clients."""
    limit, latencies = f"bench-{time.time_ns()}", []
    post(contestant, "/v2/concurrency_limits/", {"name": limit, "limit": 10})
    load = drive(contestant.port, [requests.slots(limit, latencies) for _ in range(32)], seconds)
    return load._replace(answers=len(latencies), latencies=latencies, requests=load.answers)


def ask(group: tuple[tuple[str, str, dict], ...]) -> Callable[[Contestant, float], Load]:
    """Give the load of 4 clients that send all requests of a group in turn, each from another one on, in whole rounds."""

    def work(contestant: Contestant, seconds: float) -> Load:
        with psycopg.connect(contestant.database_url) as conn:
            facts = reads.read_facts(conn)
        named = [(name, requests.request("POST", path, reads.resolve(body, facts))) for name, path, body in group]
        starts = [len(named) * client // 4 for client in range(4)]
        parts: dict[str, list[float]] = {}
        load = drive(contestant.port, [requests.rounds(named[at:] + named[:at], seconds, parts) for at in starts], MOST_SECONDS)
        return load._replace(parts=parts)

    return work


def task_run_events(contestant: Contestant, seconds: float) -> Load:
    """Send the events of task runs over 4 websockets until all are stored; how many depends on the server's speed."""
    run_id = make_run(contestant)
    count = int((25 if contestant.name == "prefect" else 400) * seconds)
    sockets = [Socket(contestant.port) for _ in range(4)]
    frames = [socket.frames([text for _ in range(count // 4) for text in requests.task_run_events(run_id)]) for socket in sockets]
    cpu, started = time.process_time(), time.perf_counter()
    senders = [threading.Thread(target=socket.send, args=(own,)) for socket, own in zip(sockets, frames, strict=True)]
    for sender in senders:
        sender.start()
    stored = wait_for_task_runs(contestant, run_id, count // 4 * 4)
    ended = time.perf_counter()
    for socket in sockets:
        socket.close()
    missing = {"missing": count // 4 * 4 - stored} if stored < count // 4 * 4 else {}
    return Load(stored, ended - started, [], missing, time.process_time() - cpu)


def wait_for_task_runs(contestant: Contestant, run_id: str, count: int) -> int:
    """Wait until so many task runs of a flow run are Completed, at most a minute; give how many have all three states."""
    completed = "SELECT count(*) FROM task_run WHERE flow_run_id = %s AND state_type = 'COMPLETED'"
    with_states = """
        SELECT count(*)
          FROM task_run
         WHERE task_run.flow_run_id = %s
           AND (SELECT count(*) FROM task_run_state WHERE task_run_state.task_run_id = task_run.id) = 3"""
    deadline = time.monotonic() + 60
    with psycopg.connect(contestant.database_url, autocommit=True) as conn:
        while conn.execute(completed, [run_id]).fetchone()[0] < count and time.monotonic() < deadline:
            time.sleep(0.1)
        return conn.execute(with_states, [run_id]).fetchone()[0]


WORKLOADS = {
    "life_cycle_1": Workload("life cycle, 1 client", life_cycle(1), (5, 7), (6, 8)),
    "life_cycle_8": Workload("life cycle, 8 clients", life_cycle(8), (9, 13), (7, 11)),
    "life_cycle_32": Workload("life cycle, 32 clients", life_cycle(32), (11, 16), (8, 12)),
    "read": Workload("read by id, 8 clients", read, (10, 13), (8, 10)),
    "filter": Workload("filter newest 50 of {runs} runs, 8 clients", filter_newest, (12, 17), (8, 12), needs_runs=True),
    "worker_poll": Workload("worker poll, 1,000 due of {runs} runs, 8 clients", poll, (15, 25), (8, 12), needs_runs=True),
    "slots": Workload("10 slots of one limit, 32 clients", slots, (6, 9), (5, 8), "acquire and release"),
    "lists": Workload("lists of the web UI, {runs} runs, 4 clients", ask(reads.LISTS), (12, 20), (8, 12), needs_runs=True),
    "counts": Workload("counts of the web UI, {runs} runs, 4 clients", ask(reads.COUNTS), (4, 8), (4, 8), needs_runs=True),
    "charts": Workload("charts of the web UI, {runs} runs, 4 clients", ask(reads.CHARTS), (10, 20), (6, 12), needs_runs=True),
    "logs": Workload("log batches of 100, 8 clients", logs, (18, 26), (14, 20)),
    "events": Workload("task runs from websocket events", task_run_events, (15, 30), (10, 20), "task run"),
}
SCHEDULING = Workload("runs of {deployments} deployments with 3 schedules", None, (10, 20), (10, 20), "run")  # see scheduling
