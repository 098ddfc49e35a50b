"""What is in a problem: sizes, lengths, balance, gaps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import chunks, count_codes, sample
from foreshock._text import alike
from foreshock._time import format_time
from foreshock.problems import Problem
from foreshock.readings.series import Series, Windows
from foreshock.tables import PARTS, Part

_TOLERANCE = 1e-2
_CHECKED = 4096


@dataclass(frozen=True, kw_only=True)
class PartCard:
    """One part of a problem."""

    cases: int
    """Number of cases."""
    length_min: int
    """Length of the shortest series."""
    length_median: float
    """Median length of the series."""
    length_max: int
    """Length of the longest series."""
    class_counts: dict[str, int]
    """Number of cases of each class, in the order of the classes."""
    missing_values: int
    """Number of values missing before the ends of the series."""
    cases_with_missing: int
    """Number of cases with such a value."""
    labels_not_in_train: tuple[str, ...]
    """Classes here of which the train part has no case."""
    first: str | None = None
    """Time of the first reading of the first case, where cases have times; of the cases' ends
    where only those are known."""
    last: str | None = None
    """Time of the last reading of the last case."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a problem holds, as numbers and text that JSON can write."""

    name: str
    """Name of the problem."""
    n_channels: int
    """Number of channels."""
    channels: tuple[str, ...]
    """Names of the channels."""
    n_timepoints: int
    """Length of the longest series."""
    z_normalised: bool
    """Whether every series has mean 0 and standard deviation 1; constant ones do not count."""
    parts: dict[str, PartCard]
    """The parts that have cases."""
    step: str | None = None
    """Time from one reading to the next, where it is known."""
    alike: str | None = None
    """Which classes differ by form alone, where any do."""


def card(problem: Problem) -> Card:
    """Describe a problem: sizes, lengths, balance, gaps."""
    parts: dict[str, PartCard] = {}
    missing, gappy = _count_missing(problem)
    train = count_codes(_labels(problem, "train"), problem.n_classes)
    for code, name in enumerate(PARTS):
        if not problem.count(name):
            continue
        rows = problem.rows(name)
        counts = count_codes(_labels(problem, name), problem.n_classes)
        lengths = problem.lengths[rows]
        first, last = _span(problem, rows)
        parts[name] = PartCard(
            cases=len(lengths),
            length_min=int(lengths.min()),
            length_median=float(np.median(lengths[sample(len(lengths), 10**6)])),
            length_max=int(lengths.max()),
            class_counts=dict(zip(problem.classes, counts.tolist(), strict=True)),
            missing_values=int(missing[code]),
            cases_with_missing=int(gappy[code]),
            labels_not_in_train=tuple(
                problem.classes[k] for k in np.flatnonzero((counts > 0) & (train == 0))
            ),
            first=first,
            last=last,
        )
    return Card(
        name=problem.name,
        n_channels=problem.n_channels,
        channels=problem.channels,
        n_timepoints=problem.n_timepoints,
        z_normalised=is_z_normalised(problem.X),
        parts=parts,
        step=problem.step,
        alike=alike(problem.classes),
    )


def _labels(problem: Problem, part: Part) -> NDArray[np.int64]:
    if not problem.classes:
        return np.zeros(0, np.int64)
    return problem.y[problem.rows(part)]


def _span(problem: Problem, rows: slice | NDArray[np.int64]) -> tuple[str | None, str | None]:
    """Give the times of the first and the last reading of some cases."""
    if problem.ends is None:
        return None, None
    ends = problem.ends[rows]
    first, last = ends.min(), ends.max()
    if problem.readings is not None:
        first = first - (problem.n_timepoints - 1) * problem.readings.step
    return format_time(first), format_time(last)


def _count_missing(problem: Problem) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count missing values before the ends of the series, and cases with any, of each part."""
    values, cases = np.zeros((2, len(PARTS)), np.int64)
    for start, missing in _missing(problem):
        part = problem.part[start : start + len(missing)]
        values += np.bincount(part, missing, len(PARTS)).astype(np.int64)
        cases += np.bincount(part, missing > 0, len(PARTS)).astype(np.int64)
    return values, cases


def _missing(problem: Problem) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Count the missing values of each case, stretch by stretch of cases."""
    X = problem.X
    if isinstance(X, Windows):
        yield from X.missing()
        return
    for start, chunk in chunks(X):
        ends = problem.lengths[start : start + len(chunk)]
        missing = np.isnan(chunk).sum(axis=(1, 2))
        yield start, missing - (problem.n_timepoints - ends) * problem.n_channels


def is_z_normalised(X: Series) -> bool:
    """Tell whether every series that varies has mean 0 and standard deviation 1.

    Either divisor of the variance, n or n - 1, will do.
    """
    varying = False
    if isinstance(X, Windows):
        X = X.take(sample(len(X), _CHECKED))
    for _, chunk in chunks(X):
        seen = ~np.isnan(chunk)
        n = seen.sum(axis=2)  # (cases, channels)
        values = np.where(seen, chunk, 0).astype(np.float64)
        mean = values.sum(axis=2) / np.maximum(n, 1)
        squares = (np.where(seen, values - mean[:, :, None], 0) ** 2).sum(axis=2)
        varies = squares > 1e-12 * np.maximum(1, mean**2)
        mean, squares, n = mean[varies], squares[varies], n[varies]
        near = np.abs(np.sqrt(squares / n) - 1) < _TOLERANCE
        near |= np.abs(np.sqrt(squares / (n - 1)) - 1) < _TOLERANCE
        if not (near & (np.abs(mean) < _TOLERANCE)).all():
            return False
        varying |= bool(varies.any())
    return varying
