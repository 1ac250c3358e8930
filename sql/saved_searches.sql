-- Saved searches: one row per name.

-- name: upsert :one
-- Insert a saved search or replace the filters of the one that has its name; gives its id and whether it is new.
INSERT INTO saved_search (id, name, filters)
VALUES (%(id)s::uuid, %(name)s::text, %(filters)s::jsonb)
    ON CONFLICT (name) DO UPDATE
   SET filters = excluded.filters,
       updated = now()
RETURNING id, xmax = 0 AS is_new;

-- name: read :json
-- One saved search by id.
SELECT row_to_json(saved_search)::text
  FROM downbeat.saved_search
 WHERE saved_search.id = %(id)s::uuid;

-- name: filter :json
-- A page of the saved searches, by name.
  WITH page AS (
       SELECT id
         FROM saved_search
        ORDER BY name
        LIMIT %(limit)s::int
       OFFSET %(offset)s::int
       )
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY shown.name), '[]')::text
  FROM page
  JOIN downbeat.saved_search AS shown ON shown.id = page.id;

-- name: delete :exec
-- Delete a saved search.
DELETE FROM saved_search
 WHERE id = %(id)s::uuid;
