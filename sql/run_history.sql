-- What charts show of flow runs and task runs.

-- name: count :json
-- How many runs that match were expected to start in each interval from the start to the end of the last, by state,
-- with the seconds that they ran and those that they were late. Of the table only the runs of that time are read, once and
-- by ix_{run}__expected_start_time_desc; a run without a state is in no interval. MATERIALIZED, so that the runs are hashed
-- by interval as they are read instead of sorted.
  WITH counts AS MATERIALIZED (
       SELECT date_bin(%(interval)s::interval, {run}.expected_start_time, %(start)s::timestamptz) AS interval_start,
              {run}.state_type,
              {run}.state_name,
              count(*) AS number,
              sum(GREATEST(0, downbeat.estimated_run_time({run}.state_type, {run}.total_run_time, {run}.state_timestamp)))
                  AS run_time,
              sum(downbeat.estimated_start_time_delta({run}.state_type, {run}.start_time, {run}.expected_start_time))
                  AS lateness
         FROM {run}
        WHERE {run}.expected_start_time >= %(start)s::timestamptz
          AND {run}.expected_start_time < %(end)s::timestamptz
          AND {run}.state_type IS NOT NULL
          AND {filter}
        GROUP BY interval_start, {run}.state_type, {run}.state_name
       ),
       states AS (
       SELECT interval_start,
              json_agg(json_build_object('state_type', state_type,
                                         'state_name', state_name,
                                         'count_runs', number,
                                         'sum_estimated_run_time', round(run_time::numeric, 6)::float8,
                                         'sum_estimated_lateness', round(lateness::numeric, 6)::float8)
                       ORDER BY state_type, state_name) AS list
         FROM counts
        GROUP BY interval_start
       )
SELECT COALESCE(json_agg(json_build_object('interval_start', downbeat.rfc3339(pieces.start),
                                           'interval_end', downbeat.rfc3339(pieces.start + %(interval)s::interval),
                                           'states', COALESCE(states.list, '[]'))
                         ORDER BY pieces.start), '[]')::text
  FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz, %(interval)s::interval) AS pieces (start)
       LEFT JOIN states ON states.interval_start = pieces.start
 WHERE pieces.start < %(end)s::timestamptz;

-- name: average_lateness :value
-- The seconds by which the flow runs that match are late on average; null if there are none.
SELECT round(avg(downbeat.estimated_start_time_delta(flow_run.state_type, flow_run.start_time,
                                                     flow_run.expected_start_time))::numeric, 6)::float8
  FROM flow_run
 WHERE {filter};
