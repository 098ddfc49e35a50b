"""How the heads of windows are fitted and weighed by cases that they were not trained on."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from toys import hourly

from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.nn.config import ModelConfig
from foreshock.nn.distributed import this_device
from foreshock.nn.model import LSTMFCN, predict
from foreshock.nn.trees import DEPTH, Trees
from foreshock.problems.problem import NO_FOLD, Problem
from foreshock.problems.rule import EventRule
from foreshock.readings.series import Windows, stack
from foreshock.training.config import FitConfig, TrainConfig, resolve
from foreshock.training.pipeline import learn
from foreshock.training.stacking import (
    _plant,
    fit_summary,
    gate,
    independent,
    inner_folds,
    judge,
    represented,
    summaries,
    thinned,
)

SMALL = ModelConfig(filters=(4, 6, 5), mixed=(), dilations=(1, 1, 1), cells=4)
QUICK = TrainConfig(model=SMALL, fit=FitConfig(steps=20), scan=False)


def drifting(n: int = 3000, seed: int = 0) -> np.ndarray:
    """Make readings that rise for a day before each jump, and noise."""
    random = np.random.default_rng(seed)
    jumps = np.cumsum(random.integers(60, 90, n))
    left = jumps[np.searchsorted(jumps, np.arange(n))] - np.arange(n)
    first = np.clip(24 - left, 0, 24) * 0.1 + random.normal(0, 0.5, n)
    first[left == 0] = 9
    return np.stack([first, random.normal(0, 1, n)]).astype(np.float32)


@pytest.fixture(scope="module")
def problem() -> Problem:
    rule = EventRule(
        window=24, horizon=6, quiet=24, event_above=8, channel="vibration"
    )  # fmt: skip
    return cut(hourly(drifting(), ("vibration", "noise")), rule, PartsConfig(folds=4))


def network(problem: Problem, seed: int = 0, n_trees: int = 0) -> LSTMFCN:
    model = LSTMFCN(
        dataclasses.replace(
            SMALL, normalize="train", summary=True, summary_trees=n_trees, random_features=0
        ),
        n_channels=2, n_timepoints=24, n_classes=2, logit_scale=0.5, seed=seed,
    )  # fmt: skip
    model.fit_views([problem.X[problem.select("train")]])
    return model


def test_thinning_leaves_out_what_is_plentiful_and_weights_stand_for_it():
    y = np.repeat([0, 1, 0, 2], [500, 30, 400, 70])
    some = thinned(y, 240)
    assert np.bincount(y[some]).tolist() == [140, 30, 70]
    assert (np.diff(some) > 0).all()
    totals = np.bincount(y[some], weights=represented(y, some))
    assert totals.tolist() == pytest.approx([900, 30, 70])
    assert thinned(y, 5000).tolist() == list(range(1000))


def test_without_trees_a_summary_is_scikit_learns_logistic_regression_on_its_features(problem):
    rows = problem.select("train")
    X, y, fold = problem.X[rows], problem.y[rows], inner_folds(problem, rows)
    model = network(problem)
    found = fit_summary(model, X, y, fold, np.ones(len(y), np.float32))
    z = model.summary.features(summaries(model, X)).double().numpy()
    odds = sum(
        share
        * LogisticRegression(C=c, max_iter=2000, tol=1e-8).fit(each, y).decision_function(each)
        for share, c, each in zip(
            (1 - found.ranks, found.ranks), found.penalties, np.split(z, 2, axis=1), strict=True
        )
    )
    with torch.no_grad():
        proba = model.eval().proba(model(torch.from_numpy(X))).numpy()
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-odds)), atol=1e-4)


def test_of_each_case_the_left_out_logits_know_nothing_of_its_fold(problem):
    rows = problem.select("train")
    X, y, fold = problem.X[rows], problem.y[rows], inner_folds(problem, rows)
    changed, held = y.copy(), fold == 2
    changed[held] = np.random.default_rng(0).permutation(y[held])
    ones = np.ones(len(y), np.float32)
    before, after = (
        fit_summary(network(problem, n_trees=20), X, each, fold, ones) for each in (y, changed)
    )
    if before.penalties == after.penalties and before.trees == after.trees:
        np.testing.assert_allclose(before.left_out[held], after.left_out[held], atol=1e-6)
    assert not np.allclose(before.left_out[fold == 0], after.left_out[fold == 0], atol=1e-3)


def test_folds_are_the_problems_own_or_groups_or_stretches(problem):
    rows = problem.select("train")
    np.testing.assert_array_equal(inner_folds(problem, rows), problem.fold[rows])
    without = dataclasses.replace(problem, fold=None)
    assert (np.diff(inner_folds(without, rows).astype(int)) >= 0).all()
    names = np.array([f"unit {k % 7}" for k in range(problem.n_cases)])
    grouped = inner_folds(dataclasses.replace(without, group=names), rows)
    for name in np.unique(names):
        assert len(np.unique(grouped[names[rows] == name])) == 1


def test_the_last_fold_with_all_classes_judges():
    fold = np.array([0, 0, 1, 1, NO_FOLD, 2, 2])
    assert judge(np.array([0, 1, 0, 1, 1, 0, 1]), fold) == 2
    assert judge(np.array([0, 1, 0, 1, 1, 0, 0]), fold) == 1
    assert judge(np.array([0, 1, 0, 0, 1, 0, 0]), fold) is None


def test_a_bad_head_gets_no_weight_and_a_good_one_all_where_enough_cases_say_so():
    random = np.random.default_rng(0)
    y = random.integers(2, size=400)
    base, ones = np.zeros((400, 2)), np.ones(400)
    good = np.stack([-(2.0 * y - 1), 2.0 * y - 1], axis=1) + random.normal(0, 1, (400, 2))
    noise = 3 * random.normal(size=(400, 2))
    assert gate(base, noise, y, ones, 400) == 0
    assert gate(base, -good, y, ones, 400) == 0
    assert gate(base, good, y, ones, 400) > 0.9
    assert gate(base, good, y, ones, 0.1) < 0.2 < gate(base, good, y, ones, 1) < 0.9


def test_cases_that_share_readings_are_worth_less():
    assert independent(np.arange(100), 10) == pytest.approx(1 + 99 / 10)
    assert independent(np.arange(100)[::-20], 10) == 5


def test_units_whose_clocks_run_together_are_worth_a_case_each():
    hours = np.datetime64("2000-01-01", "us") + np.arange(40) * np.timedelta64(1, "h")
    both = stack({name: hourly(drifting()[:, :40], ("a", "b")) for name in ("one", "two")})
    windows = Windows(both, hours[[39, 39]], 24, unit=np.array([0, 1]))
    assert independent(windows.last(), 24) == 2


def test_a_training_is_the_same_by_seed_and_whatever_is_in_the_test_part(problem):
    readings = problem.X.readings
    values, rows = readings.values.copy(), problem.select("test")
    first = int(readings.positions(problem.ends[rows[0]])) - 23
    values[:, first:] = np.random.default_rng(9).normal(size=values[:, first:].shape)
    other = dataclasses.replace(
        problem,
        X=type(problem.X)(dataclasses.replace(readings, values=values), problem.ends, 24),
        y=np.where(problem.part == 2, 1 - problem.y, problem.y),
    )
    one, two = learn(problem, QUICK), learn(other, QUICK)
    for name, weight in one.members[0].state_dict().items():
        torch.testing.assert_close(weight, two.members[0].state_dict()[name], rtol=0, atol=0)
    assert one.members[0].summary is not None
    assert (one.members[0].summary.weight != 0).any()


def test_windows_are_balanced_and_weighed_back_and_take_no_longer_when_there_are_more(problem):
    few, many = (resolve(FitConfig(), n, 2, valid_asked=False, windows=True) for n in (900, 30_000))
    assert few.sampling == many.sampling == "balanced"
    assert few.steps == many.steps
    assert resolve(FitConfig(), 900, 2, valid_asked=False).sampling == "shuffle"
    forecaster = learn(problem, QUICK)
    train = problem.select("train")
    proba = forecaster.predict_proba(problem.X.take(train))[:, 1]
    assert proba.mean() == pytest.approx(problem.y[train].mean(), rel=0.15)


def test_scan_says_of_every_window_what_predict_says(problem):
    member = learn(problem, QUICK).members[0]
    from foreshock.inference.sliding import scan

    ends = np.arange(100, 400)
    values = problem.X.readings.values.copy()
    values[:, 200:207] = np.nan
    windows = np.stack([values[:, e - 23 : e + 1] for e in ends])
    direct = predict(member, windows, devices=this_device())
    np.testing.assert_allclose(scan(member, values, ends), direct, atol=1e-4)


def puzzle(n: int = 1200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows whose class is whether two channels stand on the same side: no sum says it."""
    random = np.random.default_rng(0)
    level = random.normal(size=(n, 2, 1)) + 0.1 * random.normal(size=(n, 2, 24))
    y = (level[:, 0, -1] > 0) == (level[:, 1, -1] > 0)
    return level.astype(np.float32), y.astype(np.int64), (np.arange(n) % 4).astype(np.uint8)


def test_trees_count_where_they_know_more_and_not_where_regressions_do(problem):
    X, y, fold = puzzle()
    ones = np.ones(len(y), np.float32)
    model = network(problem, n_trees=30)
    model.fit_views([X])
    found = fit_summary(model, X, y, fold, ones)
    assert found.trees > 0.9
    said = model.eval()(torch.from_numpy(X)).argmax(1).numpy()
    assert (said == y).mean() > 0.9
    assert (found.left_out.argmax(1) == y).mean() > 0.85
    by_sum = (X[:, 0, -1] + X[:, 1, -1] + np.random.default_rng(1).normal(0, 1, len(y)) > 0) * 1
    assert fit_summary(model, X, by_sum, fold, ones).trees < 0.5


def test_planted_trees_say_what_scikit_learns_forest_says():
    random = np.random.default_rng(0)
    z, y = random.normal(size=(500, 7)).astype(np.float32), random.integers(3, size=500)
    z[:, 0] = z[:, 0].round(1)  # values that thresholds may fall on
    forest = ExtraTreesClassifier(20, max_depth=DEPTH, min_samples_leaf=3, random_state=0)
    forest.fit(z, y)
    trees = Trees(20, 3)
    _plant(trees, forest)
    fresh = random.normal(size=(300, 7)).astype(np.float32)
    for x in (z, fresh):
        found = trees(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(found, forest.predict_proba(x), atol=1e-6)
    edges = np.tile(trees.threshold.flatten().numpy()[:200, None], 7)
    found = trees(torch.from_numpy(edges)).numpy()
    np.testing.assert_allclose(found, forest.predict_proba(edges), atol=1e-6)


def test_members_each_judge_their_network_by_their_own_fold(
    problem, small_config: Callable[..., TrainConfig]
):
    forecaster = learn(problem, dataclasses.replace(QUICK, members=2))
    first, second = forecaster.members
    assert first.summary is not None and second.summary is not None
    assert not torch.equal(first.summary.weight, second.summary.weight)
    assert forecaster.card.calibration is not None
