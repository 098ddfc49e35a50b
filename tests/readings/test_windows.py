"""Windows over readings: the same as copies, but not copied."""

import numpy as np
import pytest

from foreshock.readings import series as windows_module
from foreshock.readings.series import Readings, Windows


@pytest.fixture
def windows() -> Windows:
    values = np.arange(60, dtype=np.float32).reshape(2, 30)
    values[1, 10] = np.nan
    readings = Readings(
        values=values,
        start=np.datetime64("2001-01-01"),
        step=np.timedelta64(1, "h"),
        channels=("a", "b"),
    )
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
