-- Block documents: filled-in blocks, their values encrypted, and which of their fields hold other blocks.

-- name: create :exec
-- Insert a block document; nothing when there is no such block type.
INSERT INTO block_document (id, name, data, block_schema_id, block_type_id, block_type_name, is_anonymous)
SELECT %(id)s::uuid, %(name)s::text, to_jsonb(%(data)s::text), %(block_schema_id)s::uuid, block_type.id, block_type.name,
       %(is_anonymous)s::boolean
  FROM block_type
 WHERE block_type.id = %(block_type_id)s::uuid;

-- name: read_trees :many
-- Block documents by id, and all that are nested in them; each with its encrypted values, with which of them are secret, and
-- with the fields that hold others.
  WITH RECURSIVE reached AS (
       SELECT unnest(%(ids)s::uuid[]) AS id
        UNION
       SELECT reference.reference_block_document_id
         FROM reached
              JOIN block_document_reference AS reference ON reference.parent_block_document_id = reached.id
       )
SELECT shown.id::text,
       row_to_json(shown) AS shown,
       block_document.data,
       block_schema.fields -> 'secret_fields' AS secret_fields,
       (SELECT COALESCE(json_agg(json_build_object('name', reference.name, 'id', reference.reference_block_document_id)
                                 ORDER BY reference.created, reference.id), '[]')
          FROM block_document_reference AS reference
         WHERE reference.parent_block_document_id = shown.id) AS nested
  FROM reached
       JOIN block_document ON block_document.id = reached.id
       JOIN block_schema ON block_schema.id = block_document.block_schema_id
       JOIN downbeat.block_document AS shown ON shown.id = block_document.id;

-- name: lock :one
-- What a change of a block document starts from.
SELECT block_document.data,
       block_document.block_schema_id::text,
       block_document.block_type_id::text,
       block_schema.fields -> 'secret_fields' AS secret_fields
  FROM block_document
       JOIN block_schema ON block_schema.id = block_document.block_schema_id
 WHERE block_document.id = %(id)s::uuid
   FOR UPDATE OF block_document;

-- name: update :exec
-- Replace the values of a block document, and its schema.
UPDATE block_document
   SET data = to_jsonb(%(data)s::text),
       block_schema_id = %(block_schema_id)s::uuid,
       updated = now()
 WHERE id = %(id)s::uuid;

-- name: delete :exec
-- Delete a block document.
DELETE FROM block_document
 WHERE id = %(id)s::uuid;

-- name: find :value
-- The id of the document of a name among those of a block type, which is given by id or slug, the other being null.
SELECT block_document.id::text
  FROM block_document
       JOIN block_type ON block_type.id = block_document.block_type_id
 WHERE block_document.name = %(name)s::text
   AND (block_type.id = %(block_type_id)s::uuid OR block_type.slug = %(slug)s::text);

-- name: find_schema :one
-- The block type of a schema.
SELECT block_type_id::text
  FROM block_schema
 WHERE id = %(id)s::uuid;

-- name: reaches :value
-- Whether a document is one of some others or nested in one of them.
  WITH RECURSIVE reached AS (
       SELECT unnest(%(others)s::uuid[]) AS id
        UNION
       SELECT reference.reference_block_document_id
         FROM reached
              JOIN block_document_reference AS reference ON reference.parent_block_document_id = reached.id
       )
SELECT EXISTS (SELECT FROM reached WHERE reached.id = %(id)s::uuid);

-- name: replace_references :exec
-- Have the fields of a document hold these documents and no others: a list of objects, each an id, the name of a field and the
-- nested document's id.
  WITH given AS (
       SELECT given.id, given.name, given.nested_id
         FROM jsonb_to_recordset(%(references)s::jsonb) AS given (id uuid, name text, nested_id uuid)
       ),
       removed AS (
       DELETE FROM block_document_reference AS reference
        WHERE reference.parent_block_document_id = %(id)s::uuid
          AND (reference.name, reference.reference_block_document_id) NOT IN (SELECT given.name, given.nested_id FROM given)
       )
INSERT INTO block_document_reference (id, name, parent_block_document_id, reference_block_document_id)
SELECT given.id, given.name, %(id)s::uuid, given.nested_id
  FROM given
 WHERE NOT EXISTS (SELECT
                     FROM block_document_reference AS known
                    WHERE known.parent_block_document_id = %(id)s::uuid
                      AND known.name = given.name
                      AND known.reference_block_document_id = given.nested_id);

-- name: forget_storage :exec
-- Have no default storage of results any more if the block that is it is gone.
DELETE FROM configuration
 WHERE key = 'server-default-result-storage'
   AND NOT EXISTS (SELECT
                     FROM block_document
                    WHERE block_document.id = (configuration.value ->> 'default_result_storage_block_id')::uuid);
