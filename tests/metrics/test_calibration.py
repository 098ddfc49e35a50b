"""calibration: temperatures and sets of classes, against plain readings of what they are."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from foreshock.metrics.calibration import (
    COOLEST,
    HOTTEST,
    Calibration,
    calibrate,
    conformity,
    fit_temperature,
    tempered,
)

Cases = tuple[NDArray[np.float64], NDArray[np.int64]]


def draw(n_cases: int, n_classes: int = 3, *, sure: float = 1.0, seed: int = 0) -> Cases:
    """Draw logits that are right about probabilities, times `sure`, and classes by these."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(n_cases, n_classes))
    upto = softmax(logits, axis=1).cumsum(axis=1)
    y = (random.random((n_cases, 1)) > upto).sum(axis=1)
    return sure * logits, np.minimum(y, n_classes - 1)


def log_loss(logits: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    return float(-tempered(logits, 1.0)[np.arange(len(y)), y].mean())


# temperature


def test_a_temperature_divides_the_logits_before_the_softmax() -> None:
    logits, _ = draw(20)
    np.testing.assert_allclose(np.exp(tempered(logits, 2.5)), softmax(logits / 2.5, axis=1))
    np.testing.assert_allclose(tempered(tempered(logits, 1), 2), tempered(logits, 2))


def test_logits_of_any_size_are_tempered() -> None:
    found = tempered(np.array([[1e4, -1e4, 0.0]]), 0.5)
    assert np.isfinite(found).all()
    assert np.exp(found).sum() == pytest.approx(1)


@pytest.mark.parametrize("sure", [0.6, 1.0, 2.5])
def test_many_cases_tell_the_temperature(sure: float) -> None:
    logits, y = draw(20_000, sure=sure)
    assert fit_temperature(logits, y) == pytest.approx(sure, rel=0.05)


@pytest.mark.parametrize(("sure", "bound"), [(0.1, COOLEST), (40.0, HOTTEST)])
def test_a_temperature_stays_within_its_bounds(sure: float, bound: float) -> None:
    assert fit_temperature(*draw(20_000, sure=sure)) == pytest.approx(bound, rel=1e-3)


def test_few_cases_move_it_little_and_more_move_it_further() -> None:
    right = np.tile([3.0, 0.0], (400, 1))
    found = [fit_temperature(right[:n], np.zeros(n, np.int64)) for n in (1, 10, 100, 400)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95
    assert found[-1] < 0.65


def test_it_is_where_the_cost_is_least() -> None:
    logits, y = draw(60, sure=1.7)
    grid = np.geomspace(COOLEST, HOTTEST, 4001)
    costs = [60 * log_loss(logits / t, y) + 2 * math.log(t) ** 2 for t in grid]
    assert fit_temperature(logits, y) == pytest.approx(grid[int(np.argmin(costs))], rel=1e-3)


# sets


def plain_conformity(
    members: list[Cases], logits: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Count, class by class, the known cases that are at least as strange."""
    temperature = fit_temperature(
        np.concatenate([x for x, _ in members]), np.concatenate([y for _, y in members])
    )
    found = np.zeros(logits[0].shape)
    n = sum(len(y) for _, y in members)
    for i, c in np.ndindex(*found.shape):
        count = 0
        for (known, y), new in zip(members, logits, strict=True):
            strange = -np.log(softmax(new[i] / temperature)[c])
            scores = -np.log(softmax(known / temperature, axis=1)[np.arange(len(y)), y])
            count += int((scores >= strange - 1e-12).sum())
        found[i, c] = (count + 1) / (n + 1)
    return found


def made(members: list[Cases]) -> Calibration:
    found = calibrate(members, "out of fold" if len(members) > 1 else "valid")
    assert found is not None
    return found


@pytest.mark.parametrize("sizes", [(40,), (13, 20, 7)])
def test_conformity_counts_the_cases_that_are_at_least_as_strange(sizes: tuple[int, ...]) -> None:
    members = [draw(n, seed=i) for i, n in enumerate(sizes)]
    new = [draw(9, seed=10 + i)[0] for i in range(len(sizes))]
    found = conformity(new, made(members))
    np.testing.assert_allclose(found, plain_conformity(members, new))


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("n_members", [1, 5])
def test_sets_hold_the_true_class_about_as_often_as_they_say(
    coverage: float, n_members: int
) -> None:
    covered = []
    for seed in range(60):
        members = [draw(100 // n_members, seed=1000 * seed + k) for k in range(n_members)]
        logits, y = draw(50, seed=1000 * seed + 99)
        usual = conformity([logits] * n_members, made(members))
        covered.append((usual > 1 - coverage)[np.arange(50), y].mean())
    assert np.mean(covered) == pytest.approx(coverage, abs=0.025)


def test_a_case_like_none_has_no_class_that_fits() -> None:
    sure = np.tile([8.0, 0.0, 0.0], (100, 1))
    found = made([(sure, np.zeros(100, np.int64))])
    usual = conformity([np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 0.0]])], found)
    assert (usual > 0.1).tolist() == [[False] * 3, [True, False, False]]


def test_of_many_cases_some_are_kept_and_say_the_same() -> None:
    members = [draw(30_000, seed=1)]
    found = made(members)
    assert found.n_conformity == (30_000,)
    assert len(found.conformity[0]) == 1000
    new, _ = draw(200, seed=2)
    known = np.sort(-tempered(members[0][0], found.temperature)[np.arange(30_000), members[0][1]])
    strange = -tempered(new, found.temperature)
    exact = (30_000 - np.searchsorted(known, strange) + 1) / 30_001
    np.testing.assert_allclose(conformity([new], found), exact, atol=0.002)


def test_without_cases_nothing_is_learnt() -> None:
    assert calibrate([(np.empty((0, 2)), np.empty(0, np.int64))], "valid") is None
