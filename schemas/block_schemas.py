"""Bodies of the operations under /block_schemas."""

from marshmallow import fields

from schemas.fields import Arguments, Document, Id, Ids, Key, Model, Strings, limit, offset
from schemas.filters import group, joining

NO_VERSION = "non-versioned"


class BlockSchemaCreate(Model):
    """A block schema to create."""

    schema = Document(data_key="fields", load_default=dict)  # `fields` is what marshmallow calls its own
    block_type_id = Id(required=True)
    capabilities = Strings(load_default=list)
    version = Key(load_default=NO_VERSION)


class BlockSchemaFilter(Model):
    """Criteria for block schemas."""

    operator = joining()
    block_type_id = group(any_=Ids())
    block_capabilities = group(all_=Strings())
    id = group(any_=Ids())
    version = group(any_=Strings())


class BlockSchemaVersion(Arguments):
    """Of which version the schema of a checksum is to be."""

    version = fields.String(load_default=None)


class BlockSchemasFilter(Arguments):
    """A list of block schemas."""

    block_schemas = fields.Nested(BlockSchemaFilter)
    limit = limit()
    offset = offset()
