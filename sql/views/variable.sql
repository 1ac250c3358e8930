-- A variable as the API shows it.
CREATE VIEW downbeat.variable AS
SELECT variable.id,
       downbeat.rfc3339(variable.created) AS created,
       downbeat.rfc3339(variable.updated) AS updated,
       variable.name,
       variable.value,
       variable.tags
  FROM public.variable;
