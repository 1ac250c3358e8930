"""Bodies of the operations under /deployments."""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields, pre_load, validate, validates_schema

from schemas.fields import (
    Arguments,
    Document,
    Id,
    Ids,
    Integer,
    Key,
    Labels,
    Model,
    StoredSchema,
    Tags,
    Time,
    limit,
    offset,
    one_of,
    page,
)
from schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter, WorkPoolFilter, WorkQueueFilter
from schemas.runs import FlowRunPolicy, Parameters
from schemas.schedules import InTime, Schedule
from schemas.settings import setting
from schemas.states import StateCreate

DEPLOYMENT_SORTS = ("CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC")
MAX_SCHEDULED_RUNS = setting("server.deployment_schedule_max_scheduled_runs")
OLD_FIELDS = ("worker_pool_queue_id", "worker_pool_name", "worker_pool_queue_name", "work_pool_queue_name")


class ScheduleCreate(Model):
    """A schedule for a deployment."""

    active = fields.Boolean(load_default=True)
    schedule = Schedule(required=True)
    max_scheduled_runs = Integer(1, MAX_SCHEDULED_RUNS, allow_none=True, load_default=None)
    parameters = Parameters(load_default=dict)
    slug = Key(allow_none=True, load_default=None)
    replaces = fields.String(allow_none=True, load_default=None)

    @pre_load(pass_collection=True)
    def stop_in_time(self, content: Any, many: bool, **_: Any) -> Any:
        return InTime(content) if many and isinstance(content, list) else content


class ScheduleUpdate(ScheduleCreate):
    """The fields of a schedule that can change; null leaves a field as it is, parameters are always replaced."""

    active = fields.Boolean(allow_none=True, load_default=None)
    schedule = Schedule(allow_none=True, load_default=None)


class Schedules(fields.List):
    """The schedules of a deployment."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        return super()._deserialize(InTime(value) if isinstance(value, list) else value, attr, data, **kwargs)


class ConcurrencyOptions(Schema):
    """What happens to a run that finds its deployment's limit used up."""

    class Meta:
        unknown = "exclude"

    collision_strategy = one_of("ENQUEUE", "CANCEL_NEW", required=True)
    grace_period_seconds = Integer(60, 86400, allow_none=True, load_default=None)


class VersionInfo(Schema):
    """What a version was built from; it is accepted and not kept, as by Prefect's server."""

    class Meta:
        unknown = INCLUDE

    type = fields.String(required=True)
    version = fields.String(required=True)


class ParameterSchema(StoredSchema):
    """The JSON Schema of a deployment's parameters; an empty one stands for that of a flow without parameters."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict:
        return super()._deserialize(value, attr, data, **kwargs) or {"type": "object", "properties": {}}


class DeploymentFields(Model):
    """What a deployment's creation and its update share. Only what is sent is there after loading."""

    class Meta:
        unknown = RAISE

    version = Key(allow_none=True)
    description = fields.String(allow_none=True)
    paused = fields.Boolean()
    concurrency_limit = Integer(1, allow_none=True)
    concurrency_options = fields.Nested(ConcurrencyOptions, allow_none=True)
    global_concurrency_limit_id = Id(allow_none=True)
    enforce_parameter_schema = fields.Boolean()
    parameter_openapi_schema = ParameterSchema(allow_none=True)
    parameters = Parameters()
    tags = Tags()
    pull_steps = fields.List(Document(), allow_none=True)
    work_queue_name = Key(allow_none=True)
    work_pool_name = Key(allow_none=True)
    storage_document_id = Id(allow_none=True)
    infrastructure_document_id = Id(allow_none=True)
    path = fields.String(allow_none=True)
    entrypoint = fields.String(allow_none=True)
    job_variables = Document()
    version_info = fields.Nested(VersionInfo, allow_none=True)

    @pre_load
    def drop_old_fields(self, content: Any, **_: Any) -> Any:
        return (
            {key: value for key, value in content.items() if key not in OLD_FIELDS} if isinstance(content, Mapping) else content
        )

    @validates_schema
    def check_limits(self, deployment: dict[str, Any], **_: Any) -> None:
        if deployment.get("concurrency_limit") and deployment.get("global_concurrency_limit_id"):
            raise ValidationError("A deployment cannot have a limit of its own and a global one.", "concurrency_limit")


class DeploymentCreate(DeploymentFields):
    """A deployment to create, or to replace if its flow has one of this name."""

    name = Key(required=True)
    flow_id = Id(required=True)
    schedules = Schedules(fields.Nested(ScheduleCreate), load_default=list)
    labels = Labels()
    parameters = Parameters(load_default=dict)


class DeploymentUpdate(DeploymentFields):
    """The fields of a deployment that can change."""

    schedules = Schedules(fields.Nested(ScheduleUpdate))
    enforce_parameter_schema = fields.Boolean(allow_none=True)
    parameters = Parameters(allow_none=True)
    job_variables = Document(allow_none=True)


class DeploymentCriteria(Arguments):
    """What restricts a list of deployments."""

    flows = fields.Nested(FlowFilter)
    flow_runs = fields.Nested(FlowRunFilter)
    task_runs = fields.Nested(TaskRunFilter)
    deployments = fields.Nested(DeploymentFilter)
    work_pools = fields.Nested(WorkPoolFilter)
    work_queues = fields.Nested(WorkQueueFilter, data_key="work_pool_queues")


class DeploymentsFilter(DeploymentCriteria):
    """A list of deployments."""

    sort = one_of(*DEPLOYMENT_SORTS, load_default="NAME_ASC")
    limit = limit()
    offset = offset()


class DeploymentsPaginate(DeploymentCriteria):
    """A page of a list of deployments."""

    sort = one_of(*DEPLOYMENT_SORTS, load_default="NAME_ASC")
    limit = limit()
    page = page()


class DeploymentsDelete(Arguments):
    """Which deployments to delete at once."""

    deployments = fields.Nested(DeploymentFilter)
    limit = Integer(1, 50, load_default=50)


class ScheduledFlowRuns(Arguments):
    """The due runs of deployments."""

    deployment_ids = Ids(required=True)
    scheduled_before = Time(load_default=None)
    limit = limit()


class ScheduleRuns(Arguments):
    """For which times runs are made from a deployment's schedules; `min_time` in seconds."""

    start_time = Time(load_default=None)
    end_time = Time(load_default=None)
    min_time = fields.Float(load_default=None, validate=validate.Range(-1e9, 1e9))
    min_runs = Integer(0, 10_000, load_default=None)
    max_runs = Integer(0, 10_000, load_default=None)


class DeploymentFlowRunCreate(Model):
    """A flow run to create from a deployment."""

    state = fields.Nested(StateCreate, allow_none=True, load_default=None)
    name = Key(allow_none=True, load_default=None)
    parameters = Parameters(load_default=dict)
    enforce_parameter_schema = fields.Boolean(allow_none=True, load_default=None)
    context = Document(load_default=dict)
    infrastructure_document_id = Id(allow_none=True, load_default=None)
    empirical_policy = fields.Nested(FlowRunPolicy, load_default=lambda: FlowRunPolicy().load({}))
    tags = Tags(load_default=list)
    labels = Labels()
    idempotency_key = Key(allow_none=True, load_default=None)
    parent_task_run_id = Id(allow_none=True, load_default=None)
    work_queue_name = Key(allow_none=True, load_default=None)
    job_variables = Document(allow_none=True, load_default=dict)
