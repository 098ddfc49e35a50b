"""Alarms and events as stretches of time: which belong together, as timescoring counts them.

The definitions are those of event-based scoring in the framework of Dan et al. 2024 (arXiv
2402.13005, the package timescoring), in readings instead of seconds, and exact instead of sampled
ten times a second.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._time import parse_duration

Spans = NDArray[np.float64]
"""Stretches, (n, 2): where each begins and ends, ascending and apart from each other."""


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """When a stretch of alarms counts for an event. Lengths are readings, or times such as 30s."""

    tolerance_start: str | int = 0
    """How long before an event an alarm may be and count for it (toleranceStart)."""

    tolerance_end: str | int = 0
    """How long after an event an alarm may be and count for it (toleranceEnd)."""

    min_overlap: float = 0.0
    """Least share of an event, tolerances included, that alarms must cover (minOverlap)."""

    max_event: str | int | None = None
    """Longest event or alarm; longer ones count as several (maxEventDuration; there five minutes).
    Default: no limit."""

    merge: str | int = 1
    """Alarms, and events, that are less than this apart are one (minDurationBetweenEvents)."""

    def __post_init__(self) -> None:
        for name in ("tolerance_start", "tolerance_end", "max_event", "merge"):
            value = getattr(self, name)
            if isinstance(value, str) and value.isdigit():
                value = int(value)
                object.__setattr__(self, name, value)
            if isinstance(value, str):
                parse_duration(value)
            elif value is not None and value < (name == "max_event"):
                raise ValueError(
                    f"{name} must be at least {int(name == 'max_event')}, got {value}."
                )
        if not 0 <= self.min_overlap <= 1:
            raise ValueError(f"min_overlap must be from 0 to 1, got {self.min_overlap}.")

    def readings(self, name: str, step: np.timedelta64) -> float:
        """Return a length as a number of readings, perhaps not whole; no limit is infinite."""
        value = getattr(self, name)
        if value is None:
            return float("inf")
        return float(parse_duration(value) / step) if isinstance(value, str) else float(value)


@dataclass(frozen=True)
class Episodes:
    """Events and stretches of alarms, and which belong together."""

    events: int
    """Events, neighbours taken together."""

    detected: int
    """Those of them with an alarm."""

    alarms: int
    """Stretches of alarms."""

    false_alarms: int
    """Those of them that count for no event."""


def match(
    events: Spans, alarms: Spans, size: float, config: EpisodeConfig, step: np.timedelta64
) -> Episodes:
    """Match stretches of alarms with events.

    Parameters
    ----------
    events, alarms : ndarray of shape (n, 2)
        Where each begins and ends, in readings, ascending; those of one kind do not overlap.
    size : float
        Where the time that was watched ends.
    config : EpisodeConfig
        What belongs together.
    step : timedelta64
        Time from one reading to the next.
    """
    lengths = {
        name: config.readings(name, step)
        for name in ("tolerance_start", "tolerance_end", "max_event", "merge")
    }
    events, alarms = (
        _split(_merged(spans, lengths["merge"]), lengths["max_event"]) for spans in (events, alarms)
    )
    wide = events + np.array([-lengths["tolerance_start"], lengths["tolerance_end"]])
    wide = np.clip(wide, 0, size)
    covered = np.array([_shared(alarms, begin, end).sum() / (end - begin) for begin, end in wide])
    found = wide[covered > config.min_overlap + 1e-6] if len(wide) else wide
    false = sum(not (_shared(found, begin, end) > 0).any() for begin, end in alarms)
    return Episodes(len(events), len(found), len(alarms), false)


def spans_of(flags: NDArray[np.bool_], at: NDArray[np.int64], length: int) -> Spans:
    """Return the stretches that are covered by those of a length which begin at flagged places."""
    begins = at[flags].astype(np.float64)
    if not len(begins):
        return np.empty((0, 2))
    new = np.append(True, np.diff(begins) > length)
    ends = begins[np.append(new[1:], True)] + length
    return np.stack([begins[new], ends], axis=1)


def describe_episodes(found: Episodes) -> dict[str, Any]:
    """Return what was matched as JSON, with the shares that timescoring gives."""
    right = found.detected + found.false_alarms
    return {
        "events": found.events,
        "detected": found.detected,
        "alarms": found.alarms,
        "false_alarms": found.false_alarms,
        "sensitivity": found.detected / found.events if found.events else None,
        "precision": found.detected / right if right else None,
    }


def _merged(spans: Spans, apart: float) -> Spans:
    """Join what is less apart than so much."""
    if not len(spans):
        return spans
    new = np.append(True, spans[1:, 0] - spans[:-1, 1] >= apart)
    return np.stack([spans[new, 0], spans[np.append(new[1:], True), 1]], axis=1)


def _split(spans: Spans, longest: float) -> Spans:
    """Cut what is longer into pieces of at most so much."""
    pieces = []
    for begin, end in spans.tolist():
        while end - begin > longest:
            pieces.append((begin, begin + longest))
            begin += longest
        pieces.append((begin, end))
    return np.array(pieces, np.float64).reshape(-1, 2)


def _shared(spans: Spans, begin: float, end: float) -> NDArray[np.float64]:
    """Return how much of each of some spans lies between two places."""
    overlap = np.minimum(spans[:, 1], end) - np.maximum(spans[:, 0], begin)
    return np.asarray(np.maximum(overlap, 0.0))
