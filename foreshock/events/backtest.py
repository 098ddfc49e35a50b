"""Forecast every target of a stretch of readings: what a model would have said, hour by hour."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import sample
from foreshock.events.alarms import Timeline
from foreshock.events.baselines import windows_at
from foreshock.events.blocks import blocks_of
from foreshock.events.labelling import Listed, Survey, history_of, survey
from foreshock.problems.problem import Problem
from foreshock.problems.rule import Rule
from foreshock.readings.series import Readings, Windows

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

    unit: NDArray[np.int64]
    """Position of each target's unit (n,)."""

    def arrays(self, problem: Problem) -> dict[str, NDArray[Any]]:
        """Return the forecasts that were made, a row for each: time, proba, event, outside, unit.

        The unit is by its name, and there where there are several.
        """
        readings = problem.readings
        assert readings is not None
        made, unit = self.survey.usable, self.unit
        targets = self.survey.targets + readings.bounds[unit]
        whose = {}
        if readings.units is not None:
            whose["unit"] = readings.units.names[unit[made]]
        return whose | {
            "time": readings.times(targets[made], unit[made]),
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
    found = _stretches(problem, cases)
    if found is None:
        return None
    rule, readings = problem.rule, problem.readings
    assert rule is not None and readings is not None
    if rule.ask == "next-state":  # a change may be any time ahead: no target to watch
        return None
    listed = None if problem.events is None else Listed(problem.events, problem.event_unit)
    states = problem.classes if rule.ask != "event" else ()
    each = [
        survey(readings.unit(k), rule, history_of(readings, rule, listed, k, states), start, stop)
        for k, start, stop in found
    ]
    sizes = [len(one.targets) for one in each]
    unit = np.repeat([k for k, _, _ in found], sizes)
    surveyed = Survey(
        **{name: np.concatenate([getattr(one, name) for one in each]) for name in _TARGETS},
        events=each[0].events,
    )
    usable = surveyed.usable
    logger.info("forecasting %s targets, one after the other", f"{int(usable.sum()):,}")
    proba = np.full(len(usable), np.nan, np.float32)
    last = readings.bounds[unit] + surveyed.targets - rule.lead - 1
    proba[usable] = forecasts(last[usable])
    lacking = usable & np.isnan(proba)
    if lacking.any():
        logger.warning(
            "%s of %s targets have no forecast: the model gives no probability there.",
            f"{int(lacking.sum()):,}",
            f"{int(usable.sum()):,}",
        )
        surveyed = replace(surveyed, usable=usable & ~lacking)
    at = readings.bounds[unit] + surveyed.targets
    start = readings.times(at, unit).min()
    stop = readings.times(at + rule.horizon, unit).max()
    admitted = last[surveyed.usable & ~surveyed.outside]
    blocks = None
    if len(admitted):
        blocks = blocks_of(windows_at(problem, admitted), np.arange(len(admitted)))
    return Backtest(
        surveyed,
        proba,
        replace(_timeline(surveyed, each, proba, rule, readings), blocks=blocks),
        (readings.tell(start), readings.tell(stop)),
        unit,
    )


def is_time(problem: Problem, cases: NDArray[np.int64]) -> bool:
    """Check whether some cases lie in a time of their own, in which there are readings."""
    return (
        problem.readings is not None and len(cases) > 0 and _stretches(problem, cases) is not None
    )


def as_cases(past: Backtest, problem: Problem) -> Problem:
    """Return the forecasts that were made as cases, a row for each as in `Backtest.arrays`.

    The last of two classes has an event.
    """
    rule, readings, made = problem.rule, problem.readings, past.survey.usable
    assert rule is not None and readings is not None
    last = (readings.bounds[past.unit] + past.survey.targets - rule.lead - 1)[made]
    windows = windows_at(problem, last)
    return replace(windows, y=past.survey.event[made].astype(np.int64))


_TARGETS = ("targets", "usable", "outside", "event")


def _timeline(
    surveyed: Survey,
    each: Sequence[Survey],
    proba: NDArray[np.float32],
    rule: Rule,
    readings: Readings,
) -> Timeline:
    """Put the targets of units one after the other, so far apart that none reaches the next."""
    admitted = surveyed.usable & ~surveyed.outside
    targets, events, begin = [], [], 0
    for one in each:
        own = one.targets
        first = int(own[0]) if len(own) else 0
        targets.append(own - first + begin)
        events.append(one.events - first + begin)
        if len(each) == 1:
            targets, events = [own], [one.events]
        elif len(own):
            begin += int(own[-1]) - first + 2 * (rule.stretch + rule.stride)
    whole, happened = np.concatenate(targets)[admitted], np.concatenate(events)
    at = np.searchsorted(whole, happened, side="right") - 1  # the last target before each
    reached = at >= 0
    reached[reached] &= happened[reached] < whole[at[reached]] + rule.horizon
    return Timeline(
        targets=whole,
        proba=proba[admitted],
        events=happened[reached],
        stride=rule.stride,
        horizon=rule.horizon,
        lead=rule.lead,
        step=readings.step,
        counted=readings.counted,
        units=None if readings.units is None else len(each),
    )


def _stretches(problem: Problem, cases: NDArray[np.int64]) -> list[tuple[int, int, int]] | None:
    """Return of each unit the first reading of some cases and the end of their last.

    None where others lie between them. Of very many targets, the latest of a single unit, or those
    of units that lie evenly among all.
    """
    rule, readings = problem.rule, problem.readings
    assert rule is not None and readings is not None and isinstance(problem.X, Windows)
    last = problem.X.last(cases)
    whose = readings.unit_at(last)
    units, begins = np.unique(whose, return_index=True)
    if np.diff(cases, prepend=cases[0] - 1).max() > 1:  # cases are in order of units and of time
        breaks = np.flatnonzero(np.diff(cases) > 1) + 1
        if not np.isin(breaks, begins).all():
            return None
    ends = np.append(begins[1:], len(last)) - 1
    found = []
    for k, begin, end in zip(units.tolist(), begins.tolist(), ends.tolist(), strict=True):
        origin = int(readings.bounds[k])
        first, final = int(last[begin]) - origin, int(last[end]) - origin
        stop = final + 1 + rule.lead + rule.horizon
        found.append((k, first + 1 - rule.window, stop))
    sizes = [max(1, (stop - start - rule.stretch) // rule.stride + 1) for _, start, stop in found]
    if len(found) == 1:
        k, start, stop = found[0]
        return [(k, max(start, stop - rule.stretch - (MOST - 1) * rule.stride), stop)]
    if sum(sizes) > MOST:
        chosen = sample(len(found), max(1, len(found) * MOST // sum(sizes)))
        logger.info("%d of %d units are forecast.", len(chosen), len(found))
        found = [found[k] for k in chosen.tolist()]
    return found
