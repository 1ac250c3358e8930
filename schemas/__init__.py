"""What clients may send: marshmallow schemas, input only."""
