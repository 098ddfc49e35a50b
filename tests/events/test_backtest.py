"""Forecasting every target of a time: each by its own window, and none of another's time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from toys import quake_rule

from foreshock.events.alarms import describe
from foreshock.events.backtest import Backtest, as_cases, backtest, is_time
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems.problem import Problem
from foreshock.problems.rule import EventRule
from foreshock.readings.series import Readings, Windows, stack

START, HOUR = np.datetime64("2001-01-01", "us"), np.timedelta64(1, "h")


def sensor(n: int = 900, seed: int = 0, missing: float = 0.01) -> Readings:
    """Readings with gaps in which half of the time something happens, and now and then an event."""
    random = np.random.default_rng(seed)
    values = random.uniform(0.5, 4.4, (2, n)) * random.integers(0, 2, (2, n))
    values[0, random.choice(n, n // 15, replace=False)] = 6
    values[:, random.random(n) < missing] = np.nan
    return Readings(values=values.astype(np.float32), start=START, step=HOUR, channels=("a", "b"))


RULE = quake_rule(window=6, quiet=4, min_active=2, max_missing=0.2)
RULES = [
    RULE,
    replace(RULE, lead=3, horizon=4),
    replace(RULE, stride=5, horizon=2, lead=1),
    replace(RULE, quiet=12, quiet_binds="all", stride=2, horizon=3),
    replace(RULE, overlap=True, max_missing=0.0, channel="b", event_above=4.2),
]


def made(rule: EventRule = RULE, **fields: float) -> Problem:
    return cut(sensor(), rule, PartsConfig(test=0.3, **fields))


def by_position(last: NDArray[np.int64]) -> NDArray[np.float64]:
    """Forecast so that it can be told which window was asked about."""
    return (last + 1) / 2**14


def watched(problem: Problem, cases: NDArray[np.int64]) -> Backtest:
    found = backtest(problem, cases, by_position)
    assert found is not None
    return found


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("part", ["train", "test"])
def test_each_target_is_forecast_by_the_window_a_lead_before_it(rule: EventRule, part: str) -> None:
    problem = made(rule)
    found = watched(problem, problem.select(part))
    asked = found.survey.targets - rule.lead - 1
    usable = found.survey.usable
    np.testing.assert_array_equal(found.proba[usable], by_position(asked[usable]).astype("f4"))
    assert np.isnan(found.proba[~usable]).all()
    admitted = usable & ~found.survey.outside
    assert 0 < admitted.sum() < len(admitted)
    np.testing.assert_array_equal(found.timeline.targets, found.survey.targets[admitted])
    np.testing.assert_array_equal(found.timeline.proba, found.proba[admitted])


@pytest.mark.parametrize("rule", RULES)
def test_the_targets_are_all_from_the_first_case_to_the_last(rule: EventRule) -> None:
    problem = made(rule)
    readings, cases = problem.readings, problem.select("test")
    assert readings is not None and problem.ends is not None
    found = watched(problem, cases)
    targets = readings.positions(problem.ends[cases]) + 1 + rule.lead
    expected = np.arange(targets[0], targets[-1] + 1, rule.stride)
    np.testing.assert_array_equal(found.survey.targets, expected)
    assert found.span[0].startswith(str(readings.times(targets[0]))[:13])
    assert found.span[1].startswith(str(readings.times(targets[-1] + rule.horizon))[:13])


@pytest.mark.parametrize("rule", RULES)
def test_every_case_is_forecast_and_its_label_found_again(rule: EventRule) -> None:
    problem = made(rule)
    readings, cases = problem.readings, problem.select("test")
    assert readings is not None and problem.ends is not None
    survey = watched(problem, cases).survey
    at = np.searchsorted(survey.targets, readings.positions(problem.ends[cases]) + 1 + rule.lead)
    assert survey.usable[at].all()
    np.testing.assert_array_equal(survey.event[at], problem.y[cases] == 1)
    assert not survey.outside[at][problem.y[cases] == 1].any()
    if rule.quiet_binds == "all":
        assert not survey.outside[at].any()


@pytest.mark.parametrize("rule", RULES)
def test_the_events_are_those_in_the_targets_that_are_watched(rule: EventRule) -> None:
    problem = made(rule)
    found = watched(problem, problem.select("test"))
    values = problem.readings.values[rule.watched(problem.channels)]
    inside = {t + i for t in found.timeline.targets.tolist() for i in range(rule.horizon)}
    assert rule.event_above is not None
    expected = [at for at in sorted(inside) if values[at] >= np.float32(rule.event_above)]
    assert found.timeline.events.tolist() == expected != []


def test_listed_events_are_the_ones_that_are_watched() -> None:
    readings = sensor()
    listed = np.arange(7, 900, 23)
    problem = cut(readings, RULE, PartsConfig(test=0.3), events=readings.times(listed))
    found = watched(problem, problem.select("test"))
    assert len(found.timeline.events)
    assert set(found.timeline.events.tolist()) <= set(listed.tolist())
    assert found.survey.events.tolist() == [
        e for e in listed.tolist() if found.survey.targets[0] <= e <= found.survey.targets[-1]
    ]


@settings(max_examples=60)
@given(st.sampled_from(RULES), st.data())
def test_any_cases_that_none_lies_between_are_a_time_and_no_others_are(
    rule: EventRule, data: st.DataObject
) -> None:
    problem = made(rule)
    first = data.draw(st.integers(0, problem.n_cases - 1))
    last = data.draw(st.integers(first, problem.n_cases - 1))
    cases = np.arange(first, last + 1)
    assert is_time(problem, cases)
    found = watched(problem, cases)
    assert len(found.survey.targets) and found.survey.usable.any()
    assert len(found.arrays(problem)["time"]) == found.survey.usable.sum()
    told = describe(found.timeline, 0.5, "")
    assert told["events"] >= (problem.y[cases] == 1).any()
    assume(len(cases) > 2)
    fewer = np.delete(cases, data.draw(st.integers(1, len(cases) - 2)))
    assert not is_time(problem, fewer)
    assert backtest(problem, fewer, by_position) is None


def test_parts_and_folds_of_time_are_times_and_parts_at_random_are_none() -> None:
    problem = made(valid=0.2)
    assert problem.fold is not None
    for cases in (
        problem.select("train"), problem.select("valid"), problem.select("test"),
        *(np.flatnonzero(problem.fold == k) for k in range(int(problem.fold[0]), 2)),
    ):  # fmt: skip
        assert is_time(problem, cases)
    drawn = cut(sensor(), RULE, PartsConfig(test=0.3, order="random"))
    assert not is_time(drawn, drawn.select("test"))
    assert backtest(drawn, drawn.select("test"), by_position) is None


def test_targets_whose_windows_share_readings_are_in_blocks_of_time() -> None:
    rule = replace(RULE, lead=3, horizon=4)
    problem = made(rule)
    found = watched(problem, problem.select("test")).timeline
    lengths = [np.ptp(found.targets[found.blocks == k]) + 1 for k in np.unique(found.blocks)]
    assert rule.stretch // 2 < max(lengths) <= rule.stretch
    apart = replace(rule, stride=rule.stretch)
    problem = made(apart)
    assert watched(problem, problem.select("test")).timeline.blocks is None


def test_ten_units_or_more_are_blocks() -> None:
    readings = stack({f"pump {k}": sensor(120, seed=k) for k in range(24)})
    problem = cut(readings, replace(RULE, overlap=True), PartsConfig(test=0.5, by="unit"))
    found = watched(problem, problem.select("test"))
    admitted = found.survey.usable & ~found.survey.outside
    np.testing.assert_array_equal(found.timeline.blocks, found.unit[admitted])


def test_no_cases_and_cases_without_readings_are_no_time() -> None:
    problem = made()
    assert not is_time(problem, np.arange(0))
    assert isinstance(problem.X, Windows)
    copied = replace(problem, X=problem.X[:], rule=None)
    assert not is_time(copied, copied.select("test"))


def test_where_the_rule_admits_no_window_nothing_is_watched_and_that_can_be_told() -> None:
    values = np.resize([1.0, 2.0], 120)
    values[[20, 22, 50, 70, 90, 110]] = 6
    readings = Readings(
        values=values[None].astype(np.float32), start=START, step=HOUR, channels=("a",)
    )
    rule = replace(RULE, overlap=True)
    problem = cut(readings, rule, PartsConfig(test=0.3))
    assert problem.ends is not None
    cases = np.flatnonzero(problem.ends == readings.times(23))  # right after an event
    found = watched(problem, cases)
    assert found.survey.outside.all() and found.survey.usable.all()
    assert not len(found.timeline.targets) and not len(found.timeline.events)
    told = describe(found.timeline, 0.5, "")
    assert (told["alarm_rate"], told["recall"], told["curve"]) == (0.0, None, [])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("most", [1, 7])
def test_of_very_many_targets_the_latest_are_forecast(
    rule: EventRule, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = made(rule)
    whole = watched(problem, problem.select("test")).survey
    monkeypatch.setattr("foreshock.events.backtest.MOST", most)
    found = watched(problem, problem.select("test")).survey
    for field in ("targets", "usable", "outside", "event"):
        np.testing.assert_array_equal(getattr(found, field), getattr(whole, field)[-most:])


def test_what_is_kept_has_a_row_for_each_forecast() -> None:
    problem = made()
    found = watched(problem, problem.select("test"))
    arrays = found.arrays(problem)
    made_at = found.survey.targets[found.survey.usable]
    np.testing.assert_array_equal(arrays["time"], START + HOUR * made_at)
    np.testing.assert_array_equal(arrays["proba"], by_position(made_at - 1).astype("f4"))
    assert arrays["event"].sum() > 0 and arrays["outside"].sum() > 0
    assert arrays["time"].dtype == "datetime64[us]" and arrays["proba"].dtype == np.float32
    assert {len(array) for array in arrays.values()} == {len(made_at)}


@pytest.mark.parametrize("rule", RULES)
def test_every_forecast_is_a_case_for_the_baselines(rule: EventRule) -> None:
    problem = made(rule)
    found = watched(problem, problem.select("test"))
    cases, kept = as_cases(found, problem), found.arrays(problem)
    assert cases.n_cases == len(kept["proba"])
    np.testing.assert_array_equal(cases.y, kept["event"])
    values, length = problem.readings.values, problem.n_timepoints
    for k in (0, 7, cases.n_cases - 1):
        target = int(problem.readings.positions(kept["time"][k]))
        stop = target - rule.lead
        np.testing.assert_array_equal(cases.X[k], values[:, stop - length : stop])


def test_a_target_without_a_forecast_is_not_watched_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    problem = made()
    cases = problem.select("test")
    usual = watched(problem, cases)
    lost = usual.timeline.targets[[3, 10, 11]]

    def partly(last: NDArray[np.int64]) -> NDArray[np.float64]:
        given = by_position(last)
        given[np.isin(last, lost - RULE.lead - 1)] = np.nan
        return given

    found = backtest(problem, cases, partly)
    assert found is not None
    assert "3 of" in caplog.text
    assert "targets have no forecast: the model gives no probability there" in caplog.text
    np.testing.assert_array_equal(
        found.timeline.targets, np.setdiff1d(usual.timeline.targets, lost)
    )
    assert np.isfinite(found.arrays(problem)["proba"]).all()
