"""Measure Prefect's own server and Downbeat side by side.

Without arguments all workloads run, in about five minutes. Each is run by turns (Prefect, Downbeat, Prefect, ...) on
databases of one PostgreSQL (TEST_DATABASE_URL or an embedded one); the server that is not measured stands still.
"""

import argparse
import os
import statistics

from tests.bench import processes, round_trips
from tests.bench.contest import Contestant, Measured, cluster, databases, measure, running
from tests.bench.open_sockets import with_open_sockets
from tests.bench.table import Row, show
from tests.bench.workloads import WORKLOADS

# Ratios to Prefect's server, and seconds: floor and goal.
MEMORY, START = (0.6, 0.5), (1.5, 1.0)


def main() -> None:
    """Run what the command line asks for and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"some of: {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each server for each workload (2)")
    parser.add_argument("--seconds", type=float, default=4, help="length of a round (4)")
    parser.add_argument("--only", choices=("prefect", "downbeat"), help="only one of the servers")
    parser.add_argument("--gunicorn", default="", metavar="ARGS", help="arguments of gunicorn, such as '--workers 4'")
    parser.add_argument("--open-sockets", type=int, metavar="N", help="Downbeat alone with N open websockets meanwhile")
    parser.add_argument("--no-round-trips", action="store_true", help="do not count statements and round trips")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    names = [options.only] if options.only else ["prefect", "downbeat"]
    names = ["downbeat"] if options.open_sockets else names
    with cluster() as cluster_url:
        run(cluster_url, names, options)


def run(cluster_url: str, names: list[str], options: argparse.Namespace) -> None:
    """Make the databases, run the workloads and print what came of them."""
    chosen = options.workloads or list(WORKLOADS)
    settings = {"GUNICORN_CMD_ARGS": options.gunicorn} if options.gunicorn else {}
    starts = 1 if options.workloads else 3
    with (
        databases(cluster_url, names, loaded="filter" in chosen) as urls,
        running(urls, starts, **settings) as (contestants, seconds_to_start),
    ):
        if options.open_sockets:
            with_open_sockets(contestants[0], options.open_sockets, options.seconds)
            return
        at_rest = {one.name: processes.memory(one.server.process.pid) for one in contestants}
        rows = [measured_row(name, contestants, options) for name in chosen]
        after = {one.name: processes.memory(one.server.process.pid) for one in contestants}
        counted = {} if options.no_round_trips else count_round_trips(chosen, urls)
    show(rows, counted, at_rest, after, seconds_to_start, MEMORY, START)


def measured_row(name: str, contestants: list[Contestant], options: argparse.Namespace) -> Row:
    """Run one workload in rounds and give the medians by server."""
    workload, measured = WORKLOADS[name], {one.name: [] for one in contestants}
    for one in contestants:
        workload.work(one, min(0.5, options.seconds))
    for _ in range(options.rounds):
        for one in contestants:
            found = measure(one, contestants, lambda contestant: workload.work(contestant, options.seconds))
            measured[one.name].append(found)
            print(
                f"{name:15} {one.name:9} {found.rate:8.1f} {workload.unit}s/s, CPU {found.server_milliseconds:.2f} +"
                f" {found.postgres_milliseconds:.2f} ms, generator {found.generator_milliseconds:.2f} ms",
                flush=True,
            )
    return Row(name, workload, {server: median(rounds) for server, rounds in measured.items()})


def median(rounds: list[Measured]) -> Measured:
    """Give the median of each figure over the rounds, and all latencies."""
    rates, _, *costs = zip(*rounds, strict=True)
    latencies = sorted(latency for one in rounds for latency in one.latencies)
    return Measured(statistics.median(rates), latencies, *(statistics.median(cost) for cost in costs))


def count_round_trips(chosen: list[str], urls: dict[str, str]) -> dict[tuple[str, str], tuple[float, float]]:
    """Run each workload shortly against servers whose PostgreSQL is behind a counting proxy.

    Gives statements and round trips per request (or task run) by workload and server.
    """
    proxies = {name: round_trips.start(url) for name, url in urls.items()}
    counted = {}
    with running({name: url for name, (url, _) in proxies.items()}) as (contestants, _):
        for name in chosen:
            for one in contestants:
                WORKLOADS[name].work(one._replace(database_url=urls[one.name]), 0.3)
                counts = proxies[one.name][1]
                before = counts.statements, counts.round_trips
                load = WORKLOADS[name].work(one._replace(database_url=urls[one.name]), 1)
                done = max(load.answers, 1)
                counted[name, one.name] = (
                    (counts.statements - before[0]) / done,
                    (counts.round_trips - before[1]) / done,
                )
    return counted


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
