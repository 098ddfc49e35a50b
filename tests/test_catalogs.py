"""Earthquake catalogues: files of several services, and the readings they become."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foreshock.catalogs import (
    Catalog,
    is_catalog,
    join_catalogs,
    read_catalog,
    to_readings,
    write_catalog,
)
from foreshock.sources import CatalogConfig

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "catalogs"
COMCAT = """time,latitude,longitude,depth,mag,magType,nst,id,place,type
2003-12-22T19:15:56.240Z,35.7002,-121.0973,8.05,6.5,mw,,nc1,"7 km NE of San Simeon, CA",earthquake
2003-12-22T19:25:09.830Z,35.6,-121.1,,,,,nc2,"by ""x"" bay",earthquake
2003-12-22T20:00:00.000Z,0,0,5,2.2,md,7,nc3,,quarry blast
"""
NCEDC = """DateTime,Latitude,Longitude,Depth,Magnitude,MagType,EventID
1967/07/19 20:49:08.07,36.4333,-121.099,5.25,1.1,a,1000635
1967/07/20 22:24:54.31,36.5355,-121.1098,10.14,0.7,a,1000636
"""
FDSN = """#EventID | Time | Latitude | Longitude | Depth/km | Author | Magnitude | Place
usp1|2003-12-31T22:57:01.5|35.54|-120.87|4.16|us|2.39|5 km "W" of Paso Robles, Calif\xf3rnia
usp2|2003-12-30T23:27:55.080|35.71|-121.06|5.28|us||

# end of the answer
"""


def written(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def events(times: list[str], magnitudes: list[float] | None = None, **fields: object) -> Catalog:
    n = len(times)
    values: dict[str, object] = {
        "time": np.array(times, "datetime64[us]"),
        "magnitude": np.array([3.0] * n if magnitudes is None else magnitudes),
        "latitude": np.full(n, np.nan),
        "longitude": np.full(n, np.nan),
        "depth": np.full(n, np.nan),
        "kind": np.full(n, "eq"),
        "id": np.full(n, ""),
        **{name: np.array(value) for name, value in fields.items()},
    }
    return Catalog(**values)


def test_comcat_csv_is_read(tmp_path: Path) -> None:
    catalog = read_catalog(written(tmp_path / "a.csv", COMCAT))
    assert [str(t) for t in catalog.time] == [
        "2003-12-22T19:15:56.240000", "2003-12-22T19:25:09.830000", "2003-12-22T20:00:00.000000"
    ]  # fmt: skip
    np.testing.assert_array_equal(catalog.magnitude, [6.5, np.nan, 2.2])
    np.testing.assert_array_equal(catalog.depth, [8.05, np.nan, 5])
    assert catalog.kind.tolist() == ["earthquake", "earthquake", "quarry blast"]
    assert catalog.id.tolist() == ["nc1", "nc2", "nc3"]


def test_ncedc_csv_with_slashed_dates_is_read(tmp_path: Path) -> None:
    catalog = read_catalog(written(tmp_path / "a.csv", NCEDC))
    assert str(catalog.time[0]) == "1967-07-19T20:49:08.070000"
    assert catalog.id.tolist() == ["1000635", "1000636"]
    assert catalog.kind.tolist() == ["", ""]


def test_a_magnitude_of_spaces_is_missing(tmp_path: Path) -> None:
    text = FDSN.replace("|us||", "|us| |").replace("|5.28|", "| |")
    catalog = read_catalog(written(tmp_path / "a.txt", text))
    np.testing.assert_array_equal(catalog.magnitude, [np.nan, 2.39])
    np.testing.assert_array_equal(catalog.depth, [np.nan, 4.16])


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_fdsn_text_is_read_and_sorted_by_time(tmp_path: Path, encoding: str) -> None:
    catalog = read_catalog(written(tmp_path / "a.txt", FDSN, encoding))
    assert catalog.id.tolist() == ["usp2", "usp1"]
    np.testing.assert_array_equal(catalog.magnitude, [np.nan, 2.39])


def test_a_packed_file_and_a_parquet_file_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(COMCAT.encode()))
    pd.read_csv(written(tmp_path / "a.csv", COMCAT)).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv.gz", "a.parquet"):
        catalog = read_catalog(tmp_path / name)
        np.testing.assert_array_equal(catalog.magnitude, [6.5, np.nan, 2.2])


def test_a_catalogue_is_told_by_its_columns() -> None:
    assert is_catalog(["Time", "Latitude", "MAG"])
    assert not is_catalog(["time", "magnitude"])  # a sensor may measure a magnitude
    assert not is_catalog(["time", "temperature"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("time,latitude,longitude,mag\n", "no catalogue or an empty one"),
        ("time,x\n2001-01-01,1\n", "no catalogue or an empty one, with the columns time, x"),
        ("time,latitude,mag\n2001-01-01,1,big\n", "the column 'mag' has 'big', expected numbers"),
        ("time,latitude,mag\n2001-01-01,1,1e400\n", "row 1 has the magnitude inf, beyond 12"),
        ("time,latitude,mag\n2001-01-01,91,1\n", "row 1 has the latitude 91, beyond 90"),
        ("time,latitude,mag\nsoon,1,1\n", "row 1 has the time 'soon'"),
    ],
)
def test_what_is_no_catalogue_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_catalog(written(tmp_path / "a.csv", content))


@pytest.mark.parametrize("seconds", ["2001-01-01T00:00:00.125", "2001-01-01T00:00:00.125001"])
def test_a_catalogue_that_is_written_is_read_as_it_was(tmp_path: Path, seconds: str) -> None:
    catalog = events([seconds, "2001-01-02"], [2.25, np.nan], id=["a", "b"], latitude=[1.5, np.nan])
    write_catalog(catalog, tmp_path / "a.csv")
    again = read_catalog(tmp_path / "a.csv")
    for name in ("time", "magnitude", "latitude", "longitude", "depth", "kind", "id"):
        np.testing.assert_array_equal(getattr(again, name), getattr(catalog, name))


def test_catalogues_are_joined_in_the_order_of_time_and_events_of_one_name_kept_once() -> None:
    first = events(["2001-01-01", "2001-01-03"], id=["a", "b"])
    second = events(["2001-01-03T00:00:01", "2001-01-02"], [4, 5], id=["b", ""])
    whole = join_catalogs([first, second])
    assert whole.id.tolist() == ["a", "", "b"]
    assert whole.magnitude.tolist() == [3, 5, 3]


# readings


def test_each_step_of_the_clock_gets_its_largest_magnitude_count_mean_and_energy() -> None:
    catalog = events(
        ["2001-01-01T05:59:59", "2001-01-01T06:00:00", "2001-01-01T06:30:00", "2001-01-01T08:00"],
        [2.0, 3.0, 4.0, 5.25],
    )
    readings = to_readings(catalog, CatalogConfig(channels=("maximum", "count", "mean", "energy")))
    assert str(readings.start) == "2001-01-01T05:00:00.000000"
    joules = [10 ** (1.5 * m + 4.8) for m in (2, 3, 4, 5.25)]
    np.testing.assert_allclose(
        readings.values,
        [
            [2, 4, 0, 5.25],
            [1, 2, 0, 1],
            [2, 3.5, 0, 5.25],
            np.log10([joules[0], joules[1] + joules[2], 1, joules[3]]),
        ],
        rtol=1e-6,
    )


def test_the_largest_magnitude_may_be_negative() -> None:
    config = CatalogConfig(min_magnitude=-2)
    catalog = events(["2001-01-01T00:10", "2001-01-01T00:20", "2001-01-01T02:00"], [-1, -0.5, 1])
    np.testing.assert_array_equal(to_readings(catalog, config).values, [[-0.5, 0, 1]])


@pytest.mark.parametrize(
    ("step", "expected"),
    [("10min", [3, 0, 0, 0, 0, 0, 0, 0, 4]), ("1d", [4]), ("2h", [4])],
)
def test_steps_may_be_of_any_length(step: str, expected: list[float]) -> None:
    catalog = events(["2001-01-01T00:05", "2001-01-01T01:20"], [3, 4])
    readings = to_readings(catalog, CatalogConfig(step=step))
    np.testing.assert_array_equal(readings.values[0], expected)


def test_long_silence_is_a_gap_by_events_of_any_kind_and_short_silence_is_none() -> None:
    catalog = events(
        ["2001-01-01", "2001-01-01T05:00", "2001-03-15", "2001-04-01", "2001-04-20"],
        [3, 1, 3, 3, 3],
        kind=["eq", "eq", "eq", "quarry blast", "eq"],
    )
    values = to_readings(catalog).values[0]
    gap = np.flatnonzero(np.isnan(values))
    assert (gap[0], gap[-1]) == (6, 73 * 24 - 1)  # from the event below magnitude 2 to the next
    assert not np.isnan(values[73 * 24 :]).any()  # a blast breaks the silence of April
    assert np.isnan(to_readings(catalog, CatalogConfig(max_silence="4h")).values[0, 1:5]).all()


def test_readings_may_begin_and_end_where_asked_and_silence_at_the_ends_is_a_gap_too() -> None:
    catalog = events(["2001-01-10", "2001-01-12"])
    config = CatalogConfig(step="1d", since="2001-01-08", until="2001-01-15T06:00")
    readings = to_readings(catalog, config)
    np.testing.assert_array_equal(readings.values[0], [0, 0, 3, 0, 3, 0, 0, 0])
    late = to_readings(catalog, CatalogConfig(step="1d", until="2001-03-01"))
    assert np.isnan(late.values[0, 3:]).all()
    inside = to_readings(catalog, CatalogConfig(step="1d", since="2001-01-11", until="2001-01-13"))
    np.testing.assert_array_equal(inside.values[0], [0, 3])
    assert inside.source is not None
    assert inside.source.catalog == CatalogConfig(step="1d")


def test_what_does_not_count_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    catalog = events(
        ["2001-01-01T00:00", "2001-01-01T01:00", "2001-01-01T02:00", "2001-01-01T03:00",
         "2001-01-01T04:00", "2001-01-01T05:00"],
        [3, 3, 1.9, np.nan, 3, 3],
        kind=["eq", "qb", "eq", "eq", "", "eq"],
        latitude=[36, 36, 36, 36, 0, 50],
        longitude=[-121, -121, -121, -121, -121, -121],
    )  # fmt: skip
    for place in ({"box": (35, -122, 37, -120)}, {"circle": (36.0, -121.0, 50.0)}):
        values = to_readings(catalog, CatalogConfig(**place)).values[0]
        np.testing.assert_array_equal(values, [3, 0, 0, 0, 0, 0])
    assert (
        "1 of 6 events count; left out 1 of a type that is none of eq, earthquake, none, 1 without"
        " a magnitude, 1 below magnitude 2, 1 without a place (or at latitude or longitude 0), 1"
        " outside the circle." in caplog.text
    )


def test_a_box_may_cross_the_date_line() -> None:
    catalog = events(
        ["2001-01-01T00:00", "2001-01-01T01:00", "2001-01-01T02:00"],
        latitude=[1, 1, 1], longitude=[179, -179, 0.5],
    )  # fmt: skip
    for west, east, expected in ((170, -170, [3, 3, 0]), (-180, 180, [3, 3, 3]), (0, 1, [0, 0, 3])):
        values = to_readings(catalog, CatalogConfig(box=(0, west, 10, east))).values[0]
        np.testing.assert_array_equal(values, expected)


def test_the_circle_is_measured_on_the_globe() -> None:
    catalog = events(["2001-01-01T00:00", "2001-01-01T01:00"], latitude=[60, 60],
                     longitude=[10, 10 + 100 / 55.6])  # fmt: skip
    for radius, expected in ((99, [3, 0]), (101, [3, 3])):
        values = to_readings(catalog, CatalogConfig(circle=(60, 10, radius))).values[0]
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"step": "hourly"}, "a duration is a number and a unit"),
        ({"since": "then"}, "a time is written like"),
        ({"channels": ()}, "channels must be different ones of maximum, count, mean, energy"),
        ({"channels": ("maximum", "maximum")}, "channels must be different"),
        ({"min_magnitude": float("nan")}, "min_magnitude must be a number"),
        ({"box": (10, 0, 5, 1)}, "box must be south, west, north, east"),
        ({"circle": (0, 0, 0)}, "circle must be latitude and longitude"),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(
    fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        CatalogConfig(**fields)


@pytest.mark.parametrize(
    ("catalog", "config", "reason"),
    [
        (events(["2001-01-01"]).take(np.array([], int)), {}, "the catalogue has no events"),
        (events(["2001-01-01"], [1.0]), {}, "none of the 1 events counts: 1 below magnitude 2"),
        (events(["0001-01-01", "9999-01-01"]), {"step": "1s"}, "is a time wrong, or the step too"),
        (events(["2001-01-01"]), {"until": "2000-01-01"}, "is a time wrong, or the step too short"),
    ],
)
def test_catalogues_that_give_no_readings_are_refused(
    catalog: Catalog, config: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        to_readings(catalog, CatalogConfig(**config))


def test_the_real_catalogue_is_82_percent_empty_hours_and_lacks_three_years() -> None:
    path = DATA / "ncsn_1967_2003.csv.gz"
    if not path.exists():
        pytest.skip(f"the Northern California catalogue is not at {path}")
    readings = to_readings(read_catalog(path))
    values = readings.values[0]
    assert readings.n_timepoints == 319_540
    assert np.nanmean(values == 0) == pytest.approx(0.712, abs=1e-3)
    assert (values[~np.isnan(values)] == 0).mean() == pytest.approx(0.782, abs=1e-3)
    hours = readings.times(np.flatnonzero(np.isnan(values)))
    years = set(hours.astype("datetime64[Y]").astype(str).tolist())
    assert years - {"1968", "1985", "1987", "1998"} == {"1967", "1984", "1986", "1997"}
    assert np.isnan(values).sum() == 2438 + 8784 + 8760 + 8760
