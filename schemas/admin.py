"""Bodies of the operations under /admin."""

from marshmallow import EXCLUDE, Schema

from schemas.fields import Id


class StorageUpdate(Schema):
    """The block document that results are stored in unless a flow says otherwise; unknown keys are ignored."""

    class Meta:
        unknown = EXCLUDE

    default_result_storage_block_id = Id(required=True)
