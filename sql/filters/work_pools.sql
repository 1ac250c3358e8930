-- Conditions and orders of lists of work pools.

-- predicate: id.any_
work_pool.id = ANY (%(work_pools.id.any_)s::uuid[])

-- predicate: name.any_
work_pool.name = ANY (%(work_pools.name.any_)s::text[])

-- predicate: type.any_
work_pool.type = ANY (%(work_pools.type.any_)s::text[])

-- sort: NAME_ASC
work_pool.name ASC
