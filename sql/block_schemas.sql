-- Block schemas: versions of the fields of block types, and which of their fields hold blocks of other schemas.

-- name: create :exec
-- Insert a block schema, unless its checksum and version are there.
INSERT INTO block_schema (id, checksum, fields, block_type_id, capabilities, version)
VALUES (%(id)s::uuid, %(checksum)s::text, %(fields)s::jsonb, %(block_type_id)s::uuid, %(capabilities)s::jsonb,
        %(version)s::text)
    ON CONFLICT (checksum, version) DO NOTHING;

-- name: read_trees :many
-- Block schemas by id, and all that are nested in them; each with the fields that hold others, oldest first.
  WITH RECURSIVE reached AS (
       SELECT unnest(%(ids)s::uuid[]) AS id
        UNION
       SELECT reference.reference_block_schema_id
         FROM reached
              JOIN block_schema_reference AS reference ON reference.parent_block_schema_id = reached.id
       )
SELECT shown.id::text,
       row_to_json(shown) AS shown,
       (SELECT COALESCE(json_agg(json_build_object('name', reference.name, 'id', reference.reference_block_schema_id)
                                 ORDER BY nested.created, nested.id), '[]')
          FROM block_schema_reference AS reference
               JOIN block_schema AS nested ON nested.id = reference.reference_block_schema_id
         WHERE reference.parent_block_schema_id = shown.id) AS nested
  FROM reached
       JOIN downbeat.block_schema AS shown ON shown.id = reached.id;

-- name: read_capabilities :json
-- What the schemas say that blocks can do.
SELECT COALESCE(json_agg(DISTINCT capability ORDER BY capability), '[]')::text
  FROM block_schema
 CROSS JOIN jsonb_array_elements_text(block_schema.capabilities) AS capability;

-- name: lock :one
-- Whether the block type of a schema is protected.
SELECT block_type.is_protected
  FROM block_schema
       JOIN block_type ON block_type.id = block_schema.block_type_id
 WHERE block_schema.id = %(id)s::uuid
   FOR UPDATE OF block_schema;

-- name: delete :exec
-- Delete a block schema with its documents.
DELETE FROM block_schema
 WHERE id = %(id)s::uuid;

-- name: find :value
-- The id of the newest schema that has a checksum, and a version unless that is null.
SELECT id::text
  FROM block_schema
 WHERE checksum = %(checksum)s::text
   AND version = COALESCE(%(version)s::text, version)
 ORDER BY created DESC, id DESC
 LIMIT 1;

-- name: find_known :many
-- Those of the given checksums and versions of which there is a schema.
SELECT block_schema.checksum, block_schema.version
  FROM unnest(%(checksums)s::text[], %(versions)s::text[]) AS given (checksum, version)
       JOIN block_schema ON block_schema.checksum = given.checksum AND block_schema.version = given.version;

-- name: create_reference :exec
-- Note that a field of a schema holds blocks of another, unless that is noted.
INSERT INTO block_schema_reference (id, name, parent_block_schema_id, reference_block_schema_id)
SELECT %(id)s::uuid, %(name)s::text, %(parent_id)s::uuid, %(nested_id)s::uuid
 WHERE NOT EXISTS (SELECT
                     FROM block_schema_reference AS known
                    WHERE known.name = %(name)s::text
                      AND known.parent_block_schema_id = %(parent_id)s::uuid
                      AND known.reference_block_schema_id = %(nested_id)s::uuid);
