"""Rows of logs on the clocks of their units."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.readings.config import LogConfig, SourceConfig
from foreshock.readings.resampling import fill, numbered
from foreshock.readings.sensor_logs import load_readings
from foreshock.readings.series import Readings

Notes = pytest.LogCaptureFixture
NAN = np.nan


def write(path: Path, rows: list[str], header: str = "time,x") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def seconds(values: dict[int, object]) -> list[str]:
    return [f"2026-11-23T10:00:{second:02}Z,{value}" for second, value in values.items()]


def load(*paths: Path, **log: object) -> Readings:
    return load_readings(*paths, config=SourceConfig(log=LogConfig(**log)))


def test_a_column_tells_whose_rows_are_and_each_unit_has_its_own_clock(tmp_path: Path) -> None:
    rows = ["1,pump,1", "1.5,fan,10", "2,pump,2", "4,pump,4", "2.5,fan,20", "5,pump,5"]
    readings = load(
        write(tmp_path / "a.csv", rows, "time,machine,x"), unit_column="machine", time_unit="s"
    )
    assert readings.units.names.tolist() == ["pump", "fan"]
    assert readings.units.firsts.tolist() == [0, 5]
    assert readings.units.starts.astype("int64").tolist() == [1_000_000, 1_500_000]
    assert readings.channels == ("x",)
    np.testing.assert_array_equal(readings.values, [[1, 2, NAN, 4, 5, 10, 20]])


def test_rows_of_a_unit_may_go_on_in_another_file(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", ["b,1,1", "a,1,10"], "unit,time,x")
    two = write(tmp_path / "2.csv", ["a,2,20", "c,7,5", "b,3,3"], "unit,time,x")
    readings = load(one, two, unit_column="unit", time_unit="s")
    assert readings.units.names.tolist() == ["b", "a", "c"]
    np.testing.assert_array_equal(readings.values, [[1, NAN, 3, 10, 20, 5]])
    readings = load(one, two, unit_column="unit", time_unit="count", files="units")
    assert readings.counted
    assert readings.units.names.tolist() == ["1/b", "1/a", "2/a", "2/c", "2/b"]


def test_files_may_be_units_named_by_their_stems_and_if_need_be_their_folders(
    tmp_path: Path,
) -> None:
    paths = [
        write(tmp_path / name, seconds({0: k, 1: k}))
        for k, name in enumerate(("a.b.csv", "c.txt", "d/c.csv", "e/c.csv"))
    ]
    readings = load(*paths, files="units")
    names = readings.units.names.tolist()
    assert names == ["a.b", f"{tmp_path.name}/c", "d/c", "e/c"]
    np.testing.assert_array_equal(readings.values, [[0, 0, 1, 1, 2, 2, 3, 3]])
    assert load(paths[0], files="units").units.names.tolist() == ["a.b"]
    with pytest.raises(ValueError, match=r"c\.txt is named twice; name it once"):
        load(*paths, paths[1], files="units")


def test_a_folder_stands_for_its_files_in_their_natural_order(tmp_path: Path) -> None:
    for k in (10, 2, 1):
        write(tmp_path / "logs" / f"{k}.csv", seconds({k: k}))
    write(tmp_path / "logs" / "notes.txt", ["nothing"])
    readings = load(tmp_path / "logs", step="1s")
    assert (readings.values[0, 0], readings.n_timepoints) == (1, 10)
    assert load(tmp_path / "logs", step="1s", files="units").units.names.tolist() == [
        "1", "2", "10",
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"the folder .*empty has no file ending in .parquet, .csv"
    ):
        load(tmp_path / "empty")


def test_files_are_joined_before_they_are_resampled(tmp_path: Path, notes: Notes) -> None:
    one = write(tmp_path / "1.csv", seconds({0: 1, 1: 2, 2: 3}))
    two = write(tmp_path / "2.csv", seconds({2: 3, 3: 7, 5: 9}))
    for files in ([one, two], [two, one]):
        readings = load(*files, step="2s", resample="mean")
        np.testing.assert_array_equal(readings.values, [[1.5, 5, 9]])
    assert "1 rows repeat another one exactly and are taken once." in notes.text
    units = load(one, two, step="2s", resample="last", files="units")
    np.testing.assert_array_equal(units.values, [[2, 3, 7, 9]])


def test_what_a_file_lacks_another_has_where_they_overlap(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", seconds({0: "1,", 1: "2,5", 2: "3,"}), "time,x,y")
    two = write(tmp_path / "2.csv", seconds({1: ",5", 2: "3,6", 3: "4,7"}), "time,x,y")
    np.testing.assert_array_equal(load(two, one).values, [[1, 2, 3, 4], [NAN, 5, 6, 7]])
    back = write(tmp_path / "3.csv", seconds({2: "3,6", 1: ",5", 3: "4,7"}), "time,x,y")
    with pytest.raises(
        ValueError, match=r"are 1 out of order, .*; the first is in line 2 of 3\.csv\."
    ):
        load(one, back)


def test_files_that_disagree_or_lie_far_apart_may_be_units(tmp_path: Path, notes: Notes) -> None:
    one = write(tmp_path / "1.csv", seconds({0: 1, 1: 2, 2: 3}))
    two = write(tmp_path / "2.csv", seconds({1: 5, 2: 6, 3: 7}))
    with pytest.raises(
        ValueError,
        match=r"cannot read .*1\.csv and 1 other file: the readings disagree at 2 places .* first"
        r" at 2026-11-23T10:00:01Z \(1\.csv and 2\.csv\): .* add --log.files units\.",
    ):
        load(one, two)
    far = write(tmp_path / "3.csv", ["1970-01-01T00:00:00Z,1", "1970-01-01T00:00:01Z,2"])
    with pytest.raises(ValueError, match=r"their 5 rows span .* Or, if each .*--log.files units"):
        load(one, far)
    off = write(tmp_path / "4.csv", ["2026-11-23T10:00:05.5Z,1", "2026-11-23T10:00:06.5Z,2"])
    with pytest.raises(ValueError, match=r"2 off the clock of 1s from .* --log.files units; the f"):
        load(one, off)
    load(one, write(tmp_path / "5.csv", seconds({30: 1, 31: 2})))
    assert "More time lies between the 2 files than they have readings of, most of" in notes.text
    assert "between 1.csv and 5.csv" in notes.text


def test_the_column_that_tells_rows_of_one_time_apart_is_named(tmp_path: Path) -> None:
    rows = [f"{second},{unit},{second}" for second in range(6) for unit in (7, 8)]
    path = write(tmp_path / "a.csv", rows, "time,machine,x")
    reason = r"6 at the same time as another; .* if machine names .*, add --log.unit-column machine"
    with pytest.raises(ValueError, match=reason):
        load(path, time_unit="s")
    assert load(path, time_unit="s", unit_column="machine").units.names.tolist() == ["7", "8"]
    with pytest.raises(ValueError, match=r"it has no column 'pump' with the names of units"):
        load(path, time_unit="s", unit_column="pump")


def test_what_is_wrong_in_a_unit_is_counted_as_in_a_file(tmp_path: Path) -> None:
    rows = ["a,1,1", "b,5,1", "a,2,2", "b,4,2", "a,3,3", "a,3,4", "b,4.5,1"]
    path = write(tmp_path / "a.csv", rows, "unit,time,x")
    reason = (
        r"of its 7 rows are 1 out of order, 1 at the same time as another, 1 off the clock of 1s"
        r" from its unit; .*; the first is in line 5\."
    )
    with pytest.raises(ValueError, match=reason):
        load(path, time_unit="s", unit_column="unit", step="1s")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1.0", "2.0", "1"], ["1", "2"]),
        (["1.5", "1.50", "2"], ["1.5", "1.50", "2"]),
        (["007", "7", "07"], ["007", "7", "07"]),
        ([" a", "a ", "b"], ["a", "b"]),
        (["1.0000000e+00", "2.0000000e+00", "1"], ["1", "2"]),
    ],
)
def test_units_are_called_as_in_the_file_but_for_points_of_whole_numbers(
    tmp_path: Path, names: list[str], expected: list[str]
) -> None:
    rows = [f"{name},{second},1" for second, name in enumerate(names)]
    path = write(tmp_path / "a.csv", rows, "unit,time,x")
    readings = load(path, unit_column="unit", time_unit="s", step="1s")
    assert readings.units.names.tolist() == expected
    with pytest.raises(ValueError, match=r"row 2 \(line 3\) names no unit, its 'unit' is empty"):
        load(write(tmp_path / "b.csv", [rows[0], ",1,2"], "unit,time,x"), unit_column="unit")


def test_summer_time_ends_in_each_unit(tmp_path: Path) -> None:
    hours = ["01:00", "01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    rows = [f"2026-10-25 {hour},{unit},{k}" for k, hour in enumerate(hours) for unit in "ab"]
    path = write(tmp_path / "a.csv", rows, "time,unit,x")
    readings = load(path, unit_column="unit", timezone="Europe/Berlin")
    np.testing.assert_array_equal(readings.values, [[*range(7), *range(7)]])
    with pytest.raises(ValueError, match="shown there twice"):
        load(path, timezone="Europe/Berlin")


# numbered readings


def test_cycles_are_numbers_without_a_clock(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["1,3,5", "1,4,6", "2,1,7", "1,6,8"], "unit,cycle,x")
    readings = load(path, unit_column="unit", time_unit="count")
    assert (readings.counted, readings.step_text) == (True, "1")
    assert readings.units.starts.astype("datetime64[s]").astype(int).tolist() == [3, 1]
    np.testing.assert_array_equal(readings.values, [[5, 6, NAN, 8, 7]])
    with pytest.raises(ValueError, match=r"'2\.5'|has 2\.5; if they are times, give their unit"):
        load(write(tmp_path / "b.csv", ["1,1", "2.5,2"], "cycle,x"), time_unit="count")
    with pytest.raises(ValueError, match="numbered readings have no step"):
        LogConfig(time_unit="count", step="1s")


def test_numbers_that_rise_by_one_are_told_from_times_of_a_clock(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["1,1", "2,3", "3,3", "1,4", "2,5"])
    with pytest.raises(
        ValueError, match=r"its times count rows or cycles, the first is 1: add --l"
    ):
        load(path)
    path = write(tmp_path / "b.csv", [f"{1_600_000_000 + k},1" for k in range(5)])
    with pytest.raises(ValueError, match=r"its times are numbers, the first is 1600000000; give t"):
        load(path)


def test_of_a_log_without_times_the_rows_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["a,5", "b,7", "a,6", "b,8", "a,9"], "unit,x")
    with pytest.raises(
        ValueError, match=r"no column time or .*number the rows \(--log.time rows\)"
    ):
        load(path)
    readings = load(path, time="rows", unit_column="unit")
    np.testing.assert_array_equal(readings.values, [[5, 6, 9, 7, 8]])
    assert readings.counted
    assert readings.units.starts.astype("datetime64[s]").astype(int).tolist() == [1, 1]
    two = write(tmp_path / "b.csv", ["c,1"], "unit,x")
    np.testing.assert_array_equal(load(path, two, time="rows", channels=("x",)).values[0, -1], 1)
    with pytest.raises(ValueError, match=r"\(--log.time rows\) have no step and are not resampled"):
        load(path, time="rows", resample="mean", channels=("x",))


def test_an_error_names_the_columns_that_number_the_readings(tmp_path: Path) -> None:
    rows = [f"{engine},{k},{k * 0.5}" for engine in (4, 9) for k in range(1, 6)]
    path = write(tmp_path / "a.csv", rows, "engine,n cycles,x")
    reason = r"add --log.unit-column engine --log.time-unit count --log.time 'n cycles'\."
    with pytest.raises(ValueError, match=reason):
        load(path)
    assert load(path, unit_column="engine", time="n cycles", time_unit="count").n_units == 2


def test_numbers_with_gaps_are_warned_of(tmp_path: Path, caplog: Notes) -> None:
    path = write(tmp_path / "a.csv", ["0,1", "10,2", "20,3"], "cycle,x")
    assert load(path, time_unit="count").n_timepoints == 21
    assert "The numbers of readings mostly rise by 10: those between are missing" in caplog.text


# gaps filled


def test_the_last_reading_stands_for_those_missing_behind_it(tmp_path: Path, notes: Notes) -> None:
    path = write(tmp_path / "a.csv", seconds({0: 1, 1: 2, 3: 4, 8: 5}))
    readings = load(path, fill="2s")
    np.testing.assert_array_equal(readings.values, [[1, 2, 2, 4, 4, 4, NAN, NAN, 5]])
    assert "3 missing values (33.3% of all) were filled with the last reading up to 2s" in (
        notes.text
    )
    np.testing.assert_array_equal(load(path, fill="1").values[0, 2:6], [2, 4, 4, NAN])
    assert readings.source.log.fill == "2s"
    with pytest.raises(ValueError, match=r"--log\.fill 10ms is shorter than the step, 1s"):
        load(path, fill="10ms")
    with pytest.raises(ValueError, match=r"fill must be a time, such as 5s, or a number of read"):
        LogConfig(fill="0")


def test_nothing_is_carried_from_one_unit_to_the_next(tmp_path: Path) -> None:
    rows = ["a,1,1,1", "a,2,,2", "b,1,,3", "b,2,4,4", "b,3,,5"]
    path = write(tmp_path / "a.csv", rows, "unit,cycle,x,y")
    readings = load(path, unit_column="unit", time_unit="count", fill="5")
    np.testing.assert_array_equal(readings.values[0], [1, 1, NAN, 4, 4])
    with pytest.raises(ValueError, match=r"numbered: give --log.fill as their number, not as 5s"):
        load(path, unit_column="unit", time_unit="count", fill="5s")


@settings(max_examples=60)
@given(data=st.data())
def test_filling_sees_nothing_of_the_future_and_no_other_unit(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    n, most = sum(sizes), data.draw(st.integers(1, 4))
    known = st.lists(st.booleans(), min_size=n, max_size=n)
    given_values = np.where(data.draw(known), np.arange(n, dtype=float), NAN)
    firsts = np.cumsum([0, *sizes[:-1]])
    filled = given_values[None].copy()
    n_filled = fill(filled, firsts, most)
    for at in range(n):
        begin = max(firsts[firsts <= at].max(), at - most)
        seen = given_values[begin : at + 1][~np.isnan(given_values[begin : at + 1])]
        expected = seen[-1] if len(seen) else NAN
        np.testing.assert_equal(filled[0, at], expected)
    assert n_filled == np.isnan(given_values).sum() - np.isnan(filled).sum()


@settings(max_examples=60)
@given(unit=st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_rows_are_numbered_in_their_unit(unit: list[int]) -> None:
    numbers = numbered(np.array(unit)).astype("datetime64[s]").astype(int).tolist()
    assert numbers == [unit[: k + 1].count(one) for k, one in enumerate(unit)]


@settings(max_examples=40)
@given(data=st.data())
def test_units_are_read_as_if_each_had_a_file_of_its_own(
    tmp_path: Path, data: st.DataObject
) -> None:
    n_units = data.draw(st.integers(1, 4))
    rows = {
        f"u{k}": sorted(data.draw(st.sets(st.integers(0, 12), min_size=2, max_size=6)))
        for k in range(n_units)
    }
    rows["u0"] = [*rows["u0"][:1], rows["u0"][0] + 1]
    table = [(name, second) for name, each in rows.items() for second in each]
    mixed = data.draw(st.permutations(list(rows) * 12))
    waiting = {name: list(each) for name, each in rows.items()}
    lines = [
        f"{name},{waiting[name][0]},{waiting[name].pop(0) * 3}" for name in mixed if waiting[name]
    ]
    assert len(lines) == len(table)
    log = {"time_unit": "s", "resample": data.draw(st.sampled_from(["refuse", "max"]))}
    together = load(
        write(tmp_path / "all.csv", lines, "unit,time,x"), unit_column="unit", step="1s", **log
    )
    for name, each in rows.items():
        alone = write(tmp_path / f"{name}.csv", [f"{s},{s * 3}" for s in each])
        expected = load(alone, step="1s", **log)
        unit = together.unit(together.units.names.tolist().index(name))
        np.testing.assert_array_equal(unit.values, expected.values)
        assert unit.start == expected.start
