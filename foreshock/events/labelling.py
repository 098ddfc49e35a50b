"""What a rule makes of readings: which of them may be the targets of cases."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock.problems.rule import EVENT, OUTCOMES, Rule
from foreshock.readings.series import Readings

_BLOCK = 2**20
_CASE, _OVERLAP = OUTCOMES.index("case"), OUTCOMES.index("overlap")


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """The events of one unit, and the targets of which it is known whether they have any."""

    event: NDArray[np.bool_]
    """Whether each reading is an event, (n_timepoints or more,): a list may go on after the last
    reading."""

    latest: int
    """Position of the last reading that a target may begin with. Where an event is listed at the
    last reading or later, targets may reach beyond it."""

    listed: bool
    """Whether the events are listed, so that no gap in the readings hides one."""

    answers: NDArray[np.int16] | None = None
    """The state that is asked for, of the targets that begin at each reading (latest + 1,), -1
    where it is not known; None where events are asked for."""

    warned: tuple[int, ...] = ()
    """The states that count as events."""

    @property
    def size(self) -> int:
        """Readings up to the end of the last target."""
        return len(self.event)

    def n_candidates(self, rule: Rule) -> int:
        """Return how many targets there may be."""
        return max(0, self.latest // rule.stride + 1)


def history(readings: Readings, rule: Rule, listed: NDArray[np.int64] | None) -> History:
    """Return the events of one unit.

    Parameters
    ----------
    readings
        Of the unit.
    rule
        What an event is, where none are listed.
    listed
        Ascending positions of the events, perhaps after the last reading; None takes them from the
        rule.
    """
    n = readings.n_timepoints
    if listed is None:
        return History(event=rule.occurs(readings), latest=n - rule.horizon, listed=False)
    latest = n - rule.horizon
    if len(listed) and listed[-1] >= n - 1:  # the unit's fate is known
        latest = int(min(listed[-1], n + rule.lead))
    event = np.zeros(max(n, latest + rule.horizon), np.bool_)
    event[listed[(listed >= 0) & (listed < len(event))]] = True
    return History(event=event, latest=latest, listed=True)


@dataclass(frozen=True, eq=False)
class Listed:
    """Events that are listed, those of one unit after those of another."""

    times: NDArray[np.datetime64]
    """When each was, (n_events,), ascending in each unit."""

    unit: NDArray[np.int32] | None
    """Positions of their units, (n_events,), ascending; None where there is one."""


def asked(readings: Readings, rule: Rule, states: tuple[str, ...]) -> History:
    """Return the states of one unit, those that the rule names as events."""
    codes = rule.codes(readings, states)
    latest = readings.n_timepoints - rule.horizon
    warned = tuple(states.index(state) for state in rule.event_state)
    return History(
        event=np.isin(codes, warned),
        latest=latest,
        listed=False,
        answers=rule.answers(codes, max(0, latest + 1)),
        warned=warned,
    )


def history_of(
    readings: Readings,
    rule: Rule,
    listed: Listed | None,
    k: int,
    states: tuple[str, ...] = (),
) -> History:
    """Return the events of unit k of readings, by a list of all or else by the rule."""
    own = readings.unit(k)
    if states:
        return asked(own, rule, states)
    if listed is None:
        return history(own, rule, None)
    times = listed.times
    if listed.unit is not None:
        first, stop = np.searchsorted(listed.unit, [k, k + 1])
        times = times[first:stop]
    return history(own, rule, own.positions(times))


def judge(readings: Readings, rule: Rule, known: History) -> NDArray[np.uint8]:
    """Return the outcome of each possible target, before cases compete for readings.

    Parameters
    ----------
    readings
        What was measured of one unit.
    rule
        What becomes a case.
    known
        The unit's events.

    Returns
    -------
    ndarray
        Outcomes, (n_candidates,): `OUTCOMES` by position, plus `EVENT`. Candidate k's target
        starts at reading k * stride.
    """
    n_candidates = known.n_candidates(rule)
    outcomes = np.empty(n_candidates, np.uint8)
    before = max(rule.window + rule.lead, rule.quiet)
    for start, stop in blocks(n_candidates, rule.stride):
        target = np.arange(start, stop) * rule.stride
        low, high = max(0, int(target[0]) - before), int(target[-1]) + rule.horizon
        outcomes[start:stop] = _outcomes(rule, _Targets(readings, rule, known, target, low, high))
    return outcomes


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """What is known of targets one after the other, before and after their time."""

    targets: NDArray[np.int64]
    """Position of each target's first reading in its unit, (n,)."""

    usable: NDArray[np.bool_]
    """Whether enough of the window is there for a forecast, and the target's outcome is known."""

    outside: NDArray[np.bool_]
    """Whether the rule would make no case of the window, as `Rule.objections` says, which does not
    know of listed events."""

    event: NDArray[np.bool_]
    """Whether an event is in the target."""

    events: NDArray[np.int64]
    """Positions of the events in any of the targets, ascending."""


def survey(readings: Readings, rule: Rule, known: History, start: int, stop: int) -> Survey:
    """Return what is known of each target that lies, with its window, within some readings.

    Parameters
    ----------
    readings, rule, known
        As of `judge`.
    start, stop
        The first of the readings and the one after the last, perhaps after that of the unit.
    """
    first = -(-(start + rule.window + rule.lead) // rule.stride)
    last = min(stop - rule.horizon, known.latest) // rule.stride
    target = np.arange(first, max(first, last + 1)) * rule.stride
    low = max(0, start - rule.quiet)
    seen = _Targets(readings, rule, known, target, low, stop)
    disturbed = seen.within(seen.event, min(-rule.lead, -rule.quiet), -rule.lead) > 0
    events = np.flatnonzero(known.event[low:stop]) + low
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


def count_missed(rule: Rule, known: History) -> tuple[int, int]:
    """Count the events that no target reaches, where these do not cover all readings, and all."""
    found = np.flatnonzero(known.event)
    last = known.latest // rule.stride
    missed = (found % rule.stride >= rule.horizon) | (found // rule.stride > last)
    return int(missed.sum()), len(found)


def blocks(n_candidates: int, stride: int) -> Iterator[tuple[int, int]]:
    """Iterate over stretches of candidates that reach over about a million readings."""
    size = max(1, _BLOCK // stride)
    return ((start, min(start + size, n_candidates)) for start in range(0, n_candidates, size))


def _outcomes(rule: Rule, seen: "_Targets") -> NDArray[np.uint8]:
    """Judge targets by what the rule sees of them."""
    bound = seen.has_event | (rule.quiet_binds == "all")
    unseen = seen.within(seen.missing, -rule.quiet, 0)
    window = rule.lead + rule.window
    reasons = {
        "too early": (seen.target < window) | (bound & (seen.target < rule.quiet)),
        "gap in target": seen.unknown,
        "between": ~seen.has_event & ~seen.calm,
        "event before": bound & (seen.within(seen.event, -rule.quiet, 0) > 0),
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
        readings: Readings,
        rule: Rule,
        known: History,
        target: NDArray[np.int64],
        low: int,
        high: int,
    ) -> None:
        self.target, self.low = target, low
        rule, channels = rule.less(readings.offset, readings.channels), readings.channels
        values = readings.values[:, low:high]
        self.event = known.event[low:high]
        if known.listed:
            self.missing = np.zeros(values.shape[1], np.bool_)
        else:
            self.missing = rule.past(values, channels)[1]
        window = -rule.lead - rule.window, -rule.lead
        rows = [channels.index(name) for name in rule.inputs or channels]
        gaps = np.isnan(values if len(rows) == len(channels) else values[rows]).sum(axis=0)
        self.gap = self.within(gaps, *window) > rule.max_missing * rule.window * len(rows)
        self.has_event = self.within(self.event, 0, rule.horizon) > 0
        hidden = self.within(self.missing, 0, rule.horizon)
        self.unknown = ~self.has_event & (hidden > rule.max_missing_target * rule.horizon)
        if known.answers is not None:
            answer = known.answers[target]
            self.has_event, self.unknown = np.isin(answer, known.warned), answer < 0
        self.inactive = np.zeros(len(target), np.bool_)
        self.calm = np.ones(len(target), np.bool_)
        at = rule.watched(channels)
        if at is not None and rule.min_active:
            active = self.within(values[at] > np.float32(rule.active_above), *window)
            self.inactive = active < rule.min_active
        if at is not None and rule.calm_below is not None:
            restless = self.within(values[at] >= np.float32(rule.calm_below), 0, rule.horizon)
            self.calm = restless == 0

    def within(
        self, flags: NDArray[np.bool_ | np.int64], begin: int, end: int
    ) -> NDArray[np.int64]:
        """Count what has something, from so many readings after a target's first up to others."""
        if not flags.any():  # mostly, nothing is missing
            return np.zeros(len(self.target), np.int64)
        sums = np.zeros(len(flags) + 1, np.int64)
        np.cumsum(flags, out=sums[1:])
        # before the first reading, and after the last, there is nothing
        first = self.target - self.low
        return sums.take(first + end, mode="clip") - sums.take(first + begin, mode="clip")


def compete(outcomes: NDArray[np.uint8], rule: Rule, seed: int) -> None:
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
    positive: NDArray[np.bool_], rule: Rule, random: np.random.Generator
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
