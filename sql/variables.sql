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

-- name: read_value :one
-- The value of a variable.
SELECT value
  FROM variable
 WHERE name = %(name)s::text;

-- name: update :one
-- Change what is among the changes of the variable that has the id or the name, the other being null, and give what its
-- event tells. The value null is stored as NULL.
UPDATE variable
   SET name = COALESCE(%(changes)s::jsonb ->> 'name', name),
       value = CASE WHEN %(changes)s::jsonb ? 'value' THEN NULLIF(%(changes)s::jsonb -> 'value', 'null') ELSE value END,
       tags = COALESCE(%(changes)s::jsonb -> 'tags', tags),
       updated = now()
 WHERE id = %(id)s::uuid
    OR name = %(name)s::text
RETURNING id, name, value, tags, now() AS occurred;

-- name: delete :one
-- Delete the variable that has the id or the name, the other being null, and give what its event tells.
DELETE FROM variable
 WHERE id = %(id)s::uuid
    OR name = %(name)s::text
RETURNING id, name, value, tags, now() AS occurred;
