"""From readings to a labelled early-warning problem: cut windows, divide them, account for all."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock._arrays import count_codes, is_masked
from foreshock._time import format_time
from foreshock.events.labelling import blocks, count_missed, judge
from foreshock.events.partition import (
    PartsConfig,
    Region,
    candidates_of,
    draw_parts,
    embargo_of,
    folds_of,
    regions_of,
    settle,
)
from foreshock.problems import PARTS, store
from foreshock.problems import problem as problems
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.rule import EVENT, OUTCOMES, Candidates, EventRule, explain
from foreshock.readings.series import Readings, Windows

logger = logging.getLogger(__name__)

CLASSES = ("no", "yes")
LISTED = 10**6
"""Most candidates that are all listed."""
DEFAULT_RULE, DEFAULT_PARTS = EventRule(), PartsConfig()
_CASE = OUTCOMES.index("case")
Allocate = Callable[[str, tuple[int, ...], str], NDArray[Any]]


def cut(
    readings: Readings,
    rule: EventRule = DEFAULT_RULE,
    parts: PartsConfig = DEFAULT_PARTS,
    *,
    events: ArrayLike | None = None,
    name: str = "readings",
    folder: str | Path | None = None,
) -> Problem:
    """Cut readings into the cases of a problem that asks whether an event is about to happen.

    Parameters
    ----------
    readings
        What was measured.
    rule
        What an event is, and what becomes a case.
    parts
        How the cases are divided.
    events
        Times of the events, `datetime64` or what makes it, such as those of a log of failures,
        instead of the rule's threshold; its `event_above` and `calm_below` are then not used.
    name
        Name of the problem.
    folder
        A new folder to put the problem into; its arrays are memory-mapped, so that they may be
        larger than memory. Without it they are in memory.

    Returns
    -------
    Problem
        Of the classes no and yes, in the order of time. `X` are windows over the readings, not
        copies; `candidates` says of each possible case what became of it.

    Raises
    ------
    ValueError
        There are no events, or a part or fold would lack a class; with what to change.
    """
    if is_masked(events):
        raise ValueError("some of the events are masked: leave them out.")
    rule, marks = _resolve(readings, rule, events)
    if rule.stride > rule.horizon:
        missed, total = count_missed(readings, rule, marks)
        logger.warning(
            "%d of %d events lie between targets, which stand %d readings apart and reach %d.",
            missed, total, rule.stride, rule.horizon,
        )  # fmt: skip
    embargo = embargo_of(rule, parts)
    outcomes = judge(readings, rule, marks)
    regions = regions_of(readings, rule, parts)
    for region in regions:
        settle(outcomes, rule, region, embargo)
    _check_classes(outcomes, rule, readings, regions)
    place = nullcontext(None) if folder is None else store.building(Path(folder))
    with place as builder:
        allocate = _in_memory if builder is None else builder.allocate
        problem = _gather(readings, rule, outcomes, regions, allocate, name)
        if parts.order == "random":
            problem = draw_parts(problem, parts)
        elif folds := folds_of(problem, parts, embargo):
            fold = allocate("fold", (problem.n_cases,), "uint8")
            fold[:] = NO_FOLD
            for code, (start, stop) in enumerate(folds):
                fold[start:stop] = code
            problem = replace(problem, fold=fold)
        if marks is not None:
            problem = replace(problem, events=readings.times(marks))
        if builder is not None:
            builder.finish(*problems.to_store(problem))
    return problem if folder is None else problems.load(folder)


def rankings(problem: Problem, cases: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return what else the cases of a problem may be ranked by, if a simulation knows it."""
    return {} if problem.chance is None else {"true probability": problem.chance[cases]}


def _resolve(
    readings: Readings, rule: EventRule, events: ArrayLike | None
) -> tuple[EventRule, NDArray[np.int64] | None]:
    """Return the rule with a channel's name, and the positions of listed events."""
    channel = readings.channels[0] if rule.channel is None else rule.channel
    if channel not in readings.channels:
        raise ValueError(
            f"there is no channel {channel!r}; the channels are {', '.join(readings.channels)}."
        )
    rule = replace(rule, channel=channel)
    least = max(rule.window + rule.lead, rule.quiet) + rule.horizon
    if readings.n_timepoints < least:
        raise ValueError(
            f"a case and the quiet stretch before it need {least} readings, got"
            f" {readings.n_timepoints}: give more readings or a shorter window."
        )
    if events is None:
        if rule.event_above is None:
            raise ValueError("the rule has no event_above: set it, or give a list of events.")
        return rule, None
    times = np.asarray(events, dtype="datetime64[us]")
    if np.isnat(times).any():
        raise ValueError(f"event {int(np.isnat(times).argmax())} has no time; leave it out.")
    positions = readings.positions(times)
    inside = positions[(positions >= 0) & (positions < readings.n_timepoints)]
    if not len(inside):
        last = readings.times(readings.n_timepoints - 1)
        raise ValueError(
            f"none of the {len(times)} listed events lies within the readings,"
            f" {format_time(readings.start)} to {format_time(last)}."
        )
    if len(inside) < len(positions):
        logger.warning(
            "%d of the listed events lie outside the readings.", len(positions) - len(inside)
        )
    return replace(rule, event_above=None, calm_below=None), np.unique(inside)


def _check_classes(
    outcomes: NDArray[np.uint8],
    rule: EventRule,
    readings: Readings,
    regions: list[Region],
) -> None:
    """Refuse a part that lacks a class, saying what became of its cases."""
    for region in regions:
        counts = _count(candidates_of(outcomes, rule, region))
        positives, negatives = counts["case"]
        if positives and negatives:
            continue
        which = 1 if positives else 0
        rejected = {k: n[which] for k, n in counts.items() if k != "case" and n[which]}
        span = f"{format_time(readings.times(region.start))} to " + format_time(
            readings.times(region.stop - 1)
        )
        where = f"the {region.part} part ({span})" if len(regions) > 1 else f"the problem ({span})"
        if not rejected:
            what = (
                f"no reading of {rule.channel!r} there is at least {rule.event_above:g}: lower"
                " event_above, or use another share of the time"
                if not which and rule.event_above is not None
                else "there is none: use another share of the time"
            )
        else:
            listed = ", ".join(f"{n:,} {explain(k, rule)}" for k, n in rejected.items())
            what = f"rejected: {listed}; loosen the rule, or use another share of the time"
        raise ValueError(f"{where} has no case {'without' if which else 'with'} an event; {what}.")


def _count(outcomes: NDArray[np.uint8]) -> dict[str, tuple[int, int]]:
    """Count outcomes, with an event and without."""
    counts = count_codes(outcomes, 256)
    return {
        name: (int(counts[code + EVENT]), int(counts[code])) for code, name in enumerate(OUTCOMES)
    }


def _in_memory(name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return np.empty(shape, dtype)


def _gather(
    readings: Readings,
    rule: EventRule,
    outcomes: NDArray[np.uint8],
    regions: list[Region],
    allocate: Allocate,
    name: str,
) -> Problem:
    """Make the problem of the candidates that became cases."""
    counts = _count(outcomes)
    n_cases = sum(counts["case"])
    ends = allocate("ends", (n_cases,), "datetime64[us]")
    y = allocate("y", (n_cases,), "int64")
    part = allocate("part", (n_cases,), "uint8")
    bounds = np.array([region.stop for region in regions])
    codes = np.array([PARTS.index(region.part) for region in regions], np.uint8)
    filled = 0
    for start, stop in blocks(len(outcomes), rule.stride):
        found = np.flatnonzero(outcomes[start:stop] & (EVENT - 1) == _CASE)
        target = (found + start) * rule.stride
        here = slice(filled, filled + len(found))
        ends[here] = readings.times(target - rule.lead - 1)
        y[here] = outcomes[start:stop][found] >= EVENT
        part[here] = codes[np.searchsorted(bounds, target, side="right")]
        filled += len(found)
    listed = (
        np.arange(len(outcomes))
        if len(outcomes) <= LISTED
        else np.flatnonzero((outcomes >= EVENT) & (outcomes != _CASE + EVENT))
    )
    return Problem(
        name=name,
        X=Windows(readings, ends, rule.window),
        y=y,
        part=part,
        classes=CLASSES,
        channels=readings.channels,
        ends=ends,
        rule=rule,
        candidates=Candidates(
            times=readings.times(listed * rule.stride), outcomes=outcomes[listed], counts=counts
        ),
    )
