-- Variables: named values that flows and templates read.

-- name: read_value :one
-- The value of a variable.
SELECT value
  FROM variable
 WHERE name = %(name)s::text;
