-- Events: what happened, with a row in event_resources for every resource that took part.

-- name: create :exec
-- Insert a list of events, each {id, occurred?, event, resource, related?, payload?, follows?, received?}, and their resources.
-- An id that is stored already is left alone, with its resources. In the order of ids, so that two lists that share some of
-- them wait for each other instead of deadlocking.
  WITH created AS (
       INSERT INTO events
              (id, occurred, event, resource_id, resource, related_resource_ids, related, payload, received, recorded, follows)
       SELECT given.id,
              COALESCE(given.occurred, now()),
              given.event,
              given.resource ->> 'prefect.resource.id',
              given.resource,
              COALESCE(jsonb_path_query_array(given.related, '$[*]."prefect.resource.id"'), '[]'),
              COALESCE(given.related, '[]'),
              COALESCE(given.payload, '{}'),
              COALESCE(given.received, now()),
              now(),
              given.follows
         FROM jsonb_to_recordset(%(events)s::jsonb)
              AS given (id uuid, occurred timestamptz, event text, resource jsonb, related jsonb, payload jsonb,
                        received timestamptz, follows uuid)
        ORDER BY given.id
           ON CONFLICT (id) DO NOTHING
       RETURNING id, occurred, resource, related
       )
INSERT INTO event_resources (occurred, resource_id, resource_role, resource, event_id)
SELECT created.occurred,
       involved.resource ->> 'prefect.resource.id',
       CASE involved.place WHEN 1 THEN '' ELSE involved.resource ->> 'prefect.resource.role' END,
       (involved.resource - '{prefect.resource.id,prefect.resource.role}'::text[])::json,
       created.id
  FROM created
 CROSS JOIN jsonb_array_elements(jsonb_build_array(created.resource) || created.related)
            WITH ORDINALITY AS involved (resource, place)
 WHERE octet_length(involved.resource ->> 'prefect.resource.id') <= 2600;

-- name: count_resources :value
-- How many resources the events that match happened to.
SELECT count(DISTINCT events.resource_id)
  FROM events
 WHERE {filter};

-- name: page_of_resources :many
-- The ids of a page of the events that match and are the first of their resource, in order.
SELECT events.id::text
  FROM (SELECT DISTINCT ON (events.resource_id) events.id, events.occurred
          FROM events
         WHERE {filter}
         ORDER BY events.resource_id, {sort}) AS events
 ORDER BY {sort}
 LIMIT %(limit)s::int
OFFSET %(offset)s::bigint;

-- name: count_by_time :many
-- How many events that match occurred in each span of time, by the start of the span. One span begins at the first moment of
-- 1 April 2024, as with Prefect 3.8.3.
SELECT date_bin(%(span)s::interval, events.occurred, '2024-04-01Z') AS start,
       count(*) AS count
  FROM events
 WHERE {filter}
 GROUP BY 1;

-- name: count_by_event :json
-- How many events that match have each name.
SELECT COALESCE(json_agg(row_to_json(counted) ORDER BY counted.count DESC, counted.label), '[]')::text
  FROM (SELECT events.event AS value,
               events.event AS label,
               count(*) AS count,
               downbeat.rfc3339(min(events.occurred)) AS start_time,
               downbeat.rfc3339(max(events.occurred)) AS end_time
          FROM events
         WHERE {filter}
         GROUP BY events.event) AS counted;

-- name: count_by_resource :json
-- How many events that match happened to each resource, under its latest name.
  WITH named AS (
       SELECT events.resource_id,
              COALESCE(events.resource ->> 'prefect.resource.name', events.resource ->> 'prefect.name', events.resource_id)
              AS name,
              count(*) AS count,
              min(events.occurred) AS oldest,
              max(events.occurred) AS latest
         FROM events
        WHERE {filter}
        GROUP BY 1, 2
       )
SELECT COALESCE(json_agg(row_to_json(counted) ORDER BY counted.count DESC, counted.label), '[]')::text
  FROM (SELECT named.resource_id AS value,
               (array_agg(named.name ORDER BY named.latest DESC))[1] AS label,
               sum(named.count)::bigint AS count,
               downbeat.rfc3339(min(named.oldest)) AS start_time,
               downbeat.rfc3339(max(named.latest)) AS end_time
          FROM named
         GROUP BY named.resource_id) AS counted;
