"""Lists, which all resources give in the same way: filtered, counted, or a page with the count."""

import orjson
from psycopg import Connection

import sql
from sql.database import connection
from sql.filters import compose, sort_by
from sql.statement import Filter, Pending


def read_list(resource: str, sort: str, limit: int, offset: int, **criteria: dict | None) -> bytes:
    """Give the JSON list of at most `limit` rows of a resource that match, after the first `offset`."""
    statements = getattr(sql, resource)
    chosen, order = compose(resource, **criteria), sort_by(resource, sort)
    with connection() as conn:
        found = statements.page(conn, filter=chosen, sort=order, limit=limit, offset=offset)
        return statements.read_many(conn, ids=[row["id"] for row in found]) if found else b"[]"


def count(resource: str, **criteria: dict | None) -> int:
    """Give the number of rows of a resource that match; see send_count."""
    with connection() as conn:
        return send_count(conn, resource, compose(resource, **criteria)).result()


def send_count(conn: Connection, resource: str, chosen: Filter) -> Pending:
    """Queue the count of the rows that match. All rows of a table that may be large are estimated where they are many."""
    statements = getattr(sql, resource)
    if chosen.text == "TRUE" and hasattr(statements, "count_all"):
        return statements.count_all.send(conn)
    return statements.count.send(conn, filter=chosen)


def read_page(resource: str, sort: str, limit: int, page: int, **criteria: dict | None) -> bytes:
    """Give the JSON object of one page of the rows that match; pages count from 1."""
    statements = getattr(sql, resource)
    show = getattr(statements, "paginate", statements.read_many)
    chosen, order = compose(resource, **criteria), sort_by(resource, sort)
    with connection() as conn:
        found = statements.page.send(conn, filter=chosen, sort=order, limit=limit, offset=(page - 1) * limit)
        total = send_count(conn, resource, chosen).result()
        rows = show(conn, ids=[row["id"] for row in found.result()])
    rest = {"count": total, "limit": limit, "pages": -(-total // limit) if limit else 0, "page": page}
    return b'{"results":' + rows + b"," + orjson.dumps(rest)[1:]
