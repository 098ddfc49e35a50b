"""Scores of predictions with their intervals, beside those of the simplest forecasts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import as_numbers, is_masked
from foreshock._text import counted, p_value
from foreshock.metrics import ACTIVITY, AGE, BOOSTING, LAST, PRIOR, SERIES, SUMMARY
from foreshock.metrics.intervals import (
    FEWEST,
    LEVEL,
    BlockRanking,
    Difference,
    Estimate,
    Shift,
    auroc,
    auroc_by_blocks,
    bootstrap,
    compare_auroc,
    compare_by_blocks,
    compare_means_by_blocks,
    interval_text,
    mcnemar,
    mean_proportion,
    number_blocks,
    proportion,
    ranked_by_chance,
    share_by_blocks,
)

_BINS = 15
_STRETCH = 2**16
"""Cases that are summed at a time."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Scores of one set of predictions; points are scikit-learn's but for the calibration error."""

    accuracy: Estimate
    """Share of cases whose most probable class is theirs."""

    balanced_accuracy: Estimate
    """Mean recall of the classes that the part has."""

    macro_f1: Estimate
    """Mean F1 of the classes that occur in the part or among the predictions."""

    mcc: Estimate
    """Matthews' correlation coefficient."""

    auroc: Estimate | None
    """Area under the ROC curve, of the last class for two, else one against the rest, averaged;
    None where the part lacks a class."""

    average_precision: Estimate | None
    """Average precision, as for `auroc`."""

    log_loss: Estimate
    """Mean of -log of the probability given to the case's class, in nats."""

    brier: Estimate
    """Mean square of the probabilities' distance from what happened; of the last class for two,
    else summed over the classes."""

    calibration_error: Estimate
    """Mean distance between the probability of the predicted class and how often it was right, in
    15 bins of equal width (Naeini et al. 2015). Few cases put it above 0 whatever the model."""


NAMES = {field.name: field.name.replace("_", " ") for field in fields(Metrics)} | {
    "macro_f1": "macro F1",
    "mcc": "MCC",
    "auroc": "AUROC",
    "brier": "Brier score",
}
"""What the scores are called, in their order."""


def measure(
    y: NDArray[np.int64],
    proba: NDArray[np.float64],
    seed: int,
    blocks: NDArray[np.int64] | None = None,
) -> Metrics:
    """Score predictions.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        Classes as indices.
    proba : ndarray of shape (n_cases, n_classes)
        Probabilities, each row summing to 1.
    seed : int
        Seed of the bootstrap.
    blocks : ndarray of shape (n_cases,), optional
        Block of each case, of those that are alike; by default all are independent.
    """
    from sklearn import metrics

    n_cases, n_classes = proba.shape
    guess = proba.argmax(axis=1)
    right = guess == y
    onehot = np.eye(n_classes, dtype=np.bool_)[y]
    support = onehot.sum(axis=0)
    present = support > 0
    seen = bool(present.all())
    labels = np.arange(n_classes)
    occurring = np.union1d(y, guess)
    ranked = slice(1, None) if n_classes == 2 else slice(None)  # the columns that are ranked by
    points = {
        "macro_f1": metrics.f1_score(y, guess, average="macro", zero_division=0),
        "mcc": 0.0 if len(occurring) == 1 else metrics.matthews_corrcoef(y, guess),
        "log_loss": metrics.log_loss(y, proba, labels=labels),
        "brier": metrics.brier_score_loss(
            y if n_classes == 2 else onehot, proba[:, 1] if n_classes == 2 else proba,
            **({"pos_label": 1} if n_classes == 2 else {}),
        ),
        "calibration_error": calibration_error(right, proba.max(axis=1)),
    }  # fmt: skip
    if seen:
        points["average_precision"] = metrics.average_precision_score(
            onehot[:, ranked], proba[:, ranked], average="macro"
        )
    constant = bool((proba == proba[0]).all())
    accuracy = proportion(int(right.sum()), n_cases)
    recalled = np.bincount(y[right], minlength=n_classes)[present]
    balanced = mean_proportion(recalled, support[present])
    counts: NDArray[np.int64] = np.ones(n_cases, np.int64)
    kinds: NDArray[np.int64] | slice = slice(None)
    if blocks is not None:
        blocks = number_blocks(blocks)
        counts = np.ones(int(blocks.max()) + 1, np.int64)
    elif constant:  # cases of one class are all alike
        counts, kinds = support[present], np.unique(y, return_index=True)[1]
    statistics = _Statistics(y[kinds], proba[kinds], rank=seen and not constant, blocks=blocks)
    shifts = bootstrap(counts, 2 * n_classes, seed, statistics)
    if blocks is not None:
        accuracy = _widened(accuracy, shifts["accuracy"])
        balanced = _widened(balanced, shifts["balanced_accuracy"])
    estimates = {
        name: _estimate(name, float(value), shifts[name], n_classes)
        for name, value in points.items()
        if name in shifts
    }
    error = estimates["calibration_error"]
    if error.value <= _error_of_calibrated(proba.max(axis=1), seed):
        estimates["calibration_error"] = Estimate(error.value, 0.0, error.high)
    if len(np.unique(guess)) == 1:  # as if undefined
        estimates["mcc"] = Estimate(0.0)
    if right.all():  # no resample has an error, but another part would
        estimates |= _without_errors(support[present], accuracy)
    elif not right.any():
        estimates |= {name: Estimate(estimates[name].value) for name in ("macro_f1", "mcc")}
    if n_cases < 2:
        estimates = {name: Estimate(estimate.value) for name, estimate in estimates.items()}
    area = None
    if seen:
        area = auroc(onehot[:, ranked], proba[:, ranked])
        if blocks is not None and not constant:
            area, _ = auroc_by_blocks(onehot[:, ranked], proba[:, ranked], blocks, seed)
        prevalence = float(support[ranked].mean() / n_cases)
        if constant or area.low is None:
            estimates["average_precision"] = Estimate(float(points["average_precision"]))
        elif area.value == 1:
            low = area.low + (1 - area.low) * prevalence
            estimates["average_precision"] = Estimate(1.0, low, 1.0)
    return Metrics(
        accuracy=accuracy,
        balanced_accuracy=balanced,
        auroc=area,
        average_precision=estimates.pop("average_precision", None),
        **estimates,
    )


def _widened(estimate: Estimate, shift: Shift) -> Estimate:
    """Return the interval of a share that is at least as wide as draws of blocks make it."""
    assert estimate.low is not None and estimate.high is not None
    low, high = estimate.value + shift.low, estimate.value + shift.high
    return Estimate(
        estimate.value, max(0.0, min(low, estimate.low)), min(1.0, max(high, estimate.high))
    )


def _estimate(name: str, value: float, shift: Shift, n_classes: int) -> Estimate:
    """Make an interval of how far resamples lie from the cases.

    What they are off on average, as resampling itself makes them, is taken out. Not so for the
    average precision of two classes, where the plain quantiles hold the true value more often; for
    that of more classes it is taken out twice, since the score of few cases is too high itself.
    """
    low, high = value + shift.low - shift.bias, value + shift.high - shift.bias
    if name == "average_precision":
        ends = (shift.low, shift.high) if n_classes == 2 else (-shift.high, -shift.low)
        low, high = value + ends[0], value + ends[1]
    low, high = min(value, low), max(value, high)
    highest = np.inf if name in ("log_loss", "brier") else 1.0
    return Estimate(value, max(-1.0 if name == "mcc" else 0.0, low), min(highest, high))


def _error_of_calibrated(confidence: NDArray[np.float64], seed: int) -> float:
    """Return the calibration error that few perfectly calibrated models would exceed by chance."""
    spread = np.sqrt(np.bincount(_bin(confidence), confidence * (1 - confidence), _BINS))
    draws = np.random.default_rng(seed).normal(size=(1000, _BINS)) * spread
    return float(np.quantile(np.abs(draws).sum(axis=1) / len(confidence), 0.5 + LEVEL / 2))


def calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    """Return the expected calibration error of predicted classes, as of `Metrics`."""
    gaps = np.bincount(_bin(confidence), right - confidence, _BINS)
    return float(np.abs(gaps).sum() / len(right))


def _bin(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    bins: NDArray[np.int64] = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return bins


class _Statistics:
    """The statistics of a bootstrap: each for many weightings of the cases, or blocks, at once."""

    def __init__(
        self,
        y: NDArray[np.int64],
        proba: NDArray[np.float64],
        *,
        rank: bool,
        blocks: NDArray[np.int64] | None = None,
    ) -> None:
        n_classes = proba.shape[1]
        self.y, self.proba = y, proba
        ranked = range(1, 2) if n_classes == 2 else range(n_classes)
        self.ranked = ranked if rank else range(0)
        self.present, self.occurring = (
            np.isin(np.arange(n_classes), of) for of in (y, np.union1d(y, proba.argmax(axis=1)))
        )
        self.sums: NDArray[np.float64] | None = None
        if blocks is not None:  # what is summed over cases is summed within blocks once
            self.sums = np.zeros((int(blocks.max()) + 1, 3 * n_classes + 2 + _BINS))
            for start in range(0, len(y), _STRETCH):
                some = slice(start, start + _STRETCH)
                np.add.at(self.sums, blocks[some], _sums(y[some], proba[some]))
            self.rankings = [BlockRanking(y == k, proba[:, k], blocks) for k in self.ranked]

    def __call__(
        self, rows: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float64]]:
        each = _sums(self.y[rows], self.proba[rows]) if self.sums is None else self.sums[rows]
        sums, n_classes = (weights @ each).astype(np.float64), self.proba.shape[1]
        *counts, rest = np.split(sums, [n_classes, 2 * n_classes, 3 * n_classes], axis=1)
        (hit, true, said), (log_loss, brier), gaps = counts, rest[:, :2].T, rest[:, 2:]
        total = true.sum(axis=1)  # (resamples,)
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(true + said > 0, 2 * hit / (true + said), np.nan)[:, self.occurring]
            recall = np.where(true > 0, hit / true, np.nan)[:, self.present]
        spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (said**2).sum(axis=1))
        covariance = hit.sum(axis=1) * total - (true * said).sum(axis=1)
        found = {
            "accuracy": hit.sum(axis=1) / total,
            "balanced_accuracy": _mean(recall, axis=1),
            "macro_f1": _mean(f1, axis=1),
            "mcc": covariance / np.sqrt(np.maximum(spread, 1e-12)),
            "log_loss": log_loss / total,
            "brier": brier / total,
            "calibration_error": np.abs(gaps).sum(axis=1) / total,
        }
        if self.ranked:
            precisions = (
                [_precision(self.y[rows] == k, self.proba[rows, k], weights) for k in self.ranked]
                if self.sums is None
                else [ranking.scores(weights)[1] for ranking in self.rankings]
            )
            found["average_precision"] = _mean(np.array(precisions), axis=0)
        return found


def _sums(y: NDArray[np.int64], proba: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return what scores sum over cases, (n_cases, 3 n_classes + 2 + bins).

    Whether a case of each class was right, is of it, was said to be; its log loss and Brier score;
    and how far it was right beyond what was said, in its bin.
    """
    onehot = np.eye(proba.shape[1], dtype=np.float32)
    guess, confidence = proba.argmax(axis=1), proba.max(axis=1)
    right = guess == y
    given = np.clip(proba[np.arange(len(y)), y], np.finfo(np.float64).eps, 1.0)
    square = ((proba - onehot[y]) ** 2).sum(axis=1) / (2 if proba.shape[1] == 2 else 1)
    bins = np.eye(_BINS, dtype=np.float32)[_bin(confidence)] * (right - confidence)[:, None]
    parts = onehot[y] * right[:, None], onehot[y], onehot[guess], -np.log(given)[:, None]
    return np.concatenate([*parts, square[:, None], bins], axis=1, dtype=np.float32)


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Average what is there; NaN where nothing is."""
    count = (~np.isnan(values)).sum(axis=axis)
    means: NDArray[np.float64] = np.nansum(values, axis=axis) / np.where(count, count, np.nan)
    return means


def _precision(
    y: NDArray[np.bool_], ranking: NDArray[np.float64], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the average precision for each weighting of the cases, NaN where none is positive."""
    order = np.argsort(-ranking, kind="stable")
    last = np.append(np.flatnonzero(np.diff(ranking[order])), len(order) - 1)  # of those that tie
    drawn = weights[:, order]
    seen = np.cumsum(drawn, axis=1)[:, last]
    found = np.cumsum(drawn * y[order].astype(np.float32), axis=1)[:, last]
    gained = np.diff(found, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen > 0, found / seen, 0.0)
        out: NDArray[np.float64] = (precision * gained).sum(axis=1, dtype=np.float64) / found[:, -1]
    return out


def _without_errors(support: NDArray[np.int64], accuracy: Estimate) -> dict[str, Estimate]:
    """Return intervals where every case is right: down to errors as many as accuracy may have.

    They are spread over the classes as the cases are.
    """
    assert accuracy.low is not None
    true = support / support.sum()
    hit = accuracy.low * true
    rest = (1 - accuracy.low) * true
    said = hit + (rest.sum() - rest) / max(1, len(true) - 1)
    f1 = float((2 * hit / (true + said)).mean())
    spread = (1 - (true**2).sum()) * (1 - (said**2).sum())
    mcc = float((hit.sum() - (true * said).sum()) / np.sqrt(spread)) if spread > 0 else 0.0
    return {
        "macro_f1": Estimate(1.0, f1, 1.0),
        "mcc": Estimate(1.0 if len(true) > 1 else 0.0, mcc, 1.0),
    }


BASELINES = {
    PRIOR: "the share of each class in training",
    AGE: "age alone, the time since a unit's start",
    ACTIVITY: "counts of active readings",
    LAST: "a logistic regression on the last reading",
    SUMMARY: "a logistic regression on the window's summary",
    SERIES: "a logistic regression on the summary of a series",
    BOOSTING: "gradient boosting on the window's summary",
}
"""What the baselines are, by name, the simplest first."""
_LEVEL_WITH = 0.02
"""Largest distance in score to the best baseline of one that does as well as it."""
RARE = 0.1
"""Share of the other classes below which accuracy beside always the majority says little."""
Verdict = Literal["better", "not distinguishable", "worse"]


@dataclass(frozen=True)
class Comparison:
    """A test of the model against something simpler."""

    verdict: Verdict
    """At 5 %, two-sided."""

    difference: float
    """How much larger the model's score is: its accuracy, or its AUROC."""

    p: float | None
    """The two-sided p-value, where there is one."""

    how: str = ""
    """Which score, and by what test."""


@dataclass(frozen=True)
class Decile:
    """A tenth of the cases, by the probability of the last of two classes."""

    said: float
    """Mean probability that was given."""

    share: Estimate
    """Share of that class among them."""

    n: int
    """How many they are."""


def deciles(
    y: NDArray[np.int64], proba: NDArray[np.floating], blocks: NDArray[np.int64] | None
) -> tuple[Decile, ...]:
    """Compare predicted and observed frequency in bins of as many cases, ten or ten cases each.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        0 or 1.
    proba : ndarray of shape (n_cases,)
        Probability of 1.
    blocks : ndarray of shape (n_cases,), optional
        Block of each case, where they are not independent.
    """
    order = np.argsort(proba, kind="stable")
    return tuple(
        Decile(
            float(proba[rows].mean()),
            share_by_blocks(y[rows] == 1, None if blocks is None else blocks[rows]),
            len(rows),
        )
        for rows in np.array_split(order, min(10, max(1, len(y) // 10)))
    )


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What predictions on a part are worth, with 95 % intervals."""

    n_cases: int
    """Cases scored."""

    classes: tuple[str, ...]
    """The classes in the order of `confusion`."""

    majority: str
    """The class most training cases have."""

    sentence: str
    """What the tests say."""

    tests: dict[str, Comparison]
    """The accuracy against that of the majority class (majority); for two classes the AUROC
    against 0.5 (chance) and against that of each baseline, for more classes their accuracy."""

    model: Metrics
    """Scores of the model."""

    baselines: dict[str, Metrics]
    """Scores of always giving the majority class, of giving each class the share it has in
    training, and of the other baselines."""

    rankings: dict[str, Estimate]
    """AUROC of other rankings of the same cases, by what they rank by."""

    confusion: tuple[tuple[int, ...], ...]
    """Cases by class (rows) and predicted class (columns)."""

    best: str | None = None
    """The baseline of the highest AUROC or, for more than two classes, accuracy."""

    n_blocks: int | None = None
    """Stretches of time, or units, that intervals and tests draw whole; None where cases are
    independent."""

    deciles: tuple[Decile, ...] = ()
    """Predicted and observed frequency of the last of two classes, by rising probability."""

    @property
    def calibrated(self) -> tuple[int, int] | None:
        """In how many deciles, of how many, the observed frequency agrees with the predicted.

        That is, its interval holds the predicted one. None where there are no deciles.
        """
        if not self.deciles:
            return None
        held = sum(
            d.share.low is None or d.share.high is None or d.share.low <= d.said <= d.share.high
            for d in self.deciles
        )
        return held, len(self.deciles)

    @property
    def always(self) -> Metrics:
        """Scores of always giving the majority class."""
        return self.baselines[always_name(self.majority)]

    def information_gain(self, name: str | None = None) -> float | None:
        """Return the bits that forecasts of the last class gain on the class shares, per event.

        That is the mean of log2(p / prior) over all cases, p the probability given to what
        happened, times cases per event: the information gain per earthquake of Rhoades et al. 2011
        (doi:10.2478/s11600-011-0013-5), which loses what is given to events that do not come.
        None where there are no events, or more than two classes.

        Parameters
        ----------
        name : str, optional
            A baseline; by default the model.
        """
        events = sum(self.confusion[-1])
        prior = self.baselines.get(PRIOR)
        if len(self.classes) != 2 or not events or prior is None:
            return None
        given = self.model if name is None else self.baselines[name]
        gain = (prior.log_loss.value - given.log_loss.value) / np.log(2)
        return float(gain * self.n_cases / events)


def score(
    y: NDArray[np.int64],
    proba: NDArray[np.floating],
    classes: tuple[str, ...],
    *,
    prior: NDArray[np.floating],
    baselines: Mapping[str, NDArray[np.floating]] | None = None,
    blocks: NDArray[np.int64] | None = None,
    rankings: dict[str, NDArray[Any]] | None = None,
    seed: int = 0,
) -> Scores:
    """Score class probabilities.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        Classes as indices.
    proba : ndarray of shape (n_cases, n_classes)
        Probabilities, each row summing to 1.
    classes : tuple of str
        Names of the classes.
    prior : ndarray of shape (n_classes,)
        Share of each class among the training cases.
    baselines : mapping of ndarray of shape (n_cases, n_classes), optional
        Probabilities of simpler forecasts, by name, that the model is compared with.
    blocks : ndarray of shape (n_cases,), optional
        Block of each case: cases that share readings, a stretch of time or a machine are one, and
        are drawn together by intervals and tests. By default all cases are independent.
    rankings : dict of ndarray of shape (n_cases,), optional
        What else the cases of two classes may be ranked by, to compare.
    seed : int, default=0
        Seed of the bootstrap.

    Raises
    ------
    ValueError
        A case has no class, or no probability: there is no forecast to score.
    """
    n_classes = len(classes)
    proba = as_numbers(proba, "proba")
    if is_masked(y) or proba.shape != (len(y), n_classes):
        raise ValueError(
            f"y must have a class for each case and proba the shape ({len(y)}, {n_classes}), got"
            f" {proba.shape}{' and masked classes' if is_masked(y) else ''}."
        )
    lacking = ~(np.isfinite(proba) & (proba >= 0)).all(axis=1)
    if lacking.any():
        raise ValueError(
            f"case {int(lacking.argmax())} (counted from 0) has no probabilities, but"
            f" {proba[lacking.argmax()].tolist()}: leave it out."
        )
    majority = int(np.argmax(prior))
    always = np.zeros(n_classes)
    always[majority] = 1.0
    exact = proba.astype(np.float64)
    columns = {"model": exact / exact.sum(axis=1, keepdims=True)}
    columns[always_name(classes[majority])] = np.broadcast_to(always, proba.shape)
    columns[PRIOR] = np.broadcast_to(prior / np.sum(prior), proba.shape)
    for name, given in (baselines or {}).items():
        if np.shape(given) != proba.shape:
            raise ValueError(
                f"the baseline {name!r} must have the shape {proba.shape}, got {np.shape(given)}."
            )
        columns[name] = given / np.sum(given, axis=1, keepdims=True, dtype=np.float64)
    found = {name: measure(y, column, seed, blocks) for name, column in columns.items()}
    model = found.pop("model")
    guess = columns["model"].argmax(axis=1)
    cells = np.bincount(y * n_classes + guess, minlength=n_classes**2)
    rivals = _Rivals(y, columns, classes[majority], majority, model, found, blocks, seed)
    return Scores(
        n_cases=len(y),
        classes=classes,
        majority=classes[majority],
        sentence=rivals.sentence(),
        tests=rivals.tests,
        model=model,
        baselines=found,
        rankings={
            name: auroc((y == 1)[:, None], np.asarray(ranking, np.float64)[:, None])
            for name, ranking in (rankings or {}).items()
            if model.auroc is not None and n_classes == 2
        },
        confusion=tuple(tuple(row) for row in cells.reshape(n_classes, n_classes).tolist()),
        best=rivals.best,
        n_blocks=rivals.n_blocks,
        deciles=deciles(y, columns["model"][:, 1], blocks) if n_classes == 2 else (),
    )


def always_name(majority: str) -> str:
    """Return the name of the forecast that always gives one class."""
    return f"always '{majority}'"


def place(baseline: str) -> tuple[int, str]:
    """Return by what to sort baselines: always the majority first, then the simplest."""
    order = list(BASELINES)
    if baseline in order:
        return order.index(baseline), ""
    return (-1, "") if baseline.startswith("always ") else (len(order), baseline)


class _Rivals:
    """The tests of a model against what is simpler, and the sentence on them."""

    def __init__(
        self,
        y: NDArray[np.int64],
        columns: dict[str, NDArray[np.float64]],
        majority: str,
        common: int,
        model: Metrics,
        baselines: dict[str, Metrics],
        blocks: NDArray[np.int64] | None,
        seed: int,
    ) -> None:
        self.y, self.columns, self.model, self.baselines = y, columns, model, baselines
        self.blocks, self.seed = blocks, seed
        self.n_blocks = None if blocks is None else len(np.unique(blocks))
        self.always = always_name(majority)
        self.ranked = model.auroc is not None and columns["model"].shape[1] == 2
        self.names = sorted(set(columns) - {"model", self.always, PRIOR}, key=place)
        right = columns["model"].argmax(axis=1) == y
        self.tests = {"majority": self._accuracy(right, y == common)}
        if self.ranked:
            self.tests["chance"] = self._chance("model")
        for name in self.names:
            self.tests[name] = self._against("model", name)
        candidates = self.names if self.ranked else [self.always, *self.names]
        self.best = max(candidates, key=self._value, default=None)

    def _value(self, name: str) -> float:
        """Return by which score the methods are compared."""
        of = self.model if name == "model" else self.baselines[name]
        estimate = of.auroc if self.ranked else of.accuracy
        assert estimate is not None
        return estimate.value

    def _against(self, first: str, second: str) -> Comparison:
        """Compare two methods by their AUROC or, for more classes, their accuracy."""
        one, other = self.columns[first], self.columns[second]
        if not self.ranked:
            return self._accuracy(one.argmax(axis=1) == self.y, other.argmax(axis=1) == self.y)
        pair = one[:, 1], other[:, 1]
        if self.blocks is None:
            return _compared(
                Difference(*compare_auroc(self.y, *pair)), "AUROC, DeLong's paired test"
            )
        found = compare_by_blocks(self.y, *pair, self.blocks, self.seed)["auroc"]
        return _compared(found, f"AUROC, paired bootstrap of {self.n_blocks} blocks")

    def _accuracy(self, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Comparison:
        if self.blocks is None:
            gap = Estimate(float(first.mean() - second.mean()))
            return _compared(
                Difference(gap, mcnemar(first, second)), "accuracy, McNemar's exact test"
            )
        found = compare_means_by_blocks(first, second, self.blocks)
        return _compared(found, f"accuracy, paired t-test of {self.n_blocks} blocks")

    def _chance(self, name: str) -> Comparison:
        """Test the AUROC of a method against a half."""
        ranking, positive = self.columns[name][:, 1], self.y == 1
        gap = Estimate(self._value(name) - 0.5)
        if self.blocks is None:
            p: float | None = ranked_by_chance(positive, ranking)
            return _compared(Difference(gap, p), "AUROC, Mann-Whitney test")
        columns = positive[:, None], ranking[:, None]
        _, p = auroc_by_blocks(*columns, self.blocks, self.seed)
        return _compared(Difference(gap, p), f"AUROC, bootstrap of {self.n_blocks} blocks")

    def sentence(self) -> str:
        """Return the result of the tests: first of what matters most."""
        best = self.best
        enough = min((self.y == 1).sum(), (self.y != 1).sum()) >= FEWEST
        known = self.ranked and enough and self.tests["chance"].p is not None
        if not known:
            return " ".join(self._by_accuracy())
        if self.tests["chance"].verdict != "better":
            return " ".join([self._no_better_than_chance(), *self._age(None), *self._majority()])
        if best is None:
            return " ".join([self._first("chance", 0.5, self.tests["chance"]), *self._majority()])
        rival = best if self._is_told_apart(best) else self._simplest()
        text = [self._first(_phrase(rival), self._value(rival), self._not_by_choice(rival))]
        if rival != best:
            text.append(f"The best baseline, {_phrase(best)}, has {self._value(best):.3f}.")
        chance = self.tests["chance"]
        text.append(f"It is better than chance (0.5; {_how(chance)}).")
        return " ".join([*text, *self._age(rival), *self._majority()])

    def _first(self, what: str, other: float, test: Comparison) -> str:
        estimate = self.model.auroc if self.ranked else self.model.accuracy
        assert estimate is not None
        beside = "" if what == "chance" else f" beside {other:.3f}"
        return (
            f"{_SAID[test.verdict].capitalize()} {what}:"
            f" {'AUROC' if self.ranked else 'accuracy'} {interval_text(estimate)}{beside} on"
            f" {len(self.y):,} cases ({_how(test)})."
        )

    def _not_by_choice(self, name: str) -> Comparison:
        """Return the test against a baseline, without a "worse" that the choice of it explains.

        The best of several is chosen on the same cases: to be worse than that one, the p-value
        is multiplied by their number (Bonferroni).
        """
        test = self.tests["majority" if name == self.always else name]
        n = len(self.names) + (not self.ranked)
        if test.verdict == "worse" and test.p is not None and test.p * n >= 1 - LEVEL:
            return replace(test, verdict="not distinguishable")
        return test

    def _is_told_apart(self, name: str) -> bool:
        return self._not_by_choice(name).verdict != "not distinguishable"

    def _simplest(self) -> str:
        """Return the simplest of the baselines that do as well as the best and the model."""
        assert self.best is not None
        best = self._value(self.best)
        candidates = self.names if self.ranked else [self.always, *self.names]
        for name in candidates:
            level = best - self._value(name) <= _LEVEL_WITH
            if name != self.best and level:
                test = "majority" if name == self.always else name
                level = self.tests[test].verdict != "better"
                level = level and self._against(self.best, name).verdict != "better"
            if level:
                return name
        return self.best

    def _no_better_than_chance(self) -> str:
        area, chance = self.model.auroc, self.tests["chance"]
        assert area is not None
        own = f"AUROC {interval_text(area)} on {len(self.y):,} cases ({_how(chance)})"
        if self.best is None:
            return f"{_SAID[chance.verdict].capitalize()} chance: {own}."
        best = f"{_phrase(self.best)}, has {self._value(self.best):.3f}"
        test = self._chance(self.best)
        known = test.p is not None and test.p * len(self.names) < 1 - LEVEL
        if known and test.verdict == "better":
            return (
                f"{_SAID[chance.verdict].capitalize()} chance: {own}; the best baseline,"
                f" {_phrase(self.best)}, is, with {self._value(self.best):.3f} ({_how(test)})."
            )
        if chance.verdict == "worse":
            return f"Worse than chance: {own}. The best baseline, {best}."
        return f"Nothing is better than chance: the model has {own}. The best baseline, {best}."

    def _age(self, rival: str | None) -> list[str]:
        """Say whether the time since a unit's start foretells the events, if not said yet."""
        if AGE not in self.names or rival == AGE:
            return []
        alone = self._chance(AGE)
        if alone.verdict != "better":
            return []
        knows = {"better": "more", "not distinguishable": "no more", "worse": "less"}
        test = self.tests[AGE]
        return [
            f"Age alone, the time since a unit's start, has {self._value(AGE):.3f}; the model"
            f" knows {knows[test.verdict]} ({_how(test)})."
        ]

    def _majority(self) -> list[str]:
        """Compare the accuracy with always the majority, unless other classes are rare."""
        other, test = self.baselines[self.always].accuracy.value, self.tests["majority"]
        if other > 1 - RARE:
            return []
        return [
            f"Its accuracy, {interval_text(self.model.accuracy)}, is {_SAID[test.verdict]} that of"
            f" {self.always} ({other:.3f}; {_how(test)})."
        ]

    def _by_accuracy(self) -> list[str]:
        """Compare the accuracies: of more than two classes, or where rankings are not tested."""
        best, test = self.always, self.tests["majority"]
        if not self.ranked and self.best is not None:
            best = self.best
            if not self._is_told_apart(best):
                best = self._simplest()
            test = self._not_by_choice(best)
        accuracy = self.model.accuracy
        text = [
            f"{_SAID[test.verdict].capitalize()} {_phrase(best)}: accuracy"
            f" {interval_text(accuracy)} beside {self.baselines[best].accuracy.value:.3f} on"
            f" {len(self.y):,} cases ({_how(test)})."
        ]
        if best != self.always:
            other = self.baselines[self.always].accuracy.value
            text.append(f"A{self.always[1:]} has {other:.3f}.")
        if self.ranked and self.model.auroc is not None:
            said = f"Its AUROC is {interval_text(self.model.auroc)}; chance has 0.5"
            if self.tests["chance"].p is not None:
                said += f" ({_how(self.tests['chance'])})"
            if self.best is not None:
                said += f", {_phrase(self.best)} {self._value(self.best):.3f}"
            few = (
                f"with {counted(min((self.y == 1).sum(), (self.y != 1).sum()), 'case')} of a class"
            )
            if self.n_blocks is not None:
                few += f" in {counted(self.n_blocks, 'block')}"
            text.append(f"{said}; {few} rankings are not compared.")
        return text


def _phrase(baseline: str) -> str:
    return BASELINES.get(baseline, baseline)


def _compared(found: Difference, how: str) -> Comparison:
    difference, verdict = found.difference.value, "not distinguishable"
    if found.p is not None and found.p < 1 - LEVEL and difference:
        verdict = "better" if difference > 0 else "worse"
    return Comparison(cast(Verdict, verdict), difference, found.p, how)


def _how(test: Comparison) -> str:
    """Write by what test, and its p-value, for a sentence."""
    name = test.how.partition(", ")[2].replace(" exact", "").replace("DeLong's paired", "DeLong's")
    return f"{name}, {p_value(test.p, named=True)}"


_SAID = {
    "better": "better than",
    "not distinguishable": "not better than",
    "worse": "worse than",
}


def auroc_interval(y: NDArray[np.int64], ranking: NDArray[Any]) -> tuple[float, float]:
    """Return the 95 % interval of the AUROC of two classes, as `score` does.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        0 or 1, at least two of each.
    ranking : ndarray of shape (n_cases,)
        Higher for class 1.
    """
    positive = (y == 1)[:, None]
    found = auroc(positive, np.asarray(ranking, np.float64)[:, None])
    if found.low is None or found.high is None:
        m, n = positive.sum(), (~positive).sum()
        raise ValueError(f"an interval needs two cases of each class, got {m} and {n}.")
    return found.low, found.high
