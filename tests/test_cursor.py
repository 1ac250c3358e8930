"""The cursor gives each committed row exactly once, whatever its transaction was like."""

import random
import threading
import time
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

import sql
from handlers.streams import cursor as cursors
from handlers.streams.cursor import look
from sql.database import connect
from tests.events import make_event

ENOUGH, MAX_SECONDS = 2000, 60  # rows and looks, and how long the hammering may take


@pytest.fixture
def reader(database):
    """A session that looks, outside any transaction."""
    with connect(database) as conn:
        yield conn


@pytest.fixture
def writers(database):
    """Three sessions that write."""
    with connect(database) as first, connect(database) as second, connect(database) as third:
        for conn in (first, second, third):
            conn.prepare_threshold = None  # psycopg throws away what is prepared when it hears of a ROLLBACK
        yield first, second, third


class Looker:
    """Looks from one cursor to the next, and keeps what was given."""

    def __init__(self, conn, list_new=sql.events.list_new):
        self.conn, self.list_new = conn, list_new
        self.cursor, nothing = look(conn, list_new, None)
        assert nothing == []

    def look(self):
        """Give the ids that are new."""
        self.cursor, fresh = look(self.conn, self.list_new, self.cursor)
        return fresh


def store(conn) -> str:
    """Store an event and give its id."""
    event = make_event()
    sql.events.create(conn, events=[event])
    return event["id"]


def begin(conn, seconds=0) -> None:
    """Open a transaction and let it be as old as that."""
    sql.transactions.begin(conn)
    conn.execute("SELECT pg_sleep(%s)", (seconds,))


def test_a_row_is_given_once_and_those_before_the_first_look_never(reader, writers):
    store(writers[0])
    looker = Looker(reader)
    assert looker.look() == []
    ids = [store(writers[0]) for _ in range(3)]
    assert sorted(looker.look()) == sorted(ids)
    assert looker.look() == []


def test_rows_of_a_transaction_that_commits_late_are_given_then(reader, writers):
    late, other, _ = writers
    begin(late)
    looker = Looker(reader)
    held = store(late)
    for _ in range(3):
        assert looker.look() == []
        new = store(other)
        assert looker.look() == [new]
    sql.transactions.commit(late)
    assert looker.look() == [held]
    assert looker.look() == []


def test_logs_are_given_by_the_same_rule(reader, writers):
    late, other, _ = writers
    begin(late)
    looker = Looker(reader, sql.logs.list_new)
    log = {"name": "n", "level": 20, "message": "m", "timestamp": "2026-11-21T12:00:00Z"}
    sql.logs.create(late, base=uuid4().hex[:27], logs=[log] * 3)
    assert looker.look() == []
    sql.logs.create(other, base=uuid4().hex[:27], logs=[log])
    assert len(looker.look()) == 1
    sql.transactions.commit(late)
    assert len(looker.look()) == 3
    assert looker.look() == []


@pytest.mark.parametrize("wrote_before", [False, True])
def test_rows_of_a_transaction_much_older_than_the_margin_are_given(reader, writers, monkeypatch, wrote_before):
    monkeypatch.setattr(cursors, "MARGIN", cursors.timedelta(milliseconds=100))
    late, other, _ = writers
    begin(late, seconds=1)
    held = [store(late)] if wrote_before else []
    looker = Looker(reader)
    for _ in range(3):
        new = store(other)
        assert looker.look() == [new]
    time.sleep(0.5)
    held.append(store(late))
    assert looker.look() == []
    sql.transactions.commit(late)
    assert sorted(looker.look()) == sorted(held)
    assert looker.look() == []


def test_rows_of_savepoints_are_given_when_the_whole_commits(reader, writers):
    nested, other, _ = writers
    looker = Looker(reader)
    sql.transactions.begin(nested)
    nested.execute("SAVEPOINT a")
    kept = [store(nested)]
    nested.execute("SAVEPOINT b")
    undone = store(nested)
    nested.execute("ROLLBACK TO SAVEPOINT b")
    kept.append(store(nested))
    nested.execute("RELEASE SAVEPOINT a")
    for _ in range(2):
        new = store(other)
        assert looker.look() == [new]
    sql.transactions.commit(nested)
    fresh = looker.look()
    assert sorted(fresh) == sorted(kept) and undone not in fresh


def test_rows_that_are_rolled_back_are_never_given(reader, writers):
    gone, other, _ = writers
    looker = Looker(reader)
    begin(gone)
    store(gone)
    assert looker.look() == []
    sql.transactions.rollback(gone)
    new = store(other)
    assert looker.look() == [new]


def test_a_writer_that_holds_back_the_horizon_makes_nothing_come_twice(reader, writers, monkeypatch):
    monkeypatch.setattr(cursors, "MARGIN", cursors.timedelta(milliseconds=100))
    holder, other, _ = writers
    begin(holder)
    held = store(holder)
    looker = Looker(reader)
    given = []
    for _ in range(20):
        new = store(other)
        assert looker.look() == [new]
        given.append(new)
        time.sleep(0.02)
        assert looker.look() == []
    assert len(looker.cursor.seen) < 20  # what is too old to come again is forgotten
    sql.transactions.commit(holder)
    assert looker.look() == [held]


def test_a_dump_costs_one_moment_of_time(reader, writers, monkeypatch):
    monkeypatch.setattr(cursors, "MARGIN", cursors.timedelta(milliseconds=100))
    dump, _, _ = writers
    begin(dump, seconds=0.5)
    looker = Looker(reader)
    store(writers[1])
    looker.look()
    started = dump.execute("SELECT now()").fetchone()[0]
    assert looker.cursor.open == ((started, started),)
    assert looker.cursor.since > started


def test_nothing_is_read_while_no_transaction_has_ended(reader, writers):
    looker = Looker(reader)
    store(writers[0])
    looker.look()
    settled = looker.cursor

    def list_new(conn, **_):
        raise AssertionError("the rows are read")

    assert look(reader, list_new, settled) == (settled, [])


def test_rows_are_given_once_when_the_clock_is_set_back(reader, writers):
    looker = Looker(reader)
    first = store(writers[0])
    assert looker.look() == [first]
    ahead = cursors.timedelta(seconds=30)
    looker.cursor = cursors.replace(looker.cursor, since=looker.cursor.since + ahead)
    second = store(writers[0])
    assert looker.look() == [second]
    assert looker.look() == []


@pytest.fixture
def stranger(cluster, database):
    """A session of a role that may read and write events and sees nothing of other sessions."""
    role = f"stranger_{uuid4().hex[:8]}"
    with connect(cluster) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'stranger'")
    with connect(database) as conn:
        conn.execute(f"GRANT USAGE ON SCHEMA public, downbeat TO {role}")
        conn.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}")
    with connect(make_conninfo(database, user=role, password="stranger")) as conn:
        assert conn.execute("SELECT NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')").fetchone()[0]
        yield conn
    with connect(database) as conn:
        conn.execute(f"DROP OWNED BY {role}")
        conn.execute(f"DROP ROLE {role}")


def test_a_role_that_may_not_see_other_sessions_is_given_their_rows_all_the_same(stranger, writers, monkeypatch):
    monkeypatch.setattr(cursors, "MARGIN", cursors.timedelta(milliseconds=100))
    late, other, later = writers
    begin(late, seconds=0.5)
    looker = Looker(stranger)
    begin(later)
    for _ in range(3):
        new = store(other)
        assert looker.look() == [new]
        time.sleep(0.2)
    assert len(looker.cursor.hidden) == 2
    held = [store(late), store(later)]
    sql.transactions.commit(late)
    sql.transactions.commit(later)
    assert sorted(looker.look()) == sorted(held)
    new = store(other)
    assert looker.look() == [new]
    assert looker.look() == [] and looker.cursor.hidden == {}


def write_at_random(database, chance, stopped, stored):
    """Store events in transactions of all kinds until told to stop."""
    with connect(database) as conn:
        conn.prepare_threshold = None
        while not stopped.is_set():
            ids, ends_well = [], chance.random() < 0.8
            if is_alone := chance.random() < 0.3:
                ids.append(store(conn))
            else:
                sql.transactions.begin(conn)
                for _ in range(chance.randint(1, 4)):
                    conn.execute("SAVEPOINT inner_one")
                    id = store(conn)
                    if chance.random() < 0.3:
                        conn.execute("ROLLBACK TO SAVEPOINT inner_one")
                    else:
                        ids.append(id)
                    time.sleep(chance.choice([0] * 30 + [0.001] * 5 + [0.02] * 5 + [0.3]))
                (sql.transactions.commit if ends_well else sql.transactions.rollback)(conn)
            if is_alone or ends_well:
                stored += ids


@pytest.mark.parametrize("role", ["owner", "stranger"])
def test_each_row_of_hostile_writers_is_given_exactly_once(request, database, reader, monkeypatch, role):
    monkeypatch.setattr(cursors, "MARGIN", cursors.timedelta(milliseconds=100))
    looker = Looker(reader if role == "owner" else request.getfixturevalue("stranger"))
    stopped, stored, given, looks = threading.Event(), [], [], 0
    writers = [
        threading.Thread(target=write_at_random, args=(database, random.Random(seed), stopped, stored)) for seed in range(6)
    ]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + MAX_SECONDS
    while (len(stored) < ENOUGH or looks < ENOUGH) and time.monotonic() < deadline:
        given += looker.look()
        looks += 1
    stopped.set()
    for writer in writers:
        writer.join()
    given += looker.look()
    assert looks > 100 and len(stored) > 100
    assert sorted(given) == sorted(stored)
