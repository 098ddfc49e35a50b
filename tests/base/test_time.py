"""Durations and times as text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock._time import (
    common_clock,
    format_duration,
    format_time,
    parse_duration,
    parse_time,
    plain_step,
    same_step,
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
    with pytest.raises(ValueError, match="a duration must be a number and a unit"):
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
    with pytest.raises(ValueError, match="a time must look like 2003-12-31T22:57:01Z"):
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
    [("0", "a step must be above 0"), ("-1", "a step must be above 0"),
     ("nan", "a step must be above 0"), ("inf", "a step must be above 0"),
     ("soon", "a duration must be a number and a unit")],
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
    found, at, away = common_clock(array - array[0], np.diff(array) > 0)
    assert found == step if step is None else found == pytest.approx(step, rel=1e-7)
    if step is not None and len(array) > 5:  # the rest are no whole clock
        np.testing.assert_array_equal(at, np.arange(len(array)))
        assert away.max() < 0.01


def test_times_that_are_off_the_clock_are_told() -> None:
    since = np.array([0.0, 0.1, 0.2, 0.35, 0.4009])
    _, at, away = common_clock(since, np.diff(since) > 0)
    assert at.tolist()[:3] == [0, 1, 2]
    np.testing.assert_allclose(away, [0, 0, 0, 0.5, 0.009], atol=1e-3)
    _, at, away = common_clock(np.array([0, 10, 20, 26]), np.full(3, True))
    np.testing.assert_allclose(away, [0, 0, 0, 0.4])
    assert common_clock(np.array([0, 0]), np.array([False]))[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("rate", "digits"),
    [(rate, digits) for rate in (3, 12, 24, 30, 60, 90, 128) for digits in (3, 4, 6)]
    + [(256, 4), (512, 4), (512, 6)],
)
@pytest.mark.parametrize("n_times", [3, 60, 2000])
def test_a_clock_is_found_though_its_times_are_rounded(
    rate: int, digits: int, n_times: int
) -> None:
    written = [float(f"{k / rate:.{digits}f}") for k in range(n_times)]
    counted = [round(k / rate * 10**digits) for k in range(n_times)]
    for times, unit in ((np.array(written), 1), (np.array(counted), 10**digits)):
        since = np.tile(times - times[0], 5)
        step, at, away = common_clock(since, np.diff(since) > 0)
        np.testing.assert_array_equal(at, np.tile(np.arange(n_times), 5))
        assert away.max() <= 0.25
        if n_times > 3:
            assert step / unit == pytest.approx(1 / rate, rel=1e-3)


def test_steps_are_the_same_to_a_thousandth() -> None:
    assert same_step("0.0333", "0.03333")
    assert same_step("33333us", "33334us")
    assert not same_step("0.033", "0.0333")
    assert not same_step("1min", "1")
    assert not same_step("1min", "61s")
