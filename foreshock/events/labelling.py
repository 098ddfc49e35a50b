"""What a rule makes of readings: which of them may be the targets of cases."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock.problems.rule import EVENT, OUTCOMES, EventRule
from foreshock.readings.series import Readings

_BLOCK = 2**20
_CASE, _OVERLAP = OUTCOMES.index("case"), OUTCOMES.index("overlap")


def judge(
    readings: Readings, rule: EventRule, events: NDArray[np.int64] | None
) -> NDArray[np.uint8]:
    """Return the outcome of each possible target, before cases compete for readings.

    Parameters
    ----------
    readings
        What was measured.
    rule
        With the name of a channel.
    events
        Ascending positions of the readings that are events; None takes them from the rule.

    Returns
    -------
    ndarray
        Outcomes, (n_candidates,): `OUTCOMES` by position, plus `EVENT`. Candidate k's target
        starts at reading k * stride.
    """
    rule = rule.less(readings.offset, readings.channels)
    n_candidates = max(0, (readings.n_timepoints - rule.horizon) // rule.stride + 1)
    outcomes = np.empty(n_candidates, np.uint8)
    before = max(rule.window + rule.lead, rule.quiet)
    for start, stop in blocks(n_candidates, rule.stride):
        target = np.arange(start, stop) * rule.stride
        low, high = max(0, int(target[0]) - before), int(target[-1]) + rule.horizon
        values = readings.values[:, low:high]
        watched = values[rule.watched(readings.channels)]
        if events is None:
            assert rule.event_above is not None
            event = watched >= np.float32(rule.event_above)
        else:
            event = np.zeros(high - low, np.bool_)
            event[events[np.searchsorted(events, low) : np.searchsorted(events, high)] - low] = True
        outcomes[start:stop] = _outcomes(rule, values, watched, event, target, low)
    return outcomes


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """What is known of targets one after the other, before and after their time."""

    targets: NDArray[np.int64]
    """Position of each target's first reading, (n,)."""

    usable: NDArray[np.bool_]
    """Whether enough of the window is there for a forecast, and the target's outcome is known."""

    outside: NDArray[np.bool_]
    """Whether the rule would make no case of the window, as `EventRule.objections` says, which
    does not know of listed events."""

    event: NDArray[np.bool_]
    """Whether an event is in the target."""

    events: NDArray[np.int64]
    """Positions of the events in any of the targets, ascending."""


def survey(
    readings: Readings, rule: EventRule, events: NDArray[np.int64] | None, start: int, stop: int
) -> Survey:
    """Return what is known of each target that lies, with its window, within some readings.

    Parameters
    ----------
    readings, rule, events
        As of `judge`.
    start, stop
        The first of the readings and the one after the last.
    """
    rule = rule.less(readings.offset, readings.channels)
    first = -(-(start + rule.window + rule.lead) // rule.stride)
    last = (stop - rule.horizon) // rule.stride
    target = np.arange(first, max(first, last + 1)) * rule.stride
    low = max(0, start - rule.quiet)
    values = readings.values[:, low:stop]
    watched = values[rule.watched(readings.channels)]
    if events is None:
        assert rule.event_above is not None
        events = np.flatnonzero(watched >= np.float32(rule.event_above)) + low
    event = np.zeros(len(watched), np.bool_)
    event[events[(events >= low) & (events < stop)] - low] = True

    seen = _Targets(rule, values, watched, event, target, low)
    disturbed = seen.within(event, min(-rule.lead, -rule.quiet), -rule.lead) > 0
    reached = (
        events[(events >= target[0]) & (events < target[-1] + rule.horizon)]
        if len(target)
        else events[:0]
    )
    return Survey(
        targets=target,
        usable=~seen.gap & ~seen.unknown,
        outside=seen.inactive | disturbed,
        event=seen.has_event,
        events=reached[reached % rule.stride < rule.horizon],
    )


def count_missed(
    readings: Readings, rule: EventRule, events: NDArray[np.int64] | None
) -> tuple[int, int]:
    """Count the events that no target reaches, where these do not cover all readings, and all."""
    missed = total = 0
    rule = rule.less(readings.offset, readings.channels)
    channel = rule.watched(readings.channels)
    last = (readings.n_timepoints - rule.horizon) // rule.stride
    for start, block in readings.blocks():
        if events is None:
            assert rule.event_above is not None
            found = np.flatnonzero(block[channel] >= np.float32(rule.event_above)) + start
        else:
            found = events[(events >= start) & (events < start + block.shape[1])]
        total += len(found)
        missed += int(((found % rule.stride >= rule.horizon) | (found // rule.stride > last)).sum())
    return missed, total


def blocks(n_candidates: int, stride: int) -> Iterator[tuple[int, int]]:
    """Iterate over stretches of candidates that reach over about a million readings."""
    size = max(1, _BLOCK // stride)
    return ((start, min(start + size, n_candidates)) for start in range(0, n_candidates, size))


def _outcomes(
    rule: EventRule,
    values: NDArray[np.float32],
    watched: NDArray[np.float32],
    event: NDArray[np.bool_],
    target: NDArray[np.int64],
    low: int,
) -> NDArray[np.uint8]:
    """Judge targets by values (n_channels, n), of which the first is reading `low`."""
    seen = _Targets(rule, values, watched, event, target, low)
    bound = seen.has_event | (rule.quiet_binds == "all")
    unseen = seen.within(np.isnan(watched), -rule.quiet, 0)
    calm = np.ones(len(target), np.bool_)
    if rule.calm_below is not None:
        calm = seen.within(watched >= np.float32(rule.calm_below), 0, rule.horizon) == 0
    window = rule.lead + rule.window
    reasons = {
        "too early": (target < window) | (bound & (target < rule.quiet)),
        "gap in target": seen.unknown,
        "between": ~seen.has_event & ~calm,
        "event before": bound & (seen.within(event, -rule.quiet, 0) > 0),
        "gap": seen.gap | (bound & (unseen > rule.max_missing * rule.quiet)),
        "inactive": seen.inactive,
    }
    codes = [OUTCOMES.index(reason) for reason in reasons]
    outcomes = np.select(list(reasons.values()), codes, _CASE).astype(np.uint8)
    return outcomes + seen.has_event * np.uint8(EVENT)


class _Targets:
    """What a rule sees of targets and of the windows before them, each (n_targets,)."""

    def __init__(
        self,
        rule: EventRule,
        values: NDArray[np.float32],
        watched: NDArray[np.float32],
        event: NDArray[np.bool_],
        target: NDArray[np.int64],
        low: int,
    ) -> None:
        self.target, self.low = target, low
        window = -rule.lead - rule.window, -rule.lead
        missing = self.within(np.isnan(values).sum(axis=0), *window)
        active = self.within(watched > np.float32(rule.active_above), *window)
        self.has_event = self.within(event, 0, rule.horizon) > 0
        self.unknown = ~self.has_event & (self.within(np.isnan(watched), 0, rule.horizon) > 0)
        self.gap = missing > rule.max_missing * rule.window * len(values)
        self.inactive = active < rule.min_active

    def within(
        self, flags: NDArray[np.bool_ | np.int64], begin: int, end: int
    ) -> NDArray[np.int64]:
        """Count what has something, from so many readings after a target's first up to others."""
        sums = np.zeros(len(flags) + 1, np.int64)
        np.cumsum(flags, out=sums[1:])
        # before the first reading there is nothing
        start, stop = (sums[np.clip(self.target + at - self.low, 0, None)] for at in (begin, end))
        return stop - start


def compete(outcomes: NDArray[np.uint8], rule: EventRule, seed: int) -> None:
    """Resolve the competition of candidates for readings; the losers overlap.

    Parameters
    ----------
    outcomes
        Outcomes of consecutive candidates, (n,), changed in place.
    rule
        Who comes first.
    seed
        Seed of the random order.
    """
    apart = math.ceil(rule.stretch / rule.stride)  # candidates between cases that share nothing
    random = np.random.default_rng(seed)
    positive, negative = outcomes == _CASE + EVENT, outcomes == _CASE
    chosen: list[int] = []
    if rule.compete == "positives-first":
        _take(_event_by_event(positive, rule, random), positive, apart, chosen)
        for k in chosen:
            negative[max(0, k - apart + 1) : k + apart] = False
        _take(random.permutation(np.flatnonzero(negative)), negative, apart, chosen)
    elif rule.compete == "chronological":
        chosen = _in_order(positive | negative, apart)
    else:
        free = positive | negative
        _take(random.permutation(np.flatnonzero(free)), free, apart, chosen)
    losers = (outcomes & (EVENT - 1)) == _CASE
    losers[chosen] = False
    outcomes[losers] += np.uint8(_OVERLAP - _CASE)


def _event_by_event(
    positive: NDArray[np.bool_], rule: EventRule, random: np.random.Generator
) -> NDArray[np.int64]:
    """Order positives by time, but those of one event, as long targets make them, at random.

    Were the earliest always the first, the event would always be at the end of the target.
    """
    at = np.flatnonzero(positive)
    run_starts = np.diff(at, prepend=-2) > 1
    position = at - at[run_starts][np.cumsum(run_starts) - 1]  # in the run of positives
    starts = run_starts | (position % math.ceil(rule.horizon / rule.stride) == 0)
    order: NDArray[np.int64] = at[np.lexsort([random.random(len(at)), np.cumsum(starts)])]
    return order


def _take(order: NDArray[np.int64], free: NDArray[np.bool_], apart: int, chosen: list[int]) -> None:
    """Add to the chosen what is still free, in an order."""
    for start in range(0, len(order), 4096):
        some = order[start : start + 4096]
        for k in some[free[some]].tolist():
            if free[k]:
                chosen.append(k)
                free[max(0, k - apart + 1) : k + apart] = False


def _in_order(free: NDArray[np.bool_], apart: int) -> list[int]:
    chosen = []
    k = 0
    while k < len(free):
        k += int(free[k:].argmax())  # stops at the first that is free
        if not free[k]:
            break
        chosen.append(k)
        k += apart
    return chosen
