"""What every client asks: whether the server is well, which version it is, its settings and default storage."""

import pytest
from psycopg.conninfo import make_conninfo

from app import create_app
from schemas.settings import CLIENTS
from sql import database as db
from sql.database import connect

BLOCK = "0f6e5c1a-6d2e-4a9c-8c39-3f5b8f8f7d11"


def make_block(database: str, capabilities: str) -> None:
    """Put a block document with these capabilities (JSON) in place of all others."""
    with connect(database) as conn:
        conn.execute("DELETE FROM block_type")
        conn.execute(
            "WITH type AS (INSERT INTO block_type (name, slug, is_protected) VALUES ('T', 't', false) RETURNING id),"
            " schema AS (INSERT INTO block_schema (checksum, fields, capabilities, version, block_type_id)"
            " SELECT 'sha256:x', '{}', %s::jsonb, '1', id FROM type RETURNING id, block_type_id)"
            " INSERT INTO block_document (id, name, data, is_anonymous, block_schema_id, block_type_id, block_type_name)"
            " SELECT %s, 'results', '{}', false, id, block_type_id, 'T' FROM schema",
            [capabilities, BLOCK],
        )


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/api/health", True),
        ("/api/ready", {"message": "OK"}),
        ("/api/hello", "👋"),
        ("/api/version", "0.8.4"),
        ("/api/admin/version", "3.8.3"),
        ("/api/admin/storage", {"default_result_storage_block_id": None}),
    ],
)
def test_answers_what_every_client_asks(client, path, content):
    answer = client.get(path)
    assert (answer.status_code, answer.json) == (200, content)
    assert answer.content_type == "application/json"


def test_is_not_ready_without_its_database(cluster, monkeypatch):
    monkeypatch.setattr("handlers.root.PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(db, "pool", None)
    db.open_pool(make_conninfo(cluster, dbname="there_is_no_such_database"), 1)
    try:
        with create_app().test_client() as client:
            answer = client.get("/api/ready")
            assert (answer.status_code, answer.json) == (503, {"message": "Database is not available"})
            assert client.get("/api/health").status_code == 200
    finally:
        db.close_pool()


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/api/nothing", 404, "Not Found"),
        ("GET", "/nothing", 404, "Page not found"),
        ("GET", "/api/flow_runs/not-a-uuid", 404, "Not Found"),
        ("DELETE", "/api/health", 405, "Method Not Allowed"),
    ],
)
def test_answers_unknown_paths_and_methods_in_json(client, method, path, status, detail):
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.json) == (status, {"detail": detail})


@pytest.mark.parametrize("version", ["0.8.0", "0.8.4", "0.10.0", "1.0.0", ""])
def test_serves_clients_of_its_api_version_and_newer(client, version):
    assert client.get("/api/hello", headers={"X-PREFECT-API-VERSION": version}).status_code == 200


def test_refuses_clients_of_an_older_api_version(client):
    answer = client.get("/api/hello", headers={"X-PREFECT-API-VERSION": "0.0.1"})
    required = "The request specified API version 0.0.1 but this server requires version 0.8.0 or higher."
    assert (answer.status_code, answer.json) == (400, {"detail": required})


@pytest.mark.parametrize("version", ["x", "0.8", "0.8.4.1", "0.8.x", "..", "9" * 5000 + ".0.0"])
def test_refuses_a_malformed_api_version(client, version):
    answer = client.get("/api/hello", headers={"X-PREFECT-API-VERSION": version})
    assert answer.status_code == 400
    assert answer.json["detail"].startswith("Invalid X-PREFECT-API-VERSION header format.")


def test_tells_its_health_and_version_to_clients_of_any_version(client):
    old = {"X-PREFECT-API-VERSION": "0.0.1"}
    assert client.get("/api/health", headers=old).status_code == 200
    assert client.get("/api/version", headers=old).status_code == 200
    assert client.get("/api/nothing", headers=old).status_code == 404


def test_keeps_the_default_storage(client, module_database):
    make_block(module_database, '["write-path", "read-path"]')
    chosen = {"default_result_storage_block_id": BLOCK}
    for _ in range(2):
        answer = client.put("/api/admin/storage", json=chosen)
        assert (answer.status_code, answer.json) == (200, chosen)
    assert client.get("/api/admin/storage").json == chosen
    with connect(module_database) as conn:
        rows = conn.execute("SELECT value FROM configuration WHERE key = 'server-default-result-storage'").fetchall()
    assert rows == [(chosen,)]
    for _ in range(2):
        assert client.delete("/api/admin/storage").status_code == 204
    assert client.get("/api/admin/storage").json == {"default_result_storage_block_id": None}


def test_refuses_to_store_results_in_a_block_that_cannot(client, module_database):
    make_block(module_database, '["get-directory"]')
    answer = client.put("/api/admin/storage", json={"default_result_storage_block_id": BLOCK})
    assert answer.status_code == 422
    assert BLOCK in answer.json["detail"]
    assert client.get("/api/admin/storage").json == {"default_result_storage_block_id": None}


def test_refuses_to_store_results_in_a_block_that_does_not_exist(client):
    missing = BLOCK.replace("0", "f")
    answer = client.put("/api/admin/storage", json={"default_result_storage_block_id": missing})
    assert (answer.status_code, answer.json) == (404, {"detail": f"Block document {missing} not found"})


@pytest.mark.parametrize("content", [{}, {"default_result_storage_block_id": None}, {"default_result_storage_block_id": "x"}])
def test_refuses_a_default_storage_that_is_no_id(client, content):
    answer = client.put("/api/admin/storage", json=content)
    assert answer.status_code == 422
    assert answer.json["exception_detail"][0]["loc"] == ["body", "default_result_storage_block_id"]


def test_shows_the_default_settings(client):
    shown = client.get("/api/admin/settings").json
    assert [key for key in shown if key not in CLIENTS] == ["server"]
    assert shown["server"]["api"]["default_limit"] == 200
    assert shown["server"]["events"]["retention_period"] == "P7D"


def test_shows_what_is_set_and_hides_secrets(client, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "1234")
    monkeypatch.setenv("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "True")
    monkeypatch.setenv("PREFECT_SERVER_API_DEFAULT_LIMIT", "50")
    monkeypatch.setenv("PREFECT_API_SERVICES_LATE_RUNS_AFTER_SECONDS", "2592000")
    shown = client.get("/api/admin/settings").json["server"]
    assert shown["api"]["auth_string"] == "**********"
    assert shown["api"]["csrf_protection_enabled"] is True
    assert shown["api"]["default_limit"] == 50
    assert shown["services"]["late_runs"]["after_seconds"] == "P30D"
