"""What processes cost, read from /proc."""

import os
from pathlib import Path
from typing import NamedTuple

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """The memory of a tree of processes in MiB: resident, and resident with shared pages divided among their users."""

    rss: float
    pss: float


def parents() -> dict[int, int]:
    """Give the parent of every process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := stat(int(folder.name))):
            found[int(folder.name)] = int(fields[1])
    return found


def stat(pid: int) -> list[str]:
    """Give the fields of a process's stat from its state on, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(root: int) -> list[int]:
    """Give a process and all its descendants."""
    found, of = [root], parents()
    for pid in found:
        found.extend(child for child, parent in of.items() if parent == pid)
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Give the CPU time that processes and their ended children took so far, user and system."""
    return sum(int(tick) for pid in pids for tick in stat(pid)[11:15]) / TICKS_PER_SECOND


def postgres_cpu_seconds(postmaster: int, other_database: str) -> float:
    """Give the CPU time of a PostgreSQL, ended backends too, without the live backends of a database not measured."""
    return cpu_seconds([pid for pid in tree(postmaster) if other_database not in title(pid).split()])


def title(pid: int) -> str:
    """Give the command line of a process; PostgreSQL writes there what each process of it is for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def memory(root: int) -> Memory:
    """Give the memory of a process and all its descendants."""
    sums = {"Rss:": 0, "Pss:": 0}
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            name, *value = line.split()
            if name in sums:
                sums[name] += int(value[0])
    return Memory(sums["Rss:"] / 1024, sums["Pss:"] / 1024)
