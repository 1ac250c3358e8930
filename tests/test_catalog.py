"""What must hold of every table, column and index of a migrated database."""

from sql.migrate import read_indexes, usable

UNCOMMENTED = """
    SELECT format('%s.%s', pg_class.oid::regclass, pg_attribute.attname)
      FROM pg_class
      LEFT JOIN pg_attribute
        ON pg_attribute.attrelid = pg_class.oid AND pg_attribute.attnum > 0 AND NOT pg_attribute.attisdropped
     WHERE pg_class.relnamespace IN ('public'::regnamespace, 'downbeat'::regnamespace)
       AND pg_class.relkind = 'r'
       AND (obj_description(pg_class.oid) IS NULL OR col_description(pg_class.oid, pg_attribute.attnum) IS NULL)
"""

UNINDEXED = """
    SELECT pg_constraint.conrelid::regclass::text, pg_constraint.conname
      FROM pg_constraint
     WHERE pg_constraint.contype = 'f'
       AND NOT EXISTS (SELECT
                         FROM pg_index
                        WHERE pg_index.indrelid = pg_constraint.conrelid AND pg_index.indkey[0] = pg_constraint.conkey[1])
"""

SMALL_TABLES = {
    "agent",
    "block_document",
    "block_document_reference",
    "block_schema",
    "block_schema_reference",
    "deployment",
    "deployment_version",
    "work_pool",
}


def test_every_table_and_column_has_a_comment(conn):
    assert conn.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (36,)
    assert conn.execute(UNCOMMENTED).fetchall() == []


def test_deleting_a_row_reads_no_large_table_for_its_foreign_keys(conn):
    unindexed = conn.execute(UNINDEXED).fetchall()
    assert [constraint for table, constraint in unindexed if table not in SMALL_TABLES] == []


def test_a_fresh_database_has_our_indexes_and_no_others(conn):
    found = conn.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexdef !~ '^CREATE UNIQUE'")
    assert {name for (name,) in found} == set(usable(conn, read_indexes("downbeat")))


def test_our_indexes_share_names_with_those_of_prefect_only_when_they_are_the_same():
    ours, theirs = read_indexes("downbeat"), read_indexes("prefect")
    for name in ours:
        if name.startswith("downbeat_"):
            assert name not in theirs
        else:
            assert ours[name].split() == theirs[name].split()


def test_a_search_for_running_runs_uses_the_index_of_types(conn):
    conn.execute("SET LOCAL enable_seqscan = off")
    plan = conn.execute(
        "EXPLAIN SELECT id FROM flow_run WHERE state_type = ANY ('{RUNNING,CANCELLING}'::state_type[])"
    ).fetchall()
    assert "downbeat_flow_run__state_type_expected_start_time_desc" in str(plan)
