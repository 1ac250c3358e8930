-- Events: what happened, with a row in event_resources for every resource that took part.

-- name: create :exec
-- Insert a list of events, each {id, occurred, event, resource, related?, payload?, follows?, received?}, and their resources.
-- An id that is stored already is left alone, with its resources. In the order of ids, so that two lists that share some of
-- them wait for each other instead of deadlocking.
  WITH created AS (
       INSERT INTO events
              (id, occurred, event, resource_id, resource, related_resource_ids, related, payload, received, recorded, follows)
       SELECT given.id,
              given.occurred,
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
            WITH ORDINALITY AS involved (resource, place);
