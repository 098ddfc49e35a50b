"""Which cases are alike, so that intervals and tests draw them together."""

import numpy as np
from numpy.typing import NDArray

from foreshock.events.baselines import units_of
from foreshock.problems.problem import Problem
from foreshock.readings.series import Windows

_FEWEST, _MOST = 10, 200
"""Fewest units that are blocks; most blocks of time."""


def blocks_of(problem: Problem, cases: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the block of some cases, (len(cases),); None where they are independent.

    With ten units or more (machines, patients; groups of labelled series) each is a block. Else
    blocks are stretches of time within units, as long as what a case takes up, from the first
    reading of its window to the last of its target, and at least a two-hundredth of all the time.
    Windows of a single unit that share no readings are independent.
    """
    unit = units_of(problem, cases)
    if unit is None and problem.group is not None:
        _, unit = np.unique(problem.group[cases], return_inverse=True)
    if unit is not None:
        n_units = len(np.unique(unit))
        if n_units == len(cases):
            return None
        if n_units >= _FEWEST:
            return np.asarray(unit, np.int64)
    if problem.rule is None or not isinstance(problem.X, Windows):
        return None
    last = problem.X.last(cases)
    if unit is None and np.diff(np.sort(last)).min(initial=problem.rule.stretch) >= (
        problem.rule.stretch
    ):
        return None
    unit = np.zeros(len(cases), np.int64) if unit is None else unit
    first = {k: int(last[unit == k].min()) for k in np.unique(unit).tolist()}
    begun = np.array([first[k] for k in unit.tolist()])
    spans = [int(last[unit == k].max()) - start + 1 for k, start in first.items()]
    length = max(problem.rule.stretch, -(-sum(spans) // _MOST))
    within = (last - begun) // length
    return np.asarray(unit * (int(within.max(initial=0)) + 1) + within, np.int64)
