"""Sequences about pausing, suspending and resuming flow runs."""

from tests.differential import Step
from tests.differential.steps import (
    STATES,
    after_each,
    create_flow,
    create_flow_run,
    propose,
    read_run,
    resume,
    state,
)

SEQUENCES = {
    "pause_and_resume": [
        create_flow(),
        create_flow_run(),
        *after_each(
            [
                propose("RUNNING"),
                propose("PAUSED", pause_timeout="{now+300}", pause_key="1", pause_reschedule=False),
                resume(),
                propose("RUNNING", "Running"),
                propose("PAUSED", pause_timeout="{now+300}", pause_key="1", pause_reschedule=False),
                propose("PAUSED", pause_timeout="{now+300}", pause_key="2", pause_reschedule=False),
                propose("RUNNING"),
                propose("COMPLETED"),
                resume(),
            ],
            read_run(),
        ),
    ],
    "suspend_and_resume": [
        create_flow(),
        create_flow_run(),
        *after_each(
            [
                propose("RUNNING"),
                propose("PAUSED", "Suspended", pause_timeout="{now+300}", pause_key="s", pause_reschedule=True),
                propose("RUNNING"),
                resume({"x": 1}),
                propose("PENDING"),
                propose("RUNNING"),
                propose("COMPLETED"),
            ],
            read_run(),
        ),
    ],
    "pause_over_time": [
        create_flow(),
        create_flow_run(),
        propose("RUNNING"),
        propose("PAUSED", pause_timeout="{now-1}", pause_key="1", pause_reschedule=False),
        *after_each([propose("RUNNING"), resume(), propose("RUNNING"), propose("FAILED")], read_run()),
    ],
    "pause_without_timeout_or_key": [
        create_flow(),
        create_flow_run(),
        propose("RUNNING"),
        *after_each([propose("PAUSED"), propose("RUNNING"), resume(), propose("RUNNING")], read_run()),
    ],
    "pause_from_other_states": [
        create_flow(),
        *(
            step
            for number, (type, name) in enumerate(STATES)
            for step in (
                create_flow_run(f"run{number}", state=state(type, name)),
                propose("PAUSED", run=f"run{number}", pause_timeout="{now+60}", pause_key="k", pause_reschedule=False),
                *read_run(f"run{number}"),
            )
        ),
    ],
    "resume_in_other_states": [
        create_flow(),
        *(
            step
            for number, (type, name) in enumerate(STATES)
            for step in (
                create_flow_run(f"run{number}", state=state(type, name)),
                resume(run=f"run{number}"),
                resume({"x": 1}, run=f"run{number}"),
                *read_run(f"run{number}"),
            )
        ),
    ],
    "resume_without_timeout": [
        create_flow(),
        create_flow_run(state=state("RUNNING")),
        propose("PAUSED", pause_key="1", pause_reschedule=False),
        resume(),
        *read_run(),
    ],
    "resume_of_nothing": [
        Step("POST", "/flow_runs/{uuid.none}/resume", differs="Prefect fails where nothing is found", status=404),
        Step("POST", "/flow_runs/{uuid.none}/set_state", {"state": state("RUNNING")}),
        Step("POST", "/flow_runs/{uuid.none}/set_state", {"state": state("RUNNING"), "force": True}),
    ],
    "resume_twice": [
        create_flow(),
        create_flow_run(state=state("RUNNING")),
        propose("PAUSED", pause_timeout="{now+60}", pause_key="1", pause_reschedule=False),
        resume({"a": 1}),
        resume({"a": 2}),
        *read_run(),
    ],
}
