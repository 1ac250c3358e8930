"""Slots under contention: limits hold at every instant, what is held adds up at every commit, nobody is a deadlock's victim."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import pytest
from psycopg import Connection, errors

import sql
from app import create_app
from sql import database as db
from sql.database import connect, within
from sql.ids import uuid7
from sql.statement import flush
from tests.bench import round_trips
from tests.loops import release_expired_leases
from tests.slots import (
    assert_limits_were_kept,
    assert_nothing_is_left,
    count_active,
    expire,
    give_back,
    insert_limit,
    take,
    watch,
)
from tests.waiting import wait_for_waiter

STORM_SECONDS, SESSIONS, SIZES = 20, 32, (0, 1, 2, 10)
SHARES = (1, 2, 3, 6)  # of the limits in what is asked for
LASTING = (0.02, 0.1, 0.5, 2)  # seconds
ACTS = ("take", "release", "renew", "finish", "sweep", "crash", "kill", "vanish")
SHARES_OF_ACTS = (16, 6, 4, 1, 1, 1, 1, 1)


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


def live(url: str, names: list[str], until: float, seed: int) -> Counter:
    """Take slots and lose them in every way there is until a moment; gives how often each happened."""
    draw, done, conn, holder = random.Random(seed), Counter(), connect(url), str(uuid7())
    held: list[str] = []
    while time.monotonic() < until:
        chosen = {*draw.sample(names, draw.choice((1, 1, 1, 2, 3)), counts=SHARES)}
        act = draw.choices(ACTS, SHARES_OF_ACTS)[0]
        if act == "take":
            lease, outcome = take(conn, *chosen, slots=draw.choice((1, 1, 2)), seconds=draw.choice(LASTING), holder=holder)
            act = "taken" if outcome["granted"] else "refused"
            held += [lease] if outcome["granted"] else []
        elif act in ("crash", "kill"):  # between what it took, or gave back, and its commit
            sql.transactions.begin.send(conn)
            take(conn, *chosen, seconds=5, holder=holder) if draw.random() < 0.5 or not held else give_back(conn, held[0])
            conn = end(conn, url, act)
        elif act == "vanish":  # with all that it holds
            conn, held = end(conn, url, act), []
        elif act == "sweep":
            now = conn.execute("SELECT now()").fetchone()[0]
            done["swept"] += release_expired_leases(conn, now, draw.choice((1, 50)))
        elif act == "finish":
            mine = {"holder_ids": [holder], "ended": None, "flow_run_ids": None, "lease_ids": None}
            done["finished"] += sql.slots.give_back(conn, **mine)
            held = []
        elif held:
            lease = draw.choice(held)
            if act == "renew":
                renewed = sql.concurrency_limits_v2.renew(conn, lease_id=lease, lease_duration=draw.choice(LASTING))
                act = "renewed" if renewed else "gone"
            else:
                give_back(conn, lease)
                held.remove(draw.choice((lease, held[0])))
        done[act] += 1
    conn.close()
    return done


def end(conn: Connection, url: str, act: str) -> Connection:
    """Have a connection hung up by its client, or killed by PostgreSQL, and open another."""
    if act == "kill":
        with pytest.raises(errors.AdminShutdown):
            conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    conn.close()
    return connect(url)


def test_a_storm_of_sessions_never_exceeds_a_limit_and_leaves_nothing_over(database, session):
    watcher = session()
    names = [insert_limit(watcher, size)[1] for size in SIZES]
    watch(watcher)
    until = time.monotonic() + STORM_SECONDS
    with ThreadPoolExecutor(SESSIONS) as threads:
        lives = [threads.submit(live, database, names, until, seed) for seed in range(SESSIONS)]
        done = sum((each.result() for each in lives), Counter())
    seen = ("taken", "refused", "release", "renewed", "gone", "finished", "swept", "crash", "kill", "vanish")
    assert all(done[act] for act in seen), done
    assert_limits_were_kept(watcher, done)
    assert_nothing_is_left(watcher)


def contend(session, first, second, then=flush):
    """Do something and, before that is committed, another thing in another session, which has to wait; gives both results.

    The first goes on with `then`.
    """
    one, other, watcher = session(), session(), session()
    with ThreadPoolExecutor() as threads:
        with within(one):
            flush(one)
            result = first(one)
            flush(one)
            waiting = threads.submit(second, other)
            wait_for_waiter(watcher)
            then(one)
        return result, waiting.result()


def test_who_waits_for_the_last_slot_finds_it_taken(session):
    conn = session()
    id, name = insert_limit(conn)
    (_, first), (_, second) = contend(session, *[lambda conn: take(conn, name)] * 2)
    assert (first["granted"], second["granted"]) == (True, False)
    assert count_active(conn, id) == 1


def test_who_waits_for_a_slot_that_is_being_given_back_gets_it(session):
    conn = session()
    id, name = insert_limit(conn)
    lease, _ = take(conn, name)
    _, (_, second) = contend(session, lambda conn: give_back(conn, lease), lambda conn: take(conn, name))
    assert second["granted"]
    assert count_active(conn, id) == 1


def test_an_expired_lease_is_given_back_once_by_two_who_want_its_slot(session):
    conn = session()
    id, name = insert_limit(conn, 2)
    lease, _ = take(conn, name, slots=2)
    expire(conn, lease)
    (_, first), (_, second) = contend(session, lambda conn: take(conn, name), lambda conn: take(conn, name, slots=2))
    assert (first["granted"], second["granted"]) == (True, False)
    assert count_active(conn, id) == 1


def test_two_who_release_the_same_lease_give_it_back_once(session):
    conn = session()
    (one, one_name), (two, two_name) = insert_limit(conn, 2), insert_limit(conn, 2)
    lease, _ = take(conn, one_name, two_name)
    take(conn, one_name, two_name)
    assert contend(session, *[lambda conn: give_back(conn, lease)] * 2) == (2, 0)
    assert (count_active(conn, one), count_active(conn, two)) == (1, 1)


def test_a_release_that_waits_for_a_limit_does_not_hold_the_lease_meanwhile(session):
    conn = session()
    (id, name), (other_id, other) = insert_limit(conn), insert_limit(conn)
    lease, _ = take(conn, other, name)
    lock = "SELECT FROM concurrency_limit_v2 WHERE id = %s FOR UPDATE"
    outcome = contend(
        session,
        lambda conn: conn.execute(lock, [id]).rowcount,
        lambda conn: give_back(conn, lease),
        then=lambda conn: expire(conn, lease),
    )
    assert outcome == (1, 2)
    assert (count_active(conn, id), count_active(conn, other_id)) == (0, 0)


def test_a_lease_that_loses_a_part_while_its_renewal_waits_is_not_renewed(session):
    conn = session()
    lease, _ = take(conn, insert_limit(conn)[1], insert_limit(conn)[1])
    statement = "DELETE FROM downbeat.concurrency_lease WHERE id = %s AND place = 2"
    lose, renew = lambda conn: conn.execute(statement, [lease]).rowcount, sql.concurrency_limits_v2.renew
    assert contend(session, lose, lambda conn: renew(conn, lease_id=lease, lease_duration=60)) == (1, 0)


def decrement(conn: Connection, name: str) -> None:
    """Give back a slot by its number as the handler does."""
    with within(conn):
        sql.concurrency_limits_v2.lock_by_name.send(conn, names=[name])
        sql.concurrency_limits_v2.decrement.send(conn, names=[name], slots=1, occupancy_seconds=None)


def test_giving_back_by_number_sees_the_lease_that_it_waited_for(session):
    conn = session()
    id, name = insert_limit(conn)
    contend(session, lambda conn: take(conn, name), lambda conn: decrement(conn, name))
    assert count_active(conn, id) == 1


def test_a_sweep_waits_for_nobody(session):
    conn, other = session(), session()
    (_, busy), (idle, name) = insert_limit(conn), insert_limit(conn)
    leases = [take(conn, busy)[0], take(conn, name)[0]]
    with within(other):
        take(other, busy)
        expire(conn, *leases)
        now = conn.execute("SELECT now()").fetchone()[0]
        assert release_expired_leases(conn, now, 9) == 1
        assert count_active(conn, idle) == 0
    assert release_expired_leases(conn, now, 9) == 1


def test_taking_renewing_and_giving_back_are_one_round_trip_each(database, session):
    _, name = insert_limit(session(), 9)
    url, counts = round_trips.start(database)
    db.open_pool(url, 1)
    try:
        with create_app().test_client() as client:
            for _ in range(2):  # preparing costs nothing more
                trips = [counts.round_trips]
                path, arguments = "/api/v2/concurrency_limits", {"names": [name], "slots": 1}
                lease = client.post(f"{path}/increment-with-lease", json=arguments).json["lease_id"]
                trips.append(counts.round_trips)
                assert client.post(f"{path}/leases/{lease}/renew").status_code == 204
                trips.append(counts.round_trips)
                assert client.post(f"{path}/decrement-with-lease", json={"lease_id": lease}).status_code == 204
                trips.append(counts.round_trips)
                assert client.post(f"{path}/decrement", json=arguments).status_code == 200
                trips.append(counts.round_trips)
    finally:
        db.close_pool()
    assert [after - before for before, after in pairwise(trips)] == [1, 1, 1, 1]
