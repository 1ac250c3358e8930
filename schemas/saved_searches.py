"""Bodies of the operations under /saved_searches."""

from marshmallow import EXCLUDE, Schema, fields

from schemas.fields import Arguments, Key, Model, limit, offset


class SearchFilter(Schema):
    """One filter of a saved search, as the web UI made it."""

    class Meta:
        unknown = EXCLUDE

    object = fields.String(required=True)
    property = fields.String(required=True)
    type = fields.String(required=True)
    operation = fields.String(required=True)
    value = fields.Raw(required=True, allow_none=True)


class SavedSearchCreate(Model):
    """A saved search to create or replace."""

    name = Key(required=True)
    filters = fields.List(fields.Nested(SearchFilter), load_default=list)


class SavedSearchesFilter(Arguments):
    """A list of saved searches."""

    limit = limit()
    offset = offset()
