"""Readings: what sensors measured, one value of each channel at each tick of a clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from foreshock.clocks import format_duration, format_time
from foreshock.sources import SourceConfig

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
    """What was measured, (n_channels, n_timepoints), NaN where nothing was; may be a memory map."""
    start: np.datetime64
    """Time of the first reading, UTC. A reading stands for the step that begins at its time."""
    step: np.timedelta64
    """Time from one reading to the next, in whole microseconds."""
    channels: tuple[str, ...]
    """Names of the channels."""
    source: SourceConfig | None = None
    """How files became these readings; None where they come from arrays."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", self.start.astype("datetime64[us]"))
        object.__setattr__(self, "step", self.step.astype("timedelta64[us]"))
        values = self.values
        if getattr(values, "dtype", None) != np.float32 or values.ndim != 2 or 0 in values.shape:
            raise ValueError(
                "values must be float32 (n_channels, n_timepoints) with at least one of each, got"
                f" {getattr(values, 'dtype', type(values).__name__)}"
                f" {getattr(values, 'shape', '')}; convert with astype or reshape."
            )
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

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.values.shape[0])

    @property
    def n_timepoints(self) -> int:
        """Number of readings of each channel."""
        return int(self.values.shape[1])

    def times(self, positions: Any) -> Any:
        """Give the times of readings, datetime64[us], in the shape of their positions."""
        return self.start + self.step * positions

    def positions(self, times: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """Give the positions of the readings whose steps hold the times; some may not exist."""
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
                f"the readings are from {first} to {end}, they cannot end at {format_time(time)}."
            )
        return replace(self, values=self.values[:, :size])

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Iterate over stretches (n_channels, n) of about 16 MiB, each with its first position."""
        size = max(1, _BLOCK // self.n_channels)
        return (
            (start, self.values[:, start : start + size])
            for start in range(0, self.n_timepoints, size)
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


def blank(
    n_channels: int,
    n_timepoints: int,
    n_rows: int,
    step: np.timedelta64,
    dtype: type[np.floating] = np.float64,
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
    """Put readings of one clock and the same channels together, whatever their order.

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
                f" {format_time(first.start)}; resample them to one clock."
            )
    offsets = [int((part.start - first.start) // first.step) for part in parts]
    sizes = [part.values.shape[1] for part in parts]
    size = max(offset + n for offset, n in zip(offsets, sizes, strict=True))
    coarse = any(part.values.dtype == np.float32 for part in parts)
    dtype = np.float32 if coarse else np.float64
    values = blank(len(first.channels), size, sum(sizes), first.step, dtype)
    for offset, n, part in zip(offsets, sizes, parts, strict=True):
        there, here = values[:, offset : offset + n], part.values.astype(dtype, copy=False)
        differ = ~(np.isnan(there) | np.isnan(here) | _agree(there, here))
        if differ.any():
            at = int(np.argwhere(differ)[0][1])
            raise ValueError(
                f"the readings disagree at {int(differ.sum())} places where they overlap, first at"
                f" {format_time(part.start + part.step * at)}; leave one of them out."
            )
        np.copyto(there, here, where=np.isnan(there))
    return cast(T, replace(cast(Any, first), values=values))


def _agree(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell where values are equal, or one is what the other is in float32."""
    agree: NDArray[np.bool_] = one == other
    with np.errstate(over="ignore"):
        agree |= (one.astype(np.float32) == other) | (one == other.astype(np.float32))
    return agree
