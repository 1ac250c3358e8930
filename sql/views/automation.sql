-- An automation as the API shows it.
CREATE VIEW downbeat.automation AS
SELECT automation.name,
       automation.description,
       automation.enabled,
       automation.tags,
       automation.trigger,
       automation.actions,
       automation.actions_on_trigger,
       automation.actions_on_resolve,
       automation.id,
       downbeat.rfc3339(automation.created) AS created,
       downbeat.rfc3339(automation.updated) AS updated
  FROM public.automation;
