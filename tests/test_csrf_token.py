"""The checks before every request, as settings switch them: credentials and CSRF tokens, with the real client too."""

import base64
import os
import subprocess
import sys
from datetime import datetime, timezone

import pytest

from app import create_app
from sql.database import connect
from tests import downbeat_server
from tests.waiting import PATIENCE_SECONDS

FLOW = """
from prefect import flow, task
@task
def double(x): return 2 * x
@flow(log_prints=True)
def doubled():
    print("hello from the flow")
    return double(21)
assert doubled() == 42
"""


@pytest.fixture
def guarded(client, monkeypatch):
    """Give a function that makes a client of another application with these settings, on the same database."""

    def make(**variables):
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        return create_app().test_client()

    return make


@pytest.fixture
def protected(guarded):
    """A client of an application that asks for CSRF tokens."""
    return guarded(PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true")


def write(client, **headers):
    """Send a request that changes something."""
    return client.post("/api/flows/", json={"name": "f"}, headers=headers)


def with_token(token: str, client: str) -> dict[str, str]:
    """Give the headers that carry a token."""
    return {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}


def test_says_that_csrf_protection_is_off(client):
    answer = client.get("/api/csrf-token?client=a")
    assert (answer.status_code, answer.json) == (422, {"detail": "CSRF protection is disabled."})


def test_asks_for_no_token_when_csrf_protection_is_off(client):
    assert write(client).status_code == 201


@pytest.mark.parametrize("query", ["", "?client=a%00b"])
def test_gives_no_token_without_a_client(protected, query):
    answer = protected.get("/api/csrf-token" + query)
    assert answer.status_code == 422
    assert answer.json["exception_detail"][0]["loc"] == ["query", "client"]


def test_takes_a_request_with_its_clients_token(protected):
    answer = protected.get("/api/csrf-token?client=a")
    assert answer.status_code == 200
    assert list(answer.json) == ["id", "created", "updated", "token", "client", "expiration"]
    assert write(protected, **with_token(answer.json["token"], "a")).status_code in (200, 201)


def test_takes_only_the_latest_token_of_a_client(protected):
    first, second = (protected.get("/api/csrf-token?client=a").json for _ in range(2))
    assert first["id"] == second["id"]
    assert write(protected, **with_token(first["token"], "a")).status_code == 403
    assert write(protected, **with_token(second["token"], "a")).status_code in (200, 201)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_refuses_a_change_without_a_token(protected, method):
    answer = protected.open("/api/admin/storage", method=method)
    assert (answer.status_code, answer.json) == (403, {"detail": "Missing CSRF token."})


def test_refuses_a_token_without_a_client(protected):
    answer = write(protected, **{"Prefect-Csrf-Token": "x"})
    assert (answer.status_code, answer.json) == (403, {"detail": "Missing client identifier."})


def test_refuses_the_token_of_another_client(protected):
    token = protected.get("/api/csrf-token?client=a").json["token"]
    answer = write(protected, **with_token(token, "b"))
    assert answer.status_code == 403
    assert "Invalid CSRF token" in answer.json["detail"]


def test_refuses_a_token_with_characters_that_none_has(protected):
    protected.get("/api/csrf-token?client=a")
    assert write(protected, **with_token("\xe9", "a")).status_code == 403


def test_asks_for_no_token_to_read(protected):
    assert protected.get("/api/admin/storage").status_code == 200


def test_tokens_last_as_long_as_is_set(guarded):
    client = guarded(PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true", PREFECT_SERVER_CSRF_TOKEN_EXPIRATION="PT10M")
    token = client.get("/api/csrf-token?client=a").json
    given, expires = (datetime.fromisoformat(token[key].replace("Z", "+00:00")) for key in ("updated", "expiration"))
    assert (expires - given).total_seconds() == 600
    assert expires > datetime.now(timezone.utc)


def test_refuses_and_forgets_tokens_that_have_expired(protected, module_database):
    token = protected.get("/api/csrf-token?client=late").json["token"]
    with connect(module_database) as conn:
        conn.execute("UPDATE csrf_token SET expiration = now() - interval '1 second' WHERE client = 'late'")
        assert write(protected, **with_token(token, "late")).status_code == 403
        protected.get("/api/csrf-token?client=other")
        assert conn.execute("SELECT count(*) FROM csrf_token WHERE client = 'late'").fetchone() == (0,)


def test_asks_for_the_credentials_that_are_set(guarded):
    client = guarded(PREFECT_SERVER_API_AUTH_STRING="me:größe")
    right = "Basic " + base64.b64encode("me:größe".encode()).decode()
    assert client.get("/api/hello", headers={"Authorization": right}).status_code == 200
    for wrong in (None, "", "Basic", right[:-1], right.replace("Basic", "Bearer"), "Basic ===", "\xe9"):
        answer = client.get("/api/hello", headers={} if wrong is None else {"Authorization": wrong})
        assert (answer.status_code, answer.json) == (401, {"exception_message": "Unauthorized"})


def test_asks_probes_for_no_credentials(guarded):
    client = guarded(PREFECT_SERVER_API_AUTH_STRING="me:secret")
    assert client.get("/api/health").status_code == 200
    assert client.get("/api/ready").status_code == 200
    for path in ("/api/version", "/api/admin/settings", "/api/nothing", "/api/nothing/health", "/api/health/"):
        assert client.get(path).status_code == 401
    assert client.get("/api/hello", headers={"Connection": "Upgrade", "Upgrade": "websocket"}).status_code == 401


@pytest.mark.parametrize(
    ("server_settings", "client_settings"),
    [
        ({}, {}),
        ({"PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true"}, {}),
        ({"PREFECT_SERVER_API_AUTH_STRING": "me:secret"}, {"PREFECT_API_AUTH_STRING": "me:secret"}),
    ],
    ids=["open", "csrf", "auth"],
)
def test_the_real_client_runs_a_flow(database, tmp_path, server_settings, client_settings):
    with downbeat_server.running(database, workers=2, **server_settings) as server:
        environment = {key: text for key, text in os.environ.items() if not key.startswith("PREFECT_")}
        environment |= {"PREFECT_API_URL": server.api, "PREFECT_HOME": str(tmp_path), "HOME": str(tmp_path), **client_settings}
        done = subprocess.run(
            [sys.executable, "-c", FLOW], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stderr + server.log
        assert "Traceback" not in server.log, server.log
    with connect(database) as conn:
        assert conn.execute("SELECT state_type FROM flow_run").fetchall() == [("COMPLETED",)]
        assert conn.execute("SELECT count(*) FROM log WHERE message = 'hello from the flow'").fetchone() == (1,)
        tokens = conn.execute("SELECT count(*) FROM csrf_token").fetchone()[0]
    assert (tokens > 0) == ("PREFECT_SERVER_CSRF_PROTECTION_ENABLED" in server_settings)
