"""Bodies of the operations under /flow_runs but those that orchestrate."""

from typing import Any

from marshmallow import INCLUDE, Schema, fields, validate, validates_schema

from schemas.fields import Arguments, Document, Integer, Key, Labels, Model, Strings, Tags, limit, offset, one_of, page
from schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter, WorkPoolFilter, WorkQueueFilter
from schemas.runs import FlowRunPolicy, Parameters

FLOW_RUN_SORTS = (
    "ID_DESC",
    "START_TIME_ASC",
    "START_TIME_DESC",
    "EXPECTED_START_TIME_ASC",
    "EXPECTED_START_TIME_DESC",
    "NAME_ASC",
    "NAME_DESC",
    "NEXT_SCHEDULED_START_TIME_ASC",
    "END_TIME_DESC",
)


class FlowRunUpdate(Model):
    """The fields of a flow run that can change."""

    name = Key(allow_none=True)
    flow_version = Key(allow_none=True)
    parameters = Parameters()
    empirical_policy = fields.Nested(FlowRunPolicy)
    tags = Tags()
    infrastructure_pid = fields.String(allow_none=True)
    job_variables = Document(allow_none=True)


class FlowRunCriteria(Arguments):
    """What restricts a list of flow runs."""

    flows = fields.Nested(FlowFilter)
    flow_runs = fields.Nested(FlowRunFilter)
    task_runs = fields.Nested(TaskRunFilter)
    deployments = fields.Nested(DeploymentFilter)
    work_pools = fields.Nested(WorkPoolFilter)
    work_queues = fields.Nested(WorkQueueFilter, data_key="work_pool_queues")


class FlowRunsFilter(FlowRunCriteria):
    """A list of flow runs."""

    sort = one_of(*FLOW_RUN_SORTS, load_default="ID_DESC")
    limit = limit()
    offset = offset()


class FlowRunsDelete(Arguments):
    """Which flow runs to delete at once."""

    flow_runs = fields.Nested(FlowRunFilter)
    limit = Integer(1, 50, load_default=50)


class FlowRunInputCreate(Arguments):
    """An input for a flow run."""

    key = Key(
        required=True,
        validate=validate.Regexp(r"[a-z0-9-]*\Z", error="Must contain only lower-case letters, digits and dashes."),
    )
    value = fields.String(required=True)
    sender = fields.String(load_default=None)


class FlowRunInputsFilter(Arguments):
    """The inputs of a flow run whose keys have a prefix."""

    prefix = fields.String(required=True)
    limit = Integer(0, load_default=1)
    exclude_keys = Strings(load_default=list)


class FlowRunsPaginate(FlowRunCriteria):
    """A page of a list of flow runs."""

    sort = one_of(*FLOW_RUN_SORTS, load_default="ID_DESC")
    limit = limit()
    page = page()


class FlowRunLabels(Schema):
    """Labels to lay over those of a flow run; the body itself is the object."""

    class Meta:
        unknown = INCLUDE

    @validates_schema
    def check(self, labels: dict[str, Any], **_: Any) -> None:
        Labels().deserialize(labels)
