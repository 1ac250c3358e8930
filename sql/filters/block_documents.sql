-- Conditions and orders of lists of block documents.

-- predicate: id.any_
block_document.id = ANY (%(block_documents.id.any_)s::uuid[])

-- predicate: is_anonymous.eq_
block_document.is_anonymous = %(block_documents.is_anonymous.eq_)s::boolean

-- predicate: block_type_id.any_
block_document.block_type_id = ANY (%(block_documents.block_type_id.any_)s::uuid[])

-- predicate: name.any_
block_document.name = ANY (%(block_documents.name.any_)s::text[])

-- predicate: name.like_
block_document.name ILIKE '%' || %(block_documents.name.like_)s::text || '%'

-- via: block_types
EXISTS (SELECT FROM block_type WHERE block_type.id = block_document.block_type_id AND {filter})

-- via: block_schemas
EXISTS (SELECT FROM block_schema WHERE block_schema.id = block_document.block_schema_id AND {filter})

-- sort: NAME_DESC
block_document.name DESC, block_document.id DESC

-- sort: NAME_ASC
block_document.name ASC, block_document.id ASC

-- sort: BLOCK_TYPE_AND_NAME_ASC
block_document.block_type_name ASC, block_document.name ASC, block_document.id ASC
