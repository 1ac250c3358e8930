"""Sequences about the states of flow runs: every pair of states, retries, pauses, resuming, cancelling, repetition."""

from tests.differential import Step
from tests.differential.steps import STATES, after_each, create_flow, create_flow_run, propose, read_run, state

RESULT = {"type": "result", "artifact_type": "result", "storage_key": "abc", "metadata": {"storage_key": "abc"}}
REAL_RESULT = {"storage_key": "abc", "expiration": None, "serializer": {"type": "pickle"}, "storage_block_id": None}


def retries(count: int, delay: int | None = 0) -> list[Step]:
    """Make a run that is retried so many times."""
    return [create_flow(), create_flow_run(empirical_policy={"retries": count, "retry_delay": delay})]


SEQUENCES = {
    "retry_until_failed": [
        *retries(2),
        *after_each(
            [
                propose("RUNNING"),
                propose("FAILED", message="first"),
                propose("RUNNING", "Retrying"),
                propose("FAILED", message="second"),
                propose("RUNNING"),
                propose("FAILED", message="third", data=RESULT),
                propose("RUNNING"),
            ],
            read_run(),
        ),
    ],
    "retry_waits_for_its_time": [
        *retries(1, 1),
        propose("RUNNING"),
        propose("FAILED"),
        *after_each([propose("RUNNING")], read_run()),
        propose("RUNNING", "Retrying")._replace(pause_seconds=1.2),
        propose("COMPLETED"),
        *read_run(),
    ],
    "retry_with_long_delay": [
        *retries(3, 600),
        propose("PENDING"),
        propose("RUNNING"),
        propose("FAILED"),
        propose("RUNNING"),
        propose("PENDING"),
        propose("RUNNING"),
        propose("CANCELLING"),
        *read_run(),
    ],
    "no_retry_for_other_ends": [
        *retries(2),
        propose("RUNNING"),
        propose("CRASHED"),
        *read_run(),
        propose("RUNNING"),
        propose("FAILED", "TimedOut"),
        *read_run(),
    ],
    "retry_keeps_pause_keys": [
        create_flow(),
        create_flow_run(empirical_policy={"retries": 1, "retry_delay": 0, "pause_keys": ["a"], "resuming": True}),
        *after_each([propose("RUNNING"), propose("FAILED"), propose("RUNNING")], read_run()),
    ],
    "manual_retry": [
        create_flow(),
        create_flow_run(),
        propose("RUNNING"),
        propose("FAILED"),
        propose("SCHEDULED", "AwaitingRetry", scheduled_time="{now-1}"),
        *read_run(),
        propose("RUNNING", "Retrying"),
        propose("COMPLETED"),
        *read_run(),
    ],
    "same_transition_id": [
        create_flow(),
        create_flow_run(),
        *after_each(
            [
                propose("PENDING", transition_id="{uuid.one}"),
                propose("RUNNING", transition_id="{uuid.two}"),
                propose("RUNNING", transition_id="{uuid.two}"),
                propose("COMPLETED", transition_id="{uuid.two}"),
                propose("RUNNING", transition_id="{uuid.three}"),
                propose("COMPLETED", transition_id="{uuid.four}"),
                propose("COMPLETED", transition_id="{uuid.four}"),
                propose("COMPLETED", transition_id="{uuid.five}"),
                propose("FAILED", transition_id="{uuid.four}", force=True),
            ],
            read_run(),
        ),
    ],
    "same_transition_id_at_creation": [
        create_flow(),
        create_flow_run(state=state("PENDING", transition_id="{uuid.one}")),
        propose("RUNNING", transition_id="{uuid.one}"),
        propose("PENDING", transition_id="{uuid.one}"),
        *read_run(),
    ],
    "same_transition_id_of_a_retry": [
        *retries(1),
        propose("RUNNING", transition_id="{uuid.one}"),
        propose("FAILED", transition_id="{uuid.two}"),
        propose("FAILED", transition_id="{uuid.two}"),
        *read_run(),
    ],
    "scheduled_time_is_waited_for": [
        create_flow(),
        create_flow_run(state=state("SCHEDULED", scheduled_time="{now+600}")),
        *after_each(
            [
                propose("RUNNING"),
                propose("PENDING"),
                propose("RUNNING"),
                propose("PENDING", "Submitting"),
                propose("RUNNING", force=True),
                propose("COMPLETED"),
            ],
            read_run(),
        ),
    ],
    "scheduled_time_is_given_anew": [
        create_flow(),
        create_flow_run(state=state("SCHEDULED", scheduled_time="{now+600}")),
        propose("SCHEDULED", scheduled_time="{now-600}"),
        *read_run(),
        propose("PENDING", scheduled_time="{now+5}"),
        propose("RUNNING"),
        propose("SCHEDULED", "Late", scheduled_time="{now-5}"),
        *read_run(),
    ],
    "late": [
        create_flow(),
        create_flow_run(state=state("SCHEDULED", scheduled_time="{now-60}")),
        *after_each(
            [
                propose("SCHEDULED", "Late", scheduled_time="{now-60}"),
                propose("SCHEDULED", "Late"),
                propose("PENDING"),
                propose("SCHEDULED", "Late"),
                propose("RUNNING"),
            ],
            read_run(),
        ),
    ],
    "pending_again": [
        create_flow(),
        create_flow_run(),
        *after_each(
            [
                propose("PENDING", "Pending"),
                propose("PENDING", "Submitting"),
                propose("PENDING", "Submitting"),
                propose("PENDING", "InfrastructurePending"),
                propose("PENDING", "Submitting"),
                propose("RUNNING"),
                propose("PENDING", "Submitting"),
            ],
            read_run(),
        ),
    ],
    "cancel_without_infrastructure": [
        create_flow(),
        *(
            step
            for number, (type, name) in enumerate(STATES)
            for step in (
                create_flow_run(f"run{number}", state=state(type, name)),
                propose("CANCELLING", run=f"run{number}"),
                *read_run(f"run{number}"),
            )
        ),
    ],
    "cancel_with_infrastructure": [
        create_flow(),
        *(
            step
            for number, (type, name) in enumerate(STATES)
            for step in (
                create_flow_run(f"run{number}", state=state(type, name)),
                Step("PATCH", f"/flow_runs/{{run{number}.id}}", {"infrastructure_pid": "pid"}),
                propose("CANCELLING", run=f"run{number}"),
                propose("CANCELLED", run=f"run{number}"),
                *read_run(f"run{number}"),
            )
        ),
    ],
    "terminal_states": [
        create_flow(),
        *(
            step
            for number, type in enumerate(("COMPLETED", "FAILED", "CRASHED", "CANCELLED"))
            for step in (
                create_flow_run(f"run{number}", state=state("RUNNING")),
                propose(type, run=f"run{number}", message="end", data=REAL_RESULT),
                *after_each(
                    [
                        propose("COMPLETED", run=f"run{number}"),
                        propose("FAILED", run=f"run{number}"),
                        propose("CRASHED", run=f"run{number}"),
                        propose("CANCELLED", run=f"run{number}"),
                        propose("COMPLETED", run=f"run{number}", data=REAL_RESULT),
                        propose("CRASHED", run=f"run{number}", force=True),
                        propose("RUNNING", run=f"run{number}"),
                        propose("SCHEDULED", "AwaitingRetry", run=f"run{number}"),
                        propose("PENDING", run=f"run{number}"),
                        propose("RUNNING", run=f"run{number}"),
                    ],
                    read_run(f"run{number}"),
                ),
            )
        ),
    ],
    "result_is_not_lost": [
        create_flow(),
        *(
            step
            for number, data in enumerate((REAL_RESULT, RESULT, {"type": "unpersisted"}, None, 5, "text", [1], {}))
            for step in (
                create_flow_run(f"run{number}", state=state("RUNNING")),
                propose("COMPLETED", run=f"run{number}", data=data),
                propose("COMPLETED", run=f"run{number}"),
                propose("COMPLETED", run=f"run{number}", force=True),
                propose("FAILED", run=f"run{number}", force=True),
                propose("COMPLETED", run=f"run{number}", force=True, data=RESULT),
                *read_run(f"run{number}"),
            )
        ),
    ],
    "data_of_states": [
        create_flow(),
        create_flow_run(),
        propose("RUNNING", data={"a": 1}),
        *after_each(
            [
                propose("RUNNING", data=[1, 2], force=True),
                propose("RUNNING", data="text", force=True),
                propose("RUNNING", data={"artifact_key": "k", "artifact_type": "t", "x": 1}, force=True),
                propose("RUNNING", data=False, force=True),
                propose("COMPLETED", data={"deep": {"ü": None}}),
            ],
            read_run(),
        ),
    ],
    "details_of_states": [
        create_flow(),
        create_flow_run(),
        propose(
            "RUNNING",
            flow_run_id="{uuid.other}",
            task_run_id="{uuid.task}",
            child_flow_run_id="{uuid.child}",
            cache_key="key",
            cache_expiration="{now+60}",
            untrackable_result=True,
            refresh_cache=True,
            retriable=False,
            run_input_keyset={"schema": "a", "response": "b"},
            task_parameters_id="{uuid.parameters}",
            traceparent="00-00",
            deferred=None,
        ),
        *read_run(),
        propose("RUNNING", unknown=1),
        propose("RUNNING", deployment_concurrency_lease_id="{uuid.lease}"),
        propose("COMPLETED"),
        *read_run(),
    ],
    "times_and_counts_with_force": [
        create_flow(),
        create_flow_run(),
        *after_each(
            [
                propose(type, force=True)
                for type in (
                    *("RUNNING", "RUNNING", "COMPLETED", "RUNNING", "SCHEDULED", "RUNNING", "PAUSED", "RUNNING"),
                    *("CANCELLING", "RUNNING", "FAILED", "CRASHED", "PENDING", "COMPLETED", "SCHEDULED", "CANCELLED"),
                )
            ],
            read_run(),
        ),
    ],
    "names_of_states": [
        create_flow(),
        create_flow_run(),
        propose("RUNNING", "My own name", message="with a message"),
        *read_run(),
        propose("RUNNING", ""),
        propose("COMPLETED", "Rolled back"),
        *read_run(),
    ],
}
