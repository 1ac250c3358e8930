-- A limit by tag as the API shows it, with the task runs that hold its slots. It is the limit named after the tag; older ones,
-- which have their holders in a list, are shown as well.
CREATE VIEW downbeat.concurrency_limit AS
SELECT bound.id,
       downbeat.rfc3339(bound.created) AS created,
       downbeat.rfc3339(bound.updated) AS updated,
       substr(bound.name, 5)::varchar AS tag,
       bound."limit" AS concurrency_limit,
       COALESCE((SELECT jsonb_agg(lease.holder_id ORDER BY lease.acquired, lease.id)
                   FROM downbeat.concurrency_lease AS lease
                  WHERE lease.limit_id = bound.id
                    AND lease.holder_type = 'task_run'
                    AND lease.expires > now()), '[]') AS active_slots
  FROM public.concurrency_limit_v2 AS bound
 WHERE starts_with(bound.name, 'tag:')
 UNION ALL
SELECT older.id,
       downbeat.rfc3339(older.created),
       downbeat.rfc3339(older.updated),
       older.tag,
       older.concurrency_limit,
       older.active_slots
  FROM public.concurrency_limit AS older;
