"""Durations, steps and times as text: 1h, 10ms, 2003-12-31T22:57:01Z."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR = 0.25
"""How far a time may be from the tick of a clock that it is taken for, as a share of the step."""

_UNITS = {"us": 1, "ms": 10**3, "s": 10**6, "min": 6 * 10**7, "h": 36 * 10**8, "d": 864 * 10**8}


def parse_duration(text: str) -> np.timedelta64:
    """Read a duration such as 1h, 10min, 2.5ms or 30d.

    Raises
    ------
    ValueError
        It is none, or not a whole number of microseconds above 0.
    """
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)? *(us|ms|s|min|h|d)", text.strip())
    micro = float(found[1] or 1) * _UNITS[found[2]] if found else 0.0
    if not 1 <= micro < 2**53 or abs(micro - round(micro)) > 1e-6 * micro:
        raise ValueError(
            "a duration must be a number and a unit (us, ms, s, min, h, d), such as 1h or 10ms,"
            f" got {text[:40]!r}."
        )
    return np.timedelta64(round(micro), "us")


def format_duration(duration: np.timedelta64) -> str:
    """Write a duration as `parse_duration` reads it, in its largest unit: 1h."""
    micro = int(duration.astype("timedelta64[us]").astype(np.int64))
    unit = next(u for u, size in reversed(_UNITS.items()) if micro % size == 0)
    return f"{micro // _UNITS[unit]}{unit}"


def plain_step(text: str) -> str:
    """Write a step, a duration or a number, in its one form: 60s as 1min, 0.50 as 0.5.

    Raises
    ------
    ValueError
        It is neither, or not above 0.
    """
    try:
        number = float(text)
    except ValueError:
        return format_duration(parse_duration(text))
    if not 0 < number < np.inf:
        raise ValueError(f"a step must be above 0, got {text[:40]!r}.")
    return f"{number:.15g}" if number.is_integer() else f"{number:.7g}"


def one_every(step: str) -> str:
    """Write a step as a sentence has it: one every 1h."""
    return f"one every {step}" + ("" if step[-1].isalpha() else " (times are numbers)")


def commonest(differences: NDArray[Any]) -> Any:
    """Return the commonest of differences above 0, the smallest of several; None without any."""
    lengths, counts = np.unique(differences[differences > 0 * differences], return_counts=True)
    return lengths[counts.argmax()] if len(lengths) else None


def same_step(one: str, other: str) -> bool:
    """Check whether two steps are equal to a thousandth, as rounded times give them."""
    kinds = {step[-1].isalpha() for step in (one, other)}
    if len(kinds) > 1:
        return False
    sizes = [
        float(parse_duration(s).astype(np.int64) if True in kinds else s) for s in (one, other)
    ]
    return max(sizes) - min(sizes) <= 1e-3 * max(sizes)


def common_clock(
    since: NDArray[Any], follows: NDArray[np.bool_]
) -> tuple[Any, NDArray[np.int64], NDArray[np.float64]]:
    """Find the clock of series of times: its step is the commonest from one time to the next.

    Times may be rounded (30 a second to whole milliseconds, say), so the mean of such steps is
    taken instead if more times are near its ticks, or as many and they are nearer.

    Parameters
    ----------
    since : ndarray of shape (n_times,)
        Times since the first of their series, sorted in each: integers or floats.
    follows : ndarray of shape (n_times - 1,)
        Whether a time and the next are different ones of one series.

    Returns
    -------
    step : int, float or None
        None where no time follows another.
    at : ndarray of shape (n_times,)
        The nearest tick of each time, 0 for the first of a series.
    away : ndarray of shape (n_times,)
        How far that is away from the time, as a share of the step.
    """
    found = [(step, *_ticks(since, step)) for step in _steps(np.diff(since)[follows])]
    return min(found, key=lambda clock: (np.count_nonzero(clock[2] > NEAR), clock[2].sum()))


def _ticks(since: NDArray[Any], step: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if step is None:
        return np.zeros(len(since), np.int64), np.where(since == 0, 0.0, np.inf)
    with np.errstate(over="ignore"):
        exact = since / step
    at = np.rint(np.clip(exact, 0, 2**61))
    return at.astype(np.int64), np.abs(exact - at)


def _steps(differences: NDArray[Any]) -> list[Any]:
    """Return the commonest of differences, and the mean of those that are near it.

    Floats are one step if their first four digits are. A mean has no more digits than are known of
    it: 0.1, not 0.09999999999999998.
    """
    lengths, counts = np.unique(differences[differences > 0], return_counts=True)
    if not len(lengths):
        return [None]
    texts, which = np.unique(np.char.mod("%.3e", lengths), return_inverse=True)
    totals = np.bincount(which, counts)
    rough = min(float(text) for text in texts[totals == totals.max()])
    with np.errstate(over="ignore", invalid="ignore"):
        ticks = np.rint(lengths / rough)
        away = np.abs(lengths / rough - ticks)
    whole = lengths.dtype.kind == "i"
    steps = [lengths[counts.argmax()]] if whole else []
    for near in ([] if whole else [(ticks > 0) & (away < 0.01)]) + [(ticks == 1) & (away < NEAR)]:
        mean, error = _mean(lengths[near], ticks[near], counts[near])
        shorter = (float(f"{mean:.{digits}g}") for digits in range(1, 17))
        steps.append(next((each for each in shorter if abs(each - mean) <= error), mean))
    return steps


def _mean(
    lengths: NDArray[Any], ticks: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the mean step, and how far another may be from it for the same ticks."""
    n_ticks = (ticks * counts).sum()
    mean = float((lengths * counts).sum() / n_ticks)
    error = np.abs(lengths / ticks - mean).max() / np.sqrt(counts.sum())
    return mean, max(1e-12 * mean, min(error, 0.01 * mean / n_ticks))


def parse_time(text: str) -> np.datetime64:
    """Read a time in ISO 8601, in UTC with or without Z, as datetime64[us].

    Raises
    ------
    ValueError
        It is none.
    """
    plain = re.fullmatch(r"(\d{4}(?:-\d\d){0,2}(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?)Z?", text)
    try:
        if plain is None:
            raise ValueError("another form")
        return np.datetime64(plain[1], "us")
    except ValueError as error:
        raise ValueError(
            f"a time must look like 2003-12-31T22:57:01Z or 2003-12-31, got {text[:40]!r}."
        ) from error


def format_time(time: np.datetime64) -> str:
    """Write a time in ISO 8601, to the minute or as finely as it needs: 2003-12-31T22:57Z."""
    text = str(time.astype("datetime64[us]"))
    return re.sub(r"(:00)?\.000000$|(\.\d*?)0*$", r"\2", text) + "Z"
