"""The description of the API, compared with that of Prefect's server, and the pages that show it without network."""

import gzip
import json
import re
import subprocess
import sys

import pytest

from app import create_app
from tests.contract import condense
from tests.downbeat_server import ROOT

PREFIXES = ("", "/api")
# Operations of Prefect's that are not there yet.
MISSING = {
    "DELETE /automations/{id}",
    "GET /automations/{id}",
    "PATCH /automations/{id}",
    "POST /automations/",
    "POST /automations/count",
    "POST /automations/filter",
    "POST /automations/templates/validate",
    "POST /task_workers/filter",
    "POST /templates/validate",
    "PUT /automations/{id}",
}
# Prefect takes it and does nothing with it.
WITHOUT_EFFECT = {
    ("POST /v2/concurrency_limits/increment", "body create_if_missing"),
    ("POST /v2/concurrency_limits/decrement", "body create_if_missing"),
}


@pytest.fixture(scope="module")
def browser():
    """Flask's client on an application that has no database: what is served here needs none."""
    return create_app().test_client()


def test_every_operation_takes_what_prefects_takes(browser):
    prefects = json.loads((ROOT / "tests/contract/operations.json").read_text(encoding="utf-8"))
    ours = condense(browser.get("/openapi.json").json)
    assert prefects.keys() - ours.keys() == MISSING
    assert ours.keys() <= prefects.keys()
    for operation, taken in ours.items():
        wanted = {name: needed for name, needed in prefects[operation].items() if (operation, name) not in WITHOUT_EFFECT}
        assert taken == wanted, operation


def test_names_of_operations_differ_and_all_references_lead_somewhere(browser):
    document = browser.get("/openapi.json").json
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(set(names)) == len(names)
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred == document["components"]["schemas"].keys()


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_a_page_asks_for_nothing_but_files_of_this_server(browser, prefix, page):
    answer = browser.get(f"{prefix}/{page}")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert "//" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    files = re.findall(r'"(?:\./)?([\w/]+\.(?:js|css|json))"', answer.text)
    assert len(files) >= 2
    for file in files:
        found = browser.get(f"{prefix}/{file}")
        assert found.status_code == 200 and len(found.data) > 10_000
        assert found.headers["Content-Type"].startswith(
            {"js": "text/javascript", "css": "text/css", "json": "application/json"}[file.rpartition(".")[2]]
        )
    assert browser.get(f"{prefix}/docs/scalar.js").status_code == 404


def test_a_browser_that_has_it_is_not_sent_it_again(browser):
    plain = browser.get("/openapi.json")
    packed = browser.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    again = browser.get("/openapi.json", headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_all_is_below_the_path_that_the_api_is_at(monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_API_BASE_PATH", "/flows-of/us/api")
    browser = create_app().test_client()
    document = browser.get("/flows-of/us/api/openapi.json").json
    assert document["servers"] == [{"url": "/flows-of/us/api"}]
    assert "/flows/" in document["paths"]
    assert browser.get("/flows-of/us/api/docs").status_code == 200


def test_only_the_pages_below_the_api_ask_for_credentials(monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:secret")
    browser = create_app().test_client()
    assert [browser.get(f"{prefix}/openapi.json").status_code for prefix in PREFIXES] == [200, 401]
    assert browser.get("/openapi.json").json["security"] == [{"credentials": []}]
    assert browser.get("/api/docs", auth=("me", "secret")).status_code == 200


def test_a_server_starts_without_what_makes_the_description():
    code = "import sys, app; app.create_app(); print([name for name in ('apispec', 'offapi') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"
