-- A task run's state as the API shows it. Its result is in an artifact, or in the state itself if an event brought it or an
-- older server wrote it.
CREATE VIEW downbeat.task_run_state AS
SELECT state.id,
       state.type,
       state.name,
       downbeat.rfc3339(state.timestamp) AS timestamp,
       state.message,
       CASE WHEN state.data NOT IN ('null', 'false', '0', '""', '[]', '{}') THEN state.data::json
            WHEN state.result_artifact_id IS NOT NULL
            THEN (SELECT artifact.data FROM public.artifact WHERE artifact.id = state.result_artifact_id)
       END AS data,
       downbeat.complete_details(state.state_details) AS state_details
  FROM public.task_run_state AS state;
