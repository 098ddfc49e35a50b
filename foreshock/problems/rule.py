"""EventRule: what makes an event, what makes a case of it, and what is no case."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foreshock.readings.series import Readings

OUTCOMES = (
    "case",
    "too early",
    "gap in target",
    "between",
    "gap",
    "event before",
    "inactive",
    "embargo",
    "overlap",
)
"""What becomes of a possible target; an outcome's code is its position here."""
EVENT = 128
"""Added to the code of the outcome where an event is in the target."""


@dataclass(frozen=True, kw_only=True)
class EventRule:
    """How windows of readings become labelled cases. All lengths are numbers of readings.

    Each reading may start a target: the `horizon` readings of which the model predicts whether
    they contain an event. Before the target lie `lead` readings that the model does not see, and
    before those the `window` that it sees. The defaults are the rule of UCR Earthquakes: hourly
    readings of the largest magnitude, a major event in the hour after the window.
    """

    window: int = 512
    """Readings that the model sees. A case also takes up those of lead and horizon."""

    event_above: float | None = 5.0
    """A reading of at least this value is an event; not used if events are listed."""

    calm_below: float | None = 4.0
    """Without an event, a target becomes a case only if all its readings are below this value.
    none: no limit."""

    active_above: float = 0.0
    """A reading above this value is active."""

    min_active: int = 20
    """Fewest active readings in the window of a case."""

    lead: int = 0
    """Readings between the window and the target: the time to act on a warning."""

    horizon: int = 1
    """Readings in the target: how far ahead the model looks."""

    quiet: int = 512
    """A target with an event in this many readings before it (lead included) is no case: an
    aftershock, for example."""

    quiet_binds: Literal["positives", "all"] = "positives"
    """Which cases must follow a quiet stretch: those with an event (positives) or all. With
    positives, as in UCR Earthquakes, only cases without an event may have an earlier one in their
    window, which gives their class away."""

    channel: str | None = None
    """Channel that defines events, calm and activity. Default: the first."""

    stride: int = 1
    """Readings from one possible target to the next."""

    max_missing: float = 0.0
    """Largest share of missing values in a window, and of missing readings in the quiet stretch."""

    overlap: bool = False
    """Allow cases to share readings."""

    compete: Literal["positives-first", "chronological", "random"] = "positives-first"
    """Which cases come first if they may not share readings. positives-first: cases with an event
    in order of time, then the others at random; of cases that reach the same event, a random one.
    chronological: all in order of time. Cases without an event then start where quiet stretches
    end, which gives them away. random: all at random."""

    seed: int = 0
    """Seed of the random order."""

    def __post_init__(self) -> None:
        for name, least in (
            ("window", 1),
            ("horizon", 1),
            ("stride", 1),
            ("lead", 0),
            ("quiet", 0),
            ("min_active", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.min_active > self.window:
            raise ValueError(
                f"min_active must be at most the window's {self.window} readings, got"
                f" {self.min_active}."
            )
        if not 0 <= self.max_missing < 1:
            raise ValueError(f"max_missing must be at least 0 and below 1, got {self.max_missing}.")
        for name in ("event_above", "calm_below", "active_above"):
            value = getattr(self, name)
            if value is not None and value != value:
                raise ValueError(f"{name} must be a number, got {value}.")
        event, calm = self.event_above, self.calm_below
        if event is not None and calm is not None and calm > event:
            raise ValueError(
                f"calm_below must be at most event_above, got {calm:g} and {event:g}: give both."
            )

    def watched(self, channels: tuple[str, ...]) -> int:
        """Return the position of the channel that events, calm and activity are read from."""
        return channels.index(self.channel or channels[0])

    def less(self, offset: NDArray[np.float64] | None, channels: tuple[str, ...]) -> "EventRule":
        """Return the rule for values that are kept less an offset (n_channels,)."""
        if offset is None:
            return self
        off = float(offset[self.watched(channels)])
        event, calm = (
            None if level is None else level - off for level in (self.event_above, self.calm_below)
        )
        return replace(
            self, event_above=event, calm_below=calm, active_above=self.active_above - off
        )

    def objections(self, readings: Readings) -> tuple[str, ...]:
        """Return why no case would be made of the window that ends with the last reading.

        What is known by then: whether enough happens in it, and whether an event is in the quiet
        stretch before the target that follows.
        """
        found = []
        rule = self.less(readings.offset, readings.channels)
        watched = readings.values[rule.watched(readings.channels)]
        active = int((watched[-rule.window :] > np.float32(rule.active_above)).sum())
        if active < rule.min_active:
            found.append(explain("inactive", rule))
        least = math.inf if rule.event_above is None else np.float32(rule.event_above)
        seen = max(0, rule.quiet - rule.lead)
        if (watched[max(0, len(watched) - seen) :] >= least).any():
            whose = "" if rule.quiet_binds == "all" else ", which no case with an event has"
            found.append(explain("event before", rule) + whose)
        return tuple(found)

    @property
    def stretch(self) -> int:
        """Readings from the first of a case's window to the last of its target."""
        return self.window + self.lead + self.horizon


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """What a rule made of the readings that might have been targets."""

    times: NDArray[np.datetime64]
    """Times of the targets' first readings, (n,) datetime64[us]: of all, or above a million of
    those with an event that did not become cases."""

    outcomes: NDArray[np.uint8]
    """What became of each, (n,): a position in `OUTCOMES`, plus `EVENT` where its target has an
    event."""

    counts: dict[str, tuple[int, int]]
    """How many of all candidates had each outcome: with an event in the target, and without."""

    @property
    def complete(self) -> bool:
        """Whether every candidate is listed, not only the events that are no cases."""
        return len(self.times) == sum(map(sum, self.counts.values()))

    def table(self) -> str:
        """Write as CSV the time of each target, whether it has an event, and the outcome."""
        micro = self.times.astype("datetime64[us]").astype(np.int64)
        times = np.datetime_as_string(self.times, unit="us" if (micro % 60_000_000).any() else "m")
        rows = [
            f"{time}Z,{'yes' if code >= EVENT else 'no'},{OUTCOMES[code % EVENT]}"
            for time, code in zip(times.tolist(), self.outcomes.tolist(), strict=True)
        ]
        return "\n".join(["target,event,outcome", *rows, ""])

    def describe(self, rule: EventRule) -> list[str]:
        """Return what became of all candidates, in lines of text."""
        lines = []
        events, rest = (sum(n[i] for n in self.counts.values()) for i in (0, 1))
        for total, which, what in ((events, 0, "with an event"), (rest, 1, "without")):
            lines.append(f"{total:,} possible targets {what}:")
            for outcome, numbers in self.counts.items():
                if numbers[which] or outcome == "case":
                    lines.append(f"  {numbers[which]:>9,} {explain(outcome, rule)}")
        return lines


def explain(outcome: str, rule: EventRule) -> str:
    """Return what an outcome means under a rule."""
    calm = "" if rule.calm_below is None else f" (some reading of {rule.calm_below:g} or more)"
    return {
        "case": "became cases",
        "too early": "too early: the readings begin after their window or quiet stretch does",
        "gap in target": "with a gap in the target, so whether an event was in it is not known",
        "between": f"neither with an event nor calm{calm}",
        "gap": "with a gap in the window or the quiet stretch",
        "event before": f"with another event in the {rule.quiet} readings before",
        "inactive": f"with fewer than {rule.min_active} active readings in the window",
        "embargo": "too near to the border between two parts",
        "overlap": "sharing readings with a case that came first",
    }[outcome]
