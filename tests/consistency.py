"""What must be true of all runs, states and events in a database at every instant, whatever crashed."""

from psycopg import Connection

# Each row is something that is half-written: what is wrong and the id of the run, state or event that it is wrong with.
HALF_WRITTEN = """
  WITH flow_states AS (
       SELECT state.*,
              is_final,
              lead(timestamp) OVER (PARTITION BY flow_run_id ORDER BY timestamp) - timestamp AS lasted,
              row_number() OVER (PARTITION BY flow_run_id ORDER BY timestamp DESC) AS age,
              max(timestamp) FILTER (WHERE NOT is_final) OVER (PARTITION BY flow_run_id) AS last_unfinished
         FROM flow_run_state AS state
        CROSS JOIN LATERAL (SELECT type IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') AS is_final) AS final
       ),
       told_by_flow_states AS (
       SELECT flow_run_id AS id,
              min(timestamp) FILTER (WHERE type = 'RUNNING' OR is_final) AS start_time,
              min(timestamp) FILTER (WHERE is_final AND (last_unfinished IS NULL OR timestamp > last_unfinished)) AS end_time,
              COALESCE(sum(lasted) FILTER (WHERE type = 'RUNNING'), '0') AS total_run_time,
              count(*) FILTER (WHERE type = 'RUNNING') AS run_count,
              bool_or(type = 'PAUSED') AS has_paused
         FROM flow_states
        GROUP BY flow_run_id
       ),
       task_states AS (
       SELECT state.*, row_number() OVER (PARTITION BY task_run_id ORDER BY timestamp DESC) AS age
         FROM task_run_state AS state
       )
SELECT 'flow run without a state', run.id
  FROM flow_run AS run
 WHERE NOT EXISTS (SELECT FROM flow_run_state AS state WHERE state.flow_run_id = run.id)

 UNION ALL
SELECT 'flow run in another state than its newest', run.id
  FROM flow_run AS run
       JOIN flow_states AS newest ON newest.flow_run_id = run.id AND newest.age = 1
 WHERE (run.state_id, run.state_type, run.state_name, run.state_timestamp)
       IS DISTINCT FROM (newest.id, newest.type, newest.name, newest.timestamp)

 UNION ALL
SELECT 'flow run whose times do not agree with its states', run.id
  FROM flow_run AS run
       JOIN told_by_flow_states AS told USING (id)
 WHERE (run.start_time, run.end_time, run.total_run_time)
       IS DISTINCT FROM (told.start_time, told.end_time, told.total_run_time)
    OR (run.next_scheduled_start_time IS NULL) <> (run.state_type <> 'SCHEDULED')

 UNION ALL
-- Going on after a pause is not always counted.
SELECT 'flow run whose count does not agree with its states', run.id
  FROM flow_run AS run
       JOIN told_by_flow_states AS told USING (id)
 WHERE run.run_count <> told.run_count
   AND NOT told.has_paused

 UNION ALL
SELECT 'state of a flow run without its event', state.id
  FROM flow_run_state AS state
 WHERE NOT EXISTS
       (SELECT
          FROM events
         WHERE events.id = state.id
           AND events.occurred = state.timestamp
           AND events.event = 'prefect.flow-run.' || state.name
           AND events.resource_id = 'prefect.flow-run.' || state.flow_run_id)

 UNION ALL
-- The heartbeats that clients send tell of no state.
SELECT 'event of a flow run without its state', events.id
  FROM events
       JOIN flow_run AS run ON events.resource_id = 'prefect.flow-run.' || run.id
 WHERE events.event NOT IN ('prefect.flow-run.heartbeat', 'prefect.flow-run.pull-step.executed')
   AND NOT EXISTS (SELECT FROM flow_run_state AS state WHERE state.id = events.id AND state.flow_run_id = run.id)

 UNION ALL
SELECT 'event whose resources are not all there', events.id
  FROM events
       LEFT JOIN (SELECT event_id, count(*) FROM event_resources GROUP BY event_id) AS found ON found.event_id = events.id
 WHERE found.count IS DISTINCT FROM 1 + jsonb_array_length(events.related)

 UNION ALL
SELECT 'task run in another state than its newest', run.id
  FROM task_run AS run
       LEFT JOIN task_states AS newest ON newest.task_run_id = run.id AND newest.age = 1
 WHERE newest.id IS NULL
    OR (run.state_id, run.state_type, run.state_name, run.state_timestamp)
       IS DISTINCT FROM (newest.id, newest.type, newest.name, newest.timestamp)

 UNION ALL
SELECT 'event of a task run without its state', events.id
  FROM events
       JOIN task_run AS run ON events.resource_id = 'prefect.task-run.' || run.id
 WHERE NOT EXISTS (SELECT FROM task_run_state AS state WHERE state.id = events.id AND state.task_run_id = run.id)

 UNION ALL
SELECT 'task run that is not in the state of the subflow it stands for', task_run.id
  FROM flow_run AS subflow
       JOIN task_run ON task_run.id = subflow.parent_task_run_id
 WHERE (task_run.state_type, task_run.state_name) IS DISTINCT FROM (subflow.state_type, subflow.state_name)

 UNION ALL
-- Results stay when their run is deleted, as in Prefect.
SELECT 'result of a state that is not there', artifact.id
  FROM artifact
 WHERE (EXISTS (SELECT FROM flow_run WHERE flow_run.id = artifact.flow_run_id)
        OR EXISTS (SELECT FROM task_run WHERE task_run.id = artifact.task_run_id))
   AND NOT EXISTS (SELECT FROM flow_run_state WHERE flow_run_state.result_artifact_id = artifact.id)
   AND NOT EXISTS (SELECT FROM task_run_state WHERE task_run_state.result_artifact_id = artifact.id)
"""


def find_half_written(conn: Connection) -> list[tuple]:
    """Give what is half-written in a database: what is wrong, and the id of what it is wrong with."""
    conn.execute("ANALYZE")  # or what was a fresh database a moment ago is searched as one with a few rows
    return conn.execute(HALF_WRITTEN).fetchall()
