"""When to raise an alarm, and what comes of it: thresholds, and alarms counted over all of a time.

An alarm says that an event is in the target of a forecast, and stands until that has passed; if
forecasts are then still as high, it is another. So a model that always warns raises as many alarms
as there are targets, one after the other. A probability that is no number (NaN) is no forecast: it
raises no alarm and ends none, and its target counts as one that nobody watched.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.events.episodes import (
    EpisodeConfig,
    Episodes,
    describe_episodes,
    match,
    spans_of,
)
from foreshock.metrics.intervals import Estimate, share_by_blocks

_THRESHOLDS = 200
EPISODES = EpisodeConfig()
YEAR = np.timedelta64(int(365.25 * 86400), "s")


@dataclass(frozen=True, kw_only=True)
class AlarmConfig:
    """How to choose the threshold of alarms: by one of the three, or not at all.

    It is chosen by cases that were not trained on: a valid part, or those of several members.
    """

    cost: float | None = None
    """False alarms that one missed event costs as much as: take the threshold of lowest cost."""

    budget: float | None = None
    """False alarms allowed per year, or per 1,000 readings where these are numbered: take the
    lowest threshold that causes no more."""

    recall: float | None = None
    """Share of events to warn of: take the highest threshold that reaches it."""

    def __post_init__(self) -> None:
        given = [name for name in ("cost", "budget", "recall") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"give one of --alarm.cost, --alarm.budget and --alarm.recall, not"
                f" {' and '.join(given)}."
            )
        for name in ("cost", "budget"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"{name} must be above 0, got {value}.")
        if self.recall is not None and not 0 < self.recall <= 1:
            raise ValueError(f"recall must be above 0 and at most 1, got {self.recall}.")

    @property
    def policy(self) -> str | None:
        """Return by what rule the threshold is chosen; None where none is."""
        if self.cost is not None:
            return f"least cost, a missed event costing as much as {self.cost:g} false alarms"
        if self.budget is not None:
            return f"at most {self.budget:g} false alarms per year"
        if self.recall is not None:
            return f"a warning of at least {self.recall:.0%} of the events"
        return None


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """Forecasts of targets one after the other, and what happened.

    Only those whose windows the rule admits, and of which all is known.
    """

    targets: NDArray[np.int64]
    """Position of each target's first reading, (n,), ascending."""

    proba: NDArray[np.floating]
    """Probability of an event in it, (n,)."""

    events: NDArray[np.int64]
    """Positions of the events that are in any of the targets, ascending."""

    stride: int
    """Readings from one possible target to the next."""

    horizon: int
    """Readings of a target."""

    lead: int
    """Readings between a window and its target."""

    step: np.timedelta64 | None
    """Time from one reading to the next; None where the targets are cases that have none."""

    counted: bool = False
    """Whether readings are numbered, and the step is of no clock."""

    units: int | None = None
    """Units that were watched, where there are several."""

    blocks: NDArray[np.int64] | None = None
    """Block of each target, (n,), of those that share readings; None where none do."""

    def __post_init__(self) -> None:
        if np.isnan(self.proba).any():
            raise ValueError("proba contains NaN: leave out the targets without a forecast.")

    @property
    def years(self) -> float | None:
        """Time watched, in years; in thousands of readings where these are numbered."""
        if self.step is None:
            return None
        return self.watched("1,000 readings" if self.counted else "year")

    @property
    def per(self) -> str:
        """What alarms are counted by: the year, or for less than a tenth of one the day or hour."""
        if self.counted:
            return "1,000 readings"
        return next((of for of in ("year", "day") if self.watched(of) >= 0.1), "hour")

    def watched(self, of: str) -> float:
        """Return the time watched in years, days, hours or thousands of readings."""
        assert self.step is not None
        readings = len(self.targets) * self.stride
        if of == "1,000 readings":
            return readings / 1000
        return float(readings * (self.step / np.timedelta64(1, "us")) / _LENGTHS[of])


_LENGTHS = {
    of: length / np.timedelta64(1, "us")
    for of, length in (
        ("year", YEAR), ("day", np.timedelta64(1, "D")), ("hour", np.timedelta64(1, "h"))
    )
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """What comes of raising alarms at a threshold."""

    threshold: float
    """Least probability that raises an alarm."""

    alarms: int
    """Alarms raised."""

    false_alarms: int
    """Those with no event in their target."""

    warned: int
    """Events in the target of an alarm."""

    leads: tuple[int, ...]
    """For each event that was warned of, readings from the end of the window that the first of the
    alarms was for that led up to it without a break; so the rule's lead at least."""


def raise_alarms(timeline: Timeline, threshold: float) -> Alarms:
    """Count what comes of raising an alarm at each forecast of at least a threshold."""
    raised, hit, warned = _outcomes(timeline, threshold)
    last = np.searchsorted(raised, timeline.events[warned], side="right") - 1
    # to the next after one has passed
    longest = -(-timeline.horizon // timeline.stride) * timeline.stride
    breaks = np.diff(raised, prepend=-longest - 1) > longest
    begun = raised[breaks][np.cumsum(breaks)[last] - 1] if len(last) else raised[:0]
    return Alarms(
        threshold=threshold,
        alarms=len(raised),
        false_alarms=int((~hit).sum()),
        warned=int(warned.sum()),
        leads=tuple((timeline.events[warned] - begun + timeline.lead).tolist()),
    )


def _outcomes(
    timeline: Timeline, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where alarms are raised, whether each has an event, and which events are warned of."""
    raised = timeline.targets[timeline.proba >= threshold]
    if timeline.horizon > timeline.stride:
        raised = raised[_apart(raised, timeline.horizon)]
    first = np.searchsorted(timeline.events, raised)
    hit = np.searchsorted(timeline.events, raised + timeline.horizon) > first
    last = np.searchsorted(raised, timeline.events, side="right") - 1  # the last alarm before each
    warned = last >= 0
    warned[warned] &= timeline.events[warned] < raised[last[warned]] + timeline.horizon
    return raised, hit, warned


def _apart(raised: NDArray[np.int64], horizon: int) -> list[int]:
    """Return the alarms that are left where none begins before the one before it has passed."""
    following = np.searchsorted(raised, raised + horizon).tolist()
    kept, k = [], 0
    while k < len(raised):
        kept.append(k)
        k = following[k]
    return kept


def curve(timelines: Sequence[Timeline]) -> list[list[Alarms]]:
    """Count alarms at falling thresholds, of each stretch that was watched.

    The thresholds are the probabilities there are. Of many, they are those at which another event
    is warned of, and some in between.
    """
    proba = np.concatenate([timeline.proba for timeline in timelines])
    if not len(proba):
        return []
    between = np.unique(proba)
    if len(between) > _THRESHOLDS // 2:
        shares = np.geomspace(1 / len(proba), 1, _THRESHOLDS // 2)
        between = np.quantile(proba, 1 - shares, method="higher")
    peaks = [timeline.proba[span].max() for timeline in timelines for span in _reaching(timeline)]
    if len(peaks) > _THRESHOLDS // 2:
        peaks = list(np.quantile(peaks, np.linspace(0, 1, _THRESHOLDS // 2), method="nearest"))
    thresholds = np.unique(np.concatenate([between, np.array(peaks, proba.dtype)]))[::-1]
    return [[raise_alarms(timeline, float(t)) for timeline in timelines] for t in thresholds]


def _reaching(timeline: Timeline) -> list[slice]:
    """Return for each event the targets that it is in."""
    first = np.searchsorted(timeline.targets, timeline.events - timeline.horizon, side="right")
    last = np.searchsorted(timeline.targets, timeline.events, side="right")
    return [slice(*ends) for ends in zip(first.tolist(), last.tolist(), strict=True)]


def choose(timelines: Sequence[Timeline], config: AlarmConfig) -> float | None:
    """Choose the threshold that a configuration asks for; None if it asks for none.

    It is one of those of `curve`, or above all probabilities where it is best to raise no alarm.

    Parameters
    ----------
    timelines : sequence of Timeline
        Forecasts of times, or cases, that the model in question was not trained on.
    config : AlarmConfig
        By what to choose.

    Raises
    ------
    ValueError
        No threshold does what is asked, or there is nothing to choose by.
    """
    if config.policy is None:
        return None
    events = sum(len(timeline.events) for timeline in timelines)
    if not events:
        raise ValueError(
            "cannot choose a threshold: there is no event in the data that the model was not"
            " trained on."
        )
    points = curve(timelines)
    false = np.array([sum(a.false_alarms for a in point) for point in points])
    warned = np.array([sum(a.warned for a in point) for point in points])
    if config.cost is not None:
        costs = config.cost * (events - warned) + false
        best = int(costs.argmin()) if costs.min() <= config.cost * events else -1
    elif config.recall is not None:
        enough = warned >= config.recall * events - 1e-9
        if not enough.any():  # alarms that stand keep others, of targets before a gap, from rising
            raise ValueError(
                f"no threshold warns of {config.recall:.0%} of the {events} events, the best warns"
                f" of {warned.max()}: lower --alarm.recall."
            )
        best = int(enough.argmax())
    else:
        spans = [timeline.years for timeline in timelines]
        if None in spans:
            raise ValueError(
                "--alarm.budget needs a problem cut from readings: use --alarm.cost or"
                " --alarm.recall."
            )
        assert config.budget is not None
        over = false > config.budget * sum(span or 0.0 for span in spans)
        best = (int(over.argmax()) if over.any() else len(points)) - 1
    if best < 0:
        return float(np.nextafter(np.float32(points[0][0].threshold), np.float32(2)))
    return points[best][0].threshold


def describe(
    timeline: Timeline, threshold: float, policy: str, episodes: EpisodeConfig = EPISODES
) -> dict[str, Any]:
    """Return the alarms of a threshold, and of others, as JSON; for one stretch of time."""
    found = raise_alarms(timeline, threshold)
    per, events = timeline.per, len(timeline.events)
    span = timeline.watched(per)
    assert timeline.step is not None
    unit = np.timedelta64(1, "s" if timeline.counted else "h")
    leads = np.array(found.leads) * (timeline.step / unit)
    raised, hit, warned = _outcomes(timeline, threshold)
    return {
        "threshold": threshold,
        "policy": policy,
        "per": per,
        "span": span,
        "units": timeline.units,
        "events": events,
        "warned": found.warned,
        "recall": _share(timeline, warned, timeline.events),
        "alarms": found.alarms,
        "false_alarms": found.false_alarms,
        "precision": _share(timeline, hit, raised),
        "alarm_rate": found.alarms / span if span else 0.0,
        "false_alarm_rate": found.false_alarms / span if span else 0.0,
        "lead_unit": "readings" if timeline.counted else "hours",
        "leads": np.quantile(leads, [0.25, 0.5, 0.75]).tolist() if len(leads) else None,
        "episodes": describe_episodes(_episodes(timeline, threshold, episodes)),
        "curve": points(timeline),
    }


def _episodes(timeline: Timeline, threshold: float, config: EpisodeConfig) -> Episodes:
    """Match the stretches of all targets at or above a threshold with the events."""
    targets, horizon = timeline.targets, timeline.horizon
    high = spans_of(timeline.proba >= threshold, targets, horizon)
    events = spans_of(np.ones(len(timeline.events), np.bool_), timeline.events, 1)
    size = float(targets[-1] + horizon) if len(targets) else 0.0
    assert timeline.step is not None
    return match(events, high, size, config, timeline.step)


def points(timeline: Timeline) -> list[dict[str, float | None]]:
    """Return the alarms of falling thresholds in one stretch of time, as JSON."""
    span, events = timeline.watched(timeline.per), len(timeline.events)
    return [
        {
            "threshold": point.threshold,
            "alarm_rate": point.alarms / span,
            "false_alarm_rate": point.false_alarms / span,
            "recall": point.warned / events if events else None,
            "precision": 1 - point.false_alarms / point.alarms if point.alarms else None,
        }
        for (point,) in curve([timeline])
    ]


def _share(
    timeline: Timeline, hits: NDArray[np.bool_], at: NDArray[np.int64]
) -> dict[str, Any] | None:
    """Estimate a share of events or alarms at some positions, (n,), which a target may share.

    The interval is at least as wide as if they were independent.
    """
    if not len(hits):
        return None
    target = np.searchsorted(timeline.targets, at, side="right") - 1
    alone = timeline.blocks is None and len(np.unique(target)) == len(target)
    blocks = target if timeline.blocks is None else timeline.blocks[target]
    found, plain = (share_by_blocks(hits, of) for of in (None if alone else blocks, None))
    assert found.low is not None and plain.low is not None
    assert found.high is not None and plain.high is not None
    low, high = min(found.low, plain.low), max(found.high, plain.high)
    return asdict(Estimate(found.value, low, high))
