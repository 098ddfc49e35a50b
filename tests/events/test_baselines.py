"""The baselines: what they look at, and what they make of it."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from toys import hourly, quake_rule, toy_problem

from foreshock._json import decode
from foreshock.events import baselines
from foreshock.events.baselines import (
    ActivityModel,
    Regression,
    count_active,
    fit_activity,
    fit_baselines,
    fit_curve,
    fit_regression,
    recent,
    summarise,
    windows_at,
)
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems.problem import Problem
from foreshock.problems.rule import EventRule, resolve
from foreshock.readings.series import Windows, stack


def restless(n: int = 6000, **fields: object) -> Problem:
    """A problem of readings in which events come where much happens, some of them missing."""
    random = np.random.default_rng(5)
    rate = np.repeat(random.uniform(0.05, 0.9, n // 60), 60)
    values = random.uniform(0.1, 3.9, (2, n)) * (random.random((2, n)) < rate)
    values[0, random.random(n) < rate / 20] = 6
    values[:, random.random(n) < 0.01] = np.nan
    readings = hourly(values.astype(np.float32), ("maximum", "b"))
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


def test_counts_that_never_differ_are_no_baseline() -> None:
    problem = restless(active_above=100.0, min_active=0)
    assert fit_activity(problem, problem.select("train")) is None
    assert "activity counts" not in forecasts(problem)


@pytest.mark.parametrize(
    ("channels", "channel", "counted"),
    [(("maximum",), None, True), (("mean", "a"), None, True), (("pm2.5", "count"), "pm2.5", False)],
)  # fmt: skip
def test_activity_is_counted_where_the_rule_watches_a_channel_of_a_catalogue(
    channels: tuple[str, ...], channel: str | None, counted: bool
) -> None:
    rule = EventRule(window=4, channel=channel, event_above=5)
    assert resolve(rule, hourly(np.ones((len(channels), 9)), channels)).counts_activity == counted


# last reading, window summary, gradient boosting


def forecasts(problem: Problem, part: str = "test") -> dict[str, NDArray[np.float64]]:
    fitted = fit_baselines(problem, problem.rows("train"))
    return fitted.forecast(problem, problem.select(part), problem.channels)


def sensors(seed: int = 0, n: int = 8000, event_above: float = 2.0, **rule: object) -> Problem:
    """Two channels of which the first wanders to where events are, and the second is noise."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(2, n))
    for k in range(1, n):
        values[0, k] = 0.95 * values[0, k - 1] + 0.31 * values[0, k]
    values[:, random.random(n) < 0.02] = np.nan
    fields = {"window": 24, "horizon": 6, "quiet": 6, "quiet_binds": "all", "overlap": True}
    fields |= {"calm_below": None, "min_active": 0, "max_missing": 0.5, **rule}
    readings = hourly(values.astype(np.float32), ("level", "noise"))
    fields |= {"event_above": event_above, "channel": "level"}
    return cut(readings, EventRule(**fields), PartsConfig(test=0.4))


def test_the_summary_is_that_of_a_plain_reading_of_it() -> None:
    problem = sensors()
    cases = problem.select("test")[::311]
    found = summarise(problem, cases, problem.channels).reshape(len(cases), 6, 2)
    for row, series in zip(found, problem.X[cases].astype(np.float64), strict=True):
        for k, values in enumerate(series):
            at = np.flatnonzero(~np.isnan(values))
            there = values[at]
            expected = [there[-1], there.mean(), there.min(), there.max(), there.std()]
            expected.append(np.polyfit(at, there, 1)[0])
            np.testing.assert_allclose(row[:, k], expected, atol=1e-9)


def test_a_channel_without_values_has_no_summary_and_one_value_has_no_trend() -> None:
    problem = toy_problem()
    X = problem.X.copy()
    X[0, 0], X[1, 0, 1:] = np.nan, np.nan
    found = summarise(replace(problem, X=X), np.arange(2), problem.channels).reshape(2, 6, 2)
    assert np.isnan(found[0, :, 0]).all()
    assert np.isfinite(found[0, :, 1]).all()
    first = X[1, 0, 0]
    np.testing.assert_allclose(found[1, :, 0], [first, first, first, first, 0, 0])


def test_channels_are_taken_by_name_and_levels_as_they_were_measured() -> None:
    problem = sensors()
    readings, cases = problem.readings, problem.select("test")[:50]
    assert readings is not None
    model = fit_baselines(problem, problem.rows("train"), boosting=False)
    expected = model.forecast(problem, cases, problem.channels)
    offset = np.array([512.0, 0.0])
    values = readings.values - offset[:, None].astype(np.float32)
    moved = replace(
        readings,
        values=values[::-1].copy(),
        channels=("noise", "level"),
        offset=offset[::-1].copy(),
    )
    other = replace(
        problem,
        X=Windows(moved, problem.ends, problem.n_timepoints),
        channels=moved.channels,
        rule=replace(problem.rule, channel="level"),
    )
    found = model.forecast(other, cases, problem.channels)
    for name, proba in expected.items():
        np.testing.assert_allclose(found[name], proba, atol=1e-3)


def test_a_regression_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    for n_classes in (2, 4):
        y = random.integers(n_classes, size=300)
        features = random.normal(size=(300, 3)) * [1, 100, 0.01] + y[:, None]
        scaled = (features - features.mean(axis=0)) / features.std(axis=0)
        expected = LogisticRegression().fit(scaled, y).predict_proba(scaled)
        found = fit_regression(features, y, n_classes).proba(features)
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_missing_value_tells_what_it_told_in_training() -> None:
    random = np.random.default_rng(0)
    y = random.integers(2, size=400)
    features = random.normal(size=(400, 2))
    features[(y == 1) & (random.random(400) < 0.8), 0] = np.nan
    model = fit_regression(features, y, 2)
    assert model.absent == (0,)
    lacking, there = model.proba(np.array([[np.nan, 0.0], [0.0, 0.0]]))[:, 1]
    assert lacking > 0.9 > 0.4 > there
    assert np.isfinite(model.proba(np.array([[np.nan, np.nan], [1e30, -1e30]]))).all()


def test_a_class_that_no_case_has_is_given_next_to_nothing() -> None:
    random = np.random.default_rng(0)
    y = random.integers(2, size=100)
    proba = fit_regression(random.normal(size=(100, 2)), y, 3).proba(np.zeros((1, 2)))
    assert proba.shape == (1, 3)
    assert proba[0, 2] < 1e-6


def test_a_regression_is_plain_json() -> None:
    problem = sensors(n=3000)
    model = fit_baselines(problem, problem.rows("train"), boosting=False)
    for regression in model.regressions.values():
        values = json.loads(json.dumps(dataclasses.asdict(regression), allow_nan=False))
        assert decode(Regression, values, "model.json") == regression


def test_problems_of_readings_have_three_and_labelled_series_the_summary() -> None:
    assert set(forecasts(sensors())) == {"last reading", "window summary", "gradient boosting"}
    series = toy_problem(60, 3)
    fitted = fit_baselines(series, np.arange(60))
    found = fitted.forecast(series, np.arange(60), series.channels)
    assert set(found) == {"series summary"}
    assert found["series summary"].shape == (60, 3)
    assert fitted.boosting is None


def test_too_many_channels_and_classes_are_not_summarised_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(baselines, "_NUMBERS", 10)
    caplog.set_level("INFO")
    assert not fit_baselines(toy_problem(), np.arange(40)).regressions
    assert "No series summary to compare with: 2 channels and 2 classes" in caplog.text


def test_what_the_last_reading_tells_all_of_them_know() -> None:
    problem = sensors()
    y = problem.y[problem.select("test")]
    for name, proba in forecasts(problem).items():
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        assert roc_auc_score(y, proba[:, 1]) > 0.75, name


def test_they_are_fitted_on_the_given_cases_alone() -> None:
    problem = sensors()
    first = forecasts(problem)
    problem.y[problem.select("test")] = 0
    for name, proba in forecasts(problem).items():
        np.testing.assert_array_equal(proba, first[name])


def test_windows_at_any_reading_are_cases_of_the_rule() -> None:
    problem = sensors()
    last = np.array([500, 400, 4711])
    found = windows_at(problem, last)
    assert problem.readings is not None
    for series, stop in zip(found.X[:], last + 1, strict=True):
        np.testing.assert_array_equal(series, problem.readings.values[:, stop - 24 : stop])


# age


def test_an_age_at_which_events_come_is_found_wherever_it_lies() -> None:
    random = np.random.default_rng(0)
    age = random.integers(30, 1100, size=8000).astype(np.float64)
    y = ((age > 540) & (age < 575)).astype(np.int64)
    model = fit_curve(age, y, 2)
    ahead, within, past = model.proba(np.array([[480.0], [555.0], [640.0]]))[:, 1]
    assert within > 0.8
    assert max(ahead, past) < 0.1
    assert model.proba(np.array([[5000.0]]))[0, 1] < 0.1


def test_the_age_of_a_unit_is_a_baseline_where_there_are_several() -> None:
    random = np.random.default_rng(0)
    one = hourly(random.normal(size=(1, 400)))
    fleet = stack({f"u{k}": replace(one, values=random.normal(size=(1, 400))) for k in range(12)})
    rule = EventRule(window=24, horizon=20)
    found = cut(fleet, rule, events="end")
    proba = forecasts(found)["age"][:, 1]
    assert roc_auc_score(found.y[found.select("test")], proba) > 0.99
    assert "age" not in forecasts(sensors())
