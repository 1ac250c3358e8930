-- What a cursor over the rows of a table needs to know of the transactions of this database; handlers/cursor.py says why.

-- name: read_sessions :one
-- The time; the newest snapshot, and the number below which every transaction has ended; the starts of the transactions that
-- have been open for longer than the margin; and whether there are sessions whose transactions this role may not see.
SELECT now() AS time,
       pg_current_snapshot()::text AS snapshot,
       pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
       COALESCE(array_agg(DISTINCT xact_start)
                FILTER (WHERE xact_start < now() - make_interval(secs => %(margin_seconds)s::double precision)), '{}') AS starts,
       COALESCE(bool_or(query = '<insufficient privilege>'), false) AS has_hidden
  FROM pg_stat_activity
 WHERE datname = current_database();

-- name: list_hidden :many
-- The open transactions of the sessions that this role may not see, and a time before which they began: everyone may see the
-- lock that each of them holds on its own number.
SELECT own.virtualtransaction AS id,
       clock_timestamp() AS time
  FROM pg_stat_activity AS session
       JOIN pg_locks AS own ON own.pid = session.pid
 WHERE session.datname = current_database()
   AND session.query = '<insufficient privilege>'
   AND own.locktype = 'virtualxid'
   AND own.virtualxid = own.virtualtransaction;
