-- Variables: named values that flows and templates read.

-- name: create :one
-- Insert a variable and give what its event tells; a name that is taken breaks a constraint.
INSERT INTO variable (id, name, value, tags)
VALUES (%(id)s::uuid, %(name)s::text, %(value)s::jsonb, %(tags)s::jsonb)
RETURNING id, name, value, tags, now() AS occurred;

-- name: read_by_name :json
-- One variable by its unique name.
SELECT row_to_json(variable)::text
  FROM downbeat.variable
 WHERE variable.name = %(name)s::text;

-- name: read_values :many
-- The values of those variables that there are.
SELECT name, value
  FROM variable
 WHERE name = ANY (%(names)s::text[]);

-- name: update :one
-- Replace the columns that are among the changes of the variable that has the id or the name, the other being null, and give
-- what its event tells. The value null is stored as NULL.
UPDATE variable
   SET (name, value, tags, updated)
     = (SELECT COALESCE(given.name, variable.name), given.value, COALESCE(given.tags, variable.tags), now()
          FROM jsonb_populate_record(variable, %(changes)s::jsonb) AS given)
 WHERE id = %(id)s::uuid
    OR name = %(name)s::text
RETURNING id, name, value, tags, now() AS occurred;

-- name: delete :one
-- Delete the variable that has the id or the name, the other being null, and give what its event tells.
DELETE FROM variable
 WHERE id = %(id)s::uuid
    OR name = %(name)s::text
RETURNING id, name, value, tags, now() AS occurred;
