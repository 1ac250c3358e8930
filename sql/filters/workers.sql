-- Conditions and orders of lists of workers. Their status is the stored one, as their last heartbeat or its absence left it.

-- predicate: last_heartbeat_time.before_
worker.last_heartbeat_time <= %(workers.last_heartbeat_time.before_)s::timestamptz

-- predicate: last_heartbeat_time.after_
worker.last_heartbeat_time >= %(workers.last_heartbeat_time.after_)s::timestamptz

-- predicate: status.any_
worker.status = ANY (%(workers.status.any_)s::worker_status[])

-- predicate: status.not_any_
worker.status <> ALL (%(workers.status.not_any_)s::worker_status[])

-- via: work_pools
EXISTS (SELECT FROM work_pool WHERE work_pool.id = worker.work_pool_id AND {filter})

-- sort: LAST_HEARTBEAT_TIME_DESC
worker.last_heartbeat_time DESC, worker.id DESC
