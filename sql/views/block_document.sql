-- needs: block_type
-- A block document as the API shows it, but for its values, its schema and the blocks inside it.
CREATE VIEW downbeat.block_document AS
SELECT block_document.id,
       downbeat.rfc3339(block_document.created) AS created,
       downbeat.rfc3339(block_document.updated) AS updated,
       block_document.name,
       block_document.block_schema_id,
       block_document.block_type_id,
       block_document.block_type_name,
       (SELECT row_to_json(block_type) FROM downbeat.block_type WHERE block_type.id = block_document.block_type_id)
       AS block_type,
       block_document.is_anonymous
  FROM public.block_document;
