"""Slots over HTTP: many clients at several servers that are killed never hold more than there are, and nothing is left over."""

import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from psycopg import Connection

from sql.database import connect
from tests import downbeat_server, prefect_server
from tests.load import Client, set_state
from tests.resources import unique
from tests.slots import EXTREMES, assert_limits_were_kept, assert_nothing_is_left, count_active, insert_limit, watch
from tests.test_crash import children
from tests.waiting import PATIENCE_SECONDS

STORM_SECONDS, CLIENTS, SIZES = 12, 16, (0, 1, 2, 10)
BASE, TAG = "/v2/concurrency_limits", "narrow"

# Time flies for leases, which last a minute at least: a second is forty.
AGE = """
WITH aging AS (
     SELECT id, place FROM downbeat.concurrency_lease WHERE expires <> 'infinity' ORDER BY id, place FOR UPDATE SKIP LOCKED)
UPDATE downbeat.concurrency_lease AS lease
   SET expires = lease.expires - interval '4 seconds'
  FROM aging
 WHERE lease.id = aging.id AND lease.place = aging.place
"""

# Flow runs on their way of deployments that have a limit, and running task runs with a tag that has one, noted like leases.
RUN_WITNESS = """
CREATE TABLE run_history (number bigserial, limit_id uuid, change integer);

CREATE FUNCTION note_flow_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_history (limit_id, change)
    SELECT deployment.concurrency_limit_id,
           (NEW.state_type IN ('PENDING', 'RUNNING'))::integer - (OLD.state_type IN ('PENDING', 'RUNNING'))::integer
      FROM public.deployment
     WHERE deployment.id = NEW.deployment_id;
    RETURN NULL;
END $$;

CREATE FUNCTION note_task_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_history (limit_id, change)
    SELECT bound.id, (NEW.state_type = 'RUNNING')::integer - (OLD.state_type = 'RUNNING')::integer
      FROM public.concurrency_limit_v2 AS bound
     WHERE bound.name IN (SELECT 'tag:' || tag FROM jsonb_array_elements_text(NEW.tags) AS tag);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER note_flow_run AFTER UPDATE ON public.flow_run
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_flow_run();
CREATE CONSTRAINT TRIGGER note_task_run AFTER UPDATE ON public.task_run
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_task_run();
"""


class Span(NamedTuple):
    """A slot of a limit held by a client: from after it was granted to before the last time that it was seen to be held."""

    name: str
    began: float
    ended: float


class Caller:
    """A client that goes to any of the servers and does not repeat what got no answer."""

    def __init__(self, servers: list, seed: int):
        self.servers, self.draw, self.connection = servers, random.Random(seed), None

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Post something; gives the status and the answer, 0 and None if there is none."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(
                    urlsplit(self.draw.choice(self.servers).api).netloc, timeout=PATIENCE_SECONDS
                )
            self.connection.request("POST", f"/api{path}", json.dumps(body), {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content else None
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, None

    def close(self) -> None:
        """Hang up."""
        if self.connection:
            self.connection.close()
        self.connection = None


class Tenant:
    """A client's life: it takes slots, keeps them by renewing, gives them back or forgets them."""

    def __init__(self, servers: list, names: list[str], seed: int):
        self.caller, self.names, self.draw = Caller(servers, seed), names, random.Random(seed)
        self.done, self.held, self.forgotten, self.spans = Counter(), [], [], {}

    def live(self, stopping: threading.Event) -> None:
        """Go on until told to stop."""
        while not stopping.is_set():
            act = self.draw.choices((self.take, self.renew, self.release, self.forget, self.recall), (12, 6, 5, 4, 3))[0]
            act()
        self.caller.close()

    def post(self, noun: str, path: str, body: Any, *expected: int) -> tuple[int, Any]:
        """Post something and count what came of it; a server that dies says nothing, or that it is not available."""
        status, answer = self.caller.post(path, body)
        assert status in (0, 503, *expected), (path, status, answer)
        self.done[f"{noun} {status}"] += 1
        return status, answer

    def take(self) -> None:
        """Ask for slots."""
        names = list({*self.draw.sample(self.names, self.draw.choice((1, 1, 1, 2)), counts=(1, 2, 3, 6))})
        holder = {"type": "task_run", "id": str(uuid4())}
        body = {"names": names, "slots": 1, "lease_duration": 60, "holder": holder}
        status, answer = self.post("taken", f"{BASE}/increment-with-lease", body, 200, 422, 423)
        if status == 200:
            self.held.append((answer["lease_id"], names, time.monotonic()))

    def renew(self) -> str | None:
        """Renew a lease and give it; if it was still there the client had the slots up to now."""
        if not self.held:
            return None
        lease, names, began = self.draw.choice(self.held)
        asked = time.monotonic()
        status, _ = self.post("renewed", f"{BASE}/leases/{lease}/renew", {"lease_duration": 60}, 204, 410)
        if status == 204:
            self.spans |= {(lease, name): Span(name, began, asked) for name in names}
        elif status == 410:
            self.held = [held for held in self.held if held[0] != lease]
        return lease if status == 204 else None

    def release(self) -> None:
        """Give back a lease, after a last look whether it is still there."""
        if lease := self.renew():
            self.held = [held for held in self.held if held[0] != lease]
            self.post("released", f"{BASE}/decrement-with-lease", {"lease_id": lease}, 204)

    def forget(self) -> None:
        """Let go of a lease without giving it back."""
        if self.held:
            self.forgotten.append(self.held.pop())

    def recall(self) -> None:
        """Try to go on with a lease that was forgotten long ago; it may have run out."""
        if len(self.forgotten) > 2:
            self.held.append(self.forgotten.pop(0))


def most_at_once(spans: list[Span], name: str) -> int:
    """Give how many of the slots of a limit clients held at the same instant, at most."""
    changes = [change for span in spans if span.name == name for change in ((span.began, 1), (span.ended, -1))]
    most = held = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    return most


def start_server(url: str) -> downbeat_server.Server:
    """Start one of several servers, whose loop looks for lost slots twice a second."""
    return downbeat_server.start(
        url, workers=2, DOWNBEAT_LOOPS="on", PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS="0.5", WEB_CONCURRENCY="2"
    )


@pytest.fixture
def servers(database) -> Iterator[list[downbeat_server.Server]]:
    """Two servers on the test's own database; nothing of theirs may have failed."""
    running = [start_server(database) for _ in range(2)]
    yield running
    for server in running:
        said = server.log
        prefect_server.stop(server, signal.SIGKILL)
        assert "Traceback" not in said and "deadlock" not in said, said


def kill(servers: list[downbeat_server.Server]) -> None:
    """Kill the first server with all its processes."""
    server = servers.pop(0)
    prefect_server.stop(server, signal.SIGKILL)


def kill_some(servers: list[downbeat_server.Server], url: str, seconds: float, meanwhile: Callable[[], Any]) -> None:
    """Within so many seconds kill a process of one server, then all of the other, and start a third."""
    began, steps = time.monotonic(), [lambda: kill(servers), lambda: servers.append(start_server(url))]
    os.kill(children(servers[1].process.pid)[0], signal.SIGKILL)
    while (passed := time.monotonic() - began) < seconds:
        if steps and passed > seconds / 3:
            steps.pop(0)()
        meanwhile()
        time.sleep(0.1)
    assert not steps


def run_at_once(work: list[Callable[[threading.Event], None]], meanwhile: Callable[[], None]) -> None:
    """Do work in threads while something else is done, and then have it come to an end; raises what fails."""
    stopping = threading.Event()
    with ThreadPoolExecutor(len(work)) as threads:
        working = [threads.submit(each, stopping) for each in work]
        try:
            meanwhile()
        finally:
            stopping.set()
        for each in working:
            each.result()


def test_a_storm_of_clients_never_exceeds_a_limit_whatever_server_is_killed(database, servers):
    with connect(database) as conn:
        limits = [insert_limit(conn, size) for size in SIZES]
        watch(conn)
        tenants = [Tenant(servers, [name for _, name in limits], seed) for seed in range(CLIENTS)]
        age = lambda: conn.execute(AGE)  # noqa: E731
        run_at_once([each.live for each in tenants], lambda: kill_some(servers, database, STORM_SECONDS, age))
        done = sum((each.done for each in tenants), Counter())
        seen = ("taken 0", "taken 200", "taken 422", "taken 423", "renewed 204", "renewed 410", "released 204")
        assert all(done[act] for act in seen), done
        assert_limits_were_kept(conn, done)
        spans = [span for each in tenants for span in each.spans.values()]
        assert all(most_at_once(spans, name) <= size for (_, name), size in zip(limits, SIZES, strict=True))
        conn.execute("UPDATE downbeat.concurrency_lease SET expires = now() WHERE expires <> 'infinity'")
        assert_nothing_is_left(conn)


def test_holders_keep_their_slots_while_the_server_is_killed_and_started_again(database, servers):
    caller = Caller(servers, 0)
    with connect(database) as conn:
        id, name = insert_limit(conn, 3, name=f"tag:{unique('tag')}")
        asking = {"names": [name], "slots": 1, "lease_duration": 60}
        lease = caller.post(f"{BASE}/increment-with-lease", asking)[1]["lease_id"]
        older = {"names": [name.removeprefix("tag:")], "task_run_id": str(uuid4())}
        assert caller.post("/concurrency_limits/increment", older)[0] == 200
        run = start_run(Client(lambda: servers[0].api), conn, id)
        for _ in range(2):
            kill(servers)
        caller.close()
        assert count_active(conn, id) == 3
        servers.append(start_server(database))
        assert caller.post(f"{BASE}/increment-with-lease", asking)[0] == 423
        (run_lease,) = conn.execute("SELECT lease_id::text FROM downbeat.slots WHERE holder_id = %s", [run]).fetchone()
        for held in (lease, run_lease):
            assert caller.post(f"{BASE}/leases/{held}/renew", {"lease_duration": 60})[0] == 204
        assert caller.post(f"{BASE}/decrement-with-lease", {"lease_id": lease})[0] == 204
        assert caller.post("/concurrency_limits/decrement", older)[0] == 200
        assert count_active(conn, id) == 1
        caller.close()
        client = Client(lambda: servers[0].api)
        for type in ("RUNNING", "COMPLETED"):
            set_state(client, run, type)
        client.close()
        assert_nothing_is_left(conn)


def start_run(client: Client, conn: Connection, limit_id: str) -> str:
    """Bring a run of a deployment with that limit to where it holds a slot; gives the run's id."""
    deployment = make_deployment(client, 1)
    conn.execute("UPDATE deployment SET concurrency_limit_id = %s WHERE id = %s", [limit_id, deployment])
    run = client.post(f"/deployments/{deployment}/create_flow_run", {})["id"]
    set_state(client, run, "PENDING")
    client.close()
    return run


def make_deployment(client: Client, limit: int, strategy: str = "ENQUEUE") -> str:
    """Create a deployment with a limit; gives its id."""
    flow = client.post("/flows/", {"name": unique("flow")})["id"]
    options = {"concurrency_limit": limit, "concurrency_options": {"collision_strategy": strategy}}
    return client.post("/deployments/", {"name": unique("deployment"), "flow_id": flow, **options})["id"]


def run_runs(client: Client, deployments: list[str], seed: int, done: Counter, stopping: threading.Event) -> None:
    """Bring run after run of deployments to an end as workers do, and put off those that get no slot."""
    draw, waiting = random.Random(seed), []
    while not stopping.is_set():
        if waiting and draw.random() < 0.5:
            run = waiting.pop(0)
        else:
            run = client.post(f"/deployments/{draw.choice(deployments)}/create_flow_run", {})["id"]
        outcome = propose(client, run, "PENDING")
        done[outcome["state"]["name"]] += 1
        if outcome["state"]["name"] == "AwaitingConcurrencySlot":
            waiting.append(run)
        elif outcome["state"]["type"] == "PENDING":
            ending = draw.choice(("COMPLETED", "FAILED", "CRASHED", "CANCELLED"))
            # One that was put off has to wait before it may start, and gives its slot back all the same.
            if draw.random() < 0.7 and propose(client, run, "RUNNING")["status"] == "ACCEPT":
                done[f"task {run_task(client, run)}"] += 1
            propose(client, run, ending)
    client.close()


def run_task(client: Client, run: str) -> str:
    """Let a task with a tag run in a flow run if it gets a slot; gives what became of its start."""
    key = {"task_key": "task", "dynamic_key": str(uuid4()), "state": {"type": "PENDING"}}
    task = client.post("/task_runs/", {**key, "flow_run_id": run, "tags": [TAG]})["id"]
    outcome = propose(client, task, "RUNNING", "task_runs")
    if outcome["status"] == "ACCEPT":
        propose(client, task, "COMPLETED", "task_runs")
    return outcome["status"]


def propose(client: Client, run: str, type: str, kind: str = "flow_runs") -> dict[str, Any]:
    """Propose a state for a run until there is an answer."""
    state = {"type": type, "state_details": {"transition_id": str(uuid4())}}
    return client.post(f"/{kind}/{run}/set_state", {"state": state})


def test_runs_never_exceed_the_limits_of_deployments_and_tags_whatever_server_is_killed(database, servers):
    client, done = Client(lambda: servers[0].api), Counter()
    client.post("/concurrency_limits/", {"tag": TAG, "concurrency_limit": 2})
    deployments = [make_deployment(client, 1), make_deployment(client, 3), make_deployment(client, 2, "CANCEL_NEW")]
    client.close()
    clients = [Client(lambda number=number: servers[number % len(servers)].api) for number in range(CLIENTS)]
    with connect(database) as conn:
        watch(conn)
        conn.execute(RUN_WITNESS, prepare=False)
        run_at_once(
            [partial(run_runs, each, deployments, seed, done) for seed, each in enumerate(clients)],
            lambda: kill_some(servers, database, STORM_SECONDS, lambda: None),
        )
        assert {*done} == {"Pending", "AwaitingConcurrencySlot", "Cancelled", "task ACCEPT", "task WAIT"}, done
        assert_limits_were_kept(conn, done)
        for limit, most, least in conn.execute(EXTREMES.replace("history", "run_history")).fetchall():
            assert most == limit and least >= 0, (limit, most, least, done)
        assert conn.execute("SELECT count(*) FROM downbeat.concurrency_lease").fetchone() == (0,)
        assert conn.execute("SELECT DISTINCT active_slots FROM concurrency_limit_v2").fetchall() == [(0,)]
