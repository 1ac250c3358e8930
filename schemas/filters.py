"""Filter objects, as clients send them; each operator has a predicate of the same path in sql/filters/.

Unknown operators are refused, null ones do not restrict.
"""

from typing import Any

from marshmallow import fields, post_load

from schemas.fields import Ids, Integer, Model, Strings, Time, one_of
from schemas.state_types import STATE_TYPES


def joining() -> fields.String:
    """Make the field that says how an object's criteria are joined."""
    return one_of("and_", "or_", load_default="and_")


def group(**operators: fields.Field) -> fields.Nested:
    """Make the field of an object of operators, all of which may be null."""
    for name, field in operators.items():
        field.allow_none = name != "operator"
    return fields.Nested(Model.from_dict(operators), allow_none=True)


def time_range(**operators: fields.Field) -> fields.Nested:
    """Make the field of a time's limits, both inclusive."""
    return group(before_=Time(), after_=Time(), **operators)


def state_types() -> fields.List:
    """Make the field of a list of types of states."""
    return fields.List(one_of(*STATE_TYPES))


def worker_statuses() -> fields.List:
    """Make the field of a list of statuses of workers."""
    return fields.List(one_of("ONLINE", "OFFLINE"))


class FlowFilter(Model):
    """Criteria for flows."""

    operator = joining()
    id = group(any_=Ids(), not_any_=Ids())
    deployment = group(operator=joining(), is_null_=fields.Boolean())
    name = group(any_=Strings(), like_=fields.String())
    tags = group(operator=joining(), all_=Strings(), is_null_=fields.Boolean())


class FlowRunFilter(Model):
    """Criteria for flow runs."""

    operator = joining()
    id = group(any_=Ids(), not_any_=Ids())
    name = group(any_=Strings(), like_=fields.String())
    tags = group(operator=joining(), all_=Strings(), any_=Strings(), is_null_=fields.Boolean())
    deployment_id = group(operator=joining(), any_=Ids(), is_null_=fields.Boolean())
    work_queue_name = group(operator=joining(), any_=Strings(), is_null_=fields.Boolean())
    state = group(
        operator=joining(),
        type=group(any_=state_types(), not_any_=state_types()),
        name=group(any_=Strings(), not_any_=Strings()),
    )
    flow_version = group(any_=Strings())
    start_time = time_range(is_null_=fields.Boolean())
    end_time = time_range(is_null_=fields.Boolean())
    expected_start_time = time_range()
    next_scheduled_start_time = time_range()
    parent_flow_run_id = group(operator=joining(), any_=Ids())
    parent_task_run_id = group(operator=joining(), any_=Ids(), is_null_=fields.Boolean())
    idempotency_key = group(any_=Strings(), not_any_=Strings())
    created_by = group(operator=joining(), id_=Ids(), type_=Strings(), is_null_=fields.Boolean())


class TaskRunFilterFlowRunId(Model):
    """Criteria for a task run's flow run. An empty object asks for one; is_null_ outdoes any_ (observed on Prefect 3.8.3)."""

    operator = joining()
    any_ = Ids(allow_none=True)
    is_null_ = fields.Boolean(allow_none=True, load_default=False)

    @post_load
    def choose_one(self, criteria: dict[str, Any], **_: Any) -> dict[str, Any]:
        if criteria["is_null_"]:
            criteria["any_"] = None
        elif criteria.get("any_") is not None:
            criteria["is_null_"] = None
        return criteria


class TaskRunFilter(Model):
    """Criteria for task runs."""

    operator = joining()
    id = group(any_=Ids())
    name = group(any_=Strings(), like_=fields.String())
    tags = group(operator=joining(), all_=Strings(), is_null_=fields.Boolean())
    state = group(operator=joining(), type=group(any_=state_types()), name=group(any_=Strings()))
    start_time = time_range(is_null_=fields.Boolean())
    end_time = time_range(is_null_=fields.Boolean())
    expected_start_time = time_range()
    subflow_runs = group(exists_=fields.Boolean())
    flow_run_id = fields.Nested(TaskRunFilterFlowRunId, allow_none=True)


class DeploymentFilter(Model):
    """Criteria for deployments."""

    operator = joining()
    id = group(any_=Ids(), not_any_=Ids())
    name = group(any_=Strings(), like_=fields.String())
    flow_or_deployment_name = group(like_=fields.String())
    paused = group(eq_=fields.Boolean())
    tags = group(operator=joining(), all_=Strings(), any_=Strings(), is_null_=fields.Boolean())
    work_queue_name = group(any_=Strings())
    concurrency_limit = group(ge_=Integer(), le_=Integer(), is_null_=fields.Boolean())


class WorkPoolFilter(Model):
    """Criteria for work pools."""

    operator = joining()
    id = group(any_=Ids())
    name = group(any_=Strings())
    type = group(any_=Strings())


class WorkQueueFilter(Model):
    """Criteria for work queues."""

    operator = joining()
    id = group(any_=Ids())
    name = group(any_=Strings(), startswith_=Strings())


class WorkerFilter(Model):
    """Criteria for workers."""

    operator = joining()
    last_heartbeat_time = time_range()
    status = group(any_=worker_statuses(), not_any_=worker_statuses())
