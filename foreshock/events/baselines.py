"""What a forecast of events stands beside: a regression on counts, and a simulation's truth."""

import dataclasses
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import sample
from foreshock.problems.rule import Rule

if TYPE_CHECKING:  # a forecast needs the regression only
    from foreshock.problems.problem import Problem
    from foreshock.readings.catalog import Catalog
    from foreshock.readings.etas import EtasConfig

logger = logging.getLogger(__name__)

_FITTED = 2**17
"""Most cases that it is fitted on."""


@dataclass(frozen=True, kw_only=True)
class ActivityModel:
    """A logistic regression on how many readings are active: in a window, and at its end.

    It takes log(1 + count) of both.
    """

    intercept: float
    """Log-odds where nothing is active."""

    whole: float
    """Weight of the count in the window."""

    recent: float
    """Weight of the count in its last twentieth."""

    def proba(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of an event (n,) from counts (n, 2), whole and recent."""
        whole, recent = np.log1p(counts).T
        logit = self.intercept + self.whole * whole + self.recent * recent
        out: NDArray[np.float64] = 1 / (1 + np.exp(-logit))
        return out

    def forecast(self, problem: "Problem", cases: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of an event in the targets of some cases, (len(cases),)."""
        return self.proba(count_active(problem, cases))


def fit_activity(problem: "Problem", rows: slice | NDArray[np.int64]) -> ActivityModel | None:
    """Fit the baseline on some cases of a problem that is cut from readings, training ones.

    None where these are all of one class. Of very many, some that lie evenly among them are taken.
    """
    from sklearn.linear_model import LogisticRegression

    if isinstance(rows, slice):
        cases = rows.start + sample(rows.stop - rows.start, _FITTED)
    else:
        cases = rows[sample(len(rows), _FITTED)]
    y = problem.y[cases]
    if len(np.unique(y)) < 2:
        return None
    fitted = LogisticRegression().fit(np.log1p(count_active(problem, cases)), y)
    whole, recent = fitted.coef_[0].tolist()
    return ActivityModel(intercept=float(fitted.intercept_[0]), whole=whole, recent=recent)


def count_active(problem: "Problem", cases: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the active readings in the windows of some cases, (len(cases), 2).

    First those of the whole window, then those of its last twentieth.
    """
    rule = problem.rule
    assert rule is not None
    rule, channel = rule.less(problem.offset, problem.channels), rule.watched(problem.channels)
    assert channel is not None
    counts = np.empty((len(cases), 2), np.int64)
    for start in range(0, len(cases), 1024):
        some = cases[start : start + 1024]
        active = problem.X[some][:, channel] > np.float32(rule.active_above)
        counts[start : start + len(some), 0] = active.sum(axis=1)
        counts[start : start + len(some), 1] = active[:, -recent(rule) :].sum(axis=1)
    return counts


def recent(rule: Rule) -> int:
    """Return the length of a window's last twentieth."""
    return max(1, rule.window // 20)


def add_chance(problem: "Problem", catalog: "Catalog", config: "EtasConfig") -> "Problem":
    """Add the true probability of each case to a problem, where the simulation knows it.

    It is the probability, given all that happened before, of an event in the target; and 0 where
    the rule lets no positive be, because the quiet stretch before the target holds an event by the
    end of the window. No model can rank the cases better, but by chance, as far as the rule's
    choice among the others has nothing to do with what a window holds.

    Parameters
    ----------
    problem
        Cut from the readings of the catalogue.
    catalog, config
        What was simulated, and how.
    """
    from foreshock.readings.etas import probability

    rule, readings = problem.rule, problem.readings
    assert rule is not None and readings is not None and problem.ends is not None
    source = readings.source
    if rule.lead and rule.quiet:
        logger.warning("Where quiet reaches over a lead, true probabilities are not known.")
        return problem
    if rule.event_above is None or rule.channel != "maximum" or source is None:
        return problem  # the simulation knows of other events
    event_above = max(rule.event_above, source.catalog.min_magnitude)
    chance = probability(
        catalog,
        config,
        problem.ends + readings.step,
        step=readings.step,
        lead=rule.lead,
        horizon=rule.horizon,
        event_above=event_above,
    )
    events = np.flatnonzero(rule.occurs(readings))
    last = readings.positions(problem.ends)
    first = last + 1 - rule.quiet
    disturbed = np.searchsorted(events, last, side="right") > np.searchsorted(events, first)
    chance[disturbed & (first <= last)] = 0
    return dataclasses.replace(problem, chance=chance.astype(np.float32))
