"""The graphs of flow runs."""

from datetime import datetime

from flask import Blueprint, Response

import sql
from handlers.errors import BadRequest, NotFound
from handlers.http import document, query
from schemas.flow_run_graphs import FlowRunGraph
from schemas.settings import setting
from sql.database import connection

blueprint = Blueprint("flow_run_graphs", __name__, url_prefix="/api/flow_runs")


@blueprint.get("/<id:id>/graph")
def read_flow_run_graph_v1(id: str) -> Response:
    """List the task runs of a flow run, each with the task runs that it depends on."""
    max_nodes = setting("server.flow_run_graph.max_nodes")
    with connection() as conn:
        dependencies = sql.flow_run_graphs.read_dependencies(conn, flow_run_id=id, max_nodes=max_nodes)
    return show(dependencies, id, max_nodes)


@blueprint.get("/<id:id>/graph-v2")
@query(FlowRunGraph)
def read_flow_run_graph_v2(id: str, since: datetime) -> Response:
    """Give the graph of what ran in a flow run: task runs and subflows, with the artifacts that they made."""
    max_nodes = setting("server.flow_run_graph.max_nodes")
    max_artifacts = setting("server.flow_run_graph.max_artifacts")
    with connection() as conn:
        graph = sql.flow_run_graphs.read(conn, flow_run_id=id, max_nodes=max_nodes, max_artifacts=max_artifacts, since=since)
    return show(graph, id, max_nodes)


def show(graph: bytes | None, id: str, max_nodes: int) -> Response:
    """Answer with a graph, unless there is none or it is too large."""
    if graph is None:
        raise NotFound("Flow run")
    if graph == b"null":
        raise BadRequest(f"The graph of flow run {id} has more than {max_nodes} nodes.")
    return document(graph)
