"""Normal load while many websockets are open, for choosing the class of worker."""

import time

from tests.bench import processes
from tests.bench.contest import Contestant, measure
from tests.bench.sockets import Socket
from tests.bench.table import percentile
from tests.bench.workloads import WORKLOADS


def with_open_sockets(contestant: Contestant, count: int, seconds: float) -> None:
    """Print rate, latency, CPU and memory of the life cycle without and with so many idle websockets open."""
    work = WORKLOADS["life_cycle_8"].work
    work(contestant, 1)
    show(contestant, "no open websocket", seconds)
    sockets = [Socket(contestant.port) for _ in range(count)]
    time.sleep(1)
    show(contestant, f"{count} open websockets", seconds)
    for socket in sockets:
        socket.close()
    time.sleep(1)
    show(contestant, "websockets closed", seconds)


def show(contestant: Contestant, title: str, seconds: float) -> None:
    """Measure the life cycle with 8 clients and print it."""
    found = measure(contestant, [contestant], lambda one: WORKLOADS["life_cycle_8"].work(one, seconds))
    latencies = found._replace(latencies=sorted(found.latencies))
    memory = processes.memory(contestant.server.process.pid)
    print(
        f"{title:24} {found.rate:7.0f} requests/s  p50 {percentile(latencies, 0.5):>6} ms  "
        f"p99 {percentile(latencies, 0.99):>6} ms  CPU {found.server_milliseconds:.2f} +"
        f" {found.postgres_milliseconds:.2f} ms  {memory.pss:.0f} MiB PSS ({memory.rss:.0f} RSS)"
    )
