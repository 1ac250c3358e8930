"""Compare Downbeat with Prefect's own server from the command line, or show what Prefect answers.

Compare:  python -m tests.differential --prefect http://host:4200/api --downbeat http://host:4201/api --only flow_runs
Show:     python -m tests.differential --prefect http://host:4200/api --show --only flow_runs.create_with_state
"""

import argparse
import json
import sys

from tests.differential import sequences
from tests.differential.compare import Compared, compare
from tests.differential.exchange import Side


def main() -> int:
    """Run the chosen sequences, print what differs and give the exit code: 1 when anything does."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__.partition("\n")[0])
    parser.add_argument("--prefect", required=True, metavar="URL", help="base address of Prefect's server, with /api")
    parser.add_argument("--downbeat", metavar="URL", help="base address of Downbeat (Prefect again when not given)")
    parser.add_argument("--prefect-database", metavar="URL", help="its database, for sequences that look inside")
    parser.add_argument("--downbeat-database", metavar="URL", help="the other's database")
    parser.add_argument("--only", default="", metavar="NAME", help="only sequences whose name contains this")
    parser.add_argument("--full", action="store_true", help="the many generated sequences too")
    parser.add_argument("--show", action="store_true", help="print every request with Prefect's answer")
    parser.add_argument("--verbose", action="store_true", help="print both bodies of steps that differ")
    options = parser.parse_args()
    prefect = Side(options.prefect, options.prefect_database)
    downbeat = (
        Side(options.downbeat, options.downbeat_database) if options.downbeat else Side(options.prefect, options.prefect_database)
    )
    found = sequences(options.full, bool(prefect.database_url and downbeat.database_url))
    chosen = {name: steps for name, steps in found.items() if options.only in name}
    failed = 0
    for name, steps in chosen.items():
        compared = list(compare(steps, prefect, downbeat, same=not options.downbeat))
        failed += any(step.differences for step in compared)
        if options.show or any(step.differences for step in compared):
            print(f"\n== {name}")
        for number, step in enumerate(compared, 1):
            show(number, step, options.show, options.verbose)
    print(f"\n{len(chosen)} sequences, {failed} differ")
    return 1 if failed else 0


def show(number: int, compared: Compared, everything: bool, verbose: bool) -> None:
    """Print one step: all of it, or only when it differs."""
    if not everything and not compared.differences:
        return
    method, path, body = compared.theirs.sent
    raw = compared.step.raw[:200] if compared.step.raw is not None else ""
    print(f"{number:3} {method} {path} {'' if body is None else json.dumps(body)}{raw}")
    if everything:
        print(f"      -> {compared.theirs.status} {json.dumps(compared.theirs.body)}")
    shown = compared.differences if verbose else compared.differences[:12]
    for line in shown:
        print(f"      {line}")
    if len(shown) < len(compared.differences):
        print(f"      and {len(compared.differences) - len(shown)} more (--verbose)")
    if verbose and compared.differences:
        print(f"      theirs {compared.theirs.status} {json.dumps(compared.theirs.body)}")
        print(f"      ours   {compared.ours.status} {json.dumps(compared.ours.body)}")


if __name__ == "__main__":
    sys.exit(main())
