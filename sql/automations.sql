-- Automations: a trigger over events and what to do when it fires.

-- name: read_related :json
-- The automations that belong to a resource or act on it, oldest first.
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY automation.created, automation.id), '[]')::text
  FROM automation_related_resource AS related
       JOIN automation ON automation.id = related.automation_id
       JOIN downbeat.automation AS shown ON shown.id = related.automation_id
 WHERE related.resource_id = %(resource_id)s::text;

-- name: delete_owned :exec
-- Delete the automations that belong to a resource, with what their triggers have counted. Locked in the order of ids, so that
-- two such deletions wait for each other instead of deadlocking.
  WITH doomed AS (
       SELECT automation.id
         FROM automation_related_resource AS related
              JOIN automation ON automation.id = related.automation_id
        WHERE related.resource_id = %(resource_id)s::text
          AND related.automation_owned_by_resource
        ORDER BY automation.id
          FOR UPDATE OF automation
       )
DELETE FROM automation
 USING doomed
 WHERE automation.id = doomed.id;
