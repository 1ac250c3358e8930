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

-- name: read_frames :many
-- Those of these ids as the messages that subscribers get, in the order of the ids: as many as it takes for a number of bytes, but
-- one at least. One row for each id that was looked up, without a message where it is gone. OFFSET keeps a message from being made
-- twice.
  WITH RECURSIVE page AS (
       SELECT 0 AS place, NULL::text AS frame, 0 AS bytes
        UNION ALL
       SELECT page.place + 1, shown.frame, page.bytes + COALESCE(octet_length(shown.frame), 0)
         FROM page
              LEFT JOIN LATERAL (
              SELECT json_build_object('type', '{view}', '{view}', row_to_json(found))::text AS frame
                FROM downbeat.{view} AS found
               WHERE found.id = (%(ids)s::uuid[])[page.place + 1]
              OFFSET 0) AS shown ON TRUE
        WHERE page.place < cardinality(%(ids)s::uuid[])
          AND page.bytes < %(enough_bytes)s::integer
       )
SELECT page.frame
  FROM page
 WHERE page.place > 0
 ORDER BY page.place;

-- name: list_new :many
-- Those that were written at some spans of time by transactions that are not below the horizon, and whether they are not below
-- the next one either: handlers/cursor.py. The table needs an index by `updated`. OFFSET keeps the planner from joining otherwise than by the index, span by span.
SELECT written.id::text,
       age(written.xmin) <= age(%(next_horizon)s::xid8::xid) AS may_come_again
  FROM unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS span (begin, "end")
       CROSS JOIN LATERAL (
       SELECT {table}.id, {table}.xmin
         FROM {table}
        WHERE {table}.updated BETWEEN span.begin AND span."end"
          AND age({table}.xmin) <= age(%(horizon)s::xid8::xid)
       OFFSET 0) AS written;
