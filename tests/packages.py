"""A package that is made like Prefect's published one, and is small."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from app import main
from handlers.domain.prefect_files import PLACEHOLDER

BASE = PLACEHOLDER.decode()
SCRIPT = f'import "{BASE}/assets/other.js";' + "0;" * 1000 + f'fetch("{BASE}/ui-settings")'
WORKERS = {"prefect": {"process": {"type": "process"}, "prefect-agent": {"type": "prefect-agent"}}}
FILES = {
    "prefect/__init__.py": "raise SystemExit('The package was imported.')",
    "prefect/server/ui/index.html": f'<script src="{BASE}/assets/one.js"></script>v1',
    "prefect/server/ui/assets/one.js": SCRIPT,
    "prefect/server/ui/assets/one.js.map": "{}",
    "prefect/server/ui/ico/site.webmanifest": "{}",
    "prefect/server/ui-v2/index.html": f'<base href="{BASE}/">v2',
    "prefect/server/ui-v2/assets/two.js": "0;" * 1000,
    "prefect/server/api/server.py": "",
    "prefect/server/api/collections_data/views/aggregate-worker-metadata.json": json.dumps(WORKERS),
}


def make_wheel(path: Path, block_types: dict[str, Any] | None = None) -> Path:
    """Write a wheel with these block types of one integration."""
    with ZipFile(path, "w") as package:
        for name, content in FILES.items():
            package.writestr(name, content)
        blocks = {"collections": {"prefect-made-up": {"block_types": block_types or {}}}}
        package.writestr("prefect/server/collection_blocks_data.json", json.dumps(blocks))
    return path


def install(folder: Path, monkeypatch, **content: Any) -> Path:
    """Install the files of such a wheel where the server looks for them, and give that path."""
    path = folder / "share" / "ui.zip"
    monkeypatch.setenv("DOWNBEAT_UI_FILES", str(path))
    assert main(["ui", str(make_wheel(folder / "prefect-3.8.3-py3-none-any.whl", **content))]) is None
    return path
