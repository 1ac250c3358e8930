-- What keeps one row from failing a statement about all: times in JSON that are none, schedules that cannot be followed.

CREATE FUNCTION downbeat.read_time(text text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE STRICT AS $$
BEGIN
    RETURN text::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION downbeat.read_time(text) IS
    'A time from its text; null for what is none, so that one row with such a text does not fail a statement about all.';

CREATE FUNCTION downbeat.schedule_failure(id uuid, updated timestamptz) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN md5(concat_ws(' ', 'downbeat.deployment-schedule.failed', id, EXTRACT(epoch FROM updated),
                     EXTRACT(epoch FROM date_trunc('day', now(), 'UTC'))))::uuid;

COMMENT ON FUNCTION downbeat.schedule_failure(uuid, timestamptz) IS
    'Id of the event that a schedule cannot be followed: there is one for each day and each change of the schedule, whoever finds out.';
