-- A saved search as the API shows it.
CREATE VIEW downbeat.saved_search AS
SELECT saved_search.id,
       downbeat.rfc3339(saved_search.created) AS created,
       downbeat.rfc3339(saved_search.updated) AS updated,
       saved_search.name,
       saved_search.filters
  FROM public.saved_search;
