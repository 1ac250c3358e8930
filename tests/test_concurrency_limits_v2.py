"""Operations under /v2/concurrency_limits: slots are never more than there are, and none is lost."""

import random
import statistics
from typing import Any

import pytest
from psycopg import Connection

import sql
from handlers.domain.slots import LONGEST_WAIT, SHORTEST_WAIT, scatter
from sql.database import connection
from tests.loops import release_expired_leases
from tests.resources import NOBODY, make_flow_run, problems, unique
from tests.slots import count_active, expire, give_back, insert_limit, take

BASE = "/api/v2/concurrency_limits"
FIELDS = ["id", "created", "updated", "active", "name", "limit", "active_slots", "slot_decay_per_second"]


def make_limit(client, limit: int = 1, **fields: Any) -> dict[str, Any]:
    """Create a limit with a unique name unless one is given."""
    answer = client.post(f"{BASE}/", json={"name": unique("limit"), "limit": limit, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json


def acquire(client, *limits: dict[str, Any], slots: int = 1, **fields: Any):
    """Ask for slots with a lease over HTTP."""
    body = {"names": [limit["name"] for limit in limits], "slots": slots, **fields}
    return client.post(f"{BASE}/increment-with-lease", json=body)


def active_slots(client, *limits: dict[str, Any]) -> list[int]:
    """Give how many slots of limits are in use."""
    return [client.get(f"{BASE}/{limit['id']}").json["active_slots"] for limit in limits]


def let_pass(conn: Connection, id: str, seconds: float) -> None:
    """Let a limit be so much older."""
    conn.execute("UPDATE concurrency_limit_v2 SET updated = updated - make_interval(secs => %s) WHERE id = %s", [seconds, id])


def test_a_limit_is_read_by_id_and_name_changed_listed_and_deleted(client):
    limit = make_limit(client, 3, active_slots=1, slot_decay_per_second=0)
    shown = client.get(f"{BASE}/{limit['id']}").json
    assert list(shown) == FIELDS
    assert shown == {key: limit[key] for key in FIELDS}
    assert (limit["denied_slots"], limit["avg_slot_occupancy_seconds"]) == (0, 2.0)
    assert client.get(f"{BASE}/{limit['name']}").json == shown
    assert client.get(f"{BASE}/{limit['id'].upper().replace('-', '')}").json == shown
    assert shown in client.post(f"{BASE}/filter", json={}).json
    assert client.patch(f"{BASE}/{limit['name']}", json={"limit": 5, "active": False}).status_code == 204
    changed = client.get(f"{BASE}/{limit['id']}").json
    assert changed == {**shown, "limit": 5, "active": False, "updated": changed["updated"]}
    assert client.delete(f"{BASE}/{limit['name']}").status_code == 204
    for ask in (client.get, client.delete, lambda path: client.patch(path, json={})):
        assert ask(f"{BASE}/{limit['name']}").status_code == ask(f"{BASE}/{limit['id']}").status_code == 404


def test_the_list_is_by_name_and_in_pages(client):
    names = [limit["name"] for limit in client.post(f"{BASE}/filter", json={"limit": 200}).json]
    names = sorted([*names, *(make_limit(client, name=unique(letter))["name"] for letter in "cab")])
    assert [limit["name"] for limit in client.post(f"{BASE}/filter").json] == names
    assert [limit["name"] for limit in client.post(f"{BASE}/filter", json={"limit": 2, "offset": 1}).json] == names[1:3]


def test_what_happens_to_a_limit_is_recorded_as_events(client):
    limit = make_limit(client, slot_decay_per_second=0.5)
    client.patch(f"{BASE}/{limit['id']}", json={"limit": 7})
    client.delete(f"{BASE}/{limit['id']}")
    with connection() as conn:
        statement = "SELECT event, payload, resource FROM events WHERE resource_id = %s ORDER BY occurred, id"
        rows = conn.execute(statement, [f"prefect.concurrency-limit.{limit['id']}"]).fetchall()
    payload = {"name": limit["name"], "active": True, "slot_decay_per_second": 0.5}
    assert [(event, told) for event, told, _ in rows] == [
        ("prefect.concurrency-limit.created", {**payload, "limit": 1}),
        ("prefect.concurrency-limit.updated", {**payload, "limit": 7}),
        ("prefect.concurrency-limit.deleted", {**payload, "limit": 7}),
    ]
    assert {resource["prefect.resource.name"] for *_, resource in rows} == {limit["name"]}


def test_a_name_is_taken_once(client):
    first, second = make_limit(client), make_limit(client)
    assert client.post(f"{BASE}/", json={"name": first["name"], "limit": 1}).status_code == 409
    assert client.patch(f"{BASE}/{second['id']}", json={"name": first["name"]}).status_code == 409


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("", {"limit": 1}, "body.name"),
        ("", {"name": "a/b", "limit": 1}, "body.name"),
        ("", {"name": "a", "limit": -1}, "body.limit"),
        ("", {"name": "a", "limit": 1, "slot_decay_per_second": -1}, "body.slot_decay_per_second"),
        ("", {"name": "a", "limit": 1, "colour": "red"}, "body.colour"),
        ("increment", {"slots": 1}, "body.names"),
        ("increment", {"names": ["a"], "slots": 0}, "body.slots"),
        ("increment", {"names": ["a"], "slots": 1, "mode": "other"}, "body.mode"),
        ("increment-with-lease", {"names": ["a"], "slots": 1, "lease_duration": 59.9}, "body.lease_duration"),
        ("increment-with-lease", {"names": ["a"], "slots": 1, "lease_duration": 86401}, "body.lease_duration"),
        ("increment-with-lease", {"names": ["a"], "slots": 1, "holder": {"type": "person", "id": NOBODY}}, "body.holder.type"),
        ("decrement", {"names": ["a"], "slots": 1, "occupancy_seconds": 0}, "body.occupancy_seconds"),
        ("decrement-with-lease", {"lease_id": "x"}, "body.lease_id"),
        (f"leases/{NOBODY}/renew", {"lease_duration": 59}, "body.lease_duration"),
        ("leases/x/renew", {}, "path.lease_id"),
    ],
)
def test_what_makes_no_sense_is_refused_naming_the_field(client, path, body, place):
    assert problems(client.post(f"{BASE}/{path}", json=body)) == [place]


def test_more_slots_than_there_are_and_rates_without_decay_are_refused_and_not_counted_as_denied(client):
    limit = make_limit(client, 2)
    assert acquire(client, limit, slots=3).status_code == 422
    assert acquire(client, make_limit(client, 0)).status_code == 422
    refused = client.post(f"{BASE}/increment", json={"names": [limit["name"]], "slots": 1, "mode": "rate_limit"})
    assert (refused.status_code, limit["name"] in refused.json["detail"]) == (422, True)
    with connection() as conn:
        statement = "SELECT active_slots, denied_slots FROM concurrency_limit_v2 WHERE id = %s"
        assert conn.execute(statement, [limit["id"]]).fetchone() == (0, 0)


def test_slots_are_leased_by_name_renewed_and_given_back_once(client):
    limit = make_limit(client, 3)
    lease = acquire(client, limit, slots=2, mode="concurrency", lease_duration=300).json
    assert list(lease) == ["lease_id", "limits"]
    assert lease["limits"] == [{"id": limit["id"], "name": limit["name"], "limit": 3}]
    assert client.post(f"{BASE}/leases/{lease['lease_id']}/renew", json={"lease_duration": 60}).status_code == 204
    other = acquire(client, limit).json
    assert acquire(client, limit).status_code == 423
    for _ in range(2):
        assert client.post(f"{BASE}/decrement-with-lease", json={"lease_id": lease["lease_id"]}).status_code == 204
        assert active_slots(client, limit) == [1]
    assert client.post(f"{BASE}/leases/{lease['lease_id']}/renew", json={}).status_code == 410
    assert client.post(f"{BASE}/leases/{other['lease_id']}/renew").status_code == 204


def test_a_lease_lasts_as_long_as_was_asked_for_last(client):
    limit = make_limit(client)
    lasts = "SELECT EXTRACT(epoch FROM until - since)::float8 FROM downbeat.slots WHERE limit_id = %s"
    lease = acquire(client, limit, lease_duration=60).json
    with connection() as conn:
        assert conn.execute(lasts, [limit["id"]]).fetchone()[0] == pytest.approx(60, abs=0.001)
        client.post(f"{BASE}/leases/{lease['lease_id']}/renew", json={"lease_duration": 86400})
        assert conn.execute(lasts, [limit["id"]]).fetchone()[0] > 86399


def test_a_lease_without_limits_is_renewed_and_released_like_any_other(client):
    for names in ([unique("tag:nobody")], []):
        lease = client.post(f"{BASE}/increment-with-lease", json={"names": names, "slots": 5, "lease_duration": 60}).json
        assert lease["limits"] == []
        assert client.post(f"{BASE}/leases/{lease['lease_id']}/renew", json={"lease_duration": 60}).status_code == 204
        assert client.post(f"{BASE}/decrement-with-lease", json={"lease_id": lease["lease_id"]}).status_code == 204
        assert client.post(f"{BASE}/leases/{lease['lease_id']}/renew", json={"lease_duration": 60}).status_code == 410


def test_all_limits_are_taken_or_none(client):
    small, large = make_limit(client, 1), make_limit(client, 9)
    assert acquire(client, small, large).status_code == 200
    assert acquire(client, large, small).status_code == 423
    assert active_slots(client, small, large) == [1, 1]


def test_the_holders_of_a_limit_are_readable_in_sql(client):
    limit, idle, run = make_limit(client, 3), make_limit(client), make_flow_run(client, name="holding")
    acquire(client, limit, slots=2, holder={"type": "flow_run", "id": run["id"]})
    acquire(client, limit)
    statement = (
        'SELECT limit_name, "limit", slots, holder_type, holder_id::text, holder_name, since < until FROM downbeat.slots'
        " WHERE limit_id = ANY (%s::uuid[]) ORDER BY slots DESC NULLS LAST"
    )
    with connection() as conn:
        assert conn.execute(statement, [[limit["id"], idle["id"]]]).fetchall() == [
            (limit["name"], 3, 2, "flow_run", run["id"], "holding", True),
            (limit["name"], 3, 1, None, None, None, True),
            (idle["name"], 1, None, None, None, None, None),
        ]


def test_a_limit_that_is_switched_off_is_listed_and_takes_no_slots(client):
    limit = make_limit(client, active=False)
    held = acquire(client, limit, slots=5).json
    assert [found["name"] for found in held["limits"]] == [limit["name"]]
    assert client.post(f"{BASE}/leases/{held['lease_id']}/renew").status_code == 204
    client.patch(f"{BASE}/{limit['id']}", json={"active": True})
    lease = acquire(client, limit).json
    client.post(f"{BASE}/decrement-with-lease", json={"lease_id": held["lease_id"]})
    assert active_slots(client, limit) == [1]
    client.patch(f"{BASE}/{limit['id']}", json={"active": False})
    client.post(f"{BASE}/decrement-with-lease", json={"lease_id": lease["lease_id"]})
    assert active_slots(client, limit) == [0]


def test_leases_do_not_outlive_what_is_set_by_hand(client):
    limit = make_limit(client, 3)
    first, second = (acquire(client, limit).json["lease_id"] for _ in range(2))
    client.post(f"{BASE}/leases/{first}/renew", json={"lease_duration": 3600})
    assert client.patch(f"{BASE}/{limit['id']}", json={"active_slots": 1}).status_code == 204
    client.post(f"{BASE}/decrement-with-lease", json={"lease_id": second})
    assert active_slots(client, limit) == [1]
    client.post(f"{BASE}/decrement-with-lease", json={"lease_id": first})
    assert active_slots(client, limit) == [0]


def test_the_holder_of_a_deleted_limit_goes_on_and_leaves_nothing(client):
    limit = make_limit(client)
    lease = acquire(client, limit).json["lease_id"]
    client.delete(f"{BASE}/{limit['id']}")
    again = make_limit(client, name=limit["name"])
    assert acquire(client, again).status_code == 200
    assert client.post(f"{BASE}/leases/{lease}/renew").status_code == 204
    assert client.post(f"{BASE}/decrement-with-lease", json={"lease_id": lease}).status_code == 204
    assert active_slots(client, again) == [1]


def test_slots_without_a_lease_are_given_back_by_number_and_leased_ones_are_not(client):
    limit = make_limit(client, 5)
    arguments = {"names": [limit["name"], unique("nobody")], "slots": 2}
    shown = [{"id": limit["id"], "name": limit["name"], "limit": 5}]
    acquire(client, limit)
    assert client.post(f"{BASE}/increment", json=arguments).json == shown
    assert active_slots(client, limit) == [3]
    for _ in range(2):
        assert client.post(f"{BASE}/decrement", json=arguments).json == shown
        assert active_slots(client, limit) == [1]


def test_an_expired_lease_gives_its_slots_to_who_asks_next_and_cannot_be_renewed(conn):
    (one, one_name), (two, two_name) = insert_limit(conn), insert_limit(conn)
    lease, _ = take(conn, one_name, two_name)
    expire(conn, lease)
    assert sql.concurrency_limits_v2.renew(conn, lease_id=lease, lease_duration=60) == 0
    _, outcome = take(conn, one_name)
    assert outcome["granted"]
    assert (count_active(conn, one), count_active(conn, two)) == (1, 1)
    assert give_back(conn, lease) == 1
    assert (count_active(conn, one), count_active(conn, two)) == (1, 0)


def test_expired_leases_are_swept_in_bounded_numbers(conn):
    id, name = insert_limit(conn, 9)
    leases = [take(conn, name, slots=2)[0] for _ in range(3)] + [take(conn, unique("nobody"))[0]]
    expire(conn, *leases[1:])
    now = conn.execute("SELECT now()").fetchone()[0]
    swept = [release_expired_leases(conn, now, 2) for _ in range(2)]
    assert (swept, count_active(conn, id)) == ([3, 0], 2)
    conn.execute("DELETE FROM concurrency_limit_v2 WHERE id = %s", [id])
    expire(conn, leases[0])
    assert release_expired_leases(conn, now, 2) == 1


def test_slots_of_a_rate_limit_decay_however_often_it_is_asked(conn):
    id, name = insert_limit(conn, 1, slot_decay_per_second=0.01)
    assert take(conn, name, mode="rate_limit")[1]["granted"]
    for _ in range(9):
        let_pass(conn, id, 10.5)
        assert not take(conn, name, mode="rate_limit")[1]["granted"]
    let_pass(conn, id, 10.5)
    assert take(conn, name, mode="rate_limit")[1]["granted"]


@pytest.mark.parametrize("decay", [5e-324, 1e-300, 1e300])
def test_the_strangest_decays_are_borne(client, decay):
    limit = make_limit(client, slot_decay_per_second=decay, active_slots=1)
    assert acquire(client, limit).status_code in (200, 423)
    assert active_slots(client, limit) in ([0], [1])


def test_who_is_refused_waits_for_those_refused_before_and_not_too_long(conn):
    def wait(name: str, **fields: Any) -> float:
        insert_limit(conn, name=name, active_slots=2, **{"limit": 2, **fields})
        return take(conn, name)[1]["wait_seconds"]

    name = unique("limit")
    assert [wait(name), *(take(conn, name)[1]["wait_seconds"] for _ in range(2))] == [1, 2, 3]
    assert wait(unique("limit"), denied_slots=5000) == 30
    assert wait(unique("tag:limit"), denied_slots=5000) == 10
    assert wait(unique("limit"), denied_slots=9, slot_decay_per_second=0.125) == 80


def test_denied_slots_are_forgotten_at_the_pace_at_which_slots_come_free(conn):
    id, name = insert_limit(conn, 2, active_slots=2, denied_slots=9)
    let_pass(conn, id, 10.5)
    assert take(conn, name)[1]["wait_seconds"] == 5  # a slot is held for 2 seconds to begin with, so 5 of the 9 are over
    statement = "SELECT denied_slots, EXTRACT(epoch FROM now() - updated)::float8 FROM concurrency_limit_v2 WHERE id = %s"
    assert conn.execute(statement, [id]).fetchone() == (5, pytest.approx(0.5, abs=0.001))


def test_those_who_wait_are_scattered_around_the_average():
    random.seed(1)
    waits = [scatter(10) for _ in range(5000)]
    assert 10 * SHORTEST_WAIT <= min(waits) < max(waits) <= 10 * LONGEST_WAIT
    assert statistics.median(waits) == pytest.approx(10, rel=0.05)
    assert scatter(0) == 0


def test_the_time_that_slots_are_held_is_averaged(conn):
    id, name = insert_limit(conn, 2)
    lease, _ = take(conn, name, slots=2)
    conn.execute("UPDATE downbeat.concurrency_lease SET acquired = now() - interval '20 s' WHERE id = %s", [lease])
    give_back(conn, lease)
    average = "SELECT avg_slot_occupancy_seconds FROM concurrency_limit_v2 WHERE id = %s"
    assert conn.execute(average, [id]).fetchone()[0] == 2 + (20 / 2 - 2) / (2 * 2)


def test_slots_of_the_largest_limit_are_given_back(client):
    limit = make_limit(client, 2**31 - 1)
    lease = acquire(client, limit).json["lease_id"]
    assert client.post(f"{BASE}/decrement-with-lease", json={"lease_id": lease}).status_code == 204
    taken = {"names": [limit["name"]], "slots": 1}
    assert client.post(f"{BASE}/increment", json=taken).status_code == 200
    assert client.post(f"{BASE}/decrement", json={**taken, "occupancy_seconds": 3}).status_code == 200
    assert active_slots(client, limit) == [0]


def test_refusals_tell_in_a_header_how_long_to_wait(client):
    limit = make_limit(client)
    acquire(client, limit)
    refused = acquire(client, limit)
    assert (refused.status_code, refused.json) == (423, {"detail": "Locked"})
    assert 2 * SHORTEST_WAIT <= float(refused.headers["Retry-After"]) <= 2 * LONGEST_WAIT
