-- Conditions and orders of lists of workers. Their status is the stored one, as their last heartbeat or its absence left it.

-- table: worker
-- view: worker

-- column: last_heartbeat_time  timestamptz    before_ after_
-- column: status               worker_status  any_ not_any_

-- via: work_pools ON work_pool.id = worker.work_pool_id

-- sort: LAST_HEARTBEAT_TIME_DESC BY worker.last_heartbeat_time, worker.id
