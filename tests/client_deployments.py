"""What people do with deployments through the real Prefect client: `python tests/client_deployments.py <what> [arguments]`.

Flows are deployed from this file. The outcome is printed as a line of JSON. `commands` runs commands of Prefect's command line,
one after the other in this process, which saves the seconds that each would take to start; they are read as JSON from
standard input, and for each come its exit code and its output.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.cli import app
from prefect.deployments import run_deployment

HERE = Path(__file__).resolve()
DAILY, HOURLY = "0 9 * * *", 3600


@flow(log_prints=True)
def greet(name: str = "nobody") -> str:
    """Greet somebody."""
    print(f"Hello {name}")
    return name


@flow
def linger(notes: str) -> None:
    """Note that the run has begun, and wait to be cancelled."""
    Path(notes).touch()
    time.sleep(600)


def deploy(pool: str) -> dict[str, str]:
    """Deploy a flow by cron and by interval, and one that runs until it is cancelled; give the ids by name."""
    greeting = greet.from_source(source=str(HERE.parent), entrypoint=f"{HERE.name}:greet")
    lingering = linger.from_source(source=str(HERE.parent), entrypoint=f"{HERE.name}:linger")
    common = {"work_pool_name": pool, "print_next_steps": False}
    return {
        "daily": str(greeting.deploy("daily", cron=DAILY, parameters={"name": "by cron"}, tags=["t"], **common)),
        "hourly": str(greeting.deploy("hourly", interval=HOURLY, **common)),
        "lingering": str(lingering.deploy("lingering", **common)),
    }


def run(name: str) -> dict[str, Any]:
    """Run a deployment, wait for its end, and tell how it went."""
    flow_run = run_deployment(name, parameters={"name": "somebody"}, timeout=600, poll_interval=0.5)
    return {"id": str(flow_run.id), "state": flow_run.state.name}


def serve() -> None:
    """Serve a flow until this process is told to stop."""
    greet.serve(name="served", interval=HOURLY, parameters={"name": "served"}, print_starting_message=False)


def commands() -> list[tuple[int, str]]:
    """Run commands of the command line, and give the exit code and the output of each."""
    return [run_command(arguments) for arguments in json.load(sys.stdin)]


def run_command(arguments: list[str]) -> tuple[int, str]:
    """Run one command as it would be run from a shell."""
    sys.argv = ["prefect", "--no-prompt", *arguments]
    output, code = io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            app()
        except SystemExit as end:
            code = end.code or 0
    return code, output.getvalue()


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
