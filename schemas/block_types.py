"""Bodies of the operations under /block_types."""

from typing import Any

from marshmallow import fields, validate

from schemas.block_schemas import BlockSchemaFilter
from schemas.fields import Arguments, Key, Model, Strings, limit, name, offset
from schemas.filters import group

SLUG = validate.Regexp(r"^[a-z0-9-]*$", error="Must have only lower-case letters, digits and dashes.")


class Address(fields.String):
    """A string without space around it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).strip()


class BlockTypeCreate(Model):
    """A block type to create."""

    name = name(required=True)
    slug = Key(required=True, validate=SLUG)
    logo_url = Address(load_default=None, allow_none=True)
    documentation_url = Address(load_default=None, allow_none=True)
    description = fields.String(load_default=None, allow_none=True)
    code_example = fields.String(load_default=None, allow_none=True)


class BlockTypeUpdate(Model):
    """The fields of a block type that can change."""

    logo_url = fields.String(allow_none=True)
    documentation_url = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    code_example = fields.String(allow_none=True)


class BlockTypeFilter(Model):
    """Criteria for block types."""

    name = group(like_=fields.String())
    slug = group(any_=Strings())


class Secrets(Arguments):
    """Whether blocks are shown with their secrets."""

    include_secrets = fields.Boolean(load_default=False)


class BlockTypesFilter(Arguments):
    """A list of block types."""

    block_types = fields.Nested(BlockTypeFilter)
    block_schemas = fields.Nested(BlockSchemaFilter)
    limit = limit()
    offset = offset()
