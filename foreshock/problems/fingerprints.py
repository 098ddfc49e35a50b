"""Hashes by which a problem and its cases are known again."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import chunks, sample
from foreshock._time import format_time, parse_time
from foreshock.problems import Part
from foreshock.problems.problem import Problem
from foreshock.problems.store import content_hash
from foreshock.readings.series import Series, Windows

_BLOCK = 2**20
_MOST_STRETCHES = 10**5
_REMEMBERED = 10**5


def digest(problem: Problem) -> str:
    """Hash what a problem holds, whatever its name, as the text of a sha256."""
    head: list[Any] = [problem.X.shape, problem.classes, problem.channels]
    if problem.offset is not None:
        head.append(problem.offset.tolist())
    if isinstance(problem.X, Windows):  # the windows themselves may be a thousand times as much
        head += [content_hash(problem.X.readings.values), content_hash(problem.X.ends)]
        if problem.unit is not None:
            head.append(content_hash(problem.unit))
    result = hashlib.sha256(json.dumps(head).encode())
    if not isinstance(problem.X, Windows):
        for _, chunk in chunks(problem.X):
            result.update(canonical(chunk).tobytes())
    result.update(np.ascontiguousarray(problem.y, "<i8").data)
    result.update(np.ascontiguousarray(problem.part).data)
    return result.hexdigest()


def case_digests(X: Series) -> NDArray[np.uint64]:
    """Hash each case, (n_cases,), so that equal cases have equal hashes."""
    digests = np.empty(len(X), dtype=np.uint64)
    for start, chunk in chunks(X):
        for i, case in enumerate(canonical(chunk), start):
            digests[i] = int.from_bytes(hashlib.blake2b(case, digest_size=8).digest(), "little")
    return digests


def case_hashes(take: Callable[[NDArray[np.int64]], Series], n_cases: int) -> list[str]:
    """Hash cases by which they are known again, or a hundred thousand that lie evenly among them.

    `take` gives the cases at some positions.
    """
    chosen = sample(n_cases, _REMEMBERED)
    return [
        f"{digest:016x}"
        for start in range(0, len(chosen), 1024)
        for digest in case_digests(take(chosen[start : start + 1024]))
    ]


def stretches_of(problem: Problem, parts: Sequence[Part]) -> dict[str, Any] | None:
    """Return which readings the cases of some parts hold, to find others that share them.

    Returns
    -------
    dict or None
        When the first of them was, the hash of all from it to the last, and the stretches [first,
        one past the last] that windows cover, counted from it. None of cases without readings.
    """
    readings = problem.readings
    if readings is None or not isinstance(problem.X, Windows):
        return None
    found: list[list[int]] = []
    for part in parts:
        windows = problem.X.take(problem.rows(part))
        for start in range(0, len(windows), _BLOCK):
            stop = np.sort(windows.last(slice(start, start + _BLOCK))) + 1
            begin = stop - problem.n_timepoints
            new = begin[1:] > stop[:-1]  # no window covers what lies between
            pairs = begin[np.append(True, new)], stop[np.append(new, True)]
            found += np.stack(pairs, axis=1).tolist()
    merged: list[list[int]] = []
    for first, last in sorted(found):
        if merged and (first <= merged[-1][1] or len(merged) >= _MOST_STRETCHES):
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    low, high = merged[0][0], merged[-1][1]
    if readings.units is not None:  # known again as a whole
        low, high = 0, readings.n_timepoints
    offset = {} if readings.offset is None else {"offset": readings.offset.tolist()}
    return offset | {
        "from": format_time(readings.times(low)),
        "step": readings.step_text,
        "sha256": content_hash(readings.values[:, low:high]),
        "stretches": [[first - low, last - low] for first, last in merged],
    }


def count_known(
    problem: Problem,
    cases: NDArray[np.int64],
    take: Callable[[NDArray[np.int64]], Series],
    stored: dict[str, Any],
) -> tuple[int, int]:
    """Count the cases that a run, or one it began from, was trained on or shares readings with.

    Parameters
    ----------
    problem : Problem
        Where the cases are.
    cases : ndarray of shape (n_cases,)
        Their positions.
    take : callable
        Gives those at some places in `cases`, as the run's problem holds them.
    stored : dict
        Content of the run's problem.json.

    Returns
    -------
    tuple of int
        How many, at least, and of how many that were compared.
    """
    chain = [stored]
    while chain[-1].get("from") is not None:
        chain.append(chain[-1]["from"])
    stretches = [each["stretches"] for each in chain if each.get("stretches") is not None]
    sharing = [count_sharing(problem, cases, each) for each in stretches]
    found = [count for count in sharing if count is not None]
    if found:
        return max(found), len(cases)
    learnt = {case for each in chain for case in each["trained_on"]}
    hashes = case_hashes(take, len(cases))
    return sum(case in learnt for case in hashes), len(hashes)


def count_sharing(
    problem: Problem, cases: NDArray[np.int64], stretches: dict[str, Any]
) -> int | None:
    """Count the cases that share readings with those of `stretches_of`; None of other readings."""
    readings = problem.readings
    if (
        readings is None
        or not isinstance(problem.X, Windows)
        or stretches["step"] != readings.step_text
    ):
        return None
    if "offset" in stretches and len(stretches["offset"]) != readings.n_channels:
        return None
    bounds = np.array(stretches["stretches"], np.int64)  # (n_stretches, 2)
    begin = parse_time(stretches["from"].removesuffix("Z"))
    low, high = 0, readings.n_timepoints
    if readings.units is None:
        low = int(readings.positions(np.array([begin]))[0])
        high = low + int(bounds[-1, 1])
    if low < 0 or high > readings.n_timepoints or readings.times(low) != begin:
        return None
    kept = np.array(stretches["offset"]) if "offset" in stretches else None
    part = replace(readings, values=readings.values[:, low:high], units=None).less(kept)
    if content_hash(part.values) != stretches["sha256"]:
        return None
    sharing = 0
    for start in range(0, len(cases), _BLOCK):
        stop = problem.X.last(cases[start : start + _BLOCK]) + 1 - low
        nearest = np.searchsorted(bounds[:, 0], stop) - 1  # the last that begins before they end
        sharing += int(((nearest >= 0) & (bounds[nearest, 1] > stop - problem.n_timepoints)).sum())
    return sharing


def canonical(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy with one bit pattern for each value: one NaN, no negative zero, little-endian."""
    return np.where(np.isnan(X), np.float32(np.nan), X + np.float32(0)).astype("<f4", order="C")
