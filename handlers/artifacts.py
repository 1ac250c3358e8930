"""Operations under /artifacts: versions of what runs leave behind, and the newest of each key."""

from typing import Any

from flask import Blueprint, Response

import sql
from handlers.domain.artifacts import record_event
from handlers.errors import require
from handlers.http import lists
from handlers.http.messages import answer, body, document, no_content
from schemas.artifacts import (
    ArtifactCollectionCriteria,
    ArtifactCollectionsFilter,
    ArtifactCreate,
    ArtifactCriteria,
    ArtifactsFilter,
    ArtifactUpdate,
)
from sql.database import connection, transaction
from sql.ids import uuid7

blueprint = Blueprint("artifacts", __name__, url_prefix="/api/artifacts")


@blueprint.post("/")
@body(ArtifactCreate)
def create_artifact(**columns: Any) -> Response:
    """Create an artifact (201); with a key it becomes the newest version of that."""
    id = uuid7()
    with transaction() as conn:
        if columns["key"] is not None:
            collection = sql.artifact_collections.upsert(conn, id=uuid7(), latest_id=id, **columns)
            record_event(conn, "created" if collection["is_new"] else "updated", collection)
        sql.artifacts.create.send(conn, id=id, **columns)
        shown = sql.artifacts.read.send(conn, id=id)
    return document(shown.result(), 201)


@blueprint.get("/<id:id>")
def read_artifact(id: str) -> Response:
    """Give an artifact."""
    with connection() as conn:
        artifact = sql.artifacts.read(conn, id=id)
    return document(require(artifact, "Artifact"))


@blueprint.get("/<key>/latest")
def read_latest_artifact(key: str) -> Response:
    """Give the newest version of a key."""
    with connection() as conn:
        artifact = sql.artifact_collections.read_latest(conn, key=key)
    return document(require(artifact, "Artifact"))


@blueprint.post("/filter")
@body(ArtifactsFilter)
def filter_artifacts(**arguments: Any) -> Response:
    """List the artifacts that match."""
    return document(lists.read_list("artifacts", **arguments))


@blueprint.post("/latest/filter")
@body(ArtifactCollectionsFilter)
def filter_latest_artifacts(**arguments: Any) -> Response:
    """List the newest versions that match."""
    return document(lists.read_list("artifact_collections", **arguments))


@blueprint.post("/count")
@body(ArtifactCriteria)
def count_artifacts(**criteria: dict) -> Response:
    """Count the artifacts that match."""
    return answer(lists.count("artifacts", **criteria))


@blueprint.post("/latest/count")
@body(ArtifactCollectionCriteria)
def count_latest_artifacts(**criteria: dict) -> Response:
    """Count the newest versions that match."""
    return answer(lists.count("artifact_collections", **criteria))


@blueprint.patch("/<id:id>")
@body(ArtifactUpdate)
def update_artifact(id: str, **changes: Any) -> Response:
    """Change an artifact, and what is shown as the newest version if it is that."""
    with transaction() as conn:
        collection = sql.artifact_collections.lock(conn, artifact_id=id)
        if collection and collection["is_latest"]:
            sql.artifact_collections.update.send(conn, id=collection["id"], changes=changes)
        require(sql.artifacts.update(conn, id=id, changes=changes), "Artifact")
    return no_content()


@blueprint.delete("/<id:id>")
def delete_artifact(id: str) -> Response:
    """Delete an artifact; if it was the newest version, the one before takes its place."""
    with transaction() as conn:
        collection = sql.artifact_collections.lock(conn, artifact_id=id)
        require(sql.artifacts.delete(conn, id=id), "Artifact")
        if collection and collection["is_latest"]:
            if newest := sql.artifact_collections.fall_back(conn, id=collection["id"]):
                record_event(conn, "updated", newest)
            else:
                record_event(conn, "deleted", sql.artifact_collections.delete(conn, id=collection["id"]))
    return no_content()
