"""Operations under /automations on those of a resource: clients ask for a deployment's, and replace those that belong to it."""

from flask import Blueprint, Response

import sql
from handlers.http.messages import document
from sql.database import connection

blueprint = Blueprint("automations", __name__, url_prefix="/api/automations")


@blueprint.get("/related-to/<resource_id>")
def read_automations_related_to_resource(resource_id: str) -> Response:
    """List the automations that belong to a resource or act on it."""
    with connection() as conn:
        return document(sql.automations.read_related(conn, resource_id=resource_id))


@blueprint.delete("/owned-by/<resource_id>")
def delete_automations_owned_by_resource(resource_id: str) -> Response:
    """Delete the automations that belong to a resource; as with Prefect no event tells of it."""
    with connection() as conn:
        sql.automations.delete_owned(conn, resource_id=resource_id)
    return document(None, 202)
