"""Forecast every target of a stretch of readings: what a model would have said, hour by hour."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._time import format_time
from foreshock.events.alarms import Timeline
from foreshock.events.baselines import windows_at
from foreshock.events.labelling import Survey, survey
from foreshock.problems.problem import Problem
from foreshock.problems.rule import EventRule

logger = logging.getLogger(__name__)

MOST = 200_000
"""Most targets that are forecast: the latest."""
Forecasts = Callable[[NDArray[np.int64]], NDArray[np.floating]]
"""Gives the probability of an event (n,) for windows that end with the readings at (n,)."""


@dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts of all targets of a stretch, and what happened."""

    survey: Survey
    """What is known of the targets."""

    proba: NDArray[np.float32]
    """Probability of an event in each (n,), NaN where there was no forecast."""

    timeline: Timeline
    """Those whose windows the rule admits."""

    span: tuple[str, str]
    """When the first target begins and the last ends."""

    def arrays(self, problem: Problem) -> dict[str, NDArray[Any]]:
        """Return the forecasts that were made, a row for each: time, proba, event, outside."""
        readings = problem.readings
        assert readings is not None
        made = self.survey.usable
        return {
            "time": readings.times(self.survey.targets[made]),
            "proba": self.proba[made],
            "event": self.survey.event[made],
            "outside": self.survey.outside[made],
        }


def backtest(problem: Problem, cases: NDArray[np.int64], forecasts: Forecasts) -> Backtest | None:
    """Forecast all targets of the time in which some cases lie.

    Parameters
    ----------
    problem
        A problem that is cut from readings.
    cases
        Positions of the cases of a part or a fold that is a stretch of time.
    forecasts
        What forecasts.

    Returns
    -------
    Backtest or None
        None where other cases lie in that time.
    """
    found = _stretch(problem, cases)
    if found is None:
        return None
    rule, readings = problem.rule, problem.readings
    assert rule is not None and readings is not None
    known = None if problem.events is None else readings.positions(problem.events)
    surveyed = survey(readings, rule, known, *found)
    usable = surveyed.usable
    logger.info("forecasting %s targets, one after the other", f"{int(usable.sum()):,}")
    proba = np.full(len(usable), np.nan, np.float32)
    proba[usable] = forecasts(surveyed.targets[usable] - rule.lead - 1)
    lacking = usable & np.isnan(proba)
    if lacking.any():
        logger.warning(
            "%s of %s targets have no forecast: the model gives no probability there.",
            f"{int(lacking.sum()):,}",
            f"{int(usable.sum()):,}",
        )
        surveyed = replace(surveyed, usable=usable & ~lacking)
    start = readings.times(surveyed.targets[0])
    stop = readings.times(surveyed.targets[-1] + rule.horizon)
    return Backtest(
        surveyed,
        proba,
        _timeline(surveyed, proba, rule, readings.step),
        (format_time(start), format_time(stop)),
    )


def is_time(problem: Problem, cases: NDArray[np.int64]) -> bool:
    """Check whether some cases lie in a time of their own, in which there are readings."""
    return problem.readings is not None and len(cases) > 0 and _stretch(problem, cases) is not None


def as_cases(past: Backtest, problem: Problem) -> Problem:
    """Return the forecasts that were made as cases, a row for each as in `Backtest.arrays`.

    The last of two classes has an event.
    """
    rule, made = problem.rule, past.survey.usable
    assert rule is not None
    windows = windows_at(problem, past.survey.targets[made] - rule.lead - 1)
    return replace(windows, y=past.survey.event[made].astype(np.int64))


def _timeline(
    surveyed: Survey, proba: NDArray[np.float32], rule: EventRule, step: np.timedelta64
) -> Timeline:
    admitted = surveyed.usable & ~surveyed.outside
    targets = surveyed.targets[admitted]
    at = np.searchsorted(targets, surveyed.events, side="right") - 1  # the last target before each
    reached = at >= 0
    reached[reached] &= surveyed.events[reached] < targets[at[reached]] + rule.horizon
    return Timeline(
        targets=targets,
        proba=proba[admitted],
        events=surveyed.events[reached],
        stride=rule.stride,
        horizon=rule.horizon,
        lead=rule.lead,
        step=step,
    )


def _stretch(problem: Problem, cases: NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first reading of some cases and the end of their last, if no others lie there."""
    rule, readings = problem.rule, problem.readings
    assert rule is not None and readings is not None and problem.ends is not None
    last = readings.positions(problem.ends[cases])
    first, final = int(last.min()), int(last.max())
    ends = problem.ends  # ascending, as `cut` makes them
    begin = np.searchsorted(ends, readings.times(first))
    end = np.searchsorted(ends, readings.times(final), side="right")
    if end - begin > len(cases):
        return None
    stop = final + 1 + rule.lead + rule.horizon
    start = max(first + 1 - rule.window, stop - rule.stretch - (MOST - 1) * rule.stride)
    return start, stop
