"""Durations and times as text: 1h, 10ms, 2003-12-31T22:57:01Z."""

import re

import numpy as np

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
