"""Bodies of the operations that only the web interface calls."""

from marshmallow import fields

from schemas.fields import Arguments, Document, Ids, StoredSchema, limit, offset, one_of
from schemas.filters import TaskRunFilter, WorkPoolFilter, WorkQueueFilter
from schemas.flow_runs import FLOW_RUN_SORTS, FlowRunCriteria
from schemas.task_runs import TaskRunCriteria


class FlowRunPoints(FlowRunCriteria):
    """The flow runs of a scatter plot."""

    class Meta(FlowRunCriteria.Meta):
        exclude = ("work_queues",)

    sort = one_of(*FLOW_RUN_SORTS, load_default="EXPECTED_START_TIME_DESC")
    limit = limit(1000, 1000)
    offset = offset()


class FlowRunIds(Arguments):
    """Some flow runs."""

    flow_run_ids = Ids(required=True)


class FlowIds(Arguments):
    """Some flows."""

    flow_ids = Ids(required=True)


class TaskRunOutcomes(TaskRunCriteria):
    """Which task runs have succeeded and failed since a time."""

    task_runs = fields.Nested(TaskRunFilter, required=True)
    work_pools = fields.Nested(WorkPoolFilter)
    work_queues = fields.Nested(WorkQueueFilter)


class Form(Arguments):
    """Values to be checked against a JSON Schema."""

    schema = StoredSchema(required=True)
    values = Document(required=True)
