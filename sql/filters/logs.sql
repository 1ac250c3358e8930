-- Conditions and orders of lists of logs.

-- table: log
-- view: log

-- column: level        int          ge_ le_
-- column: timestamp    timestamptz  before_ after_
-- column: flow_run_id  uuid         any_
-- column: task_run_id  uuid         any_ is_null_

-- predicate: text.query
-- The terms' first character says whether any (space), all (+) or none (-) of its kind must occur.
(SELECT COALESCE(bool_or(term.occurs) FILTER (WHERE term.kind = ' '), TRUE)
    AND COALESCE(bool_and(term.occurs = (term.kind = '+')) FILTER (WHERE term.kind <> ' '), TRUE)
   FROM (SELECT left(given, 1) AS kind, strpos(lower(log.message || ' ' || log.name), substr(given, 2)) > 0 AS occurs
           FROM unnest(%(logs.text.query)s::text[]) AS given) AS term)

-- sort: TIMESTAMP_ASC TIMESTAMP_DESC BY log.timestamp, log.id
-- sort: flow_run_id.TIMESTAMP_ASC flow_run_id.TIMESTAMP_DESC BY log.flow_run_id, log.timestamp, log.id
-- sort: task_run_id.TIMESTAMP_ASC task_run_id.TIMESTAMP_DESC BY log.task_run_id, log.timestamp, log.id

-- left out: text
