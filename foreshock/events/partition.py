"""How cases are divided: parts and folds of time, with an embargo between them, or of units."""

import dataclasses
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from foreshock._text import listed
from foreshock._time import parse_time
from foreshock.events.labelling import blocks, compete
from foreshock.problems import PARTS, Part, splits
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.rule import EVENT, OUTCOMES, Rule
from foreshock.readings.series import Readings

_CASE, _EMBARGO, _NO_PART = map(OUTCOMES.index, ("case", "embargo", "no part"))


@dataclass(frozen=True, kw_only=True)
class PartsConfig:
    """How cases are divided into parts and folds."""

    test: float = 0.3
    """Share for the test part: of the readings, the latest, not counting gaps; of the units, drawn
    at random."""

    valid: float = 0.0
    """Share for the valid part: of the readings, the latest before the test part; of the units."""

    by: Literal["auto", "time", "unit", "both"] = "auto"
    """time: each part is a stretch of time. unit: each has units of its own, so that the test is on
    machines that the model has not seen. both: the test units after the border in time, the other
    units before it. auto: unit if there are at least eight or their readings are numbered, else
    time."""

    test_from: str | None = None
    """Time at which the test part begins, instead of a share: 2013-08-01; a number where readings
    are numbered."""

    test_units: tuple[str, ...] = ()
    """Names of the units of the test part, instead of a random share."""

    embargo: int | None = None
    """Readings between two parts or folds that no case may use. Default: a window."""

    folds: int | None = None
    """Number of folds to divide the train part into, by time or by unit like the parts, with about
    as many cases each. Default: five, or fewer if a fold would lack a class."""

    order: Literal["time", "random"] = "time"
    """time: as --parts.by says. random: draw parts at random and keep the balance of classes, as
    the archives do; the score then says less about the future."""

    seed: int = 0
    """Seed of what is drawn."""

    def __post_init__(self) -> None:
        if not (self.test >= 0 and self.valid >= 0 and self.test + self.valid < 1):
            raise ValueError(
                "test and valid must be at least 0 and together below 1, got"
                f" {self.test} and {self.valid}."
            )
        if self.order == "random" and (self.embargo is not None or self.folds is not None):
            raise ValueError("embargo and folds need parts in order of time; leave them out.")
        if self.order == "random" and (self.by != "auto" or self.test_units):
            raise ValueError("random parts are by neither time nor unit: leave out --parts.by.")
        if self.test_from is not None and (self.by == "unit" or self.order == "random"):
            raise ValueError("test_from needs parts by time: --parts.by time or both.")
        if self.by == "time" and self.test_units:
            raise ValueError("test_units needs parts by unit: --parts.by unit or both.")
        if self.folds is not None and not 2 <= self.folds < NO_FOLD:
            raise ValueError(f"folds must be between 2 and {NO_FOLD - 1}, got {self.folds}.")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}.")

    def resolved(self, readings: Readings) -> Literal["time", "unit", "both"]:
        """Return by what the parts of some readings are made."""
        if readings.units is None and (self.by in ("unit", "both") or self.test_units):
            raise ValueError(
                "parts by unit need units: --log.unit-column, or --log.files units; or --parts.by"
                " time."
            )
        if self.by != "auto":
            return self.by
        if self.test_from is not None:
            return "both" if self.test_units else "time"
        many = readings.n_units >= _MANY_UNITS or (readings.counted and readings.n_units > 1)
        return "unit" if many or self.test_units else "time"


_MANY_UNITS = 8


@dataclass(frozen=True)
class Region:
    """A stretch of one unit's readings that a part lies in; None where no part takes it."""

    part: Part | None
    start: int
    stop: int
    unit: int = 0


def embargo_of(rule: Rule, parts: PartsConfig) -> int:
    """Return the readings between parts, and refuse what would let cases be seen in training."""
    embargo = rule.window if parts.embargo is None else parts.embargo
    if embargo < rule.window:
        raise ValueError(
            f"embargo must be at least a window, {rule.window} readings, got {embargo}."
        )
    if parts.order == "random" and rule.overlap:
        raise ValueError(
            "random parts need cases that share no readings: leave out overlap (--rule.overlap"
            " False), or divide by time."
        )
    return embargo


def regions_of(
    readings: Readings,
    rule: Rule,
    parts: PartsConfig,
    sizes: Sequence[int],
    kinds: NDArray[np.bool_],
) -> list[Region]:
    """Divide the readings among the parts.

    Parameters
    ----------
    readings, rule, parts
        What is divided, and how.
    sizes
        Readings of each unit up to the end of its last target.
    kinds
        Whether each unit has cases with an event and without, (n_units, 2).

    Returns
    -------
    list of Region
        Unit by unit, each of them in order of time and all of it.
    """
    if parts.order == "random":
        return [Region("train", 0, size, unit) for unit, size in enumerate(sizes)]
    by = parts.resolved(readings)
    if by == "time":
        borders = _borders(readings, rule, parts, (1 - parts.test - parts.valid, 1 - parts.test))
        return [
            region
            for unit, size in enumerate(sizes)
            for region in _in_time(unit, size, borders[unit], parts)
        ]
    part_of = _deal_parts(readings, parts, kinds)
    if by == "unit":
        return [Region(part_of[unit], 0, size, unit) for unit, size in enumerate(sizes)]
    before = _borders(readings, rule, parts, (1 - parts.test,))
    regions = []
    for unit, size in enumerate(sizes):
        border = min(before[unit][0], size)
        past: Part | None = None if part_of[unit] == "test" else part_of[unit]
        later: Part | None = "test" if part_of[unit] == "test" else None
        halves = Region(past, 0, border, unit), Region(later, border, size, unit)
        regions += [half for half in halves if half.stop > half.start]
    return regions


def _in_time(unit: int, size: int, borders: Sequence[int], parts: PartsConfig) -> list[Region]:
    """Divide one unit's readings at its borders."""
    n_train, n_seen = (min(border, size) for border in borders)
    bounds: list[tuple[Part, int, int]] = [
        ("train", 0, n_train),
        ("valid", n_train, n_seen),
        ("test", n_seen, size),
    ]
    tested = parts.test if parts.test_from is None else 1.0
    kept = {"train": 1.0, "valid": parts.valid, "test": tested}
    alone = [Region(*bound, unit) for bound in bounds if kept[bound[0]]]
    return [region for region in alone if region.stop > region.start]


def _borders(
    readings: Readings, rule: Rule, parts: PartsConfig, shares: Sequence[float]
) -> list[list[int]]:
    """Return of each unit the numbers of readings before the borders in time between parts."""
    if parts.test_from is not None:
        return _before(readings, parts, len(shares))
    if readings.units is None:
        return [[_upto(readings, rule, share) for share in shares]]
    sizes = np.diff(readings.bounds)
    if readings.counted:  # no time is common to the units
        return [[round(share * size) for share in shares] for size in sizes.tolist()]
    starts = readings.units.starts

    def before(time: np.datetime64) -> NDArray[np.int64]:
        ticks = (time - starts + readings.step - np.timedelta64(1, "us")) // readings.step
        return np.clip(ticks.astype(np.int64), 0, sizes)

    found = []
    for share in shares:
        low, high = starts.min(), (starts + sizes * readings.step).max()
        while share < 1 and high - low > readings.step:
            middle = low + (high - low) // 2
            enough = before(middle).sum() >= share * sizes.sum()
            low, high = (low, middle) if enough else (middle, high)
        found.append(before(high))
    return [list(each) for each in zip(*(counts.tolist() for counts in found), strict=True)]


def _before(readings: Readings, parts: PartsConfig, n: int) -> list[list[int]]:
    """Return the same where the test part begins at a time, the valid part a share before it."""
    text = str(parts.test_from)
    if readings.counted:
        if not text.isdecimal():
            raise ValueError(f"test_from must be a number, as readings are numbered, got {text!r}.")
        time = np.datetime64(int(text), "s").astype("datetime64[us]")
    else:
        time = parse_time(text)
    units, bounds = np.arange(readings.n_units), readings.bounds
    places = readings.positions(np.full(len(units), time), units) - bounds[:-1]
    seen = np.clip(places, 0, np.diff(bounds))
    if not seen.any() or (seen == np.diff(bounds)).all():
        raise ValueError(f"the readings are all {'before' if seen.any() else 'after'} {text}.")
    train = np.round(seen * (1 - parts.valid)).astype(np.int64)
    return [[int(a), int(b)][-n:] for a, b in zip(train, seen, strict=True)]


def _deal_parts(
    readings: Readings, parts: PartsConfig, kinds: NDArray[np.bool_]
) -> list[Part | None]:
    """Return the part of each unit: units with an event and without are drawn by themselves."""
    assert readings.units is not None
    names = readings.units.names
    part = np.full(len(names), "train", dtype="U5")
    unknown = [name for name in parts.test_units if name not in names]
    if unknown:
        raise ValueError(f"there is no unit {unknown[0]!r}; they are {listed(names.tolist())}.")
    part[np.isin(names, parts.test_units)] = "test"
    random = np.random.default_rng(parts.seed)
    shares = {"test": 0.0 if parts.test_units else parts.test, "valid": parts.valid}
    for name, share in shares.items():
        for has_event in (True, False):
            free = np.flatnonzero((part == "train") & (kinds[:, 0] == has_event))
            wanted = round(share * (kinds[:, 0] == has_event).sum())
            if share and has_event and not wanted:
                wanted = 1
            chosen = random.permutation(free)[: min(wanted, max(0, len(free) - 1))]
            part[chosen] = name
    return cast(list[Part | None], part.tolist())


def _upto(readings: Readings, rule: Rule, share: float) -> int:
    """Return the number of readings that hold a share of those that are not missing."""
    if share >= 1:
        return readings.n_timepoints
    channel = rule.watched(readings.channels)
    rows = slice(None) if channel is None else slice(channel, channel + 1)
    total = sum(int(_present(block[rows]).sum()) for _, block in readings.blocks())
    wanted = round(share * total)
    for start, block in readings.blocks():
        seen = np.cumsum(_present(block[rows]))
        if seen[-1] >= wanted:
            return start + int(np.searchsorted(seen, wanted)) + 1
        wanted -= int(seen[-1])
    return readings.n_timepoints


def _present(block: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(block).all(axis=0))


def settle(outcomes: NDArray[np.uint8], rule: Rule, region: Region, embargo: int) -> None:
    """Reject what reaches out of a region, then let the rest compete for readings."""
    inside = candidates_of(outcomes, rule, region)
    if region.part is None:
        cases = inside & (EVENT - 1) == _CASE
        inside[cases] += np.uint8(_NO_PART - _CASE)
        return
    first = -(-region.start // rule.stride)
    start = region.start + (embargo if region.start else 0)
    low = start + rule.window + rule.lead  # the first target whose window lies inside
    high = region.stop - rule.horizon  # the last target that does
    allowed = slice(max(0, -(-low // rule.stride) - first), max(0, high // rule.stride + 1 - first))
    kept = inside[allowed]
    for rest in (inside[: allowed.start], inside[allowed.stop :]):
        cases = rest & (EVENT - 1) == _CASE
        rest[cases] += np.uint8(_EMBARGO - _CASE)
    if not rule.overlap:
        compete(kept, rule, rule.seed + region.unit)


def candidates_of(outcomes: NDArray[np.uint8], rule: Rule, region: Region) -> NDArray[np.uint8]:
    """Return the outcomes of the candidates whose targets start in a region, as a view."""
    return outcomes[-(-region.start // rule.stride) : -(-region.stop // rule.stride)]


def draw_parts(problem: Problem, parts: PartsConfig) -> Problem:
    """Draw the parts at random, with the balance of the classes kept."""
    part = problem.part.copy()
    share_left = 1.0
    shares: dict[Part, float] = {"test": parts.test, "valid": parts.valid}
    for name, share in shares.items():
        if share:
            train = np.flatnonzero(part == PARTS.index("train"))
            try:
                chosen = splits.draw(
                    problem.y[train], share / share_left, group=None, ends=None, seed=parts.seed
                )
            except ValueError as error:
                raise ValueError(f"cannot draw a {name} part: {error}.") from error
            part[train[chosen]] = PARTS.index(name)
            share_left -= share
    return dataclasses.replace(problem, part=part)


FoldOf = Callable[[slice], NDArray[np.uint8]]
"""Gives the folds of some train cases, which come first; `NO_FOLD` for those in none."""


def folds_of(problem: Problem, parts: PartsConfig, embargo: int) -> FoldOf | None:
    """Divide the train part, which comes first, into folds, of time or of units.

    Parameters
    ----------
    problem
        With parts.
    parts
        How many folds, and by what.
    embargo
        Readings between two folds of time.

    Returns
    -------
    callable or None
        None where even two folds would lack a class.

    Raises
    ------
    ValueError
        A fold would lack a class, and that number of folds was asked for.
    """
    readings = problem.readings
    assert readings is not None
    by = parts.resolved(readings)
    of_units = by != "time" or (readings.counted and problem.unit is not None)
    n_train = problem.count("train")
    for number in range(5, 1, -1) if parts.folds is None else [parts.folds]:
        divide = _folds_of_units if of_units else _folds_of_time
        fold_of = divide(problem, number, embargo)
        counts = np.zeros((256, 2), np.int64)
        for start, stop in blocks(n_train, 1):
            some = slice(start, stop)
            kinds = fold_of(some).astype(np.int64) * 2 + (problem.y[some] > 0)
            counts += np.bincount(kinds, minlength=512).reshape(256, 2)
        if counts[:number].all():
            return fold_of
    if parts.folds is not None:
        raise ValueError(
            f"one of {parts.folds} folds of the train part would lack a class: use fewer folds, or"
            " a larger train part."
        )
    return None


def _folds_of_units(problem: Problem, number: int, embargo: int) -> FoldOf:
    """Deal whole units among the folds, those with most events first, each to the smallest."""
    readings, unit = problem.readings, problem.unit
    assert readings is not None and unit is not None
    n_cases, n_events = np.zeros((2, readings.n_units), np.int64)
    for start, stop in blocks(problem.count("train"), 1):
        own = unit[start:stop]
        n_cases += np.bincount(own, minlength=readings.n_units)
        n_events += np.bincount(own[problem.y[start:stop] > 0], minlength=readings.n_units)
    fold_of = np.full(readings.n_units, NO_FOLD, np.uint8)
    sizes = [(0, 0, code) for code in range(number)]  # events, cases; a heap
    for k in np.lexsort([-n_cases, -n_events]).tolist():
        if n_cases[k]:
            events, cases, code = sizes[0]
            fold_of[k] = code
            heapq.heapreplace(sizes, (events + int(n_events[k]), cases + int(n_cases[k]), code))
    return lambda some: fold_of[unit[some]]


def _folds_of_time(problem: Problem, number: int, embargo: int) -> FoldOf:
    """Make stretches of time folds, with about as many cases each and an embargo between them."""
    assert problem.readings is not None and problem.rule is not None and problem.ends is not None
    rule, step, n_train = problem.rule, problem.readings.step, problem.count("train")
    every = problem.ends[:n_train]
    ends = every if problem.unit is None else np.sort(every)
    apart = (rule.stretch + embargo) * step  # from the window's end before to the next's
    places = [max(0, n_train * code // number - 1) for code in range(1, number + 1)]
    stops = ends[places]
    starts = np.append(ends[:1], stops[:-1] + apart)

    def fold_of(some: slice) -> NDArray[np.uint8]:
        own = every[some]
        code = np.minimum(np.searchsorted(stops, own), number - 1)
        return np.where(own >= starts[code], code, NO_FOLD).astype(np.uint8)

    return fold_of
