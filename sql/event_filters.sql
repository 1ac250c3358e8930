-- Filters of events that are too long for the address of a list's next page.

-- name: upsert :exec
-- Keep a filter for a day from now, and let some go whose day is over; who is at one of these has it.
  WITH expired AS (
       DELETE FROM downbeat.event_filter
        WHERE id IN (SELECT event_filter.id
                       FROM downbeat.event_filter
                      WHERE event_filter.expires < now()
                        AND event_filter.id <> %(id)s::uuid
                      LIMIT 100
                        FOR UPDATE SKIP LOCKED)
       )
INSERT INTO downbeat.event_filter (id, content, expires)
VALUES (%(id)s::uuid, %(content)s::json, now() + interval '1 day')
    ON CONFLICT (id) DO UPDATE
   SET expires = EXCLUDED.expires;

-- name: read :json
-- A filter that is kept.
SELECT event_filter.content::text
  FROM downbeat.event_filter
 WHERE event_filter.id = %(id)s::uuid;
