"""How cases are divided: parts and folds as stretches of time with an embargo between them."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foreshock.events.labelling import compete
from foreshock.problems import PARTS, Part, splits
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.rule import EVENT, OUTCOMES, EventRule
from foreshock.readings.series import Readings

_CASE, _EMBARGO = OUTCOMES.index("case"), OUTCOMES.index("embargo")


@dataclass(frozen=True, kw_only=True)
class PartsConfig:
    """How cases are divided into parts and folds."""

    test: float = 0.3
    """Share of the readings for the test part: the latest, not counting gaps."""

    valid: float = 0.0
    """Share of the readings for the valid part: the latest before the test part."""

    embargo: int | None = None
    """Readings between two parts or folds that no case may use. Default: a window."""

    folds: int | None = None
    """Number of stretches of time to divide the train part into, with about as many cases each.
    Default: five, or fewer if a fold would lack a class."""

    order: Literal["time", "random"] = "time"
    """time: each part is a stretch of time. random: draw parts at random and keep the balance of
    classes, as the archives do; the score then says less about the future."""

    seed: int = 0
    """Seed of the random order."""

    def __post_init__(self) -> None:
        if not (self.test >= 0 and self.valid >= 0 and self.test + self.valid < 1):
            raise ValueError(
                "test and valid must be at least 0 and together below 1, got"
                f" {self.test} and {self.valid}."
            )
        if self.order == "random" and (self.embargo is not None or self.folds is not None):
            raise ValueError("embargo and folds need parts in order of time; leave them out.")
        if self.folds is not None and not 2 <= self.folds < NO_FOLD:
            raise ValueError(f"folds must be between 2 and {NO_FOLD - 1}, got {self.folds}.")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}.")


@dataclass(frozen=True)
class Region:
    """A stretch of readings that a part lies in."""

    part: Part
    start: int
    stop: int


def embargo_of(rule: EventRule, parts: PartsConfig) -> int:
    """Return the readings between parts, and refuse what would let cases be seen in training."""
    embargo = rule.window if parts.embargo is None else parts.embargo
    if embargo < rule.window:
        raise ValueError(
            f"embargo must be at least a window, {rule.window} readings, got {embargo}."
        )
    if parts.order == "random" and rule.overlap:
        raise ValueError(
            "random parts need cases that share no readings: leave out overlap, or divide by time."
        )
    return embargo


def regions_of(readings: Readings, rule: EventRule, parts: PartsConfig) -> list[Region]:
    """Divide the readings by shares of those that are there."""
    if parts.order == "random":
        return [Region("train", 0, readings.n_timepoints)]
    n_train = _upto(readings, rule, 1 - parts.test - parts.valid)
    n_seen = _upto(readings, rule, 1 - parts.test)
    bounds: list[tuple[Part, int, int]] = [
        ("train", 0, n_train),
        ("valid", n_train, n_seen),
        ("test", n_seen, readings.n_timepoints),
    ]
    shares = (1.0, parts.valid, parts.test)
    return [Region(*bound) for bound, share in zip(bounds, shares, strict=True) if share]


def _upto(readings: Readings, rule: EventRule, share: float) -> int:
    """Return the number of readings that hold a share of those that are not missing."""
    if share >= 1:
        return readings.n_timepoints
    channel = rule.watched(readings.channels)
    total = sum(int((~np.isnan(block[channel])).sum()) for _, block in readings.blocks())
    wanted = round(share * total)
    for start, block in readings.blocks():
        seen = np.cumsum(~np.isnan(block[channel]))
        if seen[-1] >= wanted:
            return start + int(np.searchsorted(seen, wanted)) + 1
        wanted -= int(seen[-1])
    return readings.n_timepoints


def settle(outcomes: NDArray[np.uint8], rule: EventRule, region: Region, embargo: int) -> None:
    """Reject what reaches out of a region, then let the rest compete for readings."""
    inside = candidates_of(outcomes, rule, region)
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
        compete(kept, rule, rule.seed)


def candidates_of(
    outcomes: NDArray[np.uint8], rule: EventRule, region: Region
) -> NDArray[np.uint8]:
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


def folds_of(problem: Problem, parts: PartsConfig, embargo: int) -> list[tuple[int, int]]:
    """Divide the train part, which comes first, into folds of time.

    Returns
    -------
    list of (start, stop)
        The first case of each fold and the one after its last; empty where even two folds
        would lack a class.

    Raises
    ------
    ValueError
        A fold would lack a class, and that number of folds was asked for.
    """
    for number in range(5, 1, -1) if parts.folds is None else [parts.folds]:
        bounds = _fold_bounds(problem, number, embargo)
        if all(0 < problem.y[start:stop].sum() < stop - start for start, stop in bounds):
            return bounds
    if parts.folds is not None:
        raise ValueError(
            f"one of {parts.folds} folds of the train part would lack a class: use fewer folds, or"
            " a larger train part."
        )
    return []


def _fold_bounds(problem: Problem, number: int, embargo: int) -> list[tuple[int, int]]:
    """Return the first case of each fold and the one after its last, an embargo between folds."""
    assert problem.readings is not None and problem.rule is not None and problem.ends is not None
    rule, step, n_train = problem.rule, problem.readings.step, problem.count("train")
    ends = problem.ends[:n_train]
    bounds = []
    for code in range(number):
        start, stop = (n_train * c // number for c in (code, code + 1))
        if start:
            apart = rule.stretch + embargo  # readings from the window's end before to the next's
            start = int(np.searchsorted(ends, ends[start - 1] + apart * step))
        bounds.append((start, max(start, stop)))
    return bounds
