"""Readings, one value of each channel at each tick of a clock, and windows over them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import as_numbers, reduce_readings, to_float32
from foreshock._time import format_duration, format_time
from foreshock.readings.config import SourceConfig

_BLOCK = 2**22


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """Regular readings of one or more channels.

    Raises
    ------
    ValueError
        An array has the wrong shape, type or content; with the position of the fault.
    """

    values: NDArray[np.float32]
    """What was measured, (n_channels, n_timepoints), NaN where nothing was; may be a memory map.
    Kept as float32, less the `offset`; any array of numbers may be given, and what is masked in it
    was not measured."""
    start: np.datetime64
    """Time of the first reading, UTC. A reading stands for the step that begins at its time."""
    step: np.timedelta64
    """Time from one reading to the next, in whole microseconds."""
    channels: tuple[str, ...]
    """Names of the channels."""
    source: SourceConfig | None = None
    """How files became these readings; None where they come from arrays."""
    offset: NDArray[np.float64] | None = None
    """What was taken off each channel, (n_channels,), because float32 would not tell its values
    apart. Chosen, by the first half, where values are given in another type; None where it is 0."""

    def __post_init__(self) -> None:
        if not _is_plain(self.values):
            self._take_values()
        object.__setattr__(self, "start", self.start.astype("datetime64[us]"))
        object.__setattr__(self, "step", self.step.astype("timedelta64[us]"))
        values = self.values
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(
                "values must be numbers (n_channels, n_timepoints) with at least one of each, got"
                f" an array {values.shape}; reshape it."
            )
        if self.offset is not None and (
            getattr(self.offset, "dtype", None) != np.float64
            or self.offset.shape != values.shape[:1]
            or not np.isfinite(self.offset).all()
        ):
            raise ValueError(f"offset must be float64 (n_channels,), got {self.offset!r:.40}.")
        if np.isnat(self.start) or np.isnat(self.step) or self.step <= np.timedelta64(0, "us"):
            raise ValueError(
                f"start must be a time and step above 0, got {self.start} and {self.step}."
            )
        if len(self.channels) != len(values) or len(set(self.channels)) != len(self.channels):
            raise ValueError(
                f"channels must be {len(values)} different names, got {', '.join(self.channels)}."
            )
        for position, block in self.blocks():
            if np.isinf(block).any():
                channel, at = np.argwhere(np.isinf(block))[0].tolist()
                raise ValueError(
                    f"channel {self.channels[channel]!r} is infinite or beyond float32 (3.4e38) at"
                    f" {format_time(self.times(position + at))}; use NaN for a missing reading, or"
                    " scale."
                )

    def _take_values(self) -> None:
        """Keep the values as float32."""
        values, offset = as_numbers(self.values, "values"), self.offset
        if values.dtype != np.float32 and values.ndim == 2 and values.size and offset is None:
            try:
                values, offset = reduce_readings(values, self.channels)
            except ValueError as error:
                raise ValueError(f"{error}.") from None
        object.__setattr__(self, "values", to_float32(values))
        object.__setattr__(self, "offset", offset)

    def less(self, offset: NDArray[np.float64] | None) -> "Readings":
        """Return the same readings with another offset (n_channels,); None is 0."""
        ours = np.zeros(self.n_channels) if self.offset is None else self.offset
        if np.array_equal(ours, np.zeros(self.n_channels) if offset is None else offset):
            return self
        return replace(self, values=to_float32(self.true_values(), offset), offset=offset)

    def true_values(self, span: slice = slice(None)) -> NDArray[np.floating[Any]]:
        """Return what was measured, the offset put back: float64 where there is one."""
        values = self.values[:, span]
        return values if self.offset is None else values + self.offset[:, None]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.values.shape[0])

    @property
    def n_timepoints(self) -> int:
        """Number of readings of each channel."""
        return int(self.values.shape[1])

    def times(self, positions: Any) -> Any:
        """Return the times of readings, datetime64[us], in the shape of their positions."""
        return self.start + self.step * positions

    def positions(self, times: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """Return the positions of the readings whose steps hold the times; some may not exist."""
        return (times.astype("datetime64[us]") - self.start) // self.step

    def until(self, time: np.datetime64) -> "Readings":
        """Leave out what ends after a time.

        Raises
        ------
        ValueError
            The readings end before it, or begin after.
        """
        size = int((time - self.start) // self.step)
        if not 0 < size <= self.n_timepoints:
            first, end = format_time(self.start), format_time(self.times(self.n_timepoints))
            raise ValueError(
                f"the readings are from {first} to {end} and cannot end at {format_time(time)}."
            )
        return replace(self, values=self.values[:, :size])

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Iterate over stretches (n_channels, n) of about 16 MiB, each with its first position."""
        size = max(1, _BLOCK // self.n_channels)
        return (
            (start, self.values[:, start : start + size])
            for start in range(0, self.n_timepoints, size)
        )


def _is_plain(values: Any) -> bool:
    """Check whether values are an array, or a memory map, of float32, kept as it is."""
    return isinstance(values, np.ndarray) and (
        values.dtype == np.float32 and not isinstance(values, np.ma.MaskedArray)
    )


class Clocked(Protocol):
    """Values on a clock: readings, or what becomes readings."""

    @property
    def values(self) -> NDArray[Any]:
        """What was measured, (n_channels, n_timepoints)."""

    @property
    def start(self) -> np.datetime64:
        """Time of the first."""

    @property
    def step(self) -> np.timedelta64:
        """Time from one to the next."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""


T = TypeVar("T", bound=Clocked)
_DOUBLE = np.dtype(np.float64)


def blank(
    n_channels: int,
    n_timepoints: int,
    n_rows: int,
    step: np.timedelta64,
    dtype: np.dtype[Any] = _DOUBLE,
) -> NDArray[Any]:
    """Make the values of a clock on which nothing was measured yet.

    Raises
    ------
    ValueError
        They would be out of proportion to the rows that are there to fill them.
    """
    if n_timepoints > max(10**6, 1000 * n_rows):
        raise ValueError(
            f"its {n_rows:,} rows span {n_timepoints:,} steps of {format_duration(step)}; is a time"
            " wrong, or the step too short?"
        )
    return np.full((n_channels, n_timepoints), np.nan, dtype)


def join(parts: Sequence[T]) -> T:
    """Join readings of one clock and the same channels, in any order.

    Raises
    ------
    ValueError
        They differ in step, clock or channels, or disagree where they overlap.
    """
    first = min(parts, key=lambda part: part.start)
    for part in parts:
        if part.step != first.step or part.channels != first.channels:
            raise ValueError(
                "readings can only be joined if step and channels are the same, got"
                f" {format_duration(first.step)} of {', '.join(first.channels)} and"
                f" {format_duration(part.step)} of {', '.join(part.channels)}."
            )
        if (part.start - first.start) % first.step:
            raise ValueError(
                f"the readings from {format_time(part.start)} are off the clock of those from"
                f" {format_time(first.start)}; resample them to the same times."
            )
    starts = [int((part.start - first.start) // first.step) for part in parts]
    sizes = [part.values.shape[1] for part in parts]
    size = max(start + n for start, n in zip(starts, sizes, strict=True))
    kept = [part.true_values() if isinstance(part, Readings) else part.values for part in parts]
    dtype = np.result_type(*kept)
    values = blank(len(first.channels), size, sum(sizes), first.step, dtype)
    for start, part, here in zip(starts, parts, kept, strict=True):
        there = values[:, start : start + here.shape[1]]
        differ = ~(np.isnan(there) | np.isnan(here) | _agree(there, here, parts))
        if differ.any():
            at = int(np.argwhere(differ)[0][1])
            raise ValueError(
                f"the readings disagree at {int(differ.sum())} places where they overlap, first at"
                f" {format_time(part.start + part.step * at)}; leave one of them out."
            )
        np.copyto(there, here, where=np.isnan(there))
    if isinstance(first, Readings):
        return replace(first, values=values, offset=None)
    return cast(T, replace(cast(Any, first), values=values))


def _agree(one: NDArray[Any], other: NDArray[Any], parts: Sequence[Clocked]) -> NDArray[np.bool_]:
    """Check where values are equal up to the rounding of float32, less an offset or not."""
    agree: NDArray[np.bool_] = one == other
    with np.errstate(over="ignore"):
        agree |= (one.astype(np.float32) == other) | (one == other.astype(np.float32))
    if any(getattr(part, "offset", None) is not None for part in parts):
        largest = max(np.nanmax(np.abs(part.values), initial=0) for part in parts)
        agree |= np.abs(one - other) <= 2 * float(np.spacing(np.float32(largest)))
    return agree


_MOST_WINDOWS = 2**20


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
        """Return some of the windows, as windows."""
        return Windows(self.readings, self.ends[cases], self.n_timepoints)

    def missing(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Count the missing values of each window, a stretch of cases at a time.

        Each stretch comes with the position of its first case.
        """
        for start in range(0, len(self), _MOST_WINDOWS):
            last = self.readings.positions(self.ends[start : start + _MOST_WINDOWS])
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
        for start in range(0, len(self), _MOST_WINDOWS):
            ends = self.ends[start : start + _MOST_WINDOWS]
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
