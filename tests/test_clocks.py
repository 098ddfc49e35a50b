"""Durations and times as text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.clocks import format_duration, format_time, parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "micro"),
    [("1h", 3600 * 10**6), ("90 min", 5400 * 10**6), ("2.5ms", 2500), ("30d", 2592 * 10**9),
     ("h", 3600 * 10**6), (".5s", 500_000), ("7us", 7)],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit(text: str, micro: int) -> None:
    assert parse_duration(text) == np.timedelta64(micro, "us")


@pytest.mark.parametrize(
    "text", ["", "1", "1 hour", "-1h", "0s", "1e3s", "1.5us", "nan s", "9" * 30 + "d", "1h\n2h"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is a number and a unit"):
        parse_duration(text)


@given(st.integers(1, 2**52))
def test_a_duration_that_is_written_is_read_as_it_was(micro: int) -> None:
    duration = np.timedelta64(micro, "us")
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2003-12-31T22:57:01Z", "2003-12-31T22:57:01Z"),
        ("2003-12-31 22:57", "2003-12-31T22:57Z"),
        ("2003-12-31", "2003-12-31T00:00Z"),
        ("2003", "2003-01-01T00:00Z"),
        ("2003-12-31T22:57:00.000100Z", "2003-12-31T22:57:00.0001Z"),
        ("2003-12-31T22:57:10.5", "2003-12-31T22:57:10.5Z"),
        ("2003-12-31T22:57:10", "2003-12-31T22:57:10Z"),
    ],
)
def test_times_are_utc_and_written_as_finely_as_they_need(text: str, written: str) -> None:
    assert format_time(parse_time(text)) == written
    assert parse_time(written) == parse_time(text)


@pytest.mark.parametrize(
    "text", ["", "now", "1e9", "03-12-31", "2003-13-01", "2003-12-31T22:57:01+01:00", "2003-02-30"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a time is written like 2003-12-31T22:57:01Z"):
        parse_time(text)
