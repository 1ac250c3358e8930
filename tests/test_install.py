"""What `make` and pip install: versions that the locks name, with the hashes of their files, and one folder of ours."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.downbeat_server import ROOT
from tests.prefect_server import free_port, is_healthy
from tests.waiting import PATIENCE_SECONDS, wait_until

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest needs it there

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def is_for(marker: Marker | str | None, python: str, system: str) -> bool:
    """Tell whether a marker lets a Python on a system have something."""
    environment = {"python_full_version": f"{python}.9", "python_version": python, "sys_platform": system}
    return not marker or Marker(str(marker)).evaluate(environment)


def read_lock(name: str, python: str, system: str) -> dict[str, str]:
    """Give the versions of a lock by the names of the packages, as a Python on a system would install them."""
    found = PINNED.findall((ROOT / name).read_text())
    pairs = [(package, version) for package, version, marker, _ in found if is_for(marker, python, system)]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize("system", ["linux", "darwin"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_hold_what_the_project_asks_for(python, system):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    always = project["project"]["dependencies"] + project["build-system"]["requires"]
    for_tests = project["project"]["optional-dependencies"]["test"]
    for name, asked in {"requirements.lock": always, "tests/requirements.lock": always + for_tests}.items():
        locked = read_lock(name, python, system)
        wanted = [each for each in map(Requirement, asked) if is_for(each.marker, python, system)]
        missing = [str(each) for each in wanted if locked.get(canonicalize_name(each.name), "") not in each.specifier]
        assert missing == [], f"{name} is older than pyproject.toml: make lock"
    assert locked.items() >= read_lock("requirements.lock", python, system).items()


@pytest.mark.parametrize("name", ["requirements.lock", "tests/requirements.lock"])
def test_a_lock_says_nothing_but_versions_and_their_hashes(name):
    text = (ROOT / name).read_text()
    rest = PINNED.sub("", text).splitlines()
    assert [line for line in rest if not line.startswith("#")] == []
    assert "://" not in text


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the project, made of a copy."""
    source, made = tmp_path_factory.mktemp("source") / "downbeat", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "tests", "build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", made, source]
    subprocess.run(command, check=True, timeout=PATIENCE_SECONDS, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return next(made.glob("downbeat-*.whl"))


def test_a_wheel_has_all_of_it_in_one_folder(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    files = [path.relative_to(ROOT) for folder in ("handlers", "schemas", "sql") for path in (ROOT / folder).rglob("*")]
    wanted = {f"downbeat/{path}" for path in files if path.suffix in (".py", ".sql", ".json")}
    assert wanted | {"downbeat/app.py", "downbeat/gunicorn.conf.py"} <= held
    assert {name.partition("/")[0] for name in held} == {"downbeat", re.match(r"downbeat-[\d.]+", wheel.name)[0] + ".dist-info"}


def test_a_server_runs_from_a_wheel(wheel, database, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    port, environment = free_port(), {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "PREFECT_HOME": str(tmp_path), "DATABASE_URL": database}
    command = [sys.executable, "-c", "from downbeat.app import console; console()"]
    serving = {"DOWNBEAT_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1"}
    with subprocess.Popen([*command, "serve"], cwd=tmp_path, env=environment | serving) as server:
        try:
            wait_until(lambda: is_healthy(port) or server.poll() is not None)
            assert server.poll() is None
        finally:
            server.terminate()
    done = subprocess.run(
        [*command, "explain", "POST /api/flows/filter", "{}"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "-- flows.page" in done.stdout
