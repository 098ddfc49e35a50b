"""Which of several runs differ by more than chance explains, and how methods rank over problems."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock import results
from foreshock.gathering import Predictions
from foreshock.metrics.intervals import Estimate, compare_auroc, mcnemar
from foreshock.metrics.significance import holm, paired_difference

BOOKKEEPING = results.BOOKKEEPING | {"seed"}
"""Options that make no other method of a training."""


@dataclass(frozen=True)
class Pair:
    """Two runs on the same cases."""

    first: int
    """Position of the one."""

    second: int
    """Position of the other."""

    n_cases: int
    """How many cases both were judged on."""

    won: int
    """Cases that only the first has right."""

    lost: int
    """Cases that only the second has right."""

    accuracy: Estimate
    """How much larger the first's accuracy is."""

    p: float
    """Of McNemar's exact test, corrected for the number of pairs."""

    auroc: Estimate | None
    """How much larger the first's AUROC is, for two classes."""

    auroc_p: float | None
    """Of DeLong's paired test, corrected for the number of pairs."""


def compare(runs: Sequence[Predictions], pairs: Sequence[tuple[int, int]]) -> list[Pair]:
    """Compare pairs of runs that predicted the same cases.

    Parameters
    ----------
    runs : sequence of Predictions
        What each predicted.
    pairs : sequence of (int, int)
        Which to compare.

    Returns
    -------
    list of Pair
        With p-values corrected by Holm's method (1979), those of accuracy and those of AUROC each
        among themselves.
    """
    found = []
    for i, j in pairs:
        a, b = runs[i], runs[j]
        if not same_cases(a, b):
            raise ValueError("runs are compared on the same cases only.")
        won, lost = int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum())
        area, area_p = None, None
        if a.proba.shape[1] == 2 and 0 < a.y.sum() < len(a.y):
            area, area_p = compare_auroc(a.y, a.proba[:, 1], b.proba[:, 1])
        gain = paired_difference(won, lost, len(a.y))
        p = mcnemar(a.right, b.right)
        found.append(Pair(i, j, len(a.y), won, lost, gain, p, area, area_p))
    corrected = holm([pair.p for pair in found])
    known = [pair.auroc_p for pair in found if pair.auroc_p is not None]
    areas = iter(holm(known))
    return [
        Pair(
            *(pair.first, pair.second, pair.n_cases, pair.won, pair.lost, pair.accuracy, p),
            pair.auroc,
            None if pair.auroc_p is None else next(areas),
        )
        for pair, p in zip(found, corrected, strict=True)
    ]


def choose_pairs(n: int, most: int = 10) -> list[tuple[int, int]]:
    """Name all pairs of runs or, where they are too many, each against the first."""
    every = list(itertools.combinations(range(n), 2))
    return every if len(every) <= most else [(0, other) for other in range(1, n)]


def same_cases(a: Predictions, b: Predictions) -> bool:
    """Tell whether two tables of predictions are of the same cases."""
    return np.array_equal(a.case, b.case) and np.array_equal(a.y, b.y)


@dataclass(frozen=True)
class Spread:
    """A number over seeds."""

    n: int
    mean: float
    deviation: float | None
    """Between seeds, with n - 1; None for one."""
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Say where a number lies over seeds."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(len(values), float(np.mean(values)), deviation, min(values), max(values))


def methods(options: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Gather the runs that are the same but for the seed, by their positions."""
    groups: dict[str, list[int]] = {}
    for position, values in enumerate(options):
        key = repr(sorted((k, repr(v)) for k, v in values.items() if k not in BOOKKEEPING))
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def differing(options: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Give the options in which configurations differ, with each one's value; None for none."""
    names = dict.fromkeys(name for values in options for name in values)
    every = {name: [values.get(name) for values in options] for name in names}
    return {name: values for name, values in every.items() if len(set(map(repr, values))) > 1}
