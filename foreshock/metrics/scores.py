"""Scores of predictions with their intervals, beside those of the simplest forecasts."""

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import as_numbers, is_masked
from foreshock._text import p_value
from foreshock.metrics.intervals import (
    LEVEL,
    Estimate,
    Shift,
    auroc,
    bootstrap,
    compare_auroc,
    interval_text,
    mcnemar,
    mean_proportion,
    proportion,
    ranked_by_chance,
)

_BINS = 15


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


def measure(y: NDArray[np.int64], proba: NDArray[np.float64], seed: int) -> Metrics:
    """Score predictions.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        Classes as indices.
    proba : ndarray of shape (n_cases, n_classes)
        Probabilities, each row summing to 1.
    seed : int
        Seed of the bootstrap.
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
    counts: NDArray[np.int64] = np.ones(n_cases, np.int64)
    kinds: NDArray[np.int64] | slice = slice(None)
    if constant:  # cases of one class are all alike
        counts, kinds = support[present], np.unique(y, return_index=True)[1]
    statistics = _Statistics(y[kinds], proba[kinds], rank=seen and not constant)
    shifts = bootstrap(counts, 2 * n_classes, seed, statistics)
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
        prevalence = float(support[ranked].mean() / n_cases)
        if constant or area.low is None:
            estimates["average_precision"] = Estimate(float(points["average_precision"]))
        elif area.value == 1:
            low = area.low + (1 - area.low) * prevalence
            estimates["average_precision"] = Estimate(1.0, low, 1.0)
    recalled = np.bincount(y[right], minlength=n_classes)[present]
    return Metrics(
        accuracy=accuracy,
        balanced_accuracy=mean_proportion(recalled, support[present]),
        auroc=area,
        average_precision=estimates.pop("average_precision", None),
        **estimates,
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
    """The statistics of a bootstrap: each for many weightings of the cases at once."""

    def __init__(self, y: NDArray[np.int64], proba: NDArray[np.float64], *, rank: bool) -> None:
        self.y, self.proba, self.rank = y, proba, rank
        occurring = np.zeros(proba.shape[1], np.bool_)
        occurring[y] = True
        occurring[proba.argmax(axis=1)] = True
        self.occurring = occurring

    def __call__(
        self, rows: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float64]]:
        y, proba = self.y[rows], self.proba[rows]
        n_classes = proba.shape[1]
        guess, confidence = proba.argmax(axis=1), proba.max(axis=1)
        right = guess == y
        onehot = np.eye(n_classes, dtype=np.float32)
        total = weights.sum(axis=1, dtype=np.float64)  # (resamples,)

        def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
            means: NDArray[np.float64] = (weights @ values.astype(np.float32)) / total
            return means

        hit = (weights @ (onehot[y] * right[:, None])).astype(np.float64)  # (resamples, classes)
        true = (weights @ onehot[y]).astype(np.float64)
        said = (weights @ onehot[guess]).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(true + said > 0, 2 * hit / (true + said), np.nan)[:, self.occurring]
        spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (said**2).sum(axis=1))
        covariance = hit.sum(axis=1) * total - (true * said).sum(axis=1)
        bins = np.eye(_BINS, dtype=np.float32)[_bin(confidence)]
        gaps = weights @ (bins * (right - confidence)[:, None].astype(np.float32))
        given = np.clip(proba[np.arange(len(y)), y], np.finfo(np.float64).eps, 1.0)
        square = ((proba - onehot[y]) ** 2).sum(axis=1) / (2 if n_classes == 2 else 1)
        found = {
            "macro_f1": _mean(f1, axis=1),
            "mcc": covariance / np.sqrt(np.maximum(spread, 1e-12)),
            "log_loss": mean(-np.log(given)),
            "brier": mean(square),
            "calibration_error": np.abs(gaps).sum(axis=1) / total,
        }
        if self.rank:
            columns = [1] if n_classes == 2 else range(n_classes)
            each = [_precision(y == k, proba[:, k], weights) for k in columns]
            found["average_precision"] = _mean(np.array(each), axis=0)
        return found


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


ACTIVITY = "activity counts"
"""What the baseline of event problems is called."""
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
    against 0.5 (chance) and, for event problems, against that of the activity counts."""

    model: Metrics
    """Scores of the model."""

    baselines: dict[str, Metrics]
    """Scores of always giving the majority class, of giving each class the share it has in
    training and, for event problems, of a logistic regression on counts of active readings."""

    rankings: dict[str, Estimate]
    """AUROC of other rankings of the same cases, by what they rank by."""

    confusion: tuple[tuple[int, ...], ...]
    """Cases by class (rows) and predicted class (columns)."""

    @property
    def always(self) -> Metrics:
        """Scores of always giving the majority class."""
        return self.baselines[always_name(self.majority)]


def score(
    y: NDArray[np.int64],
    proba: NDArray[np.floating],
    classes: tuple[str, ...],
    *,
    prior: NDArray[np.floating],
    activity: NDArray[np.floating] | None = None,
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
    activity : ndarray of shape (n_cases,), optional
        Probability of the last class by counts of active readings, for event problems.
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
    columns["class prior"] = np.broadcast_to(prior / np.sum(prior), proba.shape)
    if activity is not None:
        likely = activity.astype(np.float64)
        columns[ACTIVITY] = np.stack([1 - likely, likely], axis=1)
    found = {name: measure(y, column, seed) for name, column in columns.items()}
    model = found.pop("model")
    guess = columns["model"].argmax(axis=1)
    tests = _tests(y, columns, majority, model)
    cells = np.bincount(y * n_classes + guess, minlength=n_classes**2)
    return Scores(
        n_cases=len(y),
        classes=classes,
        majority=classes[majority],
        sentence=_sentence(classes[majority], model, found, tests, len(y)),
        tests=tests,
        model=model,
        baselines=found,
        rankings={
            name: auroc((y == 1)[:, None], np.asarray(ranking, np.float64)[:, None])
            for name, ranking in (rankings or {}).items()
            if model.auroc is not None and n_classes == 2
        },
        confusion=tuple(tuple(row) for row in cells.reshape(n_classes, n_classes).tolist()),
    )


def always_name(majority: str) -> str:
    """Return the name of the forecast that always gives one class."""
    return f"always '{majority}'"


def _tests(
    y: NDArray[np.int64], columns: dict[str, NDArray[np.float64]], majority: int, model: Metrics
) -> dict[str, Comparison]:
    right = columns["model"].argmax(axis=1) == y
    common = y == majority
    p = mcnemar(right, common)
    difference = float(right.mean() - common.mean())
    tests = {"majority": Comparison(_verdict(difference, p < 1 - LEVEL), difference, p)}
    area = model.auroc
    if len(columns["model"][0]) > 2 or area is None:
        return tests
    p = ranked_by_chance(y == 1, columns["model"][:, 1])
    tests["chance"] = Comparison(_verdict(area.value - 0.5, p < 1 - LEVEL), area.value - 0.5, p)
    if ACTIVITY in columns:
        gain, found = compare_auroc(y, columns["model"][:, 1], columns[ACTIVITY][:, 1])
        if found is not None:
            verdict = _verdict(gain.value, found < 1 - LEVEL)
            tests[ACTIVITY] = Comparison(verdict, gain.value, found)
    return tests


def _verdict(difference: float, distinguishable: bool) -> Verdict:
    if not distinguishable or not difference:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"


_SAID = {
    "better": "better than",
    "not distinguishable": "not distinguishable from",
    "worse": "worse than",
}


def _sentence(
    majority: str,
    model: Metrics,
    baselines: dict[str, Metrics],
    tests: dict[str, Comparison],
    n_cases: int,
) -> str:
    """Return the result of the tests as a sentence."""
    always = always_name(majority)
    test = tests["majority"]
    said = _SAID[test.verdict].capitalize()
    text = (
        f"{said} {always}: accuracy {interval_text(model.accuracy)} beside"
        f" {baselines[always].accuracy.value:.3f} on {n_cases:,} cases"
        f" (McNemar's test, {p_value(test.p, named=True)})."
    )
    if "chance" in tests and model.auroc is not None:
        text += (
            f" Its ranking, AUROC {interval_text(model.auroc)}, is"
            f" {_SAID[tests['chance'].verdict]} chance (0.5; Mann-Whitney test,"
            f" {p_value(tests['chance'].p, named=True)})"
        )
        if ACTIVITY in tests:
            other = baselines[ACTIVITY].auroc
            assert other is not None
            text += (
                f", and {_SAID[tests[ACTIVITY].verdict]} that by counts of active readings"
                f" ({other.value:.3f}; DeLong's test, {p_value(tests[ACTIVITY].p, named=True)})"
            )
        text += "."
    return text


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
