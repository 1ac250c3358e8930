-- Functions that views and statements share.

-- STABLE, as to_char is, and not STRICT: so the planner writes its body into the statement and a call costs nothing.
CREATE FUNCTION downbeat.rfc3339(instant timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN isfinite(instant)
            THEN replace(to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')
            WHEN instant > '2000-01-01Z' THEN '9999-12-31T23:59:59.999999Z'
            WHEN instant < '2000-01-01Z' THEN '0001-01-01T00:00:00Z' END;

COMMENT ON FUNCTION downbeat.rfc3339(timestamptz) IS
    'A time as the API writes it: RFC 3339 in UTC, with microseconds unless they are zero; infinities are the first and last times that Python knows.';
