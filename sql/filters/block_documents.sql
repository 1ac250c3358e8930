-- Conditions and orders of lists of block documents.

-- table: block_document

-- column: id             uuid     any_
-- column: is_anonymous   boolean  eq_
-- column: block_type_id  uuid     any_
-- column: name           text     any_ like_

-- via: block_types ON block_type.id = block_document.block_type_id
-- via: block_schemas ON block_schema.id = block_document.block_schema_id

-- sort: NAME_DESC NAME_ASC BY block_document.name, block_document.id
-- sort: BLOCK_TYPE_AND_NAME_ASC BY block_document.block_type_name, block_document.name, block_document.id
