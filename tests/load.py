"""A load of several clients that run flows over HTTP and repeat every request until it is answered, for crash tests."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from websockets.exceptions import WebSocketException
from websockets.protocol import State
from websockets.sync.client import connect as connect_websocket

from tests.events import make_life
from tests.waiting import PATIENCE_SECONDS, wait_until

LOGS = 10  # in a batch


class Exchange(NamedTuple):
    """A request and its answer."""

    path: str
    body: str
    status: int
    answer: Any


class Client:
    """One client: its connection, and all its requests with their answers."""

    def __init__(self, address: Callable[[], str]):
        self.address, self.connection, self.exchanges = address, None, []

    def post(self, path: str, body: Any) -> Any:
        """Post until there is an answer other than 503, as the Prefect client does; fails unless it is 200 or 201."""
        exchange = self.repeat(path, json.dumps(body))
        assert exchange.status in (200, 201), exchange
        self.exchanges.append(exchange)
        return exchange.answer

    def repeat(self, path: str, text: str) -> Exchange:
        """Send a request until there is an answer other than 503."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(urlsplit(self.address()).netloc, timeout=PATIENCE_SECONDS)
                self.connection.request("POST", f"/api{path}", text, {"Content-Type": "application/json"})
                response = self.connection.getresponse()
                content = response.read()
                if response.status != 503:
                    return Exchange(path, text, response.status, json.loads(content))
            except (OSError, http.client.HTTPException):
                self.close()
            assert time.monotonic() < deadline, f"no answer to {path}"
            time.sleep(0.02)

    def close(self) -> None:
        """Close the connection; the next request makes another."""
        if self.connection:
            self.connection.close()
        self.connection = None


def set_state(client: Client, flow_run_id: str, type: str) -> None:
    """Propose a state under a transition id of its own; the run is in it then, by this request or an earlier sending of it."""
    details = {"transition_id": str(uuid4())}
    outcome = client.post(f"/flow_runs/{flow_run_id}/set_state", {"state": {"type": type, "state_details": details}})
    assert outcome["state"]["type"] == type, outcome
    assert outcome["state"]["state_details"]["transition_id"] == details["transition_id"], outcome


def live(client: Client, flow_id: str) -> Iterator[None]:
    """Live the life of a flow run with a subflow and a batch of logs, one request at each step."""
    pending = {"type": "PENDING"}
    run = client.post("/flow_runs/", {"flow_id": flow_id, "idempotency_key": str(uuid4()), "state": {"type": "SCHEDULED"}})["id"]
    yield
    for type in ("PENDING", "RUNNING"):
        yield set_state(client, run, type)
    stand_in = {"flow_run_id": run, "task_key": "child", "dynamic_key": "0", "state": pending}
    parent = client.post("/task_runs/", stand_in)["id"]
    yield
    child = {"flow_id": flow_id, "idempotency_key": str(uuid4()), "parent_task_run_id": parent, "state": pending}
    subflow = client.post("/flow_runs/", child)["id"]
    yield
    yield set_state(client, subflow, "RUNNING")
    line = {"name": "load", "level": 20, "timestamp": "2026-11-21T04:00:00Z", "flow_run_id": run}
    yield client.post("/logs/", [{**line, "message": f"line {number}"} for number in range(LOGS)])
    yield set_state(client, subflow, "COMPLETED")
    yield set_state(client, run, "COMPLETED")


REQUESTS_OF_A_LIFE = 9


class EventClient:
    """A client that sends events of task runs on the websocket and sends again what was not confirmed."""

    def __init__(self, address: Callable[[], str]):
        self.address, self.confirmed = address, []

    def run(self, stopping: threading.Event) -> None:
        """Send life after life of task runs until told to stop; each batch until it is confirmed."""
        while not stopping.is_set():
            events = [event for _ in range(20) for event in make_life(str(uuid4()))]
            wait_until(partial(self.send, events), lambda: "events are not confirmed")
            self.confirmed += events

    def send(self, events: list[dict[str, Any]]) -> bool:
        """Send events on a connection of their own and tell whether they were confirmed."""
        try:
            with connect_websocket(
                self.address().replace("http", "ws") + "/events/in", subprotocols=["prefect"], open_timeout=PATIENCE_SECONDS
            ) as websocket:
                websocket.send(json.dumps({"type": "auth", "token": None}))
                websocket.recv(PATIENCE_SECONDS)
                for event in events:
                    websocket.send(json.dumps(event))
                answered = websocket.ping(ack_on_close=True).wait(PATIENCE_SECONDS)
                return answered and websocket.state is State.OPEN
        except (OSError, WebSocketException):
            return False


class Load:
    """Clients that run flows, and one that sends events, until they are told to stop."""

    def __init__(self, address: Callable[[], str], clients: int):
        self.clients, self.events = [Client(address) for _ in range(clients)], EventClient(address)
        self.stopping, self.failures = threading.Event(), []
        self.flow_id = self.clients[0].post("/flows/", {"name": "load"})["id"]
        works = [(self.run_flows, client) for client in self.clients] + [(self.events.run, self.stopping)]
        self.threads = [threading.Thread(target=self.keep_failure, args=work, daemon=True) for work in works]
        for thread in self.threads:
            thread.start()

    def keep_failure(self, work: Callable, *arguments: Any) -> None:
        """Do a client's work; a failure is kept for the test."""
        try:
            work(*arguments)
        except BaseException as error:
            self.failures.append(error)

    def run_flows(self, client: Client) -> None:
        """Run flows one after the other."""
        while not self.stopping.is_set():
            for _ in live(client, self.flow_id):
                pass

    def wait_for_answers(self, number: int) -> None:
        """Wait until each client has this many more answers than now, and events were confirmed."""
        counts = [client.exchanges for client in self.clients] + [self.events.confirmed]
        wanted = [len(count) + number for count in counts]

        def are_there() -> bool:
            assert not self.failures, self.failures
            return all(len(count) >= least for count, least in zip(counts, wanted, strict=True))

        wait_until(are_there, lambda: "the load does not get on")

    def stop(self) -> None:
        """Let each client end the run that it is at."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
        for client in self.clients:
            client.close()
        assert not self.failures, self.failures
