-- What `migrate`, `handback` and `tune` ask of the catalogs and keep in our record.

-- name: isolate :exec
-- After waiting for a lock the next statement must see what its last holder committed, whatever the database's default.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

-- name: lock_migration :exec
-- Let one session at a time migrate; held until the transaction ends, so it is safe behind PgBouncer.
SELECT pg_advisory_xact_lock(hashtextextended('downbeat.migrate', 0));

-- name: lock_indexes :exec
-- Let one session at a time swap indexes. Not an advisory lock: the SELECT that takes one holds a snapshot, while it waits
-- and, in the extended protocol, until the next statement; CREATE INDEX CONCURRENTLY would wait for that for ever.
LOCK TABLE alembic_version IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;

-- name: limit_lock_wait :exec
-- Give up instead of making every request queue behind a DROP VIEW that itself waits for a long query.
SET LOCAL lock_timeout = '3s';

-- name: read_standing :one
-- What kind of database this is. The tables are those that no extension brought along. For a role that is called like
-- our schema, flow_run would be our view of that name.
SELECT current_schema() AS schema,
       current_user = 'downbeat' AND current_setting('search_path') LIKE '%"$user"%' AS role_hides_tables,
       to_regclass('public.alembic_version') IS NOT NULL AS has_revision,
       to_regclass('downbeat.installation') IS NOT NULL AS is_installed,
       EXISTS (SELECT
                 FROM pg_opclass
                WHERE pg_opclass.opcname = 'gin_trgm_ops'
                  AND pg_opclass_is_visible(pg_opclass.oid)) AS has_trigrams,
       ARRAY (SELECT pg_class.relname::text
                FROM pg_class
               WHERE pg_class.relnamespace = to_regnamespace('public')
                 AND pg_class.relkind IN ('r', 'p', 'v', 'm', 'f')
                 AND NOT EXISTS (SELECT
                                   FROM pg_depend
                                  WHERE pg_depend.classid = 'pg_class'::regclass
                                    AND pg_depend.objid = pg_class.oid
                                    AND pg_depend.deptype = 'e')
               ORDER BY pg_class.relname) AS tables;

-- name: pin_search_path :exec
-- Have a role that is called like our schema look for tables in public, whatever client it uses.
DO $$
BEGIN
    ALTER ROLE CURRENT_USER SET search_path = public;
    SET search_path = public;
END
$$;

-- name: read_revisions :one
-- The revision of Prefect's schema; a sound database has one.
SELECT array_agg(version_num::text) AS revisions
  FROM alembic_version;

-- name: read_installation :one
-- Our record, together with the revision, so that a start with nothing to do needs no further question.
SELECT adopted,
       view_digest,
       index_set,
       index_digest,
       ARRAY (SELECT name FROM downbeat.migration) AS migrations,
       (SELECT array_agg(version_num::text) FROM alembic_version) AS revisions
  FROM downbeat.installation;

-- name: create_installation :exec
-- Begin our record.
INSERT INTO downbeat.installation (adopted, view_digest, index_set, index_digest)
VALUES (%(adopted)s::boolean, '', %(index_set)s::text, %(index_digest)s::text);

-- name: create_migration :exec
-- Note that a migration was applied.
INSERT INTO downbeat.migration (name)
VALUES (%(name)s::text);

-- name: update_views :exec
-- Note which text the views were made from.
UPDATE downbeat.installation
   SET view_digest = %(view_digest)s::text;

-- name: update_indexes :exec
-- Note whose indexes there are and which text they were made from.
UPDATE downbeat.installation
   SET index_set = %(index_set)s::text,
       index_digest = %(index_digest)s::text;

-- name: create_trigrams :exec
-- Have pg_trgm if the server has it and the role may; without it searches by a part of a name read whole tables.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm' AND installed_version IS NULL) THEN
        CREATE EXTENSION pg_trgm;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'pg_trgm is not there and this role may not add it';
END
$$;

-- name: drop_views :value
-- The command that drops all our views, newest first: a view is locked before those it reads, as queries do it. Without
-- CASCADE, so that PostgreSQL refuses, by name, where somebody built something of their own on one of them.
SELECT 'DROP VIEW ' || string_agg(format('downbeat.%I', pg_class.relname), ', ' ORDER BY pg_class.oid DESC)
  FROM pg_class
 WHERE pg_class.relnamespace = 'downbeat'::regnamespace
   AND pg_class.relkind = 'v'
HAVING count(*) > 0;

-- name: list_indexes :many
-- The indexes in public that no constraint and no uniqueness rests on, whether each is finished, and the command that
-- drops it without blocking writers.
SELECT pg_class.relname AS name,
       pg_index.indisvalid AS is_valid,
       format('DROP INDEX CONCURRENTLY IF EXISTS public.%I', pg_class.relname) AS drop_command
  FROM pg_index
  JOIN pg_class ON pg_class.oid = pg_index.indexrelid
 WHERE pg_class.relnamespace = 'public'::regnamespace
   AND NOT pg_index.indisunique
   AND NOT EXISTS (SELECT FROM pg_constraint WHERE pg_constraint.conindid = pg_index.indexrelid)
 ORDER BY pg_class.relname;
