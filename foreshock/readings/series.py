"""Readings, one value of each channel at each tick of a clock, and windows over them."""

import copy
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
class Units:
    """Machines, patients or stations whose readings lie one after the other.

    Raises
    ------
    ValueError
        The arrays do not fit each other, or two units have one name.
    """

    names: NDArray[np.str_]
    """What each is called, (n_units,)."""
    starts: NDArray[np.datetime64]
    """Time of each one's first reading, (n_units,), UTC."""
    firsts: NDArray[np.int64]
    """Position of each one's first reading, (n_units,), ascending from 0."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", np.asarray(self.names, np.str_))
        object.__setattr__(self, "starts", np.asarray(self.starts).astype("datetime64[us]"))
        object.__setattr__(self, "firsts", np.asarray(self.firsts, np.int64))
        if not len(self.names) == len(self.starts) == len(self.firsts) > 0:
            raise ValueError(
                "units need a name, a start and a first position each, got"
                f" {len(self.names)}, {len(self.starts)} and {len(self.firsts)}."
            )
        if np.isnat(self.starts).any():
            name = self.names[np.isnat(self.starts).argmax()].item()
            raise ValueError(f"unit {name!r} has no start.")
        if self.firsts[0] or (np.diff(self.firsts) <= 0).any():
            raise ValueError("the first positions of units must ascend from 0; none may be empty.")
        names, counts = np.unique(self.names, return_counts=True)
        if (counts > 1).any():
            raise ValueError(f"two units are called {names[counts.argmax()].item()!r}.")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """Regular readings of one or more channels, of one unit or of several.

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
    units: Units | None = None
    """Whose readings they are, where they are of several units; `start` is then the first's."""
    counted: bool = False
    """Whether readings are numbered, as cycles are, and no clock stands behind them. Number n then
    has the time of n seconds after 1970-01-01, and the step is 1 s."""

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
        if self.counted and self.step != _SECOND:
            raise ValueError(f"numbered readings have a step of 1s, got {self.step_text}.")
        if self.units is not None and (
            self.units.starts[0] != self.start or self.units.firsts[-1] >= self.n_timepoints
        ):
            raise ValueError(
                "the first unit must start where the readings do, and each must have a reading."
            )
        for position, block in self.blocks():
            if np.isinf(block).any():
                channel, at = np.argwhere(np.isinf(block))[0].tolist()
                raise ValueError(
                    f"channel {self.channels[channel]!r} is infinite or beyond float32 (3.4e38) at"
                    f" {self.tell(self.times(position + at))}; use NaN for a missing reading, or"
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

    @property
    def n_units(self) -> int:
        """Number of units."""
        return 1 if self.units is None else len(self.units)

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Positions of the units' first readings and the end of the last, (n_units + 1,)."""
        firsts = np.zeros(1, np.int64) if self.units is None else self.units.firsts
        return np.append(firsts, self.n_timepoints)

    @property
    def step_text(self) -> str:
        """The step as text: 1h; 1 where readings are numbered."""
        return "1" if self.counted else format_duration(self.step)

    def unit(self, k: int) -> "Readings":
        """Return the readings of one unit alone, as a view."""
        if self.units is None:
            return self
        first, stop = self.bounds[k : k + 2].tolist()
        return self._part(first, stop, self.units.starts[k])

    def first_units(self, n: int) -> "Readings":
        """Return the readings of the first n units, as a view."""
        if self.units is None or n >= len(self.units):
            return self
        part = self._part(0, int(self.units.firsts[n]), self.start)
        of = self.units
        units = Units(names=of.names[:n], starts=of.starts[:n], firsts=of.firsts[:n])
        object.__setattr__(part, "units", units)
        return part

    def latest(self, n: int) -> "Readings":
        """Return the last readings of one unit, at most n, as a view."""
        first = max(0, self.n_timepoints - n)
        return self._part(first, self.n_timepoints, self.times(first))

    def only(self, channels: tuple[str, ...]) -> "Readings":
        """Return the same readings of some channels, in their order."""
        rows = rows_of(channels, self.channels)
        if rows is None:
            return self
        offset = None if self.offset is None else self.offset[rows]
        offset = offset if offset is not None and offset.any() else None
        return replace(self, values=self.values[rows], channels=channels, offset=offset)

    def _part(self, first: int, stop: int, start: np.datetime64) -> "Readings":
        """Return a stretch of one unit's readings, which need not be checked again."""
        part = copy.copy(self)
        for name, value in (
            ("values", self.values[:, first:stop]), ("start", start), ("units", None)
        ):  # fmt: skip
            object.__setattr__(part, name, value)
        return part

    def unit_at(self, positions: Any) -> Any:
        """Return the units that readings are of, in the shape of their positions."""
        if self.units is None:
            return np.zeros_like(positions)
        return np.searchsorted(self.units.firsts, positions, side="right") - 1

    def times(self, positions: Any, unit: Any = None) -> Any:
        """Return the times of readings, datetime64[us], in the shape of their positions.

        `unit` tells whose clock holds, for positions beyond a unit's readings.
        """
        if self.units is None:
            return self.start + self.step * positions
        unit = self.unit_at(positions) if unit is None else unit
        return self.units.starts[unit] + self.step * (positions - self.units.firsts[unit])

    def positions(self, times: NDArray[np.datetime64], unit: Any = None) -> NDArray[np.int64]:
        """Return the positions of the readings whose steps hold the times; some may not exist.

        `unit` tells of each time whose it is, where there are several units.
        """
        times = times.astype("datetime64[us]")
        if self.units is None:
            return (times - self.start) // self.step
        found = (times - self.units.starts[unit]) // self.step
        return np.asarray(found + self.units.firsts[unit], np.int64)

    def tell(self, time: np.datetime64) -> str:
        """Write a time, or the number of a reading where these are numbered."""
        return tell_time(time, counted=self.counted)

    def until(self, time: np.datetime64) -> "Readings":
        """Leave out what ends after a time, and the units that begin later.

        Raises
        ------
        ValueError
            The readings end before it, or begin after.
        """
        bounds = self.bounds
        starts = np.array([self.start]) if self.units is None else self.units.starts
        sizes = ((time - starts) // self.step).astype(np.int64)
        kept = sizes > 0
        if not kept.any() or (sizes > np.diff(bounds)).all():
            last = self.times(bounds[1:] - 1, np.arange(self.n_units)) + self.step
            raise ValueError(
                f"the readings are from {self.tell(starts.min())} to {self.tell(last.max())} and"
                f" cannot end at {self.tell(time)}."
            )
        if self.units is None:
            return replace(self, values=self.values[:, : int(sizes[0])])
        sizes = np.minimum(sizes, np.diff(bounds))[kept]
        values = [
            self.values[:, first : first + size]
            for first, size in zip(bounds[:-1][kept].tolist(), sizes.tolist(), strict=True)
        ]
        units = Units(
            names=self.units.names[kept],
            starts=starts[kept],
            firsts=np.cumsum(np.append(0, sizes[:-1])),
        )
        return replace(
            self, values=np.concatenate(values, axis=1), start=starts[kept][0], units=units
        )

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Iterate over stretches (n_channels, n) of about 16 MiB, each with its first position."""
        size = max(1, _BLOCK // self.n_channels)
        return (
            (start, self.values[:, start : start + size])
            for start in range(0, self.n_timepoints, size)
        )


_SECOND = np.timedelta64(1, "s")


def tell_time(time: np.datetime64, *, counted: bool) -> str:
    """Write a time as `format_time`, or as the number of a reading where these are numbered."""
    return str(int((time - np.datetime64(0, "s")) // _SECOND)) if counted else format_time(time)


def stack(units: dict[str, Readings]) -> Readings:
    """Put the readings of several units one after the other.

    Raises
    ------
    ValueError
        They differ in step or channels.
    """
    parts = list(units.values())
    first = parts[0]
    for name, part in units.items():
        if part.step != first.step or part.channels != first.channels or part.units is not None:
            raise ValueError(
                "units must have one step and the same channels, got"
                f" {first.step_text} of {', '.join(first.channels)} and, of {name!r},"
                f" {part.step_text} of {', '.join(part.channels)}."
            )
    sizes = [part.n_timepoints for part in parts]
    known = [part.offset for part in parts if part.offset is not None]
    values = [part.values if not known else part.true_values() for part in parts]
    return replace(
        first,
        values=np.concatenate(values, axis=1),
        offset=None,
        units=Units(
            names=np.array(list(units)),
            starts=np.array([part.start for part in parts]),
            firsts=np.cumsum(np.append(0, sizes[:-1])),
        ),
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
    unit : ndarray of shape (n_cases,), optional
        Position of each window's unit, where there are several.
    inputs : tuple of str, optional
        Channels that the windows have. Default: all.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(
        self,
        readings: Readings,
        ends: NDArray[np.datetime64],
        n_timepoints: int,
        unit: NDArray[np.integer[Any]] | None = None,
        inputs: tuple[str, ...] | None = None,
    ) -> None:
        self.readings, self.ends, self.n_timepoints = readings, ends, n_timepoints
        self.unit = unit
        self.channels = readings.channels if inputs is None else inputs
        if n_timepoints > readings.n_timepoints:
            raise ValueError(
                f"windows of {n_timepoints} timepoints cannot be cut from {readings.n_timepoints}"
                " readings."
            )
        if (unit is None) != (readings.units is None) or (
            unit is not None and unit.shape != ends.shape
        ):
            raise ValueError("unit must tell of each window whose it is, where there are units.")
        self._rows = rows_of(self.channels, readings.channels)
        self._views = np.lib.stride_tricks.sliding_window_view(
            readings.values, n_timepoints, axis=1
        ).transpose(1, 0, 2)  # (n_starts, n_channels of the readings, n_timepoints)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_cases, n_channels, n_timepoints)."""
        return len(self.ends), len(self.channels), self.n_timepoints

    @property
    def offset(self) -> NDArray[np.float64] | None:
        """What was taken off each channel, (n_channels,)."""
        of_all = self.readings.offset
        if of_all is None or self._rows is None:
            return of_all
        own: NDArray[np.float64] = of_all[self._rows]
        return own if own.any() else None

    def __len__(self) -> int:
        return len(self.ends)

    def last(self, cases: Any = slice(None)) -> NDArray[np.int64]:
        """Return the positions of the last readings of some windows."""
        unit = None if self.unit is None else self.unit[cases]
        return self.readings.positions(self.ends[cases], unit)

    def ages(self, cases: Any = slice(None)) -> NDArray[np.int64]:
        """Return how many readings of its unit there are up to the end of each window."""
        last = self.last(cases) + 1
        if self.unit is None or self.readings.units is None:
            return last
        found: NDArray[np.int64] = last - self.readings.units.firsts[self.unit[cases]]
        return found

    def __getitem__(self, cases: Any) -> NDArray[np.float32]:
        if isinstance(cases, tuple):
            first, *rest = cases
            whole = self[first]
            return whole[tuple(rest)] if whole.ndim == 2 else whole[(slice(None), *rest)]
        windows: NDArray[np.float32] = self._views[self.last(cases) - (self.n_timepoints - 1)]
        if self._rows is not None:
            windows = windows[..., self._rows, :]
        return windows.copy() if windows.base is not None else windows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, cases: Any) -> "Windows":
        """Return some of the windows, as windows."""
        unit = None if self.unit is None else self.unit[cases]
        return Windows(self.readings, self.ends[cases], self.n_timepoints, unit, self.channels)

    def over(self, readings: Readings, n_timepoints: int | None = None) -> "Windows":
        """Return the windows that end at the same times of other readings, of another length."""
        n = self.n_timepoints if n_timepoints is None else n_timepoints
        return Windows(readings, self.ends, n, self.unit, self.channels)

    def less(self, offset: NDArray[np.float64] | None) -> "Windows":
        """Return the same windows with another offset (n_channels,) of theirs; None is 0."""
        of_all = self.readings.offset
        if self._rows is None or (offset is None and of_all is None):
            return self.over(self.readings.less(offset))
        whole = np.zeros(self.readings.n_channels) if of_all is None else of_all.copy()
        whole[self._rows] = 0 if offset is None else offset
        return self.over(self.readings.less(whole if whole.any() else None))

    def missing(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Count the missing values of each window, a stretch of cases at a time.

        Each stretch comes with the position of its first case.
        """
        for start in range(0, len(self), _MOST_WINDOWS):
            last = self.last(slice(start, start + _MOST_WINDOWS))
            back = np.flatnonzero(np.diff(last) < 0) + 1  # where another part begins
            for own in np.split(last, back):
                yield start, self._missing(own)
                start += len(own)

    def _missing(self, last: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the missing values of windows by their last readings, ascending."""
        low = int(last[0]) - self.n_timepoints + 1
        values = self.readings.values[:, low : int(last[-1]) + 1]
        if self._rows is not None:
            values = values[self._rows]
        counts = np.zeros(values.shape[1] + 1, np.int64)
        np.cumsum(np.isnan(values).sum(axis=0), out=counts[1:])
        stop = last - low + 1
        missing: NDArray[np.int64] = counts[stop] - counts[stop - self.n_timepoints]
        return missing

    def check(self) -> None:
        """Refuse windows that reach beyond their unit's readings or end between two of them.

        Raises
        ------
        ValueError
            With the first such case.
        """
        bounds, clock = self.readings.bounds, self.readings
        for start in range(0, len(self), _MOST_WINDOWS):
            some = slice(start, start + _MOST_WINDOWS)
            ends = self.ends[some]
            unit: Any = 0 if self.unit is None else self.unit[some]
            if self.unit is not None and ((unit < 0) | (unit >= clock.n_units)).any():
                raise ValueError(f"unit must be from 0 to {clock.n_units - 1}, got {unit.max()}")
            last = self.last(some)
            bad = (last < bounds[unit] + self.n_timepoints - 1) | (last >= bounds[unit + 1])
            bad |= clock.times(last, unit) != ends
            if bad.any():
                at = int(bad.argmax())
                raise ValueError(
                    f"case {start + at} ends at {clock.tell(ends[at])}, where no window of"
                    f" {self.n_timepoints} readings does"
                )


def rows_of(names: tuple[str, ...], channels: tuple[str, ...]) -> list[int] | slice | None:
    """Return which channels have the names; None for all in their order, a slice for neighbours."""
    if names == channels:
        return None
    lacking = [name for name in names if name not in channels]
    if lacking or not names:
        what = f"no channel {lacking[0]!r} among" if lacking else "no inputs of"
        raise ValueError(f"there is {what} the channels {', '.join(channels)}.")
    rows = [channels.index(name) for name in names]
    first = rows[0]
    side_by_side = rows == list(range(first, first + len(rows)))
    return slice(first, first + len(rows)) if side_by_side else rows


Series = NDArray[np.float32] | Windows
"""Cases of a problem, (n_cases, n_channels, n_timepoints)."""
