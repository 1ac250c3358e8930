"""Write operations.json from an openapi.json."""

import json
import sys
from pathlib import Path

from tests.contract import condense

operations = condense(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
lines = (f"{json.dumps(name)}: {json.dumps(taken)}" for name, taken in operations.items())
Path(__file__).with_name("operations.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
