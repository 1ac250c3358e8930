"""The files of the web interface over HTTP: how they are packed, found, cached and compressed, and where they are served."""

import gzip
import json
import subprocess
import sys
from zipfile import ZipFile

import pytest

from app import create_app, main
from handlers.domain.prefect_files import PACKAGE, PLACEHOLDER, SHA256
from tests.downbeat_server import ROOT
from tests.packages import BASE, SCRIPT, install, make_wheel

PAGE = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The path of the files, installed where the server looks for them."""
    return install(tmp_path, monkeypatch)


@pytest.fixture
def browser(installed):
    """Flask's client on an application that has no database: what is served here needs none."""
    return create_app().test_client(use_cookies=False)


@pytest.fixture
def below(installed, monkeypatch):
    """The same where all is below a path, as behind a proxy."""
    monkeypatch.setenv("PREFECT_UI_SERVE_BASE", "/flows-of/us/")
    monkeypatch.setenv("PREFECT_SERVER_API_BASE_PATH", "/flows-of/us/api")
    return create_app().test_client(use_cookies=False)


def test_only_what_is_served_is_packed(installed):
    with ZipFile(installed) as packed:
        names = set(packed.namelist())
        assert names == {
            "ui/index.html",
            "ui/assets/one.js",
            "ui/ico/site.webmanifest",
            "ui-v2/index.html",
            "ui-v2/assets/two.js",
            "api/collections_data/views/aggregate-worker-metadata.json",
            "collection_blocks_data.json",
        }
        assert PLACEHOLDER not in b"".join(map(packed.read, names))


def test_nothing_of_the_package_is_imported(tmp_path):
    wheel = make_wheel(tmp_path / "prefect-3.8.3-py3-none-any.whl")
    code = "import sys, app; app.main(['ui', sys.argv[1]]); app.create_app(); sys.exit('prefect' in sys.modules)"
    environment = {"DOWNBEAT_UI_FILES": str(tmp_path / "ui.zip"), "PYTHONPATH": str(wheel)}
    subprocess.run([sys.executable, "-c", code, str(wheel)], cwd=ROOT, env=environment, check=True)


@pytest.mark.parametrize("content", [None, b"no archive", {"prefect/server/ui/index.html": ""}])
def test_a_file_that_is_no_package_is_refused_and_what_was_installed_stays(installed, tmp_path, content):
    before, other = installed.read_bytes(), tmp_path / "other.whl"
    if isinstance(content, bytes):
        other.write_bytes(content)
    elif content:
        with ZipFile(other, "w") as package:
            package.writestr(*next(iter(content.items())))
    assert main(["ui", str(other)])
    assert installed.read_bytes() == before
    assert [path.name for path in installed.parent.iterdir()] == [installed.name]


def test_the_package_is_the_one_that_the_tests_run_against():
    locked = (ROOT / "tests/requirements.lock").read_text(encoding="utf-8")
    assert SHA256 in locked.partition(f"\n{PACKAGE} ")[2].split("==")[0]


def test_a_package_that_cannot_be_fetched_is_told_of_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("DOWNBEAT_UI_FILES", str(tmp_path / "ui.zip"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert main(["ui"]).startswith("The web UI could not be fetched: ERROR: No matching distribution")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/runs/flow-run/1.5", "v1"),
        ("/v2", "v2"),
        ("/v2/", "v2"),
        ("/v2/runs", "v2"),
        ("/v2x/assets-of-mine", "v1"),
        ("/apiary", "v1"),
        ("/ui/index.html", "v1"),
    ],
)
def test_a_path_that_is_no_file_is_a_page_of_its_application(browser, path, content):
    answer = browser.get(path, headers=PAGE)
    assert (answer.status_code, answer.mimetype, answer.text[-2:]) == (200, "text/html", content)
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/flow_runs", "/assets/gone.js", "/assets/one.js.map", "/v2/assets/one.js"]
)
def test_what_the_applications_fetch_is_not_answered_with_a_page(browser, path):
    answer = browser.get(path, headers=PAGE)
    assert answer.status_code in (404, 405)
    assert "detail" in answer.json


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_api_answers_for_its_own_unknown_paths(browser, method):
    assert browser.open("/api/nothing", method=method).status_code == 404
    assert browser.open("/api/flow_runs/filter", method="GET").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../collection_blocks_data.json",
        "/%2e%2e/collection_blocks_data.json",
        "/v2/../../collection_blocks_data.json",
        "/..%2fcollection_blocks_data.json",
        "/collection_blocks_data.json",
        "/etc/passwd",
        "/%2fetc%2fpasswd",
        "/..\\collection_blocks_data.json",
    ],
)
def test_no_path_leads_out_of_the_applications(browser, path):
    answer = browser.get(path)
    assert "collections" not in answer.text and "root:" not in answer.text
    assert answer.status_code in (200, 308)
    if answer.status_code == 200:
        assert answer.text.endswith(("v1", "v2"))


def test_a_script_is_kept_for_good_and_compressed_for_those_who_take_it(browser):
    plain = browser.get("/assets/one.js")
    packed = browser.get("/assets/one.js", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    refused = browser.get("/assets/one.js", headers={"Accept-Encoding": "gzip;q=0"})
    assert plain.text == refused.text == SCRIPT.replace(BASE, "")
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 10
    assert packed.headers["Content-Encoding"] == "gzip"
    for answer in (plain, packed, refused):
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.mimetype == "text/javascript"
        assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert "Content-Encoding" not in plain.headers and "Content-Encoding" not in refused.headers


def test_who_has_a_file_is_not_sent_it_again(browser):
    first = browser.get("/v2/runs")
    for known in (first.headers["ETag"], f'"other", {first.headers["ETag"]}', first.headers["ETag"].removeprefix("W/"), "*"):
        again = browser.get("/v2/runs", headers={"If-None-Match": known, "Accept-Encoding": "gzip"})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Cache-Control"] == "no-cache"
    assert browser.get("/v2/runs", headers={"If-None-Match": '"other"'}).status_code == 200
    assert browser.get("/runs").headers["ETag"] != first.headers["ETag"]


def test_head_gives_the_headers_of_get(browser):
    for path in ("/runs", "/assets/one.js", "/ui-settings"):
        got, headed = (ask(path, headers={"X-Request-Id": "one"}) for ask in (browser.get, browser.head))
        assert (headed.status_code, headed.data, headed.headers) == (200, b"", got.headers)


def test_a_person_who_opens_the_root_comes_to_the_application_of_their_choice(browser, monkeypatch):
    unknown = PAGE | {"Cookie": "prefect_ui_version=v3"}
    for sent in (PAGE, {"Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Dest": "document"}, unknown):
        answer = browser.get("/?tab=1&q=%20", headers=sent)
        assert (answer.status_code, answer.headers["Location"]) == (307, "/v2/?tab=1&q=%20")
    assert browser.get("/", headers=PAGE).headers["Location"] == "/v2/"
    assert browser.get("/").text.endswith("v1")
    assert browser.get("/", headers=PAGE | {"Cookie": "prefect_ui_version=v1"}).text.endswith("v1")
    monkeypatch.setenv("PREFECT_SERVER_UI_V2_ENABLED", "false")
    assert browser.get("/", headers=PAGE).text.endswith("v1")
    assert browser.get("/ui-settings").json["default_ui"] == "v1"
    assert browser.get("/", headers=PAGE | {"Cookie": "prefect_ui_version=v2"}).headers["Location"] == "/v2/"


def test_says_where_the_api_is_by_the_host_that_was_asked(browser, monkeypatch):
    settings = browser.get("/ui-settings", headers={"Host": "localhost:4200"})
    assert settings.headers["Cache-Control"] == "no-store"
    assert settings.json == {
        "api_url": "http://localhost:4200/api",
        "csrf_enabled": False,
        "auth": None,
        "flags": [],
        "default_ui": "v2",
        "available_uis": ["v1", "v2"],
        "v1_base_url": "/",
        "v2_base_url": "/v2",
    }
    assert browser.get("/ui-settings", base_url="https://127.0.0.1").json["api_url"] == "https://127.0.0.1/api"
    monkeypatch.setenv("PREFECT_UI_API_URL", "https://flows.example.org/api")
    assert browser.get("/ui-settings").json["api_url"] == "https://flows.example.org/api"


def test_all_can_be_below_a_path(below):
    settings = below.get("/flows-of/us/ui-settings").json
    assert settings["api_url"] == "http://localhost/flows-of/us/api"
    assert (settings["v1_base_url"], settings["v2_base_url"]) == ("/flows-of/us", "/flows-of/us/v2")
    assert below.get("/flows-of/us/api/health").json is True
    assert below.get("/flows-of/us/", headers=PAGE).headers["Location"] == "/flows-of/us/v2/"
    assert below.get("/flows-of/us/v2/runs").text == '<base href="/flows-of/us/v2/">v2'
    for encoding in ("identity", "gzip", "gzip"):
        answer = below.get("/flows-of/us/assets/one.js", headers={"Accept-Encoding": encoding})
        content = gzip.decompress(answer.data) if encoding == "gzip" else answer.data
        assert content.decode() == SCRIPT.replace(BASE, "/flows-of/us")
    for path in ("/", "/api/health", "/ui-settings", "/v2/runs", "/flows-of/us/api/nothing"):
        assert below.get(path).status_code == 404
    assert below.post("/flows-of/us/api/nothing").status_code == 404


def test_a_file_changes_with_the_path_below_which_it_is_served(browser, monkeypatch):
    known = browser.get("/runs").headers["ETag"]
    monkeypatch.setenv("PREFECT_UI_SERVE_BASE", "/us")
    assert create_app().test_client().get("/us/runs").headers["ETag"] != known


@pytest.mark.parametrize("base", ["", "/", "//"])
def test_no_base_path_is_the_root(installed, monkeypatch, base):
    monkeypatch.setenv("PREFECT_UI_SERVE_BASE", base)
    assert create_app().test_client().get("/ui-settings").json["v1_base_url"] == "/"


@pytest.mark.parametrize(("base", "v1", "v2"), [("/v2", "/", "/v2"), ("us/v2/", "/us", "/us/v2")])
def test_the_base_path_of_the_second_application_may_be_set_instead(installed, monkeypatch, base, v1, v2):
    monkeypatch.setenv("PREFECT_UI_SERVE_BASE", base)
    settings = create_app().test_client().get(f"{v1.rstrip('/')}/ui-settings").json
    assert (settings["v1_base_url"], settings["v2_base_url"]) == (v1, v2)


def test_credentials_are_asked_for_by_the_application_and_not_for_its_files(installed, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:secret")
    browser = create_app().test_client()
    assert browser.get("/ui-settings").json["auth"] == "BASIC"
    for path in ("/", "/v2/runs", "/assets/one.js"):
        assert browser.get(path).status_code == browser.head(path).status_code == 200
    assert browser.get("/api/admin/version").status_code == 401
    assert browser.get("/api/nothing").status_code == 401


def test_without_the_files_a_page_says_what_to_do_and_finds_them_once_they_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv("DOWNBEAT_UI_FILES", str(tmp_path / "share" / "ui.zip"))
    browser = create_app().test_client()
    page = browser.get("/", headers={"Host": "127.0.0.1:4200"})
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "downbeat ui" in page.text and "http://127.0.0.1:4200/api" in page.text
    assert browser.get("/v2/runs", headers=PAGE).status_code == 404
    assert json.loads(browser.get("/api/health").data) is True
    install(tmp_path, monkeypatch)
    assert browser.get("/v2/runs", headers=PAGE).text.endswith("v2")


def test_can_be_switched_off(installed, monkeypatch):
    monkeypatch.setenv("PREFECT_UI_ENABLED", "false")
    browser = create_app().test_client()
    assert {browser.get(path).status_code for path in ("/", "/v2/", "/ui-settings", "/runs")} == {404}
    assert browser.get("/api/health").status_code == 200
