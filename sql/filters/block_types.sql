-- Conditions and orders of lists of block types.

-- table: block_type
-- view: block_type

-- column: name  uuid  like_
-- column: slug  text  any_

-- via: block_schemas ON block_schema.block_type_id = block_type.id

-- sort: NAME_ASC BY block_type.name, block_type.id
