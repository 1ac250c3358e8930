"""Where the server listens, below which paths it serves what, and where its PostgreSQL is, as the settings say."""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from psycopg.conninfo import make_conninfo

from schemas.settings import setting

# How SQLAlchemy takes a URL apart: a password may have any character but @.
URL = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<six>[^\]/?]+)\]|(?P<host>[^/:?@]*))(?::(?P<port>\d*))?(?:/(?P<dbname>[^?]*))?(?:\?(?P<query>.*))?"
)
PARTS = ("connection_url", "driver", "host", "port", "user", "name", "password")
LIBPQ_NAMES = {"database": "dbname", "ssl": "sslmode", "timeout": "connect_timeout"}
# What asyncpg has and libpq has not: caches of statements, which are not needed here, and times.
ONLY_ASYNCPG = re.compile(
    "(prepared_)?statement_cache_size|prepared_statement_name_func|max_cach.*|command_timeout|direct_tls|loop"
)
PASSWORD = re.compile(r"\$\{PREFECT_(?:API|SERVER)_DATABASE_PASSWORD\}")


def bind() -> str:
    """Give the address to listen on: DOWNBEAT_BIND, else Prefect's host and port."""
    host, port = setting("server.api.host"), setting("server.api.port")
    return setting("downbeat.bind") or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def api_path() -> str:
    """Give the path below which the API is, "" for the root."""
    return f"/{(setting('server.api.base_path') or '/api').strip('/')}".rstrip("/")


def ui_path() -> str:
    """Give the path below which the web interface is, "" for the root: that of v1, though v2's may be set instead."""
    return f"/{setting('server.ui.serve_base').strip('/')}".removesuffix("/v2").rstrip("/")


def database_url() -> str | None:
    """Give libpq's string of the PostgreSQL to use: DATABASE_URL, else Prefect's; None if neither names one.

    Ends the process with a sentence where Prefect's settings name one that cannot be used.
    """
    if url := setting("database.url"):
        return url
    given = {
        key: setting(f"server.database.{key}") for key in ("connection_url", "driver", "host", "port", "user", "name", "password")
    }
    if given["connection_url"]:
        return read_url(PASSWORD.sub(lambda _: given["password"] or "", given["connection_url"]))
    if not (given["driver"] or "").startswith("postgresql"):
        return None
    if missing := [key for key in ("host", "user", "name") if not given[key]]:
        raise SystemExit(f"PREFECT_SERVER_DATABASE_DRIVER is set, but PREFECT_SERVER_DATABASE_{missing[0].upper()} is not.")
    parts = {"host": given["host"], "port": given["port"], "user": given["user"], "dbname": given["name"]}
    return connection_string({**parts, "password": given["password"]})


def direct_url() -> str | None:
    """Give libpq's string of the same PostgreSQL past a connection pooler."""
    return setting("database.direct_url") or database_url()


def read_url(url: str) -> str | None:
    """Word SQLAlchemy's URL of a PostgreSQL as libpq has it; None for SQLite, which Downbeat has no use for."""
    if url.startswith("sqlite"):
        return None
    found = URL.fullmatch(url)
    if found is None:
        raise SystemExit("PREFECT_SERVER_DATABASE_CONNECTION_URL is no URL of a PostgreSQL (postgresql+asyncpg://…).")
    parts = {key: unquote(value) for key, value in found.groupdict().items() if value and key != "query"}
    parts["host"] = parts.pop("six", None) or parts.get("host")
    for key, value in parse_qsl(found["query"] or ""):
        if not ONLY_ASYNCPG.fullmatch(key):
            parts[LIBPQ_NAMES.get(key, key)] = value
    return connection_string(parts)


def connection_string(parts: dict[str, Any]) -> str:
    """Join libpq's parameters, with TLS as Prefect's settings want it."""
    arguments = "server.database.sqlalchemy.connect_args."
    if (setting(f"{arguments}search_path") or "public") != "public":
        raise SystemExit("Prefect's settings name a search_path, but Downbeat works on the tables of the schema public.")
    if setting(f"{arguments}tls.enabled"):
        parts["sslmode"] = "verify-full" if setting(f"{arguments}tls.check_hostname") else "verify-ca"
        files = {"sslrootcert": "ca_file", "sslcert": "cert_file", "sslkey": "key_file"}
        parts |= {name: setting(f"{arguments}tls.{key}") for name, key in files.items()}
        parts["sslrootcert"] = parts["sslrootcert"] or "system"
    return make_conninfo("", **{key: value for key, value in parts.items() if value is not None})
