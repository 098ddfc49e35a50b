"""Alarms: counted and chosen as a plain reading of their definitions would, one at a time."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.events import alarms
from foreshock.events.alarms import AlarmConfig, Alarms, Timeline, choose, curve, describe, points
from foreshock.events.alarms import raise_alarms as count
from foreshock.metrics.intervals import proportion

HOUR = np.timedelta64(1, "h")


def watched(
    proba: dict[int, float],
    events: list[int],
    *,
    stride: int = 1,
    horizon: int = 1,
    lead: int = 0,
    step: np.timedelta64 | None = HOUR,
) -> Timeline:
    """Watch targets by the position of their first reading."""
    return Timeline(
        targets=np.array(list(proba), np.int64),
        proba=np.array(list(proba.values()), np.float32),
        events=np.array(events, np.int64),
        stride=stride,
        horizon=horizon,
        lead=lead,
        step=step,
    )


EMPTY = watched({}, [])


@st.composite
def timelines(draw: st.DrawFn, *, longest: int = 5) -> Timeline:
    """Targets with gaps between them, probabilities with ties, events that are in targets."""
    stride, horizon = draw(st.integers(1, 4)), draw(st.integers(1, longest))
    places = sorted(draw(st.sets(st.integers(0, 25), max_size=20)))
    proba = {k * stride: draw(st.integers(0, 6)) / 8 for k in places}
    inside = sorted({k * stride + i for k in places for i in range(horizon)})
    events = sorted(draw(st.sets(st.sampled_from(inside), max_size=6))) if inside else []
    return watched(proba, events, stride=stride, horizon=horizon, lead=draw(st.integers(0, 2)))


def slowly(timeline: Timeline, threshold: float) -> Alarms:
    """Go through the forecasts as someone on watch would."""
    stands: list[int] = []  # targets of alarms
    begun: list[int] = []  # for each alarm, the first of those that led to it without a break
    passed = -1  # when the last alarm's target has passed
    for target, proba in zip(timeline.targets.tolist(), timeline.proba.tolist(), strict=True):
        if proba < threshold or target < passed:
            continue
        soonest = passed if passed < 0 else min(
            t for t in range(passed, passed + timeline.stride) if t % timeline.stride == 0
        )  # fmt: skip
        if timeline.horizon < timeline.stride and stands:
            soonest = stands[-1] + timeline.stride
        begun.append(begun[-1] if stands and target == soonest else target)
        stands.append(target)
        passed = target + timeline.horizon
    spans = [range(target, target + timeline.horizon) for target in stands]
    events = timeline.events.tolist()
    leads = [
        event - (begun[k] - timeline.lead)
        for event in events
        for k, span in enumerate(spans)
        if event in span
    ]
    return Alarms(
        threshold=threshold,
        alarms=len(stands),
        false_alarms=sum(not any(event in span for event in events) for span in spans),
        warned=len(leads),
        leads=tuple(leads),
    )


@given(timelines(), st.integers(0, 7))
def test_alarms_are_those_of_someone_on_watch(timeline: Timeline, eighths: int) -> None:
    assert count(timeline, eighths / 8) == slowly(timeline, eighths / 8)


def test_an_alarm_stands_for_its_target_and_is_not_raised_again_in_it() -> None:
    found = count(watched(dict.fromkeys(range(9), 0.9), [4], horizon=3), 0.5)
    assert (found.alarms, found.false_alarms, found.warned) == (3, 2, 1)


def test_a_probability_of_the_threshold_is_an_alarm_and_one_below_is_none() -> None:
    timeline = watched({0: 0.1, 1: 0.7, 2: 0.7}, [1])
    threshold = float(timeline.proba[1])
    assert count(timeline, threshold).alarms == 2
    assert count(timeline, float(np.nextafter(timeline.proba[1], np.float32(1)))).alarms == 0


def test_lead_counts_from_the_end_of_the_first_window_that_led_to_the_warning() -> None:
    high = dict.fromkeys((2, 3, 4, 8), 0.9)
    assert count(watched(high, [4, 8]), 0.5).leads == (2, 0)  # in the hour after the window: 0
    assert count(watched(high, [4, 8], lead=6), 0.5).leads == (8, 6)
    long = dict.fromkeys(range(0, 48, 4), 0.9)  # a day, asked every four hours
    assert count(watched(long, [30], stride=4, horizon=24), 0.5).leads == (30,)


def test_targets_that_the_stride_lets_begin_after_one_has_passed_go_on_without_a_break() -> None:
    timeline = watched(dict.fromkeys(range(0, 12, 2), 0.9), [9], stride=2, horizon=3)
    assert count(timeline, 0.5).leads == (9,)  # alarms of 0, 4 and 8


def test_a_gap_between_targets_breaks_what_led_to_a_warning() -> None:
    assert count(watched({0: 0.9, 1: 0.9, 3: 0.9, 4: 0.9}, [4]), 0.5).leads == (1,)


# curves


@given(st.lists(timelines(), min_size=1, max_size=3))
def test_a_curve_has_each_probability_once_and_falling(some: list[Timeline]) -> None:
    found = curve(some)
    distinct = sorted({p for timeline in some for p in timeline.proba.tolist()}, reverse=True)
    assert [point[0].threshold for point in found] == distinct
    for point, threshold in zip(found, distinct, strict=True):
        assert point == [slowly(timeline, threshold) for timeline in some]


@pytest.mark.parametrize("n_events", [5, 900])
def test_the_curve_of_many_forecasts_is_short_and_has_its_ends(n_events: int) -> None:
    random = np.random.default_rng(0)
    proba = dict(enumerate(random.random(5000).tolist()))
    timeline = watched(proba, sorted(random.choice(5000, n_events, replace=False).tolist()))
    found = [point for (point,) in curve([timeline])]
    thresholds = [point.threshold for point in found]
    assert thresholds == sorted(set(thresholds), reverse=True)
    assert 50 < len(thresholds) <= 200
    assert set(thresholds) <= set(timeline.proba.tolist())
    assert (thresholds[0], thresholds[-1]) == (timeline.proba.max(), timeline.proba.min())
    at_events = timeline.proba[timeline.events].tolist()
    assert {min(at_events), max(at_events)} <= set(thresholds)
    if n_events == 5:
        assert set(at_events) <= set(thresholds)
    steps = np.diff([point.warned for point in found])
    assert steps.max() <= max(1, 2 * n_events / 100)


def test_nothing_watched_has_no_curve() -> None:
    assert curve([EMPTY, EMPTY]) == []


# choice


def totals(some: list[Timeline], threshold: float) -> tuple[int, int]:
    found = [slowly(timeline, threshold) for timeline in some]
    return sum(each.false_alarms for each in found), sum(each.warned for each in found)


def candidates(some: list[Timeline]) -> list[float]:
    return sorted({p for timeline in some for p in timeline.proba.tolist()}, reverse=True)


SOME = st.lists(timelines(), min_size=1, max_size=3).filter(
    lambda some: any(len(timeline.events) for timeline in some)
)
AT_ONCE = st.lists(timelines(longest=1), min_size=1, max_size=3).filter(
    lambda some: any(len(timeline.events) for timeline in some)
)


@given(SOME, st.sampled_from([0.01, 0.5, 1.0, 3.0, 100.0]))
def test_no_threshold_costs_less_than_the_chosen_and_no_higher_one_as_little(
    some: list[Timeline], cost: float
) -> None:
    n = sum(len(timeline.events) for timeline in some)

    def total(threshold: float) -> float:
        false, warned = totals(some, threshold)
        return cost * (n - warned) + false

    chosen = choose(some, AlarmConfig(cost=cost))
    assert chosen is not None
    assert total(chosen) <= min(total(t) for t in candidates(some))
    assert total(chosen) <= total(2.0)  # no alarm at all
    assert all(total(t) > total(chosen) for t in candidates(some) if t > chosen)


@given(SOME, st.sampled_from([1.0, 200.0, 500.0, 1000.0, 3000.0, 9000.0]))
def test_the_chosen_and_every_higher_threshold_keep_to_the_budget_and_the_next_does_not(
    some: list[Timeline], budget: float
) -> None:
    years = sum(timeline.years or 0.0 for timeline in some)
    chosen = choose(some, AlarmConfig(budget=budget))
    assert chosen is not None
    for threshold in [chosen, *(t for t in candidates(some) if t >= chosen)]:
        assert totals(some, threshold)[0] <= budget * years
    lower = [t for t in candidates(some) if t < chosen]
    if lower:
        assert totals(some, lower[0])[0] > budget * years


@given(SOME, st.sampled_from([0.01, 0.3, 0.5, 0.7, 1.0]))
def test_the_chosen_is_the_highest_threshold_that_reaches_the_recall(
    some: list[Timeline], recall: float
) -> None:
    n = sum(len(timeline.events) for timeline in some)
    reaching = [t for t in candidates(some) if totals(some, t)[1] >= recall * n - 1e-9]
    if reaching:
        assert choose(some, AlarmConfig(recall=recall)) == max(reaching)
    else:
        with pytest.raises(ValueError, match=r"no threshold warns of .*: lower --alarm"):
            choose(some, AlarmConfig(recall=recall))


@given(AT_ONCE)
def test_targets_of_one_reading_can_all_be_warned_of(some: list[Timeline]) -> None:
    chosen = choose(some, AlarmConfig(recall=1.0))
    assert chosen == min(float(w.proba[w.targets == e][0]) for w in some for e in w.events)


def test_a_recall_that_standing_alarms_keep_from_being_reached_is_refused() -> None:
    timeline = watched({0: 0.9, 2: 0.5}, [4], horizon=3)  # of 0, the alarm stands until 3
    with pytest.raises(ValueError, match=r"no threshold warns of 80% of the 1 events, the best"
                       r" warns of 0: lower --alarm\.recall\."):  # fmt: skip
        choose([timeline], AlarmConfig(recall=0.8))


def test_constant_probabilities_warn_of_all_or_of_nothing() -> None:
    timeline = watched(dict.fromkeys(range(10), 0.25), [3])
    assert choose([timeline], AlarmConfig(recall=0.5)) == 0.25
    assert choose([timeline], AlarmConfig(cost=9.5)) == 0.25
    for config in (AlarmConfig(cost=8.5), AlarmConfig(budget=1)):
        threshold = choose([timeline], config)
        assert threshold is not None
        assert count(timeline, threshold).alarms == 0


@pytest.mark.parametrize("level", [0.0, 1e-45, 0.3, 1.0])
def test_above_the_highest_probability_float32_has_another(level: float) -> None:
    timeline = watched(dict.fromkeys(range(100), level), [3])
    threshold = choose([timeline], AlarmConfig(budget=1e-3))
    assert threshold is not None
    assert not (timeline.proba >= np.float32(threshold)).any()


def test_an_empty_watch_beside_others_changes_nothing() -> None:
    timeline = watched({0: 0.1, 1: 0.9, 2: 0.4}, [2])
    for config in (AlarmConfig(cost=2), AlarmConfig(recall=1), AlarmConfig(budget=3000)):
        assert choose([EMPTY, timeline], config) == choose([timeline], config) is not None


def test_no_threshold_is_chosen_where_none_is_asked_for() -> None:
    assert choose([EMPTY], AlarmConfig()) is None
    assert AlarmConfig().policy is None


@pytest.mark.parametrize(
    "config", [AlarmConfig(cost=1), AlarmConfig(budget=1), AlarmConfig(recall=1)]
)
def test_without_an_event_there_is_nothing_to_choose_by(config: AlarmConfig) -> None:
    for some in ([EMPTY], [], [watched({0: 0.5}, [])]):
        with pytest.raises(
            ValueError, match="no event in the data that the model was not trained on"
        ):
            choose(some, config)


def test_cases_without_a_clock_have_no_year() -> None:
    timeline = watched({0: 0.5, 2: 0.4}, [2], step=None)
    assert timeline.years is None
    assert choose([timeline], AlarmConfig(recall=1)) == pytest.approx(0.4)
    with pytest.raises(ValueError, match=r"use --alarm\.cost or --alarm\.recall"):
        choose([timeline], AlarmConfig(budget=1))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cost": 1.0, "recall": 0.5}, "not cost and recall."),
        ({"cost": 0.0}, "cost must be above 0, got 0.0."),
        ({"budget": math.inf}, "budget must be above 0, got inf."),
        ({"budget": math.nan}, "budget must be above 0, got nan."),
        ({"recall": 1.1}, "recall must be above 0 and at most 1, got 1.1."),
        ({"recall": 0.0}, "recall must be above 0 and at most 1, got 0.0."),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(fields: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=r"alarm|must") as caught:
        AlarmConfig(**fields)
    assert reason in str(caught.value)


def test_a_policy_says_what_was_asked_for() -> None:
    assert AlarmConfig(cost=20).policy == (
        "least cost, a missed event costing as much as 20 false alarms"
    )
    assert AlarmConfig(budget=2.5).policy == "at most 2.5 false alarms per year"
    assert AlarmConfig(recall=0.8).policy == "a warning of at least 80% of the events"


# what is told


def test_years_are_those_of_the_targets_watched_gaps_aside() -> None:
    hours = 365.25 * 24
    assert watched({0: 0.5, 1: 0.5, 100: 0.5}, []).years == pytest.approx(3 / hours)
    assert watched({0: 0.5, 24: 0.5}, [], stride=24, horizon=48).years == pytest.approx(48 / hours)
    step = np.timedelta64(250_000, "us")
    assert watched({0: 0.5}, [], step=step).years == pytest.approx(0.25 / 3600 / hours)
    assert EMPTY.years == 0


def test_what_comes_of_a_threshold_is_told_by_the_year_and_the_hour() -> None:
    high = {k: 0.9 if k in (10, 11, 40) else 0.1 for k in range(8766)}  # a year of hours
    told = describe(watched(high, [11, 50], lead=2), 0.5, "as told")
    assert told["recall"]["value"] == 0.5
    assert told["precision"]["value"] == pytest.approx(1 / 3)
    assert (told["events"], told["warned"], told["alarms"], told["false_alarms"]) == (2, 1, 3, 2)
    assert (told["alarm_rate"], told["false_alarm_rate"]) == (3, 2)
    assert told["leads"] == [3, 3, 3]
    assert (told["threshold"], told["policy"]) == (0.5, "as told")
    minutes = describe(watched(high, [11], step=np.timedelta64(30, "m")), 0.5, "")
    assert minutes["leads"] == [0.5, 0.5, 0.5]
    assert minutes["alarm_rate"] == pytest.approx(6)


def warned_of(seen: list[bool], length: int, *, blocks: bool) -> dict[str, float]:
    """Return the share warned of where each stretch of events is warned of as a whole or not."""
    events = [100 * k + i for k in range(len(seen)) for i in range(length)]
    within = ((at, seen[at // 100] and at % 100 < length) for at in range(100 * len(seen)))
    proba = {at: 0.9 if high else 0.1 for at, high in within}
    timeline = watched(proba, events)
    told = describe(replace(timeline, blocks=timeline.targets // 50 if blocks else None), 0.5, "")
    assert told["precision"] is None or told["precision"]["value"] == 1
    return told["recall"]


def test_neighbouring_events_are_worth_as_many_as_the_stretches_that_they_are() -> None:
    seen = [k % 4 != 0 for k in range(20)]
    alone = proportion(15, 20)
    assert warned_of(seen, 1, blocks=False) == asdict(alone)  # Wilson's
    stretches = warned_of(seen, 30, blocks=True)
    assert (stretches["value"], warned_of(seen, 30, blocks=False)["value"]) == (0.75, 0.75)
    assert stretches["low"] == pytest.approx(alone.low, abs=0.06)
    assert stretches["high"] == pytest.approx(alone.high, abs=0.06)
    naive = proportion(450, 600)
    assert stretches["high"] - stretches["low"] > 4 * (naive.high - naive.low)
    all_of = warned_of([True] * 20, 30, blocks=True)
    assert (all_of["low"], all_of["high"]) == (pytest.approx(1 - 3 / 20), 1)
    one = warned_of([True], 30, blocks=True)  # a single block says nothing
    assert (one["low"], one["high"]) == (0, 1)


def test_events_of_one_target_are_not_independent() -> None:
    proba = {8 * k: 0.9 if k % 3 else 0.1 for k in range(30)}
    each = [8 * k for k in range(30)]
    every = [8 * k + i for k in range(30) for i in range(8)]
    alone, together = (
        describe(watched(proba, events, stride=8, horizon=8), 0.5, "")["recall"]
        for events in (each, every)
    )
    assert alone == asdict(proportion(20, 30))
    assert together["low"] == pytest.approx(alone["low"], abs=0.03)
    assert together["high"] == pytest.approx(alone["high"], abs=0.03)


def test_an_interval_is_at_least_as_wide_as_of_independent_events() -> None:
    timeline = watched({k: 0.9 if k % 2 else 0.1 for k in range(40)}, list(range(40)))
    halves = replace(timeline, blocks=timeline.targets // 20)  # each warned of half
    plain = proportion(20, 40)
    assert describe(halves, 0.5, "")["recall"] == asdict(plain)


@given(timelines(), st.sampled_from([0.0, 0.5, 2.0]))
def test_what_is_told_is_json_whatever_was_watched(timeline: Timeline, threshold: float) -> None:
    told = describe(timeline, threshold, "policy")
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["curve"] == points(timeline)
    assert (told["recall"] is None) == (not len(timeline.events))
    assert (told["precision"] is None) == (not told["alarms"])
    assert (told["leads"] is None) == (not told["warned"])
    for point, threshold in zip(told["curve"], candidates([timeline]), strict=True):
        slow = slowly(timeline, threshold)
        assert point["threshold"] == threshold
        assert point["alarm_rate"] * told["span"] == pytest.approx(slow.alarms)
        assert point["precision"] == pytest.approx(1 - slow.false_alarms / slow.alarms)


def test_less_than_a_tenth_of_a_year_is_counted_by_the_day_or_the_hour() -> None:
    two_days = describe(watched(dict.fromkeys(range(48), 0.9), []), 0.5, "")
    assert (two_days["per"], two_days["span"], two_days["alarm_rate"]) == ("day", 2, 24)
    second = np.timedelta64(1, "s")
    half_an_hour = describe(watched(dict.fromkeys(range(1800), 0.9), [], step=second), 0.5, "")
    assert (half_an_hour["per"], half_an_hour["span"]) == ("hour", 0.5)


def test_numbered_readings_are_counted_by_the_thousand() -> None:
    known = dict.fromkeys(range(500), 0.1) | {100: 0.9, 200: 0.9}
    timeline = watched(known, [101], step=np.timedelta64(1, "s"), horizon=3)
    told = describe(replace(timeline, counted=True, units=4), 0.5, "")
    assert (told["per"], told["span"], told["units"]) == ("1,000 readings", 0.5, 4)
    assert (told["alarm_rate"], told["lead_unit"], told["leads"]) == (4, "readings", [1, 1, 1])


def test_nothing_watched_is_told_as_nothing() -> None:
    told = describe(EMPTY, 0.5, "policy")
    assert json.dumps(told, allow_nan=False)
    assert (told["alarms"], told["alarm_rate"], told["span"]) == (0, 0.0, 0.0)
    assert told["curve"] == []


def test_probabilities_of_double_precision_are_counted_alike() -> None:
    timeline = watched({0: 0.1, 1: 0.7, 2: 0.3}, [1])
    double = replace(timeline, proba=np.array([0.1, 0.7, 0.3]))
    assert [(p["recall"], p["precision"]) for p in points(double)] == [
        (p["recall"], p["precision"]) for p in points(timeline)
    ]
    assert alarms.raise_alarms(double, 0.7).alarms == 1


def test_a_probability_that_is_no_number_never_passes_for_no_alarm() -> None:
    with pytest.raises(ValueError, match="leave out the targets without a forecast"):
        replace(
            Timeline(
                targets=np.arange(2),
                proba=np.array([0.1, np.nan]),
                events=np.arange(1),
                stride=1,
                horizon=1,
                lead=0,
                step=None,
            )
        )
