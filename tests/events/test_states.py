"""Which state comes next, and which in a while: one class for each, alarms for those named."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import hourly

from foreshock.events.backtest import backtest
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems.problem import Problem, load, save
from foreshock.problems.rule import EventRule, Rule, resolve
from foreshock.readings.series import Readings
from foreshock.training.config import PRESETS, FitConfig
from foreshock.training.pipeline import learn

NAN = float("nan")
ASK = EventRule(window=4, channel="mode", max_missing=0.9, max_missing_target=0.0)


def modes(codes: list[float]) -> Readings:
    noise = np.random.default_rng(0).normal(size=len(codes))
    return hourly(np.array([noise, codes]), ("x", "mode"))


def cycle(n: int = 600) -> Readings:
    """States 0, 1 and 2 that follow each other, of ten to twenty readings each."""
    random = np.random.default_rng(1)
    codes = np.concatenate([np.full(random.integers(10, 20), k % 3) for k in range(n)])[:n]
    return hourly(np.stack([codes + random.normal(0, 0.1, n), codes]), ("x", "mode"))


def plain_answer(codes: list[float], rule: Rule, target: int) -> float | None:
    """Return the state that is asked for of one target, None where it is not known."""
    if rule.ask == "state":
        value = codes[target + rule.horizon - 1]
        return None if value != value else value
    last = target - rule.lead - 1
    known = [(at, value) for at, value in enumerate(codes) if value == value]
    for (_, before), (at, value) in pairwise(known):
        if at > last and value != before:
            return value
    return None


@given(
    st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0, 2.0, NAN]), min_size=30, max_size=60),
    st.sampled_from(["state", "next-state"]),
    st.integers(0, 2),
    st.integers(1, 3),
)
def test_each_target_asks_for_the_state_that_the_rule_says(
    codes: list[float], ask: str, lead: int, horizon: int
) -> None:
    readings = modes(codes)
    rule = replace(ASK, ask=ask, lead=lead, horizon=horizon)
    try:
        problem = cut(readings, rule, PartsConfig(test=0))
    except ValueError:
        return
    whole = resolve(rule, readings)
    by_end = dict(zip(problem.ends.tolist(), problem.y.tolist(), strict=True))
    for target in range(4 + lead, len(codes) - horizon + 1):
        answer = plain_answer(codes, whole, target)
        found = by_end.get(readings.times(target - lead - 1).tolist())
        if answer is None:
            assert found is None
        else:
            assert problem.classes[found] == f"{answer:g}"


def test_the_channel_of_states_is_no_input_and_text_is_taken_by_its_names() -> None:
    codes = cycle().values[1]
    one_hot = [(codes == k).astype(float) for k in range(3)]
    names = ("x", "mode=RUN", "mode=IDLE", "mode=STOP")
    readings = hourly(np.stack([codes, *one_hot]), names)
    problem = cut(readings, replace(ASK, ask="state", lead=3))
    assert (problem.classes, problem.channels) == (("RUN", "IDLE", "STOP"), ("x",))
    numbers = cut(cycle(), replace(ASK, ask="state", lead=3))
    np.testing.assert_array_equal(problem.y, numbers.y)


def test_alarms_are_for_the_states_that_are_named() -> None:
    problem = cut(cycle(), replace(ASK, ask="state", lead=3, event_state=("1", "2")))
    assert problem.warned == (1, 2)
    test = problem.select("test")
    past = backtest(problem, test, lambda last: np.full(len(last), 0.5))
    states = cycle().values[1]
    np.testing.assert_array_equal(past.survey.event, states[past.survey.targets] >= 1)
    assert cut(cycle(), replace(ASK, ask="state")).warned == ()
    following = cut(cycle(), replace(ASK, ask="next-state", event_state=("2",)))
    assert backtest(following, following.select("test"), lambda last: last * 0.0) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"event_above": 1.0}, "name the states to warn of"),
        ({"event_state": ("7",)}, "'mode' has no state '7'"),
        ({"channel": "x"}, "more than 50 values, too many for states"),
    ],
)
def test_what_does_not_go_with_states_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cut(cycle(), replace(ASK, ask="state", **fields))


def test_states_are_not_listed() -> None:
    with pytest.raises(ValueError, match="states are of a channel: leave out --events"):
        cut(cycle(), replace(ASK, ask="state"), events=["2001-01-02"])


def asked(tmp_path: Path) -> Problem:
    problem = cut(cycle(), replace(ASK, ask="state", lead=3, event_state=("1",)), name="modes")
    save(problem, tmp_path / "modes.npz")
    return load(tmp_path / "modes.npz")


def test_a_problem_of_states_is_saved_trained_and_warns_of_the_named(tmp_path: Path) -> None:
    problem = asked(tmp_path)
    assert problem.classes == ("0", "1", "2") and problem.warned == (1,)
    model = replace(PRESETS["fast"].model, filters=(8, 8, 8), cells=4, mixed=(4, 8))
    made = learn(problem, replace(PRESETS["fast"], model=model, fit=FitConfig(steps=20)))
    assert made.card.warned == ("1",)
    forecast = made.forecast(cycle())
    assert set(forecast.proba) == {"0", "1", "2"}
    test = problem.select("test")
    guess = made.predict_proba(problem.X.take(test)).argmax(axis=1)
    assert (guess == problem.y[test]).mean() > 0.6  # 3 of some 15 readings ahead
