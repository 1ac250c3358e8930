-- Our schema, and what `migrate` keeps of itself there.
--
-- An administrator may have made the schema for a role that may not make schemas.
CREATE SCHEMA IF NOT EXISTS downbeat;

COMMENT ON SCHEMA downbeat IS
    'All that Downbeat adds to a Prefect database; DROP SCHEMA downbeat CASCADE leaves a Prefect database behind.';

CREATE TABLE downbeat.migration (
    name    text        NOT NULL,
    applied timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_migration PRIMARY KEY (name)
);

COMMENT ON TABLE downbeat.migration IS
    'Files of sql/migrations that this database has; in an adopted one what those named public make came from Prefect.';
COMMENT ON COLUMN downbeat.migration.name IS 'Name of the file, without its ending.';
COMMENT ON COLUMN downbeat.migration.applied IS 'When it was applied.';

CREATE TABLE downbeat.installation (
    single       boolean NOT NULL DEFAULT true,
    adopted      boolean NOT NULL,
    view_digest  text    NOT NULL,
    index_set    text    NOT NULL,
    index_digest text    NOT NULL,
    CONSTRAINT pk_installation PRIMARY KEY (single),
    CONSTRAINT ck_installation__single CHECK (single),
    CONSTRAINT ck_installation__index_set CHECK (index_set IN ('downbeat', 'prefect'))
);

COMMENT ON TABLE downbeat.installation IS 'How Downbeat is set up in this database; one row.';
COMMENT ON COLUMN downbeat.installation.single IS 'Always true; as the primary key it keeps the table at one row.';
COMMENT ON COLUMN downbeat.installation.adopted IS 'True if Prefect made the tables in public, false if Downbeat did.';
COMMENT ON COLUMN downbeat.installation.view_digest IS
    'SHA-256 of the text that the views were made from; empty when there are none.';
COMMENT ON COLUMN downbeat.installation.index_set IS
    'Whose indexes the tables in public have: downbeat after tune, prefect after adoption or handback.';
COMMENT ON COLUMN downbeat.installation.index_digest IS
    'SHA-256 of the text that the indexes were made from; empty when Prefect made them.';
