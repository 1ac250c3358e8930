"""Bodies of the operations under /block_documents."""

from typing import Any

from marshmallow import fields, validates_schema

from schemas.block_schemas import BlockSchemaFilter
from schemas.block_types import SLUG, BlockTypeFilter, Secrets
from schemas.fields import Arguments, Document, Id, Ids, Key, Model, Strings, ValidationError, limit, offset, one_of
from schemas.filters import group, joining

BLOCK_DOCUMENT_SORTS = ("NAME_DESC", "NAME_ASC", "BLOCK_TYPE_AND_NAME_ASC")


class BlockDocumentCreate(Model):
    """A block document to create; only anonymous ones need no name."""

    name = Key(load_default=None, allow_none=True, validate=SLUG)
    values = Document(data_key="data", load_default=dict)
    block_schema_id = Id(required=True)
    block_type_id = Id(required=True)
    is_anonymous = fields.Boolean(load_default=False)

    @validates_schema
    def check_name(self, block: dict[str, Any], **_: Any) -> None:
        if not block["name"] and (block["name"] == "" or not block["is_anonymous"]):
            raise ValidationError("Missing data for required field.", "name")


class BlockDocumentUpdate(Model):
    """What of a block document can change. Values that are not given stay, unless they are not to be merged."""

    block_schema_id = Id(load_default=None, allow_none=True)
    values = Document(data_key="data")
    merge_existing_data = fields.Boolean(load_default=True)


class BlockDocumentFilter(Model):
    """Criteria for block documents; anonymous ones are left out unless they are asked for."""

    operator = joining()
    id = group(any_=Ids())
    is_anonymous = fields.Nested(
        Model.from_dict({"eq_": fields.Boolean(allow_none=True)}), allow_none=True, load_default=lambda: {"eq_": False}
    )
    block_type_id = group(any_=Ids())
    name = group(any_=Strings(), like_=fields.String())


class BlockDocumentCriteria(Arguments):
    """What restricts a list of block documents."""

    block_documents = fields.Nested(BlockDocumentFilter, load_default=lambda: BlockDocumentFilter().load({}))
    block_types = fields.Nested(BlockTypeFilter)
    block_schemas = fields.Nested(BlockSchemaFilter)


class BlockDocumentsFilter(BlockDocumentCriteria, Secrets):
    """A list of block documents."""

    sort = one_of(*BLOCK_DOCUMENT_SORTS, load_default="NAME_ASC")
    limit = limit()
    offset = offset()
