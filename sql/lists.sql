-- What every resource gives in the same way. For each file of sql/filters/ that names a view, its resource has these statements
-- with its table and view, unless it has others of these names: sql.flow_runs.page is the page of flow runs.

-- name: read :json
-- One by id.
SELECT row_to_json(shown)::text
  FROM downbeat.{view} AS shown
 WHERE shown.id = %(id)s::uuid;

-- name: page :many
-- The ids of a page of those that match, in order. Found on the table alone and shown by read_many, which is planned once:
-- together they would be planned for every request, and that costs more than the round trip.
SELECT {table}.id::text
  FROM {table}
 WHERE {filter}
 ORDER BY {sort}
 LIMIT %(limit)s::int
OFFSET %(offset)s::bigint;

-- name: read_many :json
-- Those of these ids, in the order of the ids.
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
       JOIN downbeat.{view} AS shown ON shown.id = page.id;

-- name: count :value
-- How many match.
SELECT count(*)
  FROM {table}
 WHERE {filter};

-- name: count_all :value
-- How many there are of what there may be millions of: exactly up to 10,000, beyond that as PostgreSQL estimates, which a list of
-- a million does as well and reads no more than these.
SELECT CASE WHEN first.number <= 10000 THEN first.number
            ELSE (SELECT GREATEST(first.number, table_size.rows)
                    FROM downbeat.table_size
                   WHERE table_size.name = '{table}') END
  FROM (SELECT count(*) AS number
          FROM (SELECT FROM {table} ORDER BY id LIMIT 10001) AS counted) AS first;
