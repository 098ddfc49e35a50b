"""What readings hold that an early warning could be about, and rules to try on them."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from foreshock._arrays import sample
from foreshock._text import counted, listed, number
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems.rule import EventRule, find_flags, of_catalog
from foreshock.readings.series import Readings

_LOOKED_AT, _TRIED = 10**6, 2 * 10**6
_RARE = 0.1
"""Share of the readings below which a state may be what to be warned of."""
_LENGTHS = ((72, 24), (60, 30), (30, 30), (24, 6), (12, 4), (6, 2))
"""Windows and horizons to try, the longest first."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """What is known of a channel at first sight."""

    name: str
    kind: str
    """measured, flag, state or constant."""

    missing: float
    """Share of its readings."""

    quantiles: tuple[float, float, float, float, float]
    """Least, median, 95 % and 99 % quantile, largest; NaN where it has none."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A rule that was tried on the readings."""

    what: str
    """What it warns of, in words."""

    rule: EventRule
    """The rule."""

    ends: bool = False
    """Whether the units' ends are the events."""

    cases: int = 0
    """Cases that it makes."""

    events: int = 0
    """Those of them with an event."""

    @property
    def options(self) -> str:
        """The rule as options of the command line."""
        rule = self.rule
        found = (
            ["--events end"] if self.ends else [f"--rule.channel {shlex.quote(rule.channel or '')}"]
        )
        if rule.event_above is not None:
            found.append(f"--rule.event-above {rule.event_above:g}")
        if rule.event_state:
            found.append(f"--rule.event-state {' '.join(map(shlex.quote, rule.event_state))}")
        if rule.event_when != "any":
            found.append(f"--rule.event-when {rule.event_when}")
        found += [f"--rule.window {rule.window}", f"--rule.horizon {rule.horizon}"]
        if rule.quiet:
            found.append(f"--rule.quiet {rule.quiet}")
        return " ".join(found)


def channels_of(readings: Readings) -> list[Channel]:
    """Look at each channel, at some million readings that lie evenly among all."""
    flags = find_flags(readings)
    at = sample(readings.n_timepoints, _LOOKED_AT)
    off = np.zeros(readings.n_channels) if readings.offset is None else readings.offset
    found = []
    for k, name in enumerate(readings.channels):
        values = readings.values[k, at] + off[k]
        seen = values[~np.isnan(values)]
        kind = "flag" if name in flags else "state" if "=" in name else "measured"
        if kind == "measured" and len(seen) and seen.min() == seen.max():
            kind = "constant"
        quantiles = np.full(5, np.nan)
        if len(seen):
            quantiles = np.quantile(seen, [0, 0.5, 0.95, 0.99, 1])
        missing = 1 - len(seen) / max(1, len(values))
        least, middle, high, higher, most = quantiles.tolist()
        found.append(
            Channel(
                name=name, kind=kind, missing=missing, quantiles=(least, middle, high, higher, most)
            )
        )
    return found


def describe(readings: Readings, channels: list[Channel]) -> list[str]:
    """Return what readings hold, in lines of text."""
    lines = []
    if readings.units is not None:
        sizes = np.diff(readings.bounds)
        lines.append(
            f"{counted(readings.n_units, 'unit')} ({listed(readings.units.names.tolist(), 4)}) of"
            f" {sizes.min():,} to {sizes.max():,} readings"
        )
    gaps = _gaps(readings)
    lines.append(f"{counted(gaps, 'gap')} in all channels" if gaps else "no gaps in all channels")
    width = max(len(channel.name) for channel in channels)
    for channel in channels:
        least, middle, _, high, most = channel.quantiles
        said = {
            "constant": f"always {number(least)}",
            "flag": f"1 in {_share(readings, channel.name):.1%} of the readings",
            "state": f"in {_share(readings, channel.name):.1%} of the readings",
            "measured": f"{least:.6g} to {most:.6g}, median {middle:.6g}, 99 % below {high:.6g}",
        }[channel.kind]
        missing = f", {channel.missing:.1%} missing" if channel.missing else ""
        lines.append(f"  {channel.name:<{width}}  {channel.kind}: {said}{missing}")
    return lines


def _gaps(readings: Readings) -> int:
    """Count the stretches of readings that are missing in all channels."""
    found, before = 0, False
    for _, block in readings.blocks():
        missing = np.asarray(np.isnan(block).all(axis=0))
        found += int(np.count_nonzero(np.diff(missing, prepend=before) & missing))
        before = bool(missing[-1])
    return found


def _share(readings: Readings, channel: str) -> float:
    values = readings.values[readings.channels.index(channel)]
    at = sample(len(values), _LOOKED_AT)
    return float(np.nanmean(values[at] > 0))


def suggestions(readings: Readings, channels: list[Channel], most: int = 3) -> list[Suggestion]:
    """Return rules that make cases of both kinds of these readings, each tried on them.

    States and flags come first, then the units' ends, then the highest hundredth of a channel.
    """
    found: list[Suggestion] = []
    kinds: set[str] = set()
    # named, so that nothing is said of those left out; what is cut later leaves out flags alone
    inputs = tuple(c.name for c in channels if c.kind in ("measured", "constant"))
    for kind, draft in _drafts(readings, channels):
        if len(found) == most:
            break
        if kind in kinds and kind != "level":
            continue
        tried = _try(readings, draft, inputs)
        if tried is not None:
            found.append(tried)
            kinds.add(kind)
    return found


def _drafts(readings: Readings, channels: list[Channel]) -> Iterator[tuple[str, Suggestion]]:
    names = [channel.name for channel in channels]
    for channel in channels:
        if channel.kind == "flag":
            rule = EventRule(channel=channel.name, event_state=("1",), event_when="onset")
            yield "flag", Suggestion(what=f"{channel.name} becoming 1", rule=rule)
    for column in dict.fromkeys(name.partition("=")[0] for name in names if "=" in name):
        states = [name.partition("=")[2] for name in names if name.startswith(f"{column}=")]
        shares = [_share(readings, f"{column}={state}") for state in states]
        rarest = states[int(np.argmin(shares))]
        rule = EventRule(channel=column, event_state=(rarest,), event_when="onset")
        if min(shares) < _RARE:
            yield "state", Suggestion(what=f"{column} becoming {rarest}", rule=rule)
    if readings.n_units > 1:
        yield "end", Suggestion(what="the end of a unit", rule=EventRule(), ends=True)
    for channel in channels:
        if channel.kind == "measured" and channel.quantiles[3] > channel.quantiles[1]:
            level = float(f"{channel.quantiles[3]:.3g}")
            rule = EventRule(channel=channel.name, event_above=level)
            what = f"{channel.name} of {level:g} or more (the highest hundredth)"
            yield "level", Suggestion(what=what, rule=rule)


def _try(readings: Readings, draft: Suggestion, inputs: tuple[str, ...]) -> Suggestion | None:
    """Return the suggestion with lengths that make cases, or None."""
    longest = int(np.diff(readings.bounds).max())
    for window, horizon in _LENGTHS:
        if 4 * (window + horizon) > longest:
            continue
        quiet = horizon if draft.rule.event_above is not None else 0
        rule = replace(draft.rule, window=window, horizon=horizon, quiet=quiet)
        some = _some(readings)
        seen = replace(rule, inputs=inputs or readings.channels)
        try:
            problem = cut(some, seen, PartsConfig(), events="end" if draft.ends else None)
        except ValueError:
            continue
        events = int(problem.y.sum())
        return replace(draft, rule=rule, cases=problem.n_cases, events=events)
    return None


def _some(readings: Readings) -> Readings:
    """Return the readings, or of very many the first units, or the latest readings."""
    if readings.n_timepoints <= _TRIED:
        return readings
    if readings.units is None:
        return readings.latest(_TRIED)
    n = max(2, int(np.searchsorted(readings.units.firsts, _TRIED)))
    return readings.first_units(n)


def line_to_try(readings: Readings, files: str, output: str) -> str | None:
    """Return a command that cuts these readings, or None where none was found."""
    if of_catalog(readings):
        return f"foreshock cut {files} -o {output}"
    found = suggestions(readings, channels_of(readings), most=1)
    return f"foreshock cut {files} -o {output} {found[0].options}" if found else None
