"""Readings out of files: whatever somebody's logger wrote."""

import gzip
import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock._json import decode
from foreshock.readings.config import CatalogConfig, LogConfig, SourceConfig, options_text
from foreshock.readings.sensor_logs import kind_of, load_readings, read_events, read_times
from foreshock.readings.series import Readings

Notes = pytest.LogCaptureFixture
NAN = np.nan
REGULAR = """time,temperature,pressure
2026-11-23T10:00:00Z,20.1,1.01
2026-11-23T11:00:00Z,,1.02
2026-11-23T13:00:00Z,24.0,0.97
"""


def load(tmp_path: Path, content: str, name: str = "a.csv", **log: object) -> Readings:
    (tmp_path / name).write_text(content)
    return load_readings(
        tmp_path / name,
        config=SourceConfig(log=LogConfig(**log)),
    )


def rows(*pairs: tuple[str, float]) -> str:
    return "time,x\n" + "".join(f"2026-11-23T{time}Z,{value}\n" for time, value in pairs)


def test_a_regular_log_becomes_readings_with_gaps_where_rows_or_values_are_missing(
    tmp_path: Path,
) -> None:
    readings = load(tmp_path, REGULAR)
    assert readings.channels == ("temperature", "pressure")
    assert str(readings.start) == "2026-11-23T10:00:00.000000"
    assert readings.step == np.timedelta64(1, "h")
    np.testing.assert_array_equal(
        readings.values, np.array([[20.1, NAN, NAN, 24.0], [1.01, 1.02, NAN, 0.97]], np.float32)
    )


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    expected = load(tmp_path, REGULAR)
    frame = pd.read_csv(tmp_path / "a.csv", parse_dates=["time"])
    frame.to_parquet(tmp_path / "a.parquet")
    readings = load_readings(tmp_path / "a.parquet")
    np.testing.assert_array_equal(readings.values, expected.values)
    assert (readings.start, readings.step) == (expected.start, expected.step)


def test_the_column_of_times_is_found_by_its_name_or_named(tmp_path: Path) -> None:
    assert load(tmp_path, REGULAR.replace("time", "Timestamp")).n_channels == 2
    assert load(tmp_path, REGULAR.replace("time", "when"), time="when").n_channels == 2
    with pytest.raises(ValueError, match=r"no column time or timestamp .* its columns are when, t"):
        load(tmp_path, REGULAR.replace("time", "when"))


def test_channels_are_those_asked_for_in_their_order(tmp_path: Path) -> None:
    text = REGULAR.replace("pressure", "state").replace("1.01", "on")
    with pytest.raises(ValueError, match=r"the column 'state' is not numeric, it has 'on'"):
        load(tmp_path, text)
    assert load(tmp_path, text, channels=("temperature",)).channels == ("temperature",)
    both = load(tmp_path, REGULAR, channels=("pressure", "temperature"))
    assert both.values[0, 0] == np.float32(1.01)
    with pytest.raises(ValueError, match="it has no channel 'humidity'; its columns are time"):
        load(tmp_path, REGULAR, channels=("humidity",))


def test_numbers_count_as_the_unit_says(tmp_path: Path) -> None:
    readings = load(tmp_path, "time,x\n0,1\n2.5,2\n5,3\n", time_unit="ms")
    assert readings.step == np.timedelta64(2500, "us")
    np.testing.assert_array_equal(readings.values, [[1, 2, 3]])


def test_a_given_step_leaves_gaps_where_a_coarser_one_was_measured(tmp_path: Path) -> None:
    readings = load(tmp_path, rows(("10:00", 1), ("11:00", 2)), step="30min")
    np.testing.assert_array_equal(readings.values, [[1, NAN, 2]])


MESSY = rows(
    ("10:00:00", 1), ("10:30:00", 3), ("12:00:00", 5), ("11:59:00", 9), ("12:00:00", 7)
)  # fmt: skip


def test_an_irregular_log_is_refused_with_counts_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"of its 5 rows are 1 out of order, 1 at the same time as another, 2 off the clock"
        r" of 1h from 2026-11-23T10:00Z; correct them, or combine .*--log.resample mean,"
        r" max, .*; the first is in line 3\.",
    ):
        load(tmp_path, MESSY, step="1h")


def test_of_clocks_that_jitter_the_nearest_row_is_taken(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ticks = np.datetime64("2001-01-01") + np.timedelta64(1, "h") * np.arange(200)
    times = ticks + random.integers(-1700, 1700, 200).astype("timedelta64[s]")
    rows = "".join(f"{time}Z,{i}\n" for i, time in enumerate(times))
    readings = load(tmp_path, f"time,a\n{rows}", step="1h", resample="nearest")
    np.testing.assert_array_equal(readings.values, [np.arange(200)])
    assert readings.start == ticks[0]
    with pytest.raises(
        ValueError, match=r"no common step \(.* is only the most common\); give one"
    ):
        load(tmp_path, f"time,a\n{rows}", resample="mean")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("nearest", [1, 3, 5]),
        ("mean", [2, 9, 6]),
        ("max", [3, 9, 7]),
        ("min", [1, 9, 5]),
        ("sum", [4, 9, 12]),
        ("first", [1, 9, 5]),
        ("last", [3, 9, 7]),
    ],
)
def test_rows_of_one_step_become_one_reading_by_the_rule_asked_for(
    tmp_path: Path, rule: str, expected: list[float], notes: Notes
) -> None:
    readings = load(tmp_path, MESSY, step="1h", resample=rule)
    np.testing.assert_array_equal(readings.values, [expected])
    assert f"5 rows became 3 readings of 1h (and 0 gaps) by {rule}." in notes.text
    assert readings.source.log.resample == rule


def test_resampling_leaves_missing_values_out_and_gaps_missing(tmp_path: Path) -> None:
    text = "time,x,y\n" + "".join(
        f"2026-11-23T{hour}Z,{x},{y}\n"
        for hour, x, y in (("10:10", 1, ""), ("10:20", "", ""), ("12:50", 4, 2))
    )
    for rule in ("mean", "sum", "max", "first"):
        readings = load(tmp_path, text, step="1h", resample=rule)
        np.testing.assert_array_equal(readings.values, [[1, NAN, 4], [NAN, NAN, 2]])
        assert str(readings.start) == "2026-11-23T10:00:00.000000"


def test_several_files_are_one_recording(tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text(rows(("10:00", 1), ("11:00", 2)))
    second.write_text(rows(("13:00", 4), ("14:00", 5)))
    np.testing.assert_array_equal(load_readings(second, first).values, [[1, 2, NAN, 4, 5]])


def test_catalogues_are_joined_before_they_become_readings(tmp_path: Path) -> None:
    head = "time,latitude,longitude,mag,id\n"
    events = [f"2001-01-01T00:{m:02}:00Z,1,1,{m / 10},{m}\n" for m in (25, 40, 30)]
    (tmp_path / "1.csv").write_text(head + events[0] + events[1])
    (tmp_path / "2.csv").write_text(head + events[1] + events[2])
    config = SourceConfig(catalog=CatalogConfig(channels=("maximum", "count")))
    readings = load_readings(tmp_path / "1.csv", tmp_path / "2.csv", config=config)
    np.testing.assert_array_equal(readings.values, [[4], [3]])
    (tmp_path / "3.csv").write_text(rows(("10:00", 1), ("11:00", 2)))
    with pytest.raises(ValueError, match="some of these files are catalogues and some are not"):
        load_readings(tmp_path / "1.csv", tmp_path / "3.csv")


def test_an_array_stays_on_disk_and_needs_a_clock(tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ValueError, match=r"an array has no times; .*--log.start .*--log.step"):
        load_readings(tmp_path / "a.npy")
    log = LogConfig(start="2001-01-01", step="10ms")
    readings = load_readings(tmp_path / "a.npy", config=SourceConfig(log=log))
    assert isinstance(readings.values, np.memmap)
    assert readings.channels == ("channel 0", "channel 1")
    np.testing.assert_array_equal(readings.values, values)
    np.save(tmp_path / "b.npy", np.arange(4))
    one = load_readings(tmp_path / "b.npy", config=SourceConfig(log=log))
    np.testing.assert_array_equal(one.values, [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 2), np.float32), "more channels than timepoints; transpose it"),
        (np.zeros((1, 1, 2, 3), np.float32), r"expected numbers \(n_channels, n_timepoints\)"),
        (np.zeros(0, np.float32), r"expected numbers \(n_channels, n_timepoints\)"),
        (np.array(["a", "b"]), "it contains <U1 of shape"),
        (np.array([1, np.inf], np.float32), "is infinite or beyond float32"),
        (np.array([1, 1e300]), "is infinite or beyond float32"),
    ],
)
def test_an_array_that_is_no_recording_is_refused(
    tmp_path: Path, array: np.ndarray, reason: str
) -> None:
    np.save(tmp_path / "a.npy", array)
    log = LogConfig(start="2001-01-01", step="1s")
    with pytest.raises(ValueError, match=reason):
        load_readings(tmp_path / "a.npy", config=SourceConfig(log=log))


def test_a_pickled_array_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    log = LogConfig(start="2001-01-01", step="1s")
    with pytest.raises(ValueError, match="it is not an array of numbers"):
        load_readings(tmp_path / "a.npy", config=SourceConfig(log=log))


def test_times_far_apart_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    text = "time,x\n1970-01-01T00:00:00Z,1\n1970-01-01T00:00:01Z,2\n2026-01-01T00:00:00Z,3\n"
    with pytest.raises(ValueError, match=r"its 3 rows span .* is a time wrong, or the step too"):
        load(tmp_path, text)


def test_rows_of_a_single_time_have_no_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its step is unknown; give it"):
        load(tmp_path, rows(("10:00", 1)))
    assert load(tmp_path, rows(("10:00", 1)), step="1h").n_timepoints == 1


# numbers


def test_blank_fields_are_missing_and_spaces_around_numbers_nothing(tmp_path: Path) -> None:
    text = "time, x, y\n2026-11-23 10:00, 0.13, 1\n2026-11-23 11:00, , ?\n2026-11-23 12:00, 2, NA\n"
    readings = load(tmp_path, text)
    np.testing.assert_array_equal(
        readings.values, np.array([[0.13, NAN, 2], [1, NAN, NAN]], np.float32)
    )


def test_channels_of_true_and_false_are_1_and_0(tmp_path: Path) -> None:
    text = "time,x,y\n2026-11-23 10:00,true,FALSE\n2026-11-23 11:00,false,\n"
    np.testing.assert_array_equal(load(tmp_path, text).values, [[1, 0], [0, NAN]])
    np.save(tmp_path / "a.npy", np.array([True, False]))
    config = SourceConfig(log=LogConfig(start="2001-01-01", step="1s"))
    np.testing.assert_array_equal(load_readings(tmp_path / "a.npy", config=config).values, [[1, 0]])


@pytest.mark.parametrize(
    "values",
    [
        [Decimal("1.50"), None, Decimal(3)],
        pd.array([1.5, None, 3], "Float32"),
        pd.Categorical([1.5, None, 3]),
        ["1.5", " ", "3"],
    ],
)
def test_parquet_columns_of_any_type_of_numbers_are_channels(
    tmp_path: Path, values: object
) -> None:
    times = pd.date_range("2026-11-23", periods=3, freq="h")
    pd.DataFrame({"time": times, "x": values}).to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(load_readings(tmp_path / "a.parquet").values, [[1.5, NAN, 3]])


def test_one_bad_value_is_shown_with_its_line(tmp_path: Path) -> None:
    text = REGULAR.replace("24.0", "2_4")
    with pytest.raises(ValueError, match=r"'temperature' is not numeric, it has '2_4' in line 4;"):
        load(tmp_path, text)


def test_a_column_that_numbers_the_rows_is_no_channel(tmp_path: Path, notes: Notes) -> None:
    lines = REGULAR.splitlines()
    for name in ("#", '"#"', "RN", "Unnamed: 0"):
        text = "\n".join(f"{k or name},{line}" for k, line in enumerate(lines))
        assert load(tmp_path, text).channels == ("temperature", "pressure")
    text = "\n".join(f"{k or 'No'},{line}" for k, line in enumerate(lines))
    assert load(tmp_path, text).channels == ("temperature", "pressure")
    assert "Left out, since it only numbers the rows: No (--log.channels" in notes.text
    assert load(tmp_path, text, channels=("No",)).channels == ("No",)
    assert load(tmp_path, text.replace("\n2", "\n5")).channels[0] == "No"  # 1, 5, 3 count nothing
    assert load(tmp_path, text.replace("No", "cycle")).channels[0] == "cycle"


def test_a_log_in_utf_16_is_read_as_spreadsheets_and_shells_write_it(tmp_path: Path) -> None:
    text = REGULAR.replace(",", "\t").replace("temperature", "Temp, \N{DEGREE SIGN}C")
    (tmp_path / "a.txt").write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert kind_of(tmp_path / "a.txt") == "log"
    readings = load_readings(tmp_path / "a.txt")
    assert readings.channels == ("Temp, \N{DEGREE SIGN}C", "pressure")
    np.testing.assert_array_equal(readings.values, load(tmp_path, REGULAR).values)


@pytest.mark.parametrize(
    "content",
    [
        "date,x\n20240130,1\n20240131,2\n20240201,3\n",
        "date,time,x\n20240130,0,1\n20240130,2400,2\n20240201,0000,3\n",
        "date,time,x\n2024-01-30,000000,1\n2024-01-30,240000,2\n2024-02-01,000000,3\n",
    ],
)
def test_dates_and_times_of_day_may_be_digits_alone(tmp_path: Path, content: str) -> None:
    readings = load(tmp_path, content)
    assert str(readings.start) == "2024-01-30T00:00:00.000000"
    assert (readings.step, readings.channels) == (np.timedelta64(1, "D"), ("x",))
    np.testing.assert_array_equal(readings.values, [[1, 2, 3]])


TOA5 = """"TOA5","CR1000","CR1000","1234","CR1000.Std.32","CPU:air.CR1","5678","Table1"
"TIMESTAMP","RECORD","AirTC_Avg"
"TS","RN","Deg C"
"","","Avg"
"2026-11-23 10:00:00",7,20.5
"2026-11-23 10:10:00",8,"NAN"
"""
HOBO = """"Plot Title: 10123456"
"#","Date Time, GMT+00:00","Temp, \N{DEGREE SIGN}C (LGR S/N: 1)","Host Connected (LGR S/N: 1)"
1,11/23/2026 10:00:00 AM,20.5,
2,11/23/2026 10:10:00 AM,,
"""


@pytest.mark.parametrize("content", [TOA5, HOBO.replace(',"Host Connected (LGR S/N: 1)"', "")])
def test_files_of_common_loggers_are_read(tmp_path: Path, content: str) -> None:
    readings = load(tmp_path, content)
    assert kind_of(tmp_path / "a.csv") == "log"
    assert readings.channels[0][:3] in ("Air", "Tem")
    assert str(readings.start) == "2026-11-23T10:00:00.000000"
    assert readings.step == np.timedelta64(10, "m")
    np.testing.assert_array_equal(readings.values, [[20.5, NAN]])


# the index of a data frame


@pytest.mark.parametrize("name", [None, "ts", "Date", "time"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_the_index_of_a_data_frame_is_its_time(
    tmp_path: Path, name: str | None, zone: str | None
) -> None:
    index = pd.date_range("2026-11-23", periods=3, freq="h", tz=zone, name=name)
    pd.DataFrame({"x": [1.0, 2, 3]}, index=index).to_parquet(tmp_path / "a.parquet")
    readings = load_readings(tmp_path / "a.parquet")
    assert readings.channels == ("x",)
    assert readings.start == (index[0] if zone is None else index[0].tz_convert(None))
    assert kind_of(tmp_path / "a.parquet") == "log"
    if name is not None:
        assert load_readings(
            tmp_path / "a.parquet", config=SourceConfig(log=LogConfig(time=name))
        ).n_timepoints == 3  # fmt: skip


def test_times_without_a_column_are_named_as_what_lacks(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1.0, 2, 3]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(
        ValueError, match=r"no column time or .*; its columns are x: name the column"
    ):
        load_readings(tmp_path / "a.parquet")
    assert kind_of(tmp_path / "a.parquet") is None


# rows that stand twice

OVERLAP = rows(("10:00", 1), ("11:00", 2), ("12:00", 3))
LATER = "".join(rows(("11:00", 2), ("12:00", 3), ("13:00", 4)).splitlines(keepends=True)[1:])


def test_downloads_that_overlap_may_stand_in_one_file(tmp_path: Path, notes: Notes) -> None:
    for text in (OVERLAP + LATER, OVERLAP + rows() + LATER, OVERLAP + OVERLAP + LATER):
        np.testing.assert_array_equal(load(tmp_path, text).values, [[1, 2, 3, 4]])
    assert "2 rows repeat another one exactly and are taken once." in notes.text
    assert "5 rows repeat another one exactly and are taken once." in notes.text


def test_of_rows_of_one_time_that_differ_none_is_taken(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"of its 5 rows are 1 at the same time as another; .* 6\."
    ):
        load(tmp_path, OVERLAP + LATER.replace(",3", ",5"))
    with pytest.raises(ValueError, match=r"of its 4 rows are 1 out of order; .* in line 5\."):
        load(tmp_path, OVERLAP + LATER.splitlines()[0].replace("11:00Z,2", "09:00Z,2"))


def test_equal_rows_of_a_coarse_clock_are_different_readings_to_resample(tmp_path: Path) -> None:
    twice = rows(("10:00", 1), ("10:00", 1), ("11:00", 2))
    for text in (twice, twice + "".join(twice.splitlines(keepends=True)[1:])):
        readings = load(tmp_path, text, resample="sum", step="1h")
        np.testing.assert_array_equal(readings.values, [[2, 2]])


# dialects


def test_days_of_two_columns_are_put_together(tmp_path: Path) -> None:
    text = (
        "Date;Time;CO(GT);NOx;;\n12/03/2004;23.00.00;2,6;166;;\n13/03/2004;00.00.00;2;;;\n;;;;;\n"
    )
    readings = load(tmp_path, text)
    assert str(readings.start) == "2004-03-12T23:00:00.000000"
    assert readings.channels == ("CO(GT)", "NOx")
    np.testing.assert_array_equal(readings.values, np.float32([[2.6, 2], [166, NAN]]))
    text = text.replace("Date", "Tag").replace("Time", "Uhrzeit")
    assert load(tmp_path, text, time="Tag+Uhrzeit", dates="day-first").n_timepoints == 2
    with pytest.raises(ValueError, match=r"its columns are Tag, Uhrzeit, .*day\+clock"):
        load(tmp_path, text)


def test_one_of_several_logs_tells_what_comes_first_in_the_dates_of_all(tmp_path: Path) -> None:
    days = {"1.csv": "11.03.2026", "2.csv": "12.03.2026", "3.csv": "13.03.2026"}
    for name, day in days.items():
        (tmp_path / name).write_text(f"time,x\n{day} 00:00,1\n{day} 12:00,2\n")
    paths = [tmp_path / name for name in days]
    readings = load_readings(*paths)
    np.testing.assert_array_equal(readings.values, [[1, 2, 1, 2, 1, 2]])
    assert readings.source.log.dates == "day-first"
    with pytest.raises(ValueError, match=r"1\.csv: its dates are ambiguous, '11.03.2026 00:00' in"):
        load_readings(*paths[:2])


def test_an_empty_time_is_what_is_said_of_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"row 2 \(line 3\) has no time; give each row one"):
        load(tmp_path, REGULAR.replace("2026-11-23T11:00:00Z", ""))
    with pytest.raises(ValueError, match=r"row 1 \(line 2\) has no time, its 'time' is empty"):
        load(tmp_path, "date,time,x\n2026-11-23,,1\n2026-11-23,11:00,2\n")


def test_a_table_is_a_log_by_its_columns_of_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for text, kind in (("# by me\nNo,year,month,day,x", "log"), ("case,time,x", None),
                       ("timestamp x\n2026-11-23 5", "log"), ("x,y", None),
                       ("1 0.5 0.5\n2 0.5 0.5", None), ("1,0.5,0.5", None)):  # fmt: skip
        path.write_text(f"{text}\n")
        assert kind_of(path) == kind
    path.write_text("day,clock,x\n")
    assert kind_of(path, LogConfig(time="day+clock")) == "log"


BEIJING = Path(__file__).parents[3] / "shared" / "data" / "sensors"


def test_a_real_table_of_years_months_days_and_hours_is_read() -> None:
    path = BEIJING / "beijing_pm25_2010_2014.csv.gz"
    if not path.exists():
        pytest.skip(f"the air of Beijing is not at {path}")
    everything = load_readings(path)
    assert everything.channels == (
        "pm2.5", "DEWP", "TEMP", "PRES", "cbwd=NE", "cbwd=NW", "cbwd=SE", "cbwd=cv", "Iws", "Is",
        "Ir",
    )  # fmt: skip
    assert (everything.values[4:8].sum(axis=0) == 1).all()
    config = SourceConfig(log=LogConfig(channels=("pm2.5", "TEMP"), timezone="Asia/Shanghai"))
    readings = load_readings(path, config=config)
    assert readings.values.shape == (2, 43_824)
    assert str(readings.start) == "2009-12-31T16:00:00.000000"
    assert np.isnan(readings.values[0]).mean() == pytest.approx(0.047, abs=1e-3)


def test_real_logs_with_semicolons_are_read() -> None:
    paths = sorted((BEIJING / "skab_valve1").glob("*.csv.gz"))
    if not paths:
        pytest.skip(f"the valve's experiments are not in {BEIJING}")
    readings = load_readings(*paths)
    assert readings.channels[0] == "Accelerometer1RMS"
    assert readings.step == np.timedelta64(1, "s")
    assert int((~np.isnan(readings.values[0])).sum()) == 18_160


@settings(max_examples=40)
@given(data=st.data())
def test_one_table_is_read_equal_in_every_dialect(tmp_path: Path, data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(2, 5))
    hundredths = st.integers(-(10**6), 10**6)
    row = st.tuples(hundredths | st.none(), hundredths | st.none())
    table = data.draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    table[0] = (data.draw(hundredths), table[0][1])
    minutes = data.draw(st.sampled_from([1, 60, 24 * 60]))
    begin = datetime(2026, 11, 22, 22, 58) - timedelta(minutes=data.draw(st.integers(0, 2)))
    times = [begin + timedelta(minutes=minutes * k) for k in range(n_rows)]

    separator = data.draw(st.sampled_from([",", ";", "\t", "|", " "]))
    commas = separator != "," and data.draw(st.booleans())
    two, last = data.draw(st.booleans()), data.draw(st.booleans())
    style = data.draw(st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"]))
    pause = data.draw(st.sampled_from(["", "\n", "# a pause\n", "// off\n"]))
    trailing = separator * data.draw(st.integers(0, 2)) if separator != " " else ""
    around = data.draw(st.sampled_from(["", " "])) if separator != " " else ""
    nothing = data.draw(st.sampled_from(["?", "NA", "nan", *([""] if separator != " " else [])]))

    def clock(at: datetime) -> list[str]:
        day, hour = at, at.strftime("%H:%M:%S")
        if last and hour == "00:00:00":
            day, hour = at - timedelta(days=1), "24:00:00"
        elif last and hour != "00:00:00":
            hour = (at - timedelta(minutes=1)).strftime("%H:%M:60")
        hour += data.draw(st.sampled_from(["", ",000" if separator != "," else ".000"]))
        if two or separator == " ":
            return [day.strftime(style), hour]
        return [f"{day.strftime(style)} {hour}"]

    def number(value: int | None) -> str:
        if value is None:
            return nothing
        return f"{value / 100:.2f}".replace(".", "," if commas else ".")

    names = ["Date", "Time", "x", "y"] if two or separator == " " else ["time", "x", "y"]
    lines = [separator.join(names) + trailing]
    if data.draw(st.booleans()):
        lines.append(separator.join(["s", "h", "bar", "degC"][-len(names) :]) + trailing)
    for at, values in zip(times, table, strict=True):
        fields = [*clock(at), *map(number, values)]
        lines.append((separator + around).join(fields) + trailing)
    text = data.draw(st.sampled_from(["", "# kept by\n"])) + f"\n{pause}".join(lines) + "\n" + pause
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    content = text.replace("\n", end).encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    packed = data.draw(st.booleans())
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(content) if packed else content)

    step = f"{minutes}min"
    readings = load_readings(path, config=SourceConfig(log=LogConfig(step=step)))
    expected = [[NAN if v is None else v / 100 for v in row] for row in table]
    np.testing.assert_array_equal(readings.values, np.float32(expected).T)
    assert readings.start == np.datetime64(times[0], "us")
    assert readings.channels == ("x", "y")


def test_a_failure_log_is_a_list_of_times(tmp_path: Path) -> None:
    path = tmp_path / "failures.csv"
    path.write_text("machine,Time\npump,2026-11-23T10:12:00Z\nfan,2026-11-22T10:00:00Z\n")
    assert read_times(path).tolist() == [datetime(2026, 11, 23, 10, 12), datetime(2026, 11, 22, 10)]
    path.write_text("when\n12\n")
    assert read_times(path, LogConfig(time="when", time_unit="s")).tolist() == [
        datetime(1970, 1, 1) + timedelta(seconds=12)
    ]
    with pytest.raises(ValueError, match=r"cannot read .*failures.csv: it has no column time"):
        read_times(path)
    with pytest.raises(ValueError, match="there is no file"):
        read_times(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"step": "soon"}, "a duration must be a number and a unit"),
        ({"start": "soon"}, "a time must look like"),
        ({"channels": ("a", "a")}, "channels must differ, got a, a"),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(
    fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        LogConfig(**fields)


def test_at_least_one_file_must_be_named() -> None:
    with pytest.raises(ValueError, match="name at least one file"):
        load_readings()


def test_a_configuration_is_written_as_options() -> None:
    assert options_text(LogConfig()) == ""
    config = LogConfig(unit_column="n 1", time="2", time_unit="count", channels=("a", "b=c d"))
    assert options_text(config) == (
        "--log.time 2 --log.time-unit count --log.unit-column 'n 1' --log.channels a 'b=c d'"
    )


def test_a_stored_configuration_may_call_the_unit_of_times_as_it_was_called() -> None:
    stored = {"log": {"unit": "s"}}
    assert decode(SourceConfig, stored, "source").log == LogConfig(time_unit="s")
    with pytest.raises(TypeError, match="unit"):
        LogConfig(unit="s")


# columns of text

WINDS = "time,x,wind\n" + "".join(
    f"2026-11-23 {hour:02}:00,{hour},{wind}\n"
    for hour, wind in enumerate(["NW", "SE", " NW", "", "SE", "NW"])
)


def test_a_column_of_few_texts_becomes_a_channel_for_each(tmp_path: Path, notes: Notes) -> None:
    readings = load(tmp_path, WINDS)
    assert readings.channels == ("x", "wind=NW", "wind=SE")
    np.testing.assert_array_equal(readings.values[1:], [[1, 0, 1, NAN, 0, 1], [0, 1, 0, NAN, 1, 0]])
    assert "Text of wind became 2 channels: wind=NW, wind=SE." in notes.text
    assert load(tmp_path, WINDS, channels=("wind",)).channels == ("wind=NW", "wind=SE")
    pd.read_csv(tmp_path / "a.csv").to_parquet(tmp_path / "a.parquet")
    again = load_readings(tmp_path / "a.parquet")
    np.testing.assert_array_equal(again.values, readings.values)


def test_channels_of_text_are_made_as_they_are_asked_for(tmp_path: Path, caplog: Notes) -> None:
    readings = load(tmp_path, WINDS, channels=("wind=E", "x", "wind=SE"))
    assert readings.channels == ("wind=E", "x", "wind=SE")
    np.testing.assert_array_equal(readings.values[0], [0, 0, 0, NAN, 0, 0])
    assert "wind has NW in 3 rows, for which there is no channel: the channels of wind are 0" in (
        caplog.text
    )
    codes = WINDS.replace("NW", "1").replace("SE", "2.0")
    two = load(tmp_path, codes, channels=("wind=2",))
    np.testing.assert_array_equal(two.values, [[0, 1, 0, NAN, 1, 0]])
    with pytest.raises(
        ValueError, match="it has no channel 'sun=1'; its columns are time, x, wind"
    ):
        load(tmp_path, WINDS, channels=("sun=1",))


def test_a_column_of_many_texts_is_refused_by_name(tmp_path: Path) -> None:
    rows = "".join(f"2026-11-{d:02},{d},note {d}\n" for d in range(1, 31))
    with pytest.raises(
        ValueError,
        match=r"the column 'log' is not numeric, it has 30 different texts, such as 'note 1' and"
        r" 'note 10', .* at most 20, each repeated; name those to read \(--log.channels 'x y'\)\.",
    ):
        load(tmp_path, f"time,x y,log\n{rows}")
    few = "".join(f"2026-11-{d:02},{d},{'' if d > 5 else f'note {d}'}\n" for d in range(1, 31))
    with pytest.raises(ValueError, match=r"'log' is not numeric, it has 5 different texts"):
        load(tmp_path, f"time,x,log\n{few}")
    pumps = "".join(f"2026-11-{d:02},{d},pump {d % 30}\n" for d in range(1, 31))
    pumps += pumps.replace("2026-11", "2026-12")
    with pytest.raises(ValueError, match=r"machines or places, add --log.unit-column log\.$"):
        load(tmp_path, f"time,x,log\n{pumps}")


@pytest.mark.parametrize(
    "value", ["1_000", "5 %", "7C", "0x1F", "\u0661", "1,234.5", "-3 kPa", "1'000"]
)
def test_what_is_almost_a_number_is_no_text(tmp_path: Path, value: str) -> None:
    rows = "".join(f'2026-11-{day:02},{day},"{value}"\n' for day in range(1, 9))
    with pytest.raises(
        ValueError, match=r"the column 'y' is not numeric, it has ['\"].*['\"] in line 2"
    ):
        load(tmp_path, f"time,x,y\n{rows}")


def test_a_text_that_never_changes_is_no_channel(tmp_path: Path, notes: Notes) -> None:
    text = WINDS.replace("SE", "NW")
    assert load(tmp_path, text).channels == ("x",)
    assert "Left out, since it is the same in every row: wind." in notes.text
    assert load(tmp_path, text, channels=("wind",)).channels == ("wind=NW",)


@pytest.mark.parametrize("words", ["no yes", "OFF ON", "False True"])
def test_yes_and_no_on_and_off_are_numbers(tmp_path: Path, words: str) -> None:
    low, high = words.split()
    text = WINDS.replace("NW", low).replace("SE", high)
    readings = load(tmp_path, text)
    assert readings.channels == ("x", "wind")
    np.testing.assert_array_equal(readings.values[1], [0, 1, 0, NAN, 1, 0])
    pd.DataFrame(
        {"time": pd.date_range("2026-11-23", periods=3, freq="h"), "x": [high, None, low]}
    ).to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(load_readings(tmp_path / "a.parquet").values, [[1, NAN, 0]])


def test_texts_of_several_files_are_those_of_all(tmp_path: Path) -> None:
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    one.write_text(WINDS)
    two.write_text(WINDS.replace("2026-11-23", "2026-11-24").replace("SE", "N"))
    readings = load_readings(one, two)
    assert readings.channels == ("x", "wind=N", "wind=NW", "wind=SE")
    two.write_text(WINDS.replace("2026-11-23", "2026-11-24").replace("SE", "").replace("NW", ""))
    assert load_readings(one, two).channels == ("x", "wind=NW", "wind=SE")
    two.write_text(WINDS.replace("2026-11-23", "2026-11-24").replace("SE", "5").replace("NW", "6"))
    with pytest.raises(ValueError, match=r"'wind' has numbers in 2\.csv and text in 1\.csv, such"):
        load_readings(one, two)
    two.write_text(WINDS.replace("wind", "Wind"))
    with pytest.raises(ValueError, match=r"differ in their columns: 2\.csv has no 'wind'; name"):
        load_readings(one, two)


# files without a header, folders, arrays of units


def test_a_log_without_a_header_is_read_by_positions_or_by_names(tmp_path: Path) -> None:
    text = "1 1 0.5 7 \n1 2 0.6 8 \n2 1 0.7 9 \n"
    log = {"unit_column": "1", "time": "2", "time_unit": "count"}
    readings = load(tmp_path, text, "a.txt", **log)
    assert (readings.channels, readings.n_units) == (("3", "4"), 2)
    assert kind_of(tmp_path / "a.txt", LogConfig(**log)) == "log"
    assert kind_of(tmp_path / "a.txt") is None
    names = ("unit", "cycle", "speed", "heat")
    named = load(tmp_path, text, "a.txt", unit_column="unit", time_unit="count", names=names)
    assert named.channels == ("speed", "heat")
    np.testing.assert_array_equal(named.values, readings.values)
    assert load(tmp_path, "2026-11-23 10:00,5\n2026-11-23 11:00,6\n").channels == ("2",)
    assert kind_of(tmp_path / "a.csv") == "log"


def test_a_folder_of_parquet_files_may_name_units_by_its_folders(tmp_path: Path) -> None:
    times = pd.date_range("2026-11-23", periods=6, freq="h")
    frame = pd.DataFrame({"time": times.repeat(2), "pump": ["a", "b"] * 6, "x": np.arange(12.0)})
    frame.to_parquet(tmp_path / "parts", partition_cols=["pump"])
    config = SourceConfig(log=LogConfig(unit_column="pump"))
    readings = load_readings(tmp_path / "parts", config=config)
    assert readings.units.names.tolist() == ["a", "b"]
    np.testing.assert_array_equal(readings.values[0, :7], [0, 2, 4, 6, 8, 10, 1])
    assert kind_of(tmp_path / "parts") == "log"
    with pytest.raises(
        ValueError, match=r"if pump names machines or places, add --log.unit-column"
    ):
        load_readings(tmp_path / "parts")
    assert kind_of(tmp_path) is None or kind_of(tmp_path) == "log"
    (tmp_path / "none").mkdir()
    assert kind_of(tmp_path / "none") is None


def test_an_array_may_have_units_and_stays_on_disk(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", values)
    config = SourceConfig(log=LogConfig(time="rows"))
    readings = load_readings(tmp_path / "a.npy", config=config)
    assert isinstance(readings.values, np.memmap)
    assert readings.units.names.tolist() == ["0", "1", "2"]
    assert readings.counted
    for k in range(3):
        np.testing.assert_array_equal(readings.unit(k).values, values[:, k])
    clocked = SourceConfig(log=LogConfig(start="2001-01-01", step="10ms"))
    assert (
        load_readings(tmp_path / "a.npy", config=clocked).units.starts.tolist()
        == [datetime(2001, 1, 1)] * 3
    )
    values[0, 1, 2] = NAN
    np.save(tmp_path / "a.npy", values)
    config = SourceConfig(log=LogConfig(time="rows", fill="1"))
    assert load_readings(tmp_path / "a.npy", config=config).values[0, 6] == 5


def test_an_array_whose_axes_are_in_doubt_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5, 2, 9), np.float32))  # 5 units of 2 channels?
    config = SourceConfig(log=LogConfig(time="rows"))
    with pytest.raises(ValueError, match=r"would be 5 channels of 2 units and 9 timepoints; trans"):
        load_readings(tmp_path / "a.npy", config=config)
    config = SourceConfig(log=LogConfig(time="rows", channels=tuple("abcde")))
    assert load_readings(tmp_path / "a.npy", config=config).n_units == 2
    config = SourceConfig(log=LogConfig(time="rows", unit_column="a"))
    with pytest.raises(ValueError, match=r"an array has no columns: leave out --log.unit-column"):
        load_readings(tmp_path / "a.npy", config=config)


def test_arrays_may_be_units(tmp_path: Path) -> None:
    for name, n in (("a", 3), ("b", 2)):
        np.save(tmp_path / f"{name}.npy", np.arange(n, dtype=np.float32))
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    log = LogConfig(start="2001-01-01", step="1s", files="units")
    readings = load_readings(*paths, config=SourceConfig(log=log))
    assert readings.units.names.tolist() == ["a", "b"]
    np.testing.assert_array_equal(readings.values, [[0, 1, 2, 0, 1]])
    np.save(tmp_path / "b.npy", np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"disagree at 1 places .*; or, if each file is a unit"):
        load_readings(*paths, config=SourceConfig(log=replace(log, files="continue")))


# lists of events


def events(tmp_path: Path, text: str, **log: object) -> tuple[list[object], list[str] | None]:
    (tmp_path / "events.csv").write_text(text)
    times, units = read_events(tmp_path / "events.csv", LogConfig(**log))
    return times.tolist(), None if units is None else units.tolist()


def test_events_are_of_units_where_the_log_has_such(tmp_path: Path) -> None:
    text = "machine,Time,cause\npump,2026-11-23T10:12:00Z,wear\nfan,2026-11-22T10:00:00Z,\n"
    times = [datetime(2026, 11, 23, 10, 12), datetime(2026, 11, 22, 10)]
    assert events(tmp_path, text) == (times, None)
    assert events(tmp_path, text, unit_column="machine") == (times, ["pump", "fan"])
    assert events(tmp_path, text, unit_column="Machine")[1] == ["pump", "fan"]
    assert events(tmp_path, text, unit_column="id") == (times, None)
    files = text.replace("machine", "unit")
    assert events(tmp_path, files, files="units")[1] == ["pump", "fan"]
    with pytest.raises(ValueError, match=r"row 1 \(line 2\) names no unit"):
        events(tmp_path, text.replace("pump", ""), unit_column="machine")


@pytest.mark.parametrize(
    ("text", "log"),
    [
        ("unit,cycle\n1,192\n2,287\n", {"unit_column": "1", "time": "2", "time_unit": "count"}),
        ("1 192\n2 287\n", {"unit_column": "1", "time": "2", "time_unit": "count"}),
        ("unit,row\n1.0,192\n2.0,287\n", {"files": "units", "time": "rows"}),
        ("id,at\n1,192\n2,287\n", {"unit_column": "id", "time": "at", "time_unit": "count"}),
    ],
)
def test_events_among_numbered_readings_are_their_numbers(
    tmp_path: Path, text: str, log: dict[str, object]
) -> None:
    times, units = events(tmp_path, text, **log)
    assert [int(time.timestamp()) for time in pd.to_datetime(times, utc=True)] == [192, 287]
    assert units == ["1", "2"]
    with pytest.raises(ValueError, match=r"it has no column cycle; its columns are w.*, z: call"):
        events(tmp_path, "w,z\n1,5\n", **log)
    with pytest.raises(
        ValueError, match=r"readings are numbered .* 'cycle' has '2026-11-23'; give"
    ):
        events(tmp_path, "cycle\n2026-11-23\n", **log)


@pytest.mark.parametrize(
    "text",
    [
        "timestamp\n2014-04-10 07:15:00\n",
        "anomaly\n2014-04-10 07:15:00\n",
        "2014-04-10 07:15:00\n2014-04-10 07:15:00\n",
        "date,time\n2014-04-10,07:15:00\n",
    ],
)
def test_a_list_of_times_needs_no_header_nor_the_name_that_the_log_has(
    tmp_path: Path, text: str
) -> None:
    for log in ({}, {"time": "when"}, {"time": "when", "time_unit": "ms"}):
        assert events(tmp_path, text, **log)[0][-1] == datetime(2014, 4, 10, 7, 15)


def test_a_log_is_no_list_of_events(tmp_path: Path) -> None:
    rows = "".join(f"{k},{k % 7},{k * 1.5}\n" for k in range(300))
    reason = r"looks like a log, not like a list of events: 300 rows at .*measurements \(x\)\. Give"
    with pytest.raises(ValueError, match=reason):
        events(tmp_path, f"time,unit,x\n{rows}", time_unit="s")
    alone = "".join(f"{k}\n" for k in range(300))
    assert len(events(tmp_path, f"time\n{alone}", time_unit="s")[0]) == 300
    rare = "".join(f"{k * k},{k * 1.5}\n" for k in range(300))
    assert len(events(tmp_path, f"time,size\n{rare}", time_unit="s")[0]) == 300


LABELS = {
    "realKnown/pump.csv": ["2013-12-11 06:00:00", "2013-12-16 17:25:00"],
    "realKnown/old_pump.csv": ["2013-12-12 06:00:00"],
    "quiet/calm.csv": [],
    "a/twice.csv": ["2013-12-13 06:00:00"],
    "b/twice.csv": ["2013-12-14 06:00:00"],
    "odd.csv": {"2013": 1},
    "numbers.csv": [5],
}


@pytest.mark.parametrize("log", ["pump.csv", "here/pump.csv", "pump.csv.gz"])
def test_the_list_of_a_log_is_found_by_its_name(tmp_path: Path, log: str) -> None:
    path = tmp_path / "combined_labels.json"
    path.write_text(json.dumps(LABELS))
    times, units = read_events(path, LogConfig(timezone="Europe/Paris"), log=tmp_path / log)
    assert times.tolist() == [datetime(2013, 12, 11, 5), datetime(2013, 12, 16, 16, 25)]
    assert units is None


def test_of_windows_the_begins_are_the_events(tmp_path: Path) -> None:
    path, times = tmp_path / "labels.json", [datetime(2013, 12, 15, 17, 50)]
    windows = [["2013-12-15 17:50:00.000000", "2013-12-17 17:00:00.000000"]]
    for labels in ({"real/pump.csv": windows}, windows, ["2013-12-15T17:50:00Z"]):
        path.write_text(json.dumps(labels))
        assert read_events(path, log=Path("pump.csv"))[0].tolist() == times


def test_a_folder_tells_logs_of_one_name_apart(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(LABELS))
    times, _ = read_events(path, log=tmp_path / "b" / "twice.csv")
    assert times.tolist() == [datetime(2013, 12, 14, 6)]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("nab.csv", r"no list for the log nab.csv; its lists are realKnown/pump.csv, .*: give the"),
        (None, r"no list for the log \(of several files\); its lists are realKnown/pump.csv"),
        ("twice.csv", r"2 lists for the log twice.csv; its lists are a/twice.csv, b/twice.csv: gi"),
        ("calm.csv", "its list is empty: there is no event"),
        ("odd.csv", r"it has {'2013': 1} for a list of times"),
        ("numbers.csv", "it has 5 for a time, or for a pair of begin and end"),
    ],
)
def test_a_list_that_is_not_found_or_odd_is_refused(
    tmp_path: Path, log: str | None, reason: str
) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(LABELS))
    with pytest.raises(ValueError, match=reason):
        read_events(path, log=None if log is None else Path(log))


@pytest.mark.parametrize("text", ["{", "[" * 200_000, "", "\ufffd"])
def test_what_is_no_json_is_no_list_of_events(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cannot read .*labels.json: it is no JSON of times: "):
        read_events(path, log=Path("pump.csv"))


# real files


def test_all_experiments_of_a_valve_are_units() -> None:
    paths = [BEIJING / "skab_valve1" / f"{k}.csv.gz" for k in range(16)]
    if not paths[0].exists():
        pytest.skip(f"the valve's experiments are not in {BEIJING}")
    log = LogConfig(files="units")
    readings = load_readings(*paths, config=SourceConfig(log=log))
    assert readings.units.names.tolist() == [str(k) for k in range(16)]
    assert readings.channels[-2:] == ("anomaly", "changepoint")
    assert int((~np.isnan(readings.values[0])).sum()) == 18_160
    for files in ("units", "continue"):
        slow = SourceConfig(log=LogConfig(files=files, step="5s", resample="mean"))
        assert np.isnan(load_readings(*paths, config=slow).values).mean() < 0.01
    filled = SourceConfig(log=replace(log, fill="5s"))
    assert np.isnan(load_readings(*paths, config=filled).values).mean() < 0.01


def test_all_engines_of_a_simulation_are_units() -> None:
    path = BEIJING / "cmapss" / "train_FD001.txt.gz"
    if not path.exists():
        pytest.skip(f"the engines are not at {path}")
    log = LogConfig(unit_column="1", time="2", time_unit="count")
    with pytest.raises(
        ValueError, match=r"add --log.unit-column 1 --log.time-unit count --log.time 2\.$"
    ):
        load_readings(path)
    readings = load_readings(path, config=SourceConfig(log=log))
    assert (readings.n_units, readings.values.shape) == (100, (24, 20_631))
    assert readings.units.firsts[:3].tolist() == [0, 192, 479]
    assert not np.isnan(readings.values).any()
    with pytest.raises(ValueError, match="looks like a log, not like a list of events"):
        read_events(path, log)
