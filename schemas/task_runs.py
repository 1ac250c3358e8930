"""Bodies of the operations under /task_runs but those that orchestrate."""

from marshmallow import fields

from schemas.fields import Arguments, Key, Model, limit, offset, one_of, page
from schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter

TASK_RUN_SORTS = (
    "ID_DESC",
    "EXPECTED_START_TIME_ASC",
    "EXPECTED_START_TIME_DESC",
    "NAME_ASC",
    "NAME_DESC",
    "NEXT_SCHEDULED_START_TIME_ASC",
    "END_TIME_DESC",
)


class TaskRunUpdate(Model):
    """The fields of a task run that can change."""

    name = Key(allow_none=True)


class TaskRunCriteria(Arguments):
    """What restricts a list of task runs."""

    flows = fields.Nested(FlowFilter)
    flow_runs = fields.Nested(FlowRunFilter)
    task_runs = fields.Nested(TaskRunFilter)
    deployments = fields.Nested(DeploymentFilter)


class TaskRunsFilter(TaskRunCriteria):
    """A list of task runs."""

    sort = one_of(*TASK_RUN_SORTS, load_default="ID_DESC")
    limit = limit()
    offset = offset()


class TaskRunsPaginate(TaskRunCriteria):
    """A page of a list of task runs."""

    sort = one_of(*TASK_RUN_SORTS, load_default="ID_DESC")
    limit = limit()
    page = page()
