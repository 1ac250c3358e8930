"""The web interface in a browser, on a database with runs of every state, as a person uses it."""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests import browser
from tests.downbeat_server import running
from tests.resources import created, make_flow, make_flow_run, make_task_run
from tests.waiting import wait_until

INSTALLED_UI_FILES = str(Path(sys.prefix, "share", "downbeat", "ui.zip"))
pytestmark = pytest.mark.skipif(
    not (browser.is_installed and Path(INSTALLED_UI_FILES).exists()),
    reason="needs chromium, chromedriver and the files of the web UI (make test installs these)",
)

STATES = ("SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLING", "CANCELLED", "PAUSED")
MENU = "button[aria-haspopup=menu]"
# Pages of each resource in both applications, where they differ from one another in more than what is shown.
PAGES = (
    "/v2/dashboard",
    "/v2/runs",
    "/v2/runs/flow-run/{flow_run}?tab=TaskRuns",
    "/v2/runs/task-run/{task_run}",
    "/v2/flows/flow/{flow}",
    "/v2/deployments/deployment/{deployment}",
    "/v2/work-pools/work-pool/machines",
    "/v2/work-pools/create",
    "/v2/blocks/catalog",
    "/v2/artifacts/artifact/{artifact}",
    "/dashboard",
    "/runs/flow-run/{flow_run}",
    "/work-pools/work-pool/machines",
    "/blocks/catalog",
)


@pytest.fixture(scope="module")
def ids(client) -> dict[str, str]:
    """A run of every state and one thing of each other kind."""
    flow = make_flow(client, name="etl-orders")
    created(client, "work_pools", name="machines", type="process")
    start = datetime.now(timezone.utc)
    schedule = {"schedule": {"interval": 3600, "anchor_date": start.isoformat()}, "active": True}
    deployment = created(
        client, "deployments", name="every-night", flow_id=flow["id"], work_pool_name="machines", schedules=[schedule]
    )
    for type in STATES:
        state = {"type": type}
        if type == "PAUSED":
            state["state_details"] = {"pause_timeout": (start + timedelta(hours=1)).isoformat()}
        flow_run = make_flow_run(client, flow, name=f"run-{type.lower()}", state=state)
        task_run = make_task_run(client, flow_run, name=f"task-{type.lower()}", state={"type": type})
    artifact = created(
        client,
        "artifacts",
        key="report",
        type="markdown",
        data="# Report",
        flow_run_id=flow_run["id"],
        task_run_id=task_run["id"],
    )
    client.post("/api/block_types/install_system_block_types")
    made = {"flow": flow, "deployment": deployment, "flow_run": flow_run, "task_run": task_run, "artifact": artifact}
    return {kind: thing["id"] for kind, thing in made.items()}


@pytest.fixture(scope="module")
def origin(module_database, ids) -> str:
    """The address of a server on them."""
    with running(module_database, DOWNBEAT_UI_FILES=INSTALLED_UI_FILES) as server:
        yield server.api.removesuffix("/api")


@pytest.fixture(scope="module")
def chromium():
    """A browser."""
    with browser.running() as chromium:
        yield chromium


@pytest.fixture(autouse=True)
def no_faults(chromium):
    """Each test ends without a request that failed and without a complaint on the console."""
    chromium.faults()
    yield
    assert chromium.faults() == []


def open_menu(chromium, row: str | None = None) -> None:
    """Open the menu of a page, or of the row of a table that has this text."""
    if row is None:
        chromium.press(lambda: chromium.select(MENU))
    else:
        script = "return [...document.querySelectorAll('tr')].find(e => e.innerText.includes(arguments[0]))"
        chromium.press(lambda: chromium.run(f"{script}.querySelector(arguments[1])", row, MENU))


def choose(chromium, *words: str, row: str | None = None) -> None:
    """Choose from a menu, and press what the dialog that comes then has."""
    open_menu(chromium, row)
    for word, place in zip(words, ("[role=menu]", "[role=dialog], [role=alertdialog]"), strict=False):
        chromium.click(word, place)


def wait_for_state(client, flow_run_id: str, name: str) -> None:
    """Wait until a flow run is in a state."""
    wait_until(lambda: client.get(f"/api/flow_runs/{flow_run_id}").json["state"]["name"] == name)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_all_that_it_asks_for(chromium, origin, ids, path):
    chromium.open(origin + path.format(**ids))
    assert len(chromium.text()) > 100


def test_the_root_leads_to_the_dashboard_under_each_name_of_this_machine(chromium, origin):
    for address in (origin, origin.replace("127.0.0.1", "localhost")):
        chromium.open(address)
        assert chromium.run("return location.href").startswith(f"{address}/v2/dashboard")
        chromium.wait_for("machines")


def test_all_is_there_below_a_path_too(chromium, module_database, ids):
    paths = {"PREFECT_UI_SERVE_BASE": "/flows", "PREFECT_SERVER_API_BASE_PATH": "/flows/api"}
    with running(module_database, DOWNBEAT_UI_FILES=INSTALLED_UI_FILES, **paths) as server:
        for path in ("/v2/flows", "/flows"):
            chromium.open(server.api.removesuffix("/api") + path)
            chromium.wait_for("etl-orders")
        # The second asks for its icon at the root, as it does at Prefect's server.
        assert all("/favicon.ico" in fault for fault in chromium.faults())
        chromium.leave()


def test_credentials_are_asked_for(chromium, module_database, ids):
    settings = {"DOWNBEAT_UI_FILES": INSTALLED_UI_FILES, "PREFECT_SERVER_API_AUTH_STRING": "admin:secret"}
    with running(module_database, **settings) as server:
        chromium.open(server.api.removesuffix("/api") + "/v2/dashboard")
        chromium.faults()  # among them the 401 by which it knows
        chromium.type(chromium.select("input[type=password]"), "admin:secret")
        chromium.press(lambda: chromium.select("button[type=submit]"))
        chromium.wait_for("machines")
        chromium.leave()


def test_a_flow_run_is_started_suspended_resumed_and_cancelled(chromium, client, origin, ids):
    chromium.open(f"{origin}/v2/deployments/deployment/{ids['deployment']}")
    chromium.click("Run")
    chromium.click("Quick run")
    mine = {"deployments": {"id": {"any_": [ids["deployment"]]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    run = wait_until(lambda: client.post("/api/flow_runs/filter", json=mine).json)[0]["id"]
    for type in ("PENDING", "RUNNING"):
        assert client.post(f"/api/flow_runs/{run}/set_state", json={"state": {"type": type}}).json["status"] == "ACCEPT"
    for before, words, after in (
        ("Running", ("Pause", "Pause Flow Run"), "Suspended"),
        ("Suspended", ("Resume", "Resume"), "Resuming"),
        ("Running", ("Cancel", "Cancel Flow Run"), "Cancelling"),
    ):
        if before == "Running":
            client.post(f"/api/flow_runs/{run}/set_state", json={"state": {"type": "RUNNING"}, "force": True})
        chromium.open(f"{origin}/v2/runs/flow-run/{run}")
        chromium.wait_for(before)
        choose(chromium, *words)
        wait_for_state(client, run, after)


def test_a_change_of_state_arrives_on_an_open_page(chromium, client, origin):
    run = make_flow_run(client, state={"type": "RUNNING"})["id"]
    chromium.open(f"{origin}/v2/runs/flow-run/{run}")
    chromium.wait_for("Running")
    client.post(f"/api/flow_runs/{run}/set_state", json={"state": {"type": "COMPLETED"}})
    chromium.wait_for("Completed")


def test_a_schedule_is_switched(chromium, client, origin, ids):
    chromium.open(f"{origin}/v2/deployments/deployment/{ids['deployment']}")

    def is_active() -> bool:
        return client.get(f"/api/deployments/{ids['deployment']}").json["schedules"][0]["active"]

    chromium.press(lambda: chromium.select("button[role=switch]"))
    wait_until(lambda: not is_active())
    chromium.select("button[role=switch][aria-checked=false]:enabled")
    chromium.press(lambda: chromium.select("button[role=switch]"))
    wait_until(is_active)


def test_a_variable_is_made_changed_and_deleted(chromium, client, origin):
    chromium.open(f"{origin}/v2/variables")
    chromium.click("Add variable")
    chromium.type(chromium.select("[role=dialog] input[name=name]"), "region")
    chromium.type(chromium.select("[role=dialog] [contenteditable]"), "1")
    chromium.click("Create", "[role=dialog]")
    chromium.wait_for("region")
    choose(chromium, "Edit", row="region")
    chromium.type(chromium.select("[role=dialog] [contenteditable]"), "2")
    chromium.click("Save", "[role=dialog]")
    wait_until(lambda: client.get("/api/variables/name/region").json["value"] != 1)
    choose(chromium, "Delete", "Delete", row="region")
    wait_until(lambda: client.get("/api/variables/name/region").status_code == 404)


def test_a_limit_is_made_changed_and_deleted(chromium, client, origin):
    chromium.open(f"{origin}/v2/concurrency-limits")
    chromium.click("add global concurrency limit")
    chromium.type(chromium.select("[role=dialog] input[name=name]"), "database")
    chromium.type(chromium.select("[role=dialog] input[name=limit]"), "4")
    chromium.click("Save", "[role=dialog]")
    chromium.wait_for("database")
    before = client.get("/api/v2/concurrency_limits/database").json["limit"]
    choose(chromium, "Edit", row="database")
    chromium.type(chromium.select("[role=dialog] input[name=limit]"), "2")
    chromium.click("Update", "[role=dialog]")
    wait_until(lambda: client.get("/api/v2/concurrency_limits/database").json["limit"] != before)
    choose(chromium, "Delete", "Delete", row="database")
    wait_until(lambda: client.get("/api/v2/concurrency_limits/database").status_code == 404)


def test_a_block_is_made_changed_and_deleted(chromium, client, origin):
    chromium.open(f"{origin}/v2/blocks/catalog/secret/create")
    chromium.type(chromium.select("input[name=blockName]"), "password")
    chromium.type(chromium.select("form input[type=password]"), "before")
    chromium.click("Save", "form")
    path = "/api/block_types/slug/secret/block_documents/name/password?include_secrets=true"
    wait_until(lambda: client.get(path).status_code == 200)
    assert client.get(path).json["data"] == {"value": "before"}
    # Before it saves, it asks whether the name is taken.
    assert all("404" in fault and "/name/password" in fault for fault in chromium.faults())
    choose(chromium, "Edit")
    chromium.type(chromium.select("form input[type=password]"), "after")
    chromium.click("Save", "form")
    wait_until(lambda: client.get(path).json["data"]["value"].endswith("after"))
    choose(chromium, "Delete", "Delete")
    wait_until(lambda: client.get(path).status_code == 404)
