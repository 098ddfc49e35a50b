"""CSV and Parquet files as data frames, in the dialects that people's programs write."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.readings import frames
from foreshock.readings.columns import numbers
from foreshock.readings.frames import (
    csv_frame,
    header_of,
    naming,
    parquet_header,
    read_frame,
    read_text,
)

Notes = pytest.LogCaptureFixture
NAN = np.nan


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


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (["time", "Temp, \N{DEGREE SIGN}C"], ["2024-03-01T00:00:00Z", "0,5"]),
        (["time", "Temp, \N{DEGREE SIGN}C", "RH, %"], ["2024-03-01T00:00:00Z", "0,5", "40,1"]),
        (["time", "Temp, \N{DEGREE SIGN}C", "Druck, hPa, abs"], ["2024-03-01", "0,5", "1013"]),
        (["time", "Temp, \N{DEGREE SIGN}C, avg"], ["2024-03-01T00:00:00Z", "0,5"]),
        (["when", "Temp, a, b, c"], ["2024-03-01 00:00:00,5", "0.5"]),
        (["time", "Temp, a", "U"], ["2024-03-01 00:00:00,5", "1,5", ""]),
    ],
)
@pytest.mark.parametrize("end", ["", ";"])
def test_commas_within_names_do_not_separate_where_others_fit_the_rows(
    separator: str, columns: list[str], row: list[str], end: str
) -> None:
    rows = [separator.join(line) + end.replace(";", separator) for line in (columns, row, row)]
    assert list(csv_frame("\n".join(rows)).columns) == header_of("\n".join(rows)) == columns


def test_commas_separate_where_others_stand_within_names() -> None:
    assert header_of("time,a;b,c;d;e|f\n2024-03-01,1,2\n") == ["time", "a;b", "c;d;e|f"]


def test_in_fdsn_text_quotes_and_commas_are_text() -> None:
    frame = csv_frame('#EventID | Name\n1|5 km "W", of "x\n', text={"name"}, separators=",|")
    assert frame["Name"].tolist() == ['5 km "W", of "x']


def test_a_quoted_field_may_hold_the_separator_and_a_newline() -> None:
    assert csv_frame('a,b\n"x, y\nz",1\n')["a"].tolist() == ["x, y\nz"]


def test_lines_may_be_very_long() -> None:
    names = [f"column {i:050}" for i in range(20_000)]  # more than a block
    frame = csv_frame(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    assert frame.shape == (1, 20_000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, the header has 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, the header has 2"),
        ("a,a\n1,2\n", "two of its columns are called 'a'"),
        ("a,\n1,2\n", "column 2 has no name"),
        (",a\n0,2\n", "column 1 has no name; give it one, or write the table without its row"),
        ("# rows\n\na,b\n1,2\n# more\n3\n", "line 6 has 1 fields, the header has 2"),
        ("a;b;\n1;2;\n3;;4\n", "column 3 has no name"),
        ("a;b\n1;2;;\n3;4;5\n", "line 3 has 3 fields, the header has 2"),
        ("# nothing but a remark\n", "it is empty"),
    ],
)
def test_a_csv_file_that_is_none_is_refused(content: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        csv_frame(content)


def test_text_is_unicode_or_latin_1_packed_or_not(tmp_path: Path) -> None:
    mark = "\N{BYTE ORDER MARK}"
    for encoding in ("utf-8-sig", "latin-1"):
        (tmp_path / "a.csv").write_bytes("ä\r\nb\rc\n".encode(encoding))
        assert read_text(tmp_path / "a.csv") == "ä\nb\nc\n"
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):  # told by their marks
        (tmp_path / "a.csv").write_bytes(f"{mark}ä\r\nb\rc\n".encode(encoding))
        assert read_text(tmp_path / "a.csv") == "ä\nb\nc\n"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert read_frame(tmp_path / "a.csv.gz")["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no gzip", "Not a gzipped file"),
        (gzip.compress(b"a\n1\n")[:-6], "download it again"),
        (gzip.compress(b"a\n" + b"1" * 5000), "it unpacks to more than 0 GiB"),
        (gzip.compress(b"\0\0\0"), "it is not text"),
        (
            gzip.compress("a\n1\n".encode("utf-16")[:-1]),
            "it begins as UTF-16 but is not valid: trunc",
        ),
    ],
    ids=[
        "no gzip",
        "cut off",
        "too large",
        "no text",
        "half a letter",
    ],  # not its bytes, which hold the hour
)
def test_a_bad_gzip_file_is_refused(
    tmp_path: Path, content: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MAX_UNPACKED", 1000)
    (tmp_path / "a.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=reason), naming(tmp_path / "a.csv.gz"):
        read_text(tmp_path / "a.csv.gz")


# dialects


@pytest.mark.parametrize(
    "content",
    [
        "a;b;;\n1;2;;\n3;;;\n",
        "a;b\n1;2;;\n3;\n",
        "a;b;\n1;2\n3; ;\n",
        "a,b\n1,2,\n3,,\n",
        "sep=;\na;b\n1;2\n3;\n",
        "\n# from the cellar\n// v2\na;b\n1;2\n# a pause\n\n3;\n",
        "a;b\n1;2\na;b\n3;\n",
        "# a;b\n# kept by nobody\n1;2\n3;\n",
        "a;b\n1;2\n;\n3;\n;;\n;;;\n",
        "a b\n1   2\n3\t?\n",
        "  a b\n  1 2\n  3 -\n",
        "# a b\n1 2\n3 nan\n",
        "a;b\nbar;\N{DEGREE SIGN}C\n1;2\n3;\n",
        "a;b\nbar;degC\nmean;\n1;2\n3;\n",
        "a|b\n1|2\n# an end\n3|\n",
    ],
)
def test_what_loggers_and_spreadsheets_write_around_a_table_is_left_out(content: str) -> None:
    frame = csv_frame(content, separators=",;\t |")
    assert header_of(content, ",;\t |") == list(frame.columns) == ["a", "b"]
    np.testing.assert_array_equal(frame.to_numpy(), [[1, 2], [3, NAN]])
    lines = content.split("\n")
    assert [lines[at - 1].lstrip()[0] for at in frame.index] == ["1", "3"]


START = "2026-11-23T10:00:00Z"
TABLE = f"time;v;w\n{START};1;\n2026-11-23T11:00:00Z;;2\n"
TOA5 = f"""\
"TOA5","CR1000","CR1000","1234","CR1000.Std.32","CPU:air.CR1","5678","Table1"
"time","v","w"
"TS","Deg C","%"
"","Avg","Smp"
{TABLE[9:].replace(";", ",").replace("T1", " 1")}"""


@pytest.mark.parametrize(
    "content",
    [
        TOA5,
        "Station: 12\n" + TABLE,
        "Station;12\nSerial;345;6;7\nBegin;2026-11-23\n\n" + TABLE,
        "Station;Berlin\nBegin;2026-11-23 10:00:00\n" + TABLE,
        "Station;Berlin;Mitte\nLevel;12;m\n" + TABLE,
        "Time;local\n" + TABLE,
        "Station: Berlin, 12\nabout: x, y\n# time;v;w\n" + TABLE[9:],
        "Plot Title: 12\n" + TABLE.replace("\n", "\n-;1;%\n", 1),
        *(f"{mark} a remark\n{mark} from 2026;3\n{TABLE}" for mark in ("%", "!", "*", "--", ";")),
        *(TABLE.replace("\n2", f"\n{mark} off\n2") for mark in ("%", "!", "*", "--", ";", "---")),
        TABLE.replace("\n2", "\n  # off\n2").replace("v;", "v;", 1),
        TABLE.replace("\n2", '\n"# off, again"\n2'),
        "# station;Berlin;x\n# time;v;w\n# s;V;W\n" + TABLE[9:],
        "# s;V;W\n" + TABLE,
        "% time;v;w\n" + TABLE[9:],
        *(
            TABLE.replace("w\n", f"w\n{units}\n", 1).replace(
                "\n2026-11-23T11", f"\n{TABLE[:9]}{units}\n2026-11-23T11"
            )
            for units in ("s;V;1", "-;1;%", ";V;%", "%;V;1", "-;V;")
        ),
        TABLE.replace("\n", "\ns;V;%\nx;mean;\n", 1) + "time;v;w\ns;V;%\nx;mean;\n",
    ],
)
def test_a_table_begins_where_a_name_of_times_fits_the_rows_below(
    content: str, notes: Notes
) -> None:
    frame = csv_frame(content)
    assert header_of(content) == list(frame.columns) == ["time", "v", "w"]
    np.testing.assert_array_equal(frame[["v", "w"]], [[1, NAN], [NAN, 2]])
    assert frame["time"].str[:4].tolist() == ["2026"] * 2
    lines = content.split("\n")
    assert [lines[at - 1].strip('"')[:4] for at in frame.index] == ["2026"] * 2
    n_lines = 2 + lines.index(next(line for line in lines if "time" in line))
    assert "Left out" in notes.text or n_lines == 2


def test_it_is_said_how_many_lines_above_the_header_are_left_out(notes: Notes) -> None:
    csv_frame("# a\nStation;12\n% b;c\nSerial;3\n" + TABLE + "time;v;w\ns;V;%\n")
    assert "Left out of the file: remarks (1), lines above the header (3), lines that rep" in (
        notes.text
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (TABLE.replace(";1;", ";1;5;6"), "line 2 has 4 fields, the header has 3"),
        ("time;v\n2026-11-23;1;2\n" + TABLE, "line 2 has 3 fields, the header has 2"),
        ("A;time;v\nx;2026-11-23;1;2\ny;2026-11-24;1;2\n" + TABLE, "line 2 has 4 fields"),
        ("when;v;w\n2026-11-23;1;2\n" + TABLE.replace(";v", ";v;x"), "line 3 has 4 fields"),
        (TABLE + "% off;1;2;3\n", "line 4 has 4 fields, the header has 3"),
        (TABLE + ";5;;;1\n", "line 4 has 5 fields, the header has 3"),
        ("label;x\n*a;1;2\n*b;1\n", "line 2 has 3 fields, the header has 2"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_never_taken_for_lines_above(
    content: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        csv_frame(content, text={"label"})


@pytest.mark.parametrize(
    "row", ["--;1;2", "--;--;--", ";1;", "*x;1;", "%;;", f"-;1;{START}", "; on;"]
)
def test_rows_that_begin_like_remarks_are_kept_where_they_may_be_meant(row: str) -> None:
    assert len(csv_frame(TABLE + row + "\n")) == 3


@pytest.mark.parametrize("mark", ["*", "%", "!", "--", ";"])
def test_cases_may_be_called_like_remarks(mark: str) -> None:
    frame = csv_frame(f"label,x\n{mark}a,1\n{mark}b,\n", text={"label"})
    assert frame["label"].tolist() == [f"{mark}a", f"{mark}b"]


@pytest.mark.parametrize("time", ["20261123T1000Z", "10h 23.11.2026", "2026-11-23", "23 Nov 26"])
@pytest.mark.parametrize("value", ["", "1", "?"])
def test_a_first_row_without_another_number_than_1_is_no_row_of_units(
    time: str, value: str
) -> None:
    assert len(csv_frame(f"time,v\n{time},{value}\n{time},2\n")) == 2
    assert len(csv_frame(f"time,v,note\n,{value},off\n{time},2,on\n")) == (2 if value == "1" else 1)


def test_units_are_told_by_dates_below_where_a_sensor_warms_up() -> None:
    rows = [f"2026-11-23 10:{minute}," for minute in range(10, 50)]
    frame = csv_frame("\n".join(["time,v", "s,degC", *rows, "2026-11-23 10:50,1"]))
    assert len(frame) == 41
    for days in ("13-Jan-2024", "13 Jan 24", "13.01.24", "1/13/24"):
        content = f"time,v\ns,degC\n{days} 10:00,\n{days} 10:10,\n"
        assert csv_frame(content)["time"].tolist() == [f"{days} 10:00", f"{days} 10:10"]
    frame = csv_frame("\n".join(["time,v", "s,degC", *rows, "2026-11-23 10:50,1"]))
    assert frame["v"].sum() == 1


def test_it_is_said_what_is_left_out(notes: Notes) -> None:
    csv_frame("# w\na;b\nbar;s\n1;2\n# x\n# y\na;b\n;\n3;4\n")
    assert "Left out of the file: remarks (3), lines that repeat the header (1), rows of sep" in (
        notes.text
    )
    assert "Left out below the header, for want of numbers: bar;s." in notes.text


@pytest.mark.parametrize(
    ("content", "text", "expected"),
    [
        ("label,x\n#1,1\n# 1\n#2,2\n", ("label",), [["#1", 1], ["#2", 2]]),
        ("label,x\nlow,high\nlow,1\n", ("label",), [["low", "high"], ["low", "1"]]),
        ("label,x\na,1\n,\nb,2\n,\n", ("label",), [["a", 1], ["", NAN], ["b", 2]]),
        ("x,y\nlow,high\nlow,lower\n", (), [["low", "high"], ["low", "lower"]]),
        ("x,y\n#N/A,1\n#2,2\n3,4\n", (), [[NAN, 1], [3, 4]]),
        ("x,y\n2026-11-23,low\n2026-11-24,3\n", (), None),
        ('x,y\n"a, b\n# no remark\n\n",1\n', (), [["a, b\n# no remark\n\n", 1]]),
    ],
)
def test_rows_that_may_be_meant_are_kept(
    content: str, text: tuple[str, ...], expected: list[list[object]] | None
) -> None:
    frame = csv_frame(content, text=text)
    if expected is None:
        assert len(frame) == 2
    else:
        pd.testing.assert_frame_equal(
            frame.astype(object).reset_index(drop=True),
            pd.DataFrame(expected, columns=frame.columns, dtype=object),
            check_column_type=False,
        )


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
def test_decimal_commas_are_read_where_commas_do_not_separate(separator: str, notes: Notes) -> None:
    rows = ["a;b;c", "-1,5;2;?", ",25;3;1e3", "1,;4;0,5"]
    frame = csv_frame("\n".join(rows).replace(";", separator), separators=",;\t |")
    np.testing.assert_array_equal(frame, [[-1.5, 2, NAN], [0.25, 3, 1000], [1, 4, 0.5]])
    assert "Its decimals have commas: -1,5 is -1.5." in notes.text


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_decimal_commas_in_quotes_and_in_text_of_parquet_are_read(
    tmp_path: Path, name: str, notes: Notes
) -> None:
    frame = pd.DataFrame({"time": ["2026-11-23"] * 3, "x": ["0,5", " -1,25", None], "n": [1, 2, 3]})
    frame.to_csv(tmp_path / name, index=False) if name == "a.csv" else frame.to_parquet(
        tmp_path / name
    )
    read = read_frame(tmp_path / name)
    np.testing.assert_array_equal(numbers(read["x"]), [0.5, -1.25, NAN])
    assert read["n"].tolist() == [1, 2, 3]
    assert "Its decimals have commas: 0,5 is 0.5." in notes.text
    for values in (
        {"x": ["1,000", "1,001", "1,002"]},  # what spreadsheets make of thousands
        {"x": ["998", "1,000", "1,001"]},
        {"x": ["1,0", "2", "3"], "n": ["0.5", "1", "2"]},
    ):
        table = frame.assign(**values)
        table.to_csv(tmp_path / name, index=False) if name == "a.csv" else table.to_parquet(
            tmp_path / name
        )
        read = read_frame(tmp_path / name)
        assert numbers(read["n"]).max() == float(table["n"].iloc[2])
        with pytest.raises(ValueError, match=r"the column 'x' has '1,0.*', expected numbers"):
            numbers(read["x"])


def test_quotes_may_stand_behind_spaces() -> None:
    frame = csv_frame('"time", "x, y",  "z"\n"2026-11-23", "0.5",  "a, ""b"", c"\n"", 1, ""\n')
    assert list(frame.columns) == ["time", "x, y", "z"]
    assert frame["x, y"].tolist() == [0.5, 1]
    assert frame["z"].tolist()[0] == 'a, "b", c'


@pytest.mark.parametrize("value", ["1.234", "1234.5"])
def test_points_among_decimal_commas_are_refused(value: str) -> None:
    reason = rf"the column 'b' has '{value}' in line 3, in a file with decimal commas \(1,5"
    with pytest.raises(ValueError, match=reason):
        csv_frame(f"a;b\n1,5;1\n2,5;{value}\n")


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("other", ["1", "0,5"])
def test_commas_that_seem_to_separate_thousands_are_refused(separator: str, other: str) -> None:
    reason = r"the column 'b' has '1,000' in line 4, beside whole numbers: its commas seem to separ"
    rows = ["a;b", *(f"{other};{value}" for value in ("998", "999", "1,000", "1,001"))]
    with pytest.raises(ValueError, match=reason):
        csv_frame("\n".join(rows).replace(";", separator))


@pytest.mark.parametrize(
    ("rows", "values", "warned"),
    [
        (["1;998", "1;1,000", "1;0,999"], [998, 1, 0.999], False),
        (["1;998", "1;1,000", "1;1000,999"], [998, 1, 1000.999], False),
        (["0,5;1,012", "0,5;1,013", "0,5;"], [1.012, 1.013, NAN], False),
        (["1;1,012", "1;1,013", "1;"], [1.012, 1.013, NAN], True),
    ],
)
def test_commas_before_three_digits_are_those_of_decimals_where_some_value_tells(
    rows: list[str], values: list[float], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    np.testing.assert_array_equal(csv_frame("\n".join(["a;b", *rows]))["b"], values)
    text = "All of its commas stand before three digits; they are taken for those of decimals, 1,01"
    assert (text in caplog.text) == warned


@pytest.mark.parametrize(
    ("content", "warned"),
    [
        ("a;b\n998;1\n999;2\n1.000;3\n", True),
        ("a;b\n998;1.5\n999;2\n1.000;3\n", False),
        ("a;b\n998.000;1\n999.000;2\n1.000;3\n", False),
        ("a;b\n1998;1\n1999;2\n1.000;3\n", False),
        ("a,b\n998,1\n999,2\n1.000,3\n", False),
    ],
)
def test_points_are_decimals_and_a_warning_says_so_where_they_may_separate_thousands(
    content: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert csv_frame(content)["a"].iloc[2] == 1
    text = "The column 'a' has 1.000 beside whole numbers: it is read as 1.0."
    assert (text in caplog.text) == warned


def test_where_more_decimals_have_points_commas_are_none() -> None:
    frame = csv_frame("a;b;codes\n1.5;2.5;1,2\n2.5;1.5;3\n")
    assert frame["a"].tolist() == [1.5, 2.5]
    assert frame["codes"].tolist() == ["1,2", "3"]


@pytest.mark.parametrize("strange", ["0x1F", "0X1f", "nan(7)"])
def test_what_only_some_programs_take_for_a_number_is_text(strange: str) -> None:
    frame = csv_frame(f"a,b,c\n{strange},1,2.5\n10,2,\n")
    assert frame["a"].tolist() == [strange, "10"]
    np.testing.assert_array_equal(frame[["b", "c"]], [[1, 2.5], [2, NAN]])


# the index of a data frame


TIMES = pd.date_range("2026-11-23", periods=3, freq="h")


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (TIMES, "time"),
        (TIMES.tz_localize("Asia/Tokyo"), "time"),
        (TIMES.rename("ts"), "ts"),
        (TIMES.astype(str), "time"),
        (TIMES.to_period("h"), "time"),
        (TIMES.date, "time"),
        (pd.MultiIndex.from_arrays([[1, 2, 3], TIMES]), "time"),
    ],
)
def test_an_index_with_times_is_a_column(tmp_path: Path, index: pd.Index, name: str) -> None:
    pd.DataFrame({"x": [1.0, 2, 3]}, index=index).to_parquet(tmp_path / "a.parquet")
    frame = read_frame(tmp_path / "a.parquet")
    assert list(frame.columns) == ["x", name]
    assert frame.attrs["time"] == parquet_header(tmp_path / "a.parquet")[1] == name
    assert str(frame[name].iloc[0])[:10] == "2026-11-23"


def test_columns_of_one_name_are_refused_in_parquet_too(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="two of its columns are called 'a'"):
        read_frame(tmp_path / "a.parquet")


@pytest.mark.parametrize("index", [[5, 6, 7], ["a", "b", "c"], [0.1, 0.2, 0.3], TIMES])
def test_another_index_without_a_name_is_left_out(
    tmp_path: Path, index: object, notes: Notes
) -> None:
    columns = {"time": TIMES, "x": [1.0, 2, 3]} if index is TIMES else {"x": [1.0, 2, 3]}
    pd.DataFrame(columns, index=index).to_parquet(tmp_path / "a.parquet")
    frame = read_frame(tmp_path / "a.parquet")
    assert list(frame.columns) == list(columns)
    assert frame.attrs["time"] is None
    assert "The index is left out, which has no name." in notes.text


def test_an_index_of_times_without_a_name_is_a_column_in_csv_too() -> None:
    content = pd.DataFrame({"x": [1.0, 2, 3]}, index=TIMES).to_csv()
    assert header_of(content) == list(csv_frame(content).columns) == ["time", "x"]
    with pytest.raises(ValueError, match="column 1 has no name"):
        csv_frame(content.replace("x", "label"), text={"label"})


# no header


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("1 1 0.5 3 \n1 2 0.6 4  \n", ["1", "2", "3", "4"]),
        ("1,1,0.5\n1,2,0.6\n", ["1", "2", "3"]),
        ("1,5;2,5\n1,6;3,5\n", ["1", "2"]),
        ("1,5 2,5\n1,6 3,5\n", ["1", "2"]),
        ("1\t?\t3\n2\t1\t3\n", ["1", "2", "3"]),
        ("5,,3,\n1,2,4,\n", ["1", "2", "3"]),
        ("# made by me\n 1 2.5\n 2 2.6\n", ["1", "2"]),
        ("2026-11-23 10:00:00,5\n2026-11-23 11:00:00,6\n", ["time", "2"]),
        ("2026-11-23T10:00Z;5,5\n2026-11-23T11:00Z;6,5\n", ["time", "2"]),
        ("2026-11-23 10:00:00 5 2\n2026-11-23 11:00:00 6 2\n", ["date", "time", "3", "4"]),
        ("2026-11-23 10:00,on,5\n2026-11-23 11:00,off,6\n", ["time", "2", "3"]),
        ("a,23.11.2026 10:00,5\nb,24.11.2026 11:00,6\n", ["1", "time", "3"]),
        ("1,2,3\n2,5,8\n3,1,1\n", ["1", "2", "3"]),
        ("1999 2001 2000\n2000 1998 2002\n", ["1", "2", "3"]),
        ("7\n8\n9\n", ["1"]),
    ],
)
def test_columns_of_a_file_without_a_header_are_numbered(
    content: str, columns: list[str], notes: Notes
) -> None:
    frame = csv_frame(content, names=())
    assert list(frame.columns) == header_of(content, names=()) == columns
    first = 1 + content.startswith("#")
    assert frame.index.tolist() == list(range(first, first + len(frame)))
    assert len(frame) == len(content.splitlines()) - first + 1
    assert "It has no header: its columns are called" in notes.text


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n",
        "0,1,2,3\n0.5,0.3,0.2,1\n0.1,0.1,0.2,1\n",
        "2010 2011\n0.5 0.6\n1 2\n",
        "2010;2012;2015\n1,5;2,5;3,5\n1,5;2,5;3,7\n",
        "400.5,401,401.5,402\n0.1,0.3,0.2,0.4\n",
        "unit,2026-11-23,2026-11-24\na,1,2\n",
        "2026-11-23,2026-11-24\n1,2\n3,4\n",
        "on,off\n1,2\n",
    ],
)
def test_names_that_are_numbers_or_dates_are_a_header(content: str) -> None:
    columns = header_of(content, ",;\t| ")
    assert list(csv_frame(content, names=()).columns) == columns
    assert len(csv_frame(content, names=())) == len(content.splitlines()) - 1


def test_columns_without_a_header_are_called_as_is_wanted(notes: Notes) -> None:
    content = "0 1 2\n3 5 4\n"
    assert list(csv_frame(content, names=("a", "b", "c")).columns) == ["a", "b", "c"]
    assert len(csv_frame(content, names=("a", "b", "c"))) == 2
    assert not notes.text
    with pytest.raises(ValueError, match=r"3 columns and no header, but 2 names .* row is 0, 1, 2"):
        csv_frame(content, names=("a", "b"))
    with pytest.raises(ValueError, match=r"it has a header, its columns are x, y: leave out the n"):
        csv_frame("x y\n1 2\n", names=("a", "b"))
    assert len(csv_frame("a b\n1 2\n", names=("a", "b"))) == 1


def test_without_names_a_first_line_of_numbers_is_a_header_as_cases_have_it() -> None:
    assert list(csv_frame("5,3,4\n1,2,3\n").columns) == ["5", "3", "4"]


@given(data=st.data())
def test_a_table_of_numbers_is_read_equal_with_a_header_and_without(data: st.DataObject) -> None:
    n_columns = data.draw(st.integers(2, 5))
    hundredths = st.integers(-(10**5), 10**5)
    table = data.draw(
        st.lists(st.lists(hundredths, min_size=n_columns, max_size=n_columns), min_size=2,
                 max_size=5)
    )  # fmt: skip
    table[0] = [2 * k * k * (-1) ** k + 1 for k in range(n_columns)]  # in no equal steps
    separator = data.draw(st.sampled_from([",", ";", "\t", "|", " ", "   "]))
    commas = separator != "," and data.draw(st.booleans())
    end = data.draw(st.sampled_from(["", separator])) if separator.strip() else "  "

    def line(fields: list[str]) -> str:
        return separator.join(fields) + end + "\n"

    texts = [[f"{v / 100:.2f}".replace(".", "," if commas else ".") for v in row] for row in table]
    names = [str(k) for k in range(1, n_columns + 1)]
    without = csv_frame("".join(map(line, texts)), names=())
    called = csv_frame("".join(map(line, [[f"c{k}" for k in names], *texts])), names=())
    assert list(without.columns) == names
    np.testing.assert_array_equal(without.to_numpy(), np.array(table) / 100)
    np.testing.assert_array_equal(called.to_numpy(), np.array(table) / 100)
