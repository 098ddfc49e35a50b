"""CSV and Parquet files as data frames, and the times in them."""

import gzip
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foreshock import frames
from foreshock.frames import csv_frame, naming, read_frame, read_text, utc_times


def times(*rows: object, **options: str) -> list[datetime]:
    read = utc_times(pd.Series(list(rows)), **options)
    assert read.dtype == "datetime64[us]"
    return read.tolist()


def test_numbers_become_numbers_and_named_columns_stay_text() -> None:
    frame = csv_frame("ID, x ,y,note\n01,1,,a\n02,2.5,NA,\n", text={"id", "note"})
    assert frame["ID"].tolist() == ["01", "02"]
    assert frame["note"].tolist() == ["a", ""]
    assert frame["x"].tolist() == [1, 2.5]
    assert frame["y"].isna().all()
    assert frame["y"].dtype == np.float64


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_the_one_of_the_header(separator: str) -> None:
    assert list(csv_frame("a,b\n1,2\n".replace(",", separator)).columns) == ["a", "b"]


def test_in_fdsn_text_quotes_and_commas_are_text() -> None:
    frame = csv_frame('#EventID | Name\n1|5 km "W", of "x\n', text={"name"}, separators=",|")
    assert frame["Name"].tolist() == ['5 km "W", of "x']


def test_a_quoted_field_may_hold_the_separator_and_a_newline() -> None:
    assert csv_frame('a,b\n"x, y\nz",1\n')["a"].tolist() == ["x, y\nz"]


def test_lines_may_be_very_long() -> None:
    names = [f"column {i}" for i in range(400_000)]
    frame = csv_frame(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    assert frame.shape == (1, 400_000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, the header has 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, the header has 2"),
        ("a,a\n1,2\n", "two of its columns are called 'a'"),
        ("a,\n1,2\n", "column 2 has no name"),
    ],
)
def test_a_csv_file_that_is_none_is_refused(content: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        csv_frame(content)


def test_text_is_utf_8_or_latin_1_packed_or_not(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "latin-1"):
        (tmp_path / "a.csv").write_bytes("ä\r\nb\rc\n".encode(encoding))
        assert read_text(tmp_path / "a.csv") == "ä\nb\nc\n"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert read_frame(tmp_path / "a.csv.gz")["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no gzip", "Not a gzipped file"),
        (gzip.compress(b"a\n1\n")[:-6], "fetch it again"),
        (gzip.compress(b"a\n" + b"1" * 5000), "it unpacks to more than 0 GiB"),
        (gzip.compress(b"\0\0\0"), "it is not text"),
    ],
    ids=["no gzip", "cut off", "too large", "no text"],  # not its bytes, which hold the hour
)
def test_a_bad_gzip_file_is_refused(
    tmp_path: Path, content: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MAX_UNPACKED", 1000)
    (tmp_path / "a.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=reason), naming(tmp_path / "a.csv.gz"):
        read_text(tmp_path / "a.csv.gz")


# times


def test_times_of_any_precision_are_utc() -> None:
    assert times("2003-12-31T22:57:01Z", "2003-12-31T22:57:01.25Z") == [
        datetime(2003, 12, 31, 22, 57, 1), datetime(2003, 12, 31, 22, 57, 1, 250_000)
    ]  # fmt: skip
    assert times("2003-12-31 22:57", "2004-01-01") == [
        datetime(2003, 12, 31, 22, 57), datetime(2004, 1, 1)
    ]  # fmt: skip
    assert times("2001-01-01T00:00+01:00", "2001-01-02T00:00:00.5+0100") == [
        datetime(2000, 12, 31, 23), datetime(2001, 1, 1, 23, 0, 0, 500_000)
    ]  # fmt: skip
    assert times("1967/07/19 20:49:08.07") == [datetime(1967, 7, 19, 20, 49, 8, 70_000)]
    assert times("2001-01-01 00:00:00 UTC", "2001-01-01T01:00:00+00:00") == [
        datetime(2001, 1, 1), datetime(2001, 1, 1, 1)
    ]  # fmt: skip


def test_numbers_are_times_where_it_is_said_what_they_count() -> None:
    assert times(0, 3600, unit="s") == [datetime(1970, 1, 1), datetime(1970, 1, 1, 1)]
    assert times(1.5, unit="s") == [datetime(1970, 1, 1, 0, 0, 1, 500_000)]
    assert times(1_600_000_000_000_000_001, unit="ns") == [datetime(2020, 9, 13, 12, 26, 40)]


def test_local_times_pass_through_the_hour_that_is_repeated() -> None:
    rows = ["2003-10-26 02:00", "2003-10-26 02:30", "2003-10-26 02:00", "2003-10-26 02:30"]
    assert times(*rows, timezone="Europe/Paris") == [
        datetime(2003, 10, 26, hour, minute) for hour in (0, 1) for minute in (0, 30)
    ]


def test_offsets_of_winter_and_summer_are_taken_where_it_is_said_whose_they_are() -> None:
    rows = ["2003-10-26 02:30+02:00", "2003-10-26 02:30:00+01:00", "2003-10-26 03:30+0100"]
    assert times(*rows, timezone="Europe/Paris") == [
        datetime(2003, 10, 26, hour, 30) for hour in (0, 1, 2)
    ]
    assert times("2003-01-01T00:00Z", timezone="Europe/Paris") == [datetime(2003, 1, 1)]


def test_times_of_a_data_frame_keep_their_zone() -> None:
    column = pd.Series(pd.to_datetime(["2026-01-01 12:00"]).tz_localize("Asia/Tokyo"))
    assert utc_times(column).tolist() == [datetime(2026, 1, 1, 3)]


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        (["2001-01-01T00:00Z", "2001-01-01T01:00"], {}, "1 of its times name an offset from UTC "
         "and 1 do not, row 2 for one"),
        (["2001-01-01T00:00+01:00", "2001-01-01T00:00+02:00"], {}, "its times have 2 offsets from"
         r" UTC \(\+01:00, \+02:00\); write all in UTC, or"),
        (["2001-01-01T00:00+01:00", "2001-01-01T00:00+02:00"], {"timezone": "Europe/Paris"},
         "its times have 2 offsets from UTC"),
        (["2001-01-01T00:00Z", "2001-01-01T00:00+02:00"], {}, r"2 offsets from UTC \(\+02:00, Z\)"),
        (["12/31/2003"], {}, "its dates are ambiguous, '12/31/2003'; write the year first"),
        (["2003-10-26 02:30:00 CEST"], {}, "row 1 has the time '2003-10-26 02:30:00 CEST'"),
        (["2001-01-01", ""], {}, "row 2 has the time ''"),
        (["2001-01-01", "1e400"], {}, "row 2 has the time '1e400'"),
        (["2001-02-30"], {}, "row 1 has the time '2001-02-30'"),
        (["99999-01-01"], {}, "row 1 has the time '99999-01-01'"),
        ([0, 3600], {}, "its times are numbers, the first is 0; say what they count since 1970"),
        ([1.6e18], {"unit": "s"}, "its times are no s since 1970"),
        ([1.0, None], {"unit": "s"}, "row 2 has the time 'nan'"),
        (["2001-01-01"], {"unit": "s"}, "its times are no numbers of s, the first is '2001-01-01'"),
        (["2003-10-26 02:30"], {"timezone": "Europe/Paris"},
         "1 of its times are shown there twice, as summer time ends, 2003-10-26 02:30:00"),
        (["2003-03-30 02:30"], {"timezone": "Europe/Paris"},
         "1 of its times are never shown there, as summer time begins, 2003-03-30 02:30:00"),
        (["2001-01-01"], {"timezone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
        (["2001-01-01"], {"timezone": "../../etc/passwd"}, "is no time zone"),
    ],
)  # fmt: skip
def test_times_that_are_not_of_one_kind_are_refused(
    rows: list[object], options: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        times(*rows, **options)
