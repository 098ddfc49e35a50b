"""Draw a part out of cases: by class, by group or by time."""

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foreshock.problems import PARTS, Part
from foreshock.problems.problem import NO_FOLD, Problem

KEPT = NO_FOLD - 1
"""Fold of a case that every member is trained on."""
_DRAWS = 200
"""Draws of whole groups, of which the one with the best balance is kept."""


def make_parts(
    problem: Problem, *, test: float | None = None, valid: float | None = None, seed: int = 0
) -> Problem:
    """Draw a missing test or valid part out of the train part.

    The cases of a group stay together. Where the cases have times, the latest become the new
    part (of groups, those that end last); else it is drawn at random with the balance of the
    classes kept.

    Parameters
    ----------
    problem
        A labelled problem.
    test
        Share of the train cases that becomes the test part; None leaves the part alone.
    valid
        Share of the train cases that then become the valid part; None leaves the part alone.
    seed
        Seed of the draw.

    Raises
    ------
    ValueError
        The part exists, the share is not between 0 and 1, or a class would be left out.
    """
    if test is not None:
        problem = _draw_part(problem, "test", test, seed)
    if valid is not None:
        problem = _draw_part(problem, "valid", valid, seed)
    return problem


def _draw_part(problem: Problem, name: Part, share: float, seed: int) -> Problem:
    existing = len(problem.select(name))
    if existing:
        raise ValueError(
            f"{problem.name} has a {name} part of {existing} cases already; leave --{name} out."
        )
    if not 0 < share < 1:
        raise ValueError(f"--{name} must be a share between 0 and 1, got {share}.")
    train = problem.select("train")
    if not problem.classes or len(train) < 2:
        raise ValueError(
            f"a {name} part needs at least two labelled train cases, but {problem.name} has fewer."
        )
    group = None if problem.group is None else problem.group[train]
    ends = None if problem.ends is None else problem.ends[train]
    if problem.rule is not None:
        raise ValueError(
            f"the cases of {problem.name} are cut from readings, so cases near each other must stay"
            f" in one part: cut the problem with --parts.{name} {share:g} instead."
        )
    try:
        chosen = draw(problem.y[train], share, group=group, ends=ends, seed=seed)
    except ValueError as error:
        raise ValueError(f"cannot draw a {name} part from {problem.name}: {error}.") from error
    part = problem.part.copy()
    part[train[chosen]] = PARTS.index(name)
    return replace(problem, part=part)


def resample(problem: Problem, seed: int) -> Problem:
    """Deal the parts anew: each keeps its size and how many cases of each class it has.

    This is how the archives' resamples are made, though not with their random numbers.

    Parameters
    ----------
    problem
        A labelled problem with a test part.
    seed
        Seed of the draw.

    Raises
    ------
    ValueError
        It has no test part, or its cases are not exchangeable: they are of groups or of times.
    """
    if problem.group is not None or problem.ends is not None:
        why = "times" if problem.group is None else "groups"
        raise ValueError(
            f"the cases of {problem.name} have {why}, which a resample would mix across parts:"
            " leave out --resamples."
        )
    if not problem.count("test"):
        raise ValueError(f"{problem.name} has no test part to resample: leave out --resamples.")
    random = np.random.default_rng(seed)
    part = problem.part.copy()
    for label in range(problem.n_classes):
        cases = np.flatnonzero(problem.y == label)
        part[cases] = random.permutation(part[cases])
    return replace(problem, part=part)


def draw(
    y: NDArray[np.int64],
    share: float,
    *,
    group: NDArray[np.str_] | None,
    ends: NDArray[np.datetime64] | None,
    seed: int,
) -> NDArray[np.int64]:
    """Choose the cases of a new part.

    Parameters
    ----------
    y
        Index of each case's class, (n_cases,).
    share
        Share of the cases to choose.
    group
        What each case belongs to, (n_cases,); a group is chosen as a whole.
    ends
        Time of each case's last reading, (n_cases,); the latest cases are chosen, and cases
        of one time together. None draws at random.
    seed
        Seed of the draw.

    Returns
    -------
    ndarray
        Positions of the chosen cases, (n_chosen,).

    Raises
    ------
    ValueError
        A class would be missing among the chosen or the other cases.
    """
    if ends is not None:
        chosen = _latest(share, group, ends)
    elif group is not None:
        chosen = _groups(y, share, group, seed)
    else:
        chosen = _stratified(y, share, seed)
    everything = np.unique(y)
    for what, part in (("new", y[chosen]), ("train", np.delete(y, chosen))):
        lacking = np.setdiff1d(everything, part)
        if len(lacking):
            raise ValueError(
                f"the {what} part would have {len(part)} cases and lack {len(lacking)} of"
                f" {len(everything)} classes; use another share, or more cases of each class"
            )
    return chosen


def member_folds(problem: Problem, number: int, seed: int) -> NDArray[np.uint8]:
    """Divide the train part into folds, one for each member of an ensemble to leave out.

    The problem's own folds of time where it has any, neighbours put together where there are more
    than are asked for; else whole groups, or stretches of time, where cases have those; else drawn
    at random with the balance of the classes kept.

    Parameters
    ----------
    problem
        A labelled problem.
    number
        Folds.
    seed
        Seed of the draw.

    Returns
    -------
    ndarray
        Fold of each case, (n_cases,); `NO_FOLD` for those of other parts, and for those too near
        to another fold to be told apart from it; `KEPT` for the only case of a class, where
        folds are drawn: all members need it. A member may then have none to leave out.

    Raises
    ------
    ValueError
        There cannot be so many folds, or a class would be in one of them alone.
    """
    train = problem.select("train")
    fold = np.full(problem.n_cases, NO_FOLD, np.uint8)
    if problem.fold is not None:
        inside = problem.fold != NO_FOLD
        known = int(problem.fold[inside].max()) + 1
        if number > known:
            raise ValueError(
                f"{problem.name} has only {known} folds of time: use at most as many members, or"
                f" cut it with --parts.folds {number}."
            )
        fold[inside] = problem.fold[inside].astype(np.int64) * number // known
        before, after = _neighbours(fold[train])
        fold[train] = np.where(before == after, before, fold[train])  # between two of one fold
    elif problem.rule is not None and problem.rule.overlap:
        raise ValueError(
            f"the cases of {problem.name} share readings and have no folds of time, so members"
            " cannot leave any out: cut it with --parts.folds, or into more cases."
        )
    else:
        fold[train] = _draw_folds(problem, train, number, seed)
    for k in range(number):
        lacking = np.setdiff1d(problem.y[train], problem.y[trained_by(fold, train, k)])
        if len(lacking):
            raise ValueError(
                f"one of {number} members would leave out all cases of class"
                f" {problem.classes[lacking[0]]!r} of {problem.name}: use fewer members, or more"
                " cases."
            )
        if not (fold == k).any() and not (fold == KEPT).any():
            raise ValueError(
                f"{problem.name} has only {len(train)} train cases, too few for {number} members:"
                " ask for fewer."
            )
    return fold


def trained_by(fold: NDArray[np.uint8], train: NDArray[np.int64], member: int) -> NDArray[np.int64]:
    """Return the train cases that a member is trained on: all but those of, or near to, its fold.

    Parameters
    ----------
    fold
        Fold of each case, as of `member_folds`.
    train
        Positions of the train cases, ascending.
    member
        The fold to leave out.
    """
    before, after = _neighbours(fold[train])
    rows: NDArray[np.int64] = train[(before != member) & (after != member)]
    return rows


def _neighbours(fold: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return of each case the fold of the nearest before, or it itself, that is in one, and after.

    `NO_FOLD` where there is none.
    """
    known, at = np.flatnonzero(fold != NO_FOLD), np.arange(len(fold))
    padded = np.concatenate([[NO_FOLD], fold[known], [NO_FOLD]]).astype(np.uint8)
    before = padded[np.searchsorted(known, at, side="right")]
    after = padded[np.searchsorted(known, at) + 1]
    return before, after


def _draw_folds(
    problem: Problem, train: NDArray[np.int64], number: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of each train case."""
    from sklearn.model_selection import StratifiedGroupKFold

    y = problem.y[train]
    if problem.group is None and problem.ends is not None and problem.rule is None:
        _, place = np.unique(problem.ends[train], return_inverse=True)
        order = np.argsort(place, kind="stable")
        at = np.empty(len(train), np.int64)
        at[order] = np.arange(len(train)) * number // len(train)
        first = np.full(place.max() + 1, number)  # cases of one time stay together
        np.minimum.at(first, place, at)
        folds: NDArray[np.int64] = first[place]
        return folds
    fold = np.empty(len(train), np.int64)
    if problem.group is None:
        shuffled = np.lexsort([np.random.default_rng(seed).random(len(y)), y])  # class by class
        alone = np.bincount(y)[y[shuffled]] == 1
        fold[shuffled[alone]] = KEPT
        fold[shuffled[~alone]] = np.arange((~alone).sum()) % number
        return fold
    group = problem.group[train]
    groups = len(np.unique(group))
    if groups < number:
        raise ValueError(
            f"cannot divide {problem.name} among {number} members: its train cases are of {groups}"
            " groups, which stay together. Use fewer members, or more groups."
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")
            kind = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
            draws = kind.split(y[:, None], y, group)
            for k, (_, chosen) in enumerate(draws):
                fold[chosen] = k
    except ValueError as error:
        raise ValueError(
            f"cannot divide {problem.name} among {number} members: {str(error).rstrip('.')}; use"
            " fewer."
        ) from error
    return fold


def _latest(
    share: float, group: NDArray[np.str_] | None, ends: NDArray[np.datetime64]
) -> NDArray[np.int64]:
    if group is not None:  # a group is as late as its latest case
        names, member = np.unique(group, return_inverse=True)
        latest = np.full(len(names), ends.min())
        np.maximum.at(latest, member, ends)
        ends = latest[member]
    times, counts = np.unique(ends, return_counts=True)
    sizes = np.cumsum(counts[::-1])[::-1]  # cases from each time on
    first = times[np.abs(sizes - share * len(ends)).argmin()]
    return np.flatnonzero(ends >= first)


def _groups(
    y: NDArray[np.int64], share: float, group: NDArray[np.str_], seed: int
) -> NDArray[np.int64]:
    from sklearn.model_selection import GroupShuffleSplit

    if len(np.unique(group)) < 2:
        raise ValueError("all cases are of one group, and groups stay together; remove the groups")
    wanted = share * np.bincount(y)
    draws = GroupShuffleSplit(n_splits=_DRAWS, test_size=share, random_state=seed).split(
        y, groups=group
    )
    candidates = [chosen for _, chosen in draws]
    off = [np.abs(np.bincount(y[c], minlength=len(wanted)) - wanted).sum() for c in candidates]
    return np.sort(candidates[int(np.argmin(off))])


def _stratified(y: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    from sklearn.model_selection import train_test_split

    try:
        _, chosen = train_test_split(
            np.arange(len(y)), test_size=share, random_state=seed, stratify=y
        )
    except ValueError as error:
        raise ValueError(f"{error}; use another share, or more cases of each class") from error
    return np.sort(chosen)
