"""The table that a benchmark ends with."""

from typing import NamedTuple

from tests.bench.contest import Measured
from tests.bench.processes import Memory
from tests.bench.workloads import Workload

HEADINGS = (
    "workload",
    "per second",
    "ratio (floor/goal)",
    "p50 ms",
    "p99 ms",
    "CPU ms, server + PostgreSQL",
    "CPU 1/n (floor/goal)",
    "statements",
    "round trips",
)


class Row(NamedTuple):
    """A workload and what each server made of it."""

    name: str
    workload: Workload
    measured: dict[str, Measured]


def show(rows: list[Row], counted: dict) -> None:
    """Print the table: in every cell Prefect's figure, a slash and Downbeat's; `!` marks what misses its floor."""
    lines = [HEADINGS, *(cells(row, counted) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    print("\nIn each cell: Prefect / Downbeat. ! misses the floor, + reaches the goal.\n")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print()
    for row in rows:
        if any(one.parts for one in row.measured.values()):
            show_parts(row)


def show_servers(at_rest, after, seconds_to_start, memory_goals, start_goals) -> None:
    """Print what the servers take to start and to be there."""
    for title, memory in (("at rest", at_rest), ("after load", after)):
        show_memory(title, memory, memory_goals)
    taken = " / ".join(f"{seconds:.2f} s" for seconds in seconds_to_start.values())
    ours = seconds_to_start.get("downbeat", 0)
    floor, goal = start_goals
    print(f"start to first 200     {taken} (floor {floor} s, goal {goal} s){mark(-ours, -floor, -goal)}")


def cells(row: Row, counted: dict) -> tuple[str, ...]:
    """Give the cells of a workload."""
    of = list(row.measured.values())
    theirs, ours = row.measured.get("prefect"), row.measured.get("downbeat")
    ratio = cpu = ""
    if theirs and ours:
        ratio = goals(ours.rate / max(theirs.rate, 1e-9), *row.workload.throughput)
        spent = [one.server_milliseconds + one.postgres_milliseconds for one in (theirs, ours)]
        cpu = goals(spent[0] / max(spent[1], 1e-9), *row.workload.cpu)
    figures = [counted.get((row.name, server)) for server in row.measured]
    return (
        row.workload.title,
        " / ".join(f"{one.rate:.0f}" for one in of),
        ratio,
        " / ".join(percentile(one, 0.5) for one in of),
        " / ".join(percentile(one, 0.99) for one in of),
        " / ".join(f"{one.server_milliseconds:.2f} + {one.postgres_milliseconds:.2f}" for one in of),
        cpu,
        *(
            " / ".join(f"{counts[kind]:.{1 if counts[kind] >= 0.1 else 3}f}" if counts else "-" for counts in figures)
            for kind in (0, 1)
        ),
    )


def show_parts(row: Row) -> None:
    """Print the latencies of a workload's single requests, the slowest of Downbeat first."""
    print(f"{row.name}: p50 ms, p99 ms\n")
    of = list(row.measured.values())
    for part in sorted(of[-1].parts, key=lambda name: -percentile_of(of[-1].parts[name], 0.5)):
        latencies = [sorted(one.parts.get(part, ())) for one in of]
        cells = [" / ".join(f"{percentile_of(one, place) * 1000:.1f}" for one in latencies) for place in (0.5, 0.99)]
        ratio = percentile_of(latencies[0], 0.5) / max(percentile_of(latencies[-1], 0.5), 1e-9) if len(of) > 1 else 1
        print(f"  {part:40} {cells[0]:>20} {cells[1]:>22}   {ratio:.1f} times")
    print()


def goals(ratio: float, floor: float, goal: float) -> str:
    """Give a ratio with its floor and goal."""
    return f"{ratio:.1f} ({floor:g}/{goal:g}){mark(ratio, floor, goal)}"


def mark(value: float, floor: float, goal: float) -> str:
    """Give the sign of a value: + at its goal, ! below its floor."""
    return " +" if value >= goal else " !" if value < floor else ""


def percentile(measured: Measured, part: float) -> str:
    """Give a percentile of the latencies in milliseconds, a dash when there are none."""
    if not measured.latencies:
        return "-"
    return f"{percentile_of(measured.latencies, part) * 1000:.1f}"


def percentile_of(latencies: list[float], part: float) -> float:
    """Give a percentile of sorted latencies, 0 when there are none."""
    return latencies[min(int(len(latencies) * part), len(latencies) - 1)] if latencies else 0


def show_memory(title: str, memory: dict[str, Memory], memory_goals: tuple[float, float]) -> None:
    """Print the memory of both servers and what part of Prefect's Downbeat's is, by PSS."""
    shown = " / ".join(f"{one.pss:.0f} MiB PSS ({one.rss:.0f} RSS)" for one in memory.values())
    part = ""
    if {"prefect", "downbeat"} <= set(memory):
        value, (floor, goal) = memory["downbeat"].pss / memory["prefect"].pss, memory_goals
        part = f": {value:.2f} of it (floor {floor}, goal {goal}){mark(-value, -floor, -goal)}"
    print(f"memory {title:15} {shown}{part}")
