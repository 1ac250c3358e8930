"""Operations under /flows."""

from typing import Any

from flask import Blueprint, Response
from psycopg import Connection

import sql
from handlers.domain import events
from handlers.domain.deletion import delete_flows
from handlers.errors import require
from handlers.http import lists
from handlers.http.messages import answer, body, document, no_content
from schemas.flows import FlowCreate, FlowCriteria, FlowsDelete, FlowsFilter, FlowsPaginate, FlowUpdate
from sql.database import connection, transaction
from sql.filters import compose, sort_by
from sql.ids import uuid7

blueprint = Blueprint("flows", __name__, url_prefix="/api/flows")


@blueprint.post("/")
@body(FlowCreate)
def create_flow(name: str, tags: list[str], labels: dict) -> Response:
    """Create a flow (201), or give the one that has the name (200). Every flow run asks this first, mostly for the latter."""
    with connection() as conn:
        flow = sql.flows.read_by_name(conn, name=name)
    if flow is not None:
        return document(flow)
    with transaction() as conn:
        created = sql.flows.create(conn, id=uuid7(), name=name, tags=tags, labels=labels)
        record_events(conn, "created", [created] if created else [])
        shown = sql.flows.read_by_name.send(conn, name=name)
    return document(shown.result(), 201 if created else 200)


@blueprint.patch("/<id:id>")
@body(FlowUpdate)
def update_flow(id: str, tags: list[str] | None = None) -> Response:
    """Replace a flow's tags."""
    with transaction() as conn:
        flow = sql.flows.update(conn, id=id, tags=tags)
        require(flow, "Flow")
        record_events(conn, "updated", [flow])
    return no_content()


@blueprint.post("/count")
@body(FlowCriteria)
def count_flows(**criteria: dict) -> Response:
    """Count the flows that match."""
    return answer(lists.count("flows", **criteria))


@blueprint.get("/name/<name>")
def read_flow_by_name(name: str) -> Response:
    """Give the flow of a name."""
    with connection() as conn:
        # A name with a NUL is nobody's, and libpq would cut it there.
        flow = None if "\0" in name else sql.flows.read_by_name(conn, name=name)
    return document(require(flow, "Flow"))


@blueprint.get("/<id:id>")
def read_flow(id: str) -> Response:
    """Give a flow."""
    with connection() as conn:
        flow = sql.flows.read(conn, id=id)
    return document(require(flow, "Flow"))


@blueprint.post("/filter")
@body(FlowsFilter)
def filter_flows(**arguments: Any) -> Response:
    """List the flows that match."""
    return document(lists.read_list("flows", **arguments))


@blueprint.delete("/<id:id>")
def delete_flow(id: str) -> Response:
    """Delete a flow with its runs and deployments."""
    with transaction() as conn:
        deleted = delete_flows(conn, [id])
        record_events(conn, "deleted", deleted)
    require(deleted, "Flow")
    return no_content()


@blueprint.post("/bulk_delete")
@body(FlowsDelete)
def bulk_delete_flows(limit: int, flows: dict | None = None) -> Response:
    """Delete the first `limit` flows that match, by name, and give their ids."""
    with transaction() as conn:
        chosen, order = compose("flows", flows=flows), sort_by("flows", "NAME_ASC")
        found = [flow["id"] for flow in sql.flows.page(conn, filter=chosen, sort=order, limit=limit, offset=0)]
        deleted = delete_flows(conn, found)
        record_events(conn, "deleted", deleted)
    gone = {str(flow["id"]) for flow in deleted}
    return answer({"deleted": [id for id in found if id in gone]})


@blueprint.post("/paginate")
@body(FlowsPaginate)
def paginate_flows(**arguments: Any) -> Response:
    """Give one page of the flows that match, and their number."""
    return document(lists.read_page("flows", **arguments))


def record_events(conn: Connection, action: str, flows: list[dict[str, Any]]) -> None:
    """Record what happened to flows, with the transaction that it happens in."""
    told = ("name", "tags", "labels")
    events.record(conn, [events.event("flow", action, flow, payload={key: flow[key] for key in told}) for flow in flows])
