"""Counts the lines of the project without its tests: python -m tests.lines

Code is what is left without blank lines, comments, docstrings and imports.
"""

import ast
import subprocess
from collections import Counter
from pathlib import Path

SUFFIXES = (".py", ".sql")


def uncounted(text: str) -> set[int]:
    """Give the numbers of the lines of a Python file that are docstrings or imports."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if is_docstring or isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= set(range(node.lineno, node.end_lineno + 1))
    return found


def count(path: Path) -> tuple[int, int]:
    """Give a file's lines, and those of them that are code."""
    text = path.read_text(encoding="utf-8")
    left_out, comment = (uncounted(text), "#") if path.suffix == ".py" else (set(), "--")
    lines = enumerate(text.splitlines(), 1)
    code = [line for number, line in lines if line.strip() and not line.strip().startswith(comment) and number not in left_out]
    return len(text.splitlines()), len(code)


def main() -> None:
    """Print the lines of each folder and of all."""
    names = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [path for path in map(Path, names) if path.suffix in SUFFIXES and path.parts[0] != "tests" and path.exists()]
    lines, code = Counter(), Counter()
    for path in paths:
        for folder in {str(path.parent), "all"}:
            whole, part = count(path)
            lines[folder] += whole
            code[folder] += part
    for folder in sorted(lines, key=lambda folder: (folder == "all", folder)):
        print(f"{lines[folder]:6} lines, {code[folder]:6} of code  {folder}")
    if longest := [f"{path} ({count(path)[0]})" for path in paths if count(path)[0] > 400]:
        print("longer than 400 lines:", ", ".join(longest))


if __name__ == "__main__":
    main()
