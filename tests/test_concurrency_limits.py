"""Operations under /concurrency_limits: the limits of tags, which are the same as those named after them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from psycopg import Connection, errors

from sql.database import connect
from tests.resources import NOBODY, problems, unique
from tests.slots import count_active, insert_limit
from tests.waiting import wait_for_waiter

BASE, NEWER = "/api/concurrency_limits", "/api/v2/concurrency_limits"
FIELDS = ["id", "created", "updated", "tag", "concurrency_limit", "active_slots"]
LOCK = "SELECT FROM {} WHERE id = %s FOR UPDATE"


@pytest.fixture
def committed(module_database):
    """A connection that sees what the server committed, outside of any transaction."""
    with connect(module_database) as conn:
        yield conn


def make_limit(client, limit: int = 1, tag: str | None = None) -> dict[str, Any]:
    """Create the limit of a tag, a unique one unless one is given."""
    answer = client.post(f"{BASE}/", json={"tag": tag or unique("tag"), "concurrency_limit": limit})
    assert answer.status_code == 201, answer.text
    return answer.json


def insert_older(conn: Connection, limit: int = 1, tag: str | None = None) -> dict[str, Any]:
    """Insert a limit as Prefect kept it before limits had names."""
    tag = tag or unique("older")
    statement = "INSERT INTO concurrency_limit (tag, concurrency_limit) VALUES (%s, %s) RETURNING id::text"
    return {"id": conn.execute(statement, [tag, limit]).fetchone()[0], "tag": tag}


def ask(client, verb: str, *limits: dict[str, Any], run: str | None = None):
    """Take (`increment`) or give back (`decrement`) a slot of limits for a task run."""
    body = {"names": [limit["tag"] for limit in limits], "task_run_id": run or str(uuid4())}
    return client.post(f"{BASE}/{verb}", json=body)


def acquire(client, *limits: dict[str, Any], run: str) -> str:
    """Lease a slot of each limit to a task run as the client does; gives the lease."""
    body = {"names": [f"tag:{limit['tag']}" for limit in limits], "slots": 1, "holder": {"type": "task_run", "id": run}}
    answer = client.post(f"{NEWER}/increment-with-lease", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json["lease_id"]


def renew(client, lease: str) -> int:
    """Renew a lease; gives the status."""
    return client.post(f"{NEWER}/leases/{lease}/renew").status_code


def holders(client, limit: dict[str, Any]) -> list[str]:
    """Give who holds slots of a limit."""
    return client.get(f"{BASE}/tag/{limit['tag']}").json["active_slots"]


def test_a_limit_is_made_once_and_changed_after_that(client):
    limit = make_limit(client, 3)
    assert list(limit) == FIELDS
    assert client.get(f"{BASE}/{limit['id']}").json == client.get(f"{BASE}/tag/{limit['tag']}").json == limit
    answer = client.post(f"{BASE}/", json={"tag": limit["tag"], "concurrency_limit": 5})
    assert answer.status_code == 200
    assert answer.json == {**limit, "concurrency_limit": 5, "updated": answer.json["updated"]}
    assert answer.json["updated"] > limit["updated"]
    assert client.get(f"{NEWER}/tag:{limit['tag']}").json["limit"] == 5


def test_the_limit_of_a_tag_is_the_one_named_after_it(client):
    tag = unique("tag")
    newer = client.post(f"{NEWER}/", json={"name": f"tag:{tag}", "limit": 2, "active": False}).json
    assert client.get(f"{BASE}/tag/{tag}").json["id"] == newer["id"]
    client.post(f"{BASE}/", json={"tag": tag, "concurrency_limit": 9})
    shown = client.get(f"{NEWER}/{newer['id']}").json
    assert (shown["limit"], shown["active"]) == (9, False)
    other = client.post(f"{NEWER}/", json={"name": unique("other"), "limit": 2}).json
    assert client.get(f"{BASE}/{other['id']}").status_code == 404


@pytest.mark.parametrize("key", ["id", "tag"])
def test_a_limit_is_deleted_with_what_is_leased_of_it(client, committed, key):
    limit, other, run = make_limit(client, 2), make_limit(client), str(uuid4())
    alone, both = acquire(client, limit, run=run), acquire(client, limit, other, run=run)
    address = f"{BASE}/{limit['id']}" if key == "id" else f"{BASE}/tag/{limit['tag']}"
    assert client.delete(address).status_code == 200
    assert client.delete(address).status_code == client.get(address).status_code == 404
    assert client.get(f"{NEWER}/{limit['id']}").status_code == 404
    assert (renew(client, alone), renew(client, both)) == (410, 204)
    assert count_active(committed, other["id"]) == 1
    held = committed.execute("SELECT count(*) FROM downbeat.concurrency_lease WHERE limit_id = %s", [limit["id"]])
    assert held.fetchone() == (0,)


def test_the_list_is_by_tag_in_pages_and_has_no_limits_but_those_of_tags(client, committed):
    others = [insert_limit(committed, name=unique("about"))[1] for _ in range(210)]
    tags = sorted([make_limit(client, tag=unique(letter))["tag"] for letter in "cab"])
    older, replaced = insert_older(committed, tag=unique("bb")), insert_older(committed, tag=tags[0])
    expected = sorted([*tags, older["tag"]])
    listed = client.post(f"{BASE}/filter").json
    assert [limit["tag"] for limit in listed if limit["tag"] in expected] == expected
    assert replaced["id"] not in {limit["id"] for limit in listed}
    everything = [limit["tag"] for limit in listed]
    assert everything == sorted(everything)
    assert not {*others} & {*everything}
    page = client.post(f"{BASE}/filter", json={"limit": 2, "offset": 1}).json
    assert page == listed[1:3]


def test_what_happens_to_a_limit_is_recorded_as_events(client, committed):
    limit, older = make_limit(client), insert_older(committed, 7)
    client.post(f"{BASE}/", json={"tag": limit["tag"], "concurrency_limit": 4})
    for each in (limit, older):
        client.delete(f"{BASE}/tag/{each['tag']}")
    statement = "SELECT event, payload FROM events WHERE resource ->> 'prefect.resource.name' = %s ORDER BY occurred, id"
    payload = {"name": f"tag:{limit['tag']}", "active": True, "slot_decay_per_second": 0}
    assert committed.execute(statement, [f"tag:{limit['tag']}"]).fetchall() == [
        ("prefect.concurrency-limit.created", {**payload, "limit": 1}),
        ("prefect.concurrency-limit.updated", {**payload, "limit": 4}),
        ("prefect.concurrency-limit.deleted", {**payload, "limit": 4}),
    ]
    assert committed.execute(statement, [older["tag"]]).fetchall() == [
        ("prefect.concurrency-limit.deleted", {"tag": older["tag"], "concurrency_limit": 7})
    ]


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("", {"concurrency_limit": 1}, "body.tag"),
        ("", {"tag": "a/b", "concurrency_limit": 1}, "body.tag"),
        ("", {"tag": "a"}, "body.concurrency_limit"),
        ("", {"tag": "a", "concurrency_limit": -1}, "body.concurrency_limit"),
        ("", {"tag": "a", "concurrency_limit": 10**10}, "body.concurrency_limit"),
        ("", {"tag": "a", "concurrency_limit": 1, "active_slots": []}, "body.active_slots"),
        ("filter", {"limit": 201}, "body.limit"),
        ("filter", {"offset": -1}, "body.offset"),
        ("tag/a/reset", {"slot_override": ["x"]}, "body.slot_override.0"),
        ("tag/a/reset", {"slot_override": NOBODY}, "body.slot_override"),
        ("increment", {"task_run_id": NOBODY}, "body.names"),
        ("increment", {"names": [1], "task_run_id": NOBODY}, "body.names.0"),
        ("increment", {"names": ["a"]}, "body.task_run_id"),
        ("decrement", {"names": ["a"], "task_run_id": "x"}, "body.task_run_id"),
    ],
)
def test_what_makes_no_sense_is_refused_naming_the_field(client, path, body, place):
    assert problems(client.post(f"{BASE}/{path}", json=body)) == [place]


def test_limits_that_are_not_there_are_not_found(client):
    for address in (f"{BASE}/{NOBODY}", f"{BASE}/tag/{unique('nobody')}", f"{BASE}/x"):
        assert client.get(address).status_code == client.delete(address).status_code == 404
    assert client.post(f"{BASE}/tag/{unique('nobody')}/reset").status_code == 404


def test_task_runs_hold_slots_of_all_tags_or_of_none(client, committed):
    small, large, first, second = make_limit(client), make_limit(client, 9), str(uuid4()), str(uuid4())
    answer = ask(client, "increment", large, {"tag": unique("nobody")}, small, run=first)
    assert answer.json == [
        {"id": large["id"], "name": large["tag"], "limit": 9},
        {"id": small["id"], "name": small["tag"], "limit": 1},
    ]
    refused = ask(client, "increment", large, small, run=second)
    assert (refused.status_code, refused.headers["Retry-After"], list(refused.json)) == (423, "10.0", ["detail"])
    assert (holders(client, small), holders(client, large)) == ([first], [first])
    assert ask(client, "increment", large, run=second).status_code == 200
    assert ask(client, "decrement", large, run=first).json == [
        {"id": large["id"], "name": f"tag:{large['tag']}", "limit": 9},
    ]
    assert (holders(client, small), holders(client, large)) == ([], [second])
    assert (count_active(committed, small["id"]), count_active(committed, large["id"])) == (0, 1)


def test_a_limit_of_zero_lets_nobody_pass_and_does_not_say_when_to_come_back(client, committed):
    for limit in (make_limit(client, 0), insert_older(committed, 0)):
        refused = ask(client, "increment", make_limit(client), limit)
        assert (refused.status_code, "Retry-After" in refused.headers) == (423, False)


def test_what_no_limit_holds_leaves_no_lease(client, committed):
    run, limit = str(uuid4()), make_limit(client)
    client.patch(f"{NEWER}/{limit['id']}", json={"active": False})
    assert ask(client, "increment", limit, {"tag": unique("nobody")}, run=run).json == []
    held = committed.execute("SELECT count(*) FROM downbeat.concurrency_lease WHERE holder_id = %s", [run])
    assert held.fetchone() == (0,)


def test_slots_are_held_until_they_are_given_back_and_no_renewal_is_needed(client, committed):
    limit, run = make_limit(client), str(uuid4())
    ask(client, "increment", limit, run=run)
    statement = "SELECT until = 'infinity' FROM downbeat.slots WHERE limit_id = %s"
    assert committed.execute(statement, [limit["id"]]).fetchall() == [(True,)]


def test_what_a_task_run_has_leased_is_given_back_by_its_tags(client):
    one, two, run, other = make_limit(client, 2), make_limit(client, 2), str(uuid4()), str(uuid4())
    lease, kept = acquire(client, one, two, run=run), acquire(client, one, run=other)
    assert ask(client, "decrement", one, run=run).status_code == 200
    assert (holders(client, one), holders(client, two)) == ([other], [])
    assert (renew(client, lease), renew(client, kept)) == (410, 204)


def test_a_reset_takes_all_slots_and_gives_them_to_those_who_are_named(client, committed):
    limit, other, run, others = make_limit(client), make_limit(client), str(uuid4()), [str(uuid4()) for _ in range(3)]
    lease = acquire(client, limit, run=run)
    path = f"{BASE}/tag/{limit['tag']}/reset"
    assert client.post(path).status_code == 200
    assert (holders(client, limit), count_active(committed, limit["id"]), renew(client, lease)) == ([], 0, 410)
    lease = acquire(client, limit, other, run=run)
    assert client.post(path, json={"slot_override": others}).status_code == 200
    assert (holders(client, limit), count_active(committed, limit["id"])) == (others, 3)
    assert (holders(client, other), renew(client, lease)) == ([run], 204)
    for each in others:
        assert ask(client, "increment", limit).status_code == 423
        ask(client, "decrement", limit, run=each)
    assert ask(client, "increment", limit).status_code == 200


def test_an_older_limit_holds_until_there_is_a_newer_one(client, committed):
    older, first, second = insert_older(committed, 1), str(uuid4()), str(uuid4())
    assert client.get(f"{BASE}/{older['id']}").json["tag"] == older["tag"]
    assert ask(client, "increment", older, run=first).json == [{"id": older["id"], "name": older["tag"], "limit": 1}]
    assert ask(client, "increment", older, run=second).status_code == 423
    assert (ask(client, "decrement", older, run=second).json, holders(client, older)) == ([], [first])
    newer = make_limit(client, 1, tag=older["tag"])
    assert client.get(f"{BASE}/tag/{older['tag']}").json["id"] == newer["id"]
    assert ask(client, "increment", older, run=second).json[0]["id"] == newer["id"]
    assert [client.delete(f"{BASE}/tag/{older['tag']}").status_code for _ in range(3)] == [200, 200, 404]


def test_slots_of_older_limits_are_kept_as_prefect_keeps_them(client, committed):
    older, newer, runs = insert_older(committed, 2), make_limit(client), [str(uuid4()) for _ in range(2)]
    statement = "SELECT active_slots FROM concurrency_limit WHERE id = %s"
    for run in (*runs[:1] * 2, *runs[1:]):
        ask(client, "increment", older, run=run)
    assert committed.execute(statement, [older["id"]]).fetchone() == (runs,)
    assert ask(client, "increment", newer, older).status_code == 423
    assert holders(client, newer) == []
    client.post(f"{BASE}/tag/{older['tag']}/reset", json={"slot_override": runs[1:]})
    assert committed.execute(statement, [older["id"]]).fetchone() == (runs[1:],)


@pytest.mark.parametrize("table", ["concurrency_limit", "concurrency_limit_v2"])
def test_of_two_who_ask_for_the_last_slot_at_once_one_gets_it(client, committed, table):
    limit = insert_older(committed) if table == "concurrency_limit" else make_limit(client)
    with ThreadPoolExecutor() as threads:
        with committed.transaction():
            committed.execute(LOCK.format(table), [limit["id"]])
            asking = [threads.submit(ask, client.application.test_client(), "increment", limit) for _ in range(2)]
            wait_for_waiter(committed, 2)
        assert sorted(each.result().status_code for each in asking) == [200, 423]
    assert len(holders(client, limit)) == 1


@pytest.mark.parametrize("verb", ["increment", "decrement"])
@pytest.mark.parametrize("table", ["concurrency_limit", "concurrency_limit_v2"])
def test_limits_are_locked_in_the_order_of_their_ids(client, committed, module_database, table, verb):
    make = (lambda: insert_older(committed)) if table == "concurrency_limit" else (lambda: make_limit(client))
    first, last = sorted((make(), make()), key=lambda limit: limit["id"])
    run = str(uuid4())
    if verb == "decrement":
        ask(client, "increment", first, last, run=run)
    with ThreadPoolExecutor() as threads, connect(module_database) as other:
        with committed.transaction():
            committed.execute(LOCK.format(table), [last["id"]])
            asking = threads.submit(ask, client.application.test_client(), verb, last, first, run=run)
            wait_for_waiter(committed)
            with pytest.raises(errors.LockNotAvailable):
                other.execute(f"{LOCK.format(table)} NOWAIT", [first["id"]])
        assert asking.result().status_code == 200
