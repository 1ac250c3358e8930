-- Block types: one row per slug.

-- name: create :one
-- Insert a block type and give what its event tells; a slug that is taken breaks a constraint.
INSERT INTO block_type (id, name, slug, logo_url, documentation_url, description, code_example)
VALUES (%(id)s::uuid, %(name)s::text, %(slug)s::text, %(logo_url)s::text, %(documentation_url)s::text,
        %(description)s::text, %(code_example)s::text)
RETURNING id, name, slug, logo_url, documentation_url, description, code_example, is_protected, now() AS occurred;

-- name: create_missing :exec
-- Insert those of the given block types that are not there, and protect those that are to be; others stay as they are.
INSERT INTO block_type (id, name, slug, logo_url, documentation_url, description, code_example, is_protected)
SELECT given.id, given.name, given.slug, given.logo_url, given.documentation_url, given.description, given.code_example,
       given.is_protected
  FROM jsonb_to_recordset(%(block_types)s::jsonb)
       AS given (id uuid, name text, slug text, logo_url text, documentation_url text, description text, code_example text,
                 is_protected boolean)
 ORDER BY given.slug
    ON CONFLICT (slug) DO UPDATE SET is_protected = TRUE
 WHERE excluded.is_protected AND NOT block_type.is_protected;

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

-- name: find_many :many
-- The ids of the block types of slugs.
SELECT slug, id::text
  FROM block_type
 WHERE slug = ANY (%(slugs)s::text[]);
