"""Measure Prefect's own server and Downbeat side by side.

Without arguments all workloads run, in about six minutes. Each is run by turns (Prefect, Downbeat, Prefect, ...) on
databases of one PostgreSQL (TEST_DATABASE_URL or an embedded one), each server on its own with its own indexes; the server that
is not measured stands still. With `--factor 1 --folder somewhere` there are 1 M flow runs, made once in some ten minutes.
"""

import argparse
import os
import statistics

from tests.bench import processes, round_trips, scheduling
from tests.bench.contest import Contestant, Measured, cluster, databases, measure, running
from tests.bench.open_sockets import with_open_sockets
from tests.bench.table import Row, show, show_servers
from tests.bench.workloads import SCHEDULING, WORKLOADS

# Ratios to Prefect's server, and seconds: floor and goal.
MEMORY, START = (0.6, 0.5), (1.5, 1.0)


def main() -> None:
    """Run what the command line asks for and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"some of: {', '.join([*WORKLOADS, 'scheduling'])}")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each server for each workload (2)")
    parser.add_argument("--seconds", type=float, default=4, help="length of a round (4)")
    parser.add_argument("--factor", type=float, default=0.1, help="size of the data: 1 is 1 M flow runs, 5 M logs (0.1)")
    parser.add_argument("--deployments", type=int, default=150, help="how many the schedulers have (150)")
    parser.add_argument("--folder", help="keep PostgreSQL's data here, and use what is there if it is of this size")
    parser.add_argument("--only", choices=("prefect", "downbeat"), help="only one of the servers")
    parser.add_argument("--gunicorn", default="", metavar="ARGS", help="arguments of gunicorn, such as '--workers 4'")
    parser.add_argument("--open-sockets", type=int, metavar="N", help="Downbeat alone with N open websockets meanwhile")
    parser.add_argument("--no-round-trips", action="store_true", help="do not count statements and round trips")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(WORKLOADS) - {"scheduling"}
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    names = [options.only] if options.only else ["prefect", "downbeat"]
    names = ["downbeat"] if options.open_sockets else names
    with cluster(options.folder) as cluster_url:
        run(cluster_url, names, options)


def run(cluster_url: str, names: list[str], options: argparse.Namespace) -> None:
    """Make the databases, run the workloads and print what came of them."""
    chosen = [name for name in WORKLOADS if name in options.workloads or not options.workloads]
    settings = {"GUNICORN_CMD_ARGS": options.gunicorn} if options.gunicorn else {}
    starts = 1 if options.workloads else 3
    needs_runs = any(WORKLOADS[name].needs_runs for name in chosen)
    rows, counted = [], {}
    if (not options.workloads or "scheduling" in options.workloads) and not options.open_sockets:
        rows.append(schedule(cluster_url, names, options, counted))
    if not chosen:
        show(rows, counted)
        return
    with (
        databases(cluster_url, names, options.factor if needs_runs else 0, keep=bool(options.folder)) as urls,
        running(urls, starts, **settings) as (contestants, seconds_to_start),
    ):
        if options.open_sockets:
            with_open_sockets(contestants[0], options.open_sockets, options.seconds)
            return
        at_rest = {one.name: processes.memory(one.server.process.pid) for one in contestants}
        rows = [*(measured_row(name, contestants, options) for name in chosen), *rows]
        after = {one.name: processes.memory(one.server.process.pid) for one in contestants}
        if not options.no_round_trips:
            counted |= count_round_trips(chosen, urls)
    show(rows, counted)
    show_servers(at_rest, after, seconds_to_start, MEMORY, START)


def schedule(cluster_url: str, names: list[str], options: argparse.Namespace, counted: dict) -> Row:
    """Run the schedulers in rounds, on databases of their own, and give the medians by scheduler."""
    measured = {name: [] for name in names}
    with databases(cluster_url, names, 0, suffix="_schedules") as urls:
        for url in urls.values():
            scheduling.prepare(url, options.deployments)
        for _ in range(options.rounds):
            for name, url in urls.items():
                runs, found = scheduling.measure(name, url)
                measured[name].append(found)
                report("scheduling", name, found, "run", f", {runs} runs in {found.latencies[0]:.2f} s")
        for name, url in urls.items() if not options.no_round_trips else ():
            counted["scheduling", name] = scheduling.count(name, url)
    workload = SCHEDULING._replace(title=SCHEDULING.title.format(deployments=f"{options.deployments:,}"))
    return Row("scheduling", workload, {name: median(rounds) for name, rounds in measured.items()})


def report(workload: str, name: str, found: Measured, unit: str, more: str = "") -> None:
    """Print a line about a round."""
    print(
        f"{workload:15} {name:9} {found.rate:8.1f} {unit}s/s, CPU {found.server_milliseconds:.2f} +"
        f" {found.postgres_milliseconds:.2f} ms, generator {found.generator_milliseconds:.2f} ms{more}",
        flush=True,
    )


def measured_row(name: str, contestants: list[Contestant], options: argparse.Namespace) -> Row:
    """Run one workload in rounds and give the medians by server."""
    workload, measured = WORKLOADS[name], {one.name: [] for one in contestants}
    for one in contestants:
        workload.work(one, min(0.5, options.seconds))
    for _ in range(options.rounds):
        for one in contestants:
            found = measure(one, contestants, lambda contestant: workload.work(contestant, options.seconds))
            measured[one.name].append(found)
            report(name, one.name, found, workload.unit)
    workload = workload._replace(title=workload.title.format(runs=f"{options.factor * 1_000_000:,.0f}"))
    return Row(name, workload, {server: median(rounds) for server, rounds in measured.items()})


def median(rounds: list[Measured]) -> Measured:
    """Give the median of each figure over the rounds, and all latencies."""
    rates, _, *costs, of_parts = zip(*rounds, strict=True)
    latencies = sorted(latency for one in rounds for latency in one.latencies)
    parts = {name: sorted(latency for one in of_parts for latency in one.get(name, ())) for name in of_parts[0]}
    return Measured(statistics.median(rates), latencies, *(statistics.median(cost) for cost in costs), parts)


def count_round_trips(chosen: list[str], urls: dict[str, str]) -> dict[tuple[str, str], tuple[float, float]]:
    """Run each workload shortly against servers whose PostgreSQL is behind a counting proxy.

    Gives statements and round trips per request (or task run) by workload and server; a request that is repeated counts again.
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
                done = max(load.requests or load.answers, 1)
                counted[name, one.name] = (
                    (counts.statements - before[0]) / done,
                    (counts.round_trips - before[1]) / done,
                )
    return counted


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
