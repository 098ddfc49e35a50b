"""cut: from readings to a problem, its properties for any readings, and the real catalogue."""

import csv
import dataclasses
import itertools
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from toys import hourly, quake_rule

from foreshock.events import cut as events
from foreshock.events.baselines import count_active
from foreshock.events.cut import cut, rankings
from foreshock.events.partition import PartsConfig
from foreshock.problems import PARTS
from foreshock.problems.audit import audit
from foreshock.problems.problem import NO_FOLD, Problem, load, save
from foreshock.problems.rule import EVENT, OUTCOMES, EventRule
from foreshock.readings.sensor_logs import load_readings
from foreshock.readings.series import Readings, join

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogs"
HOUR = np.timedelta64(1, "h")


def sensor(values: np.ndarray, start: str = "2001-01-01", step: str = "1h") -> Readings:
    values = np.atleast_2d(values).astype(np.float32)
    return Readings(
        values=values,
        start=np.datetime64(start),
        step=HOUR if step == "1h" else np.timedelta64(10, "ms"),
        channels=tuple("abcd"[: len(values)]),
    )


def busy(n: int = 4000, seed: int = 0, n_channels: int = 1) -> Readings:
    """Readings in which something happens half of the time, and now and then an event."""
    random = np.random.default_rng(seed)
    values = random.uniform(1, 4, size=(n_channels, n)) * random.integers(0, 2, (n_channels, n))
    values[0, random.choice(n, n // 40, replace=False)] = 6
    return sensor(values)


RULE = quake_rule(window=8, quiet=4, min_active=1)


def summary(problem: Problem) -> list[tuple[str, str, int]]:
    assert problem.ends is not None
    return [
        (str(end), PARTS[part], int(label))
        for end, part, label in zip(problem.ends, problem.part, problem.y, strict=True)
    ]


def test_cases_are_windows_right_before_their_targets() -> None:
    values = np.zeros(60)
    values[[20, 45]] = 7
    values[::2] += 1
    rule = quake_rule(window=4, lead=2, horizon=2, quiet=4, min_active=1, stride=1)
    problem = cut(sensor(values), rule, PartsConfig(test=0.5, folds=None))
    assert problem.ends is not None
    for end, label, series in zip(problem.ends, problem.y, problem.X, strict=True):
        last = int((end - np.datetime64("2001-01-01")) / HOUR)
        np.testing.assert_array_equal(series[0], values[last - 3 : last + 1].astype(np.float32))
        target = values[last + 1 + 2 : last + 1 + 2 + 2]
        assert bool((target >= 5).any()) == bool(label)
    assert problem.classes == ("no", "yes")
    assert problem.rule == dataclasses.replace(rule, channel="a", inputs=("a",))


def test_parts_are_stretches_of_time_with_an_embargo_between_them() -> None:
    readings = busy()
    problem = cut(readings, RULE, PartsConfig(test=0.25, valid=0.25))
    assert problem.ends is not None
    last = readings.positions(problem.ends)
    spans = {
        part: (last[problem.rows(part)].min() - 7, last[problem.rows(part)].max() + 1)
        for part in PARTS
    }
    assert spans["valid"][0] - spans["train"][1] > RULE.window
    assert spans["test"][0] - spans["valid"][1] > RULE.window
    assert spans["train"][1] == pytest.approx(2000, abs=30)
    assert spans["test"][0] == pytest.approx(3000, abs=30)
    assert sum(problem.candidates.counts["embargo"]) > 0


def test_gaps_do_not_count_towards_a_parts_share() -> None:
    readings = busy()
    values = readings.values.copy()
    values[:, 1000:3000] = np.nan
    problem = cut(sensor(values), RULE, PartsConfig(test=0.25))
    starts = readings.positions(problem.ends[problem.rows("test")])
    assert starts.min() == pytest.approx(3500, abs=30)  # of 2000 readings the last 500


def test_folds_are_stretches_of_time_alike_in_cases_and_apart() -> None:
    readings = busy()
    problem = cut(readings, dataclasses.replace(RULE, overlap=True), PartsConfig(folds=4))
    assert problem.ends is not None
    assert (problem.fold[problem.rows("test")] == NO_FOLD).all()
    inside = [np.flatnonzero(problem.fold == k) for k in range(4)]
    sizes = [len(cases) for cases in inside]
    assert max(sizes) - min(sizes) <= 2 * RULE.window + RULE.stretch
    last = readings.positions(problem.ends)
    for before, after in itertools.pairwise(inside):
        gap = (last[after[0]] - RULE.window) - (last[before[-1]] + RULE.lead + RULE.horizon)
        assert gap >= RULE.window
        assert len(set(problem.y[after].tolist())) == 2


def test_fewer_folds_are_made_where_five_would_lack_a_class() -> None:
    values = np.resize([1.0, 2.0], 400)
    values[[100, 200, 380]] = 6
    problem = cut(sensor(values), RULE)
    assert set(problem.fold.tolist()) == {0, 1, NO_FOLD}
    with pytest.raises(ValueError, match=r"one of 4 folds .* lack a class: use fewer folds"):
        cut(sensor(values), RULE, PartsConfig(folds=4))


def test_listed_events_stand_in_for_the_threshold() -> None:
    values = np.full(600, 50.0)  # a temperature: always active, never below 4
    times = np.datetime64("2001-01-01") + HOUR * np.array([100, 200, 300, 400, 500])
    problem = cut(sensor(values), RULE, events=times + np.timedelta64(30, "m"))
    assert (problem.rule.event_above, problem.rule.calm_below) == (None, None)
    assert sorted((problem.ends[problem.y == 1] + HOUR).tolist()) == [
        datetime(2001, 1, 1) + (hour * HOUR).astype(object) for hour in (100, 200, 300, 400, 500)
    ]


def test_events_may_be_listed_as_numpy_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    readings = sensor(np.full(600, 50.0))
    hours = [100, 200, 300, 400, 500, 500]
    times = np.datetime64("2001-01-01") + HOUR * np.array(hours)
    expected = summary(cut(readings, RULE, events=times))
    assert summary(cut(readings, RULE, events=times[::-1].astype(str).tolist())) == expected
    assert summary(cut(readings, RULE, events=times.tolist())) == expected
    with pytest.raises(ValueError, match="event 1 has no time"):
        cut(readings, RULE, events=["2001-01-02", "NaT"])


@pytest.mark.parametrize("size", [600, 2**21])
def test_without_a_test_part_all_readings_are_for_training(
    size: int,
) -> None:
    values = np.ones(size)
    values[40::50] = 6
    values[-20:] = 1
    values[-5:] = [6, np.nan, np.nan, np.nan, np.nan]  # the sensor dies of it
    for parts in (PartsConfig(test=0), PartsConfig(test=0, valid=0.3)):
        problem = cut(sensor(values), RULE, parts)
        assert problem.count("test") == 0
        assert problem.ends[-1] == sensor(values).times(size - 6)


def test_events_between_targets_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    readings = busy(n=12_000)
    n_events = int((readings.values[0] >= 5).sum())
    rule = quake_rule(window=8, quiet=0, min_active=0, horizon=2, stride=5, overlap=True)
    problem = cut(readings, rule)
    assert problem.candidates is not None
    at = np.flatnonzero(readings.values[0] >= 5)
    missed = int((at % 5 >= 2).sum())
    assert f"{missed} of {n_events} events lie between targets" in caplog.text


def test_listed_events_give_labels_away_as_those_of_a_threshold_do(tmp_path: Path) -> None:
    readings = busy(n=12_000)
    rule = quake_rule(window=8, quiet=6, lead=1, min_active=0, calm_below=None)
    times = readings.times(np.flatnonzero(readings.values[0] >= 5))
    by_threshold, listed = cut(readings, rule), cut(readings, rule, events=times)
    assert summary(listed) == summary(by_threshold)
    negative = by_threshold.y == 0
    at = readings.positions(by_threshold.ends[negative])
    given = [(readings.values[0, last - 4 : last + 1] >= 5).any() for last in at]  # 6 less the lead
    assert audit(listed).giveaways == audit(by_threshold).giveaways == sum(given) > 0
    save(listed, tmp_path / "a.npz")
    assert audit(load(tmp_path / "a.npz")).giveaways == audit(listed).giveaways


def test_listed_events_outside_the_readings_are_refused_or_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    readings = sensor(np.full(600, 50.0))
    far = np.array(["1999-01-01", "2030-01-01"], "datetime64[s]")
    with pytest.raises(ValueError, match="none of the 2 listed events lies within the readings"):
        cut(readings, RULE, events=far)
    near = np.datetime64("2001-01-01") + HOUR * np.array([100, 200, 300, 500])
    cut(readings, RULE, events=np.concatenate([far, near]))
    assert "2 of the listed events lie outside the readings" in caplog.text


def test_random_parts_are_made_when_asked_for_only() -> None:
    readings = busy()
    drawn = cut(readings, RULE, PartsConfig(order="random", test=0.3, valid=0.2))
    n = drawn.n_cases
    assert [drawn.count(part) / n for part in PARTS] == pytest.approx([0.5, 0.2, 0.3], abs=0.02)
    for part in PARTS:
        assert drawn.y[drawn.rows(part)].mean() == pytest.approx(drawn.y.mean(), abs=0.02)
    assert drawn.fold is None
    with pytest.raises(
        ValueError, match=r"random parts need cases that share no readings: .* overlap"
    ):
        cut(readings, dataclasses.replace(RULE, overlap=True), PartsConfig(order="random"))


@pytest.mark.parametrize(
    ("values", "fields", "parts", "reason"),
    [
        (np.ones(600), {}, {}, r"the train part \(2001-01-01T00:00Z to .*\) has no case with an "
         r"event; no reading of 'a' there is at least 5: lower event_above"),
        (np.full(600, 6.0), {}, {}, r"the train part .* has no case with an event; rejected: .* "
         r"\d+ with another event in the 4 readings before"),
        (np.r_[np.resize([6.0] + [1] * 19, 300), np.ones(300)], {}, {}, "the test part .* has no "
         "case with an event"),
        (np.resize([6.0] + [1] * 9, 600), {"calm_below": 0.5}, {},
         "has no case without an event; rejected: .* neither with an event nor calm"),
        (np.ones(8), {}, {}, "a case and the quiet stretch before it need 9 readings, got 8"),
        (np.ones(600), {"channel": "z"}, {}, "no channel 'z'; the channels are a"),
        (np.ones(600), {"event_above": None}, {}, "an event is has to be named: --rule.event-a"),
        (np.ones(600), {}, {"embargo": 7}, "embargo must be at least a window, 8 readings, got 7"),
        (np.resize([6.0] + [1] * 17, 600), {"compete": "chronological"}, {"test": 0.0},
         r"sharing readings with a case that came first"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused_with_what_to_change(
    values: np.ndarray, fields: dict[str, object], parts: dict[str, object], reason: str
) -> None:
    rule = dataclasses.replace(RULE, **fields)
    with pytest.raises(ValueError, match=reason):
        cut(sensor(values), rule, PartsConfig(**parts))


def test_activity_counts_active_readings_of_the_rules_channel() -> None:
    readings = busy(n_channels=2)
    problem = cut(readings, dataclasses.replace(RULE, channel="b", event_above=3.9, calm_below=3))
    expected = (problem.X[:][:, 1] > 0).sum(axis=1)
    np.testing.assert_array_equal(count_active(problem, np.arange(problem.n_cases))[:, 0], expected)
    assert rankings(problem, np.arange(3)) == {}


def test_the_table_of_candidates_accounts_for_every_target() -> None:
    problem = cut(busy(1000), RULE, name="table")
    assert problem.rule is not None
    rows = list(csv.DictReader(problem.candidates.table(problem.readings).splitlines()))
    assert len(rows) == 1000
    assert rows[0]["target"] == "2001-01-01T00:00Z"
    assert rows[0]["outcome"] == "too early"
    cases = {row["target"] for row in rows if row["outcome"] == "case"}
    assert problem.ends is not None
    assert cases == {f"{str(end + HOUR)[:16]}Z" for end in problem.ends}
    counts = problem.candidates.counts
    assert sum(map(sum, counts.values())) == 1000
    text = "\n".join(problem.candidates.describe(problem.rule))
    assert f"{counts['event before'][0]} with another event in the 4 readings before" in text


def test_of_very_many_candidates_only_rejected_events_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = cut(busy(), RULE)
    monkeypatch.setattr(events, "LISTED", 100)
    brief = cut(busy(), RULE)
    assert summary(brief) == summary(whole)
    assert (whole.candidates.complete, brief.candidates.complete) == (True, False)
    assert brief.candidates.counts == whole.candidates.counts
    rejected = (whole.candidates.outcomes > EVENT) & (
        whole.candidates.outcomes != EVENT + OUTCOMES.index("case")
    )
    np.testing.assert_array_equal(brief.candidates.times, whole.candidates.times[rejected])


# any readings


@st.composite
def anything(draw: st.DrawFn) -> tuple[Readings, EventRule, PartsConfig]:
    n = draw(st.integers(60, 240))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    n_channels = draw(st.integers(1, 2))
    values = random.uniform(0, 4.5, size=(n_channels, n))
    values[random.uniform(size=values.shape) < draw(st.sampled_from([0.0, 0.5]))] = 0
    values[0, random.uniform(size=n) < draw(st.sampled_from([0.03, 0.1]))] = 6
    values[random.uniform(size=values.shape) < draw(st.sampled_from([0.0, 0.01, 0.1]))] = np.nan
    rule = quake_rule(
        window=draw(st.integers(1, 6)),
        quiet=draw(st.integers(0, 4)),
        quiet_binds=draw(st.sampled_from(["positives", "all"])),
        lead=draw(st.integers(0, 2)),
        horizon=draw(st.integers(1, 3)),
        stride=draw(st.integers(1, 3)),
        min_active=draw(st.integers(0, 1)),
        max_missing=draw(st.sampled_from([0.0, 0.5])),
        overlap=draw(st.booleans()),
        compete=draw(st.sampled_from(["positives-first", "random"])),
        seed=draw(st.integers(0, 3)),
    )
    parts = PartsConfig(
        test=draw(st.sampled_from([0.0, 0.3])), valid=draw(st.sampled_from([0.0, 0.2]))
    )
    return sensor(values), rule, parts


def attempt(readings: Readings, rule: EventRule, parts: PartsConfig) -> Problem:
    try:
        return cut(readings, rule, parts)
    except ValueError as error:
        assume("has no case" not in str(error))
        raise


@given(anything())
def test_no_window_holds_its_target_and_no_two_cases_share_readings_unless_allowed(
    given_: tuple[Readings, EventRule, PartsConfig],
) -> None:
    readings, rule, parts = given_
    problem = attempt(readings, rule, parts)
    assert problem.ends is not None
    last = readings.positions(problem.ends)
    first, target = last - rule.window + 1, last + 1 + rule.lead
    assert (target > last).all()
    values = readings.values[0]
    for label, at, start in zip(problem.y, target, first, strict=True):
        aim = values[at : at + rule.horizon]
        assert len(aim) == rule.horizon
        assert bool((aim >= 5).any()) == bool(label)
        assert start >= 0
    stretch_end = target + rule.horizon
    if not rule.overlap:
        assert (first[1:] >= stretch_end[:-1]).all()
    for before, after in ((0, 1), (1, 2), (0, 2)):
        ends, starts = stretch_end[problem.part == before], first[problem.part == after]
        if len(ends) and len(starts):
            assert starts.min() - ends.max() >= rule.window
    assert not audit(problem).shared


@given(anything(), st.integers(-(10**6), 10**6))
def test_a_shift_of_all_times_shifts_all_cases(
    given_: tuple[Readings, EventRule, PartsConfig], hours: int
) -> None:
    readings, rule, parts = given_
    problem = attempt(readings, rule, parts)
    later = cut(dataclasses.replace(readings, start=readings.start + hours * HOUR), rule, parts)
    assert problem.ends is not None
    np.testing.assert_array_equal(later.ends, problem.ends + hours * HOUR)
    for field in ("X", "y", "part", "fold"):
        first, second = (np.asarray(getattr(p, field)) for p in (problem, later))
        np.testing.assert_array_equal(first, second)


@given(anything(), st.data())
def test_readings_of_two_files_that_are_joined_give_the_same_problem(
    given_: tuple[Readings, EventRule, PartsConfig], data: st.DataObject
) -> None:
    readings, rule, parts = given_
    problem = attempt(readings, rule, parts)
    n = readings.n_timepoints
    stop = data.draw(st.integers(1, n - 1))
    start = data.draw(st.integers(max(0, stop - 5), stop))  # they may overlap
    first = dataclasses.replace(readings, values=readings.values[:, :stop])
    second = dataclasses.replace(
        readings, values=readings.values[:, start:], start=readings.times(start)
    )
    again = cut(join([second, first]), rule, parts)
    assert summary(again) == summary(problem)
    np.testing.assert_array_equal(np.asarray(again.X), np.asarray(problem.X))


@given(anything())
def test_what_is_missing_never_counts_as_active_or_as_an_event(
    given_: tuple[Readings, EventRule, PartsConfig],
) -> None:
    readings, rule, parts = given_
    rule = dataclasses.replace(rule, max_missing=0.5)
    problem = attempt(readings, rule, parts)
    series = np.asarray(problem.X)[:, 0]
    assert ((series > 0).sum(axis=1) >= rule.min_active).all()
    none = dataclasses.replace(readings, values=np.full_like(readings.values, np.nan))
    with pytest.raises(ValueError, match="has no case with an event"):
        cut(none, rule, parts)


# files


def same(first: Problem, second: Problem) -> None:
    for field in dataclasses.fields(Problem):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if field.name == "candidates":
            assert one.counts == two.counts
            np.testing.assert_array_equal(one.times, two.times)
            np.testing.assert_array_equal(one.outcomes, two.outcomes)
        elif isinstance(one, np.ndarray) or field.name == "X":
            np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
        else:
            assert one == two
    assert first.readings.source == second.readings.source


@pytest.mark.parametrize("name", ["pump.npz", "pump"])
def test_a_cut_problem_is_saved_and_loaded_as_it_was(tmp_path: Path, name: str) -> None:
    problem = cut(busy(n_channels=2), RULE, name="pump")
    problem = dataclasses.replace(problem, chance=np.linspace(0, 1, problem.n_cases, dtype="f4"))
    save(problem, tmp_path / name)
    same(load(tmp_path / name), problem)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_a_problem_cut_into_a_folder_equals_one_in_memory(tmp_path: Path) -> None:
    in_memory = cut(busy(), RULE, name="pump")
    same(cut(busy(), RULE, name="pump", folder=tmp_path / "pump"), in_memory)
    header = json.loads((tmp_path / "pump" / "problem.json").read_text())
    assert header["rule"]["window"] == 8


def test_readings_on_disk_are_named_and_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "sensor.npy", busy().values)
    mapped = hourly(np.load(tmp_path / "sensor.npy", mmap_mode="r"))
    problem = cut(mapped, RULE, folder=tmp_path / "pump")
    assert not (tmp_path / "pump" / "values.npy").exists()
    (tmp_path / "moved").mkdir()
    for name in ("pump", "sensor.npy"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    same(load(tmp_path / "moved" / "pump"), problem)
    (tmp_path / "moved" / "sensor.npy").unlink()
    with pytest.raises(ValueError, match=r"needs .*sensor.npy, which is missing: restore it"):
        load(tmp_path / "moved" / "pump")


def test_nothing_is_left_of_a_folder_that_fails(tmp_path: Path) -> None:
    values = np.ones(600)
    values[[30, 60, 590]] = 6
    with pytest.raises(ValueError, match="one of 9 folds"):
        cut(sensor(values), RULE, PartsConfig(folds=9), folder=tmp_path / "pump")
    assert list(tmp_path.iterdir()) == []


# the real catalogue


@pytest.fixture(scope="module")
def quakes() -> Problem:
    path = DATA / "ncsn_1967_2003.csv.gz"
    if not path.exists():
        pytest.skip(f"the Northern California catalogue is not at {path}")
    return cut(load_readings(path), name="ncsn")


def test_the_real_catalogue_gives_the_counts_that_are_documented(quakes: Problem) -> None:
    counts = quakes.candidates.counts
    assert counts["case"] == (86, 336)
    assert counts["event before"] == (52, 0)
    assert sum(n for n, _ in counts.values()) == 138


def test_the_archives_dated_positives_are_found_at_their_hours(quakes: Problem) -> None:
    """Of 82, at least 54; the missed ones are no first events of magnitude 5 in this catalogue."""
    assert quakes.readings is not None
    assert quakes.candidates is not None
    with (DATA / "ucr_earthquakes_dated.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["target_hour_utc"]]
    hours = [np.datetime64(row["target_hour_utc"][:19]) for row in rows if row["label"] == "1"]
    outcomes = dict(
        zip(quakes.candidates.times.tolist(), quakes.candidates.outcomes.tolist(), strict=True)
    )
    found = [outcomes[hour.astype("datetime64[us]").item()] for hour in hours]
    assert len(hours) == 82
    assert found.count(EVENT) == 57
    largest = quakes.readings.values[0, quakes.readings.positions(np.array(hours))]
    missed = [(code, value) for code, value in zip(found, largest, strict=True) if code != EVENT]
    second = sum(code == EVENT + OUTCOMES.index("event before") for code, _ in missed)
    below = sum(value < 5 for _, value in missed)
    assert second + below == len(missed)


def test_shares_of_the_parts_are_of_the_readings_of_the_channel_that_is_watched() -> None:
    readings = busy(n=8000, n_channels=2)
    values = readings.values[::-1].copy()  # events are in b, and a misses the latter half
    values[0, 4000:] = np.nan
    both = dataclasses.replace(readings, values=values)
    rule = dataclasses.replace(RULE, channel="b", max_missing=0.9)
    problem = cut(both, rule, PartsConfig(test=0.5, valid=0.25))
    assert problem.ends is not None
    at = readings.positions(problem.ends) + 1
    assert at[problem.select("train")].max() < 2000 <= at[problem.select("valid")].min()
    assert at[problem.select("valid")].max() < 4000 <= at[problem.select("test")].min()


def test_levels_of_a_digitiser_are_compared_with_what_it_counted() -> None:
    near = busy()
    counts = 1_500_000_000 + 50 * np.round(near.values.astype(np.float64) * 1000)
    far = dataclasses.replace(near, values=counts)
    assert far.offset is not None
    level = 1_500_000_000
    rule = dataclasses.replace(
        RULE,
        event_above=level + 50 * 5000.0,
        calm_below=level + 50 * 4000.0,
        active_above=float(level),
    )
    expected, found = cut(near, RULE), cut(far, rule)
    assert summary(found) == summary(expected)
    assert found.candidates.counts == expected.candidates.counts
    np.testing.assert_array_equal(
        count_active(found, np.arange(50)), count_active(expected, np.arange(50))
    )
    assert audit(found).findings() == audit(expected).findings()


@pytest.mark.parametrize("name", ["far.npz", "far"])
def test_what_was_taken_off_is_saved_with_a_cut_problem(name: str, tmp_path: Path) -> None:
    near = busy()
    far = dataclasses.replace(near, values=near.values.astype(np.float64) + 1e9)
    rule = dataclasses.replace(RULE, event_above=1e9 + 5, calm_below=1e9 + 4, active_above=1e9)
    problem = cut(far, rule)
    save(problem, tmp_path / name)
    loaded = load(tmp_path / name)
    np.testing.assert_array_equal(loaded.offset, problem.offset)
    np.testing.assert_array_equal(loaded.X[:], problem.X[:])


def test_events_that_are_masked_are_refused() -> None:
    times = np.ma.array(busy().times(np.array([100, 200])), mask=[True, False])
    with pytest.raises(ValueError, match="some of the events are masked: leave them out"):
        cut(busy(), RULE, events=times)
