-- Conditions and orders of lists of block schemas.

-- predicate: block_type_id.any_
block_schema.block_type_id = ANY (%(block_schemas.block_type_id.any_)s::uuid[])

-- predicate: block_capabilities.all_
block_schema.capabilities ?& %(block_schemas.block_capabilities.all_)s::text[]

-- predicate: id.any_
block_schema.id = ANY (%(block_schemas.id.any_)s::uuid[])

-- predicate: version.any_
block_schema.version = ANY (%(block_schemas.version.any_)s::text[])

-- sort: CREATED_DESC
block_schema.created DESC, block_schema.id DESC
