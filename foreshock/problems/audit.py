"""What would make a score better than it is: the same readings, cases, groups in several parts."""

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import count_codes, sample
from foreshock._text import listed, p_value
from foreshock.problems import PARTS, Part
from foreshock.problems.fingerprints import case_digests
from foreshock.problems.overlaps import Matches, find_near_duplicates, find_overlaps
from foreshock.problems.problem import Problem
from foreshock.readings.series import Windows

_EXAMPLES = 5
_EXAMINED = 10**5
_BLOCK = 2**20
_SELDOM = 0.001


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Identical series within a part or across two."""

    parts: tuple[str, str]
    """The parts; one of them twice for duplicates within it."""
    cases: int
    """Number of cases of the second part that repeat an earlier case, or one of the first part."""
    examples: tuple[tuple[int, int], ...]
    """Positions in the problem of up to five pairs."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Cases of one part whose windows share readings with a case of another."""

    parts: tuple[str, str]
    """The parts."""
    cases: int
    """Number of cases of the second part that do."""
    examples: tuple[tuple[int, int], ...]
    """Positions in the problem of up to five pairs."""


@dataclass(frozen=True, kw_only=True)
class OutOfOrder:
    """Cases of a part to learn from that end after the first of a part to be judged on does."""

    parts: tuple[str, str]
    """The parts."""
    cases: int
    """Number of cases of the first part that do."""


@dataclass(frozen=True, kw_only=True)
class LabelShift:
    """A difference in the balance of the classes that chance seldom makes."""

    parts: tuple[str, str]
    """The parts."""
    label: str
    """The class whose share differs most."""
    shares: tuple[float, float]
    """Its share of each part."""
    p_value: float
    """Probability of such a difference between parts of one balance (chi-squared test)."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found; empty where all is well."""

    duplicates: tuple[Duplicates, ...]
    """Where identical series were found."""
    shared: tuple[Shared, ...]
    """Where readings stand in windows of two parts, by the times of the cases."""
    overlaps: tuple[Matches, ...]
    """Where series are windows over the same readings, by matching them; times being unknown."""
    near_duplicates: tuple[Matches, ...]
    """Where series of one part are nearly, not exactly, those of another."""
    groups_across_parts: tuple[str, ...]
    """Groups with cases in more than one part."""
    out_of_order: tuple[OutOfOrder, ...]
    """Where a part is not earlier than the next."""
    label_shifts: tuple[LabelShift, ...]
    """Where the balance of the classes differs between parts."""
    compared: int
    """How many of the cases were compared with each other: all, or a hundred thousand."""
    giveaways: int
    """Negative cases with an event in their window, where the rule lets no positive have one."""

    def findings(self) -> list[str]:
        """Return what was found, in sentences."""
        lines = []
        for twins in self.duplicates:
            first, second = twins.parts
            where = f"within {first}" if first == second else f"in both {first} and {second}"
            lines.append(f"identical series {where}: {twins.cases} cases{_such(twins.examples)}")
        for shared in self.shared:
            first, second = shared.parts
            lines.append(
                f"{shared.cases} {second} cases share readings with {first}{_such(shared.examples)}"
            )
        for found in self.overlaps:
            first, second = found.parts
            where = f"within {first}" if first == second else f"of {first} and {second}"
            shares = (f"{i} and {j} share {n}" for i, j, n in found.examples)
            lines.append(
                f"windows {where} that overlap: {found.pairs} pairs (such as"
                f" {', '.join(shares)} timepoints)"
            )
        for found in self.near_duplicates:
            first, second = found.parts
            pairs = tuple((i, j) for i, j, _ in found.examples)
            lines.append(f"{found.cases} {second} cases are nearly a case of {first}{_such(pairs)}")
        if self.groups_across_parts:
            lines.append(f"groups in more than one part: {listed(list(self.groups_across_parts))}")
        for late in self.out_of_order:
            first, second = late.parts
            lines.append(
                f"{late.cases} {first} cases end after the first {second} case does: a score on"
                f" {second} does not tell of what is to come"
            )
        for shift in self.label_shifts:
            (first, second), (here, there) = shift.parts, shift.shares
            lines.append(
                f"class '{shift.label}' has {here:.1%} of {first} and {there:.1%} of {second}"
                f" ({p_value(shift.p_value, named=True)}): the balance is not the same"
            )
        if self.giveaways:
            lines.append(
                f"{self.giveaways} cases without an event in the target have one in their window,"
                " and no case with an event may: a model can tell them apart by that alone"
                " (--rule.quiet-binds all leaves them out)"
            )
        return lines


def audit(problem: Problem) -> Audit:
    """Look for what would make a score better than the model is.

    Parameters
    ----------
    problem
        Any problem. Of more than a hundred thousand cases, so many that lie evenly among them are
        compared with each other.
    """
    across: list[str] = []
    if problem.group is not None:
        pairs = set(zip(problem.group.tolist(), problem.part.tolist(), strict=True))
        counted = Counter(group for group, _ in pairs)
        across = sorted(group for group, parts_of in counted.items() if parts_of > 1)
    overlaps: tuple[Matches, ...] = ()
    near_duplicates: tuple[Matches, ...] = ()
    if not isinstance(problem.X, Windows):
        overlaps = find_overlaps(problem.X, problem.part, PARTS)
        near_duplicates = find_near_duplicates(problem.X, problem.part, PARTS)
    return Audit(
        duplicates=find_duplicates(problem),
        shared=_shared(problem),
        overlaps=tuple(found for found in overlaps if found.pairs),
        near_duplicates=tuple(found for found in near_duplicates if found.pairs),
        groups_across_parts=tuple(across),
        out_of_order=_out_of_order(problem),
        label_shifts=_label_shifts(problem),
        compared=min(problem.n_cases, _EXAMINED),
        giveaways=_giveaways(problem),
    )


def _such(examples: tuple[tuple[int, int], ...]) -> str:
    return f" (such as {', '.join(f'{a} and {b}' for a, b in examples)})"


def _pairs(problem: Problem) -> list[tuple[Part, Part]]:
    present = [part for part in PARTS if problem.count(part)]
    return list(itertools.combinations(present, 2))


def _shared(problem: Problem) -> tuple[Shared, ...]:
    """Compare the places of windows in the readings; of other series nothing is said."""
    X = problem.X
    if not isinstance(X, Windows):
        return ()
    found = []
    for first, second in _pairs(problem):
        known, places = (X.take(problem.rows(part)) for part in (first, second))
        if X.unit is not None and not (_units(known) & _units(places)).any():
            continue
        before, reach = _places(known, slice(None))
        order = None if (before[1:] >= before[:-1]).all() else np.argsort(before, kind="stable")
        before = before if order is None else before[order]
        pairs: list[tuple[int, int]] = []
        cases = 0
        for start in range(0, len(places), _BLOCK):
            some, _ = _places(places, slice(start, start + _BLOCK))
            after = np.searchsorted(before, some)
            near = np.stack([np.clip(after - 1, 0, None), np.clip(after, None, len(before) - 1)])
            nearest = np.where(
                abs(before[near[0]] - some) <= abs(before[near[1]] - some), near[0], near[1]
            )
            sharing = np.flatnonzero(abs(before[nearest] - some) < reach)
            cases += len(sharing)
            for case in sharing[: _EXAMPLES - len(pairs)]:
                twin = nearest[case] if order is None else order[nearest[case]]
                pairs.append((_case(problem, first, twin), _case(problem, second, start + case)))
        if cases:
            found.append(Shared(parts=(first, second), cases=cases, examples=tuple(pairs)))
    return tuple(found)


def _units(windows: Windows) -> NDArray[np.bool_]:
    """Return which units some windows are of, (n_units,)."""
    found = np.zeros(windows.readings.n_units, np.bool_)
    assert windows.unit is not None
    for start in range(0, len(windows), _BLOCK):
        found[windows.unit[start : start + _BLOCK]] = True
    return found


def _places(windows: Windows, some: slice) -> tuple[NDArray[Any], Any]:
    """Return where windows end on one axis, and how near to each other they share readings.

    The axis is time, or where there are units the positions of the readings, those of each unit
    moved on so that none is near to another's.
    """
    n = windows.n_timepoints
    if windows.unit is None:
        return windows.ends[some], n * windows.readings.step
    return windows.last(some) + windows.unit[some] * np.int64(n), n


def _case(problem: Problem, part: Part, number: int) -> int:
    rows = problem.rows(part)
    return int(number + rows.start if isinstance(rows, slice) else rows[number])


def _out_of_order(problem: Problem) -> tuple[OutOfOrder, ...]:
    if problem.ends is None or problem.unit is not None:  # other units may be later
        return ()
    found = []
    for first, second in _pairs(problem):
        late = problem.ends[problem.rows(first)] > problem.ends[problem.rows(second)].min()
        if late.any():
            found.append(OutOfOrder(parts=(first, second), cases=int(late.sum())))
    return tuple(found)


def _label_shifts(problem: Problem) -> tuple[LabelShift, ...]:
    from scipy.stats import chi2_contingency

    if problem.n_classes < 2:
        return ()
    found, rule = [], problem.rule
    # of windows that overlap, as many as do not
    apart = -(-rule.stretch // rule.stride) if rule is not None and rule.overlap else 1
    for first, second in _pairs(problem):
        counts = np.stack(
            [
                count_codes(problem.y[problem.rows(part)][::apart], problem.n_classes)
                for part in (first, second)
            ]
        )
        there = counts[:, counts.sum(axis=0) > 0]
        if there.shape[1] < 2:
            continue
        p = float(chi2_contingency(there, correction=False).pvalue)
        if p < _SELDOM:
            shares = counts / counts.sum(axis=1, keepdims=True)
            label = int(np.abs(np.diff(shares, axis=0)).argmax())
            found.append(
                LabelShift(
                    parts=(first, second),
                    label=problem.classes[label],
                    shares=(float(shares[0, label]), float(shares[1, label])),
                    p_value=p,
                )
            )
    return tuple(found)


def _giveaways(problem: Problem) -> int:
    """Count negatives that the rule's quiet stretch, which binds positives only, gives away."""
    rule = problem.rule
    if rule is None or rule.quiet_binds == "all":
        return 0
    seen = min(rule.quiet - rule.lead, rule.window)  # of the window, what lies in the quiet stretch
    if seen <= 0:
        return 0
    chosen = sample(problem.n_cases, _EXAMINED)
    negative = chosen[problem.y[chosen] == 0]
    X = problem.X
    assert isinstance(X, Windows)
    last, found = X.last(negative), 0
    unit = X.readings.unit_at(last)
    for k in np.unique(unit).tolist():
        own = X.readings.unit(k)
        if problem.events is None:
            event = rule.occurs(own)
        else:
            times = problem.events
            if problem.event_unit is not None:
                times = times[problem.event_unit == k]
            at = own.positions(times)
            event = np.zeros(own.n_timepoints, np.bool_)
            event[at[(at >= 0) & (at < len(event))]] = True
        sums = np.append(0, np.cumsum(event))
        stop = last[unit == k] - X.readings.bounds[k] + 1
        found += int((sums[stop] > sums[np.maximum(stop - seen, 0)]).sum())
    return found


def find_duplicates(problem: Problem) -> tuple[Duplicates, ...]:
    """Find identical series, within each part and across each two.

    Of more than a hundred thousand cases, so many that lie evenly among them are compared.
    """
    chosen = sample(problem.n_cases, _EXAMINED)
    part = problem.part[chosen]
    series = problem.X.take(chosen) if isinstance(problem.X, Windows) else problem.X[chosen]
    digests = case_digests(series)
    found = []
    for a, first in enumerate(PARTS):
        known = np.flatnonzero(part == a)
        values, earliest = np.unique(digests[known], return_index=True)
        if not len(known):
            continue
        for b, second in list(enumerate(PARTS))[a:]:
            cases = np.flatnonzero(part == b)
            at = np.minimum(np.searchsorted(values, digests[cases]), len(values) - 1)
            twin = known[earliest[at]]
            again = (values[at] == digests[cases]) & (twin != cases)
            if again.any():
                pairs = chosen[np.stack([twin[again], cases[again]], axis=1)[:_EXAMPLES]].tolist()
                found.append(
                    Duplicates(
                        parts=(first, second),
                        cases=int(again.sum()),
                        examples=tuple((i, j) for i, j in pairs),
                    )
                )
    return tuple(found)
