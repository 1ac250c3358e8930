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

CREATE FUNCTION downbeat.estimated_run_time(state_type state_type, total_run_time interval, since timestamptz) RETURNS float8
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXTRACT(epoch FROM CASE WHEN state_type = 'RUNNING'
                               THEN total_run_time + (now() - LEAST(GREATEST(since, '0001-01-01Z'), '9999-12-31Z'))
                               ELSE total_run_time END)::float8;

COMMENT ON FUNCTION downbeat.estimated_run_time(state_type, interval, timestamptz) IS
    'Seconds that a run has spent running, with those since it entered its present state if that is RUNNING.';

CREATE FUNCTION downbeat.estimated_start_time_delta(state_type state_type, start_time timestamptz, expected timestamptz)
RETURNS float8
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXTRACT(epoch FROM CASE WHEN start_time > expected
                               THEN LEAST(start_time, '9999-12-31Z') - GREATEST(expected, '0001-01-01Z')
                               WHEN start_time IS NULL
                                AND expected < now()
                                AND (state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
                                     OR state_type IS NULL)
                               THEN now() - GREATEST(expected, '0001-01-01Z')
                               ELSE '0' END)::float8;

COMMENT ON FUNCTION downbeat.estimated_start_time_delta(state_type, timestamptz, timestamptz) IS
    'Seconds by which a run started late or, if it has neither started nor ended, is late now.';

CREATE FUNCTION downbeat.complete_details(state_details jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN state_details ? 'deployment_concurrency_lease_id' THEN state_details
            ELSE '{"flow_run_id": null, "task_run_id": null, "child_flow_run_id": null, "scheduled_time": null,
                  "cache_key": null, "cache_expiration": null, "deferred": false, "untrackable_result": false,
                  "pause_timeout": null, "pause_reschedule": false, "pause_key": null, "run_input_keyset": null,
                  "refresh_cache": null, "retriable": null, "transition_id": null, "task_parameters_id": null,
                  "traceparent": null, "deployment_concurrency_lease_id": null}' || state_details END;

COMMENT ON FUNCTION downbeat.complete_details(jsonb) IS 'The details of a state with every key. Only what an older server wrote lacks some; filling in costs as much as all the rest.';
