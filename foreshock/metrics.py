"""What predictions are worth, beside what always giving the commonest class is worth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Point scores of class probabilities on one part (scikit-learn's definitions)."""

    n_cases: int
    """Cases scored."""

    accuracy: float
    """Share of cases whose most probable class is theirs."""

    majority_accuracy: float
    """Accuracy of always giving `majority_class`."""

    majority_class: str
    """The class most training cases have."""

    balanced_accuracy: float
    """Mean recall of the classes that the part has."""

    macro_f1: float
    """Mean F1 of the classes."""

    log_loss: float
    """Mean of -log of the probability given to the case's class, in nats."""

    auroc: float | None
    """Area under the ROC curve, of the last class for two, else one against the rest, averaged;
    None where the part lacks a class."""

    average_precision: float | None
    """Average precision, as for `auroc`."""

    rankings: dict[str, float]
    """AUROC of other rankings of the same cases, by what they rank by."""

    classes: list[str]
    """The classes in the order of `confusion`."""

    confusion: list[list[int]]
    """Cases by class (rows) and predicted class (columns)."""


def score(
    y: NDArray[np.int64],
    proba: NDArray[np.float32],
    classes: tuple[str, ...],
    *,
    majority: int,
    rankings: dict[str, NDArray[Any]] | None = None,
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
    majority : int
        Index of the class most training cases have.
    rankings : dict of ndarray of shape (n_cases,), optional
        What else the cases of two classes may be ranked by, to compare.
    """
    from sklearn import metrics

    n_classes = len(classes)
    exact = proba.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    guess = exact.argmax(axis=1)
    present = np.unique(y)
    auroc = average_precision = None
    if len(present) == n_classes:
        onehot = np.eye(n_classes)[y]
        truth, ranking = (y, exact[:, 1]) if n_classes == 2 else (onehot, exact)
        auroc = float(metrics.roc_auc_score(truth, ranking, average="macro"))
        average_precision = float(metrics.average_precision_score(truth, ranking, average="macro"))
    labels = np.arange(n_classes)
    recall = metrics.recall_score(y, guess, labels=present, average="macro", zero_division=0)
    return Scores(
        n_cases=len(y),
        accuracy=float((guess == y).mean()),
        majority_accuracy=float((y == majority).mean()),
        majority_class=classes[majority],
        balanced_accuracy=float(recall),
        macro_f1=float(metrics.f1_score(y, guess, average="macro", zero_division=0)),
        log_loss=float(metrics.log_loss(y, exact, labels=labels)),
        auroc=auroc,
        average_precision=average_precision,
        rankings={
            name: float(metrics.roc_auc_score(y, ranking))
            for name, ranking in (rankings or {}).items()
            if auroc is not None and n_classes == 2
        },
        classes=list(classes),
        confusion=metrics.confusion_matrix(y, guess, labels=labels).tolist(),
    )


def auroc_interval(
    y: NDArray[np.int64], ranking: NDArray[Any], level: float = 0.95
) -> tuple[float, float]:
    """Give an interval for the AUROC of two classes: DeLong's variance, on the logit scale.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        0 or 1, at least two of each.
    ranking : ndarray of shape (n_cases,)
        Higher for class 1.
    level : float, default=0.95
        Share of such intervals that hold the true value.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988, by ranks as in Sun and Xu 2014. On the logit scale an
    interval stays within 0 and 1 (Pepe 2003). Where the classes are ranked apart there is no
    variance to go by: the interval then reaches from the rule of three's bound.
    """
    from scipy.stats import norm, rankdata

    positive, negative = ranking[y == 1], ranking[y == 0]
    m, n = len(positive), len(negative)
    if m < 2 or n < 2:
        raise ValueError(f"an interval needs two cases of each class, got {m} and {n}.")
    together = rankdata(np.concatenate([positive, negative]))
    above = (together[:m] - rankdata(positive)) / n  # for each positive, negatives below it
    below = 1 - (together[m:] - rankdata(negative)) / m
    auroc = float(above.mean())
    variance = above.var(ddof=1) / m + below.var(ddof=1) / n
    if not 0 < auroc < 1:
        far = 1 - 3 / min(m, n) if min(m, n) > 3 else 0.0
        return (far, 1.0) if auroc == 1 else (0.0, 1 - far)
    logit = np.log(auroc / (1 - auroc))
    reach = norm.ppf(0.5 + level / 2) * np.sqrt(variance) / (auroc * (1 - auroc))
    low, high = 1 / (1 + np.exp(-(logit + np.array([-reach, reach]))))
    return float(low), float(high)
