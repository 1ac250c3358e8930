-- Variables: named values that flows and templates read.

-- name: create :one
-- Insert a variable and give what its event tells; a name that is taken breaks a constraint.
INSERT INTO variable (id, name, value, tags)
VALUES (%(id)s::uuid, %(name)s::text, %(value)s::jsonb, %(tags)s::jsonb)
RETURNING id, name, value, tags, now() AS occurred;

-- name: read :json
-- One variable by id.
SELECT row_to_json(variable)::text
  FROM downbeat.variable
 WHERE variable.id = %(id)s::uuid;

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

-- name: read_many :json
-- Variables by id, in the order of the ids.
SELECT COALESCE(json_agg(row_to_json(variable) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.variable ON variable.id = page.id;

-- name: count :value
-- How many variables match.
SELECT count(*)
  FROM variable
 WHERE {filter};

-- name: page :many
-- The ids of a page of the variables that match, in order.
SELECT variable.id::text
  FROM variable
 WHERE {filter}
 ORDER BY {sort}
 LIMIT %(limit)s::int
OFFSET %(offset)s::bigint;

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
