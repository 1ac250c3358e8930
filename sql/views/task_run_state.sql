-- A task run's state as the API shows it. Its result is in an artifact, or in the state itself if an event brought it or an
-- older server wrote it. Details that an older server wrote lack keys, at least the last that was added; they are filled in
-- there only, for it doubles the cost of a state.
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
       CASE WHEN state.state_details ? 'deployment_concurrency_lease_id' THEN state.state_details
            ELSE '{"flow_run_id": null, "task_run_id": null, "child_flow_run_id": null, "scheduled_time": null,
                  "cache_key": null, "cache_expiration": null, "deferred": false, "untrackable_result": false,
                  "pause_timeout": null, "pause_reschedule": false, "pause_key": null, "run_input_keyset": null,
                  "refresh_cache": null, "retriable": null, "transition_id": null, "task_parameters_id": null,
                  "traceparent": null, "deployment_concurrency_lease_id": null}'
                 || state.state_details
       END AS state_details
  FROM public.task_run_state AS state;
