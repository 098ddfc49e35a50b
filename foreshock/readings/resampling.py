"""Rows of logs on the clocks of their units: order, repetitions, steps, and gaps filled.

The rows of all files come together first, so that files that continue each other are one recording
whatever is done to it. Nothing here is done row by row: files have millions of them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._optional import optional
from foreshock._text import counted as count_of
from foreshock._text import shown
from foreshock._time import commonest, format_duration, parse_duration
from foreshock.readings.config import LogConfig
from foreshock.readings.series import blank, tell_time

logger = logging.getLogger(__name__)

_NEVER = np.timedelta64(0, "us")
_SECOND = np.timedelta64(10**6, "us")
APART = "if each file is a unit of its own (a machine, an experiment), add --log.files units"


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """What files have, one row per time and unit, in the order of the files."""

    times: NDArray[np.datetime64]
    """(n_rows,)."""
    values: NDArray[np.float64]
    """(n_rows, n_channels)."""
    unit: NDArray[np.int64]
    """Position of each row's unit, (n_rows,)."""
    file: NDArray[np.int64]
    """Position of each row's file, (n_rows,)."""
    line: NDArray[np.int64] | None
    """Each row's line in its file, (n_rows,); None where that is not known."""
    names: tuple[str, ...] | None
    """What units are called; None where there are none."""
    files: tuple[str, ...]
    """What the files are called in messages."""
    counted: bool
    """Whether the times number readings."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def its(self) -> str:
        """How the rows are spoken of: its, of one file."""
        return "its" if len(self.files) == 1 else "their"

    def take(self, rows: Any) -> "Rows":
        """Return some of the rows; None for all."""
        if rows is None or isinstance(rows, slice):
            return self
        return replace(
            self,
            times=self.times[rows],
            values=self.values[rows],
            unit=self.unit[rows],
            file=self.file[rows],
            line=None if self.line is None else self.line[rows],
        )

    def follow(self) -> NDArray[np.bool_]:
        """Return which rows are of the same unit as the one before them, (n_rows - 1,)."""
        same: NDArray[np.bool_] = self.unit[1:] == self.unit[:-1]
        return same

    def tell(self, time: np.datetime64) -> str:
        """Write a time, or the number that it is."""
        return tell_time(time, counted=self.counted)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Regular values of units, one after the other."""

    values: NDArray[np.float64]
    """(n_channels, n_timepoints)."""
    starts: NDArray[np.datetime64]
    """(n_units,)."""
    firsts: NDArray[np.int64]
    """(n_units,)."""
    step: np.timedelta64


def numbered(unit: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Return the number of each row in its unit, from 1, as times (n_rows,)."""
    order = np.argsort(unit, kind="stable")
    border = np.flatnonzero(np.diff(unit[order], prepend=-1))
    number = np.arange(len(unit)) - np.repeat(border, np.diff(np.append(border, len(unit))))
    times = np.empty(len(unit), np.int64)
    times[order] = number + 1
    return times.astype("datetime64[s]").astype("datetime64[us]")


def by_unit(rows: Rows) -> Rows:
    """Put the rows of each unit together, in their order."""
    if (np.diff(rows.unit) >= 0).all():
        return rows
    return rows.take(np.argsort(rows.unit, kind="stable"))


def regular(rows: Rows, config: LogConfig, advice: Callable[[], str] = str) -> Recording:
    """Place rows, those of each unit together, on the clocks of their units.

    Raises
    ------
    ValueError
        They do not fit a clock and are not to be resampled; with counts and what to do. `advice`
        writes what may help against rows at the same time.
    """
    resampled = config.resample != "refuse"
    if not rows.counted or not _ascend(rows):
        rows = rows.take(_once(rows, resampled=resampled))
    order = _order(rows)
    steps = np.diff(rows.times[order])[rows.follow()]
    step = _step(rows, steps, config)
    if resampled:
        return _resampled(rows, order, step, config)
    if len(rows.files) > 1 and (steps == _NEVER).any() and not _back(rows).any():
        rows = rows.take(_merged(rows, order, advice))
        order = _order(rows)
    _check(rows, order, step, advice)
    rows = rows.take(order)
    borders = np.flatnonzero(np.append(True, ~rows.follow()))
    starts = rows.times[borders]
    since: Any = rows.times - np.repeat(starts, np.diff(np.append(borders, len(rows))))
    ticks = since // step
    return _placed(rows, ticks, rows.values, borders, starts, step)


def _ascend(rows: Rows) -> bool:
    return bool(((np.diff(rows.times) > _NEVER) | ~rows.follow()).all())


def _order(rows: Rows) -> Any:
    """Return what sorts the rows of each unit by time: positions, or a slice where they are."""
    return slice(None) if _ascend(rows) else np.lexsort([rows.times, rows.unit])


def _step(rows: Rows, steps: NDArray[np.timedelta64], config: LogConfig) -> np.timedelta64:
    """Return the step that was asked for, or the commonest."""
    common = commonest(steps)
    if rows.counted:
        if config.step is not None:
            raise ValueError("numbered readings have no step: leave out --log.step")
        if common is not None and common > _SECOND:
            logger.warning(
                "The numbers of readings mostly rise by %d: those between are missing"
                " (--log.time rows numbers the rows instead).",
                int(common / _SECOND),
            )
        return _SECOND
    if config.step is not None:
        return parse_duration(config.step)
    if common is None:
        whose = "of each unit " * (rows.names is not None)
        raise ValueError(
            f"all {rows.its} rows {whose}have the same time, so its step is unknown; give it"
            " (--log.step)"
        )
    if config.resample != "refuse" and (steps == common).mean() < 0.5:
        raise ValueError(
            f"{rows.its} rows have no common step ({format_duration(common)} is only the most"
            " common); give one (--log.step 1h)"
        )
    found: np.timedelta64 = common
    return found


def _once(rows: Rows, *, resampled: bool) -> NDArray[np.bool_] | None:
    """Return which rows to keep of exact repetitions, as overlapping downloads have them.

    Where rows of one step are to be made one reading, equal ones are taken for different readings
    unless the times went back between them, or another file began: clocks may be coarser than the
    readings.
    """
    pandas = optional("pandas", "tables")
    kept = np.ones(len(rows), dtype=np.bool_)
    steps, follow = np.diff(rows.times), rows.follow()
    new = (rows.file[1:] != rows.file[:-1]) | (steps < _NEVER) | ~follow
    if ((steps > _NEVER) | ~follow).all() or (resampled and not (new & follow).any()):
        return None
    keys = pandas.DataFrame({"unit": rows.unit, "time": rows.times})
    shared = keys.duplicated(keep=False).to_numpy()
    if not shared.any():
        return None
    some = pandas.DataFrame(rows.values[shared])
    some = some.assign(unit=rows.unit[shared], time=rows.times[shared])
    if resampled:
        piece = np.cumsum(np.append(False, new))[shared]
        same = [pandas.Series(piece), *(some[name] for name in some.columns)]
        some["which"] = some.groupby(same, dropna=False, sort=False).cumcount()
    kept[shared] = ~some.duplicated().to_numpy()
    n_repeated = len(kept) - int(kept.sum())
    if not n_repeated:
        return None
    logger.info("%s rows repeat another one exactly and are taken once.", f"{n_repeated:,}")
    return kept


def _back(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows are before another above them in their file and unit."""
    steps, same = np.diff(rows.times), rows.file[1:] == rows.file[:-1]
    return np.append(False, (steps < _NEVER) & rows.follow() & same)


def _merged(rows: Rows, order: Any, advice: Callable[[], str]) -> NDArray[np.bool_]:
    """Return which rows to keep, of those of several files at one time the first.

    It gets what the others know; no two may have different values.
    """
    given, order, rows = rows.values, np.arange(len(rows))[order], rows.take(order)
    again = np.append(False, (np.diff(rows.times) == _NEVER) & rows.follow())
    group = np.cumsum(~again) - 1
    sizes = np.bincount(group)
    twice = np.append(False, rows.file[1:] == rows.file[:-1]) & again
    whole = (sizes > 1) & (np.bincount(group, twice) == 0)
    inside = np.flatnonzero(whole[group])
    kept = np.ones(len(rows), np.bool_)
    if not len(inside):
        return kept
    begins = np.flatnonzero(~again[inside])
    low, high = (
        np.asarray(extreme.reduceat(rows.values[inside], begins)) for extreme in (np.fmin, np.fmax)
    )
    with np.errstate(over="ignore"):
        differ = low.astype(np.float32) != high.astype(np.float32)
    differ &= ~np.isnan(low)
    if differ.any():
        at = inside[begins[int(differ.any(axis=1).argmax())]]
        one, other = (rows.files[k] for k in (rows.file[at], rows.file[at + 1]))
        raise ValueError(
            f"the readings disagree at {int(differ.sum()):,} places where files overlap, first at"
            f" {rows.tell(rows.times[at])} ({one} and {other}): leave one of them out{advice()};"
            f" or, {APART}"
        )
    given[order[inside[begins]]] = low
    kept[order[again & whole[group]]] = False
    return kept


def _check(rows: Rows, order: Any, step: np.timedelta64, advice: Callable[[], str]) -> None:
    """Refuse rows, with counts, that do not fit the clocks of their units."""
    follow = rows.follow()
    back = _back(rows)
    again = np.zeros(len(rows), dtype=np.bool_)
    again[order] = np.append(False, (np.diff(rows.times[order]) == _NEVER) & follow)
    borders = np.flatnonzero(np.append(True, ~follow))
    starts = np.repeat(
        np.minimum.reduceat(rows.times, borders), np.diff(np.append(borders, len(rows)))
    )
    off = (rows.times - starts) % step != _NEVER
    faulty = back | again | off
    if not faulty.any():
        return
    at = int(np.flatnonzero(faulty)[np.lexsort(_place(rows, faulty))[0]])
    clock = f"{'its unit' if rows.names is not None else rows.tell(starts[0])}"
    found = [
        f"{int(fault.sum()):,} {what}"
        for fault, what in (
            (back, "out of order"),
            (again, "at the same time as another"),
            (off, f"off the clock of {format_duration(step)} from {clock}"),
        )
        if fault.any()
    ]
    text = (
        f"of {rows.its} {len(rows):,} rows are {', '.join(found)}; correct them, or combine the"
        " rows of each step (--log.resample mean, max, min, sum, first, last or nearest)"
    )
    if again.any() and not rows.counted and np.ptp(rows.times) > np.timedelta64(90, "D"):
        text += ", or give the time zone, for summer time (--log.timezone)"
    if (again | back).any():
        text += advice()
    if (again | off).any() and len(rows.files) > 1:
        text += f", or, {APART}"
    if rows.line is not None:
        text += f"; the first is in line {rows.line[at]}"
        text += f" of {rows.files[rows.file[at]]}" if len(rows.files) > 1 else ""
    elif len(rows.files) > 1:
        text += f"; the first is in {rows.files[rows.file[at]]}"
    raise ValueError(text)


def _place(rows: Rows, chosen: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return keys that sort rows by file and line."""
    line = np.arange(len(rows)) if rows.line is None else rows.line
    return [line[chosen], rows.file[chosen]]


def _resampled(rows: Rows, order: Any, step: np.timedelta64, config: LogConfig) -> Recording:
    """Make one reading of the rows of each step; steps begin at multiples of it since 1970."""
    pandas = optional("pandas", "tables")
    rows = rows.take(order)
    micro = rows.times.astype(np.int64)
    length = int(step.astype(np.int64))
    ticks = (micro + length // 2 if config.resample == "nearest" else micro) // length
    new = np.append(True, (np.diff(ticks) > 0) | ~rows.follow())
    group = np.cumsum(new) - 1
    values: Any = rows.values
    if config.resample == "nearest":
        nearest = np.lexsort([micro, np.abs(micro - ticks * length), group])
        values, group = values[nearest], group[nearest]
    grouped = pandas.DataFrame(values).groupby(group, sort=False)
    if config.resample == "sum":
        combined = grouped.sum(min_count=1)
    elif config.resample == "nearest":
        combined = grouped.first()
    else:
        combined = getattr(grouped, config.resample)()
    ticks, kept = ticks[new], rows.take(new)
    borders = np.flatnonzero(np.append(True, ~kept.follow()))
    first = ticks[borders]
    at = ticks - np.repeat(first, np.diff(np.append(borders, len(kept))))
    starts = np.datetime64(0, "us") + first * step
    whole = _placed(replace(rows, unit=kept.unit), at, combined.to_numpy(), borders, starts, step)
    logger.info(
        "%s rows became %s readings of %s (and %s gaps) by %s.",
        f"{len(rows):,}",
        f"{len(at):,}",
        "1" if rows.counted else format_duration(step),
        f"{whole.values.shape[1] - len(at):,}",
        config.resample,
    )
    return whole


def _placed(
    rows: Rows,
    ticks: NDArray[np.int64],
    values: NDArray[np.float64],
    borders: NDArray[np.int64],
    starts: NDArray[np.datetime64],
    step: np.timedelta64,
) -> Recording:
    """Place values (n_rows, n_channels) at their ticks since the start of their unit."""
    ends = np.append(borders[1:], len(ticks))
    sizes = ticks[ends - 1] + 1
    firsts = np.cumsum(sizes) - sizes
    try:
        whole = blank(values.shape[1], int(sizes.sum()), len(rows), step)
    except ValueError as error:
        text = str(error).replace("its ", f"{rows.its} ", 1)
        if rows.names is not None and len(sizes) > 1:
            longest = int(sizes.argmax())
            text += f" The longest is unit {rows.names[rows.unit[borders[longest]]]!r}."
        if rows.names is None and len(rows.files) > 1:
            text += f" Or, {APART}."
        raise ValueError(text) from None
    whole[:, ticks + np.repeat(firsts, ends - borders)] = values.T
    return Recording(values=whole, starts=starts, firsts=firsts, step=step)


def warn_of_gaps(rows: Rows, step: np.timedelta64) -> None:
    """Warn where more time lies between files that continue each other than they have."""
    if rows.names is not None or len(rows.files) < 2 or rows.counted:
        return
    n_files = len(rows.files)
    first = np.full(n_files, np.iinfo(np.int64).max)
    last = np.full(n_files, np.iinfo(np.int64).min)
    micro = rows.times.astype(np.int64)
    np.minimum.at(first, rows.file, micro)
    np.maximum.at(last, rows.file, micro)
    order = np.argsort(first)
    reached = np.maximum.accumulate(last[order])
    gaps = np.maximum(first[order][1:] - reached[:-1] - int(step.astype(np.int64)), 0)
    covered = reached[-1] - first[order][0] - gaps.sum()
    if gaps.sum() > covered:
        k = int(gaps.argmax())
        one, other = (rows.files[order[i]] for i in (k, k + 1))
        logger.warning(
            "More time lies between the %d files than they have readings of, most of it between %s"
            " and %s: %s.",
            n_files,
            shown(one),
            shown(other),
            APART,
        )


def fill(values: NDArray[np.floating[Any]], firsts: NDArray[np.int64], most: int) -> int:
    """Let readings stand for up to so many missing ones behind them, and count those.

    Nothing that comes later decides it: the first of a long gap are filled as those of a short one.

    Parameters
    ----------
    values
        (n_channels, n_timepoints), changed in place.
    firsts
        Position of each unit's first reading, (n_units,); nothing is carried to another unit.
    most
        Most readings in a row to fill.
    """
    at = np.arange(values.shape[1])
    border = np.repeat(firsts, np.diff(np.append(firsts, len(at))))
    n_filled = 0
    for channel in values:
        missing = np.isnan(channel)
        last = np.maximum.accumulate(np.where(missing, -1, at))
        filled = missing & (last >= border) & (at - last <= most)
        channel[filled] = channel[last[filled]]
        n_filled += int(filled.sum())
    return n_filled


def most_filled(text: str, step: np.timedelta64, *, counted: bool) -> int:
    """Return how many readings a time is, or a number of them, as text.

    Raises
    ------
    ValueError
        It is a time where readings are numbered, or shorter than the step.
    """
    if text.isdecimal():
        return int(text)
    if counted:
        raise ValueError(f"readings are numbered: give --log.fill as their number, not as {text}.")
    most = int(parse_duration(text) // step)
    if not most:
        raise ValueError(
            f"--log.fill {text} is shorter than the step, {format_duration(step)}: fill at least"
            " that, or leave it out."
        )
    return most


def describe_filled(n_filled: int, n_values: int, text: str) -> str:
    """Write how many values were filled."""
    what = f"up to {count_of(int(text), 'reading') if text.isdecimal() else text} before"
    return (
        f"{n_filled:,} missing values ({n_filled / max(1, n_values):.1%} of all) were filled with"
        f" the last reading {what}."
    )
