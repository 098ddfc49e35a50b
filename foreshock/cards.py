"""What is worth knowing about cases before a model is trained on them."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock.tables import chunks

_EXAMPLES = 5
_TOLERANCE = 1e-2


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


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Identical series within a part or across two."""

    parts: tuple[str, str]
    """The parts; one of them twice for duplicates within it."""
    cases: int
    """Number of cases of the second part that repeat an earlier case, or one of the first part."""
    examples: tuple[tuple[int, int], ...]
    """Positions in the problem of up to five pairs."""


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
    duplicates: tuple[Duplicates, ...]
    """Where identical series were found."""
    groups_across_parts: tuple[str, ...]
    """Groups with cases in more than one part."""


def case_digests(X: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Hash each case, (n_cases,), so that equal cases have equal hashes."""
    digests = np.empty(len(X), dtype=np.uint64)
    for start, chunk in chunks(X):
        for i, case in enumerate(canonical(chunk), start):
            digests[i] = int.from_bytes(hashlib.blake2b(case, digest_size=8).digest(), "little")
    return digests


def canonical(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy with one bit pattern for each value: one NaN, no negative zero, little-endian."""
    return np.where(np.isnan(X), np.float32(np.nan), X + np.float32(0)).astype("<f4", order="C")


def count_missing(X: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the values of each case that are missing before its end, (n_cases,)."""
    counts = np.empty(len(X), dtype=np.int64)
    for start, chunk in chunks(X):
        ends = lengths[start : start + len(chunk)]
        missing = np.isnan(chunk).sum(axis=(1, 2))
        counts[start : start + len(chunk)] = missing - (X.shape[2] - ends) * X.shape[1]
    return counts


def is_z_normalised(X: NDArray[np.float32]) -> bool:
    """Tell whether every series that varies has mean 0 and standard deviation 1.

    Either divisor of the variance, n or n - 1, will do.
    """
    varying = False
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


def find_duplicates(
    X: NDArray[np.float32], part: NDArray[np.uint8], names: tuple[str, ...]
) -> tuple[Duplicates, ...]:
    """Find identical series, within each part and across each two.

    Parameters
    ----------
    X
        Series, (n_cases, n_channels, n_timepoints).
    part
        Code of each case's part, a position in ``names``, (n_cases,).
    names
        Names of the parts.
    """
    digests = case_digests(X)
    found = []
    for a, first in enumerate(names):
        known = np.flatnonzero(part == a)
        values, earliest = np.unique(digests[known], return_index=True)
        if not len(known):
            continue
        for b, second in list(enumerate(names))[a:]:
            cases = np.flatnonzero(part == b)
            at = np.minimum(np.searchsorted(values, digests[cases]), len(values) - 1)
            twin = known[earliest[at]]
            again = (values[at] == digests[cases]) & (twin != cases)
            if again.any():
                pairs = np.stack([twin[again], cases[again]], axis=1)[:_EXAMPLES].tolist()
                found.append(
                    Duplicates(
                        parts=(first, second),
                        cases=int(again.sum()),
                        examples=tuple((i, j) for i, j in pairs),
                    )
                )
    return tuple(found)
