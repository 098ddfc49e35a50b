"""The baseline on counts of active readings: what it counts, and what it makes of it."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from toys import hourly, quake_rule

from foreshock.events import baselines
from foreshock.events.baselines import ActivityModel, count_active, fit_activity, recent
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems.problem import Problem


def restless(n: int = 6000, **fields: object) -> Problem:
    """A problem of readings in which events come where much happens, some of them missing."""
    random = np.random.default_rng(5)
    rate = np.repeat(random.uniform(0.05, 0.9, n // 60), 60)
    values = random.uniform(0.1, 3.9, (2, n)) * (random.random((2, n)) < rate)
    values[0, random.random(n) < rate / 20] = 6
    values[:, random.random(n) < 0.01] = np.nan
    readings = hourly(values.astype(np.float32))
    options = {"window": 40, "quiet": 0, "min_active": 1, "max_missing": 0.5, **fields}
    return cut(readings, quake_rule(**options), PartsConfig(test=0.3))


def plainly(problem: Problem, case: int) -> list[int]:
    rule = problem.rule
    assert rule is not None and rule.channel is not None
    series = problem.X[case][problem.channels.index(rule.channel)].tolist()
    last = series[len(series) - max(1, len(series) // 20) :]
    return [sum(v > np.float32(rule.active_above) for v in some) for some in (series, last)]


@pytest.mark.parametrize(
    "fields", [{}, {"active_above": 1.5, "window": 19}, {"channel": "b", "event_above": 3.8,
               "calm_below": 3.0, "window": 41}, {"lead": 3, "overlap": True, "stride": 2}]
)  # fmt: skip
def test_the_active_readings_of_each_window_and_of_its_end_are_counted(
    fields: dict[str, object],
) -> None:
    problem = restless(**fields)
    cases = np.arange(problem.n_cases)[::-3]
    assert count_active(problem, cases).tolist() == [plainly(problem, k) for k in cases.tolist()]
    assert count_active(problem, cases[:0]).shape == (0, 2)


@pytest.mark.parametrize(("window", "length"), [(1, 1), (19, 1), (39, 1), (40, 2), (512, 25)])
def test_the_end_of_a_window_is_its_last_twentieth_and_at_least_a_reading(
    window: int, length: int
) -> None:
    assert recent(quake_rule(window=window, min_active=0)) == length


@given(*[st.floats(-3, 3)] * 3, st.lists(st.integers(0, 10**6), min_size=2, max_size=2))
def test_the_odds_are_a_product_of_powers_of_the_counts(
    intercept: float, whole: float, recent: float, counts: list[int]
) -> None:
    model = ActivityModel(intercept=intercept, whole=whole, recent=recent)
    (proba,) = model.proba(np.array([counts])).tolist()
    odds = np.exp(intercept) * (1 + counts[0]) ** whole * (1 + counts[1]) ** recent
    assert proba == pytest.approx(odds / (1 + odds))


def test_it_is_fitted_on_the_given_cases_alone() -> None:
    problem = restless()
    train = problem.select("train")
    model = fit_activity(problem, train)
    assert model is not None
    counts = count_active(problem, train)
    likely = LogisticRegression().fit(np.log1p(counts), problem.y[train])
    np.testing.assert_allclose(
        model.proba(counts), likely.predict_proba(np.log1p(counts))[:, 1], rtol=1e-6
    )
    problem.y[problem.select("test")] = 0
    assert fit_activity(problem, train) == model


def test_where_much_happens_it_expects_more() -> None:
    problem = restless()
    model = fit_activity(problem, problem.select("train"))
    quiet, busy = model.proba(np.array([[2, 0], [36, 2]]))
    assert 0 < quiet < problem.y.mean() < busy < 1


def test_cases_of_one_class_alone_or_none_give_no_baseline() -> None:
    problem = restless()
    assert fit_activity(problem, np.flatnonzero(problem.y == 0)) is None
    assert fit_activity(problem, np.arange(0)) is None


def test_of_very_many_cases_some_that_lie_evenly_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = restless()
    train = problem.select("train")
    monkeypatch.setattr(baselines, "_FITTED", 1 + (len(train) - 1) // 2)
    odd = train[: 2 * ((len(train) - 1) // 2) + 1]
    assert fit_activity(problem, odd) == fit_activity(problem, odd[::2])


def test_counts_that_never_differ_give_the_share_of_events() -> None:
    problem = restless(active_above=100.0, min_active=0)
    train = problem.select("train")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit_activity(problem, train)
    share = problem.y[train].mean()
    assert model.proba(np.zeros((1, 2), np.int64))[0] == pytest.approx(share, abs=1e-3)
