"""Query arguments of the operation /csrf-token."""

from marshmallow import fields, validate

from schemas.fields import Arguments


class CsrfTokenCreate(Arguments):
    """The name that a client has given itself."""

    client = fields.String(required=True, validate=validate.ContainsNoneOf("\0", error="Must not contain the NUL character."))
