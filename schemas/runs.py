"""Flow runs and task runs as clients create them."""

from typing import Any

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate

from schemas.fields import Document, Id, Integer, Key, Labels, Model, Strings, Tags, Time, one_of
from schemas.settings import setting
from schemas.states import StateCreate

MAX_PARAMETER_BYTES = setting("server.api.max_parameter_size")
MAX_CACHE_KEY_CHARACTERS = setting("server.tasks.max_cache_key_length")


class Policy(Schema):
    """What the policies of flow runs and task runs share; given the older names, the newer fields are filled from them."""

    class Meta:
        unknown = EXCLUDE

    max_retries = Integer(load_default=0)
    retry_delay_seconds = fields.Float(load_default=0.0)
    retries = Integer(allow_none=True, load_default=None)

    @post_load
    def fill_from_older_names(self, policy: dict[str, Any], **_: Any) -> dict[str, Any]:
        if not policy["retries"] and policy["max_retries"]:
            policy["retries"] = policy["max_retries"]
        if not policy["retry_delay"] and policy["retry_delay_seconds"]:
            policy["retry_delay"] = self.fields["retry_delay"].deserialize(policy["retry_delay_seconds"])
        return policy


class FlowRunPolicy(Policy):
    """How a flow run is retried, and what it remembers of its pauses. Delays in seconds."""

    retry_delay = Integer(allow_none=True, load_default=None)
    pause_keys = Strings(allow_none=True, load_default=list)
    resuming = fields.Boolean(allow_none=True, load_default=False)
    retry_type = one_of("in_process", "reschedule", allow_none=True, load_default=None)


class Delay(fields.Field):
    """A number of seconds, or a list of at most 50."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        delays = value if isinstance(value, list) else [value]
        if len(delays) > 50:
            raise ValidationError("Not more than 50 delays.")
        if not all(isinstance(delay, (int, float)) and not isinstance(delay, bool) for delay in delays):
            raise ValidationError("Not a valid number of seconds.")
        return value


class TaskRunPolicy(Policy):
    """How a task run is retried. Delays in seconds."""

    retry_delay = Delay(allow_none=True, load_default=None)
    retry_jitter_factor = fields.Float(allow_none=True, load_default=None, validate=validate.Range(0))


class Parameters(Document):
    """A flow run's parameters, of limited size."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict:
        parameters = super()._deserialize(value, attr, data, **kwargs)
        if MAX_PARAMETER_BYTES and len(orjson.dumps(parameters)) > MAX_PARAMETER_BYTES:
            raise ValidationError(f"Larger than {MAX_PARAMETER_BYTES} bytes as JSON.")
        return parameters


class FlowRunCreate(Model):
    """A flow run to create."""

    state = fields.Nested(StateCreate, allow_none=True, load_default=None)
    name = Key(allow_none=True, load_default=None)
    flow_id = Id(required=True)
    flow_version = Key(allow_none=True, load_default=None)
    parameters = Parameters(load_default=dict)
    context = Document(load_default=dict)
    parent_task_run_id = Id(allow_none=True, load_default=None)
    infrastructure_document_id = Id(allow_none=True, load_default=None)
    empirical_policy = fields.Nested(FlowRunPolicy, load_default=lambda: FlowRunPolicy().load({}))
    tags = Tags(load_default=list)
    labels = Labels()
    idempotency_key = Key(allow_none=True, load_default=None)
    work_pool_name = Key(allow_none=True, load_default=None)
    work_queue_name = Key(allow_none=True, load_default=None)
    job_variables = Document(allow_none=True, load_default=None)
    deployment_id = Id(allow_none=True, load_default=None)


class TaskInput(Schema):
    """Where an input of a task run comes from: another run, a parameter, a constant."""

    class Meta:
        unknown = EXCLUDE

    input_type = one_of("task_run", "flow_run", "parameter", "constant")
    id = Id()
    name = fields.String()
    type = fields.String()


class TaskRunCreate(Model):
    """A task run to create."""

    id = Id(allow_none=True, load_default=None)
    state = fields.Nested(StateCreate, allow_none=True, load_default=None)
    name = Key(allow_none=True, load_default=None)
    flow_run_id = Id(allow_none=True, load_default=None)
    task_key = Key(required=True)
    dynamic_key = Key(required=True)
    cache_key = fields.String(allow_none=True, load_default=None, validate=validate.Length(max=MAX_CACHE_KEY_CHARACTERS))
    cache_expiration = Time(allow_none=True, load_default=None)
    task_version = fields.String(allow_none=True, load_default=None)
    empirical_policy = fields.Nested(TaskRunPolicy, load_default=lambda: TaskRunPolicy().load({}))
    tags = Tags(load_default=list)
    labels = Labels()
    task_inputs = fields.Dict(fields.String(), fields.List(fields.Nested(TaskInput)), load_default=dict)
