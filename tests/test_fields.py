"""Times and numbers as clients write them."""

import sys
from datetime import datetime, timezone

import pytest
from marshmallow import ValidationError

from schemas import fields
from schemas.fields import Integer, parse_time

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
TIMES = {
    "2026-11-21T12:00:00Z": NOON,
    "2026-11-21T12:00Z": NOON,
    "2026-11-21 12:00:00+00:00": NOON,
    "2026-11-21T12:00:00": NOON,
    "2026-11-21T13:30:00+01:30": NOON,
    "2026-11-21T12:00:00.5Z": NOON.replace(microsecond=500_000),
    "2026-11-21T12:00:00.123456789Z": NOON.replace(microsecond=123_456),
    NOON.timestamp(): NOON,
}


@pytest.fixture(params=["as on this Python", "as on 3.10"])
def version(request, monkeypatch):
    """Both ways of reading a time: Python 3.10 reads few of its forms by itself."""
    if request.param == "as on 3.10":
        monkeypatch.setattr(fields.sys, "version_info", (3, 10, 0))
    yield
    monkeypatch.undo()
    assert sys.version_info >= (3, 10)


@pytest.mark.parametrize("given", TIMES)
def test_times_are_read_into_utc(version, given):
    assert parse_time(given) == TIMES[given]


@pytest.mark.parametrize(
    "given", ["", "noon", "2026-13-01T00:00:00Z", "2026-11-21T25:00:00Z", True, None, 1e20, [], "0001-01-01T00:00+14:00"]
)
def test_what_is_no_time_is_refused(version, given):
    with pytest.raises((ValueError, TypeError, OverflowError, AttributeError)):
        parse_time(given)


@pytest.mark.parametrize(("given", "read"), [(5, 5), (5.0, 5), (-(2**31), -(2**31))])
def test_whole_numbers_are_read(given, read):
    assert Integer().deserialize(given) == read and type(Integer().deserialize(given)) is int


@pytest.mark.parametrize("given", [True, 5.5, "5", 2**31, None, [], float("inf")])
def test_what_is_no_whole_number_is_refused(given):
    with pytest.raises(ValidationError):
        Integer().deserialize(given)
