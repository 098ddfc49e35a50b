"""metrics: scores by hand and by scikit-learn, on every shape of problem."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from foreshock.metrics import auroc_interval, score


def probabilities(n_cases: int, n_classes: int, seed: int = 0) -> NDArray[np.float32]:
    raw = np.random.default_rng(seed).random((n_cases, n_classes))
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def test_two_classes_are_scored_as_by_hand() -> None:
    proba = np.float32([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]])
    scores = score(np.array([0, 0, 1, 1]), proba, ("calm", "quake"), majority=0)
    assert scores.n_cases == 4
    assert scores.accuracy == scores.balanced_accuracy == scores.majority_accuracy == 0.5
    assert scores.majority_class == "calm"
    assert scores.macro_f1 == 0.5
    assert scores.log_loss == pytest.approx(-np.log([0.9, 0.4, 0.3, 0.8]).mean(), abs=1e-6)
    assert scores.auroc == 0.75  # 3 of the 4 pairs are in order
    assert scores.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert scores.classes == ["calm", "quake"]
    assert scores.confusion == [[1, 1], [1, 1]]


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_scores_are_those_of_scikit_learn(n_classes: int) -> None:
    y = np.arange(70) % n_classes
    proba = probabilities(70, n_classes)
    scores = score(y, proba, tuple("abcdefg"[:n_classes]), majority=1)
    exact = proba.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    guess = exact.argmax(axis=1)
    ranking = exact[:, 1] if n_classes == 2 else exact
    onehot = y if n_classes == 2 else np.eye(n_classes)[y]
    assert scores.accuracy == metrics.accuracy_score(y, guess)
    assert scores.balanced_accuracy == metrics.balanced_accuracy_score(y, guess)
    assert scores.macro_f1 == metrics.f1_score(y, guess, average="macro")
    assert scores.log_loss == pytest.approx(metrics.log_loss(y, exact))
    assert scores.auroc == pytest.approx(metrics.roc_auc_score(y, ranking, multi_class="ovr"))
    assert scores.average_precision == pytest.approx(
        metrics.average_precision_score(onehot, ranking)
    )
    assert scores.confusion == metrics.confusion_matrix(y, guess).tolist()
    assert scores.majority_accuracy == metrics.accuracy_score(y, np.ones_like(y))


def test_a_class_that_the_part_lacks_leaves_the_ranking_scores_undefined() -> None:
    scores = score(np.array([0, 1, 0]), probabilities(3, 3), ("a", "b", "c"), majority=0)
    assert scores.auroc is None
    assert scores.average_precision is None
    assert np.sum(scores.confusion) == 3
    assert len(scores.confusion) == 3


def test_balanced_accuracy_is_of_the_classes_that_the_part_has() -> None:
    proba = np.float32([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
    scores = score(np.array([0, 1, 1]), proba, ("a", "b", "c"), majority=0)
    assert scores.balanced_accuracy == (1 + 1 / 2) / 2


def test_one_case_is_scored() -> None:
    scores = score(np.array([1]), np.float32([[0.25, 0.75]]), ("a", "b"), majority=0)
    assert scores.accuracy == 1
    assert scores.majority_accuracy == 0
    assert scores.log_loss == pytest.approx(-math.log(0.75))
    assert scores.auroc is None


def test_equal_probabilities_give_the_first_class_and_an_auroc_of_one_half() -> None:
    scores = score(np.array([0, 1]), np.full((2, 2), 0.5, np.float32), ("a", "b"), majority=0)
    assert scores.confusion == [[1, 0], [1, 0]]
    assert scores.auroc == 0.5


def test_the_log_loss_of_a_certain_error_is_finite() -> None:
    scores = score(np.array([0, 1]), np.float32([[0, 1], [1, 0]]), ("a", "b"), majority=0)
    assert 30 < scores.log_loss < 50


@pytest.mark.parametrize("off", [-1e-6, 1e-6])
def test_rows_that_sum_to_one_up_to_rounding_are_taken(off: float) -> None:
    proba = probabilities(20, 3) * np.float32(1 + off)
    y = np.arange(20) % 3
    scores = score(y, proba, ("a", "b", "c"), majority=0)
    assert scores.log_loss == pytest.approx(
        score(y, probabilities(20, 3), ("a", "b", "c"), majority=0).log_loss, abs=1e-6
    )


def test_other_rankings_are_scored_on_the_same_cases() -> None:
    y = np.array([0, 0, 1, 1])
    proba = probabilities(4, 2)
    others = {"count": np.array([1, 2, 3, 4]), "nothing": np.zeros(4)}
    assert score(y, proba, ("no", "yes"), majority=0, rankings=others).rankings == {
        "count": 1.0, "nothing": 0.5
    }  # fmt: skip
    assert score(y * 0, proba, ("no", "yes"), majority=0, rankings=others).rankings == {}
    assert score(y, proba, ("no", "yes"), majority=0).rankings == {}


def plain_delong(y: NDArray[np.int64], ranking: NDArray[np.float64]) -> tuple[float, float]:
    """AUROC and its variance as DeLong et al. define them, pair by pair."""
    positive, negative = ranking[y == 1], ranking[y == 0]
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    rows, columns = pairs.mean(axis=1), pairs.mean(axis=0)
    variance = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
    return float(pairs.mean()), float(variance)


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_of_the_auroc_is_delongs_on_the_logit_scale(ties: bool) -> None:
    random = np.random.default_rng(0)
    y = (random.random(80) < 0.3).astype(np.int64)
    ranking = random.normal(size=80) + y
    if ties:
        ranking = ranking.round()
    auroc, variance = plain_delong(y, ranking)
    logit = math.log(auroc / (1 - auroc))
    reach = 1.959964 * math.sqrt(variance) / (auroc * (1 - auroc))
    expected = [1 / (1 + math.exp(-(logit + sign * reach))) for sign in (-1, 1)]
    assert auroc_interval(y, ranking) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("auroc", [0.6, 0.8, 0.95])
def test_the_interval_holds_the_true_auroc_as_often_as_it_says(auroc: float) -> None:
    from scipy.stats import norm

    random = np.random.default_rng(1)
    y = np.repeat([1, 0], [35, 104])
    shift = math.sqrt(2) * norm.ppf(auroc)
    held = 0
    for _ in range(500):
        low, high = auroc_interval(y, random.normal(size=139) + shift * y)
        held += low <= auroc <= high
    assert 0.92 <= held / 500 <= 0.98


def test_a_perfect_ranking_of_few_cases_is_not_certain() -> None:
    y = np.repeat([0, 1], [40, 10])
    assert auroc_interval(y, y.astype(float)) == (0.7, 1.0)
    assert auroc_interval(y, -y.astype(float)) == pytest.approx((0.0, 0.3))
    assert auroc_interval(np.array([0, 0, 1, 1]), np.arange(4.0)) == (0.0, 1.0)
    with pytest.raises(ValueError, match="two cases of each class, got 1 and 3"):
        auroc_interval(np.array([0, 0, 0, 1]), np.arange(4.0))
