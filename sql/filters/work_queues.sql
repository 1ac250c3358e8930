-- Conditions and orders of lists of work queues.

-- table: work_queue
-- view: agent_queue

-- column: id    uuid  any_
-- column: name  text  any_

-- predicate: name.startswith_
work_queue.name ILIKE ANY (SELECT prefix || '%' FROM unnest(%(work_queues.name.startswith_)s::text[]) AS prefix)

-- via: work_pools ON work_pool.id = work_queue.work_pool_id

-- sort: NAME_ASC BY work_queue.name, work_queue.id
-- sort: PRIORITY_ASC BY work_queue.priority, work_queue.id
