"""Who may import whom: handlers lean on rules, rules on SQL, and nothing leans back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("app", "handlers", "schemas", "sql", "tests")
MODULES = [*sorted(path for folder in OURS[1:4] for path in (ROOT / folder).rglob("*.py")), ROOT / "app.py"]

# By the longest prefix of a module's name: what it may import of ours, also by prefix.
BELOW = ("handlers.errors", "schemas", "sql")
MAY_IMPORT = {
    "app": OURS[:4],
    "handlers": ("handlers", *BELOW),
    "handlers.errors": (),
    "handlers.http": ("handlers.http", *BELOW),
    "handlers.sandbox": ("handlers.sandbox",),  # what runs in the child process, and the pool of these
    "handlers.sandbox.pool": ("handlers.sandbox", *BELOW),
    "handlers.domain": ("handlers.domain", "handlers.sandbox", *BELOW),
    "handlers.rules": ("handlers.rules", "handlers.domain", "handlers.sandbox", *BELOW),
    "handlers.streams": ("handlers.streams", "handlers.http", "handlers.domain", *BELOW),
    "handlers.loops": ("handlers.loops", "handlers.rules", "handlers.domain", *BELOW),
    "schemas": ("schemas",),
    "sql": ("sql",),
}


def module_name(path: Path) -> str:
    """Give the name by which a file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    """Tell whether a dotted name is one of the prefixes or below one."""
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)


def imports(path: Path) -> Iterator[str]:
    """Give the full names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_only_what_is_below_it(path):
    name = module_name(path)
    allowed = MAY_IMPORT[max((prefix for prefix in MAY_IMPORT if within(name, (prefix,))), key=len)]
    wrong = [other for other in imports(path) if within(other, OURS) and not within(other, allowed)]
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_flask_is_known_only_to_the_application_and_its_blueprints(path):
    if any(within(other, ("flask", "flask_sock", "werkzeug")) for other in imports(path)):
        assert path == ROOT / "app.py" or path.parent in (ROOT / "handlers", ROOT / "handlers/http")


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[-2] != "sql"], ids=module_name)
def test_sql_is_executed_only_under_sql(path):
    calls = [
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert not {"execute", "executemany", "send_query"} & set(calls)
