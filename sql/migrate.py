"""Make a database ours, or give it back: `migrate`, `tune`, `handback`.

`migrate` runs at every server start. What it does, it does in one transaction under an advisory lock. In an adopted
database nothing of Prefect's is altered, not even a comment; whoever wants our indexes there runs `tune`.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

from psycopg import Connection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import sql
from sql.database import connect, within

FOLDER = Path(__file__).parent
REVISION = "50737cdaee36"
ATTEMPTS = 20
INDEX = re.compile(r"^CREATE INDEX CONCURRENTLY IF NOT EXISTS (\w+).*?;$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^-- needs: (.+)$", re.MULTILINE)


class Refused(Exception):
    """The database is not one that Downbeat may work on; the message says why and what to do."""


def read_migrations() -> dict[str, str]:
    """Give the text of every migration by name, in order."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("migrations/*.sql"))}


def read_views() -> dict[str, str]:
    """Give the text of every view by name; what a line `-- needs: flow, state` names comes before the view it is in."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("views/*.sql"))}
    needs = {name: re.split(r", *", found[1]) if (found := NEEDS.search(text)) else [] for name, text in texts.items()}
    return {name: texts[name] for name in TopologicalSorter(needs).static_order()}


def read_indexes(index_set: str) -> dict[str, str]:
    """Give the definitions of `downbeat` or `prefect` by index name."""
    text = (FOLDER / "indexes" / f"{index_set}.sql").read_text(encoding="utf-8")
    return {found[1]: found[0] for found in INDEX.finditer(text)}


def digest(texts: dict[str, str]) -> str:
    """Give the SHA-256 of texts in their order."""
    return hashlib.sha256("".join(texts.values()).encode()).hexdigest()


def migrate(url: str) -> None:
    """Bring a database up to date: an empty one gets everything, a Prefect 3.8.3 one is adopted in place.

    Costs two round trips when there is nothing to do. Any number of processes may call it at once. A view that a long
    query holds is waited for briefly and tried again, so that requests do not queue up behind us. Raises Refused for
    any other database, having changed nothing.
    """
    with connect_patiently(url) as conn:
        for attempt in range(ATTEMPTS):
            if is_current(conn):
                return
            try:
                with within(conn):
                    sql.catalog.isolate(conn)
                    sql.catalog.lock_migration(conn)
                    if sql.catalog.read_standing(conn)["role_hides_tables"]:
                        sql.catalog.pin_search_path(conn)
                    apply_migrations(conn)
                    replace_views(conn)
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(0.5)


def connect_patiently(url: str) -> Connection:
    """Open a connection without the time limits that requests have, unless the URL brings limits of its own."""
    options = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
    return connect(make_conninfo("", **({"options": options} | conninfo_to_dict(url))))


def is_current(conn: Connection) -> bool:
    """Tell whether nothing is to be done. Raises Refused if the database is not for us.

    A database that a newer Downbeat has migrated is left alone, so that servers of both versions can be started while
    one takes the place of the other. Versions with the same migrations take turns with the views: a view that servers
    of the last version cannot live with comes with a migration.
    """
    standing = sql.catalog.read_standing(conn)
    if not (standing["is_installed"] and standing["has_revision"]) or standing["role_hides_tables"]:
        return False
    found = sql.catalog.read_installation(conn)
    check_revision(found["revisions"])
    ours, theirs = set(read_migrations()), set(found["migrations"])
    if ours < theirs:
        return True
    if found["index_set"] == "downbeat" and found["index_digest"] != digest(read_indexes("downbeat")):
        print("Indexes have changed since this database was tuned: run `downbeat tune`.")
    return ours == theirs and found["view_digest"] == digest(read_views())


def check_revision(revisions: list[str] | None) -> None:
    """Refuse a database whose Prefect tables are not those of Prefect 3.8.3."""
    if revisions != [REVISION]:
        raise Refused(
            f"The tables of this database are at Prefect's revision {' and '.join(revisions or ['(none)'])}, but "
            f"Downbeat needs {REVISION}, that of Prefect 3.8.3. Run `prefect server database upgrade -y` with Prefect "
            f"3.8.3 first; from a newer Prefect, `prefect server database downgrade -y -r {REVISION}`."
        )


def apply_migrations(conn: Connection) -> None:
    """Apply what is missing; called under the lock."""
    standing = sql.catalog.read_standing(conn)
    migrations = read_migrations()
    if standing["is_installed"]:
        found = sql.catalog.read_installation(conn)
        adopted, applied = found["adopted"], set(found["migrations"])
    else:
        adopted, applied = is_adoption(conn, standing, migrations), set()
    for name in sorted(migrations.keys() - applied):
        if not (adopted and "_public_" in name):
            conn.execute(migrations[name], prepare=False)
        sql.catalog.create_migration(conn, name=name)
    if not applied:
        begin_record(conn, adopted)


def is_adoption(conn: Connection, standing: dict, migrations: dict[str, str]) -> bool:
    """Tell a database of Prefect 3.8.3 from an empty one. Raises Refused for anything else."""
    if standing["schema"] != "public":
        raise Refused(f"The search path of this connection begins with {standing['schema']}; it must be public.")
    if not standing["has_revision"]:
        if standing["tables"]:
            tables = ", ".join(standing["tables"])
            raise Refused(f"This database is not empty and no Prefect database either; schema public holds {tables}.")
        return False
    check_revision(sql.catalog.read_revisions(conn)["revisions"])
    expected = re.findall(r"^CREATE TABLE (\w+) ", "".join(migrations.values()), re.MULTILINE)
    if missing := sorted(set(expected) - set(standing["tables"])):
        raise Refused(f"This database has the revision of Prefect 3.8.3 but lacks its tables {', '.join(missing)}.")
    return True


def begin_record(conn: Connection, adopted: bool) -> None:
    """Write our record of a database that is new to us, with our indexes if its tables are ours."""
    indexes = {} if adopted else read_indexes("downbeat")
    if not adopted:
        sql.catalog.create_trigrams(conn)
    for definition in usable(conn, indexes).values():
        conn.execute(definition.replace(" CONCURRENTLY", ""), prepare=False)
    index_digest = digest(indexes) if indexes else ""
    index_set = "prefect" if adopted else "downbeat"
    sql.catalog.create_installation(conn, adopted=adopted, index_set=index_set, index_digest=index_digest)


def usable(conn: Connection, indexes: dict[str, str]) -> dict[str, str]:
    """Leave out the indexes that need pg_trgm where it is not there."""
    if sql.catalog.read_standing(conn)["has_trigrams"]:
        return indexes
    return {name: definition for name, definition in indexes.items() if "gin_trgm_ops" not in definition}


def replace_views(conn: Connection) -> None:
    """Make all views anew if the text of any has changed."""
    views = read_views()
    if sql.catalog.read_installation(conn)["view_digest"] == digest(views):
        return
    drop_views(conn)
    for text in views.values():
        conn.execute(text, prepare=False)
    sql.catalog.update_views(conn, view_digest=digest(views))


def drop_views(conn: Connection) -> None:
    """Drop all our views. Raises LockNotAvailable if one is held by a long query."""
    sql.catalog.limit_lock_wait(conn)
    if command := sql.catalog.drop_views(conn):
        conn.execute(command, prepare=False)


def tune(url: str) -> None:
    """Swap Prefect's indexes for ours without blocking writers, printing a line for each.

    May be interrupted and repeated. Needs a connection that is not behind PgBouncer. Raises Refused as migrate does,
    and while another swap is going on.
    """
    migrate(url)
    with swapping(url) as conn:
        swap_indexes(conn, read_indexes("downbeat"))
        sql.catalog.update_indexes(conn, index_set="downbeat", index_digest=digest(read_indexes("downbeat")))


def handback(url: str) -> None:
    """Give a database back to Prefect: its indexes by name, and no views in the way of its later migrations.

    As careful as tune. Our next start makes the views again. Works without our schema too.
    """
    with swapping(url) as conn:
        sql.catalog.create_trigrams(conn)
        swap_indexes(conn, read_indexes("prefect"))
        if sql.catalog.read_standing(conn)["is_installed"]:
            with within(conn):
                drop_views(conn)
                sql.catalog.update_views(conn, view_digest="")
                sql.catalog.update_indexes(conn, index_set="prefect", index_digest="")


@contextmanager
def swapping(url: str) -> Iterator[Connection]:
    """Lend a connection to a Prefect database while a second one keeps other processes from swapping indexes too."""
    with connect_patiently(url) as conn, connect_patiently(url) as guard:
        if not sql.catalog.read_standing(conn)["has_revision"]:
            raise Refused("This is not a Prefect database.")
        check_revision(sql.catalog.read_revisions(conn)["revisions"])
        with within(guard):
            try:
                sql.catalog.lock_indexes(guard)
            except errors.LockNotAvailable:
                raise Refused("The indexes of this database are being swapped by another process.") from None
            yield conn


def swap_indexes(conn: Connection, wanted: dict[str, str]) -> None:
    """Build the indexes that are missing, then drop those of either set that are not wanted; others' are left alone."""
    found = {index["name"]: index for index in sql.catalog.list_indexes(conn)}
    buildable = usable(conn, wanted)
    for name in wanted:
        if name in found and found[name]["is_valid"]:
            continue
        if name not in buildable:
            print(f"skipped {name}: pg_trgm is not there")
            continue
        if name in found:
            conn.execute(found[name]["drop_command"], prepare=False)
            print(f"dropped {name}: it was left unfinished")
        conn.execute(wanted[name], prepare=False)
        print(f"created {name}")
    known = read_indexes("prefect").keys() | read_indexes("downbeat").keys()
    for name, index in found.items():
        if name not in wanted and (name in known or name.startswith("downbeat_")):
            conn.execute(index["drop_command"], prepare=False)
            print(f"dropped {name}")
