"""The rules for task runs, in order, as observed on Prefect 3.8.3; `python -m handlers.rules` prints what they compile to.

Three tables: for task runs that the server orchestrates, for background (deferred) ones, and the empty one that `force` and
the mirroring of subflows pass. Task runs inside flows are orchestrated by the client and arrive as events; Prefect writes
those as they come, and so does handlers/domain/task_run_events.py.
"""

import math
import random
from dataclasses import replace
from datetime import timedelta

from psycopg import Connection

import sql
from handlers.rules.shared import copy_scheduled_time, prevent_pending, scheduled, wait_for_scheduled_time
from handlers.rules.slots import take_tag_slots
from handlers.rules.transition import State, Transition, abort, accept, compile_table, propose, reject
from schemas.settings import setting
from schemas.state_types import (
    ANY,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    TERMINAL,
    TYPES,
)
from schemas.states import NO_DETAILS, read_time

MAX_CACHE_KEY_LENGTH = setting("server.tasks.max_cache_key_length")
MAX_DELAY_SECONDS = 10**9  # of a retry, thirty years: what is longer leads out of the calendar
MAX_CACHE_KEY_BYTES = 2600  # that fit the index beside a time


def take_from_cache(conn: Connection, transition: Transition) -> Transition:
    """Give a run whose cache key has a completed state that state instead of letting it run."""
    details = transition.proposed.details
    if not details["cache_key"] or details["refresh_cache"]:
        return transition
    cached = sql.task_run_transitions.read_cached(conn, cache_key=details["cache_key"])
    if cached is None:
        return transition
    state = State(cached["type"], "Cached", cached["message"], cached["data"], {**NO_DETAILS, **cached["state_details"]})
    return reject(transition, "Retrieved state from cache", state)


def leave_terminal_state(conn: Connection, transition: Transition) -> Transition:
    """Let a finished task run go only if it has no stored result; its retries count from the start again."""
    initial, proposed, run = transition.initial, transition.proposed, transition.run
    if proposed.type in (CANCELLING, PAUSED, CRASHED):
        return abort(transition, f"The run is {initial.type} already.")
    if initial.type == COMPLETED and initial.has_result:
        return reject(transition, "The run is completed already.")
    if proposed.type not in TERMINAL:
        transition = accept(transition, run_count=0)
    if proposed.type == RUNNING and run["flow_run_id"] and run["flow_run_run_count"] < run["current_flow_run_run_count"]:
        transition = propose(transition, name="Retrying")
    return transition


def require_running_flow(conn: Connection, transition: Transition) -> Transition:
    """Let a task run start only while its flow run is running; while that is paused, it waits as NotReady."""
    run = transition.run
    if run["flow_run_id"] is None or run["flow_run_state_type"] == RUNNING:
        return transition
    if run["flow_run_state_type"] != PAUSED:
        return abort(transition, "The enclosing flow must be running to begin task execution.")
    kept = {key: run["flow_run_state_details"].get(key) for key in ("pause_timeout", "pause_reschedule")}
    paused = State(PAUSED, "NotReady", details={**NO_DETAILS, **kept})
    return reject(transition, f"The flow run {run['flow_run_id']} is paused; its tasks can start once it is resumed.", paused)


def copy_task_parameters_id(conn: Connection, transition: Transition) -> Transition:
    """Keep the id under which the client stored a background task's parameters."""
    if transition.proposed.details["task_parameters_id"]:
        return transition
    return propose(transition, task_parameters_id=transition.initial.details.get("task_parameters_id"))


def retry(conn: Connection, transition: Transition) -> Transition:
    """Schedule a failed task run again while it has retries left and the client does not object."""
    policy, run_count, proposed = transition.run["empirical_policy"], transition.run["run_count"], transition.proposed
    retries = policy.get("retries")
    if proposed.details["retriable"] is False or retries is None or run_count > retries:
        return transition
    delays = policy.get("retry_delay") or 0
    delay_seconds = delays[min(max(run_count, 1), len(delays)) - 1] if isinstance(delays, list) else delays
    delay_seconds = jitter(delay_seconds, policy.get("retry_jitter_factor") or 0)
    delay = timedelta(seconds=max(-MAX_DELAY_SECONDS, min(delay_seconds, MAX_DELAY_SECONDS)))
    time = read_time((transition.now + delay).isoformat())
    return reject(transition, "Retrying", scheduled("AwaitingRetry", time, message=proposed.message, data=proposed.data))


def jitter(delay_seconds: float, factor: float) -> float:
    """Draw a delay from an exponential distribution around `delay_seconds`, at most (1 + factor) times as long.

    The shortest delay is chosen so that as much probability lies between it and the median as above the median.
    """
    if delay_seconds <= 0 or factor <= 0:
        return delay_seconds
    longest = 1 + factor
    shortest = -math.log2(1 - 2**-longest)
    survival = random.uniform(math.exp(-longest), math.exp(-shortest))
    return -math.log(max(survival, 1e-10)) * delay_seconds


def rename_rerun(conn: Connection, transition: Transition) -> Transition:
    """Call RUNNING what it is when the task run has run before: Retrying or Rerunning."""
    if transition.initial is None or transition.changes.get("run_count", transition.run["run_count"]) == 0:
        return transition
    return propose(transition, name="Retrying" if transition.initial.name == "AwaitingRetry" else "Rerunning")


def note_flow_run_count(conn: Connection, transition: Transition) -> Transition:
    """Note which attempt of its flow run a task run belongs to."""
    run = transition.run
    return accept(transition, flow_run_run_count=run["current_flow_run_run_count"]) if run["flow_run_id"] else transition


def fill_cache(conn: Connection, transition: Transition) -> Transition:
    """Let a completed state be found by its cache key, and refuse a key that is too long to be one.

    Only states that pass this rule fill the cache: not those that are forced, that runs are created with, or that are hits.
    """
    cache_key = transition.proposed.details["cache_key"]
    if not cache_key:
        return transition
    if len(cache_key) <= MAX_CACHE_KEY_LENGTH and len(cache_key.encode()) <= MAX_CACHE_KEY_BYTES:
        return accept(transition, fills_cache=True)
    return reject(transition, f"The cache key has more than {MAX_CACHE_KEY_LENGTH} characters.", replace(transition.proposed))


# Slots are taken when no rule can refuse any more; background task runs take theirs by themselves.
TASK_RUN = compile_table(
    (
        (take_from_cache, ANY, {RUNNING}),
        (leave_terminal_state, TERMINAL, TYPES),
        (require_running_flow, ANY, {RUNNING}),
        (copy_scheduled_time, {SCHEDULED}, {PENDING}),
        (wait_for_scheduled_time, {SCHEDULED, PENDING}, {RUNNING}),
        (take_tag_slots, ANY, {RUNNING}),
        (retry, {RUNNING}, {FAILED}),
        (rename_rerun, ANY, {RUNNING}),
        (note_flow_run_count, ANY, {RUNNING}),
        (fill_cache, ANY, {COMPLETED}),
    )
)

BACKGROUND_TASK_RUN = compile_table(
    (
        (prevent_pending, {PENDING, CANCELLING, RUNNING, CANCELLED}, {PENDING}),
        (take_from_cache, ANY, {RUNNING}),
        (leave_terminal_state, TERMINAL, TYPES),
        (copy_scheduled_time, {SCHEDULED}, {PENDING}),
        (copy_task_parameters_id, {SCHEDULED, PENDING}, {PENDING, RUNNING}),
        (wait_for_scheduled_time, {SCHEDULED, PENDING}, {RUNNING}),
        (retry, {RUNNING}, {FAILED}),
        (rename_rerun, ANY, {RUNNING}),
        (note_flow_run_count, ANY, {RUNNING}),
        (fill_cache, ANY, {COMPLETED}),
    )
)

FORCED_TASK_RUN = compile_table(())
