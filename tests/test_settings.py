"""Settings: found where Prefect's own server finds them, read as it reads them, and refused when they do not fit."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from schemas import sources
from schemas.addresses import bind, database_url, direct_url
from schemas.settings import SETTINGS, check, setting, show, shown

ROOT = Path(__file__).parent.parent

# Prefect's own loader in each of some folders: what it shows of the server's settings, and by which names they go.
ASK = """
import json, os, sys
from prefect.settings import Settings
from prefect.settings.sources import _file_cache
from pydantic import AliasChoices

def names(model, path="server."):
    for key, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from names(field.annotation, f"{path}{key}.")
        else:
            alias = field.validation_alias
            choices = [each.upper() for each in alias.choices if isinstance(each, str)] if isinstance(alias, AliasChoices) else []
            yield path + key, choices or [model.model_config["env_prefix"] + key.upper()]

answers = []
for folder, environment in json.load(sys.stdin):
    os.chdir(folder)
    os.environ.update(environment)
    _file_cache.clear()
    shown = Settings().model_dump(mode="json", context={"include_secrets": True})
    answers.append(json.loads(json.dumps(shown["server"], default=lambda secret: secret.get_secret_value())))
    for name in environment:
        del os.environ[name]
print(json.dumps([answers, list(names(Settings.model_fields["server"].annotation))]))
"""

LIMIT, AUTH = "PREFECT_SERVER_API_DEFAULT_LIMIT", "PREFECT_SERVER_API_AUTH_STRING"
SERVICES = "PREFECT_SERVER_SERVICES_"
PROFILES = """
active = "mine"
[profiles.mine]
PREFECT_API_URL = "http://127.0.0.1:4200/api"
PREFECT_API_KEY = "a client's"
PREFECT_API_AUTH_STRING = "a client's"
PREFECT_SERVER_API_AUTH_STRING = "profile:secret"
PREFECT_API_DEFAULT_LIMIT = 11
PREFECT_SERVER_SERVICES_FOREMAN_ENABLED = false
[profiles.other]
PREFECT_SERVER_API_AUTH_STRING = "other:secret"
"""
PYPROJECT = """
[tool.prefect.server.api]
auth_string = "pyproject:secret"
default_limit = 12
[tool.prefect.server.services.late_runs]
after_seconds = "PT1M"
"""
TOML = """
[server.api]
auth_string = "toml:secret"
default_limit = "13"
csrf_protection_enabled = "on"
[server.services.late_runs]
after_seconds = 30
[server.services.db_vacuum]
event_retention_overrides = {some = "P1D"}
"""
DOTENV = f"""
# a comment
export {AUTH}="dotenv:${{WORD}} and # more"
{LIMIT}=14
prefect_server_api_port = '4300' # a comment
{SERVICES}SCHEDULER_MAX_SCHEDULED_TIME=2 days, 01:30
PREFECT_SERVER_METRICS_ENABLED
"""
FILES = {"home/profiles.toml": PROFILES, "pyproject.toml": PYPROJECT, "prefect.toml": TOML, ".env": DOTENV}
CASES = {
    "nothing": ({}, {}),
    "profile": ({"home/profiles.toml": PROFILES}, {}),
    "the profile of PREFECT_PROFILE": ({"home/profiles.toml": PROFILES}, {"PREFECT_PROFILE": "other"}),
    "a profile that is not there": ({"home/profiles.toml": PROFILES}, {"PREFECT_PROFILE": "nobody's"}),
    "pyproject.toml before profile": ({name: FILES[name] for name in ("home/profiles.toml", "pyproject.toml")}, {}),
    "prefect.toml before pyproject.toml": ({name: text for name, text in FILES.items() if name != ".env"}, {}),
    ".env before all files": (FILES, {"WORD": "word"}),
    "environment first": (FILES, {LIMIT: "15", AUTH: "environment:secret"}),
    "an older name in the environment": (FILES, {"PREFECT_API_DEFAULT_LIMIT": "16"}),
    "both names": ({}, {"PREFECT_API_DEFAULT_LIMIT": "16", LIMIT: "17"}),
    "lower case": ({}, {AUTH.lower(): "lower:secret"}),
    "an empty auth string": ({"home/profiles.toml": PROFILES}, {AUTH: ""}),
    "profiles by the environment": ({"p.toml": PROFILES}, {"PREFECT_PROFILES_PATH": "p.toml"}),
    "profiles by .env": ({"p.toml": PROFILES, ".env": "PREFECT_PROFILES_PATH=p.toml"}, {}),
    "profiles by prefect.toml": ({"p.toml": PROFILES, "prefect.toml": 'profiles_path = "p.toml"'}, {}),
    "profiles by pyproject.toml": ({"p.toml": PROFILES, "pyproject.toml": '[tool.prefect]\nprofiles_path = "p.toml"'}, {}),
    "forms of durations": ({}, {
        f"{SERVICES}SCHEDULER_MAX_SCHEDULED_TIME": "P1W",
        f"{SERVICES}SCHEDULER_MIN_SCHEDULED_TIME": "01:02:03.5",
        f"{SERVICES}LATE_RUNS_AFTER_SECONDS": "2592000",
        f"{SERVICES}DB_VACUUM_RETENTION_PERIOD": "P1DT2H3M4.5S",
        "PREFECT_SERVER_CSRF_TOKEN_EXPIRATION": "1 day",
        "PREFECT_EVENTS_RETENTION_PERIOD": "12:30",
        "PREFECT_API_EVENTS_RELATED_RESOURCE_CACHE_TTL": "P0.5D",
    }),
    "forms of flags and numbers": ({}, {
        f"{SERVICES}FOREMAN_ENABLED": "NO",
        f"{SERVICES}LATE_RUNS_ENABLED": "0",
        f"{SERVICES}TRIGGERS_ENABLED": "f",
        f"{SERVICES}EVENT_LOGGER_ENABLED": "Y",
        f"{SERVICES}FOREMAN_LOOP_SECONDS": "1e1",
        f"{SERVICES}SCHEDULER_MAX_RUNS": " 50.0 ",
        f"{SERVICES}DB_VACUUM_ENABLED": '["flow_runs"]',
    }),
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Give a function that makes the files and the environment of a case, has settings read anew, and gives the folder."""

    def make(files: dict[str, str], environment: dict[str, str], folder: Path = tmp_path) -> Path:
        for name, text in {"home/empty": "", **files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        monkeypatch.chdir(folder)
        for name, text in {"PREFECT_HOME": str(folder / "home"), **environment}.items():
            monkeypatch.setenv(name, text)
        sources.sources.cache_clear()
        return folder

    yield make
    sources.sources.cache_clear()


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    """What Prefect's own loader reads in each case, and the names of its settings."""
    questions = []
    for files, environment in CASES.values():
        folder = tmp_path_factory.mktemp("case")
        for name, text in {"home/empty": "", **files}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        questions.append((str(folder), {"PREFECT_HOME": str(folder / "home"), **environment}))
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    command = [sys.executable, "-W", "ignore", "-c", ASK]
    done = subprocess.run(command, input=json.dumps(questions), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers, names = json.loads(done.stdout)
    return dict(zip(CASES, answers, strict=True)), dict(names)


def flatten(value: object, path: str) -> dict[str, object]:
    """Give what nested objects hold by path; lists sorted, for some are sets."""
    if path in SETTINGS:
        return {path: sorted(value) if isinstance(value, list) else value}
    return {name: item for key, nested in value.items() for name, item in flatten(nested, f"{path}.{key}").items()}


@pytest.mark.parametrize("case", CASES)
def test_finds_and_reads_what_prefects_own_loader_does(place, prefect, case):
    place(*CASES[case])
    theirs, without = (flatten(prefect[0][each], "server") for each in (case, "nothing"))
    ours = {path: show(setting(path)) for path in theirs}
    # What follows from other settings, and what Prefect's client adds where there is no profile.
    derived = {"server.ephemeral.enabled", "server.ui.api_url", "server.database.connection_url", "server.memo_store_path"}
    defaults = {path: show(each.default) for path, each in SETTINGS.items()}
    changed = {path for path in theirs if theirs[path] != without[path] or ours[path] != defaults[path]} - derived
    assert {path: ours[path] for path in changed} == {path: theirs[path] for path in changed}
    assert changed or case in ("nothing", "a profile that is not there")


def test_has_every_setting_of_prefects_server_by_all_its_names(prefect):
    ours = {path: set(each.variables) for path, each in SETTINGS.items() if path.startswith("server.")}
    assert {path: names for path, names in prefect[1].items() if not set(names) <= ours.get(path, set())} == {}
    assert set(ours) - set(prefect[1]) == {"server.encryption_key"}, "which Prefect reads from the environment alone"


@pytest.mark.parametrize(("name", "path", "text", "wanted"), [
    ("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "server.api.csrf_protection_enabled", "maybe", "true or false"),
    (LIMIT, "server.api.default_limit", "many", "a whole number"),
    (LIMIT, "server.api.default_limit", "1.5", "a whole number"),
    ("PREFECT_SERVER_CSRF_TOKEN_EXPIRATION", "server.api.csrf_token_expiration", "an hour", "a duration"),
    ("PREFECT_SERVER_CSRF_TOKEN_EXPIRATION", "server.api.csrf_token_expiration", "-5", "a duration"),
    (f"{SERVICES}FOREMAN_LOOP_SECONDS", "server.services.foreman.loop_seconds", "nan", "a number"),
    (f"{SERVICES}FOREMAN_LOOP_SECONDS", "server.services.foreman.loop_seconds", "0", "a number above 0"),
    ("DOWNBEAT_THREADS", "downbeat.threads", "-1", "a whole number"),
    ("DOWNBEAT_THREADS", "downbeat.threads", "0", "a whole number above 0"),
    ("DATABASE_POOL_SIZE", "database.pool_size", "0", "a whole number above 0"),
    ("DOWNBEAT_HOSTS", "downbeat.hosts", "https://downbeat.example.org", "a list of names such as"),
    ("DOWNBEAT_HOSTS", "downbeat.hosts", "downbeat.example.org,other.example.org/api", "a list of names such as"),
    ("DOWNBEAT_BIND", "downbeat.bind", "127.0.0.1", "an address such as"),
    ("DOWNBEAT_BIND", "downbeat.bind", "127.0.0.1:4200,localhost:99999", "an address such as"),
    ("DOWNBEAT_MAX_CONNECTIONS", "downbeat.max_connections", "0", "a whole number above 0"),
])  # fmt: skip
def test_ends_with_a_sentence_that_names_the_variable_whose_text_does_not_fit(place, name, path, text, wanted):
    place({}, {name: text})
    for read in (lambda: setting(path), check):
        with pytest.raises(SystemExit, match=f"{name} \\(in the environment\\) is '{text}', but {wanted}"):
            read()


def test_names_the_file_of_what_does_not_fit_and_tells_no_secret(place):
    folder = place({"prefect.toml": "[server.api]\ndefault_limit = true\nauth_string = 12345"}, {})
    with pytest.raises(SystemExit, match=r"server.api.auth_string \(in prefect.toml\) is what it is, but a text"):
        check()
    place({"prefect.toml": "", "home/profiles.toml": f'active = "a"\n[profiles.a]\n{LIMIT} = "x"'}, {})
    with pytest.raises(SystemExit, match=re.escape(f"{LIMIT} (in the profile a of {folder}/home/profiles.toml) is 'x'")):
        check()


@pytest.mark.parametrize(("name", "text", "wanted"), [
    ("DATABASE_URL", "postgresql+asyncpg://me:hush@host/name", "a connection string of libpq"),
    ("DATABASE_DIRECT_URL", "sqlite:///hush.db", "a connection string of libpq"),
    ("PREFECT_SERVER_ENCRYPTION_KEY", "hush", "a Fernet key"),
    ("ORION_ENCRYPTION_KEY", "hush" * 10, "a Fernet key"),
])  # fmt: skip
def test_does_not_start_with_a_database_or_key_that_is_none_nor_shows_it(place, name, text, wanted):
    place({}, {name: text})
    with pytest.raises(SystemExit, match=f"{name} \\(in the environment\\) is what it is, but {wanted}") as end:
        check()
    assert "hush" not in str(end.value)


@pytest.mark.parametrize("name", ["prefect.toml", "pyproject.toml", "home/profiles.toml"])
def test_does_not_start_with_a_file_that_it_cannot_read(place, name):
    place({name: "[server.api"}, {})
    with pytest.raises(SystemExit, match=f"{name} cannot be read"):
        check()


def test_does_not_overlook_a_group_of_settings_in_one_variable(place):
    place({}, {"PREFECT_SERVER_API": '{"auth_string": "me:secret"}'})
    with pytest.raises(SystemExit, match="PREFECT_SERVER_API is no setting"):
        check()


def test_ours_are_read_from_the_environment_and_dotenv_but_a_database_is_not(place):
    place(
        {".env": "DOWNBEAT_THREADS=3\nDATABASE_URL=postgresql://else\nPREFECT_SERVER_ENCRYPTION_KEY=x\nDOWNBEAT_HOSTS=a, b"}, {}
    )
    assert (setting("downbeat.threads"), setting("downbeat.hosts")) == (3, ["a", "b"])
    assert (setting("database.url"), setting("server.encryption_key")) == (None, None)
    place({}, {"DOWNBEAT_THREADS": "", "DATABASE_URL": ""})
    assert (setting("downbeat.threads"), setting("database.url")) == (3, None)


def test_gives_values_of_the_kind_that_the_table_says(place):
    place({}, {f"{SERVICES}LATE_RUNS_AFTER_SECONDS": "PT15S"})
    assert setting("server.services.late_runs.after_seconds") == timedelta(seconds=15)
    assert setting("server.api.default_limit") == 200
    assert setting("server.api.auth_string") is None


def test_listens_where_prefects_server_would_unless_told_otherwise(place):
    place({}, {})
    assert bind() == "127.0.0.1:4200"
    place({}, {"PREFECT_SERVER_API_HOST": "::1", "PREFECT_SERVER_API_PORT": "4300"})
    assert bind() == "[::1]:4300"
    place({}, {"DOWNBEAT_BIND": "unix:/run/downbeat"})
    assert bind() == "unix:/run/downbeat"


@pytest.mark.parametrize("url", [
    "postgresql+asyncpg://me:p%40ss%2Fword@db.example:5433/prefect",
    "postgresql+asyncpg://me:a/b:c?d@db.example/prefect",
    "postgresql+asyncpg://db.example/prefect",
    "postgresql+asyncpg://me@[::1]:5432/my%20db",
    "postgresql+asyncpg://me:it's+\\\\one@db.example/prefect",
])  # fmt: skip
def test_works_on_the_database_of_prefects_server(place, url):
    place({}, {"PREFECT_API_DATABASE_CONNECTION_URL": url})
    theirs = make_url(url)
    wanted = {"host": theirs.host, "port": theirs.port, "user": theirs.username, "password": theirs.password}
    # libpq decodes the name of the database, SQLAlchemy does not.
    given = conninfo_to_dict(database_url())
    assert given.pop("dbname") == theirs.database.replace("%20", " ")
    assert given == {key: str(value) for key, value in wanted.items() if value is not None}


def test_understands_what_urls_tell_asyncpg(place):
    query = "host=/run/pg&port=5433&ssl=require&prepared_statement_cache_size=0&command_timeout=5"
    place({}, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://me@/prefect?{query}"})
    expected = {"host": "/run/pg", "port": "5433", "sslmode": "require", "user": "me", "dbname": "prefect"}
    assert conninfo_to_dict(database_url()) == expected


def test_puts_the_address_of_the_database_together_as_prefect_does(place):
    name = "PREFECT_SERVER_DATABASE_"
    url = {f"{name}CONNECTION_URL": "postgresql+asyncpg://me:${PREFECT_API_DATABASE_PASSWORD}@db/p", f"{name}PASSWORD": "a%40b"}
    place({}, url)
    assert conninfo_to_dict(database_url())["password"] == "a@b"
    parts = {"DRIVER": "postgresql+asyncpg", "HOST": "db", "USER": "me", "NAME": "p q"}
    place({}, {f"{name}CONNECTION_URL": "", **{name + key: text for key, text in parts.items()}})
    assert conninfo_to_dict(database_url()) == {"host": "db", "user": "me", "dbname": "p q", "password": "a%40b"}
    place({}, {f"{name}HOST": ""})
    with pytest.raises(SystemExit, match="PREFECT_SERVER_DATABASE_HOST is not"):
        database_url()


def test_checks_the_certificate_of_the_database_where_prefect_does(place):
    tls = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_TLS_"
    url = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://db/p"}
    place({}, {**url, f"{tls}ENABLED": "true", f"{tls}CA_FILE": "/ca.pem"})
    assert conninfo_to_dict(database_url()) == {"host": "db", "dbname": "p", "sslmode": "verify-full", "sslrootcert": "/ca.pem"}
    place({}, {f"{tls}CHECK_HOSTNAME": "false"})
    assert conninfo_to_dict(database_url())["sslmode"] == "verify-ca"


def test_goes_by_its_own_database_first_and_by_none_that_is_sqlite(place):
    place({}, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////home/me/.prefect/prefect.db"})
    assert database_url() is None
    place({}, {"DATABASE_URL": "postgresql://elsewhere/db"})
    assert database_url() == direct_url() == "postgresql://elsewhere/db"
    place({}, {"DATABASE_DIRECT_URL": "postgresql://past/db"})
    assert direct_url() == "postgresql://past/db"
    place({}, {"DATABASE_URL": "", "PREFECT_SERVER_DATABASE_CONNECTION_URL": "mysql://x"})
    with pytest.raises(SystemExit, match="no URL of a PostgreSQL"):
        database_url()


def test_refuses_a_database_whose_tables_are_in_another_schema(place):
    place({}, {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://db/p",
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_SEARCH_PATH": "prefect",
    })  # fmt: skip
    with pytest.raises(SystemExit, match="schema public"):
        database_url()


def test_a_server_that_a_profile_closed_stays_closed(place):
    place({"home/profiles.toml": PROFILES}, {})
    from app import create_app

    client = create_app().test_client()
    assert client.get("/api/version").status_code == 401
    assert shown()["server"]["api"]["auth_string"] == "**********"


def test_the_environment_is_read_in_one_place():
    files = [
        ROOT / "app.py",
        ROOT / "gunicorn.conf.py",
        *(path for f in ("handlers", "schemas") for path in ROOT.glob(f"{f}/**/*.py")),
    ]
    read = {path.name for path in files if re.search(r"os\.environ(\.get\(|\[[^\]]+\](?! = ))|getenv", path.read_text())}
    assert read == {"sources.py"}


def test_the_readme_lists_the_variables_that_have_an_effect():
    files = (ROOT / "app.py", ROOT / "gunicorn.conf.py", *ROOT.glob("handlers/**/*.py"), *ROOT.glob("schemas/**/*.py"))
    text = "".join(path.read_text() for path in files)
    # What the README tells of without a row: the parts of Prefect's address of the database, and the loops.
    untold = ("server.services.", "server.database.")
    read = {path for path in re.findall(r"""\b(?:setting|given)\(["']([\w.]+)["']\)""", text) if not path.startswith(untold)}
    read |= {"server.database.connection_url"}
    # Those that are read by a name put together.
    begins = re.findall(r"""\b(?:setting|given)\(f["']([\w.]+)\{""", text)
    read |= {path for path in SETTINGS for begin in begins if path.startswith(begin) and not path.startswith(untold)}
    rows = re.findall(r"^\| (`[\w`, ]+`) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"\w+", row)}
    assert listed - {name for path in read for name in SETTINGS[path].variables} == set()
    assert [path for path in sorted(read) if not listed.intersection(SETTINGS[path].variables)] == []
