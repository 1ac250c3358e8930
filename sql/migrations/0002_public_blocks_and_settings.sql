-- Enums, the revision that a Prefect server looks for, and the tables of blocks and settings.
--
-- Files with _public_ in their name make the tables of a Prefect 3.8.3 database in schema public, column for column;
-- the order of columns and the names of constraints count, so that either server can run on the other's database. An
-- adopted database has them from Prefect. Unique indexes stand here because statements rely on them; all others are in
-- sql/indexes/.

CREATE TYPE deployment_status AS ENUM ('READY', 'NOT_READY');
CREATE TYPE state_type AS ENUM (
    'SCHEDULED', 'PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED', 'PAUSED', 'CANCELLING'
);
CREATE TYPE work_pool_status AS ENUM ('READY', 'NOT_READY', 'PAUSED');
CREATE TYPE work_queue_status AS ENUM ('READY', 'NOT_READY', 'PAUSED');
CREATE TYPE worker_status AS ENUM ('ONLINE', 'OFFLINE');

CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

COMMENT ON TABLE alembic_version IS 'Which revision of its schema a Prefect server finds here; one row.';
COMMENT ON COLUMN alembic_version.version_num IS 'The revision; this one is that of Prefect 3.8.3.';

INSERT INTO alembic_version (version_num) VALUES ('50737cdaee36');

CREATE TABLE block_type (
    id                uuid        NOT NULL DEFAULT gen_random_uuid(),
    created           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated           timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name              varchar     NOT NULL,
    logo_url          varchar,
    documentation_url varchar,
    description       varchar,
    code_example      varchar,
    is_protected      boolean     NOT NULL DEFAULT false,
    slug              varchar     NOT NULL,
    CONSTRAINT pk_block_type PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_block_type__slug ON block_type (slug);

COMMENT ON TABLE block_type IS 'Kinds of block: what can be configured, such as a secret or a storage location.';
COMMENT ON COLUMN block_type.name IS 'Name for people.';
COMMENT ON COLUMN block_type.logo_url IS 'Address of a picture.';
COMMENT ON COLUMN block_type.documentation_url IS 'Address of a page about it.';
COMMENT ON COLUMN block_type.description IS 'What it is for, in Markdown.';
COMMENT ON COLUMN block_type.code_example IS 'A Markdown snippet that shows its use.';
COMMENT ON COLUMN block_type.is_protected IS
    'True for those that the server registers itself; they cannot be changed or deleted over the API.';
COMMENT ON COLUMN block_type.slug IS 'Name in addresses; unique.';

CREATE TABLE block_schema (
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    created       timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated       timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    fields        jsonb       NOT NULL DEFAULT '{}',
    checksum      varchar     NOT NULL,
    block_type_id uuid        NOT NULL,
    capabilities  jsonb       NOT NULL DEFAULT '[]',
    version       varchar     NOT NULL DEFAULT 'non-versioned',
    CONSTRAINT pk_block_schema PRIMARY KEY (id),
    CONSTRAINT fk_block_schema__block_type_id__block_type FOREIGN KEY (block_type_id)
        REFERENCES block_type(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_block_schema__checksum_version ON block_schema (checksum, version);

COMMENT ON TABLE block_schema IS 'Versions of the fields of a block type; one row per checksum and version.';
COMMENT ON COLUMN block_schema.fields IS 'JSON schema of the fields, with references to the schemas of nested blocks.';
COMMENT ON COLUMN block_schema.checksum IS 'sha256: and the digest of the fields, by which clients find the schema.';
COMMENT ON COLUMN block_schema.block_type_id IS 'Block type it is a version of.';
COMMENT ON COLUMN block_schema.capabilities IS 'List of what blocks of this schema can do, such as read-path.';
COMMENT ON COLUMN block_schema.version IS 'Version of the library that registered it; non-versioned where it has none.';

CREATE TABLE block_schema_reference (
    id                        uuid        NOT NULL DEFAULT gen_random_uuid(),
    created                   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                   timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name                      varchar     NOT NULL,
    parent_block_schema_id    uuid        NOT NULL,
    reference_block_schema_id uuid        NOT NULL,
    CONSTRAINT pk_block_schema_reference PRIMARY KEY (id),
    CONSTRAINT fk_block_schema_reference__parent_block_schema_id__block_schema FOREIGN KEY (parent_block_schema_id)
        REFERENCES block_schema(id) ON DELETE CASCADE,
    CONSTRAINT fk_block_schema_reference__reference_block_schema_id__b_6e5d FOREIGN KEY (reference_block_schema_id)
        REFERENCES block_schema(id) ON DELETE CASCADE
);

COMMENT ON TABLE block_schema_reference IS 'Which field of a block schema holds a block of another schema.';
COMMENT ON COLUMN block_schema_reference.name IS 'Name of the field.';
COMMENT ON COLUMN block_schema_reference.parent_block_schema_id IS 'Schema that has the field.';
COMMENT ON COLUMN block_schema_reference.reference_block_schema_id IS 'Schema of the nested block.';

CREATE TABLE block_document (
    id              uuid        NOT NULL DEFAULT gen_random_uuid(),
    created         timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated         timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name            varchar     NOT NULL,
    data            jsonb       NOT NULL DEFAULT '{}',
    block_schema_id uuid        NOT NULL,
    block_type_id   uuid        NOT NULL,
    is_anonymous    boolean     NOT NULL DEFAULT false,
    block_type_name varchar,
    CONSTRAINT pk_block_document PRIMARY KEY (id),
    CONSTRAINT fk_block__block_schema_id__block_schema FOREIGN KEY (block_schema_id)
        REFERENCES block_schema(id) ON DELETE CASCADE,
    CONSTRAINT fk_block_document__block_type_id__block_type FOREIGN KEY (block_type_id)
        REFERENCES block_type(id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_block__type_id_name ON block_document (block_type_id, name);

COMMENT ON TABLE block_document IS 'Blocks: filled-in settings of some block type, secrets among them.';
COMMENT ON COLUMN block_document.name IS 'Name, unique within its block type; generated for an anonymous one.';
COMMENT ON COLUMN block_document.data IS 'The values, encrypted: an object whose only key holds the ciphertext.';
COMMENT ON COLUMN block_document.block_schema_id IS 'Schema that the values follow.';
COMMENT ON COLUMN block_document.block_type_id IS 'Block type; a copy of that of the schema.';
COMMENT ON COLUMN block_document.is_anonymous IS 'True for blocks that were made in passing and are not listed.';
COMMENT ON COLUMN block_document.block_type_name IS 'Name of the block type; a copy that spares lists a join.';

CREATE TABLE block_document_reference (
    id                          uuid        NOT NULL DEFAULT gen_random_uuid(),
    created                     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated                     timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name                        varchar     NOT NULL,
    parent_block_document_id    uuid        NOT NULL,
    reference_block_document_id uuid        NOT NULL,
    CONSTRAINT pk_block_document_reference PRIMARY KEY (id),
    CONSTRAINT ck_block_document_reference__ck_block_document_referenc_824f
        CHECK (parent_block_document_id <> reference_block_document_id),
    CONSTRAINT fk_block_document_reference__parent_block_document_id___328f FOREIGN KEY (parent_block_document_id)
        REFERENCES block_document(id) ON DELETE CASCADE,
    CONSTRAINT fk_block_document_reference__reference_block_document_i_5759 FOREIGN KEY (reference_block_document_id)
        REFERENCES block_document(id) ON DELETE CASCADE
);

COMMENT ON TABLE block_document_reference IS 'Which field of a block holds another block.';
COMMENT ON COLUMN block_document_reference.name IS 'Name of the field.';
COMMENT ON COLUMN block_document_reference.parent_block_document_id IS 'Block that has the field.';
COMMENT ON COLUMN block_document_reference.reference_block_document_id IS 'Block that is nested in it.';

CREATE TABLE variable (
    id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name    varchar     NOT NULL,
    tags    jsonb       NOT NULL DEFAULT '[]',
    value   jsonb,
    CONSTRAINT pk_variable PRIMARY KEY (id),
    CONSTRAINT uq_variable__name UNIQUE (name)
);

COMMENT ON TABLE variable IS 'Variables: small named values that flows read.';
COMMENT ON COLUMN variable.name IS 'Unique name.';
COMMENT ON COLUMN variable.tags IS 'List of tags.';
COMMENT ON COLUMN variable.value IS 'Any JSON value.';

CREATE TABLE configuration (
    id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    key     varchar     NOT NULL,
    value   jsonb       NOT NULL,
    CONSTRAINT pk_configuration PRIMARY KEY (id),
    CONSTRAINT uq_configuration__key UNIQUE (key)
);

COMMENT ON TABLE configuration IS 'Settings that the server keeps for itself, such as the key that encrypts blocks.';
COMMENT ON COLUMN configuration.key IS 'Unique name of the setting.';
COMMENT ON COLUMN configuration.value IS 'Its value, an object.';

CREATE TABLE csrf_token (
    token      varchar     NOT NULL,
    client     varchar     NOT NULL,
    expiration timestamptz NOT NULL,
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    created    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated    timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT pk_csrf_token PRIMARY KEY (id),
    CONSTRAINT uq_csrf_token__client UNIQUE (client)
);

COMMENT ON TABLE csrf_token IS
    'Tokens against cross-site request forgery, one per client; used only where the protection is switched on.';
COMMENT ON COLUMN csrf_token.token IS 'The token that the client must send.';
COMMENT ON COLUMN csrf_token.client IS 'Name that the client gave itself; unique.';
COMMENT ON COLUMN csrf_token.expiration IS 'When the token stops being valid.';

CREATE TABLE saved_search (
    id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name    varchar     NOT NULL,
    filters jsonb       NOT NULL DEFAULT '[]',
    CONSTRAINT pk_saved_search PRIMARY KEY (id),
    CONSTRAINT uq_saved_search__name UNIQUE (name)
);

COMMENT ON TABLE saved_search IS 'Searches that the web UI keeps by name.';
COMMENT ON COLUMN saved_search.name IS 'Unique name.';
COMMENT ON COLUMN saved_search.filters IS 'List of filters, as the UI wrote them.';
