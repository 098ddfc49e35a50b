"""From readings to a labelled early-warning problem: cut windows, divide them, account for all."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock._arrays import count_codes, is_masked
from foreshock._text import listed
from foreshock.events.labelling import Listed, blocks, count_missed, history_of, judge
from foreshock.events.partition import (
    PartsConfig,
    Region,
    candidates_of,
    draw_parts,
    embargo_of,
    folds_of,
    regions_of,
    settle,
)
from foreshock.problems import PARTS, store
from foreshock.problems import problem as problems
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.rule import (
    EVENT,
    OUTCOMES,
    Candidates,
    EventRule,
    Rule,
    explain,
    resolve,
)
from foreshock.readings.series import Readings, Windows

logger = logging.getLogger(__name__)

CLASSES = ("no", "yes")
LISTED = 10**6
"""Most candidates that are all listed."""
DEFAULT_RULE, DEFAULT_PARTS = EventRule(), PartsConfig()
_CASE = OUTCOMES.index("case")
_ORDER = {part: code for code, part in enumerate((*PARTS, None))}
Allocate = Callable[[str, tuple[int, ...], str], NDArray[Any]]


def cut(
    readings: Readings,
    rule: EventRule = DEFAULT_RULE,
    parts: PartsConfig = DEFAULT_PARTS,
    *,
    events: ArrayLike | Literal["end"] | None = None,
    event_units: ArrayLike | None = None,
    ended_early: Sequence[str] = (),
    name: str = "readings",
    folder: str | Path | None = None,
) -> Problem:
    """Cut readings into the cases of a problem that asks whether an event is about to happen.

    Parameters
    ----------
    readings
        What was measured.
    rule
        What an event is, and what becomes a case.
    parts
        How the cases are divided.
    events
        Times of the events, `datetime64` or what makes it, such as those of a log of failures,
        instead of the rule's threshold; numbers where readings are numbered. They may lie past a
        unit's last reading: its fate is then known. Or "end": each unit ran until it failed, at its
        last reading.
    event_units
        Names of the units whose events these are, (n_events,), where there are several.
    ended_early
        Units that ended before they failed, with "end": their names, or that of a channel whose
        last reading is not 0 there.
    name
        Name of the problem.
    folder
        A new folder to put the problem into; its arrays are memory-mapped, so that they may be
        larger than memory. Without it they are in memory.

    Returns
    -------
    Problem
        Of the classes no and yes, part by part and there unit by unit, in the order of time. `X`
        are windows over the readings, not copies; `candidates` says of each possible case what
        became of it.

    Raises
    ------
    ValueError
        There are no events, or a part or fold would lack a class; with what to change.
    """
    if is_masked(events):
        raise ValueError("some of the events are masked: leave them out.")
    rule = resolve(rule, readings, listed=events is not None)
    marks = _listed(readings, events, event_units, ended_early)
    least = max(rule.window + rule.lead, rule.quiet) + (rule.horizon if marks is None else 1)
    longest = int(np.diff(readings.bounds).max())
    if longest < least:
        whose = "" if readings.units is None else " of one unit"
        raise ValueError(
            f"a case and the quiet stretch before it need {least} readings{whose}, got {longest}:"
            " give more readings or a shorter window."
        )
    embargo = embargo_of(rule, parts)
    states = rule.states(readings) if rule.ask != "event" else ()
    outcomes, sizes, answers = [], [], []
    missed = total = 0
    for k in range(readings.n_units):
        known = history_of(readings, rule, marks, k, states)
        answers.append(known.answers)
        if rule.stride > rule.horizon:
            lost, of = count_missed(rule, known)
            missed, total = missed + lost, total + of
        outcomes.append(judge(readings.unit(k), rule, known))
        sizes.append(known.size)
    if rule.stride > rule.horizon:
        logger.warning(
            "%d of %d events lie between targets, which stand %d readings apart and reach %d.",
            missed, total, rule.stride, rule.horizon,
        )  # fmt: skip
    kinds = np.array([[(of == _CASE + EVENT).any(), (of == _CASE).any()] for of in outcomes])
    regions = regions_of(readings, rule, parts, sizes, kinds)
    for region in regions:
        settle(outcomes[region.unit], rule, region, embargo)
    if states:
        _check_states(outcomes, rule, answers, states, regions)
    else:
        _check_classes(outcomes, rule, readings, regions)
    place = nullcontext(None) if folder is None else store.building(Path(folder))
    with place as builder:
        allocate = _in_memory if builder is None else builder.allocate
        problem = _gather(readings, rule, outcomes, regions, allocate, name, answers, states)
        if parts.order == "random":
            problem = draw_parts(problem, parts)
        else:
            fold_of = folds_of(problem, parts, embargo)
            if fold_of is not None:
                fold = allocate("fold", (problem.n_cases,), "uint8")
                fold[:] = NO_FOLD
                for start, stop in blocks(problem.count("train"), 1):
                    fold[start:stop] = fold_of(slice(start, stop))
                problem = replace(problem, fold=fold)
        if marks is not None:
            problem = replace(problem, events=marks.times, event_unit=marks.unit)
        if builder is not None:
            builder.finish(*problems.to_store(problem))
    return problem if folder is None else problems.load(folder)


def rankings(problem: Problem, cases: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return what else the cases of a problem may be ranked by, if a simulation knows it."""
    return {} if problem.chance is None else {"true probability": problem.chance[cases]}


def _listed(
    readings: Readings,
    events: ArrayLike | Literal["end"] | None,
    units: ArrayLike | None,
    ended_early: Sequence[str],
) -> Listed | None:
    """Return listed events in order, their times on the clock of the readings."""
    if isinstance(events, str) and events == "end":
        return _ends(readings, ended_early)
    if ended_early:
        raise ValueError(
            "units that ended early are for events at the units' ends: --events end (in Python"
            ' events="end").'
        )
    if events is None:
        if units is not None:
            raise ValueError("event_units are the units of listed events: give these, too.")
        return None
    times = _times(readings, events)
    if np.isnat(times).any():
        raise ValueError(f"event {int(np.isnat(times).argmax())} has no time; leave it out.")
    unit, inside = np.zeros(len(times), np.int32), np.ones(len(times), np.bool_)
    starts = np.array([readings.start])
    if readings.units is not None:
        unit, inside = _units_of(readings, times, units)
        starts = readings.units.starts
    whose = None if readings.units is None else unit
    positions = readings.positions(times, whose)
    inside &= times >= starts[unit]
    if readings.units is None and not readings.counted:
        inside &= positions < readings.n_timepoints
    if not inside.any():
        last = readings.times(readings.n_timepoints - 1)
        raise ValueError(
            f"none of the {len(times)} listed events lies within the readings,"
            f" {readings.tell(readings.start)} to {readings.tell(last)}."
        )
    if not inside.all():
        logger.warning("%d of the listed events lie outside the readings.", (~inside).sum())
    pairs = np.unique(np.stack([unit, positions], axis=1)[inside], axis=0)
    found = None if readings.units is None else pairs[:, 0].astype(np.int32)
    return Listed(readings.times(pairs[:, 1], found), found)


def _times(readings: Readings, events: ArrayLike) -> NDArray[np.datetime64]:
    """Return times, or the numbers of readings as times."""
    values = np.asarray(events)
    if readings.counted and values.dtype.kind in "iuf":
        return np.datetime64(0, "us") + values.astype(np.int64) * np.timedelta64(10**6, "us")
    return values.astype("datetime64[us]")


def _units_of(
    readings: Readings, times: NDArray[np.datetime64], units: ArrayLike | None
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the unit of each event, and which are of units that there are."""
    assert readings.units is not None
    if units is None:
        raise ValueError(
            "the readings are of several units: the list of events needs a column with the name of"
            " each one's unit (--log.unit-column, event_units)."
        )
    names = np.asarray(units, np.str_)
    if names.shape != times.shape:
        raise ValueError(f"event_units must be {len(times)} names, got {names.shape}.")
    order = np.argsort(readings.units.names)
    known = readings.units.names[order]
    at = np.minimum(np.searchsorted(known, names), len(known) - 1)
    return order[at].astype(np.int32), np.asarray(known[at] == names)


def _ends(readings: Readings, ended_early: Sequence[str]) -> Listed:
    """Return the last readings of the units that did not end early."""
    if readings.units is None:
        raise ValueError(
            "the end of a single unit is one event, too few to learn from: the end is for logs of"
            " several units (--log.unit-column, --log.files units)."
        )
    last = readings.bounds[1:] - 1
    names = readings.units.names
    early = np.isin(names, list(ended_early))
    unknown = [name for name in ended_early if name not in names]
    for channel in unknown:
        if channel not in readings.channels:
            raise ValueError(
                f"ended_early has {channel!r}, which is neither a unit nor a channel; the units are"
                f" {listed(names.tolist())}."
            )
        row = readings.channels.index(channel)
        off = 0.0 if readings.offset is None else readings.offset[row]
        early |= np.nan_to_num(readings.values[row, last] + off) != 0
    failed = np.flatnonzero(~early)
    if not len(failed):
        raise ValueError("all units ended early: there is no event.")
    whose = failed.astype(np.int32)
    return Listed(readings.times(last[failed], whose), whose)


def _check_classes(
    outcomes: list[NDArray[np.uint8]],
    rule: Rule,
    readings: Readings,
    regions: list[Region],
) -> None:
    """Refuse a part that lacks a class, saying what became of its cases."""
    for part in PARTS:
        own = [region for region in regions if region.part == part]
        if not own:
            continue
        counts = _count([candidates_of(outcomes[r.unit], rule, r) for r in own])
        positives, negatives = counts["case"]
        if positives and negatives:
            continue
        which = 1 if positives else 0
        rejected = {k: n[which] for k, n in counts.items() if k != "case" and n[which]}
        where = f"the {part} part" if len({r.part for r in regions}) > 1 else "the problem"
        if readings.units is None:
            begin, end = readings.times(own[0].start), readings.times(own[-1].stop - 1)
            where += f" ({readings.tell(begin)} to {readings.tell(end)})"
        if not rejected:
            what = (
                f"no reading of {rule.channel!r} there is at least {rule.event_above:g}: lower"
                " event_above, or use another share of the time"
                if not which and rule.event_above is not None
                else "there is none: use another share (--parts.test)"
            )
        else:
            said = ", ".join(f"{n:,} {explain(k, rule)}" for k, n in rejected.items())
            option = _LOOSEN.get(max(rejected, key=lambda k: rejected[k]))
            hint = f"loosen {option}" if option else "loosen the rule"
            what = f"rejected: {said}; {hint}, or use another share of the time"
        raise ValueError(f"{where} has no case {'without' if which else 'with'} an event; {what}.")


def _check_states(
    outcomes: list[NDArray[np.uint8]],
    rule: Rule,
    answers: list[NDArray[np.int16] | None],
    states: tuple[str, ...],
    regions: list[Region],
) -> None:
    """Refuse a part of one state alone, and a train part that lacks one to warn of."""
    for part in PARTS:
        own = [region for region in regions if region.part == part]
        counts = np.zeros(len(states), np.int64)
        for region in own:
            codes = candidates_of(outcomes[region.unit], rule, region)
            first = -(-region.start // rule.stride)
            target = (np.flatnonzero(codes & (EVENT - 1) == _CASE) + first) * rule.stride
            answer = answers[region.unit]
            assert answer is not None
            counts += np.bincount(answer[target], minlength=len(states))
        if own and np.count_nonzero(counts) < 2:
            raise ValueError(
                f"the {part} part has cases of {np.count_nonzero(counts)} of the states"
                f" {listed(states)}: use another share (--parts.test), or a shorter --rule.window."
            )
        lacking = [state for state in rule.event_state if not counts[states.index(state)]]
        if own and part == "train" and lacking:
            raise ValueError(
                f"the train part has no case of {lacking[0]!r}: use another share (--parts.test)."
            )


_LOOSEN = {
    "too early": "--rule.window",
    "gap in target": "--rule.max-missing-target",
    "between": "--rule.calm-below",
    "gap": "--rule.max-missing",
    "event before": "--rule.quiet",
    "inactive": "--rule.min-active",
    "embargo": "--rule.window",
    "overlap": "--rule.overlap",
}
"""Which option lets more candidates of an outcome become cases."""


def _count(outcomes: list[NDArray[np.uint8]]) -> dict[str, tuple[int, int]]:
    """Count outcomes, with an event and without."""
    counts = np.sum([count_codes(of, 256) for of in outcomes], axis=0)
    return {
        name: (int(counts[code + EVENT]), int(counts[code])) for code, name in enumerate(OUTCOMES)
    }


def _in_memory(name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return np.empty(shape, dtype)


def _gather(
    readings: Readings,
    rule: Rule,
    outcomes: list[NDArray[np.uint8]],
    regions: list[Region],
    allocate: Allocate,
    name: str,
    answers: list[NDArray[np.int16] | None],
    states: tuple[str, ...],
) -> Problem:
    """Make the problem of the candidates that became cases."""
    counts = _count(outcomes)
    n_cases, n_candidates = sum(counts["case"]), sum(map(len, outcomes))
    single = readings.units is None
    ends = allocate("ends", (n_cases,), "datetime64[us]")
    y = allocate("y", (n_cases,), "int64")
    part = allocate("part", (n_cases,), "uint8")
    unit = None if single else allocate("unit", (n_cases,), "int32")
    filled = 0
    firsts = readings.bounds
    for region in sorted(regions, key=lambda of: (_ORDER[of.part], of.unit, of.start)):
        k, codes = region.unit, candidates_of(outcomes[region.unit], rule, region)
        first = -(-region.start // rule.stride)
        for start, stop in blocks(len(codes), rule.stride):
            found = np.flatnonzero(codes[start:stop] & (EVENT - 1) == _CASE)
            target = (found + start + first) * rule.stride
            here = slice(filled, filled + len(found))
            ends[here] = readings.times(firsts[k] + target - rule.lead - 1, k)
            answer = answers[k]
            y[here] = codes[start:stop][found] >= EVENT if answer is None else answer[target]
            part[here] = _ORDER[region.part]
            if unit is not None:
                unit[here] = k
            filled += len(found)
    listed: list[tuple[NDArray[np.datetime64], NDArray[np.uint8], NDArray[np.int32]]] = []
    for k, codes in enumerate(outcomes):
        some = np.arange(len(codes))
        if n_candidates > LISTED:
            some = np.flatnonzero((codes >= EVENT) & (codes != _CASE + EVENT))
        times = readings.times(firsts[k] + some * rule.stride, k)
        listed.append((times, codes[some], np.full(len(some), k, np.int32)))
    times, shown, whose = (np.concatenate(each) for each in zip(*listed, strict=True))
    return Problem(
        name=name,
        X=Windows(readings, ends, rule.window, unit, rule.inputs or None),
        y=y,
        part=part,
        classes=states or CLASSES,
        channels=rule.inputs or readings.channels,
        ends=ends,
        rule=rule,
        candidates=Candidates(
            times=times, outcomes=shown, counts=counts, unit=None if single else whose
        ),
    )
