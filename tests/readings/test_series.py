"""Readings, how they are put together, and windows over them."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
from toys import hourly

from foreshock.readings import series as windows_module
from foreshock.readings.series import Readings, Windows, join

NAN = np.nan


def sensor(values: list[list[float]], start: str = "2001-01-01", **fields: object) -> Readings:
    options: dict[str, object] = {
        "values": np.array(values, np.float32),
        "start": np.datetime64(start),
        "step": np.timedelta64(1, "h"),
        "channels": tuple("abc"[: len(values)]),
        **fields,
    }
    return Readings(**options)


@dataclass(frozen=True)
class Log:
    """What a file holds before it becomes readings."""

    values: np.ndarray
    start: np.datetime64
    step: np.timedelta64
    channels: tuple[str, ...]


def log(*values: float) -> Log:
    one = sensor([[0.0]])
    return Log(np.array([values]), one.start, one.step, one.channels)


def test_times_and_positions_are_each_others_inverse() -> None:
    readings = sensor([[1, 2, 3]], "2001-01-01T05:30", step=np.timedelta64(2500, "us"))
    positions = np.array([0, 2, 7, -1])
    np.testing.assert_array_equal(readings.positions(readings.times(positions)), positions)
    assert readings.positions(readings.times(np.array([2])) + np.timedelta64(2499, "us")) == [2]
    assert str(readings.times(1)) == "2001-01-01T05:30:00.002500"


def test_blocks_cover_all_readings() -> None:
    readings = sensor([list(range(10)), list(range(10))])
    blocks = list(readings.blocks())
    np.testing.assert_array_equal(np.concatenate([b for _, b in blocks], axis=1), readings.values)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"values": np.zeros(3, np.float32)}, r"got an array \(3,\); reshape it"),
        ({"values": np.zeros((1, 0), np.float32)}, "at least one of each"),
        ({"values": [["a"]]}, "values must be numbers of one shape: got <U1"),
        ({"offset": np.zeros(2)}, r"offset must be float64 \(n_channels,\)"),
        ({"start": np.datetime64("NaT")}, "start must be a time and step above 0"),
        ({"step": np.timedelta64(0, "s")}, "start must be a time and step above 0"),
        ({"channels": ("a", "b")}, "channels must be 1 different names, got a, b"),
        ({"values": np.array([[1, np.inf]], np.float32)},
         "channel 'a' is infinite or beyond float32 .* at 2001-01-01T01:00Z"),
    ],
)  # fmt: skip
def test_readings_that_are_none_are_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        dataclasses.replace(sensor([[1, 2, 3]]), **fields)


def test_what_lies_between_joined_readings_is_missing_and_what_overlaps_is_filled_up() -> None:
    first, second = sensor([[1, 2, NAN]]), sensor([[NAN, 3, 4]], "2001-01-01T01:00")
    third = sensor([[9]], "2001-01-01T06:00")
    whole = join([third, second, first])
    np.testing.assert_array_equal(whole.values, np.array([[1, 2, 3, 4, NAN, NAN, 9]], np.float32))
    assert whole.start == first.start


def test_what_one_of_two_has_in_float32_is_the_same() -> None:
    rounded = log(*np.array([0.1, 0.2], np.float32).tolist())
    np.testing.assert_array_equal(join([log(0.1, 0.2), rounded]).values, [[0.1, 0.2]])
    with pytest.raises(ValueError, match="disagree at 1 places"):
        join([log(0.1, 0.2), log(0.1, 0.2000001)])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (sensor([[5]], "2201-01-01"), "its 4 rows span 1,753,153 steps of 1h; is a time wrong"),
        (sensor([[5]], "2001-01-01T01:00"), "disagree at 1 places .* first at 2001-01-01T01:00Z"),
        (sensor([[5]], step=np.timedelta64(1, "m")), "step and channels are the same, got 1h .*1m"),
        (sensor([[5]], channels=("x",)), "got 1h of a and 1h of x"),
        (sensor([[5]], "2001-01-01T09:30"), "off the clock of those from 2001-01-01T00:00Z"),
    ],
)
def test_readings_that_do_not_go_together_are_refused(other: Readings, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        join([sensor([[1, 2, 3]]), other])


def test_what_is_masked_was_not_measured() -> None:
    for dtype in (np.float32, np.float64, np.int64):
        values = np.ma.array(np.array([[1, -9999, 3]], dtype), mask=[[False, True, False]])
        readings = sensor([[1, 2, 3]])
        found = dataclasses.replace(readings, values=values)
        np.testing.assert_array_equal(found.values, np.float32([[1, NAN, 3]]))


def test_values_far_from_zero_are_kept_less_an_offset() -> None:
    counts = 1_500_000_000 + 50 * np.random.default_rng(0).integers(-60, 60, (2, 3000))
    readings = dataclasses.replace(sensor([[1], [1]]), values=counts)
    assert readings.values.dtype == np.float32
    np.testing.assert_array_equal(readings.true_values(), counts)
    np.testing.assert_array_equal(readings.true_values(slice(5, 7)), counts[:, 5:7])
    part = readings.until(readings.times(2000))
    np.testing.assert_array_equal(part.true_values(), counts[:, :2000])


@pytest.mark.parametrize("bad", [0, -9999, 2**31 - 1])
@pytest.mark.parametrize("every", [9, 100, 300])
def test_dropouts_do_not_hide_that_values_are_far_from_zero(bad: int, every: int) -> None:
    counts = 1_500_000_000 + np.random.default_rng(0).integers(-150, 150, (1, 6000))
    counts[0, ::every] = bad
    readings = dataclasses.replace(sensor([[1]]), values=counts)
    assert readings.offset is not None
    good = counts[0] != bad
    np.testing.assert_array_equal(readings.true_values()[0, good], counts[0, good])


@pytest.mark.parametrize(("until", "before"), [(3300, NAN), (5000, NAN), (3300, 1.5e9)])
def test_a_channel_may_begin_late_or_stand_still_at_first(until: int, before: float) -> None:
    counts = 1.5e9 + np.random.default_rng(0).integers(-150, 150, (2, 6000))
    counts[1, :until] = before
    readings = dataclasses.replace(sensor([[1], [1]]), values=counts)
    np.testing.assert_array_equal(readings.true_values(), counts)


def test_readings_of_different_offsets_are_joined_and_agree_where_they_overlap() -> None:
    random = np.random.default_rng(0)
    values = 1e9 + random.normal(size=(1, 2000)).cumsum(axis=1)
    first = sensor([[0]]), values[:, :1100], "2001-01-01T00:00"
    parts = [
        dataclasses.replace(
            sensor([[0]]), values=values[:, start:stop], start=first[0].times(start)
        )
        for start, stop in ((0, 1100), (1000, 2000))
    ]
    parts[1] = parts[1].less(parts[1].offset + 1000.0)
    whole = join(parts)
    np.testing.assert_allclose(whole.true_values(), values, rtol=0, atol=1e-4)
    changed = dataclasses.replace(parts[1], values=parts[1].values + np.float32(1))
    with pytest.raises(ValueError, match="disagree at 100 places"):
        join([parts[0], changed])


@pytest.fixture
def windows() -> Windows:
    values = np.arange(60, dtype=np.float32).reshape(2, 30)
    values[1, 10] = np.nan
    readings = hourly(values)
    return Windows(readings, readings.times(np.array([4, 9, 12, 29])), 5)


def test_windows_are_the_stretches_that_end_at_their_ends(windows: Windows) -> None:
    expected = np.stack([windows.readings.values[:, e - 4 : e + 1] for e in (4, 9, 12, 29)])
    assert windows.shape == expected.shape == (4, 2, 5)
    np.testing.assert_array_equal(np.asarray(windows), expected)
    np.testing.assert_array_equal(windows[1:3], expected[1:3])
    np.testing.assert_array_equal(windows[np.array([3, 0, 3])], expected[[3, 0, 3]])
    np.testing.assert_array_equal(windows[np.array([], np.int64)], expected[:0])
    np.testing.assert_array_equal(windows[2], expected[2])
    np.testing.assert_array_equal(windows[:, 1], expected[:, 1])
    np.testing.assert_array_equal(windows[1:, 0, -2:], expected[1:, 0, -2:])
    np.testing.assert_array_equal(windows[2, 1, :3], expected[2, 1, :3])
    np.testing.assert_array_equal(np.asarray(windows.take(slice(2, 4))), expected[2:])
    np.testing.assert_array_equal(np.asarray(windows.take(np.array([3, 1]))), expected[[3, 1]])


def test_a_window_is_a_copy_when_it_is_taken(windows: Windows) -> None:
    taken = windows[0]
    taken[:] = 99
    windows[np.array([0, 1])][:] = 99
    assert np.nanmax(windows.readings.values) == 59
    assert windows[np.array([1, 2])].flags.c_contiguous


def test_missing_values_are_counted_window_by_window(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = np.isnan(np.asarray(windows)).sum(axis=(1, 2))
    for block in (2**20, 3):
        monkeypatch.setattr(windows_module, "_BLOCK", block)
        counted = list(windows.missing())
        np.testing.assert_array_equal(np.concatenate([c for _, c in counted]), expected)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("2001-01-01T03:00", "case 1 ends at 2001-01-01T03:00Z, where no window of 5 readings"),
        ("2001-01-02T06:00", "case 1 ends at 2001-01-02T06:00Z"),
        ("2001-01-01T09:30", "case 1 ends at 2001-01-01T09:30Z"),
    ],
)
def test_windows_beyond_the_readings_or_between_two_are_refused(
    windows: Windows, end: str, reason: str
) -> None:
    ends = np.array(["2001-01-01T04:00", end], "datetime64[us]")
    with pytest.raises(ValueError, match=reason):
        Windows(windows.readings, ends, 5).check()
