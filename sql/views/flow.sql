-- A flow as the API shows it.
CREATE VIEW downbeat.flow AS
SELECT flow.id,
       downbeat.rfc3339(flow.created) AS created,
       downbeat.rfc3339(flow.updated) AS updated,
       flow.name,
       flow.tags,
       NULLIF(flow.labels, 'null') AS labels
  FROM public.flow;
