-- Leases: who holds slots of which limit, and until when.

CREATE TABLE downbeat.concurrency_lease (
    id          uuid        NOT NULL,
    place       integer     NOT NULL,
    limit_id    uuid,
    holder_type text,
    holder_id   uuid,
    slots       integer     NOT NULL,
    acquired    timestamptz NOT NULL,
    expires     timestamptz NOT NULL,
    CONSTRAINT pk_concurrency_lease PRIMARY KEY (id, place),
    CONSTRAINT ck_concurrency_lease__slots CHECK (slots > 0)
);

-- For the leases of a limit, and those of them that have expired.
CREATE INDEX ix_concurrency_lease__limit_id_expires ON downbeat.concurrency_lease (limit_id, expires);
-- For all that have expired.
CREATE INDEX ix_concurrency_lease__expires ON downbeat.concurrency_lease (expires);

COMMENT ON TABLE downbeat.concurrency_lease IS
    'Slots that are held: a row for each limit of a lease, added and removed with the limit locked and counted in its active_slots.';
COMMENT ON COLUMN downbeat.concurrency_lease.id IS 'Lease; its rows are renewed and given back together.';
COMMENT ON COLUMN downbeat.concurrency_lease.place IS 'Number of the row in its lease, from 1 in the order of limit_id.';
COMMENT ON COLUMN downbeat.concurrency_lease.limit_id IS
    'Limit in concurrency_limit_v2, which may be deleted meanwhile; null in the only row of a lease that takes no slots.';
COMMENT ON COLUMN downbeat.concurrency_lease.holder_type IS 'flow_run, task_run or deployment; null when nobody is named.';
COMMENT ON COLUMN downbeat.concurrency_lease.holder_id IS 'Id of the holder, which may be gone; null when nobody is named.';
COMMENT ON COLUMN downbeat.concurrency_lease.slots IS 'Slots held of the limit.';
COMMENT ON COLUMN downbeat.concurrency_lease.acquired IS 'When the slots were taken.';
COMMENT ON COLUMN downbeat.concurrency_lease.expires IS
    'From when on the slots are given back to whoever asks, unless the lease is renewed before.';

-- The bounds keep the product within what a double holds; they mean a slot in thirty years and one in a nanosecond.
CREATE FUNCTION downbeat.slots_decayed(per_second float8, since timestamptz) RETURNS float8
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN per_second > 0
            THEN floor(LEAST(GREATEST(per_second, 1e-9), 1e9) * GREATEST(EXTRACT(epoch FROM now() - since)::float8, 0))
            ELSE 0 END;

COMMENT ON FUNCTION downbeat.slots_decayed(float8, timestamptz) IS
    'How many whole slots have freed themselves since a moment; 0 where they do not do that.';
