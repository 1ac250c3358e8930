"""A headless Chromium for tests, driven through chromedriver's HTTP protocol (WebDriver, W3C).

    with browser.running() as chromium:
        chromium.open("http://127.0.0.1:4200/")
        chromium.click("Runs")

Nothing outside this machine is reached: other names than those of the loopback interface are not found.
"""

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.prefect_server import free_port
from tests.waiting import PATIENCE_SECONDS, wait_until

PROGRAMS = ("chromedriver", shutil.which("chromium") or shutil.which("google-chrome") or "chromium")
is_installed = all(map(shutil.which, PROGRAMS))
LOCAL = ("127.0.0.1", "localhost")
OPTIONS = [
    "--headless=new",
    "--no-sandbox",  # or it does not run as root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--window-size=1400,1000",
    f"--host-resolver-rules=MAP * ~NOTFOUND{''.join(f', EXCLUDE {name}' for name in LOCAL)}",
]
QUIET_SECONDS = 0.3
# Elements that a person sees and that hold a text or are labelled by it, the innermost of them first.
FIND = """
const wanted = arguments[0], near = arguments[1];
const shown = e => e.getClientRects().length && getComputedStyle(e).visibility !== 'hidden';
const words = e => [e.innerText, e.getAttribute('aria-label'), e.getAttribute('placeholder'), e.title]
    .map(each => (each || '').trim());
const all = root => [...root.querySelectorAll('*')].filter(shown).reverse();
const scope = near ? all(document).find(e => e.matches(near)) : document;
return scope ? all(scope).find(e => words(e).includes(wanted)) || null : null;
"""


class Browser:
    """A session of a browser. What its pages asked for and complained of is noted as it happens."""

    def __init__(self, driver: str):
        self.address = driver
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": shutil.which(PROGRAMS[1]), "args": OPTIONS},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self.command("POST", "/session", capabilities={"alwaysMatch": capabilities})
        self.address = f"{driver}/session/{session['sessionId']}"
        self.page = ""
        self.requests: dict[str, dict[str, Any]] = {}
        self.complaints: list[str] = []

    def command(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a command of WebDriver and give its value. Raises urllib's HTTPError with what is wrong in its body."""
        content = json.dumps(arguments).encode() if method == "POST" else None
        request = urllib.request.Request(self.address + path, content, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        """Open a page and wait until it has all that it asked for."""
        self.command("POST", "/url", url=url)
        self.settle()

    def leave(self) -> None:
        """Leave the page, so that nothing is asked for any more."""
        self.command("POST", "/url", url="about:blank")

    def settle(self) -> None:
        """Wait until nothing that was asked for from this machine is on its way, and nothing has been for a moment."""
        quiet_since = time.monotonic()

        def is_quiet() -> bool:
            nonlocal quiet_since
            self.take_notes()
            if self.waiting() or self.run("return document.readyState") != "complete":
                quiet_since = time.monotonic()
            return time.monotonic() > quiet_since + QUIET_SECONDS

        wait_until(is_quiet, self.waiting)

    def waiting(self) -> list[str]:
        """Give what the page has asked this machine for and not got yet; what an earlier page wanted is never told of again."""
        pending = [each["url"] for each in self.requests.values() if each["status"] is None and each["page"] == self.page]
        return [url for url in pending if is_local(url)]

    def take_notes(self) -> None:
        """Read what has happened since the last time."""
        for entry in self.command("POST", "/se/log", type="performance"):
            event = json.loads(entry["message"])["message"]
            told = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                if told["requestId"] == told["loaderId"]:
                    self.page = told["loaderId"]
                noted = {"method": told["request"]["method"], "url": told["request"]["url"], "page": told["loaderId"]}
                self.requests[told["requestId"]] = noted | {"status": None}
            elif event["method"] == "Network.responseReceived" and told["requestId"] in self.requests:
                self.requests[told["requestId"]]["status"] = told["response"]["status"]
            elif event["method"] == "Network.loadingFailed" and told["requestId"] in self.requests:
                self.requests[told["requestId"]]["status"] = "canceled" if told.get("canceled") else told["errorText"]
        for entry in self.command("POST", "/se/log", type="browser"):
            if entry["level"] == "SEVERE" and is_local(entry["message"].split()[0]):
                self.complaints.append(entry["message"])

    def faults(self) -> list[str]:
        """Give requests that failed and what the console says is wrong, since this was asked last."""
        self.take_notes()
        statuses = (200, 201, 204, 304, 307, "canceled", None)
        local = [each for each in self.requests.values() if is_local(each["url"])]
        failed = [f"{each['status']} {each['method']} {each['url']}" for each in local if each["status"] not in statuses]
        found, self.complaints, self.requests = failed + self.complaints, [], {}
        return found

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function of JavaScript in the page and give its result."""
        return self.command("POST", "/execute/sync", script=script, args=list(arguments))

    def text(self) -> str:
        """Give the text that a person sees."""
        return self.run("return document.body.innerText")

    def wait_for(self, words: str) -> None:
        """Wait until a text is seen."""
        wait_until(lambda: words in self.text(), lambda: f"{words!r} is not in: {self.text()}")

    def find(self, words: str, near: str | None = None) -> dict[str, str]:
        """Wait for an element that has exactly this text, label or placeholder, inside the last that fits the selector `near`."""
        return wait_until(lambda: self.run(FIND, words, near), lambda: f"there is no {words!r} in: {self.text()}")

    def click(self, words: str, near: str | None = None) -> None:
        """Click what `find` gives."""
        self.press(lambda: self.find(words, near))

    def press(self, find: Callable[[], dict[str, str]]) -> None:
        """Click the element that a function finds, as soon as a person could."""

        def is_pressed() -> bool:
            try:
                self.command("POST", f"/element/{next(iter(find().values()))}/click")
            except urllib.error.HTTPError as error:  # it was drawn anew, or is below something that goes away
                self.problem = error.read().decode()
                return False
            return True

        wait_until(is_pressed, lambda: self.problem)

    def type(self, element: dict[str, str], text: str) -> None:
        """Write into an element, after what is there."""
        self.command("POST", f"/element/{next(iter(element.values()))}/value", text=text)

    def select(self, selector: str) -> dict[str, str]:
        """Wait for the first element that fits a CSS selector and is seen."""
        script = "return [...document.querySelectorAll(arguments[0])].find(e => e.getClientRects().length) || null"
        return wait_until(lambda: self.run(script, selector), lambda: f"there is no {selector} in: {self.text()}")

    def screenshot(self, path: Path) -> None:
        """Save what is seen as a PNG."""
        Path(path).write_bytes(base64.b64decode(self.command("GET", "/screenshot")))


def is_local(url: str) -> bool:
    """Tell whether an address is one of this machine."""
    return urlsplit(url).hostname in LOCAL


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """Give a browser of its own for the length of a `with` block."""
    port = free_port()
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([PROGRAMS[0], f"--port={port}"], **options) as driver:
        try:
            wait_until(lambda: is_ready(port))
            browser = Browser(f"http://127.0.0.1:{port}")
            try:
                yield browser
            finally:
                browser.command("DELETE", "")
        finally:
            driver.kill()


def is_ready(port: int) -> bool:
    """Tell whether a chromedriver listens on a port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)["value"]["ready"]
    except OSError:
        return False
