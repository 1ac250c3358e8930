"""Bodies of the operations under /flows."""

from marshmallow import fields

from schemas.fields import Arguments, Integer, Labels, Model, Tags, limit, name, offset, one_of, page
from schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter, WorkPoolFilter

FLOW_SORTS = ("CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC")


class FlowCreate(Model):
    """A flow to create."""

    name = name(required=True)
    tags = Tags(load_default=list)
    labels = Labels()


class FlowUpdate(Model):
    """The fields of a flow that can change."""

    tags = Tags()


class FlowCriteria(Arguments):
    """What restricts a list of flows."""

    flows = fields.Nested(FlowFilter)
    flow_runs = fields.Nested(FlowRunFilter)
    task_runs = fields.Nested(TaskRunFilter)
    deployments = fields.Nested(DeploymentFilter)
    work_pools = fields.Nested(WorkPoolFilter)


class FlowsFilter(FlowCriteria):
    """A list of flows."""

    sort = one_of(*FLOW_SORTS, load_default="NAME_ASC")
    limit = limit()
    offset = offset()


class FlowsPaginate(FlowCriteria):
    """A page of a list of flows."""

    sort = one_of(*FLOW_SORTS, load_default="NAME_ASC")
    limit = limit()
    page = page()


class FlowsDelete(Arguments):
    """Which flows to delete at once."""

    flows = fields.Nested(FlowFilter)
    limit = Integer(1, 50, load_default=50)
