-- Block types: one row per slug.

-- name: create :one
-- Insert a block type and give what its event tells; a slug that is taken breaks a constraint.
INSERT INTO block_type (id, name, slug, logo_url, documentation_url, description, code_example)
VALUES (%(id)s::uuid, %(name)s::text, %(slug)s::text, %(logo_url)s::text, %(documentation_url)s::text,
        %(description)s::text, %(code_example)s::text)
RETURNING id, name, slug, logo_url, documentation_url, description, code_example, is_protected, now() AS occurred;

-- name: read_by_slug :json
-- One block type by its unique slug.
SELECT row_to_json(block_type)::text
  FROM downbeat.block_type
 WHERE block_type.slug = %(slug)s::text;

-- name: lock :one
-- What of a block type can change, and whether it may be deleted.
SELECT logo_url, documentation_url, description, code_example, is_protected
  FROM block_type
 WHERE id = %(id)s::uuid
   FOR UPDATE;

-- name: update :one
-- Replace the columns of a block type that are among the changes, and give what its event tells.
UPDATE block_type
   SET (logo_url, documentation_url, description, code_example, updated)
     = (SELECT given.logo_url, given.documentation_url, given.description, given.code_example, now()
          FROM jsonb_populate_record(block_type, %(changes)s::jsonb) AS given)
 WHERE id = %(id)s::uuid
RETURNING id, name, slug, logo_url, documentation_url, description, code_example, is_protected, now() AS occurred;

-- name: delete :one
-- Delete a block type with its schemas and documents, and give what its event tells.
DELETE FROM block_type
 WHERE id = %(id)s::uuid
RETURNING id, name, slug, logo_url, documentation_url, description, code_example, is_protected, now() AS occurred;

-- name: find :value
-- The id of the block type of a slug.
SELECT id::text
  FROM block_type
 WHERE slug = %(slug)s::text;
