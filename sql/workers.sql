-- Workers: what their heartbeats tell of them.

-- name: record_heartbeat :one
-- Note that a worker of a pool is alive, which is no change of it; its interval stays as it was if none is given. Gives the
-- pool's id and status, or nothing if there is no such pool. The pool is locked before the worker, as by those that delete it.
  WITH pool AS (
       SELECT id, status
         FROM work_pool
        WHERE name = %(work_pool_name)s::text
          FOR KEY SHARE
       ),
       beat AS (
       INSERT INTO worker (id, work_pool_id, name, heartbeat_interval_seconds, status)
       SELECT %(id)s::uuid, pool.id, %(name)s::text, %(heartbeat_interval_seconds)s::int, 'ONLINE'
         FROM pool
           ON CONFLICT (work_pool_id, name) DO UPDATE
          SET last_heartbeat_time = now(),
              heartbeat_interval_seconds = COALESCE(excluded.heartbeat_interval_seconds, worker.heartbeat_interval_seconds),
              status = 'ONLINE'
       )
SELECT pool.id, pool.status::text
  FROM pool;

-- name: delete :exec
-- Delete a worker of a pool.
DELETE FROM worker
 WHERE work_pool_id = %(work_pool_id)s::uuid
   AND name = %(name)s::text;
