"""Bodies of the operations under /work_pools but those on queues."""

import json
import re
from typing import Any

from marshmallow import ValidationError, fields

from schemas.fields import Arguments, Document, Id, Integer, Key, Model, StoredSchema, Strings, Time, limit, name, offset, page
from schemas.filters import WorkerFilter, WorkPoolFilter

PLACEHOLDER = re.compile(r"{{\s*([\w.\-\[\]$]+)\s*}}")


def check_not_blank(text: str) -> None:
    """Refuse a name of nothing but blanks and quotes."""
    if not text.strip("' \""):
        raise ValidationError("Must not be empty.")


def check_template(template: dict[str, Any]) -> None:
    """Refuse a template whose job configuration uses variables that it does not declare; one without anything is fine."""
    if not template:
        return
    for key in ("job_configuration", "variables"):
        if not template.get(key) or not isinstance(template[key], dict):
            raise ValidationError({key: ["Must be a JSON object that is not empty."]})
    declared = template["variables"].get("properties", {})
    if not isinstance(declared, dict):
        raise ValidationError({"variables": {"properties": ["Must be a JSON object."]}})
    used = set(PLACEHOLDER.findall(json.dumps(list(template["job_configuration"].values()))))
    if undeclared := sorted(used - set(declared)):
        raise ValidationError({"variables": [f"Lacks variables that the job configuration uses: {', '.join(undeclared)}."]})


class StorageConfiguration(Model):
    """Where a pool keeps code and results."""

    bundle_upload_step = Document(allow_none=True, load_default=None)
    bundle_execution_step = Document(allow_none=True, load_default=None)
    default_result_storage_block_id = Id(allow_none=True, load_default=None)


class WorkPoolCreate(Model):
    """A work pool to create."""

    name = Key(required=True, validate=[*name().validators, check_not_blank])
    description = fields.String(allow_none=True, load_default=None)
    type = Key(load_default="prefect-agent")
    base_job_template = StoredSchema(load_default=dict, validate=check_template)
    is_paused = fields.Boolean(load_default=False)
    concurrency_limit = Integer(0, allow_none=True, load_default=None)
    storage_configuration = fields.Nested(StorageConfiguration, load_default=lambda: StorageConfiguration().load({}))


class WorkPoolUpdate(Model):
    """The fields of a work pool that can change."""

    description = fields.String(allow_none=True)
    is_paused = fields.Boolean(allow_none=True)
    base_job_template = StoredSchema(validate=check_template)
    concurrency_limit = Integer(0, allow_none=True)
    storage_configuration = fields.Nested(StorageConfiguration, allow_none=True)


class WorkPoolCriteria(Arguments):
    """What restricts a list of work pools."""

    work_pools = fields.Nested(WorkPoolFilter)


class WorkPoolsFilter(WorkPoolCriteria):
    """A list of work pools."""

    limit = limit()
    offset = offset()


class WorkPoolConcurrency(Arguments):
    """A page of a pool's queues, each with some of the runs that hold its slots."""

    page = page()
    limit = limit()
    flow_run_limit = Integer(0, 200, load_default=10)


class WorkPoolPoll(Arguments):
    """The runs of a pool that are due; without names or with none, those of all its queues."""

    work_queue_names = Strings(load_default=None)
    scheduled_before = Time(load_default=None)
    scheduled_after = Time(load_default=None)
    limit = limit()


class WorkerHeartbeat(Arguments):
    """A sign of life of a worker."""

    name = Key(required=True)
    heartbeat_interval_seconds = Integer(load_default=None)


class WorkersFilter(Arguments):
    """A list of the workers of a pool."""

    workers = fields.Nested(WorkerFilter)
    limit = limit()
    offset = offset()
