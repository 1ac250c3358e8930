"""Bodies of the operations under /variables."""

from typing import Any

import orjson
from marshmallow import fields, validate

from schemas.fields import Arguments, Ids, Model, Strings, Tags, ValidationError, limit, offset, one_of
from schemas.filters import group, joining

VARIABLE_SORTS = ("CREATED_DESC", "UPDATED_DESC", "NAME_DESC", "NAME_ASC")
MAX_NAME_LENGTH, MAX_VALUE_BYTES = 255, 5000

NAME_RULES = (
    validate.Regexp(r"^[a-z0-9_-]*$", error="Must have only lower-case letters, digits, dashes and underscores."),
    validate.Length(max=MAX_NAME_LENGTH),
)


class Value(fields.Field):
    """Any JSON value that is short enough as text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if len(orjson.dumps(value)) > MAX_VALUE_BYTES:
            raise ValidationError(f"Longer than {MAX_VALUE_BYTES} bytes as JSON.")
        return value


class VariableCreate(Model):
    """A variable to create."""

    name = fields.String(required=True, validate=NAME_RULES)
    value = Value(required=True, allow_none=True)
    tags = Tags(load_default=list)


class VariableUpdate(Model):
    """The fields of a variable that can change."""

    name = fields.String(validate=NAME_RULES)
    value = Value(allow_none=True)
    tags = Tags()


class VariableFilter(Model):
    """Criteria for variables."""

    operator = joining()
    id = group(any_=Ids())
    name = group(any_=Strings(), like_=fields.String())
    tags = group(operator=joining(), all_=Strings(), is_null_=fields.Boolean())


class VariableCriteria(Arguments):
    """What restricts a list of variables."""

    variables = fields.Nested(VariableFilter)


class VariablesFilter(VariableCriteria):
    """A list of variables."""

    sort = one_of(*VARIABLE_SORTS, load_default="NAME_ASC")
    limit = limit()
    offset = offset()
