"""Names that are made up."""

import coolname


def generate_name() -> str:
    """Make up a name of two words."""
    return coolname.generate_slug(2)
