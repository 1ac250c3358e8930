-- What only the web interface asks for.

-- name: read_task_run :json
-- One task run by id, with the name of its flow run.
SELECT row_to_json(shown)::text
  FROM (SELECT task_run.*,
               flow_run.name AS flow_run_name
          FROM downbeat.task_run
               LEFT JOIN flow_run ON flow_run.id = task_run.flow_run_id
         WHERE task_run.id = %(id)s::uuid) AS shown;

-- name: count_task_runs :json
-- How many task runs that match are in a state of each type.
  WITH counts AS (
       SELECT task_run.state_type,
              count(*) AS number
         FROM task_run
        WHERE {filter}
        GROUP BY task_run.state_type
       )
SELECT json_object_agg(types.type, COALESCE(counts.number, 0))::text
  FROM unnest(enum_range(NULL::state_type)) AS types (type)
       LEFT JOIN counts ON counts.state_type = types.type;

-- name: count_task_runs_by_flow_run :json
-- How many task runs each flow run has; those that stand for a subflow are not counted.
  WITH counts AS (
       SELECT task_run.flow_run_id,
              count(*) AS number
         FROM task_run
        WHERE task_run.flow_run_id = ANY (%(ids)s::uuid[])
          AND NOT EXISTS (SELECT FROM flow_run WHERE flow_run.parent_task_run_id = task_run.id)
        GROUP BY task_run.flow_run_id
       )
SELECT COALESCE(jsonb_object_agg(asked.id, COALESCE(counts.number, 0)), '{}')::text
  FROM unnest(%(ids)s::uuid[]) AS asked (id)
       LEFT JOIN counts ON counts.flow_run_id = asked.id;

-- name: count_task_run_outcomes :json
-- How many task runs that match have failed and how many have ended otherwise, by a twentieth of the time in which they
-- started: from the minute of `after` to the end of that of `before`, which is now if null.
  WITH period AS (
       SELECT date_trunc('minute', %(after)s::timestamptz) AS start,
              date_trunc('minute', COALESCE(%(before)s::timestamptz, now())) + interval '1 minute' AS stop
       ),
       counts AS (
       SELECT floor(20 * EXTRACT(epoch FROM task_run.start_time - period.start)
                       / EXTRACT(epoch FROM period.stop - period.start)) AS place,
              count(*) AS number,
              count(*) FILTER (WHERE task_run.state_type IN ('FAILED', 'CRASHED')) AS failed
         FROM task_run
              JOIN period ON task_run.start_time < period.stop
        WHERE {filter}
        GROUP BY place
       )
SELECT json_agg(json_build_object('completed', COALESCE(counts.number - counts.failed, 0),
                                  'failed', COALESCE(counts.failed, 0))
                ORDER BY places.place)::text
  FROM generate_series(0, 19) AS places (place)
       LEFT JOIN counts ON counts.place = places.place;

-- name: count_deployments_by_flow :json
-- How many deployments each flow has.
SELECT COALESCE(jsonb_object_agg(asked.id, (SELECT count(*) FROM deployment WHERE deployment.flow_id = asked.id)), '{}')::text
  FROM unnest(%(ids)s::uuid[]) AS asked (id);

-- name: find_next_runs :json
-- The scheduled run of each flow that is to start first; null for a flow without one. Only a run that is scheduled has this time:
-- were its state named as well, the planner would look for all scheduled runs instead of the first of the flow, by
-- downbeat_flow_run__flow_id_next_scheduled_start_time.
SELECT COALESCE(jsonb_object_agg(asked.id, row_to_json(next)), '{}')::text
  FROM unnest(%(ids)s::uuid[]) AS asked (id)
       LEFT JOIN LATERAL (
       SELECT flow_run.id,
              flow_run.flow_id,
              flow_run.name,
              flow_run.state_name,
              flow_run.state_type,
              downbeat.rfc3339(flow_run.next_scheduled_start_time) AS next_scheduled_start_time
         FROM flow_run
        WHERE flow_run.flow_id = asked.id
          AND flow_run.next_scheduled_start_time IS NOT NULL
        ORDER BY flow_run.next_scheduled_start_time
        LIMIT 1
       ) AS next ON TRUE;

-- name: read_flow_run_points :json
-- A page of the flow runs that match, in order, as points of a scatter plot; those without a state or a time have no place
-- in it.
SELECT COALESCE(json_agg(row_to_json(points)), '[]')::text
  FROM (SELECT flow_run.id,
               flow_run.state_type,
               downbeat.rfc3339(COALESCE(flow_run.start_time, flow_run.expected_start_time)) AS timestamp,
               downbeat.estimated_run_time(flow_run.state_type, flow_run.total_run_time, flow_run.state_timestamp)
                   AS duration,
               downbeat.estimated_start_time_delta(flow_run.state_type, flow_run.start_time, flow_run.expected_start_time)
                   AS lateness
          FROM flow_run
         WHERE flow_run.state_type IS NOT NULL
           AND COALESCE(flow_run.start_time, flow_run.expected_start_time) IS NOT NULL
           AND {filter}
         ORDER BY {sort}
         LIMIT %(limit)s::int
        OFFSET %(offset)s::bigint) AS points;
