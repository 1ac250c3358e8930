"""Generated sequences: all pairs of states, and walks over the states at random, for flow runs and for task runs."""

import random
from collections.abc import Callable

from tests.differential import Step
from tests.differential.orchestration import REAL_RESULT, RESULT
from tests.differential.steps import (
    STATES,
    after_each,
    create_flow,
    create_flow_run,
    create_task_run,
    propose,
    propose_for_task,
    read_run,
    read_task,
    resume,
    state,
)
from tests.differential.task_runs import IN_A_RUN

SEED = 20240229
SEQUENCES = {}


def flow_pair(number: int, first: tuple, second: tuple, force: bool) -> list[Step]:
    """Go from one state to another and on to Running."""
    run = f"run{number}"
    details = {"pause_timeout": "{now+60}", "pause_key": "k"} if second[0] == "PAUSED" else {}
    return [
        create_flow_run(run),
        propose(*first, run=run, force=True),
        propose(*second, run=run, force=force, **details),
        *read_run(run),
    ]


def flow_walk(choice: random.Random) -> list[Step]:
    """Propose states at random for one run with a random policy, reading it after each."""
    policy = {"retries": choice.choice((0, 0, 1, 2)), "retry_delay": choice.choice((0, 0, None, 600))}
    if choice.random() < 0.3:
        policy["pause_keys"] = ["a"]
    first = choice.choice(STATES)
    steps = [create_flow_run(empirical_policy=policy, state=state(*first) if choice.random() < 0.5 else None)]
    if choice.random() < 0.3:
        steps.append(Step("PATCH", "/flow_runs/{run.id}", {"infrastructure_pid": "pid"}))
    for _ in range(choice.randint(4, 9)):
        if choice.random() < 0.1:
            steps.append(resume(choice.choice((None, {"x": 1}))))
            continue
        details = {}
        if choice.random() < 0.4:
            details["transition_id"] = f"{{uuid.{choice.choice('pqr')}}}"
        type, name = choice.choice(STATES)
        if type == "SCHEDULED":
            details["scheduled_time"] = choice.choice(("{now-60}", "{now+600}"))
        if type == "PAUSED":
            details |= {"pause_key": choice.choice("ab"), "pause_timeout": choice.choice(("{now-60}", "{now+600}"))}
            details["pause_reschedule"] = choice.random() < 0.5
        data = choice.choice((None, None, RESULT, REAL_RESULT))
        steps.append(propose(type, name, choice.random() < 0.25, data=data, **details))
    return [create_flow(), *after_each(steps, read_run())]


def task_pair(number: int, first: tuple, second: tuple, force: bool) -> list[Step]:
    """Go from one state to another."""
    task = f"task{number}"
    return [
        create_task_run(task, flow_run_id="{run.id}"),
        propose_for_task(*first, task=task, force=True),
        propose_for_task(*second, task=task, force=force),
        *read_task(task),
    ]


def task_walk(choice: random.Random) -> list[Step]:
    """Propose states at random for one task run with a random policy, reading it after each."""
    fields = {"empirical_policy": {"retries": choice.choice((0, 0, 1, 2)), "retry_delay": choice.choice((0, 0, 600))}}
    if choice.random() < 0.7:
        fields["flow_run_id"] = "{run.id}"
    if choice.random() < 0.5:
        fields["state"] = state(*choice.choice(STATES))
    steps = [create_task_run(**fields)]
    for _ in range(choice.randint(4, 9)):
        type, name = choice.choice(STATES)
        details = {"transition_id": f"{{uuid.{choice.choice('pqr')}}}"} if choice.random() < 0.4 else {}
        if type == "SCHEDULED":
            details["scheduled_time"] = choice.choice(("{now-60}", "{now+600}"))
        if choice.random() < 0.2:
            details["cache_key"] = "cache-{unique}"
        steps.append(propose_for_task(type, name, choice.random() < 0.25, data=choice.choice((None, RESULT)), **details))
        if choice.random() < 0.15:
            steps.append(propose(*choice.choice(STATES), force=True))
    return [*IN_A_RUN, *after_each(steps, read_task())]


def all_pairs(chosen: list[tuple], pair: Callable, beginning: list[Step], name: str) -> dict[str, list[Step]]:
    """Give sequences of a dozen pairs each."""
    return {
        f"{name}_pairs_{start}": [
            *beginning,
            *(step for number, states in enumerate(chosen[start : start + 12]) for step in pair(number, *states)),
        ]
        for start in range(0, len(chosen), 12)
    }


def generated(full: bool) -> dict[str, list[Step]]:
    """Give walks over the states, and all pairs of states; only a few of each unless `full`."""
    choice = random.Random(SEED)
    pairs = [(first, second, force) for first in STATES for second in STATES for force in (False, True)]
    of_flow_runs, of_task_runs = (pairs, pairs) if full else (choice.sample(pairs, 48), choice.sample(pairs, 36))
    return (
        all_pairs(of_flow_runs, flow_pair, [create_flow()], "flow_run")
        | all_pairs(of_task_runs, task_pair, IN_A_RUN, "task_run")
        | {f"flow_run_walk_{number}": flow_walk(choice) for number in range(300 if full else 10)}
        | {f"task_run_walk_{number}": task_walk(choice) for number in range(200 if full else 6)}
    )
