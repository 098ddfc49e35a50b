"""What predictions are worth, with intervals, beside what the simplest forecasts are worth."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import as_numbers, is_masked
from foreshock.intervals import (
    LEVEL,
    Estimate,
    auroc,
    compare_auroc,
    mcnemar,
    ranked_by_chance,
)
from foreshock.measures import Metrics, measure

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
            f" {proba[lacking.argmax()].tolist()}: there is no forecast to score; leave it out."
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
    """Name the forecast that always gives one class."""
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
        gain, p_value = compare_auroc(y, columns["model"][:, 1], columns[ACTIVITY][:, 1])
        if p_value is not None:
            verdict = _verdict(gain.value, p_value < 1 - LEVEL)
            tests[ACTIVITY] = Comparison(verdict, gain.value, p_value)
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
    """Say in plain words what the tests say."""
    always = always_name(majority)
    test = tests["majority"]
    said = _SAID[test.verdict].capitalize()
    text = (
        f"{said} {always}: accuracy {interval_text(model.accuracy)} beside"
        f" {baselines[always].accuracy.value:.3f} on {n_cases:,} cases"
        f" (McNemar's test, {p_text(test.p)})."
    )
    if "chance" in tests and model.auroc is not None:
        text += (
            f" Its ranking, AUROC {interval_text(model.auroc)}, is"
            f" {_SAID[tests['chance'].verdict]} chance (0.5; Mann-Whitney test,"
            f" {p_text(tests['chance'].p)})"
        )
        if ACTIVITY in tests:
            other = baselines[ACTIVITY].auroc
            assert other is not None
            text += (
                f", and {_SAID[tests[ACTIVITY].verdict]} that by counts of active readings"
                f" ({other.value:.3f}; DeLong's test, {p_text(tests[ACTIVITY].p)})"
            )
        text += "."
    return text


def interval_text(estimate: Estimate, digits: int = 3) -> str:
    """Write an estimate: 0.763 (0.686 to 0.826)."""
    text = f"{estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def p_text(p: float | None) -> str:
    """Write a p-value."""
    if p is None:
        return "p not known"
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def auroc_interval(y: NDArray[np.int64], ranking: NDArray[Any]) -> tuple[float, float]:
    """Give the 95 % interval of the AUROC of two classes, as `score` does.

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
