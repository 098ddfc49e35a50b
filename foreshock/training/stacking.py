"""Fit the heads of windows of readings, and weigh them by cases that they were not trained on.

Regressions and trees on the summary of each window come first, penalties and shares chosen by
folds. The network is then trained on what these leave unexplained, without one fold, and this fold
says how much of it to believe.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from foreshock._arrays import count_codes, sample
from foreshock.nn.model import LSTMFCN, Cases
from foreshock.nn.trees import DEPTH, Trees
from foreshock.nn.window_summary import log_odds
from foreshock.problems.problem import NO_FOLD, Problem

MOST = 2**15
"""Most cases that the heads of windows are fitted to: overlapping ones say little more."""
_FOLDS = 5
"""Folds where a problem has none of its own."""
_GROWN = 2**13
"""Most cases that trees are grown on."""
_CHUNK = 2**22
"""Values of the windows that are summarised at a time."""
_PENALTIES = np.logspace(-4.5, 0.5, 8)
"""What the loss counts beside the squares of the weights (scikit-learn's C), ascending."""
_GATES = np.linspace(0, 1, 21)
_SHARES = np.linspace(0, 1, 11)


def thinned(y: NDArray[np.int64], most: int = MOST) -> NDArray[np.int64]:
    """Return the positions of at most so many cases, even over time, as balanced as there are.

    Classes with fewer cases than an equal share are kept whole, so that what is left out is what is
    plentiful.
    """
    if len(y) <= most:
        return np.arange(len(y))
    counts = count_codes(y, int(y.max()) + 1)
    left, kept = most, np.zeros_like(counts)
    for i, label in enumerate(np.argsort(counts, kind="stable")):
        kept[label] = min(counts[label], left // (len(counts) - i))
        left -= kept[label]
    of_class = [np.flatnonzero(y == label) for label in range(len(counts))]
    return np.sort(
        np.concatenate([at[sample(len(at), n)] for at, n in zip(of_class, kept, strict=True)])
    )


def represented(y: NDArray[np.int64], some: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return how many of all cases each of some stands for, by its class."""
    n_classes = int(y.max()) + 1
    every, kept = count_codes(y, n_classes), count_codes(y[some], n_classes)
    shares: NDArray[np.float32] = (every / np.maximum(kept, 1)).astype(np.float32)
    return shares[y[some]]


def inner_folds(problem: Problem, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the fold of each of some train cases; `NO_FOLD` for those between two.

    The problem's own if there are several among them, else groups, else stretches of the cases as
    they lie.
    """
    if problem.fold is not None:
        fold = problem.fold[rows]
        if len(np.unique(fold[fold != NO_FOLD])) > 1:
            return fold
    if problem.group is not None:
        _, number = np.unique(problem.group[rows], return_inverse=True)
        return (number % _FOLDS).astype(np.uint8)
    fold = np.empty(len(rows), np.uint8)
    order = np.arange(len(rows)) if problem.ends is None else np.argsort(problem.ends[rows])
    for code, part in enumerate(np.array_split(order, _FOLDS)):
        fold[part] = code
    return fold


def judge(y: NDArray[np.int64], fold: NDArray[np.uint8]) -> int | None:
    """Return the last fold without which, and in which, there are all classes; None: no such."""
    for code in np.unique(fold[fold != NO_FOLD])[::-1].tolist():
        held, rest = y[fold == code], y[(fold != code) & (fold != NO_FOLD)]
        if len(np.unique(held)) == len(np.unique(rest)) == len(np.unique(y)):
            return int(code)
    return None


def summaries(model: LSTMFCN, X: Cases) -> torch.Tensor:
    """Return the numbers (n_cases, n_features) that summarise cases."""
    summary = model.summary
    assert summary is not None
    device = model.head.weight.device
    size = max(1, _CHUNK // (model.n_channels * model.n_timepoints))
    with torch.inference_mode():
        found = [
            summary.numbers(
                model.views.scale(
                    torch.from_numpy(X[np.arange(i, min(i + size, len(X)))]).to(device)
                )
            )
            for i in range(0, len(X), size)
        ]
        return torch.cat(found)


@dataclass(frozen=True, eq=False)
class SummaryFit:
    """What came of fitting the regressions."""

    left_out: NDArray[np.float32]
    """Logits (n_cases, n_classes) of each case, by regressions that its fold was left out of; where
    it is in none, by those on all."""

    penalties: tuple[float, float]
    """scikit-learn's C of the regression on levels and of that on ranks."""

    ranks: float
    """Share of the ranks in the logits of the two, from 0 to 1."""

    trees: float
    """Share of the trees in the logits of all, from 0 to 1."""


def fit_summary(
    model: LSTMFCN,
    X: Cases,
    y: NDArray[np.int64],
    fold: NDArray[np.uint8],
    weights: NDArray[np.float32],
) -> SummaryFit:
    """Fit the heads of a network's summary in place, by the loss on folds left out.

    One regression is on levels, one on ranks, and trees are on levels; the logits are a mean of
    theirs. Penalties and shares are those of the least loss.

    Parameters
    ----------
    model : LSTMFCN
        Its views are fitted.
    X, y : Cases and array of shape (n_cases,)
        Training cases, as many as `thinned` leaves, and their classes as indices.
    fold : array of shape (n_cases,)
        As of `inner_folds`.
    weights : array of shape (n_cases,)
        What each case's loss counts.
    """
    summary = model.summary
    assert summary is not None
    numbers = summaries(model, X)
    summary.fit_scale(numbers)
    z = summary.features(numbers).cpu().double().numpy()  # (n_cases, 2 n_features)
    of_levels, of_ranks = np.split(z, 2, axis=1)
    levels, ranks = (
        _fit_regression(each, y, fold, weights / weights.mean(), model.n_classes)
        for each in (of_levels, of_ranks)
    )
    asked = levels.asked

    def share(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        """Return how much of the other makes the least loss."""
        mixed = (((1 - s) * one + s * other)[asked] for s in _SHARES)
        return float(_SHARES[np.argmin([_loss(m, y[asked], weights[asked]) for m in mixed])])

    of_two = share(levels.logits, ranks.logits) if asked.any() else 0.5
    logits = (1 - of_two) * levels.logits + of_two * ranks.logits
    of_all = 0.0
    if summary.trees is not None and asked.any():
        said = _fit_trees(summary.trees, of_levels, y, fold, weights, model.seed)
        of_all = share(logits, said)
        logits = (1 - of_all) * logits + of_all * said
        summary.share.fill_(of_all)
    each = (((1 - of_all) * (1 - of_two), levels), ((1 - of_all) * of_two, ranks))
    summary.weight.copy_(torch.from_numpy(np.concatenate([s * r.weight for s, r in each], axis=1)))
    summary.bias.copy_(torch.from_numpy(sum(s * r.bias for s, r in each)))
    return SummaryFit(logits.astype(np.float32), (levels.penalty, ranks.penalty), of_two, of_all)


@dataclass(frozen=True, eq=False)
class _Regression:
    weight: NDArray[np.float64]
    """(n_classes, n_features)"""
    bias: NDArray[np.float64]
    """(n_classes,)"""
    penalty: float
    logits: NDArray[np.float64]
    """Of each case, (n_cases, n_classes), by a regression that its fold was left out of."""
    asked: NDArray[np.bool_]
    """Which cases are in such a fold, (n_cases,); the logits of others are by all."""


def _fit_regression(
    z: NDArray[np.float64],
    y: NDArray[np.int64],
    fold: NDArray[np.uint8],
    weights: NDArray[np.floating],
    n_classes: int,
) -> _Regression:
    """Fit a logistic regression to features (n_cases, n_features), its penalty by folds."""
    divisions = [
        (known, held, _regression(_PENALTIES[0], warm_start=True))  # each from where it ended
        for known, held in _divisions(y, fold)
    ]
    asked = np.any([held for _, held, _ in divisions], axis=0) if divisions else fold != fold
    best, lowest, logits = len(_PENALTIES) // 2, np.inf, np.zeros((len(y), n_classes))
    for i, penalty in enumerate(_PENALTIES.tolist() if divisions else []):
        left_out = np.zeros_like(logits)
        for known, held, regression in divisions:
            _solve(regression.set_params(C=penalty), z[known], y[known], weights[known])
            weight, bias = _coefficients(regression)
            left_out[held] = z[held] @ weight.T + bias
        loss = _loss(left_out[asked], y[asked], weights[asked])
        if loss < lowest:
            best, lowest, logits = i, loss, left_out
        elif i > best + 1:  # the weaker the penalty, the longer it takes
            break
    final = _regression(_PENALTIES[best], tol=1e-6)
    weight, bias = _coefficients(_solve(final, z, y, weights))
    logits[~asked] = z[~asked] @ weight.T + bias
    return _Regression(weight, bias, float(_PENALTIES[best]), logits, asked)


def _divisions(
    y: NDArray[np.int64], fold: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return for each fold which cases are fitted to and which are asked about."""
    for code in np.unique(fold[fold != NO_FOLD]):
        held, known = fold == code, (fold != code) & (fold != NO_FOLD)
        if len(np.unique(y[known])) == len(np.unique(y)):
            yield known, held


def _regression(penalty: float, **options: Any) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=2000, **options)


def _solve(
    regression: LogisticRegression,
    z: NDArray[np.float64],
    y: NDArray[np.int64],
    weights: NDArray[np.floating],
) -> LogisticRegression:
    """Fit a regression; one that stops short is judged by left-out loss like any other."""
    if len(np.unique(y)) > 2:  # each step takes longer, and the last ones change little
        regression.set_params(max_iter=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return regression.fit(z, y, weights)


def _coefficients(
    regression: LogisticRegression,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights (n_classes, n_features) and the bias (n_classes,) of softmax logits."""
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2


def _fit_trees(
    trees: Trees,
    z: NDArray[np.float64],
    y: NDArray[np.int64],
    fold: NDArray[np.uint8],
    weights: NDArray[np.floating],
    seed: int,
) -> NDArray[np.float64]:
    """Fit trees in place to all cases; return logits by such as each case's fold was left out of.

    Those of cases in no fold are by all.
    """
    levels = z.astype(np.float32)

    def grow(known: NDArray[np.int64]) -> None:
        chosen = thinned(y[known], _GROWN)
        some = known[chosen]
        each = weights[some] * represented(y[known], chosen)
        forest = ExtraTreesClassifier(
            trees.n_trees,
            max_depth=DEPTH,
            min_samples_leaf=max(2, len(some) // 100),
            max_features=0.3,
            random_state=seed % 2**32,
            n_jobs=torch.get_num_threads(),
        )
        _plant(trees, forest.fit(levels[some], y[some], each / each.mean()))

    def said(of: NDArray[np.bool_]) -> NDArray[np.float32]:
        parts = torch.from_numpy(levels[of]).to(trees.feature.device).split(_GROWN)
        found: NDArray[np.float32] = torch.cat([log_odds(trees(z)) for z in parts]).cpu().numpy()
        return found

    logits = np.empty((len(y), trees.proba.shape[2]))
    left = np.ones(len(y), bool)
    for known, held in _divisions(y, fold):
        grow(np.flatnonzero(known))
        logits[held], left[held] = said(held), False
    grow(np.arange(len(y)))
    logits[left] = said(left)
    return logits


def _plant(trees: Trees, forest: ExtraTreesClassifier) -> None:
    """Copy a forest of scikit-learn."""
    leaves = 2**DEPTH
    for k, tree in enumerate(each.tree_ for each in forest.estimators_):
        at = np.zeros(1, np.int64)  # the nodes of a level; below a leaf it is repeated
        feature, threshold = np.zeros(leaves - 1, np.int64), np.zeros(leaves - 1, np.float32)
        for depth in range(DEPTH):
            leaf, level = tree.children_left[at] < 0, slice(2**depth - 1, 2 ** (depth + 1) - 1)
            feature[level] = np.where(leaf, 0, tree.feature[at])
            threshold[level] = _below(np.where(leaf, 0.0, tree.threshold[at]))
            sides = (
                np.where(leaf, at, way[at]) for way in (tree.children_left, tree.children_right)
            )
            at = np.stack(list(sides), axis=1).ravel()
        proba = tree.value[at, 0]
        for of, values in (
            (trees.feature, feature),
            (trees.threshold, threshold),
            (trees.proba, proba / proba.sum(axis=1, keepdims=True)),
        ):
            of[k].copy_(torch.from_numpy(values))


def _below(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 that is no larger, so that float32 are compared as with x."""
    near = x.astype(np.float32)
    return np.where(near > x, np.nextafter(near, np.float32(-np.inf)), near)


def gate(
    offset: NDArray[np.floating],
    logits: NDArray[np.floating],
    y: NDArray[np.int64],
    weights: NDArray[np.floating],
    n_independent: float,
) -> float:
    """Return how much, from 0 to 1, of a network's logits to add to those of the summary.

    Parameters
    ----------
    offset, logits : ndarray of shape (n_cases, n_classes)
        Logits, of which a softmax makes probabilities, of cases that neither was trained on.
    y, weights : ndarray of shape (n_cases,)
        Their classes, and what their losses count.
    n_independent : float
        How many cases they are worth, since neighbours share readings.

    Notes
    -----
    What is minimised is the loss of so many cases and half the square of the gate, as of a prior:
    where few cases judge, or a network that is no better, little of it is believed.
    """
    losses = [_loss(offset + g * logits, y, weights) * n_independent for g in _GATES.tolist()]
    return float(_GATES[int(np.argmin(losses + _GATES**2 / 2))])


def independent(last: NDArray[np.int64], span: int) -> float:
    """Return how many cases are worth that end at such positions and take up so many readings."""
    apart = np.diff(np.sort(last)) / span
    return 1.0 + float(np.minimum(apart, 1.0).sum())


def _loss(
    logits: NDArray[np.floating], y: NDArray[np.int64], weights: NDArray[np.floating]
) -> float:
    """Return the mean log loss of cases, weighed."""
    logits = logits - logits.max(axis=1, keepdims=True)
    given = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    return float(np.average(given, weights=weights))
