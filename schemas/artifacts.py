"""Bodies of the operations under /artifacts."""

from typing import Any

from marshmallow import fields, validate

from schemas.fields import Arguments, Document, Id, Ids, Key, Model, Strings, limit, offset, one_of
from schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter, group, joining

ARTIFACT_SORTS = ("CREATED_DESC", "UPDATED_DESC", "ID_DESC", "KEY_DESC", "KEY_ASC")
MAX_METADATA_LENGTH = 500


class Metadata(Document):
    """An object of strings; what is too long of one is cut off, which three dots say."""

    default_error_messages = {"strings": "Values must be strings."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict:
        given = super()._deserialize(value, attr, data, **kwargs)
        if not all(isinstance(text, str) for text in given.values()):
            raise self.make_error("strings")
        return {
            key: text if len(text) <= MAX_METADATA_LENGTH else f"{text[:MAX_METADATA_LENGTH]}..." for key, text in given.items()
        }


class ArtifactUpdate(Model):
    """The fields of an artifact that can change."""

    data = fields.Raw(allow_none=True)
    description = fields.String(allow_none=True)
    metadata_ = Metadata(allow_none=True)


class ArtifactCreate(Model):
    """An artifact to create."""

    key = Key(
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(r"^[a-z0-9-]*$", error="Must have only lower-case letters, digits and dashes."),
    )
    type = Key(load_default=None, allow_none=True)
    description = fields.String(load_default=None, allow_none=True)
    data = fields.Raw(load_default=None, allow_none=True)
    metadata_ = Metadata(load_default=None, allow_none=True)
    flow_run_id = Id(load_default=None, allow_none=True)
    task_run_id = Id(load_default=None, allow_none=True)


class VersionFilter(Model):
    """Criteria for what an artifact and its newest version have in common."""

    operator = joining()
    key = group(any_=Strings(), like_=fields.String(), exists_=fields.Boolean())
    flow_run_id = group(any_=Ids())
    task_run_id = group(any_=Ids())
    type = group(any_=Strings(), not_any_=Strings())


class ArtifactFilter(VersionFilter):
    """Criteria for artifacts."""

    id = group(any_=Ids())


class ArtifactCollectionFilter(VersionFilter):
    """Criteria for the newest versions of artifacts."""

    latest_id = group(any_=Ids())


class RunCriteria(Arguments):
    """What restricts a list of artifacts by the runs that made them."""

    flow_runs = fields.Nested(FlowRunFilter)
    task_runs = fields.Nested(TaskRunFilter)
    flows = fields.Nested(FlowFilter)
    deployments = fields.Nested(DeploymentFilter)


class ArtifactCriteria(RunCriteria):
    """What restricts a list of artifacts."""

    artifacts = fields.Nested(ArtifactFilter)


class ArtifactCollectionCriteria(RunCriteria):
    """What restricts a list of newest versions; they are reached as `artifacts` in the body."""

    artifact_collections = fields.Nested(ArtifactCollectionFilter, data_key="artifacts")


class Page(Arguments):
    """The order of a list, and which part of it is asked for."""

    sort = one_of(*ARTIFACT_SORTS, load_default="ID_DESC")
    limit = limit()
    offset = offset()


class ArtifactsFilter(ArtifactCriteria, Page):
    """A list of artifacts."""


class ArtifactCollectionsFilter(ArtifactCollectionCriteria, Page):
    """A list of newest versions of artifacts."""
