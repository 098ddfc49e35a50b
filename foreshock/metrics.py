"""What predictions are worth, beside what always giving the commonest class is worth."""

from dataclasses import dataclass

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

    classes: list[str]
    """The classes in the order of `confusion`."""

    confusion: list[list[int]]
    """Cases by class (rows) and predicted class (columns)."""


def score(
    y: NDArray[np.int64], proba: NDArray[np.float32], classes: tuple[str, ...], *, majority: int
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
        classes=list(classes),
        confusion=metrics.confusion_matrix(y, guess, labels=labels).tolist(),
    )
