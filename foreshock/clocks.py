"""Durations, steps and times as text: 1h, 10ms, 2003-12-31T22:57:01Z."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
            "a duration is a number and a unit (us, ms, s, min, h, d), such as 1h or 10ms, got"
            f" {text[:40]!r}."
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
        raise ValueError(f"a step is above 0, got {text[:40]!r}.")
    return f"{number:.15g}" if number.is_integer() else f"{number:.7g}"


def one_every(step: str) -> str:
    """Write a step as a sentence has it: one every 1h."""
    return f"one every {step}" + ("" if step[-1].isalpha() else " (times are numbers)")


def commonest(differences: NDArray[Any]) -> Any:
    """Return the commonest of differences above 0, the smallest of several; None without any."""
    lengths, counts = np.unique(differences[differences > 0 * differences], return_counts=True)
    return lengths[counts.argmax()] if len(lengths) else None


def common_step(differences: NDArray[Any]) -> Any:
    """Return the step of most differences between numbers, integers or floats; None without any.

    Floats are one step if their first four digits are, and the step has no more digits than are
    known of it: 0.1, not 0.09999999999999998.
    """
    if differences.dtype.kind != "f":
        return commonest(differences)
    lengths, counts = np.unique(differences[differences > 0], return_counts=True)
    if not len(lengths):
        return None
    texts, which = np.unique(np.char.mod("%.3e", lengths), return_inverse=True)
    totals = np.bincount(which, counts)
    rough = min(float(text) for text in texts[totals == totals.max()])
    with np.errstate(over="ignore", invalid="ignore"):
        ticks = np.rint(lengths / rough)
        near = (ticks > 0) & (np.abs(lengths / rough - ticks) < 0.01)
    lengths, counts, ticks = lengths[near], counts[near], ticks[near]
    step = float((lengths * counts).sum() / (ticks * counts).sum())
    error = np.abs(lengths / ticks - step).max() / np.sqrt(counts.sum())
    shorter = (float(f"{step:.{digits}g}") for digits in range(1, 17))
    return next((each for each in shorter if abs(each - step) <= max(1e-12 * step, error)), step)


def on_clock(since: NDArray[Any], step: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the positions of times on a clock, and which times are off it.

    Parameters
    ----------
    since
        Times since the clock's first: integers, or floats, of which a hundredth of a step is
        tolerated.
    step
        The clock's; None if all times are one.
    """
    if step is None:
        return np.zeros(len(since), np.int64), since != 0
    if since.dtype.kind != "f":
        return since // step, since % step != 0
    with np.errstate(over="ignore"):
        exact = since / step
    at = np.rint(np.clip(exact, 0, 2**61))
    return at.astype(np.int64), ~(np.abs(exact - at) <= 0.01)


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
            f"a time is written like 2003-12-31T22:57:01Z or 2003-12-31, got {text[:40]!r}."
        ) from error


def format_time(time: np.datetime64) -> str:
    """Write a time in ISO 8601, to the minute or as finely as it needs: 2003-12-31T22:57Z."""
    text = str(time.astype("datetime64[us]"))
    return re.sub(r"(:00)?\.000000$|(\.\d*?)0*$", r"\2", text) + "Z"
