"""Logs of a flow run as a file."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response

import sql
from handlers.errors import NotFound
from sql.database import connection

HEADER = "timestamp,level,flow_run_id,task_run_id,message\r\n"
FIRST_PAGE, LARGEST_PAGE = 64, 1024  # lines
BEGINNING = {"timestamp": "-infinity", "id": "00000000-0000-0000-0000-000000000000"}

blueprint = Blueprint("log_downloads", __name__, url_prefix="/api/flow_runs")


@blueprint.get("/<id:id>/logs/download")
def download_logs(id: str) -> Response:
    """Send all logs of a flow run as CSV, page by page, so that neither their number nor a slow reader takes more memory.

    Pages begin small, for those who ask and do not read, and grow.
    """
    page = read_page(id, BEGINNING, FIRST_PAGE)
    if page is None:
        raise NotFound("Flow run")
    name = quote(f"{page['name']}-logs.csv", safe="")
    response = Response(generate_lines(id, page), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{name}"
    return response


def generate_lines(id: str, page: dict[str, Any] | None) -> Iterator[str]:
    """Give the text of the file, from the first page on; it ends early if the run is deleted meanwhile."""
    yield HEADER
    limit = FIRST_PAGE
    while page and page["lines"]:
        yield page["lines"]
        limit = min(2 * limit, LARGEST_PAGE)
        page = read_page(id, page, limit)


def read_page(id: str, after: dict[str, Any], limit: int) -> dict[str, Any] | None:
    """Give the page of a flow run's logs behind another, None without the run."""
    with connection() as conn:
        return sql.logs.page_csv(conn, flow_run_id=id, timestamp=after["timestamp"], id=after["id"], limit=limit)
