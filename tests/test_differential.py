"""Downbeat answers as Prefect's own server does: the sequences of tests/differential, each server on its own database.

DOWNBEAT_DIFFERENTIAL=full also runs the many generated sequences.
"""

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests import downbeat_server, prefect_server
from tests.conftest import drop_database, make_database
from tests.differential import sequences
from tests.differential.compare import Pairing, body_differences, compare, order_differences
from tests.differential.exchange import Side

SEQUENCES = sequences(full=os.environ.get("DOWNBEAT_DIFFERENTIAL") == "full")


@pytest.fixture(scope="module")
def prefect(cluster) -> Iterator[Side]:
    """Prefect's own server without its background services, on an empty database."""
    name, url = make_database(cluster)
    with prefect_server.running(url) as server, contextlib.closing(Side(server.api, url)) as side:
        yield side
    drop_database(cluster, name)


@pytest.fixture(scope="module")
def downbeat(module_database) -> Iterator[Side]:
    """Downbeat under gunicorn on a migrated database."""
    with (
        downbeat_server.running(module_database, workers=1) as server,
        contextlib.closing(Side(server.api, module_database)) as side,
    ):
        yield side


@pytest.mark.parametrize("name", SEQUENCES)
def test_answers_as_prefect_does(name, prefect, downbeat):
    found = [
        f"{number}. {step.theirs.sent}: {line}"
        for number, step in enumerate(compare(SEQUENCES[name], prefect, downbeat), 1)
        for line in step.differences
    ]
    assert not found, "\n".join(found[:20])


ONE, TWO = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"a": 1}, {}),
        ({}, {"a": None}),
        ({"a": None}, {"a": 0}),
        ({"a": True}, {"a": 1}),
        ({"a": ONE, "b": ONE}, {"a": ONE, "b": TWO}),
        ({"a": ONE, "b": TWO}, {"a": ONE, "b": ONE}),
        ({"a": "2024-01-01T00:00:00Z"}, {"a": "2024-01-01T00:00:00+00:00"}),
        ({"a": "2024-01-01T00:00:00Z"}, {"a": "2024-01-01T00:00:09Z"}),
        ({"a": "2024-01-01T00:00:00Z"}, {"a": None}),
        ({"name": "was-sent"}, {"name": "was-not"}),
        ({"reason": "text"}, {"reason": None}),
        ({"detail": "CSRF protection is disabled."}, {"detail": "CSRF is off."}),
        ({"delay_seconds": 5}, {"delay_seconds": 60}),
        ([1, 2], [1]),
    ],
)
def test_the_comparison_sees_a_difference(theirs, ours):
    assert list(body_differences("", theirs, ours, (), Pairing({}, {}, {"was-sent"})))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"a": ONE, "b": [ONE, TWO]}, {"a": TWO, "b": [TWO, ONE]}),
        ({"a": "2024-01-01T00:00:00Z"}, {"a": "2024-01-01T00:00:01.5Z"}),
        ({"name": "happy-cat"}, {"name": "sad-dog"}),
        ({"reason": "text"}, {"reason": "other words"}),
        ({"total_run_time": 0.25}, {"total_run_time": 0.5}),
    ],
)
def test_the_comparison_maps_what_need_not_be_equal(theirs, ours):
    assert not list(body_differences("", theirs, ours, (), Pairing({}, {}, set())))


def test_the_comparison_sees_times_that_are_equal_on_one_side_only():
    theirs = {"start_time": "2024-01-01T00:00:00Z", "end_time": "2024-01-01T00:00:00Z"}
    assert list(order_differences(theirs, theirs | {"end_time": "2024-01-01T00:00:00.000001Z"}, ()))
    assert not list(order_differences(theirs, theirs, ()))
