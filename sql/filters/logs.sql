-- Conditions and orders of lists of logs.

-- predicate: level.ge_
log.level >= %(logs.level.ge_)s::int

-- predicate: level.le_
log.level <= %(logs.level.le_)s::int

-- predicate: timestamp.before_
log.timestamp <= %(logs.timestamp.before_)s::timestamptz

-- predicate: timestamp.after_
log.timestamp >= %(logs.timestamp.after_)s::timestamptz

-- predicate: flow_run_id.any_
log.flow_run_id = ANY (%(logs.flow_run_id.any_)s::uuid[])

-- predicate: task_run_id.any_
log.task_run_id = ANY (%(logs.task_run_id.any_)s::uuid[])

-- predicate: task_run_id.is_null_
(log.task_run_id IS NULL) = %(logs.task_run_id.is_null_)s::boolean

-- predicate: text.query
-- The terms' first character says whether any (space), all (+) or none (-) of its kind must occur.
(SELECT COALESCE(bool_or(term.occurs) FILTER (WHERE term.kind = ' '), TRUE)
    AND COALESCE(bool_and(term.occurs = (term.kind = '+')) FILTER (WHERE term.kind <> ' '), TRUE)
   FROM (SELECT left(given, 1) AS kind, strpos(lower(log.message || ' ' || log.name), substr(given, 2)) > 0 AS occurs
           FROM unnest(%(logs.text.query)s::text[]) AS given) AS term)

-- sort: TIMESTAMP_ASC
log.timestamp ASC, log.id ASC

-- sort: TIMESTAMP_DESC
log.timestamp DESC, log.id DESC

-- sort: flow_run_id.TIMESTAMP_ASC
log.flow_run_id ASC, log.timestamp ASC, log.id ASC

-- sort: flow_run_id.TIMESTAMP_DESC
log.flow_run_id DESC, log.timestamp DESC, log.id DESC

-- sort: task_run_id.TIMESTAMP_ASC
log.task_run_id ASC, log.timestamp ASC, log.id ASC

-- sort: task_run_id.TIMESTAMP_DESC
log.task_run_id DESC, log.timestamp DESC, log.id DESC
