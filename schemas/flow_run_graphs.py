"""Query arguments of the graphs of flow runs."""

from schemas.fields import Arguments, Time, parse_time


class FlowRunGraph(Arguments):
    """Since when runs are shown: those that have not ended before."""

    since = Time(load_default=lambda: parse_time("0001-01-01T00:00:00Z"))
