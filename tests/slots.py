"""Limits made, slots taken and given back on a connection, and a witness of all that are held, for tests."""

from typing import Any

import orjson
from psycopg import Connection

import sql
from sql.ids import uuid7
from tests.loops import release_expired_leases
from tests.resources import unique
from tests.runs import make_flow, make_flow_run, propose_flow_run
from tests.waiting import wait_until

# Notes every change of what is held. The note is written at commit, and whoever adds or removes a lease is made sure to have
# its limit locked, so that of one limit the notes are numbered in the order of the commits. Refuses to commit a wrong sum.
WITNESS = """
CREATE TABLE history (number bigserial, limit_id uuid, change integer);

CREATE FUNCTION is_locked(id uuid) RETURNS boolean LANGUAGE sql AS $$
    SELECT bound.xmin::text IN (SELECT mine.id) OR bound.xmax::text IN (SELECT mine.id)
      FROM public.concurrency_limit_v2 AS bound,
           LATERAL (SELECT transactionid::text AS id
                      FROM pg_locks
                     WHERE pid = pg_backend_pid() AND locktype = 'transactionid' AND mode = 'ExclusiveLock') AS mine
     WHERE bound.id = is_locked.id
     ORDER BY 1 DESC
     LIMIT 1
$$;

CREATE FUNCTION check_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_locked(COALESCE(NEW.limit_id, OLD.limit_id)) THEN
        RAISE 'a lease is added or removed without its limit being locked';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (limit_id, change)
    VALUES (COALESCE(NEW.limit_id, OLD.limit_id), COALESCE(NEW.slots, 0) - COALESCE(OLD.slots, 0));
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

CREATE TRIGGER check_lock AFTER INSERT OR DELETE ON downbeat.concurrency_lease FOR EACH ROW EXECUTE FUNCTION check_lock();
CREATE CONSTRAINT TRIGGER note AFTER INSERT OR DELETE ON downbeat.concurrency_lease
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER add_up AFTER INSERT OR DELETE ON downbeat.concurrency_lease
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_up();
CREATE CONSTRAINT TRIGGER add_up AFTER UPDATE ON public.concurrency_limit_v2
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION add_up();
"""

# What was held right after each commit, at most and at least. A lease that has run out counts until its row is gone.
EXTREMES = """
SELECT bound."limit", COALESCE(max(history.held), 0), COALESCE(min(history.held), 0)
  FROM concurrency_limit_v2 AS bound
       LEFT JOIN (SELECT limit_id, sum(change) OVER (PARTITION BY limit_id ORDER BY number) AS held FROM history) AS history
              ON history.limit_id = bound.id
 GROUP BY bound.id
 ORDER BY bound."limit"
"""
LEASE = "deployment_concurrency_lease_id"  # among the details of a state


def insert_limit(conn: Connection, limit: int = 1, name: str | None = None, **fields: Any) -> tuple[str, str]:
    """Create a limit without HTTP; gives its id and name."""
    plain = {"active": True, "active_slots": 0, "denied_slots": 0, "slot_decay_per_second": 0}
    made = sql.concurrency_limits_v2.create(
        conn, **{"id": uuid7(), "name": name or unique("limit"), "limit": limit, **plain, **fields}
    )
    return str(made["id"]), made["name"]


def make_tag(conn: Connection, limit: int = 1, **fields: Any) -> tuple[str, str]:
    """Create the limit of a tag; gives its id and the tag."""
    tag = unique("tag")
    id, _ = insert_limit(conn, limit, f"tag:{tag}", **fields)
    return id, tag


def take(
    conn: Connection, *names: str, slots: int = 1, mode: str = "concurrency", seconds: float = 300, holder: str | None = None
) -> tuple[str, dict]:
    """Ask for slots with a lease, for a task run if one is named; gives the id that the lease gets and what comes of it."""
    id = str(uuid7())
    outcome = sql.concurrency_limits_v2.acquire(
        conn,
        names=list(names),
        slots=slots,
        mode=mode,
        lease_id=id,
        lease_duration=seconds,
        holder_type=holder and "task_run",
        holder_id=holder,
        tag_wait_seconds=10,
        wait_seconds=30,
    )
    return id, outcome


def give_back(conn: Connection, lease_id: str) -> int:
    """Release a lease; gives how many limits have slots back."""
    return sql.concurrency_limits_v2.release(conn, lease_id=lease_id)


def count_active(conn: Connection, id: str) -> int:
    """Give how many slots the table says are in use."""
    return conn.execute("SELECT active_slots FROM concurrency_limit_v2 WHERE id = %s", [id]).fetchone()[0]


def expire(conn: Connection, *lease_ids: str) -> None:
    """Let leases have run out a second ago."""
    statement = "UPDATE downbeat.concurrency_lease SET expires = now() - interval '1 s' WHERE id = ANY (%s::uuid[])"
    conn.execute(statement, [list(lease_ids)])


def watch(conn: Connection) -> None:
    """Have everything that is held in a test's own database noted from now on."""
    conn.execute(WITNESS, prepare=False)


def assert_limits_were_kept(conn: Connection, said: Any = None) -> None:
    """See in what was noted that all slots of each limit were held, and never more, nor fewer than none."""
    for limit, most, least in conn.execute(EXTREMES).fetchall():
        assert most == limit and least >= 0, f"of {limit} slots {least} to {most} were held: {said}"


def assert_nothing_is_left(conn: Connection) -> None:
    """Let the loop give back what has run out until no lease is left, and see that no slot is in use."""

    def is_nothing_left() -> bool:
        release_expired_leases(conn, conn.execute("SELECT now()").fetchone()[0], 100)
        return conn.execute("SELECT NOT EXISTS (SELECT FROM downbeat.concurrency_lease)").fetchone()[0]

    wait_until(is_nothing_left, lambda: conn.execute("SELECT * FROM downbeat.concurrency_lease").fetchall()[:5])
    assert conn.execute("SELECT DISTINCT active_slots FROM concurrency_limit_v2").fetchall() == [(0,)]


def read_leases(conn: Connection, limit_id: str) -> list[dict[str, Any]]:
    """Give what is held of a limit, in the order in which it was taken; a lease without end lasts to the end of time."""
    rows = conn.execute(
        "SELECT id, holder_type, holder_id, slots, acquired, LEAST(expires, '9999-01-01Z') AS expires"
        "  FROM downbeat.concurrency_lease WHERE limit_id = %s ORDER BY acquired",
        [limit_id],
    )
    return [dict(zip((column.name for column in rows.description), row, strict=True)) for row in rows]


class Deployed:
    """A deployment with a limit, and runs of it."""

    def __init__(self, conn: Connection, limit: int = 1, active: bool = True, active_slots: int = 0, **options: Any):
        self.conn, self.id, self.flow_id = conn, str(uuid7()), make_flow(conn)
        self.limit_id, self.limit_name = insert_limit(
            conn, limit, f"deployment:{self.id}", active=active, active_slots=active_slots
        )
        conn.execute(
            "INSERT INTO deployment (id, name, flow_id, concurrency_limit_id, concurrency_options) VALUES (%s, %s, %s, %s, %s)",
            [self.id, "d", self.flow_id, self.limit_id, orjson.dumps(options or None).decode()],
        )

    def make_run(self, type: str = "SCHEDULED", **fields: Any) -> str:
        """Create a run and give its id."""
        return make_flow_run(self.conn, type, flow_id=self.flow_id, deployment_id=self.id, **fields)

    def start(self, **fields: Any) -> tuple[str, str]:
        """Make a run and bring it to RUNNING; gives its id and lease."""
        id = self.make_run(**fields)
        lease = propose_flow_run(self.conn, id, "PENDING").proposed.details[LEASE]
        assert propose_flow_run(self.conn, id, "RUNNING").status == "ACCEPT"
        return id, lease

    @property
    def active(self) -> int:
        """Slots in use, which must be what the leases hold."""
        active = count_active(self.conn, self.limit_id)
        assert active == sum(lease["slots"] for lease in read_leases(self.conn, self.limit_id))
        return active
