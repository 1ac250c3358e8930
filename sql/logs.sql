-- Logs: written in batches, read by run and time.

-- name: create :exec
-- Store a batch, a JSON array of objects. The ids are the batch's `base` (27 hexadecimal digits) and each log's place in it,
-- so a batch that is sent again breaks the primary key. That is cheaper than ON CONFLICT, and as a batch is stored as a
-- whole or not at all, it says as much: for 100 logs of 300 bytes 0.87 ms of PostgreSQL and 0.12 ms of Python, with
-- ON CONFLICT 1.0 and 0.12, as parallel arrays 0.89 and 0.29, by COPY 0.71 and 0.24 and two round trips.
INSERT INTO log (id, name, level, message, timestamp, flow_run_id, task_run_id)
SELECT (%(base)s::text || lpad(to_hex(given.place), 5, '0'))::uuid,
       given.name,
       given.level,
       given.message,
       given.timestamp,
       given.flow_run_id,
       given.task_run_id
  FROM ROWS FROM (
       jsonb_to_recordset(%(logs)s::jsonb) AS (
           name text, level smallint, message text, timestamp timestamptz, flow_run_id uuid, task_run_id uuid
       )
       ) WITH ORDINALITY AS given (name, level, message, timestamp, flow_run_id, task_run_id, place);

-- name: filter :json
-- A page of the logs that match, in order.
  WITH page AS (
       SELECT log.id, row_number() OVER (ORDER BY {sort}) AS place
         FROM log
        WHERE {filter}
        ORDER BY {sort}
        LIMIT %(limit)s::int
       OFFSET %(offset)s::int
       )
SELECT COALESCE(json_agg(row_to_json(log) ORDER BY page.place), '[]')::text
  FROM page
  JOIN downbeat.log ON log.id = page.id;

-- name: page_csv :one
-- The lines of a flow run behind one of them, oldest first, as the text of a CSV file: at most so many, and no more once there
-- is a megabyte of messages. With the name of the run, and the place of the last line where the next page begins; without
-- lines it is null. A page stands for itself, so that nobody who reads slowly holds a connection. The run comes first in the
-- order and in a list, or PostgreSQL would take the index of all times and pass over the lines of all other runs.
SELECT flow_run.name,
       page.lines,
       page.timestamp,
       page.id
  FROM flow_run
       CROSS JOIN LATERAL (
       SELECT string_agg(concat_ws(',',
                             replace(replace(downbeat.rfc3339(line.timestamp), 'T', ' '), 'Z', '+00:00'),
                             line.level,
                             line.flow_run_id,
                             COALESCE(line.task_run_id::text, ''),
                             CASE WHEN line.message ~ '[",\r\n]' THEN '"' || replace(line.message, '"', '""') || '"'
                                  ELSE line.message END) || E'\r\n', '' ORDER BY line.timestamp, line.id) AS lines,
              max(line.timestamp)::text AS timestamp,
              (array_agg(line.id::text ORDER BY line.timestamp DESC, line.id DESC))[1] AS id
         FROM (SELECT id, timestamp, level, flow_run_id, task_run_id, message,
                      sum(octet_length(message)) OVER (ORDER BY flow_run_id, timestamp, id ROWS UNBOUNDED PRECEDING)
                          - octet_length(message) AS bytes_before
                 FROM log
                WHERE flow_run_id = ANY (ARRAY[%(flow_run_id)s::uuid])
                  AND (timestamp, id) > (%(timestamp)s::timestamptz, %(id)s::uuid)
                ORDER BY flow_run_id, timestamp, id
                LIMIT %(limit)s::integer) AS line
        WHERE line.bytes_before < 1048576
       ) AS page
 WHERE flow_run.id = %(flow_run_id)s::uuid;

-- name: list_matching :many
-- The ids of those of some logs that match, oldest first.
SELECT log.id::text
  FROM log
 WHERE log.id = ANY (%(ids)s::uuid[])
   AND {filter}
 ORDER BY log.timestamp, log.id;
