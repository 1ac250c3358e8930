"""Ask the server in this container whether it is well; fails when it is not."""

import os
import urllib.request

port = os.environ.get("DOWNBEAT_BIND", "127.0.0.1:4200").rpartition(":")[2]
base = os.environ.get("PREFECT_SERVER_API_BASE_PATH", "/api").strip("/")
urllib.request.urlopen(f"http://127.0.0.1:{port}/{base}/health", timeout=4).close()
