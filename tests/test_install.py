"""What `make` installs: versions that the locks name, with the hashes of their files."""

import re
import sys

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.downbeat_server import ROOT

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
    for name, asked in {"requirements.lock": always, "requirements-test.lock": always + for_tests}.items():
        locked = read_lock(name, python, system)
        wanted = [each for each in map(Requirement, asked) if is_for(each.marker, python, system)]
        missing = [str(each) for each in wanted if locked.get(canonicalize_name(each.name), "") not in each.specifier]
        assert missing == [], f"{name} is older than pyproject.toml: make lock"
    assert locked.items() >= read_lock("requirements.lock", python, system).items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_a_lock_says_nothing_but_versions_and_their_hashes(name):
    text = (ROOT / name).read_text()
    rest = PINNED.sub("", text).splitlines()
    assert [line for line in rest if not line.startswith("#")] == []
    assert "://" not in text
