"""Where settings are found: the places in which Prefect 3.8.3 looks for its own, in its order (read in and asked of it).

1. the environment, 2. `.env`, 3. `prefect.toml` and 4. the table `tool.prefect` of `pyproject.toml`, all three in the
working directory, 5. the active profile in `profiles.toml` of PREFECT_HOME. The files are read once in a process's life. Of
ours `.env` may set those of DOWNBEAT_; a DATABASE_URL in it may well be that of somebody else's program.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dotenv import dotenv_values

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ONLY_ENVIRONMENT = ("database.", "web.", "server.encryption_key")


class Sources(NamedTuple):
    """What the files say: variables by name, tables as nested dictionaries. All with the file that they are from."""

    variables: tuple[tuple[str, dict[str, Any]], ...]
    tables: tuple[tuple[str, dict[str, Any]], ...]
    profile: tuple[str, dict[str, Any]]


def find(path: str, names: list[str]) -> tuple[Any, str | None]:
    """Give what is said of a setting, and a name for where; (None, None) if nothing is. An empty text says nothing of ours."""
    is_prefects = path.startswith("server.")
    files = Sources((), (), ("", {})) if path.startswith(ONLY_ENVIRONMENT) else sources()
    for file, values in (("the environment", os.environ), *files.variables):
        for name in names:
            if (value := values.get(name)) is not None and (value or is_prefects):
                return value, f"{name} (in {file})"
    if is_prefects:
        for file, table in files.tables:
            if (value := look_up(table, path)) is not None:
                return value, f"{path} (in {file})"
        file, profile = files.profile
        for name in names:
            if (value := profile.get(name)) is not None:
                return value, f"{name} (in {file})"
    return None, None


@cache
def sources() -> Sources:
    """Read the files. Ends the process with a sentence if one cannot be read, for it may have been to close the server."""
    # Prefect takes names in any case.
    odd = {name.upper(): value for name, value in os.environ.items() if not name.isupper()}
    dotenv = {name.upper(): value for name, value in read_dotenv().items()}
    prefect = read_toml(Path("prefect.toml"))
    project = look_up(read_toml(Path("pyproject.toml")), "tool.prefect") or {}
    given = os.environ.get("PREFECT_PROFILES_PATH") or dotenv.get("PREFECT_PROFILES_PATH")
    given = given or prefect.get("profiles_path") or project.get("profiles_path")
    home = os.environ.get("PREFECT_HOME") or os.path.expanduser("~/.prefect")
    profiles = Path(given or Path(home, "profiles.toml"))
    content = read_toml(profiles)
    name = os.environ.get("PREFECT_PROFILE") or content.get("active")
    profile = look_up(content, "profiles")
    return Sources(
        (("the environment", odd), (".env", dotenv)),
        (("prefect.toml", prefect), ("pyproject.toml", project)),
        (f"the profile {name} of {profiles}", (profile or {}).get(name) or {}),
    )


def read_dotenv() -> dict[str, str | None]:
    """Read `.env`, if there is one."""
    try:
        return dotenv_values(".env") if Path(".env").is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"The settings in .env cannot be read: {error}") from None


def read_toml(file: Path) -> dict[str, Any]:
    """Read a file of TOML; empty if there is none."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SystemExit(f"The settings in {file} cannot be read: {error}") from None


def look_up(table: Any, path: str) -> Any:
    """Give what a path leads to in nested tables, or None."""
    for key in path.split("."):
        table = table.get(key) if isinstance(table, dict) else None
    return table
