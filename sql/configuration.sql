-- Configuration: one row per key, and whether the database answers at all.

-- name: create :exec
-- Set the value of a key that has none.
INSERT INTO configuration (id, key, value)
VALUES (%(id)s::uuid, %(key)s::text, %(value)s::jsonb)
    ON CONFLICT (key) DO NOTHING;

-- name: upsert :exec
-- Set the value of a key.
INSERT INTO configuration (id, key, value)
VALUES (%(id)s::uuid, %(key)s::text, %(value)s::jsonb)
    ON CONFLICT (key) DO UPDATE
   SET value = excluded.value,
       updated = now();

-- name: read :value
-- The value of a key.
SELECT value
  FROM configuration
 WHERE key = %(key)s::text;

-- name: read_capabilities :one
-- What the schema of a block document says that the block can do; locks the document so that it stays.
SELECT block_schema.capabilities
  FROM block_document
  JOIN block_schema ON block_schema.id = block_document.block_schema_id
 WHERE block_document.id = %(id)s::uuid
   FOR SHARE OF block_document;

-- name: delete :exec
-- Remove a key.
DELETE FROM configuration
 WHERE key = %(key)s::text;
