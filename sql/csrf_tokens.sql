-- CSRF tokens: one row per client, so that any process can check what another one gave out.

-- name: upsert :json
-- Give a client a token in place of the one it has.
INSERT INTO csrf_token (id, client, token, expiration)
VALUES (%(id)s::uuid, %(client)s::text, %(token)s::text, now() + make_interval(secs => %(lifetime_seconds)s::double precision))
    ON CONFLICT (client) DO UPDATE
   SET token = excluded.token,
       expiration = excluded.expiration,
       updated = now()
RETURNING json_build_object(
       'id', id,
       'created', downbeat.rfc3339(created),
       'updated', downbeat.rfc3339(updated),
       'token', token,
       'client', client,
       'expiration', downbeat.rfc3339(expiration)
       )::text;

-- name: read :value
-- The token of a client, unless it has expired.
SELECT token
  FROM csrf_token
 WHERE client = %(client)s::text
   AND expiration > now();

-- name: delete_expired :exec
-- Remove tokens that have expired, but for those that another transaction is renewing.
DELETE FROM csrf_token
 WHERE id IN (SELECT id
                FROM csrf_token
               WHERE expiration < now()
               LIMIT 1000
                 FOR UPDATE SKIP LOCKED);
