-- A block type as the API shows it.
CREATE VIEW downbeat.block_type AS
SELECT block_type.id,
       downbeat.rfc3339(block_type.created) AS created,
       downbeat.rfc3339(block_type.updated) AS updated,
       block_type.name,
       block_type.slug,
       block_type.logo_url,
       block_type.documentation_url,
       block_type.description,
       block_type.code_example,
       block_type.is_protected
  FROM public.block_type;
