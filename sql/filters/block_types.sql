-- Conditions and orders of lists of block types.

-- predicate: name.like_
block_type.name ILIKE '%' || %(block_types.name.like_)s::text || '%'

-- predicate: slug.any_
block_type.slug = ANY (%(block_types.slug.any_)s::text[])

-- via: block_schemas
EXISTS (SELECT FROM block_schema WHERE block_schema.block_type_id = block_type.id AND {filter})

-- sort: NAME_ASC
block_type.name ASC, block_type.id ASC
