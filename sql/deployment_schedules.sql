-- The schedules of deployments. Their deployment is locked before they change.

-- name: create :exec
-- Insert the schedules of a list of objects of their columns into a deployment; a slug that is taken breaks a constraint.
-- The later of them count as the newer ones.
INSERT INTO deployment_schedule
       (id, created, updated, deployment_id, schedule, active, max_scheduled_runs, parameters, slug)
SELECT given.id,
       now() + place.number * interval '1 microsecond',
       now() + place.number * interval '1 microsecond',
       %(deployment_id)s::uuid,
       given.schedule,
       given.active,
       given.max_scheduled_runs,
       given.parameters,
       given.slug
  FROM jsonb_array_elements(%(schedules)s::jsonb) WITH ORDINALITY AS place (object, number)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::deployment_schedule, place.object) AS given;

-- name: read_many :json
-- Schedules by id, in the order of the ids.
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY page.place), '[]')::text
  FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS page (id, place)
  JOIN downbeat.deployment_schedule AS shown ON shown.id = page.id;

-- name: filter :json
-- The schedules of a deployment, newest first.
SELECT COALESCE(json_agg(row_to_json(shown) ORDER BY schedule.updated DESC, schedule.id DESC), '[]')::text
  FROM deployment_schedule AS schedule
       JOIN downbeat.deployment_schedule AS shown ON shown.id = schedule.id
 WHERE schedule.deployment_id = %(deployment_id)s::uuid;

-- name: list :many
-- The schedules of a deployment as they are stored, oldest first.
SELECT id::text,
       schedule,
       active,
       max_scheduled_runs,
       parameters,
       slug
  FROM deployment_schedule
 WHERE deployment_id = %(deployment_id)s::uuid
 ORDER BY updated, id;

-- name: clear_slugs :exec
-- Take their slugs from schedules that are about to get others, which may be those of one another.
UPDATE deployment_schedule
   SET slug = NULL
 WHERE deployment_id = %(deployment_id)s::uuid
   AND id = ANY (%(ids)s::uuid[]);

-- name: update :exec
-- Replace the columns of a schedule that are among the changes.
UPDATE deployment_schedule
   SET (schedule, active, max_scheduled_runs, parameters, slug, updated)
     = (SELECT given.schedule, given.active, given.max_scheduled_runs, given.parameters, given.slug, now()
          FROM jsonb_populate_record(deployment_schedule, %(changes)s::jsonb) AS given)
 WHERE id = %(id)s::uuid
   AND deployment_id = %(deployment_id)s::uuid;

-- name: delete :exec
-- Delete schedules of a deployment.
DELETE FROM deployment_schedule
 WHERE id = ANY (%(ids)s::uuid[])
   AND deployment_id = %(deployment_id)s::uuid;
