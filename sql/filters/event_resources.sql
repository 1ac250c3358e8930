-- Conditions on the resources of events.

-- table: event_resources


-- predicate: id
event_resources.resource_id = ANY (%(event_resources.id)s::text[])

-- predicate: id_prefix
event_resources.resource_id ^@ ANY (%(event_resources.id_prefix)s::text[])

-- predicate: role
event_resources.resource_role = ANY (%(event_resources.role)s::text[])

-- predicate: resources_in_roles
(event_resources.resource_id, event_resources.resource_role)
    IN (SELECT pair ->> 0, pair ->> 1 FROM jsonb_array_elements(%(event_resources.resources_in_roles)s::jsonb) AS pair)

-- predicate: labels
-- Id and role are not among the labels but in columns. A label that is missing matches nothing, not even what is negated.
NOT EXISTS (
    SELECT
      FROM jsonb_to_recordset(%(event_resources.labels)s::jsonb) AS wanted (label text, liked text[], unliked text[])
     CROSS JOIN LATERAL (
           SELECT CASE wanted.label WHEN 'prefect.resource.id' THEN event_resources.resource_id
                                    WHEN 'prefect.resource.role' THEN event_resources.resource_role
                                    ELSE event_resources.resource ->> wanted.label END AS value
           ) AS given
     WHERE (given.value LIKE ANY (wanted.liked) OR given.value NOT LIKE ANY (wanted.unliked)) IS NOT TRUE
)

-- predicate: is_primary
(event_resources.resource_role = '') = %(event_resources.is_primary)s::boolean
