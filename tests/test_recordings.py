"""Readings out of files: whatever somebody's logger wrote."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foreshock.readings import Readings
from foreshock.recordings import load_readings, read_times
from foreshock.sources import CatalogConfig, LogConfig, SourceConfig

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
    readings = load(tmp_path, "time,x\n0,1\n2.5,2\n5,3\n", unit="ms")
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
        match=r"of its 5 rows are 1 out of order, 1 of a time that another has, 2 off the clock of"
        r" 1h from 2026-11-23T10:00Z; correct them, or choose .*--log.resample mean, max",
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
    with pytest.raises(ValueError, match=r"no common step, .* is only the commonest; give one"):
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
    tmp_path: Path, rule: str, expected: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    readings = load(tmp_path, MESSY, step="1h", resample=rule)
    np.testing.assert_array_equal(readings.values, [expected])
    assert f"5 rows became 3 readings of 1h (and 0 gaps) by {rule}." in caplog.text
    assert readings.source is not None
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
    with pytest.raises(ValueError, match=r"an array has no clock; .*--log.start .*--log.step"):
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
        (np.zeros((1, 2, 3), np.float32), r"expected numbers \(n_channels, n_timepoints\)"),
        (np.zeros(0, np.float32), r"expected numbers \(n_channels, n_timepoints\)"),
        (np.array(["a", "b"]), "it holds <U1 of shape"),
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
    with pytest.raises(ValueError, match="it is no array of numbers"):
        load_readings(tmp_path / "a.npy", config=SourceConfig(log=log))


def test_times_far_apart_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    text = "time,x\n1970-01-01T00:00:00Z,1\n1970-01-01T00:00:01Z,2\n2026-01-01T00:00:00Z,3\n"
    with pytest.raises(ValueError, match=r"its 3 rows span .* is a time wrong, or the step too"):
        load(tmp_path, text)


def test_rows_of_a_single_time_have_no_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its step is unknown; give it"):
        load(tmp_path, rows(("10:00", 1)))
    assert load(tmp_path, rows(("10:00", 1)), step="1h").n_timepoints == 1


def test_a_failure_log_is_a_list_of_times(tmp_path: Path) -> None:
    path = tmp_path / "failures.csv"
    path.write_text("machine,Time\npump,2026-11-23T10:12:00Z\nfan,2026-11-22T10:00:00Z\n")
    assert read_times(path).tolist() == [datetime(2026, 11, 23, 10, 12), datetime(2026, 11, 22, 10)]
    path.write_text("when\n12\n")
    assert read_times(path, LogConfig(time="when", unit="s")).tolist() == [
        datetime(1970, 1, 1) + timedelta(seconds=12)
    ]
    with pytest.raises(ValueError, match=r"cannot read .*failures.csv: it has no column time"):
        read_times(path)
    with pytest.raises(ValueError, match="there is no file"):
        read_times(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"step": "soon"}, "a duration is a number and a unit"),
        ({"start": "soon"}, "a time is written like"),
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
