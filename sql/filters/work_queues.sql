-- Conditions and orders of lists of work queues.

-- predicate: id.any_
work_queue.id = ANY (%(work_queues.id.any_)s::uuid[])

-- predicate: name.any_
work_queue.name = ANY (%(work_queues.name.any_)s::text[])

-- predicate: name.startswith_
work_queue.name ILIKE ANY (SELECT prefix || '%' FROM unnest(%(work_queues.name.startswith_)s::text[]) AS prefix)

-- via: work_pools
EXISTS (SELECT FROM work_pool WHERE work_pool.id = work_queue.work_pool_id AND {filter})

-- sort: NAME_ASC
work_queue.name ASC, work_queue.id ASC

-- sort: PRIORITY_ASC
work_queue.priority ASC, work_queue.id ASC
