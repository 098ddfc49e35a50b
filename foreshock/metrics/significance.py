"""Tests of differences between methods, over cases and over problems."""

import itertools
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from foreshock.metrics.intervals import LEVEL, Estimate

SIGNIFICANT = 1 - LEVEL
"""The p-value below which a difference is called significant."""


def paired_difference(won: int, lost: int, n_cases: int) -> Estimate:
    """Estimate a difference of two accuracies on the same cases (Agresti and Min 2005)."""
    from scipy.stats import norm

    n = n_cases + 2  # half a case in each of the four fields
    middle = (won - lost) / n
    reach = float(norm.ppf(0.5 + LEVEL / 2)) * np.sqrt((won + lost + 1) / n - middle**2) / n**0.5
    low, high = max(-1.0, middle - reach), min(1.0, middle + reach)
    return Estimate((won - lost) / n_cases, float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    out, largest = [0.0] * len(order), 0.0
    for rank, position in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[position]))
        out[position] = largest
    return out


def mean_ranks(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank methods (columns) on each problem, the best 1, ties shared; give the mean ranks."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-table, axis=1).mean(axis=0), np.float64)


def wilcoxon(differences: NDArray[np.float64]) -> float:
    """Return Wilcoxon's two-sided signed-rank p-value; zeros are ranked (Pratt 1959)."""
    from scipy.stats import wilcoxon as test

    if not differences.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few problems, or ties, make it approximate
        return float(test(differences, zero_method="pratt").pvalue)


def pairwise_wilcoxon(table: NDArray[np.float64]) -> dict[tuple[int, int], float]:
    """Test all pairs of methods (columns) over problems, and correct by Holm's method."""
    pairs = list(itertools.combinations(range(table.shape[1]), 2))
    p_values = holm([wilcoxon(table[:, i] - table[:, j]) for i, j in pairs])
    return dict(zip(pairs, p_values, strict=True))


def cliques(
    ranks: NDArray[np.float64], p_values: Mapping[tuple[int, int], float]
) -> list[list[int]]:
    """Return the largest groups, next to each other in rank, without a significant pair at 5 %.

    Parameters
    ----------
    ranks : ndarray of shape (n_methods,)
        Mean ranks.
    p_values : mapping of (int, int) to float
        Of each pair of methods, the lower position first, corrected for their number.
    """
    order = np.argsort(ranks, kind="stable").tolist()
    found: list[list[int]] = []
    reached = 0
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and all(
            p_values[min(i, order[stop]), max(i, order[stop])] >= SIGNIFICANT
            for i in order[start:stop]
        ):
            stop += 1
        if stop - start > 1 and stop > reached:
            found.append(order[start:stop])
            reached = stop
    return found
