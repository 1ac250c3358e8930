-- How many rows each table has by PostgreSQL's statistics, which follow what is inserted and deleted. They begin anew after a
-- crash; until the table is vacuumed or analysed again the planner's figure is truer: rows per page as they were, times the
-- pages there are.
CREATE VIEW downbeat.table_size AS
SELECT pg_class.relname AS name,
       CASE WHEN pg_class.reltuples <= 0
                 OR GREATEST(pg_stat_get_last_vacuum_time(pg_class.oid), pg_stat_get_last_autovacuum_time(pg_class.oid),
                             pg_stat_get_last_analyze_time(pg_class.oid), pg_stat_get_last_autoanalyze_time(pg_class.oid))
                    IS NOT NULL
            THEN pg_stat_get_live_tuples(pg_class.oid)
            ELSE (pg_class.reltuples / GREATEST(pg_class.relpages, 1)
                  * (pg_relation_size(pg_class.oid) / current_setting('block_size')::int))::bigint END AS rows
  FROM pg_class
 WHERE pg_class.relnamespace = 'public'::regnamespace
   AND pg_class.relkind = 'r';
