-- Conditions and orders of lists of work pools.

-- table: work_pool
-- view: work_pool

-- column: id    uuid  any_
-- column: name  text  any_
-- column: type  text  any_

-- sort: NAME_ASC BY work_pool.name
