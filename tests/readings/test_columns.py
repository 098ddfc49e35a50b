"""Columns as numbers and as times, whatever their type and whoever wrote them."""

from datetime import datetime, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.readings.columns import (
    MISSING,
    case_times,
    is_number,
    numbers,
    order_of_dates,
    text_numbers,
    time_names,
    times_in,
    utc_times,
)

Notes = pytest.LogCaptureFixture
NAN = np.nan


def times(*rows: object, **options: str) -> list[datetime]:
    read = utc_times(pd.Series(list(rows)), **options)
    assert read.dtype == "datetime64[us]"
    return read.tolist()


# numbers


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["1", " 2.5 ", "\t-3e2", "+4", ".5", "6.", "1e400"], [1, 2.5, -300, 4, 0.5, 6, np.inf]),
        (list(MISSING), [NAN] * len(MISSING)),
        (["", "   ", "\N{NO-BREAK SPACE}", "-nan", "nan(ind)", "nAn", "7"], [NAN] * 6 + [7]),
        (["true", "False", " TRUE", "", "0", "1"], [1, 0, 1, NAN, 0, 1]),
        ([True, False, None], [1, 0, NAN]),
        (pd.array([True, None], "boolean"), [1, NAN]),
        (pd.array([1, None], "Int8"), [1, NAN]),
        (np.array([2**63, 1], np.uint64), [2**63, 1]),
        (np.array([1.5, NAN], np.float16), [1.5, NAN]),
        ([Decimal("1.5"), None, Decimal("NaN")], [1.5, NAN, NAN]),
        ([1, 2.5, None, "3", Decimal(4), np.float32(0.5)], [1, 2.5, NAN, 3, 4, 0.5]),
        (pd.Categorical(["1.5", None, "2"]), [1.5, NAN, 2]),
        (pd.Categorical([1.5, None, 2]), [1.5, NAN, 2]),
        (pd.array([1.5, None], pd.ArrowDtype(pa.decimal128(5, 2))), [1.5, NAN]),
        (pd.array(["1.5", None], pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))), [1.5, NAN]),
        (pd.array([1.5, 0], pd.SparseDtype("float64")), [1.5, 0]),
        ([b"1.5", b" 2", b""], [1.5, 2, NAN]),
        ([None, None], [NAN, NAN]),
        ([], []),
    ],
)
def test_numbers_are_read_from_columns_of_any_type(column: object, expected: list[float]) -> None:
    read = numbers(pd.Series(column, dtype=None if len(expected) else object))
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        (["1", "1_000", "2"], "1_000"),
        (["1", "\N{ARABIC-INDIC DIGIT ONE}"], "\N{ARABIC-INDIC DIGIT ONE}"),
        (["1", "\N{FULLWIDTH DIGIT ONE}"], "\N{FULLWIDTH DIGIT ONE}"),
        (["1", "0x1F"], "0x1F"),
        (["1", "1,5"], "1,5"),
        (["1", "1.234,5"], "1.234,5"),
        (["1", "1 000"], "1 000"),
        (["1", "1e"], "1e"),
        (["1", "nan(7)"], "nan(7)"),
        (["true", "0.5"], "true"),
        (["true", "false", "perhaps"], "perhaps"),
        (["1", "2026-11-23"], "2026-11-23"),
        ([1, datetime(2026, 11, 23)], "2026-11-23 00:00:00"),
        (pd.to_datetime(["NaT", "2026-11-23"]), "2026-11-23 00:00:00"),
        (pd.to_timedelta(["NaT", "1s"]), "0 days 00:00:01"),
        (pd.Series([1, 2 + 1j], dtype=object), "(2+1j)"),
        ([None, [1, 2]], "[1, 2]"),
        ([b"1", b"\xff"], "b'\\xff'"),
        (pd.Categorical(["1", "low"]), "low"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_and_shown(column: object, bad: str) -> None:
    series = pd.Series(column, name="v")
    at = [str(value) for value in series].index(bad)
    with pytest.raises(ValueError, match="expected numbers") as caught:
        numbers(series)
    assert str(caught.value) == f"the column 'v' has {bad!r}, expected numbers (row {at + 1})"
    series.index = pd.Index(range(7, 7 + len(series)), name="line")
    with pytest.raises(ValueError, match="is not numeric") as caught:
        numbers(series, "leave it out")
    assert f"it has {bad!r} in line {at + 7}; leave it out" in str(caught.value)


def test_it_is_said_how_many_values_are_no_numbers() -> None:
    with pytest.raises(ValueError, match=r"has 'a', expected numbers \(row 2, the first of 3 such"):
        numbers(pd.Series(["1", "a", "b", "2", "c"], name="v"))


@given(
    st.text(
        st.sampled_from("0123456789.eE+-_xX,infINFatrue ?\t\N{NO-BREAK SPACE}\u0661"), max_size=6
    )
)
def test_text_is_a_number_where_a_column_of_it_is_one(text: str) -> None:
    read = text_numbers(pa.array([text, "0.5"]))
    assert (read is not None) == is_number(text)
    if read is not None:
        plain = text.strip()
        expected = NAN if plain in MISSING or "nan" in plain.lower() else float(plain)
        np.testing.assert_array_equal(read, [expected, 0.5])


@given(data=st.data())
def test_a_column_is_read_as_it_was_written(data: st.DataObject) -> None:
    floats = st.floats(allow_nan=False) | st.integers(-(10**9), 10**9).map(float) | st.none()
    values = data.draw(st.lists(floats, max_size=5))
    kinds = ["text", "object", "category", "nullable", "decimal", "float"]
    kind = data.draw(st.sampled_from(kinds))
    missing = st.sampled_from([*MISSING, "-NaN"])
    around = st.text(st.sampled_from(" \t\N{NO-BREAK SPACE}"), max_size=2)

    def text(value: float | None) -> str:
        form = data.draw(st.sampled_from(["{!r}", "{:.17g}", "{:.17E}", "{:+.17g}"]))
        plain = data.draw(missing) if value is None else form.format(value)
        return data.draw(around) + plain + data.draw(around)

    written: object = [text(value) for value in values]
    if kind == "object":
        written = [text(v) if data.draw(st.booleans()) else v for v in values]
    elif kind == "decimal":
        written = [None if v is None else Decimal(repr(v)) for v in values]
        if not all(np.isfinite(v) for v in values if v is not None):
            written = [None if v is None else str(v) for v in written]
    elif kind == "category":
        written = pd.Categorical(written)
    elif kind in ("nullable", "float"):
        written = pd.array([NAN if v is None else v for v in values], "float64")
        written = written.astype("Float64") if kind == "nullable" else written
    column = pd.Series(written, dtype=object if kind in ("object", "decimal") else None)
    expected = [NAN if value is None else value for value in values]
    np.testing.assert_array_equal(numbers(column), expected)


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23 24:00", datetime(2026, 11, 24)),
        ("2026-12-31T24:00:00.000", datetime(2027, 1, 1)),
        ("2016-12-31T23:59:60", datetime(2017, 1, 1)),
        ("2026-11-23 10:04:60.5", datetime(2026, 11, 23, 10, 5, 0, 500_000)),
        ("2026-11-23 12:00:00,250", datetime(2026, 11, 23, 12, 0, 0, 250_000)),
        ("2026/1/5 3:04", datetime(2026, 1, 5, 3, 4)),
        ("2026.11.23  12:00", datetime(2026, 11, 23, 12)),
        ("2026-11-23\N{NO-BREAK SPACE}12:00", datetime(2026, 11, 23, 12)),
        ("23.11.2026", datetime(2026, 11, 23)),
        ("23.11.2026 12:00:00,5", datetime(2026, 11, 23, 12, 0, 0, 500_000)),
        ("23/11/2026 18.00.00", datetime(2026, 11, 23, 18)),
        ("23-11-2026 24:00", datetime(2026, 11, 24)),
        ("11/23/2026, 12:05:00 AM", datetime(2026, 11, 23, 0, 5)),
        ("11/23/2026 1:05 p.m.", datetime(2026, 11, 23, 13, 5)),
        ("23.11.26", datetime(2026, 11, 23)),
        ("11/23/26 1:05 PM", datetime(2026, 11, 23, 13, 5)),
        ("23-11-68 12:00", datetime(2068, 11, 23, 12)),
        ("23-11-69 12:00", datetime(1969, 11, 23, 12)),
        ("23-Nov-2026", datetime(2026, 11, 23)),
        ("03-Nov-26 12:00", datetime(2026, 11, 3, 12)),
        ("3 november 2026 12:00:01", datetime(2026, 11, 3, 12, 0, 1)),
        ("03/NOV/2026 12:00 AM", datetime(2026, 11, 3)),
        ("2026-11-23 00:00:00:500", datetime(2026, 11, 23, 0, 0, 0, 500_000)),
        ("23.11.2026 00:00:00:007", datetime(2026, 11, 23, 0, 0, 0, 7_000)),
    ],
)
def test_times_are_read_as_loggers_write_them(text: str, expected: datetime) -> None:
    assert times(text) == [expected]


def test_of_times_with_an_offset_the_last_hour_and_second_are_read_too() -> None:
    rows = ["2026-11-23T23:00+01:00", "2026-11-23T24:00+01:00", "2026-11-23T23:59:60,0+01:00"]
    assert times(*rows) == [datetime(2026, 11, 23, hour) for hour in (22, 23, 23)]
    assert times("2026-07-23 24:00", timezone="Europe/Paris") == [datetime(2026, 7, 23, 22)]


def test_what_comes_first_is_told_by_a_day_above_12_or_said(notes: Notes) -> None:
    assert times("03.04.2026", "13.04.2026")[0] == datetime(2026, 4, 3)
    assert "Its dates are day-first, as '13.04.2026' tells." in notes.text
    assert times("03/04/2026", "04/13/2026")[0] == datetime(2026, 3, 4)
    assert times("03.04.2026", dates="day-first") == [datetime(2026, 4, 3)]
    assert times("03.04.2026", dates="month-first") == [datetime(2026, 3, 4)]


def test_years_of_two_digits_come_last_where_the_days_tell() -> None:
    for rows in (["30/01/24", "31/01/24"], ["30.01.24", "31.01.24"], ["01/30/24", "1/31/24"]):
        assert times(*rows) == [datetime(2024, 1, 30), datetime(2024, 1, 31)]
    assert times("24/01/13", dates="day-first") == [datetime(2013, 1, 24)]


def test_names_of_months_tell_nothing_of_dates_without() -> None:
    column = pd.Series(["03-Nov-2026", "04-Nov-2026"])
    assert order_of_dates(column) is None
    assert times(*column, dates="month-first") == [datetime(2026, 11, 3), datetime(2026, 11, 4)]
    assert times("3-Nov-26 00:00+01:00", timezone="Asia/Tokyo") == [datetime(2026, 11, 2, 23)]


def test_it_is_said_how_many_times_are_those_of_the_next_day_or_minute(notes: Notes) -> None:
    times("2026-11-23 24:00", "2026-11-23 12:00", "2026-11-23 12:00:60")
    assert "2 of its times are at 24:00 or in a 60th second: those of the next" in notes.text


@given(
    st.lists(st.datetimes(datetime(1000, 1, 1), datetime(2200, 1, 1)), min_size=1, max_size=5),
    st.sampled_from(["%d.%m.%Y %H:%M:%S,%f", "%m/%d/%Y %I:%M:%S.%f %p", "%Y/%m/%d %H.%M.%S,%f"]),
)
def test_times_are_read_as_they_were_whatever_their_form(rows: list[datetime], form: str) -> None:
    dates = "month-first" if form.startswith("%m") else "day-first"
    assert times(*(row.strftime(form).zfill(19) for row in rows), dates=dates) == rows


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


@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("20240113T115900Z", 11),
        ("20240113T115900+0100", 10),
        ("20240113T1159-01", 12),
        ("2024-01-13T11Z", 11),
        ("2024-01-13T11+01:00", 10),
        ("1/13/2024 11:59 AM +01:00", 10),
        ("1/13/2024, 11:59 AM-0100", 12),
        ("2024-01-13 11:59:00 AM Z", 11),
        ("2024-01-13 11:59:00 UTC", 11),
        ("13.01.2024 11.59+01:00", 10),
        ("2024-01-13 11:59 +01:00", 10),
    ],
)
def test_an_offset_from_utc_is_noticed_whatever_the_form_of_the_time(
    text: str, hour: int, zone: str | None
) -> None:
    assert times(text, timezone=zone)[0].hour == hour
    naive = times("2024-01-13 11:59", timezone=zone)[0]
    assert naive.hour == (11 if zone is None else 10)


def test_a_date_that_ends_like_an_offset_has_none() -> None:
    for text in ("2024-01-13", "13-01-2024", "13-01-2024 00:00"):
        assert times(text, timezone="Europe/Paris") == [datetime(2024, 1, 12, 23)]
    assert times("2024-01-13Z", timezone="Europe/Paris") == [datetime(2024, 1, 13)]
    assert times("2024-01-13+01:00", timezone="Europe/Paris") == [datetime(2024, 1, 12, 23)]


def test_times_of_a_data_frame_keep_their_zone() -> None:
    column = pd.Series(pd.to_datetime(["2026-01-01 12:00"]).tz_localize("Asia/Tokyo"))
    assert utc_times(column).tolist() == [datetime(2026, 1, 1, 3)]


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        (["13.01.2024 11.59+01:00", "13.01.2024 12.59+02:00"], {}, "its times have 2 UTC offsets"),
        (["20240113T115900Z", "20240113T115900"], {}, "1 of its times have a UTC offset"
         " and 1 do not, such as row 2"),
        (["2024-01-13-11:59"], {}, "row 1 has the time '2024-01-13-11:59'"),
        (["2001-01-01T00:00Z", "2001-01-01T01:00"], {}, "1 of its times have a UTC offset"
         " and 1 do not, such as row 2"),
        (["2001-01-01T00:00+01:00", "2001-01-01T00:00+02:00"], {}, "its times have 2 UTC offsets"
         r" \(\+01:00, \+02:00\); write all in UTC, or"),
        (["2001-01-01T00:00+01:00", "2001-01-01T00:00+02:00"], {"timezone": "Europe/Paris"},
         "its times have 2 UTC offsets"),
        (["2001-01-01T00:00Z", "2001-01-01T00:00+02:00"], {}, r"2 UTC offsets \(\+02:00, Z\)"),
        (["03/04/2003"], {}, "its dates are ambiguous, '03/04/2003'; write the year first"),
        (["23/11/2026", "11/23/2026"], {}, "its dates begin with the day in '23/11/2026' and with"
         " the month in '11/23/2026'; write all with the year first"),
        (["23.11.2026", "2026-11-24"], {}, "some of its dates begin with the year and others do"
         " not, as '23.11.2026'"),
        (["03.04.26"], {}, "its dates are ambiguous, '03.04.26'; write the year first"),
        (["24-01-13", "24-01-14"], {}, "its dates may begin with the year or the day, '24-01-13';"),
        (["24.01.13", "24.01.14"], {}, "its dates may begin with the year or the day, '24.01.13';"),
        (["24/01/13 10:00"], {}, "may begin with the year or the day, '24/01/13 10:00'; write"),
        (["13-Mars-2024"], {}, "row 1 has the time '13-Mars-2024'"),
        (["31-Feb-2024"], {}, "row 1 has the time '31-Feb-2024'"),
        (["2024-01-13 00:00:00:50"], {}, "row 1 has the time '2024-01-13 00:00:00:50'"),
        (["13-Jan-2024", "2024-01-14"], {}, "some of its dates begin with the year and others do"),
        (["23.13.2026"], {}, "row 1 has the time '23.13.2026'"),
        (["12/31/2003"], {"dates": "day-first"}, "row 1 has the time '12/31/2003'"),
        (["2026-11-23 24:01"], {}, "row 1 has the time '2026-11-23 24:01'"),
        (["2026-11-23 12:60"], {}, "row 1 has the time '2026-11-23 12:60'"),
        (["2026-11-23 12:00:61"], {}, "row 1 has the time '2026-11-23 12:00:61'"),
        (["now"], {}, "row 1 has the time 'now'"),
        (["2026-11-23", "today"], {}, "row 2 has the time 'today'"),
        (["12:00"], {}, "row 1 has the time '12:00'"),
        (["\u0662\u0660\u0662\u0666-11-23"], {}, "row 1 has the time"),
        (["2003-10-26 02:30:00 CEST"], {}, "row 1 has the time '2003-10-26 02:30:00 CEST'"),
        (["2001-01-01", ""], {}, "row 2 has no time; give each row one, or leave it out"),
        (["2001-01-01T00:00Z", " ", "2001-01-01T02:00Z", None], {}, "row 2 has no time, and"),
        (["2001-01-01T00:00Z", "soon"], {}, "row 2 has the time 'soon'"),
        ([datetime(2001, 1, 1), None], {}, "row 2 has no time"),
        (["2001-01-01", "1e400"], {}, "row 2 has the time '1e400'"),
        (["2001-02-30"], {}, "row 1 has the time '2001-02-30'"),
        (["99999-01-01"], {}, "row 1 has the time '99999-01-01'"),
        ([0, 3600], {}, "its times are numbers, the first is 0; give their unit since 1970"),
        ([1.6e18], {"unit": "s"}, "its times are not s since 1970"),
        ([1.0, np.inf], {"unit": "s"}, "its times are not s since 1970: row 2 has inf"),
        ([1.0, None], {"unit": "s"}, "row 2 has no time"),
        (["1", "soon"], {"unit": "s"}, r"not numbers of s, the first is 'soon' \(row 2\)"),
        (["2001-01-01"], {"unit": "s"}, "are not numbers of s, the first is '2001-01-01'"),
        (["2003-10-26 02:30"], {"timezone": "Europe/Paris"},
         "1 of its times are shown there twice, as summer time ends, such as 2003-10-26 02:30:00"),
        (["2003-03-30 02:30"], {"timezone": "Europe/Paris"},
         "1 of its times are never shown there, as summer time begins, such as 2003-03-30"),
        (["2001-01-01"], {"timezone": "Mars/Olympus"}, "'Mars/Olympus' is not a time zone"),
        (["2001-01-01"], {"timezone": "../../etc/passwd"}, "is not a time zone"),
    ],
)  # fmt: skip
def test_times_that_are_not_of_one_kind_are_refused(
    rows: list[object], options: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        times(*rows, **options)


# times of cases, and those in several columns


def test_times_of_cases_are_numbers_or_dates() -> None:
    for column in ([1, 2], ["1", " 2"], pd.array([1, 2], "Int64"), [Decimal(1), Decimal(2)]):
        np.testing.assert_array_equal(case_times(pd.Series(column)), [1.0, 2.0])
    rows = ["2026-01-01T00:00Z", "2026-07-01T02:00+02:00"]  # every case has a clock of its own
    for offset in ("+02:00", "+0200", "+02"):
        column = pd.Series([row.replace("+02:00", offset) for row in rows])
        assert case_times(column).tolist() == [datetime(2026, 1, 1), datetime(2026, 7, 1)]


def test_spans_of_time_are_seconds() -> None:
    spans = pd.Series(pd.to_timedelta([0, 1500, 61_000], unit="ms"))
    np.testing.assert_array_equal(case_times(spans), [0, 1.5, 61])
    with pytest.raises(ValueError, match="row 2 has no time, expected a number"):
        case_times(pd.Series(pd.to_timedelta(["1s", None])))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (["00:00", "00:01"], "row 1 has the time '00:00' without a date: write the date as well"),
        (["0:00:01.5", "0:00:02"], "or numbers, such as the seconds since each case began"),
        ([1.0, np.inf], "row 2 has the time inf, expected a number"),
        ([1.0, 1e300], r"row 2 has the time 1e\+300, expected a number"),
        ([1.0, NAN], "row 2 has no time"),
        (["1", ""], "row 2 has no time"),
        (["", " "], "row 1 has no time, and 1 more have none"),
        (["2026-01-01T00:00Z", "2026-01-01T00:00"], "1 of its times have a UTC offset and 1"),
        (["1", "soon"], "row 1 has the time '1', expected a date"),
    ],
)
def test_bad_times_of_cases_are_refused(column: list[object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        case_times(pd.Series(column))


DATE, CLOCK = ["2026-11-23", "2026-11-23"], ["10:00", "24:00"]
DAYS = pd.to_datetime(["2026-11-23", "2026-11-24"])
PARTS = {"Year": [2026, 2026], "month": [11, 11], "day": [23, 23], "hour": [10, 24]}


@pytest.mark.parametrize(
    ("columns", "wanted", "used"),
    [
        ({"Date": DATE, "Time": CLOCK}, None, ("Date", "Time")),
        ({"date": [f"{day} 00:00:00" for day in DATE], "time": CLOCK}, None, ("date", "time")),
        ({"Tag": DATE, "Uhr": CLOCK}, "Tag + Uhr", ("Tag", "Uhr")),
        (PARTS, None, ("Year", "month", "day", "hour")),
        ({**PARTS, "minute": [0, 0], "second": [0.0, 0.0]}, None,
         ("Year", "month", "day", "hour", "minute", "second")),
        ({**PARTS, "hour": [10.0, 24.0], "second": [7, 7]}, None,
         ("Year", "month", "day", "hour")),
        ({"date": DATE, "hour": [10, 24]}, None, ("date", "hour")),
        ({**PARTS, "time": CLOCK}, None, ("Year", "month", "day", "time")),
        ({"date": DAYS, "time": pd.to_timedelta([10, 0], "h")}, None, ("date", "time")),
        ({"date": DAYS, "time": [time(10), time(0)]}, None, ("date", "time")),
        ({"date": DAYS.date, "time": [time(10), time(0)]}, None, ("date", "time")),
        ({"date": DATE, "time": [1000, 2400]}, None, ("date", "time")),
        ({"date": ["23-Nov-26"] * 2, "hour": [10, 24]}, None, ("date", "hour")),
        ({"date": ["23.11.26"] * 2, "time": CLOCK}, None, ("date", "time")),
        ({"date": DATE, "Time": [100000.0, 240000.0]}, None, ("date", "Time")),
        ({"date": DATE, "time": ["1000", "2400"]}, None, ("date", "time")),
        ({"date": [20261123, 20261123], "time": [1000, 2400]}, None, ("date", "time")),
        ({"date": [20261123, 20261123], "time": CLOCK}, None, ("date", "time")),
        ({"date": [20261123, 20261123], "hour": [10, 24]}, None, ("date", "hour")),
        ({**PARTS, "hour": [1000, 2400]}, None, ("Year", "month", "day", "hour")),
        ({"time": [f"{DATE[0]} 10:00", f"{DATE[0]} 24:00"], "date": DATE, "hour": [1, 2]}, None,
         ("time",)),
    ],
)  # fmt: skip
def test_times_may_stand_in_several_columns(
    columns: dict[str, object], wanted: str | None, used: tuple[str, ...]
) -> None:
    frame = pd.DataFrame(columns).assign(x=1.0)
    column, names = times_in(frame, wanted)
    assert names == used
    assert utc_times(column).tolist() == [datetime(2026, 11, 23, 10), datetime(2026, 11, 24)]


def test_times_of_day_may_be_digits_without_the_zeros_in_front() -> None:
    days = ["2026-11-23"] * 4
    for values, minutes in (
        ([0, 100, 200, 2359], [0, 60, 120, 1439]),
        (["0000", "0001", "0002", "0100"], [0, 1, 2, 60]),
        ([0, 10000, 20000, 235900], [0, 60, 120, 1439]),
        (["000000", "000100", "000200", "010000"], [0, 1, 2, 60]),
    ):
        read = utc_times(times_in(pd.DataFrame({"date": days, "time": values}))[0])
        expected = np.datetime64("2026-11-23") + np.array(minutes, "timedelta64[m]")
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize(
    "values", [[0, 1, 2], [0, 99, 100], [1000, 2461], [100, 240100], [0.5, 100]]
)
def test_numbers_that_may_be_none_are_no_times_of_day(values: list[float]) -> None:
    frame = pd.DataFrame({"date": ["2026-11-23"] * len(values), "time": values})
    assert times_in(frame)[1] == ("time",)
    whole = pd.DataFrame({"date": ["2026-11-23"] * 2, "time": [100, 200]})
    assert times_in(whole, unit="s")[1] == ("time",)  # they count seconds


def test_whole_numbers_that_all_are_dates_are_dates(notes: Notes) -> None:
    days = [datetime(2024, 1, 30), datetime(2024, 1, 31), datetime(2024, 2, 1)]
    for column in ([20240130, 20240131, 20240201], ["20240130", "20240131", "20240201"]):
        assert case_times(pd.Series(column)).tolist() == days
        assert times(*column) == days
    assert "Its times are dates: 20240130 is 2024-01-30." in notes.text
    assert times(20240130, timezone="Europe/Paris") == [datetime(2024, 1, 29, 23)]
    assert times(20240130, unit="s") == [datetime(1970, 8, 23, 6, 15, 30)]
    for column in ([20240130, 20240132], [20240130, 5], [18991231, 20240101], [20240130.5]):
        np.testing.assert_array_equal(case_times(pd.Series(column)), column)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"date": DATE, "time": ["10:00", ""]}, "row 2 has no time, its 'time' is empty"),
        ({"date": ["", DATE[0]], "time": CLOCK}, "row 1 has no time, its 'date' is empty"),
        ({**PARTS, "hour": [10, NAN]}, "row 2 has no time, its 'hour' is empty"),
        (
            {**PARTS, "hour": [10, 1.5]},
            "the column 'hour' has 1.5 in row 2, expected whole numbers",
        ),
        ({**PARTS, "hour": [10, 25]}, "row 2 has the time '2026-11-23 25:00'"),
        ({**PARTS, "month": [10, "X"]}, "the column 'month' is not numeric, it has 'X' in row 2"),
    ],
)
def test_times_that_lack_a_part_are_refused(columns: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        utc_times(times_in(pd.DataFrame(columns))[0])


def test_the_columns_of_times_are_known_by_their_names() -> None:
    assert time_names(["x", "Timestamp", "date"]) == ("Timestamp",)
    assert time_names(["Time (UTC)", "x"]) == ("Time (UTC)",)
    assert time_names(["DateTime_UTC", "x"]) == ("DateTime_UTC",)
    assert time_names(["time [ s ]", "time (local)", "utc"]) == ()
    assert time_names(["x", "when"]) == ()
    assert time_names(["x", "when"], index="when") == ("when",)
    assert time_names(["x", "when", "time"], "when") == ("when",)
    assert time_names(["x", "time"], "when") == ()
    assert time_names(["month", "day", "x"]) == ()
