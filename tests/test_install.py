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


def read_lock(name: str, python: str, system: str) -> dict[str, str]:
    """Give the versions of a lock by the names of the packages, as a Python on a system would install them."""
    environment = {"python_full_version": f"{python}.9", "python_version": python, "sys_platform": system}
    versions = {}
    for package, version, marker, _ in PINNED.findall((ROOT / name).read_text()):
        if not marker or Marker(marker).evaluate(environment):
            assert package not in versions
            versions[package] = version
    return versions


@pytest.mark.parametrize("system", ["linux", "darwin"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_hold_what_the_project_asks_for(python, system):
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())
    always = asked["project"]["dependencies"] + asked["build-system"]["requires"]
    runtime, test = (read_lock(name, python, system) for name in ("requirements.lock", "requirements-test.lock"))
    for requirement in map(Requirement, always):
        assert runtime[canonicalize_name(requirement.name)] in requirement.specifier, requirement
    for requirement in map(Requirement, asked["project"]["optional-dependencies"]["test"]):
        assert test[canonicalize_name(requirement.name)] in requirement.specifier, requirement
    assert test.items() >= runtime.items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_a_lock_says_nothing_but_versions_and_their_hashes(name):
    text = (ROOT / name).read_text()
    rest = PINNED.sub("", text).splitlines()
    assert [line for line in rest if not line.startswith("#")] == []
    assert "://" not in text
