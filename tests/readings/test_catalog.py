"""Earthquake catalogues: files of several services, and the readings they become."""

import gzip
from datetime import date, datetime, time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.readings.catalog import (
    Catalog,
    from_frame,
    is_catalog,
    join_catalogs,
    read_catalog,
    to_readings,
    write_catalog,
)
from foreshock.readings.config import CatalogConfig, SourceConfig
from foreshock.readings.sensor_logs import kind_of, load_readings

Notes = pytest.LogCaptureFixture
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalogs"
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
    ("columns", "known"),
    [
        ("Time (UTC),Latitude,Longitude,Mag", True),
        ("Origin Time;Lat.;Lon.;Depth (km);Mag.", True),
        ("Date & Time UTC,Latitude [deg],Longitude [deg],Depth [km],Mag. [+]", True),
        ("origin_time_utc,latitude_deg,longitude_deg,depth_km,Magnitude (Mw)", True),
        ("DATE      ,TIME      ,LAT     ,LON     ,DEPTH,MAG", True),
        ("Event ID,Origin  Time,Mw", False),
        ("Date,Time,Lat,Lon,ML", True),
        ("time,id,MW", False),  # of a power station
        ("time,latitude,mw", False),
        ("time,lat,lon,mb", False),  # millibar
        ("time,latitude,longitude,mag [uT]", False),  # of a magnetometer
        ("time,mag,x,y,z", False),
        ("date,time,magnitude,phase", False),
        ("Time (UTC),temperature,magnitude", False),
        ("latitude,longitude,mag", False),
        ("year,month,day,hour,minute,second,lat,lon,depth,mag", True),
        ("year,month,lat,lon,mag", False),
        ("Fecha UTC,Latitud,Longitud,Profundidad,Magnitud", True),
        ("data,mag,temperature", False),
        ("year,month,day,hour,mag,temperature", False),
    ],
)
def test_a_catalogue_is_told_by_its_columns_in_any_spelling(
    tmp_path: Path, columns: str, known: bool
) -> None:
    for suffix in (".csv", ".txt.gz"):
        path = tmp_path / f"a{suffix}"
        content = f"{columns}\n".encode()
        path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
        assert (kind_of(path) == "catalog") is known
    assert is_catalog([name.strip() for name in columns.replace(";", ",").split(",")]) is known


@pytest.mark.parametrize(
    ("agency", "content"),
    [
        ("ComCat", "time,latitude,longitude,depth,mag,magType,id,updated,place,type\n"
         "2011-03-11T05:46:24.120Z,38.297,142.373,29,9.1,mww,a1,2022-01-01T00:00:00Z,x,earthquake"),
        ("NCEDC", "DateTime,Latitude,Longitude,Depth,Magnitude,MagType,EventID\n"
         "2011/03/11 05:46:24.12,38.297,142.373,29,9.1,w,a1"),
        ("FDSN", "#EventID|Time|Latitude|Longitude|Depth/km|Author|MagType|Magnitude|EventType\n"
         "a1|2011-03-11T05:46:24.12|38.297|142.373|29|us|Mw|9.1|earthquake"),
        ("EMSC", "Date;Time (UTC);Latitude;Longitude;Depth;Depth Type;Magnitude Type;Magnitude\n"
         "2011-03-11;05:46:24.12;38.297;142.373;29;A;mw;9.1"),
        ("EMSC's page", "Date & Time UTC,Lat. degrees,Lon. degrees,Depth km,Mag. [+]\n"
         "2011-03-11 05:46:24.12,38.297,142.373,29,9.1"),
        ("ISC", "EVENTID,DATE      ,TIME       ,LAT     ,LON      ,DEPTH,DEPFIX,MAG\n"
         "a1,2011-03-11,05:46:24.12, 38.297, 142.373, 29.0,TRUE,9.1"),
        ("GeoNet", "publicid,eventtype,origintime,modificationtime,longitude, latitude, magnitude,"
         " depth\na1,earthquake,2011-03-11T05:46:24.120Z,2015-01-01T00:00:00Z,142.373,38.297,9.1,"
         "29"),
        ("GEOFON", "Event ID\tOrigin Time (UTC)\tMag\tLatitude (\xb0)\tLongitude (\xb0)\tDepth/km\n"
         "a1\t2011-03-11 05:46:24.12\t9.1\t38.297\t142.373\t29"),
        ("KOERI", "No;Deprem Kodu;Olus tarihi;Olus zamani;Enlem;Boylam;Der(km);xM;MD;ML;Mw;Ms;Mb\n"
         "1;a1;2011.03.11;05:46:24.12;38.297;142.373;29;9.2;0.0;8.4;9.1;0.0;0.0"),
        ("metres", "Date (UTC),Time (UTC),Lat,Lon,Depth (m),Mw\n"
         "2011/3/11,05:46:24.12,38.297,142.373,29000,9.1"),
        ("ISC-GEM", "year,month,day,hour,minute,second,lat,lon,depth,mag\n"
         "2011,3,11,5,46,24.12,38.297,142.373,29,9.1"),
        ("IRIS", "Year,Month,Day,Time UTC,Mag,Lat,Lon,Depth km,Region,IRIS ID,Timestamp\n"
         "2011,3,11,05:46:24.12,9.1,38.297,142.373,29,x,a1,1299822384"),
        ("BMKG", "tgl,ot,lat,lon,depth,mag,remark\n"
         "2011/03/11,05:46:24.120,38.297,142.373,29,9.1,x"),
        ("IGP", "fecha UTC,hora UTC,latitud (\xba),longitud (\xba),profundidad (km),magnitud (M)\n"
         "2011/3/11,05:46:24.12,38.297,142.373,29,9.1"),
        ("CSN", "Fecha Local,Fecha UTC,Latitud,Longitud,Profundidad,Magnitud\n"
         "2011-03-11 02:46:24.12,2011-03-11 05:46:24.12,38.297,142.373,29,9.1"),
        ("SSN", "Fecha,Hora,Magnitud,Latitud,Longitud,Profundidad,Fecha UTC,Hora UTC\n"
         "2011-03-10,23:46:24.12,9.1,38.297,142.373,29,2011-03-11,05:46:24.12"),
        ("Spanish", "Fecha,Hora,Latitud,Longitud,Profundidad,Magnitud\n"
         "2011-03-11,05:46:24.12,38.297,142.373,29,9.1"),
        ("Spanish, in parts", "A\xf1o,Mes,D\xeda,Hora,Minuto,Segundo,Latitud,Longitud,"
         "Profundidad,Magnitud\n"
         "2011,3,11,5,46,24.12,38.297,142.373,29,9.1"),
        ("Italian", "Data,Ora,Latitudine,Longitudine,Profondit\xe0,Magnitudine\n"
         "2011-03-11,05:46:24.12,38.297,142.373,29,9.1"),
        ("Portuguese", "Data,Hora,Latitude,Longitude,Profundidade,Magnitude\n"
         "2011-03-11,05:46:24.12,38.297,142.373,29,9.1"),
        ("French", "Date,Heure,Latitude,Longitude,Profondeur,Magnitude\n"
         "2011-03-11,05:46:24.12,38.297,142.373,29,9.1"),
        ("ISO basic", "date,time,lat,lon,depth,mw\n20110311,5:46:24.12,38.297,142.373,29,9.1"),
    ],
)  # fmt: skip
def test_catalogues_of_many_agencies_are_read(tmp_path: Path, agency: str, content: str) -> None:
    path = written(tmp_path / "a.csv", f"{content}\n")
    event = read_catalog(path)
    assert event.time.tolist() == [datetime(2011, 3, 11, 5, 46, 24, 120_000)], agency
    found = (event.latitude, event.longitude, event.depth, event.magnitude)
    assert [array.tolist() for array in found] == [[38.297], [142.373], [29], [9.1]]
    assert event.id.tolist() == ["a1" if "a1" in content else ""]
    assert event.kind.tolist() == ["earthquake" if "earthquake" in content else ""]
    readings = load_readings(path)
    assert readings.source.catalog == CatalogConfig()


def test_of_several_magnitudes_an_event_has_the_first_that_is_known(
    tmp_path: Path, notes: Notes
) -> None:
    rows = ["4,5,6", "0,5,6", "0,,6", "0,0,6", "0,0,0", ",,"]
    content = "".join(f"2001-01-0{i + 1},36,-121,{row}\n" for i, row in enumerate(rows))
    catalog = read_catalog(written(tmp_path / "a.csv", f"time,lat,lon,Mb,ML,Mw\n{content}"))
    np.testing.assert_array_equal(catalog.magnitude, [6, 6, 6, 6, 0, np.nan])
    catalog = read_catalog(written(tmp_path / "a.csv", f"time,lat,lon,Mw,ML,Mb\n{content}"))
    np.testing.assert_array_equal(catalog.magnitude, [4, 5, 6, 6, 0, np.nan])
    assert "magnitudes read: 2 of Mw, 1 of ML, 2 of Mb." in notes.text
    catalog = read_catalog(written(tmp_path / "a.csv", f"time,lat,lon,Mag.,ML,Mw\n{content}"))
    np.testing.assert_array_equal(catalog.magnitude, [4, 0, 0, 0, 0, np.nan])


def test_a_date_and_a_time_of_day_in_two_columns_are_read_from_parquet_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"Lat": [36.0, 37], "Lon": [-121.0, -120], "Mag": [3.0, 4]})
    for dates, times in (
        (["2001-01-31", "2001-02-01"], ["01:02:03", "1:02:03.5"]),
        ([date(2001, 1, 31), date(2001, 2, 1)], [time(1, 2, 3), time(1, 2, 3, 500_000)]),
        (pd.to_datetime(["2001-01-31", "2001-02-01"]), ["01:02:03Z", "01:02:03.5Z"]),
        (["20010131", "2001/2/1"], ["010203", "010203.5"]),
        ([None, None], ["2001-01-31 01:02:03", "2001-02-01 01:02:03.5"]),
        ([20010131, 20010201], ["01:02:03", "01:02:03.5"]),
    ):
        frame.assign(Date=dates, Time=times).to_parquet(tmp_path / "a.parquet")
        assert read_catalog(tmp_path / "a.parquet").time.tolist() == [
            datetime(2001, 1, 31, 1, 2, 3), datetime(2001, 2, 1, 1, 2, 3, 500_000)
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("Date,Hour,Minute,Second", "1965-01-02,1,44,3.5"),
        ("Date,Hour,Minute,Second", "13/01/1965,01,44,3.5"),
        ("Date,Hour", "1965-01-02,01:44:03.5"),
        ("Date,Heure", "1965-01-02,01:44:03.5"),
        ("Date,Heure", "19650102,014403.5"),
        ("Date,OT (UTC)", "1965-01-02,1:44:03.5"),
        ("Date (UTC),Time of day", "1965/01/02,01:44:03.5"),
        ("Date,Time", "1965-01-02 00:00:00,1:44:03.5 AM"),
        ("time,hour,minute,second", "1965-01-02,1,44,3.5"),
        ("Date,Hour,Minute", "1965-01-02 01:44:03.5,1,44"),
        ("Date,Time,Hour,Minute", "1965-01-02,01:44:03.5,1,44"),
    ],
)
def test_a_time_of_day_in_other_columns_than_the_date_is_not_lost(
    tmp_path: Path, columns: str, row: str
) -> None:
    day = 13 if row.startswith("13") else 2
    content = f"{columns},Latitude,Longitude,Magnitude\n{row},19.2,145.6,6\n"
    path = written(tmp_path / "a.csv", content)
    assert read_catalog(path).time.tolist() == [datetime(1965, 1, day, 1, 44, 3, 500_000)]
    pd.read_csv(path).to_parquet(tmp_path / "a.parquet")
    if "014403" not in row:  # which pandas took for a number
        assert read_catalog(tmp_path / "a.parquet").time.tolist() == [
            datetime(1965, 1, day, 1, 44, 3, 500_000)
        ]


@pytest.mark.parametrize(
    "clock",
    ["JST", "Beijing", "UT+8", "+09:00", "+0330", "Asia/Tokyo", "LT", "Turkey", "SGT", "PHT", "ART",
     "CLT", "IRST", "UTC+08:00", "UTC +8", "UTC-3", "UTC\u22123", "GMT+1", "local", "MST", "HST",
     "MSD", "MESZ", "UTC, local", "8", "CET", "yyyy-mm-dd JST"],
)  # fmt: skip
def test_times_of_a_clock_that_is_not_plainly_utc_are_refused(tmp_path: Path, clock: str) -> None:
    for columns in (f'"Time ({clock})"', f'Date,"Time [{clock}]"', f'"Date ({clock})",Hour'):
        content = (
            f"{columns},lat,lon,mag\n2001-01-01,{'1,' * (',' in columns.replace(clock, ''))}1,1,3\n"
        )
        with pytest.raises(ValueError, match=r"may not be UTC; convert them"):
            read_catalog(written(tmp_path / "a.csv", content))


@pytest.mark.parametrize(
    "clock",
    ["UTC", "GMT", "UT", "Z", "+0", "+00:00", "UTC+0", "UTC+00:00", "utc", "yyyy-mm-dd hh:mm:ss",
     "YYYY-MM-DDTHH:MM:SSZ", "yyyy/mm/dd hh:mm:ss.ss UTC", "ISO 8601", "ISO8601, UTC", "yyyymmdd",
     "Universal Time", "y/m/d h:m:s", "%Y-%m-%d %H:%M:%S", "YYYY-MM-DD'T'hh24:mi:ss"],
)  # fmt: skip
def test_utc_and_how_times_are_written_may_stand_in_brackets(tmp_path: Path, clock: str) -> None:
    for bracketed in (f"({clock})", f"[{clock}]"):
        header = f'"Time {bracketed}",lat,lon,mag'
        assert of_rows(tmp_path, header, "2001-01-01T01:00:00,1,1,3").time.tolist() == [
            datetime(2001, 1, 1, 1)
        ]


@pytest.mark.parametrize(
    ("latitude", "longitude", "place"),
    [
        ("Latitude (S)", "Longitude (W)", (-33.4, -70.6)),
        ("Latitude (\xb0S)", "Longitude [deg W]", (-33.4, -70.6)),
        ("Latitude South", "longitude_west", (-33.4, -70.6)),
        ("Latitude (degrees_south)", "Longitude (E)", (-33.4, 70.6)),
        ("Latitude (N)", "Longitude (East)", (33.4, 70.6)),
        ("Latitude (N/S)", "Longitude (W negative)", (33.4, 70.6)),
        ("Latitude (-S)", "Longitude (W = -)", (33.4, 70.6)),
        ("Lat (deg)", "Lon (\xb0)", (33.4, 70.6)),
    ],
)
def test_degrees_south_and_west_are_negative(
    tmp_path: Path, latitude: str, longitude: str, place: tuple[float, float]
) -> None:
    header = f"time,{latitude},{longitude},mag"
    catalog = of_rows(tmp_path, header, "2001-01-01,33.4,70.6,3", "2001-01-02,,,3")
    np.testing.assert_array_equal(catalog.latitude, [place[0], np.nan])
    np.testing.assert_array_equal(catalog.longitude, [place[1], np.nan])


def test_degrees_that_may_be_south_or_north_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"row 2 \(line 3\) has -33.4 in the column 'Latitude \(S\)'"
    ):
        of_rows(tmp_path, "time,Latitude (S),mag", "2001-01-01,3,3", "2001-01-02,-33.4,3")


def test_a_catalogue_of_dates_alone_is_read(tmp_path: Path) -> None:
    catalog = of_rows(
        tmp_path, f"place,{HEADER}", "x,1965-01-02,36,-121,3,a", "y,1965-01-03,36,-121,3,b"
    )
    assert catalog.time.tolist() == [datetime(1965, 1, 2), datetime(1965, 1, 3)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("time,latitude,longitude,mag\n", "not a catalogue or it is empty"),
        ("Time (JST),lat,lon,mag\n2001-01-01,1,1,3\n", r"'Time \(JST\)' may not be UTC"),
        ("Time (UTC+08:00),lat,lon,mag\n2001-01-01,1,1,3\n", "may not be UTC; convert them"),
        ("Date (local),Time,lat,lon,mag\n2001-01-01,01:00,1,1,3\n", "may not be UTC"),
        ("Date,Time,lat,lon,mag\n2001-01-01,01:00,1,1,3\n2001-01-02,,1,1,3\n", "row 2 "),
        ("Date,Time,lat,lon,mag\n2001-01-01,100,1,1,3\n", r"row 1 \(line 2\) has the time of"),
        ("Date,Hour,lat,lon,mag\n2001-01-01,soon,1,1,3\n", "the column 'Hour' has 'soon'"),
        ("Date,Hour,lat,lon,mag\n2001-01-01,25,1,1,3\n", "row 1 has the time '2001-01-01 25:00'"),
        ("Date,Hour,Minute,lat,lon,mag\n2001-01-01,1,,1,1,3\n", r"row 1 \(line 2\) has no time"),
        ("Date,Zeit,lat,lon,mag\n2001-01-01,,1,1,3\n2001-01-02,01:44:03,1,1,3\n",
         "its times are only dates, but the column 'Zeit' has '01:44:03'; name it Time"),
        ("year,month,day,Zeit,lat,lon,mag\n2001,1,1,1:44:03.5 PM,1,1,3\n",
         "its times are only dates, but the column 'Zeit' has '1:44:03.5 PM'"),
        ("Date,Time,lat,lon,mag\n01/02/2001,01:00,1,1,3\n", "its dates are ambiguous"),
        ("time,x\n2001-01-01,1\n", "not a catalogue or it is empty: it has the columns time, x"),
        ("time,latitude,mag\n2001-01-01,1,big\n", "the column 'mag' has 'big', expected numbers"),
        ("time,latitude,mag\n2001-01-01,1,1e400\n", "row 1 has the magnitude inf, beyond 12"),
        ("time,latitude,mag\n2001-01-01,91,1\n", "row 1 has the latitude 91, beyond 90"),
        ("time,latitude,mag\nsoon,1,1\n", "row 1 has the time 'soon'"),
    ],
)  # fmt: skip
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
    assert whole.magnitude.tolist() == [3, 5, 4]


# an event that stands several times


def listed(catalog: Catalog) -> list[tuple[object, ...]]:
    """List the events of a catalogue, for comparison."""
    arrays = (catalog.time, catalog.latitude, catalog.longitude, catalog.magnitude, catalog.id)
    return list(zip(*(np.nan_to_num(a) if a.dtype == float else a for a in arrays), strict=True))


def of_rows(folder: Path, header: str, *rows: str) -> Catalog:
    return read_catalog(written(folder / "a.csv", "\n".join([header, *rows]) + "\n"))


HEADER = "time,latitude,longitude,mag,id"


def test_an_event_that_stands_twice_in_a_file_counts_once(tmp_path: Path, notes: Notes) -> None:
    rows = [f"2001-01-{day:02},36,-121,{day / 10},nc{day}" for day in range(1, 31)]
    alone = of_rows(tmp_path, HEADER, *rows)
    assert not notes.messages
    twice = of_rows(tmp_path, HEADER, *rows[:20], *rows[10:])
    assert listed(twice) == listed(alone)
    assert notes.messages == [
        "10 rows repeat an event: each is kept once, the latest of it; 0 of them had changed."
    ]
    nameless = [row.rpartition(",")[0] + "," for row in rows]
    for each in (nameless, nameless[::-1]):  # some begin with the latest
        assert listed(of_rows(tmp_path, HEADER, *each[:20], *each[10:])) == listed(
            of_rows(tmp_path, HEADER, *nameless)
        )


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        # by its name, the later row
        (["2001-01-01,36,-121,3,a", "2001-01-02,36,-121,3,b", "2001-01-01T00:01,37,-121,4,a"],
         [(4, "a"), (3, "b")]),
        # names are what is written
        (["2001-01-01,36,-121,3,20200101.1", "2001-01-01T09:00,36,-121,4,20200101.10"],
         [(3, "20200101.1"), (4, "20200101.10")]),
        (["2001-01-01,36,-121,3,1e5", "2001-01-01T09:00,36,-121,4,100000"],
         [(3, "1e5"), (4, "100000")]),
        (["2001-01-01,36,-121,3, 007", "2001-01-01,36,-121,4,007 "], [(4, "007")]),
        # without names by time and place, the later row of another download
        (["2001-01-01,36,-121,3,", "2001-01-02,36,-121,3,", "2001-01-01,36,239,4,"],
         [(4, ""), (3, "")]),
        # with and without a name: the name is kept
        (["2001-01-01,36,-121,3,a", "2001-01-01,36,-121,4,"], [(4, "a")]),
        (["2001-01-01,36,-121,4,", "2001-01-01,36,-121,3,a"], [(3, "a")]),
        (["2001-01-01,36,-121,3,a", "2001-01-01,37,-121,4,a", "2001-01-01,36,-121,5,"], [(5, "a")]),
        # other names are other events, even there and then
        (["2001-01-01,36,-121,3,a", "2001-01-01,36,-121,3,b"], [(3, "a"), (3, "b")]),
        # nothing is known of a place that is missing, or 0
        (["2001-01-01,,-121,3,", "2001-01-01,,-121,3,"], [(3, ""), (3, "")]),
        (["2001-01-01,0,0,3,", "2001-01-01,0,0,3,"], [(3, ""), (3, "")]),
        # unless all is the same, at a time that no two events share
        (["2020-01-01T00:00:00.10,,,3.1,", "2020-01-01T00:00:00.10,,,3.1,"], [(3.1, "")]),
        (["2020-01-01T00:00:00.10,0,2,3,", "2020-01-01T00:00:00.10,0,2,3,"], [(3, "")]),
        (["2020-01-01T00:00:00.10,,,3.1,", "2020-01-01T00:00:00.10,,,3.2,",
          "2020-01-01T00:00:00.20,,,3.1,"], [(3.1, ""), (3.2, ""), (3.1, "")]),
        (["2020-01-01T00:00:01,,,3.1,", "2020-01-01T00:00:01,,,3.1,"], [(3.1, ""), (3.1, "")]),
        # one download has no event twice: two magnitudes are two events
        (["2001-01-01,36,-121,3,", "2001-01-01,36,-121,4,"], [(3, ""), (4, "")]),
        (["2001-01-01,36,-121,3,", "2001-01-01,36,-121,4,", "2001-01-02,36,-121,5,",
          "2001-01-01,36,-121,3,", "2001-01-01,36,-121,4.1,"], [(3, ""), (4.1, ""), (5, "")]),
        # but not where times are so fine that no two events share one
        (["2001-01-01T03:04:05.67,36,-121,3,", "2001-01-01T03:04:05.67,36,-121,4,"], [(4, "")]),
        # the same time elsewhere is another event
        (["2001-01-01,36,-121,3,", "2001-01-01,36.01,-121,3,"], [(3, ""), (3, "")]),
    ],
)  # fmt: skip
def test_rows_of_one_event_are_told_by_name_or_by_time_and_place(
    tmp_path: Path, rows: list[str], kept: list[tuple[float, str]]
) -> None:
    catalog = of_rows(tmp_path, HEADER, *rows)
    assert list(zip(catalog.magnitude, catalog.id, strict=True)) == kept


def rows_of(since: str, n: int, first_id: int = 0, step: str = "h") -> list[str]:
    """Write events of different times, places and magnitudes, named by their row numbers."""
    times = pd.date_range(since, periods=n, freq=step).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        f"{when},{36 + k % 7 / 10:.1f},-121,{2 + k % 9 / 10:.1f},{first_id + k}"
        for k, when in enumerate(times)
    ]


def test_row_numbers_of_yearly_files_name_no_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = rows_of("2015-01-01", 10_000), rows_of("2017-01-01", 10_000)
    paths = [
        written(tmp_path / name, "\n".join([HEADER, *rows]))
        for name, rows in (("y1.csv", first), ("y2.csv", second))
    ]
    config = SourceConfig(catalog=CatalogConfig(channels=("count",), min_magnitude=0))
    assert np.nansum(load_readings(*paths, config=config).values) == 20_000
    whole = join_catalogs([read_catalog(path) for path in paths])
    assert len(whole) == 20_000
    assert (
        "9,999 of 9,999 ids that stand several times do so in rows more than a day or 300 km apart,"
        " as row numbers would: all events are told by time and place instead." in caplog.text
    )
    # in one file, and with rows that two such downloads share
    assert len(of_rows(tmp_path, HEADER, *first, *second)) == 20_000
    overlapping = [f"{row.rpartition(',')[0]},{k}" for k, row in enumerate(first[1_500:4_500])]
    assert len(of_rows(tmp_path, HEADER, *first, *overlapping)) == 10_000


def test_of_many_revised_events_one_wrong_id_is_no_name_and_the_others_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of("2015-01-01", 40, first_id=1)
    revised = [row.replace(":00:00Z,36", ":00:07Z,36").replace("-121", "-121.2") for row in rows]
    assert len(of_rows(tmp_path, HEADER, *rows, *revised)) == 40
    assert not caplog.messages
    other = rows_of("2016-01-01", 1, first_id=7)
    assert len(of_rows(tmp_path, HEADER, *rows, *revised, *other)) == 42  # with both of 7
    assert "1 of 40 ids that stand several times" in caplog.text
    assert ": their events are told by time and place instead." in caplog.text


@pytest.mark.parametrize(
    ("moved", "n_events"),
    [
        ("2001-01-01T00:30,36.9,-121", 1),
        ("2001-01-01T00:00,36,-119", 1),
        ("2001-01-03T00:00,36,-121", 2),
        ("2001-01-01T00:00,40,-121", 2),
        ("2001-01-01T00:00,36,121", 2),
        ("2001-01-01T00:00,,", 1),
        ("2001-01-01T00:00,0,0", 1),
    ],
)
def test_a_revision_moves_an_event_no_further_than_a_day_and_300_km(
    tmp_path: Path, moved: str, n_events: int
) -> None:
    assert len(of_rows(tmp_path, HEADER, "2001-01-01,36,-121,3,a", f"{moved},4,a")) == n_events


def test_an_event_on_both_sides_of_the_date_line_is_one(tmp_path: Path) -> None:
    rows = ["2001-01-01,36,-179.9,3,a", "2001-01-01,36,179.9,3,a"]
    assert len(of_rows(tmp_path, HEADER, *rows)) == 1


def test_ids_are_written_as_they_were_read(tmp_path: Path) -> None:
    names = ["20200101.0010", "+1", "1.0", "TRUE", "007"]
    rows = [f"2001-01-0{day + 1},36,-121,3,{name}" for day, name in enumerate(names)]
    write_catalog(of_rows(tmp_path, HEADER, *rows), tmp_path / "b.csv")
    assert read_catalog(tmp_path / "b.csv").id.tolist() == names


def test_ids_of_columns_of_numbers_are_their_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": pd.date_range("2001-01-01", periods=3), "lat": 36, "mag": 3.0})
    large = pd.array([2**60 + 1, 2**60 + 2, None], "Int64")
    for ids, expected in (
        (large, [str(2**60 + 1), str(2**60 + 2), ""]),
        ([1.0, 1000635.0, 1.5], ["1", "1000635", "1.5"]),
        ([1, 2, 3], ["1", "2", "3"]),
    ):
        frame.assign(id=ids).to_parquet(tmp_path / "a.parquet")
        assert read_catalog(tmp_path / "a.parquet").id.tolist() == expected
        config = SourceConfig(catalog=CatalogConfig(step="1d", channels=("count",)))
        readings = load_readings(tmp_path / "a.parquet", config=config)
        np.testing.assert_array_equal(readings.values, [[1, 1, 1]])


@pytest.mark.parametrize(
    "nothing",
    ["", "-", "--", "---", "?", "None", "NONE", "NULL", "Null", "NA", "n/a", "nan", "unknown",
     "Unknown", " - ", "0", "-1"],
)  # fmt: skip
def test_what_stands_for_no_id_names_no_event(tmp_path: Path, nothing: str) -> None:
    rows = [f"2001-01-01T0{hour}:00:01.5,36,-121,3,{nothing}" for hour in range(5)]
    catalog = of_rows(tmp_path, HEADER, *rows, rows[0])
    assert len(catalog) == 5
    assert set(catalog.id) == {""}
    text = "#EventID|Time|Latitude|Longitude|Depth/km|Magnitude\n"
    text += "".join(f"{nothing}|2001-01-01T0{hour}:00:01.5|36|-121|5|3\n" for hour in range(5))
    assert len(read_catalog(written(tmp_path / "a.txt", text))) == 5


def test_the_latest_is_what_was_updated_last_where_that_is_known(
    tmp_path: Path, notes: Notes
) -> None:
    header = f"{HEADER},updated"
    old, new = (f"2001-01-01,36,-121,{k},a,200{k}-01-01T00:00:00Z" for k in (3, 4))
    other = "2001-01-02,36,-121,5,b,2002-01-01T00:00:00.5Z"
    for rows in ([old, new, other], [new, old, other], [old, other, new, old]):
        catalog = of_rows(tmp_path, header, *rows)
        assert catalog.magnitude.tolist() == [4, 5]
    assert (
        "2 rows repeat an event: each is kept once, the latest of it; 1 of them had" in notes.text
    )
    unknown = old.rpartition(",")[0] + ","
    assert of_rows(tmp_path, header, new, unknown).magnitude.tolist() == [3]  # the later row
    spoilt = [row.replace("Z", " o'clock") for row in (new, old)]
    assert of_rows(tmp_path, header, *spoilt).magnitude.tolist() == [3]
    assert "which row of an event is the latest is not told by updated: " in notes.text
    write_catalog(catalog, tmp_path / "b.csv")
    again = read_catalog(tmp_path / "b.csv")
    np.testing.assert_array_equal(again.updated, catalog.updated)


def test_of_an_event_in_several_files_the_latest_is_kept(tmp_path: Path) -> None:
    for name, magnitude, more in (("a", 3, ""), ("b", 4, "2001-01-02,36,-121,5,y\n")):
        for ids in ("x", ""):
            row = f"2001-01-01,36,-121,{magnitude},{ids}\n"
            written(tmp_path / f"{name}{ids}.csv", f"{HEADER}\n{row}{more}")
    for first, second in (("a", "b"), ("ax", "bx"), ("ax", "b"), ("a", "bx")):
        paths = [tmp_path / f"{name}.csv" for name in (first, second)]
        assert load_readings(*paths).values[0, [0, -1]].tolist() == [4, 5]
        assert load_readings(*paths[::-1]).values[0, [0, -1]].tolist() == [3, 5]


def test_an_event_in_another_file_counts_once_in_the_readings(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", f"{HEADER}\n2001-01-01,36,-121,3,\n2001-01-02,36,-121,3,\n")
    config = SourceConfig(catalog=CatalogConfig(step="1d", channels=("count",)))
    twice = load_readings(tmp_path / "a.csv", tmp_path / "a.csv", config=config)
    np.testing.assert_array_equal(twice.values, [[1, 1]])


@settings(max_examples=12)
@given(data=st.data())
def test_rows_that_are_doubled_and_shuffled_are_the_same_events(
    tmp_path: Path, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, 12))
    hours = data.draw(st.lists(st.integers(0, 10**4), min_size=n, max_size=n, unique=True))
    times = np.datetime64("2001-01-01", "ms") + np.array(hours) * np.timedelta64(1, "m")
    revised = data.draw(st.booleans())
    rows, first = [], []
    for i, when in enumerate(times):
        name = data.draw(st.sampled_from(["", f"e{i}"]))
        place = data.draw(st.sampled_from(["36.5,-121.25", "-1.5,179.125", "12.25,239"]))
        for k in range(data.draw(st.integers(1, 3))):
            mag = (i + k) / 8 if revised and name else i / 8
            rows.append(f"{when}Z,{place},{mag},{name},2020-01-0{k + 1}T00:00:00Z")
        first.append(rows[-1])
    header = f"{HEADER},updated"
    expected = listed(of_rows(tmp_path, header, *first))
    assert listed(of_rows(tmp_path, header, *data.draw(st.permutations(rows)))) == expected
    split = data.draw(st.integers(0, len(rows)))
    parts = [part for part in (rows[:split], rows[split:]) if part]
    assert listed(join_catalogs([of_rows(tmp_path, header, *p) for p in parts])) == expected


def test_no_event_of_the_real_catalogues_is_taken_for_another(notes: Notes) -> None:
    path = DATA / "tangshan_1974_1984.csv"
    if not path.exists():
        pytest.skip(f"the Tangshan catalogue is not at {path}")
    frame = pd.read_csv(path)
    days = pd.to_timedelta(frame.pop("day"), unit="D").dt.round("ms")
    frame.insert(0, "time", (pd.Timestamp("1974-01-01") + days).astype(str))
    assert len(from_frame(frame)) == 455
    overlapping = pd.concat([frame[:300], frame[200:]], ignore_index=True)
    assert listed(from_frame(overlapping)) == listed(from_frame(frame))
    assert (
        "1 events without a name have the time and the place of another, but not its magnitude:"
        " they count." in notes.text
    )


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
    assert inside.source.catalog == CatalogConfig(step="1d")


def test_what_does_not_count_is_left_out_and_told(notes: Notes) -> None:
    catalog = events(
        ["2001-01-01T00:00", "2001-01-01T01:00", "2001-01-01T02:00", "2001-01-01T03:00",
         "2001-01-01T04:00", "2001-01-01T05:00"],
        [3, 3, 1.9, np.nan, 3, 3],
        kind=["Ke", "qb", "eq", "eq", "", "eq"],
        latitude=[36, 36, 36, 36, 0, 50],
        longitude=[-121, -121, -121, -121, -121, -121],
    )  # fmt: skip
    for place in ({"box": (35, -122, 37, -120)}, {"circle": (36.0, -121.0, 50.0)}):
        values = to_readings(catalog, CatalogConfig(**place)).values[0]
        np.testing.assert_array_equal(values, [3, 0, 0, 0, 0, 0])
    assert (
        "1 of 6 events count; left out 1 of a type that is none of eq, earthquake, ke, se, none, 1"
        " without a magnitude, 1 below magnitude 2, 1 without a place (or at latitude or longitude"
        " 0), 1 outside the circle." in notes.text
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
        ({"step": "hourly"}, "a duration must be a number and a unit"),
        ({"since": "then"}, "a time must look like"),
        ({"channels": ()}, "channels must be one or more of maximum, count, mean, energy"),
        ({"channels": ("maximum", "maximum")}, "channels must be one or more of"),
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
        (
            events(["2001-01-01"], [1.0]),
            {},
            "none of the 1 events passes the filters: 1 below magnitude 2",
        ),
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
    catalog = read_catalog(path)
    assert len(catalog) == 451_125  # none stands twice
    readings = to_readings(catalog)
    values = readings.values[0]
    assert readings.n_timepoints == 319_540
    assert np.nanmean(values == 0) == pytest.approx(0.712, abs=1e-3)
    assert (values[~np.isnan(values)] == 0).mean() == pytest.approx(0.782, abs=1e-3)
    hours = readings.times(np.flatnonzero(np.isnan(values)))
    years = set(hours.astype("datetime64[Y]").astype(str).tolist())
    assert years - {"1968", "1985", "1987", "1998"} == {"1967", "1984", "1986", "1997"}
    assert np.isnan(values).sum() == 2438 + 8784 + 8760 + 8760


def test_what_is_masked_in_a_catalogue_is_missing_and_an_event_without_a_time_is_refused() -> None:
    one = np.ma.array([3.0, 9.0], mask=[False, True])
    time = np.array(["2001-01-01", "2001-01-02"], "datetime64[us]")
    texts = np.array(["", ""])
    fields = {"latitude": one, "longitude": one, "depth": one, "kind": texts, "id": texts}
    catalog = Catalog(time=time, magnitude=one, **fields)
    np.testing.assert_array_equal(catalog.magnitude, [3, np.nan])
    with pytest.raises(ValueError, match="time, kind or id is masked for some events"):
        Catalog(time=np.ma.array(time, mask=[True, False]), magnitude=one, **fields)
