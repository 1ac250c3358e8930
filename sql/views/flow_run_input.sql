-- An input of a flow run as the API shows it.
CREATE VIEW downbeat.flow_run_input AS
SELECT input.id,
       downbeat.rfc3339(input.created) AS created,
       downbeat.rfc3339(input.updated) AS updated,
       input.flow_run_id,
       input.key,
       input.value,
       input.sender
  FROM public.flow_run_input AS input;
