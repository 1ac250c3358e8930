-- The newest version of an artifact, under the id of all its versions together, as the API shows it.
CREATE VIEW downbeat.artifact_collection AS
SELECT artifact_collection.id,
       downbeat.rfc3339(artifact_collection.created) AS created,
       downbeat.rfc3339(artifact_collection.updated) AS updated,
       artifact_collection.key,
       artifact_collection.latest_id,
       artifact_collection.type,
       artifact_collection.description,
       artifact_collection.data,
       artifact_collection.metadata_,
       artifact_collection.flow_run_id,
       artifact_collection.task_run_id
  FROM public.artifact_collection;
