-- Conditions and orders of lists of events.

-- table: events
-- view: event

-- column: occurred  timestamptz  since until

-- predicate: event.prefix
events.event ^@ ANY (%(events.event.prefix)s::text[])

-- predicate: event.exclude_prefix
NOT events.event ^@ ANY (%(events.event.exclude_prefix)s::text[])

-- predicate: event.name
events.event = ANY (%(events.event.name)s::text[])

-- predicate: event.exclude_name
events.event <> ALL (%(events.event.exclude_name)s::text[])

-- predicate: id.id
events.id = ANY (%(events.id.id)s::uuid[])

-- predicate: text.query
-- The terms' first character says whether any (space), all (+) or none (-) of its kind must occur.
(SELECT COALESCE(bool_or(term.occurs) FILTER (WHERE term.kind = ' '), TRUE)
    AND COALESCE(bool_and(term.occurs = (term.kind = '+')) FILTER (WHERE term.kind <> ' '), TRUE)
   FROM (SELECT left(given, 1) AS kind,
                strpos(lower(concat_ws(' ', events.event, events.resource, events.related, events.payload)),
                       substr(given, 2)) > 0 AS occurs
           FROM unnest(%(events.text.query)s::text[]) AS given) AS term)

-- via: event_resources
-- The times are the event's too, and the index of a resource's events is by time.
events.id IN (SELECT event_resources.event_id
                FROM event_resources
               WHERE event_resources.occurred >= %(events.occurred.since)s::timestamptz
                 AND event_resources.occurred <= %(events.occurred.until)s::timestamptz
                 AND {filter})

-- sort: ASC DESC BY events.occurred, events.id

-- left out: text
