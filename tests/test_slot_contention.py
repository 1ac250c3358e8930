"""Slots under contention: limits hold at every instant, what is held adds up at every commit, nobody is a deadlock's victim."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import pytest
from psycopg import Connection

import sql
from app import create_app
from sql import database as db
from sql.database import connect, within
from sql.statement import flush
from tests.bench import round_trips
from tests.slots import count_active, expire, give_back, insert_limit, take
from tests.waiting import wait_for_waiter

STORM_SECONDS, SESSIONS, SIZES = 5, 10, (0, 1, 2, 5)

# Notes every change of what is held, in the order in which the limit's lock was had, and refuses to commit a wrong sum.
WITNESS = """
CREATE TABLE history (number bigserial, limit_id uuid, change integer);

CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO history (limit_id, change) VALUES (NEW.limit_id, NEW.slots);
    ELSE
        INSERT INTO history (limit_id, change) VALUES (OLD.limit_id, -OLD.slots);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM public.concurrency_limit_v2 AS bound
                WHERE bound.active_slots <> (SELECT COALESCE(sum(slots), 0) FROM downbeat.concurrency_lease AS lease
                                              WHERE lease.limit_id = bound.id)
                  AND bound.id = CASE TG_TABLE_NAME WHEN 'concurrency_limit_v2' THEN to_jsonb(NEW) ->> 'id'
                                 ELSE COALESCE(to_jsonb(NEW), to_jsonb(OLD)) ->> 'limit_id' END::uuid) THEN
        RAISE 'active_slots is not what the leases hold';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER note AFTER INSERT OR DELETE ON downbeat.concurrency_lease FOR EACH ROW EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER add_up AFTER INSERT OR DELETE ON downbeat.concurrency_lease
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_up();
CREATE CONSTRAINT TRIGGER add_up AFTER UPDATE ON public.concurrency_limit_v2
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_up();
"""

MOST_HELD = """
SELECT bound."limit", COALESCE(max(history.held), 0), COALESCE(min(history.held), 0)
  FROM concurrency_limit_v2 AS bound
       LEFT JOIN (SELECT limit_id, sum(change) OVER (PARTITION BY limit_id ORDER BY number) AS held FROM history) AS history
              ON history.limit_id = bound.id
 GROUP BY bound.id
 ORDER BY bound."limit"
"""


@pytest.fixture
def session(database):
    """Open sessions on the test's own database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connect(database))


def live(url: str, names: list[str], until: float, seed: int) -> Counter:
    """Take slots and lose them in every way there is until a moment; gives how often each happened."""
    draw, done, conn = random.Random(seed), Counter(), connect(url)
    held: list[str] = []
    while time.monotonic() < until:
        chosen = draw.sample(names, draw.choice((1, 1, 2, 3)))
        act = draw.choices(("take", "release", "renew", "forget", "sweep", "crash"), (12, 8, 4, 2, 2, 1))[0]
        if act == "take":
            lease, outcome = take(conn, *chosen, slots=draw.choice((1, 1, 2)), seconds=draw.choice((0.02, 0.1, 0.5)))
            act = "taken" if outcome["granted"] else "refused"
            held += [lease] if outcome["granted"] else []
        elif act == "crash":  # between what it took and its commit
            sql.transactions.begin.send(conn)
            take(conn, *chosen, seconds=5)
            conn.close()
            conn = connect(url)
        elif act == "sweep":
            now = conn.execute("SELECT now()").fetchone()[0]
            done["swept"] += sql.concurrency_limits_v2.delete_expired(conn, now=now, limit=draw.choice((1, 50)))
        elif held:
            lease = draw.choice(held)
            if act == "renew":
                renewed = sql.concurrency_limits_v2.renew(conn, lease_id=lease, lease_duration=draw.choice((0.02, 0.2)))
                act = "renewed" if renewed else "gone"
            elif act == "release":
                give_back(conn, lease)
                held.remove(draw.choice((lease, held[0])))
            else:
                held.remove(lease)
        done[act] += 1
    conn.close()
    return done


def test_a_storm_of_sessions_never_exceeds_a_limit_and_leaves_nothing_over(database, session):
    watcher = session()
    names = [insert_limit(watcher, size)[1] for size in SIZES]
    watcher.execute(WITNESS, prepare=False)
    until = time.monotonic() + STORM_SECONDS
    with ThreadPoolExecutor(SESSIONS) as threads:
        lives = [threads.submit(live, database, names, until, seed) for seed in range(SESSIONS)]
        done = sum((each.result() for each in lives), Counter())
    assert all(done[act] for act in ("taken", "refused", "release", "renewed", "gone", "forget", "crash", "swept")), done
    for limit, most, least in watcher.execute(MOST_HELD).fetchall():
        assert most == limit, done
        assert least >= 0, done
    watcher.execute("UPDATE downbeat.concurrency_lease SET expires = now()")
    now = watcher.execute("SELECT now()").fetchone()[0]
    sql.concurrency_limits_v2.delete_expired(watcher, now=now, limit=100_000)
    assert watcher.execute("SELECT count(*) FROM downbeat.concurrency_lease").fetchone() == (0,)
    assert watcher.execute("SELECT DISTINCT active_slots FROM concurrency_limit_v2").fetchall() == [(0,)]


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
        assert sql.concurrency_limits_v2.delete_expired(conn, now=now, limit=9) == 1
        assert count_active(conn, idle) == 0
    assert sql.concurrency_limits_v2.delete_expired(conn, now=now, limit=9) == 1


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
