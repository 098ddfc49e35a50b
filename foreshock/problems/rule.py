"""EventRule: what makes an event, what makes a case of it, and what is no case."""

import logging
import re
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from foreshock._text import listed as listed_names
from foreshock._time import parse_duration
from foreshock.readings.config import Quantity
from foreshock.readings.series import Readings

logger = logging.getLogger(__name__)

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
    "no part",
)
"""What becomes of a possible target; an outcome's code is its position here."""
EVENT = 128
"""Added to the code of the outcome where an event is in the target."""


Length = str | int
"""A number of readings, or a time such as 3d."""


@dataclass(frozen=True, kw_only=True)
class EventRule:
    """How windows of readings become labelled cases.

    Each reading may start a target: the `horizon` readings of which the model predicts whether
    they contain an event. Before the target lie `lead` readings that the model does not see, and
    before those the `window` that it sees. Lengths are numbers of readings, or times (3d, 24h).

    What is left out is decided by the data. Earthquake catalogues get the rule of UCR Earthquakes:
    a magnitude of 5 in the hour after a window of 512. Of sensor logs nothing is assumed: name the
    window and the event.
    """

    ask: Literal["event", "state", "next-state"] = "event"
    """What to forecast. event: whether an event is in the target. state: the state of the channel
    in the target's last reading, one class for each. next-state: the state that the channel
    changes to next, however late. Alarms are then for the states that event_state names."""

    window: Length | None = None
    """Length that the model sees. A case also takes up lead and horizon. Default: 512 for
    catalogues."""

    horizon: Length | None = None
    """Length of the target: how far ahead the model looks. Default: 1 reading."""

    lead: Length = 0
    """Length between the window and the target: the time to act on a warning."""

    event_above: float | None = None
    """A reading of at least this value is an event; not used if events are listed. Default: 5 for
    catalogues."""

    event_below: float | None = None
    """A reading of at most this value is an event."""

    event_state: tuple[str, ...] = ()
    """Values of the channel, numbers or text, that are events: 1, BROKEN."""

    event_when: Literal["any", "onset", "end"] = "any"
    """Which of the readings that are past the threshold or in the state is the event: any of them,
    the first (onset), or the first that no longer is (end)."""

    channel: str | None = None
    """Channel that defines events, calm and activity, or column of states. Default: the only one;
    the first of a catalogue."""

    inputs: tuple[str, ...] = ()
    """Channels that the model sees. Default: all but flags, which hold 0 and 1 alone, and the
    states that define the events."""

    quiet: Length | None = None
    """A target with an event in this length before it (lead included) is no case: an aftershock,
    or an alarm that has begun. Default: 512 for catalogues, else 0."""

    quiet_binds: Literal["positives", "all"] | None = None
    """Which cases must follow a quiet stretch: those with an event (positives) or all. With
    positives, as in UCR Earthquakes, only cases without an event may have an earlier one in their
    window, which gives their class away. Default: positives for catalogues, else all."""

    calm_below: float | None = None
    """Without an event, a target becomes a case only if all its readings are below this value.
    Default: 4, or event_above if that is less, for catalogues, else no limit."""

    active_above: float = 0.0
    """A reading above this value is active."""

    min_active: int | None = None
    """Fewest active readings in the window of a case. Default: 20 for catalogues, or the window if
    that is less, else 0."""

    stride: Length = 1
    """Length from one possible target to the next."""

    max_missing: float | None = None
    """Largest share of missing values in a window, and of missing readings in the quiet stretch.
    Default: 0 for catalogues, else 0.2."""

    max_missing_target: float | None = None
    """Largest share of missing readings in a target without an event. Default: 0 for catalogues,
    else 0.2."""

    overlap: bool | None = None
    """Allow cases to share readings, so that every usable target is a case. Default: only for
    sensor logs."""

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
            value = getattr(self, name)
            if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
                value = int(value)
                object.__setattr__(self, name, value)
            if isinstance(value, str):
                _check_duration(name, value)
            elif value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        active, window = self.min_active, self.window
        if active is not None and isinstance(window, int) and active > window:
            raise ValueError(
                f"min_active must be at most the window's {window} readings, got {active}."
            )
        for name in ("max_missing", "max_missing_target"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {share}.")
        for name in ("event_above", "event_below", "calm_below", "active_above"):
            value = getattr(self, name)
            if value is not None and value != value:
                raise ValueError(f"{name} must be a number, got {value}.")
        event, calm = self.event_above, self.calm_below
        if event is not None and calm is not None and calm > event:
            raise ValueError(
                f"calm_below must be at most event_above, got {calm:g} and {event:g}: give both."
            )
        kinds = [name for name in _EVENTS if getattr(self, name) not in (None, ())]
        if len(kinds) > 1:
            raise ValueError(f"an event is one of {' and '.join(kinds)}: leave one out.")

    @property
    def defines_events(self) -> bool:
        """Whether the rule says which readings are events."""
        return any(getattr(self, name) not in (None, ()) for name in _EVENTS)


_EVENTS = ("event_above", "event_below", "event_state")
QUANTITIES = frozenset(get_args(Quantity))


@dataclass(frozen=True, kw_only=True)
class Rule(EventRule):
    """An event rule of which nothing is left to be decided by the data: lengths are counts."""

    # each a field() so that it has no default
    window: int = field()
    horizon: int = field()
    lead: int = field()
    quiet: int = field()
    stride: int = field()
    quiet_binds: Literal["positives", "all"] = field()
    min_active: int = field()
    max_missing: float = field()
    max_missing_target: float = 0.0
    overlap: bool = field()

    def watched(self, channels: tuple[str, ...]) -> int | None:
        """Return the position of the channel that calm and activity are read from.

        None where it is not among them, or is a column of states as text.
        """
        channel = self.channel or channels[0]
        return channels.index(channel) if channel in channels else None

    @property
    def counts_activity(self) -> bool:
        """Whether it is of a catalogue, where active readings count earthquakes."""
        return self.channel in QUANTITIES

    def serves(self, channel: str) -> bool:
        """Check whether a channel says which readings are events, or what is asked for."""
        return (self.defines_events or self.ask != "event") and (
            channel == self.channel or channel.startswith(f"{self.channel}=")
        )

    def less(self, offset: NDArray[np.float64] | None, channels: tuple[str, ...]) -> "Rule":
        """Return the rule for values that are kept less an offset (n_channels,)."""
        at = self.watched(channels)
        if offset is None or at is None:
            return self
        off = float(offset[at])
        levels: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name) - off
            for name in ("event_above", "event_below", "calm_below")
        }
        return replace(
            self,
            **levels,
            active_above=self.active_above - off,
            event_state=tuple(f"{float(state) - off!r}" for state in self.event_state),
        )

    def past(
        self, values: NDArray[np.float32], channels: tuple[str, ...]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which readings are past the threshold or in the state, and which are missing.

        Parameters
        ----------
        values
            Readings, (n_channels, n), less what `less` was told.
        channels
            Their names.
        """
        at = self.watched(channels)
        if at is None:
            rows = [channels.index(f"{self.channel}={state}") for state in self.event_state]
            chosen = values[rows]
            return np.any(chosen > 0.5, axis=0), np.any(np.isnan(chosen), axis=0)
        watched: NDArray[np.float32] = values[at]
        missing = np.isnan(watched)
        if self.event_state or self.ask != "event":
            states = np.array([np.float32(float(state)) for state in self.event_state])
            return np.isin(watched, states), missing
        if self.event_below is not None:
            return watched <= np.float32(self.event_below), missing
        assert self.event_above is not None
        return watched >= np.float32(self.event_above), missing

    def states(self, readings: Readings) -> tuple[str, ...]:
        """Return the states that the channel has, of text in their order, else by number."""
        at = self.watched(readings.channels)
        if at is None:
            names = (name for name in readings.channels if name.startswith(f"{self.channel}="))
            return tuple(name.partition("=")[2] for name in names)
        found: NDArray[np.float64] = np.empty(0)
        for start, _ in readings.blocks():
            values = readings.true_values(slice(start, start + _BLOCK))[at]
            found = np.unique(np.append(found, values[~np.isnan(values)]))
            if len(found) > _STATES:
                raise ValueError(
                    f"the channel {self.channel!r} has more than {_STATES} values, too many for"
                    " states; forecast an event instead (--rule.ask event)."
                )
        return tuple(f"{value:g}" for value in found.tolist())

    def codes(self, readings: Readings, states: tuple[str, ...]) -> NDArray[np.int16]:
        """Return the position in `states` of each reading's state, -1 where it is missing."""
        at = self.watched(readings.channels)
        if at is None:
            rows = [readings.channels.index(f"{self.channel}={state}") for state in states]
            chosen = readings.values[rows]
            known = ~np.isnan(chosen).any(axis=0) & np.any(chosen > 0.5, axis=0)
            return np.where(known, np.nan_to_num(chosen).argmax(axis=0), -1).astype(np.int16)
        values = readings.true_values()[at]
        numbers = np.array([float(state) for state in states])
        place = np.minimum(np.searchsorted(numbers, np.nan_to_num(values)), len(numbers) - 1)
        near = np.abs(numbers[place] - values) <= 1e-5 * np.maximum(np.abs(values), 1)
        return np.where(near, place, -1).astype(np.int16)

    def answers(self, codes: NDArray[np.int16], n: int) -> NDArray[np.int16]:
        """Return the state that is asked for of the targets that begin at 0 to n - 1, -1 for none.

        `codes` are those of a unit's readings.
        """
        if self.ask == "state":
            found = np.full(n, -1, np.int16)
            late = codes[self.horizon - 1 :][:n]
            found[: len(late)] = late
            return found
        following = np.full(len(codes), -1, np.int16)
        seen = np.flatnonzero(codes >= 0)
        changes = seen[1:][np.diff(codes[seen]) != 0]  # the first reading of each new state
        at = np.searchsorted(changes, np.arange(len(codes)), side="right")
        known = at < len(changes)
        following[known] = codes[changes[at[known]]]
        found = np.full(n, -1, np.int16)
        last = np.arange(n) - self.lead - 1  # of the window
        inside = (last >= 0) & (last < len(codes))
        found[inside] = following[last[inside]]
        return found

    def occurs(self, readings: Readings) -> NDArray[np.bool_]:
        """Return which of one unit's readings are events by the rule, (n_timepoints,)."""
        rule, n = self.less(readings.offset, readings.channels), readings.n_timepoints
        found = np.zeros(n, np.bool_)
        last: bool | None = None  # whether the reading before was past it; None before the first
        for start, block in readings.blocks():
            past, missing = rule.past(block, readings.channels)
            here = found[start : start + block.shape[1]]
            if self.event_when == "any":
                here[:] = past
                continue
            seen = np.flatnonzero(~missing)
            if not len(seen):
                continue
            now = past[seen]
            first = now[0] if last is None else last
            before = np.append(first, now[:-1])
            here[seen] = now & ~before if self.event_when == "onset" else before & ~now
            last = bool(now[-1])
        return found

    def objections(self, readings: Readings) -> tuple[str, ...]:
        """Return why no case would be made of the window that ends with a unit's last reading.

        What is known by then: whether enough happens in it, and whether an event is in the quiet
        stretch before the target that follows.
        """
        found = []
        named = {f"{self.channel}={state}" for state in self.event_state} or {str(self.channel)}
        if self.channel not in readings.channels and not named <= set(readings.channels):
            return ()  # nothing is known of events
        late = readings.latest(max(self.window, self.quiet))
        rule = self.less(late.offset, late.channels)
        at = rule.watched(late.channels)
        if at is not None and rule.min_active:
            active = int((late.values[at, -rule.window :] > np.float32(rule.active_above)).sum())
            if active < rule.min_active:
                found.append(explain("inactive", rule))
        seen = max(0, rule.quiet - rule.lead)
        whole = late if self.event_when == "any" else readings  # an onset needs the one before
        if self.defines_events and seen and self.occurs(whole)[-seen:].any():
            whose = "" if rule.quiet_binds == "all" else ", which no case with an event has"
            found.append(explain("event before", rule) + whose)
        return tuple(found)

    @property
    def stretch(self) -> int:
        """Readings from the first of a case's window to the last of its target."""
        return self.window + self.lead + self.horizon


def of_catalog(readings: Readings) -> bool:
    """Check whether readings are of an earthquake catalogue, which has a rule of its own."""
    return readings.channels[0] in QUANTITIES


def resolve(rule: EventRule, readings: Readings, *, listed: bool = False) -> Rule:
    """Decide by the readings what a rule leaves open, and make its lengths counts.

    Parameters
    ----------
    rule
        What is asked for.
    readings
        What it is for.
    listed
        Whether the events are listed, or the units' ends, and no channel says what they are.

    Raises
    ------
    ValueError
        Something has to be named that the readings do not tell, or a channel is not there.
    """
    channels = readings.channels
    quakes = of_catalog(readings)
    values: dict[str, Any] = {f.name: getattr(rule, f.name) for f in fields(EventRule)}
    if listed:
        values |= {"event_above": None, "event_below": None, "event_state": (), "calm_below": None}
    elif quakes and not rule.defines_events and rule.ask == "event":
        values["event_above"] = _QUAKES["event_above"]
    for name, usual in (_QUAKES if quakes else _LOGS).items():
        if values[name] is None and name != "event_above":
            values[name] = usual
    if quakes and not listed and rule.calm_below is None and values["event_above"] is not None:
        values["calm_below"] = min(_CALM, values["event_above"])
    for name in ("window", "horizon", "lead", "quiet", "stride"):
        if isinstance(values[name], str):
            values[name] = _count(name, values[name], readings)
    if values["window"] is None:
        raise ValueError(
            "how much of the past the model sees has to be named: --rule.window 72, or as a time"
            " (3d)."
        )
    named = isinstance(rule, Rule) or quakes or listed
    if values["channel"] is None and not named and len(channels) > 1:
        raise ValueError(
            "which channel tells of events has to be named (--rule.channel): the channels are"
            f" {listed_names(channels)}."
        )
    values["channel"] = channel = values["channel"] or channels[0]
    states = [name for name in channels if name.startswith(f"{channel}=")]
    if channel not in channels and not states:
        raise ValueError(
            f"there is no channel {channel!r}; the channels are {listed_names(channels)}."
        )
    for state in values["event_state"]:
        if channel in channels and not _is_number(state):
            raise ValueError(f"the channel {channel!r} holds numbers; it has no state {state!r}.")
        if channel not in channels and f"{channel}={state}" not in states:
            known = listed_names(tuple(name.partition("=")[2] for name in states))
            raise ValueError(f"{channel!r} has no state {state!r}; it has {known}.")
    if channel in channels:  # 1.0 is 1
        values["event_state"] = tuple(f"{float(state):g}" for state in values["event_state"])
    named = listed or values["event_state"] or rule.ask != "event"
    if channel not in channels and not named:
        raise ValueError(
            f"{channel!r} is text: name the states that are events (--rule.event-state)."
        )
    if quakes and rule.min_active is None:
        values["min_active"] = min(values["min_active"], values["window"])
    resolved = Rule(**values)
    if rule.ask != "event":
        _check_question(resolved, readings, listed=listed)
    elif not listed and not resolved.defines_events:
        raise ValueError(
            "what an event is has to be named: --rule.event-above, --rule.event-below or"
            " --rule.event-state, a list of times (--events FILE), or the units' ends (--events"
            " end)."
        )
    return replace(resolved, inputs=values["inputs"] or _inputs(resolved, readings))


def _check_question(rule: Rule, readings: Readings, *, listed: bool) -> None:
    """Refuse what does not go with a question for states."""
    if listed:
        raise ValueError("states are of a channel: leave out --events, or --rule.ask.")
    if rule.event_above is not None or rule.event_below is not None or rule.event_when != "any":
        raise ValueError(
            "with --rule.ask state, name the states to warn of (--rule.event-state), no threshold"
            " and no event_when."
        )
    states = rule.states(readings)
    if len(states) < 2:
        raise ValueError(f"{rule.channel!r} has {len(states)} states; a question needs two.")
    unknown = [state for state in rule.event_state if state not in states]
    if unknown:
        known = listed_names(states)
        raise ValueError(f"{rule.channel!r} has no state {unknown[0]!r}; it has {known}.")


_CALM = 4.0
_BLOCK = 2**22
_STATES = 50
"""Most states of a channel of numbers."""
_QUAKES: dict[str, Any] = {
    "window": 512,
    "horizon": 1,
    "event_above": 5.0,
    "quiet": 512,
    "quiet_binds": "positives",
    "min_active": 20,
    "max_missing": 0.0,
    "max_missing_target": 0.0,
    "overlap": False,
}
_LOGS: dict[str, Any] = {
    "horizon": 1,
    "quiet": 0,
    "quiet_binds": "all",
    "min_active": 0,
    "max_missing": 0.2,
    "max_missing_target": 0.2,
    "overlap": True,
}


def _check_duration(name: str, length: str) -> None:
    try:
        parse_duration(length)
    except ValueError:
        raise ValueError(
            f"{name} must be a number of readings, or a time such as 3d, got {length[:40]!r}."
        ) from None


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def _count(name: str, length: str, readings: Readings) -> int:
    """Return a time as a number of readings."""
    if readings.counted:
        raise ValueError(f"{name} must be a number, as readings are numbered, got {length!r}.")
    count, rest = divmod(parse_duration(length), readings.step)
    if rest or not count:
        raise ValueError(
            f"{name} must be a multiple of the step, {readings.step_text}, got {length!r}."
        )
    return int(count)


def _inputs(rule: Rule, readings: Readings) -> tuple[str, ...]:
    """Return the channels that the model sees where none are named."""
    channels = readings.channels
    if rule.counts_activity:
        return channels
    flags = find_flags(readings)
    left_out = [name for name in channels if name in flags]
    left_out += [name for name in channels if "=" in name and rule.serves(name)]
    if left_out:
        logger.info(
            "Not seen by the model, as they may give events away: %s (--rule.inputs names what it"
            " sees).",
            listed_names(tuple(left_out)),
        )
    kept = tuple(name for name in channels if name not in left_out)
    if not kept:
        raise ValueError(
            f"all channels are flags, which may give events away ({listed_names(channels)}): name"
            " those that the model sees (--rule.inputs)."
        )
    return kept


def find_flags(readings: Readings) -> tuple[str, ...]:
    """Return the channels that hold 0 and 1 alone, both, and are not made of text."""
    channels = readings.channels
    may = np.array(["=" not in name for name in channels])
    zero, one = np.zeros(len(channels), np.bool_), np.zeros(len(channels), np.bool_)
    off = np.zeros(len(channels)) if readings.offset is None else readings.offset
    for _, block in readings.blocks():
        for k in np.flatnonzero(may):
            value = block[k] + off[k]
            is_zero, is_one = value == 0, value == 1
            may[k] = bool((is_zero | is_one | np.isnan(value)).all())
            zero[k] |= is_zero.any()
            one[k] |= is_one.any()
        if not may.any():
            break
    return tuple(np.array(channels)[may & zero & one].tolist())


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

    unit: NDArray[np.int32] | None = None
    """Position of each one's unit, (n,), where there are several."""

    @property
    def complete(self) -> bool:
        """Whether every candidate is listed, not only the events that are no cases."""
        return len(self.times) == sum(map(sum, self.counts.values()))

    def table(self, readings: Readings) -> str:
        """Write as CSV the time of each target, whether it has an event, and the outcome."""
        micro = self.times.astype("datetime64[us]").astype(np.int64)
        unit: Literal["us", "m"]
        if readings.counted:
            times = [str(number) for number in (micro // 10**6).tolist()]
        else:
            unit = "us" if (micro % 60_000_000).any() else "m"
            times = [f"{time}Z" for time in np.datetime_as_string(self.times, unit=unit).tolist()]
        names = [""] * len(times)
        if self.unit is not None and readings.units is not None:
            names = [f"{_field(name)}," for name in readings.units.names[self.unit].tolist()]
        rows = [
            f"{name}{time},{'yes' if code >= EVENT else 'no'},{OUTCOMES[code % EVENT]}"
            for name, time, code in zip(names, times, self.outcomes.tolist(), strict=True)
        ]
        head = "unit," * (self.unit is not None) + "target,event,outcome"
        return "\n".join([head, *rows, ""])

    def describe(self, rule: Rule) -> list[str]:
        """Return what became of all candidates, in lines of text."""
        lines = []
        events, rest = (sum(n[i] for n in self.counts.values()) for i in (0, 1))
        for total, which, what in ((events, 0, "with an event"), (rest, 1, "without")):
            lines.append(f"{total:,} possible targets {what}:")
            for outcome, numbers in self.counts.items():
                if numbers[which] or outcome == "case":
                    lines.append(f"  {numbers[which]:>9,} {explain(outcome, rule)}")
        return lines


def _field(text: str) -> str:
    """Write a name as a field of CSV."""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(mark in text for mark in ',"\n\r') else text


def explain(outcome: str, rule: Rule) -> str:
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
        "no part": "of a unit or a time that no part takes",
    }[outcome]
