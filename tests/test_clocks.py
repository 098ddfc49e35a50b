"""Durations and times as text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.clocks import (
    common_step,
    format_duration,
    format_time,
    on_clock,
    parse_duration,
    parse_time,
    plain_step,
)


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


# steps


@pytest.mark.parametrize(
    ("text", "plain"),
    [("60s", "1min"), ("0.50", "0.5"), ("1", "1"), ("1.0", "1"), ("1234567", "1234567"),
     ("0.33333333333", "0.3333333"), ("24 h", "1d"), ("1e-3", "0.001")],
)  # fmt: skip
def test_a_step_has_one_form(text: str, plain: str) -> None:
    assert plain_step(text) == plain
    assert plain_step(plain) == plain


@pytest.mark.parametrize(
    ("text", "reason"),
    [("0", "a step is above 0"), ("-1", "a step is above 0"), ("nan", "a step is above 0"),
     ("inf", "a step is above 0"), ("soon", "a duration is a number and a unit")],
)  # fmt: skip
def test_what_is_no_step_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        plain_step(text)


@pytest.mark.parametrize(
    ("times", "step"),
    [
        ([0.1, 0.2, 0.30000000000000004, 0.4], 0.1),
        (np.cumsum(np.full(10**5, 0.1)), 0.1),
        (1.7e9 + np.arange(1000) * 0.1, 0.1),
        (np.arange(1000, dtype=np.float32) * np.float32(0.01), 0.01),
        (np.arange(1000) / 3, 1 / 3),
        ([0.0, 0.5, 1.0, 3.5, 4.0], 0.5),
        ([0.0, 0.5, 1.0, 1.5, 1.7e9], 0.5),
        ([0, 2, 4, 5, 7], 2),
        ([0, 1, 3], 1),
        ([4.5], None),
        ([4, 4], None),
    ],
)
def test_the_common_step_is_that_of_most_differences(times: object, step: float | None) -> None:
    array = np.asarray(times)
    array = array if array.dtype.kind == "i" else array.astype(np.float64)
    found = common_step(np.diff(array))
    assert found == step if step is None else found == pytest.approx(step, rel=1e-7)
    if step is not None and len(array) > 5:  # the rest are no whole clock
        at, off = on_clock(array - array[0], found)
        np.testing.assert_array_equal(at, np.arange(len(array)))
        assert not off.any()


def test_times_that_are_off_the_clock_are_told() -> None:
    at, off = on_clock(np.array([0.0, 0.1, 0.25, 0.3009]), 0.1)
    assert off.tolist() == [False, False, True, False]
    assert at.tolist() == [0, 1, 2, 3]
    assert on_clock(np.array([0, 10, 11]), 10)[1].tolist() == [False, False, True]
    assert on_clock(np.array([0, 0]), None)[0].tolist() == [0, 0]
