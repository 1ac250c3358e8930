-- needs: block_type
-- A block schema as the API shows it, but for what its fields say of nested blocks.
CREATE VIEW downbeat.block_schema AS
SELECT block_schema.id,
       downbeat.rfc3339(block_schema.created) AS created,
       downbeat.rfc3339(block_schema.updated) AS updated,
       block_schema.checksum,
       block_schema.fields,
       block_schema.block_type_id,
       (SELECT row_to_json(block_type) FROM downbeat.block_type WHERE block_type.id = block_schema.block_type_id)
       AS block_type,
       block_schema.capabilities,
       block_schema.version
  FROM public.block_schema;
