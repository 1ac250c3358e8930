"""Sequences about what every client asks first."""

from tests.differential import Step


def with_version(version: str, path: str = "/admin/version", method: str = "GET", body: object = None) -> Step:
    """Ask with another version of the API in the header."""
    return Step(method, path, body, headers={"X-PREFECT-API-VERSION": version})


SEQUENCES = {
    "plain": [
        Step("GET", "/health"),
        Step("GET", "/ready"),
        Step("GET", "/hello"),
        Step("GET", "/version"),
        Step("GET", "/admin/version"),
        Step("GET", "/admin/storage"),
        Step("GET", "/csrf-token?client={uuid.client}"),
        Step("GET", "/csrf-token"),
    ],
    "storage": [
        Step("PUT", "/admin/storage", {"default_result_storage_block_id": "{uuid.none}"}),
        Step("PUT", "/admin/storage", {}),
        Step("DELETE", "/admin/storage"),
        Step("GET", "/admin/storage"),
    ],
    "api_version": [
        with_version("0.8.0"),
        with_version("0.8.4", "/flows/count", "POST", {"flows": {"id": {"any_": []}}}),
        with_version("1.0.0"),
        with_version("0.0.1"),
        with_version("0.7.99"),
        with_version("0.7.99", "/flows/count", "POST", {}),
        with_version("0.0.1", "/health"),
        with_version("0.0.1", "/hello"),
        with_version("0.0.1", "/ready"),
        with_version("0.0.1", "/version"),
        with_version("0.0.1", "/csrf-token?client=x"),
        with_version("nonsense"),
        with_version("0.8"),
        with_version(""),
        with_version("0.8.4.1"),
    ],
    "unknown_paths": [
        Step("GET", "/nothing"),
        Step("POST", "/nothing", {}),
        Step("GET", "/flows/{uuid.none}/nothing"),
        Step("GET", "/flows/filter"),
        Step("DELETE", "/flows/count"),
        Step("PUT", "/flow_runs/{uuid.none}", {}),
        Step("GET", ""),
        Step("GET", "/"),
        Step("POST", "/health"),
        Step("GET", "/flow_runs//set_state"),
    ],
}
