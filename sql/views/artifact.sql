-- An artifact as the API shows it.
CREATE VIEW downbeat.artifact AS
SELECT artifact.id,
       downbeat.rfc3339(artifact.created) AS created,
       downbeat.rfc3339(artifact.updated) AS updated,
       artifact.key,
       artifact.type,
       artifact.description,
       artifact.data,
       artifact.metadata_,
       artifact.flow_run_id,
       artifact.task_run_id
  FROM public.artifact;
