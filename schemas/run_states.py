"""Query arguments of the operations under /flow_run_states and /task_run_states."""

from schemas.fields import Arguments, Id


class FlowRunStatesFilter(Arguments):
    """Whose states to list."""

    flow_run_id = Id(required=True)


class TaskRunStatesFilter(Arguments):
    """Whose states to list."""

    task_run_id = Id(required=True)
