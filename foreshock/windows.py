"""Windows: the series of a problem that is cut from readings, made when asked for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._time import format_time
from foreshock.readings import Readings

_BLOCK = 2**20


class Windows:
    """Stretches of readings as `X` of shape (n_cases, n_channels, n_timepoints), never copied.

    Indexing gives an array of the windows asked for, so that it stands wherever an array of
    series does.

    Parameters
    ----------
    readings : Readings
        What the windows are cut from.
    ends : ndarray of shape (n_cases,)
        Time of each window's last reading, datetime64[us].
    n_timepoints : int
        Length of a window.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(self, readings: Readings, ends: NDArray[np.datetime64], n_timepoints: int) -> None:
        self.readings, self.ends, self.n_timepoints = readings, ends, n_timepoints
        if n_timepoints > readings.n_timepoints:
            raise ValueError(
                f"windows of {n_timepoints} timepoints cannot be cut from {readings.n_timepoints}"
                " readings."
            )
        self._views = np.lib.stride_tricks.sliding_window_view(
            readings.values, n_timepoints, axis=1
        ).transpose(1, 0, 2)  # (n_starts, n_channels, n_timepoints)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_cases, n_channels, n_timepoints)."""
        return len(self.ends), self.readings.n_channels, self.n_timepoints

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, cases: Any) -> NDArray[np.float32]:
        if isinstance(cases, tuple):
            first, *rest = cases
            whole = self[first]
            return whole[tuple(rest)] if whole.ndim == 2 else whole[(slice(None), *rest)]
        last = self.readings.positions(self.ends[cases])
        windows: NDArray[np.float32] = self._views[last - (self.n_timepoints - 1)]
        return windows.copy() if windows.base is not None else windows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, cases: Any) -> "Windows":
        """Give some of the windows, as windows."""
        return Windows(self.readings, self.ends[cases], self.n_timepoints)

    def missing(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Count the missing values of each window, a stretch of cases at a time.

        Each stretch comes with the position of its first case.
        """
        for start in range(0, len(self), _BLOCK):
            last = self.readings.positions(self.ends[start : start + _BLOCK])
            low = int(last.min()) - self.n_timepoints + 1
            values = self.readings.values[:, low : int(last.max()) + 1]
            counts = np.zeros(values.shape[1] + 1, np.int64)
            np.cumsum(np.isnan(values).sum(axis=0), out=counts[1:])
            stop = last - low + 1
            yield start, counts[stop] - counts[stop - self.n_timepoints]

    def check(self) -> None:
        """Refuse windows that reach beyond the readings or end between two of them.

        Raises
        ------
        ValueError
            With the first such case.
        """
        for start in range(0, len(self), _BLOCK):
            ends = self.ends[start : start + _BLOCK]
            last = self.readings.positions(ends)
            bad = (last < self.n_timepoints - 1) | (last >= self.readings.n_timepoints)
            bad |= self.readings.times(last) != ends
            if bad.any():
                at = int(bad.argmax())
                raise ValueError(
                    f"case {start + at} ends at {format_time(ends[at])}, where no window of"
                    f" {self.n_timepoints} readings does"
                )


Series = NDArray[np.float32] | Windows
"""Cases of a problem, (n_cases, n_channels, n_timepoints)."""
