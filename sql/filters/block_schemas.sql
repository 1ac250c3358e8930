-- Conditions and orders of lists of block schemas.

-- table: block_schema

-- column: block_type_id       uuid  any_
-- column: block_capabilities  tags  all_ IS block_schema.capabilities
-- column: id                  uuid  any_
-- column: version             text  any_

-- sort: CREATED_DESC BY block_schema.created, block_schema.id
