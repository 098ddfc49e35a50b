"""Readings of several units: nothing crosses a border, and ends, lists and states are events."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import hourly

from foreshock.events.backtest import backtest
from foreshock.events.cut import cut
from foreshock.events.partition import PartsConfig
from foreshock.problems import PARTS
from foreshock.problems.audit import audit
from foreshock.problems.problem import NO_FOLD, card, load, save
from foreshock.problems.rule import EventRule
from foreshock.problems.splits import member_folds, trained_by
from foreshock.readings.series import Readings, Units, Windows, stack

START = np.datetime64("1970-01-01T00:00:01")
RULE = EventRule(window=4, horizon=3, max_missing=0.0)


def cycles(values: np.ndarray, channels: tuple[str, ...] = ("a", "b")) -> Readings:
    """Make numbered readings of one unit, from 1 on."""
    return Readings(
        values=values, start=START, step=np.timedelta64(1, "s"), channels=channels, counted=True
    )


def fleet(sizes: list[int], seed: int = 0) -> Readings:
    """Make units of random readings."""
    random = np.random.default_rng(seed)
    return stack({f"u{k}": cycles(random.normal(size=(2, n))) for k, n in enumerate(sizes)})


def machines(n: int = 3, size: int = 300) -> Readings:
    """Make units on a clock that begin a day apart, with an event now and then."""
    random = np.random.default_rng(0)
    units = {}
    for k in range(n):
        values = random.uniform(0, 4, (2, size))
        values[0, random.choice(size, size // 15, replace=False)] = 9
        one = hourly(values)
        units[f"m{k}"] = replace(one, start=one.start + k * np.timedelta64(1, "D"))
    return stack(units)


LEVEL = replace(RULE, channel="a", event_above=9.0)


def test_a_unit_is_a_view_with_its_own_clock() -> None:
    whole = machines()
    for k in range(3):
        alone = whole.unit(k)
        assert np.shares_memory(alone.values, whole.values)
        assert (alone.n_timepoints, alone.units) == (300, None)
        assert alone.start == whole.units.starts[k]
        np.testing.assert_array_equal(
            whole.times(np.arange(300) + 300 * k), alone.times(np.arange(300))
        )
    at = np.array([0, 299, 300, 899])
    unit = whole.unit_at(at)
    assert unit.tolist() == [0, 0, 1, 2]
    np.testing.assert_array_equal(whole.positions(whole.times(at), unit), at)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"firsts": [0, 3, 3]}, "must ascend from 0; none may be empty"),
        ({"firsts": [1, 2, 3]}, "must ascend from 0"),
        ({"names": ["a", "b", "a"]}, "two units are called 'a'"),
        ({"starts": ["2001", "NaT", "2001"]}, "unit 'b' has no start"),
        ({"names": ["a", "b"]}, "units need a name, a start and a first position each"),
    ],
)
def test_units_that_cannot_be_are_refused(fields: dict[str, list[object]], reason: str) -> None:
    values = {"names": ["a", "b", "c"], "starts": ["2001"] * 3, "firsts": [0, 2, 4], **fields}
    arrays = {
        "names": np.array(values["names"]),
        "starts": np.array(values["starts"], "datetime64[us]"),
        "firsts": np.array(values["firsts"]),
    }
    with pytest.raises(ValueError, match=reason):
        Units(**arrays)


def test_units_of_other_channels_or_steps_are_not_put_together() -> None:
    one = cycles(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="units must have one step and the same channels"):
        stack({"a": one, "b": cycles(np.zeros((1, 5)), ("a",))})
    with pytest.raises(ValueError, match="numbered readings have a step of 1s, got 1"):
        replace(one, step=np.timedelta64(1, "h"))


def test_readings_until_a_time_leave_out_units_that_begin_later() -> None:
    whole = machines()
    early = whole.until(np.datetime64("2001-01-02T03:00"))
    assert early.units.names.tolist() == ["m0", "m1"]
    assert np.diff(early.bounds).tolist() == [27, 3]
    np.testing.assert_array_equal(early.unit(1).values, whole.unit(1).values[:, :3])
    with pytest.raises(ValueError, match="cannot end at 2000"):
        whole.until(np.datetime64("2000-01-01"))


@given(st.lists(st.integers(1, 25), min_size=1, max_size=8), st.data())
def test_no_window_and_no_target_crosses_a_border(sizes: list[int], data: st.DataObject) -> None:
    whole = fleet(sizes)
    lead, quiet = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 4))
    early = data.draw(st.sets(st.sampled_from(whole.units.names.tolist()), max_size=3))
    rule = replace(RULE, lead=lead, quiet=quiet)
    try:
        problem = cut(whole, rule, PartsConfig(test=0), events="end", ended_early=tuple(early))
    except ValueError:
        return
    for case in range(problem.n_cases):
        k = int(problem.unit[case])
        alone, name = whole.unit(k), whole.units.names[k]
        last = int(alone.positions(problem.ends[case]))
        np.testing.assert_array_equal(problem.X[case], alone.values[:, last - 3 : last + 1])
        target = range(last + 1 + lead, last + 4 + lead)
        fails = alone.n_timepoints - 1 in target and name not in early
        assert problem.y[case] == fails
        # what lies beyond the end is known before a failure alone
        assert target.stop <= alone.n_timepoints or fails


def test_each_units_end_is_its_event_but_for_those_that_ended_early() -> None:
    whole = fleet([40] * 10)
    problem = cut(whole, RULE, PartsConfig(test=0), events="end", ended_early=("u3", "u7"))
    counts = np.bincount(problem.unit, problem.y, minlength=10)
    assert counts.tolist() == [3, 3, 3, 0, 3, 3, 3, 0, 3, 3]  # the last three windows before it
    assert problem.counted and problem.step == "1"
    flag = np.zeros(400)
    flag[39::80] = 1  # in the last reading of every other unit
    flagged = replace(whole, values=np.stack([whole.values[0], flag]), channels=("a", "stopped"))
    named = cut(flagged, RULE, PartsConfig(test=0), events="end", ended_early=("stopped",))
    assert np.bincount(named.unit, named.y, minlength=10).tolist() == [0, 3] * 5
    with pytest.raises(ValueError, match="'u99', which is neither a unit nor a channel"):
        cut(whole, RULE, events="end", ended_early=("u99",))
    with pytest.raises(ValueError, match="all units ended early"):
        cut(flagged, RULE, events="end", ended_early=tuple(whole.units.names))


def test_a_listed_event_may_lie_past_a_units_last_reading() -> None:
    whole = fleet([20] * 6)
    # failures 1 and 5 readings after the end, and none known of the others
    problem = cut(whole, RULE, PartsConfig(test=0), events=[21, 25], event_units=["u0", "u1"])
    last = {k: problem.y[problem.unit == k] for k in range(6)}
    assert last[0].tolist() == [0] * 14 + [1, 1, 1]  # to the last window: 17 of 20 readings
    assert last[1].tolist() == [0] * 17  # known, so all windows count, but too far away
    assert all(last[k].tolist() == [0] * 14 for k in range(2, 6))  # targets end with the readings


def test_a_list_of_events_needs_units_where_readings_have_them() -> None:
    with pytest.raises(ValueError, match="needs a column with the name of each one's unit"):
        cut(machines(), RULE, events=["2001-01-03"])
    with pytest.raises(ValueError, match="none of the 1 listed events lies within"):
        cut(machines(), RULE, events=["2001-01-03"], event_units=["nobody"])
    with pytest.raises(ValueError, match="are for events at the units"):
        cut(machines(), LEVEL, ended_early=("m0",))


def test_parts_by_unit_leave_units_out_whole() -> None:
    whole = fleet([40] * 20)
    problem = cut(whole, RULE, events="end")  # numbered: by unit
    owners = {part: set(problem.unit[problem.select(part)].tolist()) for part in PARTS}
    assert len(owners["test"]) == 6 and len(owners["train"]) == 14
    assert not owners["test"] & owners["train"]
    named = cut(whole, RULE, PartsConfig(test_units=("u4", "u5")), events="end")
    assert set(named.unit[named.select("test")].tolist()) == {4, 5}
    with pytest.raises(ValueError, match="there is no unit 'u77'"):
        cut(whole, RULE, PartsConfig(test_units=("u77",)), events="end")
    with pytest.raises(ValueError, match="parts by unit need units"):
        cut(machines().unit(0), LEVEL, PartsConfig(by="unit"))
    with pytest.raises(ValueError, match="the end of a single unit is one event, too few"):
        cut(whole.unit(0), RULE, events="end")


def test_parts_by_time_have_one_border_for_all_units() -> None:
    problem = cut(machines(), LEVEL)
    late = problem.ends[problem.select("test")].min()
    assert problem.ends[problem.select("train")].max() < late
    assert set(problem.unit[problem.select("train")].tolist()) == {0, 1, 2}
    assert audit(problem).shared == ()


def test_the_test_part_may_begin_at_a_time_or_a_number() -> None:
    problem = cut(machines(), LEVEL, PartsConfig(test_from="2001-01-09", valid=0.2))
    border = np.datetime64("2001-01-09")
    assert problem.ends[problem.select("test")].min() > border
    assert problem.ends[: problem.count("train") + problem.count("valid")].max() < border
    assert problem.count("valid") > 50
    alone = cut(machines().unit(0), LEVEL, PartsConfig(test_from="2001-01-09"))
    assert alone.ends[alone.select("train")].max() < border < alone.ends[alone.select("test")].min()
    level = replace(RULE, channel="a", event_above=1.5)
    numbered = cut(fleet([60] * 4), level, PartsConfig(by="time", test_from="31"))
    assert numbered.ends[numbered.select("test")].min() == np.datetime64(30 + 4 + 4, "s")
    with pytest.raises(ValueError, match="the readings are all before 2010"):
        cut(machines(), LEVEL, PartsConfig(test_from="2010-01-01"))


def test_parts_by_both_test_later_times_of_other_units() -> None:
    problem = cut(machines(8), LEVEL, PartsConfig(by="both"))
    train, test = problem.select("train"), problem.select("test")
    assert not set(problem.unit[train].tolist()) & set(problem.unit[test].tolist())
    assert problem.ends[train].max() < problem.ends[test].min()
    assert problem.candidates.counts["no part"][1] > 0


@pytest.mark.parametrize("by", ["unit", "time", "both"])
def test_parts_come_one_after_the_other_and_folds_divide_train_alone(by: str) -> None:
    problem = cut(machines(8), LEVEL, PartsConfig(by=by, folds=3))
    assert (np.diff(problem.part.astype(int)) >= 0).all()
    assert isinstance(problem.rows("train"), slice)
    train = problem.rows("train")
    assert (problem.fold[problem.select("test")] == NO_FOLD).all()
    assert set(problem.fold[train].tolist()) - {NO_FOLD} == {0, 1, 2}
    for code in range(3):
        inside, rest = problem.fold == code, (problem.fold != code) & (problem.fold != NO_FOLD)
        assert set(problem.y[inside].tolist()) == {0, 1}
        if by != "time":
            own = set(problem.unit[inside].tolist())
            assert not own & set(problem.unit[rest].tolist())
    folds = member_folds(problem, 3, 0)
    for member in range(3):
        kept = trained_by(folds, problem.select("train"), member)
        assert len(kept) and not (folds[kept] == member).any()


@pytest.mark.parametrize("name", ["fleet.npz", "fleet"])
def test_a_problem_of_units_is_saved_and_loaded_as_it_was(tmp_path: Path, name: str) -> None:
    whole = fleet([40] * 12)
    made = cut(whole, RULE, events="end", name="fleet")
    save(made, tmp_path / name)
    again = load(tmp_path / name)
    for field in ("y", "part", "fold", "ends", "events", "event_unit", "unit"):
        np.testing.assert_array_equal(getattr(again, field), getattr(made, field))
    np.testing.assert_array_equal(again.X[:], made.X[:])
    assert again.rule == made.rule and again.counted
    assert again.readings.units.names.tolist() == whole.units.names.tolist()
    assert card(again) == card(made)
    assert card(again).parts["test"].units == 4


def test_the_table_of_candidates_names_the_unit() -> None:
    whole = fleet([40] * 12)
    problem = cut(whole, RULE, events="end")
    lines = problem.candidates.table(whole).splitlines()
    assert lines[0] == "unit,target,event,outcome"
    assert lines[1] == "u0,1,no,too early"
    assert lines[40] == "u0,40,yes,case" and lines[41] == "u1,1,no,too early"


def test_every_target_of_the_test_units_is_forecast_once() -> None:
    whole = fleet([40] * 12)
    problem = cut(whole, RULE, events="end")
    asked: list[int] = []

    def forecasts(last: np.ndarray) -> np.ndarray:
        asked.extend(last.tolist())
        return np.full(len(last), 0.25)

    test = problem.select("test")
    past = backtest(problem, test, forecasts)
    np.testing.assert_array_equal(asked, problem.X.last(test))
    assert len(past.timeline.events) == 4 and past.survey.event.sum() == 12
    rows = past.arrays(problem)
    assert set(rows["unit"].tolist()) == {f"u{k}" for k in np.unique(problem.unit[test])}
    # no alarm of one unit stands for an event of the next
    gaps = np.diff(past.timeline.targets)
    assert (gaps[gaps > 1] > RULE.horizon).all() and (gaps > 1).sum() == 3


def test_flags_and_the_states_that_define_events_are_no_inputs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    random = np.random.default_rng(0)
    flag = (random.random(400) < 0.1).astype(float)
    states = np.stack([flag, 1 - flag])
    values = np.concatenate([random.normal(size=(1, 400)), [flag, flag[::-1]], states])
    readings = hourly(values, ("x", "anomaly", "change", "mode=BROKEN", "mode=NORMAL"))
    with caplog.at_level("INFO"):
        problem = cut(readings, replace(RULE, channel="anomaly", event_state=("1",)))
    assert problem.channels == ("x", "mode=BROKEN", "mode=NORMAL")
    assert "Not seen by the model, as they may give events away: anomaly, change" in caplog.text
    assert problem.X.shape[1] == 3
    by_state = cut(readings, replace(RULE, channel="mode", event_state=("BROKEN",)))
    assert by_state.channels == ("x",)
    np.testing.assert_array_equal(by_state.y, problem.y)
    chosen = cut(
        readings, replace(RULE, channel="mode", event_state=("BROKEN",), inputs=("x", "change"))
    )
    assert chosen.channels == ("x", "change")
    np.testing.assert_array_equal(chosen.X[0], Windows(readings, chosen.ends, 4)[0][[0, 2]])
    with pytest.raises(ValueError, match="'mode' has no state 'BURNT'; it has BROKEN, NORMAL"):
        cut(readings, replace(RULE, channel="mode", event_state=("BURNT",)))
    with pytest.raises(ValueError, match="'mode' is text: name the states"):
        cut(readings, replace(RULE, channel="mode", event_above=1.0))


def test_where_no_channel_tells_of_events_nothing_is_objected() -> None:
    flag = np.tile([1.0] + [0.0] * 19, 20)
    readings = hourly(np.stack([np.random.default_rng(0).normal(size=400), flag]), ("x", "f"))
    state = replace(RULE, channel="f", event_state=("1",), quiet=4)
    rule = cut(readings, state).rule
    assert rule.objections(readings.until(readings.times(382)))  # an event just before
    assert not rule.objections(readings.until(readings.times(390)))
    assert not rule.objections(readings.until(readings.times(382)).only(("x",)))


def test_an_onset_is_one_reading_and_an_end_the_first_after() -> None:
    flag = np.zeros(400)
    for start in range(20, 400, 40):
        flag[start : start + 5] = 1
    flag[22] = np.nan  # a gap within a state begins no other
    readings = hourly(np.stack([np.random.default_rng(0).normal(size=400), flag]), ("x", "f"))

    def positions(when: str) -> list[int]:
        rule = replace(RULE, channel="f", event_state=("1",), event_when=when)
        return np.flatnonzero(cut(readings, rule).rule.occurs(readings)).tolist()

    assert positions("onset") == list(range(20, 400, 40))
    assert positions("end") == list(range(25, 400, 40))
    assert len(positions("any")) == 49


def test_an_event_may_be_a_reading_below_a_threshold() -> None:
    readings = hourly(np.random.default_rng(0).uniform(0, 10, (1, 500)))
    problem = cut(readings, EventRule(window=4, event_below=1.0))
    for case in range(problem.n_cases):
        after = int(readings.positions(problem.ends[case])) + 1
        assert problem.y[case] == (readings.values[0, after] <= 1)
    with pytest.raises(ValueError, match="an event is one of event_above and event_below"):
        EventRule(event_above=3, event_below=1)


def test_lengths_may_be_times() -> None:
    readings = hourly(np.random.default_rng(0).uniform(0, 10, (1, 500)))
    rule = cut(readings, EventRule(window="1d", horizon="120min", event_above=9.5)).rule
    assert (rule.window, rule.horizon, rule.overlap, rule.quiet_binds) == (24, 2, True, "all")
    with pytest.raises(ValueError, match="window must be a multiple of the step, 1h, got '90min'"):
        cut(readings, EventRule(window="90min", event_above=9))
    with pytest.raises(ValueError, match="window must be a number, as readings are numbered"):
        cut(fleet([40] * 10), EventRule(window="1d"), events="end")


def test_a_target_with_few_gaps_is_judged_and_one_with_an_event_is_always() -> None:
    values = np.random.default_rng(0).uniform(0, 10, (2, 600))
    values[0, ::10] = np.nan  # one of ten
    problem = cut(hourly(values), EventRule(window=5, horizon=10, channel="a", event_above=9.5))
    assert problem.candidates.counts["gap in target"] == (0, 0)
    strict = EventRule(window=5, horizon=10, channel="a", event_above=9.5, max_missing_target=0.0)
    with pytest.raises(ValueError, match=r"no case without an event; rejected: .* a gap in"):
        cut(hourly(values), strict)


def test_of_a_log_nothing_is_assumed() -> None:
    readings = hourly(np.random.default_rng(0).uniform(0, 10, (2, 500)))
    for rule, reason in (
        (EventRule(), "how much of the past the model sees has to be named: --rule.window 72"),
        (EventRule(window=4), "which channel tells of events has to be named"),
        (EventRule(window=4, channel="a"), "what an event is has to be named"),
    ):
        with pytest.raises(ValueError, match=reason):
            cut(readings, rule)
