"""What a rule makes of readings: against a plain reading of the rule, one target at a time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import quake_rule

from foreshock.events import labelling
from foreshock.events.labelling import Survey, compete, history, judge, survey
from foreshock.problems.rule import EVENT, OUTCOMES, Rule
from foreshock.readings.series import Readings

NAN = math.nan


def readings(*channels: list[float], names: str = "abc") -> Readings:
    return Readings(
        values=np.array(channels, np.float32),
        start=np.datetime64("2000-01-01"),
        step=np.timedelta64(1, "h"),
        channels=tuple(names[: len(channels)]),
    )


def small(**fields: object) -> Rule:
    values: dict[str, object] = {
        "window": 3, "quiet": 2, "min_active": 1, "channel": "a", **fields
    }  # fmt: skip
    return quake_rule(**values)


def named(codes: np.ndarray) -> list[str]:
    return [OUTCOMES[code % EVENT] + "!" * (code >= EVENT) for code in codes.tolist()]


def plain_events(watched: np.ndarray, rule: Rule, listed: set[int] | None) -> set[int]:
    """Return the positions of the events as the rule's sentences say."""
    if listed is not None:
        return listed
    found, before = set(), None
    for at, value in enumerate(watched.tolist()):
        if math.isnan(value):
            continue
        past = value <= rule.event_below if rule.event_below is not None else (
            value >= rule.event_above
        )  # fmt: skip
        onset, end = past and before is False, not past and before is True
        if {"any": past, "onset": onset, "end": end}[rule.event_when]:
            found.add(at)
        before = past
    return found


def plain_targets(n: int, rule: Rule, listed: set[int] | None) -> list[int]:
    """Return where targets may begin: beyond the end only before an event that is known there."""
    latest = n - rule.horizon
    if listed and max(listed) >= n - 1:
        latest = min(max(listed), n + rule.lead)
    return list(range(0, latest + 1, rule.stride))


def plainly(values: np.ndarray, rule: Rule, listed: set[int] | None, target: int) -> str:
    """Judge one target as the rule's sentences say."""
    watched = values[0]
    events = plain_events(watched, rule, listed)
    aim = range(target, target + rule.horizon)
    window = range(target - rule.lead - rule.window, target - rule.lead)
    quiet = range(target - rule.quiet, target)
    positive = any(at in events for at in aim)
    mark = "!" * positive
    bound = positive or rule.quiet_binds == "all"

    def hidden(stretch: range) -> int:
        inside = [at for at in stretch if at < len(watched)]
        return 0 if listed is not None else sum(math.isnan(watched[at]) for at in inside)

    if window.start < 0 or (bound and quiet.start < 0):
        return "too early" + mark
    if not positive:
        if hidden(aim) > rule.max_missing_target * rule.horizon:
            return "gap in target"
        if rule.calm_below is not None and any(
            watched[at] >= rule.calm_below for at in aim if at < len(watched)
        ):
            return "between"
    if bound and any(at in events for at in quiet):
        return "event before" + mark
    missing = sum(math.isnan(v) for v in values[:, window.start : window.stop].ravel())
    if missing > rule.max_missing * rule.window * len(values):
        return "gap" + mark
    if bound and hidden(quiet) > rule.max_missing * rule.quiet:
        return "gap" + mark
    if sum(watched[at] > rule.active_above for at in window) < rule.min_active:
        return "inactive" + mark
    return "case" + mark


def judged(series: Readings, rule: Rule, listed: np.ndarray | None = None) -> np.ndarray:
    return judge(series, rule, history(series, rule, listed))


VALUES = st.sampled_from([0.0, 0.0, 1.0, 3.9, 4.0, 4.5, 5.0, 6.0, NAN])


LEVELS = [
    {"calm_below": None},
    {"calm_below": 4.0},
    {"event_above": None, "event_below": 1.0, "calm_below": None},
]


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    window = draw(st.integers(1, 5))
    return quake_rule(
        window=window,
        quiet=draw(st.integers(0, 7)),
        quiet_binds=draw(st.sampled_from(["positives", "all"])),
        lead=draw(st.integers(0, 3)),
        horizon=draw(st.integers(1, 3)),
        stride=draw(st.integers(1, 4)),
        min_active=draw(st.integers(0, window)),
        max_missing=draw(st.sampled_from([0.0, 0.3, 0.9])),
        max_missing_target=draw(st.sampled_from([0.0, 0.4, 0.9])),
        event_when=draw(st.sampled_from(["any", "onset", "end"])),
        **draw(st.sampled_from(LEVELS)),
        overlap=draw(st.booleans()),
        compete=draw(st.sampled_from(["positives-first", "chronological", "random"])),
        channel="a",
    )


@given(st.data(), rules())
def test_each_target_is_judged_as_the_rule_reads(data: st.DataObject, rule: Rule) -> None:
    n = data.draw(st.integers(1, 40))
    values = np.array(data.draw(st.lists(st.lists(VALUES, min_size=n, max_size=n), min_size=1,
                                         max_size=2)), np.float32)  # fmt: skip
    listed = data.draw(st.none() | st.sets(st.integers(0, n + 5)))
    events = None if listed is None else np.array(sorted(listed), np.int64)
    codes = judged(readings(*values.tolist()), rule, events)
    targets = plain_targets(n, rule, listed)
    assert named(codes) == [plainly(values, rule, listed, target) for target in targets]


def test_many_blocks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    values = random.choice([0, 0, 3, 4.5, 6, NAN], size=500, p=[0.3, 0.3, 0.3, 0.04, 0.05, 0.01])
    series = readings(values.tolist())
    for rule in (small(), small(stride=3, lead=2, horizon=4, quiet=9, max_missing=0.3)):
        whole = judged(series, rule)
        monkeypatch.setattr(labelling, "_BLOCK", 7)
        np.testing.assert_array_equal(judged(series, rule), whole)
        monkeypatch.undo()


def test_nan_is_never_active_and_never_an_event() -> None:
    series = readings([NAN, NAN, NAN, 9.0, NAN])
    rule = small(window=2, quiet=0, max_missing=0.9, min_active=1)
    assert named(judged(series, rule))[3] == "gap!"
    assert named(judged(series, small(window=1, quiet=0, min_active=0, max_missing=0.9))) == [
        "too early", "gap in target", "gap in target", "gap!", "gap in target"
    ]  # fmt: skip


def test_a_value_of_exactly_the_threshold_is_an_event_and_just_below_calm_is_calm() -> None:
    series = readings([1, 1, 1, 5.0, 1, 1, 1, 3.99, 1, 1, 1, 4.0])
    outcomes = named(judged(series, small()))
    assert (outcomes[3], outcomes[7], outcomes[11]) == ("case!", "case", "between")


def test_thresholds_are_those_of_float32_as_the_readings_are() -> None:
    rule = small(event_above=5.1, calm_below=2.3)
    outcomes = named(judged(readings([1, 1, 1, 5.1, 1, 1, 1, 2.3]), rule))
    assert (outcomes[3], outcomes[7]) == ("case!", "between")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"calm_below": 6.0}, "calm_below must be at most event_above, got 6 and 5: give both"),
        ({"min_active": 4}, "min_active must be at most the window's 3 readings, got 4"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"max_missing": 1.0}, "max_missing must be at least 0 and below 1"),
        ({"event_above": NAN}, "event_above must be a number"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        small(**fields)


# what is known of targets one after the other


@st.composite
def surveys(draw: st.DrawFn, *, listing: bool) -> tuple[Readings, Rule, set[int] | None, int, int]:
    """Draw readings, a rule, listed events if any, and which readings to survey."""
    rule, n = draw(rules()), draw(st.integers(1, 40))
    some = st.lists(st.lists(VALUES, min_size=n, max_size=n), min_size=1, max_size=2)
    listed = draw(st.sets(st.integers(0, n - 1))) if listing else None
    start, stop = sorted(draw(st.tuples(*[st.integers(0, n)] * 2)))
    return readings(*draw(some)), rule, listed, start, stop


def surveyed(
    series: Readings, rule: Rule, listed: set[int] | None, start: int, stop: int
) -> Survey:
    events = None if listed is None else np.array(sorted(listed), np.int64)
    return survey(series, rule, history(series, rule, events), start, stop)


EITHER = st.booleans().flatmap(lambda listing: surveys(listing=listing))


@given(EITHER)
def test_all_targets_are_surveyed_whose_window_and_self_lie_inside(
    drawn: tuple[Readings, Rule, set[int] | None, int, int],
) -> None:
    series, rule, listed, start, stop = drawn
    found = surveyed(*drawn)
    targets = [
        t
        for t in plain_targets(series.n_timepoints, rule, listed)
        if t - rule.lead - rule.window >= start and t + rule.horizon <= stop
    ]
    assert found.targets.tolist() == targets
    for flags in (found.usable, found.outside, found.event):
        assert flags.shape == (len(targets),) and flags.dtype == np.bool_
    events = plain_events(series.values[0], rule, listed)
    inside = {t + i for t in targets for i in range(rule.horizon)}
    assert found.events.tolist() == sorted(inside & events)


@given(EITHER)
def test_what_is_usable_and_not_outside_is_what_can_be_known_of_a_case(
    drawn: tuple[Readings, Rule, set[int] | None, int, int],
) -> None:
    series, rule, listed, *_ = drawn
    found = surveyed(*drawn)
    values, watched = series.values, series.values[0]
    events = plain_events(watched, rule, listed)
    for k, target in enumerate(found.targets.tolist()):
        end = target - rule.lead
        window = values[:, end - rule.window : end]
        aim = range(target, target + rule.horizon)
        positive = any(at in events for at in aim)
        hidden = 0 if listed is not None else sum(math.isnan(watched[at]) for at in aim)
        known = positive or hidden <= rule.max_missing_target * rule.horizon
        few_gaps = sum(map(math.isnan, window.ravel())) <= rule.max_missing * window.size
        assert found.event[k] == positive
        assert found.usable[k] == (known and few_gaps)
        inactive = sum(v > rule.active_above for v in window[0]) < rule.min_active
        disturbed = any(at in events for at in range(max(0, target - rule.quiet), end))
        assert found.outside[k] == (inactive or disturbed)


@given(surveys(listing=False))
def test_outside_is_what_a_forecast_at_that_time_objects_to(
    drawn: tuple[Readings, Rule, set[int] | None, int, int],
) -> None:
    series, rule, *_ = drawn
    found = surveyed(*drawn)
    for target, outside in zip(found.targets.tolist(), found.outside.tolist(), strict=True):
        seen = readings(*series.values[:, : target - rule.lead].tolist())
        assert outside == bool(rule.objections(seen))


@given(EITHER)
def test_a_survey_agrees_with_the_judgement_of_each_target(
    drawn: tuple[Readings, Rule, set[int] | None, int, int],
) -> None:
    series, rule, listed, *_ = drawn
    events = None if listed is None else np.array(sorted(listed), np.int64)
    found = surveyed(*drawn)
    outcomes = named(judged(series, rule, events)[found.targets // rule.stride])
    each = zip(outcomes, found.usable, found.outside, found.event, strict=True)
    for outcome, usable, outside, event in each:
        assert event == outcome.endswith("!")
        if outcome == "case!" or (outcome == "case" and rule.quiet_binds == "all"):
            assert usable and not outside
        if outcome.startswith("case"):
            assert usable
        if outcome == "gap in target":
            assert not usable
        if outcome.startswith("inactive"):
            assert outside


def test_quiet_is_looked_for_before_the_surveyed_readings_too() -> None:
    series = readings([0, 6, 1, 1, 1, 1, 1, 1])
    rule = small(quiet=5)
    assert surveyed(series, rule, None, 2, 8).targets.tolist() == [5, 6, 7]
    assert surveyed(series, rule, None, 2, 8).outside.tolist() == [True, True, False]


def test_an_event_in_the_lead_is_not_known_of_when_a_forecast_is_made() -> None:
    series = readings([1, 1, 1, 6, 1, 1, 1, 1])
    found = surveyed(series, small(lead=2, quiet=4), None, 0, 8)
    assert found.targets.tolist() == [5, 6, 7]
    assert found.outside.tolist() == [False, True, True]


def test_readings_too_few_for_a_target_have_an_empty_survey() -> None:
    found = surveyed(readings([1, 6, 1, 6, 1]), small(lead=2), None, 0, 5)
    assert [len(a) for a in (found.targets, found.usable, found.outside, found.events)] == [0] * 4
    assert (
        len(surveyed(readings([1, 6, 1, 6, 1]), small(stride=4, quiet=0), None, 2, 5).targets) == 0
    )


# who gets the readings


def competing(labels: str, **fields: object) -> str:
    """Resolve the competition of cases, + with an event, - without, . none; losers become x."""
    codes = {"+": EVENT, "-": 0, ".": OUTCOMES.index("gap")}
    outcomes = np.array([codes[label] for label in labels], np.uint8)
    compete(outcomes, small(window=1, quiet=0, **fields), seed=0)  # a stretch of two readings
    names = {EVENT: "+", 0: "-", OUTCOMES.index("gap"): "."}
    return "".join(names.get(code, "x") for code in outcomes.tolist())


def test_positives_come_first_and_negatives_fill_what_they_leave() -> None:
    assert competing("--+--.-") == "-x+x-.-"
    assert competing("-++") == "x+x"


def test_negatives_do_not_begin_where_the_quiet_after_an_event_ends() -> None:
    outcomes = np.zeros(38 * 1000, np.uint8)
    outcomes[37::38] = OUTCOMES.index("event before")
    compete(outcomes, quake_rule(window=9, quiet=0, min_active=0), seed=0)  # ten readings a case
    at = np.flatnonzero(outcomes == 0) % 38
    assert len(at) > 2500
    assert np.bincount(at, minlength=37)[:37].max() < 0.07 * len(at)  # one after the other: 0.25


def test_in_the_order_of_time_an_early_negative_displaces_an_event() -> None:
    assert competing("-+---", compete="chronological") == "-x-x-"


def test_where_in_a_long_target_its_event_falls_is_left_to_chance() -> None:
    values = np.zeros(40_000, np.float32)
    values[50::100] = 6
    rule = quake_rule(window=8, quiet=8, min_active=0, horizon=10, channel="a")
    outcomes = judged(readings(values.tolist()), rule)
    compete(outcomes, rule, seed=0)
    cases = np.flatnonzero(outcomes == EVENT)
    assert len(cases) == 400
    counts = np.bincount((50 - cases) % 100, minlength=10)
    assert counts.sum() == counts[:10].sum() and counts.min() > 20  # forty of each are expected


def test_with_a_stride_as_long_as_a_case_nothing_competes() -> None:
    assert competing("-+-+-", stride=2) == "-+-+-"


@given(
    st.lists(st.sampled_from("+-."), min_size=1, max_size=60),
    st.sampled_from(["positives-first", "chronological", "random"]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_winners_share_no_reading_and_losers_would(
    labels: list[str], order: str, window: int, stride: int, horizon: int
) -> None:
    codes = {"+": EVENT, "-": 0, ".": OUTCOMES.index("gap")}
    before = np.array([codes[label] for label in labels], np.uint8)
    outcomes = before.copy()
    rule = quake_rule(
        window=window, horizon=horizon, quiet=0, min_active=0, stride=stride,
        compete=order,
    )  # fmt: skip
    compete(outcomes, rule, seed=3)
    chosen = np.flatnonzero(outcomes % EVENT == 0)
    assert (np.diff(chosen) * stride >= rule.stretch).all()
    lost = np.flatnonzero(outcomes % EVENT == OUTCOMES.index("overlap"))
    for k in lost.tolist():
        assert (np.abs(chosen - k) * stride < rule.stretch).any()
    changed = outcomes != before
    assert changed[lost].all()
    assert changed.sum() == len(lost)
    np.testing.assert_array_equal(outcomes >= EVENT, before >= EVENT)


def test_the_random_order_follows_from_the_seed() -> None:
    labels = np.zeros(200, np.uint8)
    rule = quake_rule(window=3, quiet=0, min_active=0, compete="random")
    results = []
    for seed in (0, 0, 1):
        outcomes = labels.copy()
        compete(outcomes, rule, seed)
        results.append(outcomes.tolist())
    assert results[0] == results[1] != results[2]
