-- Functions that views and statements share.

-- STABLE, as to_char is, and not STRICT: so the planner writes its body into the statement and a call costs nothing.
CREATE FUNCTION downbeat.rfc3339(instant timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN replace(to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z');

COMMENT ON FUNCTION downbeat.rfc3339(timestamptz) IS
    'A time as the API writes it: RFC 3339 in UTC, with microseconds unless they are zero.';
