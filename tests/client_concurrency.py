"""What people do about concurrency with the real Prefect client: `python tests/client_concurrency.py <what> <notes> [more]`.

Whoever has a slot notes in the file `notes` when that began and ended. The outcome is printed as a line of JSON.
"""

import asyncio
import contextlib
import io
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prefect import flow, serve, task
from prefect.cli import app
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.concurrency.asyncio import concurrency as concurrency_async
from prefect.concurrency.asyncio import rate_limit as rate_limit_async
from prefect.concurrency.sync import concurrency, rate_limit

AT_ONCE, ROUNDS, HELD_SECONDS = 3, 2, 0.1


@contextlib.contextmanager
def noted(notes: str) -> Iterator[None]:
    """Note when what is inside begins and ends."""
    began = time.time()
    yield
    with open(notes, "a") as file:
        file.write(json.dumps([began, time.time()]) + "\n")


def occupy_slots(notes: str) -> None:
    """Take a slot a few times."""
    for _ in range(ROUNDS):
        with concurrency("doors"), noted(notes):
            time.sleep(HELD_SECONDS)


async def occupy_slots_async(notes: str) -> None:
    """Take a slot a few times, of two limits at once."""

    async def occupy() -> None:
        for _ in range(ROUNDS):
            async with concurrency_async(["doors", "windows"], occupy=1):
                with noted(notes):
                    await asyncio.sleep(HELD_SECONDS)

    await asyncio.gather(*(occupy() for _ in range(AT_ONCE)))


def slots(notes: str) -> list[str]:
    """Take slots in threads, then in coroutines; then find out what is refused; gives the errors."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(occupy_slots, [notes] * AT_ONCE))
    asyncio.run(occupy_slots_async(notes))
    errors = []
    for names, arguments in ((["doors"], {"occupy": 9}), (["nobody"], {"strict": True}), (["closed"], {"timeout_seconds": 0.1})):
        try:
            with concurrency(names, **arguments):
                errors.append("none")
        except Exception as error:
            errors.append(type(error).__name__)
    return errors


def rate(notes: str) -> list[float]:
    """Go through a turnstile a few times, in both ways; gives when that began and each time."""
    passed = [time.time()]
    for _ in range(4):
        rate_limit("turnstile")
        passed.append(time.time())

    async def hurry() -> None:
        for _ in range(4):
            await rate_limit_async("turnstile")
            passed.append(time.time())

    asyncio.run(hurry())
    return passed


@task(tags=["narrow"])
def squeeze(notes: str) -> None:
    """Be one of few."""
    with noted(notes):
        time.sleep(HELD_SECONDS)


@flow
def crowd(notes: str) -> None:
    """Run tasks at once."""
    for future in [squeeze.submit(notes) for _ in range(4)]:
        future.result()


def tagged(notes: str) -> str:
    """Run a flow with tasks that have a tag; gives its state."""
    return crowd(notes, return_state=True).name


def share(notes: str) -> list:
    """Do what several processes do at once, with notes of each thing beside those given; gives both outcomes."""
    return [slots(f"{notes}.slots"), tagged(f"{notes}.tagged")]


@flow
def occupy(notes: str) -> None:
    """Be the only run of a deployment."""
    with noted(notes):
        time.sleep(1)


def deployed(notes: str) -> None:
    """Serve a deployment that puts runs off while another runs, and one that cancels them."""
    cancelling = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
    serve(occupy.to_deployment("queueing", concurrency_limit=1), occupy.to_deployment("cancelling", concurrency_limit=cancelling))


def commands(notes: str, *lines: str) -> list[tuple[int, str]]:
    """Run lines of the command line one after the other; gives exit codes and what was printed."""
    return [run_command(line.split()) for line in lines]


def run_command(arguments: list[str]) -> tuple[Any, str]:
    """Run `prefect` with arguments; gives the exit code and what it printed."""
    sys.argv, printed, code = ["prefect", "--no-prompt", *arguments], io.StringIO(), 0
    with contextlib.redirect_stdout(printed):
        try:
            app()
        except SystemExit as end:
            code = end.code or 0
    return code, printed.getvalue()


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    Path(given[0]).touch()
    print(json.dumps(globals()[what](*given)))
