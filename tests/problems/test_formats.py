"""formats: real files of every kind, and every kind of damage."""

import gzip
import pickle
import sys
import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from foreshock._text import alike, label_text
from foreshock.problems import formats
from foreshock.readings import frames

Notes = pytest.LogCaptureFixture
HEADER = (
    "@problemName x\n@timeStamps {0}\n@univariate true\n@equalLength {1}\n@classLabel {2}\n@data\n"
)
ARFF = "@relation x\n@attribute a0 numeric\n@attribute a1 numeric\n@attribute target {a,b}\n@data\n"


def ts(rows: str, *, times: str = "false", equal: str = "true", classes: str = "true a b") -> str:
    return HEADER.format(times, equal, classes) + rows


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match=r"^cannot read |^there is no file ") as caught:
        formats.read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


# .ts


def test_a_ts_file_is_read(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.ts", ts("1,2,3:a\n4,?,NaN:b\n")))
    np.testing.assert_array_equal(table.X, np.float32([[[1, 2, 3]], [[4, np.nan, np.nan]]]))
    assert table.X.dtype == np.float64  # all that the file says
    assert table.labels.tolist() == ["a", "b"]


def test_series_of_unequal_length_end_in_nan(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.ts", ts("1,2:3,4:a\n5:6:b\n", equal="false")
                                 .replace("univariate true", "univariate false")))  # fmt: skip
    np.testing.assert_array_equal(
        table.X, np.float32([[[1, 2], [3, 4]], [[5, np.nan], [6, np.nan]]])
    )


@pytest.mark.parametrize("label", ["Standing", "banana", "NaN soup", "what?", "01", "é", "NA"])
def test_the_text_of_a_ts_label_is_kept(tmp_path: Path, label: str) -> None:
    table = formats.read(written(tmp_path, "a.ts", ts(f"1,2:{label}\n3,4:b\n")))
    assert table.labels[0] == label


def test_empty_lines_windows_ends_and_latin_1_are_read(tmp_path: Path) -> None:
    text = "# Größe\n" + ts("1,2:a\n\n3,4:ä\n\n")
    table = formats.read(written(tmp_path, "a.ts", text.replace("\n", "\r\n").encode("latin-1")))
    assert table.labels.tolist() == ["a", "ä"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it has no @data line"),
        (b"\x00\x01\x02PK", "it is not text"),
        (b"\xff\xfe garbage \x93", "it has no @data line"),
        (ts(""), "it has no case after @data"),
        (ts("1,2,3\n"), "line 7 does not end in ':' and a label"),
        (ts("1,2:3,4\n"), "line 7 does not end in ':' and a label"),
        (ts("1,2:a\n3,4:\n"), "case 1 (counted from 0) has no label"),
        (ts("1,2:a\n3,4:?\n"), "case 1 (counted from 0) has no label"),
        (ts("1,2:a\n3,four:b\n"), "line 8 has 'four' instead of a number"),
        (ts("1,2:a\n3,4,5:b\n"), "Saw 2 in the first channel but 3"),
        (ts("1,2:a\n3,4:5,6:b\n"), "Inconsistent number of dimensions in case 2"),
        (ts("1,2:a\n3,\n"), "line 8 does not end in ':' and a label"),
        (ts("1,2:a\n?,NaN:b\n"), "case 1 (counted from 0) has no values"),
        (ts("1,NA:a\n3,x:b\n"), "line 8 has 'x' instead of a number"),
        (ts("1,2:a\n3,inf:b\n"), "case 1, channel 0, timepoint 1 (counted from 0) is infinite"),
        (ts("1,1e300:a\n3,4:b\n"), "case 0, channel 0, timepoint 1 (counted from 0) is infinite"),
        (ts("1,2\n3,4\n", classes="false"), "it has no labels, give each case one"),
        (ts("(2020-01-01 00:00:00,1.5):a\n", times="true"), "its values carry time stamps"),
        (
            ts("1,2:0.5\n").replace("@data", "@targetLabel true\n@data"),
            "it is a regression problem",
        ),
    ],
)
def test_a_bad_ts_file_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    text = refusal(written(tmp_path, "a.ts", content))
    assert reason in text
    assert "TextIOWrapper" not in text


@pytest.mark.parametrize("missing", ["", " ", "NA", "null", "-", "?", "nan"])
def test_a_value_of_a_ts_file_is_missing_as_in_other_files(tmp_path: Path, missing: str) -> None:
    rows = f"1,{missing},3:a\n{missing},5,6:b\n"
    table = formats.read(written(tmp_path, "a.ts", ts(rows)))
    np.testing.assert_array_equal(table.X, [[[1, np.nan, 3]], [[np.nan, 5, 6]]])
    bare = rows.replace(":a", "").replace(":b", "").replace("6", missing or "?")
    table = formats.read(written(tmp_path, "a.ts", ts(bare, classes="false")), labelled=False)
    np.testing.assert_array_equal(table.X, [[[1, np.nan, 3]], [[np.nan, 5, np.nan]]])
    several = ts(f"1,{missing}:3,4:a\n5,6:{missing},8:b\n").replace(
        "univariate true", "univariate false"
    )
    table = formats.read(written(tmp_path, "a.ts", several))
    np.testing.assert_array_equal(table.X, [[[1, np.nan], [3, 4]], [[5, 6], [np.nan, 8]]])


def test_labels_are_not_required_of_series_to_forecast(tmp_path: Path) -> None:
    for rows, classes in (("1,2\n3,4\n", "false"), ("1,2:?\n3,4:a\n", "true a")):
        table = formats.read(written(tmp_path, "a.ts", ts(rows, classes=classes)), labelled=False)
        assert table.labels is None
        np.testing.assert_array_equal(table.X, np.float32([[[1, 2]], [[3, 4]]]))


# .arff


def test_an_arff_file_is_read(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.arff", ARFF + "% a remark\n1,2,banana\n3,?,'b'\n"))
    np.testing.assert_array_equal(table.X, np.float32([[[1, 2]], [[3, np.nan]]]))
    assert table.labels.tolist() == ["banana", "b"]


def test_a_multivariate_arff_file_is_read(tmp_path: Path) -> None:
    header = "@relation x\n@attribute r relational\n@attribute a numeric\n@end r\n"
    rows = "@attribute c {Run,Sit}\n@data\n'1,2\\n3,4',Run\n'5,6\\n7,8',Sit\n"
    table = formats.read(written(tmp_path, "a.arff", header + rows))
    np.testing.assert_array_equal(table.X, np.float32([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]))
    assert table.labels.tolist() == ["Run", "Sit"]


@pytest.mark.parametrize("missing", ["", "NA", "null", "?"])
def test_a_value_of_an_arff_file_is_missing_as_in_other_files(tmp_path: Path, missing: str) -> None:
    table = formats.read(written(tmp_path, "a.arff", f"{ARFF}1,{missing},a\n{missing},4,b\n"))
    np.testing.assert_array_equal(table.X, [[[1, np.nan]], [[np.nan, 4]]])
    header = (
        "@relation x\n@attribute bag relational\n@attribute t0 numeric\n@attribute t1 numeric\n"
    )
    rows = f"@end bag\n@attribute c {{a,b}}\n@data\n'1,{missing}\\n3,4',a\n'{missing},6\\n7,8',b\n"
    if missing:  # beside a quote nothing may be no value
        table = formats.read(written(tmp_path, "b.arff", header + rows))
        np.testing.assert_array_equal(table.X, [[[1, np.nan], [3, 4]], [[np.nan, 6], [7, 8]]])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it has no @data line"),
        (ARFF, "it has no case after @data"),
        (ARFF + "1,2,a\n3,b\n", "line 7 has no label, or another number of values"),
        (ARFF + "1,2,a\n3,x,b\n", "line 7 has 'x' instead of a number"),
        (
            ARFF.replace("{a,b}", "numeric") + "1,2,3\n",
            "its last attribute is not a list of classes",
        ),
    ],
)
def test_a_bad_arff_file_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in refusal(written(tmp_path, "a.arff", content))


# .tsv and .txt


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "1\t1.5\t2\n-1\t3\tNaN\n"),
        ("a.txt", "1,1.5,2\n-1,3,NaN\n"),
        ("a.tsv", "1\t1.5\t2\t\n-1\t3\t\t\n"),
        ("a.txt", "1,1.5,2,\n-1,3,\n"),
        ("a.txt", "   1.0000000e+00   1.5000000e+00  2\n  -1.0000000e+00   3.0  NaN\n"),
    ],
)
def test_rows_that_begin_with_the_label_are_read(tmp_path: Path, name: str, content: str) -> None:
    table = formats.read(written(tmp_path, name, content))
    np.testing.assert_array_equal(table.X, np.float32([[[1.5, 2]], [[3, np.nan]]]))
    assert table.labels.tolist() == ["1", "-1"]


def test_the_text_of_a_tsv_label_is_kept(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.tsv", "01\t1\nBanana split\t2\n"))
    assert table.labels.tolist() == ["01", "Banana split"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty; expected rows of a label and then values"),
        ("1\t2\t3\n1\t2\n", "line 2 has 1 values, the first has 2; end shorter series with NaN"),
        ("1\t2\tx\n", "line 1 has 'x' instead of a number"),
        ("1\n2\n", "line 1 has no values"),
        ("1\t\t\n", "case 0 (counted from 0) has no values"),
        ("NaN\t1\t2\n", "case 0 (counted from 0) has no label"),
        (b"\x00\x00", "it is not text"),
    ],
)
def test_a_bad_tsv_file_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert reason in refusal(written(tmp_path, "a.tsv", content))


# .csv and .parquet


def test_a_wide_csv_file_is_read(tmp_path: Path) -> None:
    text = "label,part,t0,group,t1,t2\n01,Train,1,p,2,3\nNA,TEST,4,q,,\n"
    table = formats.read(written(tmp_path, "a.csv", text))
    np.testing.assert_array_equal(table.X, np.float32([[[1, 2, 3]], [[4, np.nan, np.nan]]]))
    assert [None if a is None else a.tolist() for a in (table.labels, table.part, table.group)] == [
        ["01", "NA"],
        [0, 2],
        ["p", "q"],
    ]
    assert table.ends is None


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_found(tmp_path: Path, separator: str) -> None:
    text = "label,0,1\na,1,2\nb,3,4\n".replace(",", separator)
    assert formats.read(written(tmp_path, "a.csv", text)).X.shape == (2, 1, 2)


LONG = """case,time,label,x,y
b,2026-01-01T01:00:00Z,up,3,30
a,2026-01-01T00:00:00+01:00,down,5,50
b,2026-01-01T00:00:00Z,up,2,20
b,2026-01-01T02:00:00Z,up,,40
"""


def test_a_long_csv_file_is_sorted_by_time_within_cases_in_the_order_of_appearance(
    tmp_path: Path,
) -> None:
    table = formats.read(written(tmp_path, "a.csv", LONG))
    nan = np.nan
    np.testing.assert_array_equal(
        table.X, np.float32([[[2, 3, nan], [20, 30, 40]], [[5, nan, nan], [50, nan, nan]]])
    )
    assert table.channels == ("x", "y")
    assert table.labels.tolist() == ["up", "down"]
    assert table.ends.tolist() == [datetime(2026, 1, 1, 2), datetime(2025, 12, 31, 23)]


def test_plain_numbers_as_times_give_no_ends(tmp_path: Path) -> None:
    text = "case,time,label,x\na,10,u,2\na,9,u,1\nb,1,v,3\n"
    table = formats.read(written(tmp_path, "a.csv", text))
    assert table.ends is None
    np.testing.assert_array_equal(table.X, np.float32([[[1, 2]], [[3, np.nan]]]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("label,0,1\n", "no case or no values"),
        ("label\na\n", "no case or no values"),
        ("0,1\n1,2\n", "it has no labels; its columns are 0, 1, expected either one row per case"),
        ("class,0,1\na,1,2\n", "the column 'class' is not numeric, it has 'a'"),
        ("label,0,1\na,1,x\n", "the column '1' is not numeric, it has 'x'"),
        (
            "label,0,1\na,True,1\nb,0.5,1\n",
            "the column '0' is not numeric, it has 'True' in line 2",
        ),
        ("label,0,1\na,1_0,1\n", "the column '0' is not numeric, it has '1_0' in line 2"),
        (
            "label,0,1\na,degC,bar\nb,1,2\n",
            "the column '0' is not numeric, it has 'degC' in line 2",
        ),
        ("label,0,1\na,1,2\nb,1\n", "line 3 has 2 fields, the header has 3"),
        ("label,0,1\na,1,2,3\n", "line 2 has 4 fields, the header has 3"),
        ("label,0,1\n,1,2\n", "case 0 (counted from 0) has no label"),
        ("label,0,1\na,,\n", "case 0 (counted from 0) has no values"),
        ("label,0,1\na,1,inf\n", "timepoint 1 (counted from 0) is infinite"),
        ("label,x,x\na,1,2\n", "two of its columns are called 'x'"),
        (",label,x\n0,a,1\n", "column 1 has no name; give it one"),
        ("label,part,x\na,dev,1\n", "has the part 'dev', expected one of train, valid, test"),
        ("label,group,x\na,,1\n", "case 0 (counted from 0) has no group"),
        ("case,label,x\n1,a,1\n", "case and time go together"),
        ("case,month,label,x,y\n1,11,a,1,2\n", "case and time go together"),
        ("time,label,x\n1,a,1\n", "case and time go together"),
        (
            "case,time,label,x\na,1,u,1\na,1,u,2\n",
            "case 'a' has two readings at one time that differ,"
            " in row 1 (line 2) and row 2 (line 3); leave one out",
        ),
        ("case,time,label,x\na,1,u,1\na,2,v,2\n", "the label of case 'a' changes"),
        ("case,time,label,x\na,1,u,1\na,2,,2\n", "the label of case 'a' is missing within the"),
        ("Label,label,0\na,b,1\n", "the column 'Label' is not numeric, it has 'a'"),
        ("case,time,label,x\na,0:00,u,1\na,0:01,u,2\n", "(line 2) has the time"),
        ("case,time,label,part,x\na,1,u,test,1\na,2,u,train,2\n", "the part of case 'a' changes"),
        ("case,time,label,group,x\na,1,u,p,1\na,2,u,q,2\n", "the group of case 'a' changes"),
        ("case,time,label,x\na,soon,u,1\n", "row 1 has the time 'soon' (line 2), expected a date"),
        ("case,time,label,x\n,1,u,1\n", "row 1 (line 2) has no case"),
        ("case,time,label,x\na,1,u,1\na,,u,1\n", "row 2 (line 3) has no time, expected a number"),
        ("case,time,label,x\na,inf,u,1\n", "row 1 (line 2) has the time inf"),
        ("case,time,label,x\na,2026-11-23T10:00Z,u,1\na,,u,1\n", "row 2 (line 3) has no time"),
        (
            "case,time,label,x\na,2026-11-23T10:00Z,u,1\na,2026-11-23T11:00,u,1\n",
            "1 of its times have a UTC offset and 1 do not, such as row 2 (line 3)",
        ),
        (
            "case,date,time,label,x\na,2026-11-23,10:00,u,1\na,2026-11-23,,u,1\n",
            "row 2 (line 3) has no time, its 'time' is empty",
        ),
        (b"\x00\x01", "it is not text"),
    ],
)
def test_a_bad_csv_file_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert reason in refusal(written(tmp_path, "a.csv", content))


# clocks of cases

NAN = np.nan


def test_a_reading_that_is_missing_within_a_case_is_nan(tmp_path: Path, notes: Notes) -> None:
    minutes = {"1": (0, 1, 2, 6, 7), "2": (3, 4, 5, 6)}
    rows = [f"{c},2026-01-01T00:{m:02}Z,u,{m}\n" for c, each in minutes.items() for m in each]
    table = formats.read(written(tmp_path, "a.csv", "case,time,label,x\n" + "".join(rows[::-1])))
    np.testing.assert_array_equal(
        table.X, np.float32([[[3, 4, 5, 6, NAN, NAN, NAN, NAN]], [[0, 1, 2, NAN, NAN, NAN, 6, 7]]])
    )
    assert table.step == "1min"
    assert table.ends is not None
    assert [str(end)[14:16] for end in table.ends] == ["06", "07"]
    assert "3 readings are missing within 1 of 2 cases: they are NaN." in notes.text


@pytest.mark.parametrize(
    ("times", "step", "expected"),
    [
        ("0.1 0.2 0.30000000000000004 0.5", "0.1", [0, 1, 2, NAN, 3]),
        ("7 9 13 15", "2", [0, 1, NAN, 2, 3]),
        ("-1 0 1 3", "1", [0, 1, 2, NAN, 3]),
        ("1.5e9 1500000000.5 1500000001 1500000002", "0.5", [0, 1, 2, NAN, 3]),
        ("5", None, [0]),
    ],
)
def test_numbers_of_any_step_are_a_clock(
    tmp_path: Path, times: str, step: str | None, expected: list[float]
) -> None:
    rows = "".join(f"a,{time},u,{k}\n" for k, time in enumerate(times.split()))
    table = formats.read(written(tmp_path, "a.csv", "case,time,label,x\n" + rows))
    assert table.step == step
    np.testing.assert_array_equal(table.X[0, 0], expected)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("a,0 a,1 a,2.5 b,0 b,1", "of its 5 readings 1, in 1 of 2 cases, are off the clock of step"
         " 1 that begins with their case, by more than a quarter of the step, the first in case"
         " 'a', row 3 (line 4); correct their times"),
        ("a,0 a,1 a,2 b,0 b,1.5 b,3 c,0 c,1", "in 1 of 3 cases, are off the clock of step 1 that"),
        ("a,0 a,0.5 a,1 a,1.7e9 b,0 b,0.5", "readings, one every 0.5, are missing before case 'a'"),
        ("a,0 a,1e-300 a,1e15 b,0 b,1e-300", "are off the clock of step 1e-300 that begins with"),
        ("a,0.3 a,0.30000000000000004 a,0.4", "case 'a' has two readings at one time that differ"),
        ("a,0 a,1 a,3 a,7.1 b,0 b,0.2", "where the clock does not matter, number the readings of"),
        ("a,0 a,1 a,2 a,2.1 b,0 b,1", "case 'a' has two readings within half of 1, in row 3 (line"),
        ("a,0 a,1 a,1441 a,1442 b,0 b,1", "1,439 readings, one every 1, are missing before case"
         " 'a', row 3 (line 4); no case has more than 4: is a time wrong, or are these two cases?"),
        ("a,0 a,1 a,1 a,1 b,0 b,1", "two readings at one time that differ, in row 2 (line 3) and"
         " row 3 (line 4), and 1 more such pairs; leave one out"),
    ],
)  # fmt: skip
def test_times_that_are_no_clock_are_refused(tmp_path: Path, rows: str, reason: str) -> None:
    lines = [f"{case},u,{k}\n" for k, case in enumerate(rows.split())]
    assert reason in refusal(written(tmp_path, "a.csv", "case,time,label,x\n" + "".join(lines)))


@pytest.mark.parametrize("start", [0, 1_700_000_000 * 10**9])
def test_nanoseconds_since_1970_are_numbers_of_full_precision(tmp_path: Path, start: int) -> None:
    rows = "".join(f"a,{start + k * 10**9 + 1},u,{k}\n" for k in (0, 1, 2, 4))
    table = formats.read(written(tmp_path, "a.csv", "case,time,label,x\n" + rows))
    assert table.step == "1000000000"
    np.testing.assert_array_equal(table.X[0, 0], [0, 1, 2, NAN, 4])


def test_dates_may_be_rounded_to_microseconds(tmp_path: Path) -> None:
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.round(np.arange(500) * 1e6 / 128), "us")
    frame = pd.DataFrame({"case": "a", "time": times, "label": "u", "x": np.arange(500.0)})
    frame.to_parquet(tmp_path / "a.parquet")
    table = formats.read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(table.X[0, 0], np.arange(500))
    assert table.step in ("7812us", "7813us")


def test_cases_that_seem_to_have_another_step_are_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "".join(f"{c},{t},u,1\n" for c, t in ["a0", "a2", "a4", "b0", "b1", "b2", "b3"])
    table = formats.read(written(tmp_path, "a.csv", "case,time,label,x\n" + rows))
    np.testing.assert_array_equal(table.X[0, 0], [1, NAN, 1, NAN, 1])
    assert "1 of these cases have no two readings 1 apart, as if theirs was another" in caplog.text


def test_readings_that_stand_twice_are_taken_once(tmp_path: Path, notes: Notes) -> None:
    first, second = "a,0,u,1\na,1,u,\n", "a,1,u,\na,2,u,3\nb,0,v,1\n"
    text = f"case,time,label,x\n{first}{second}{first}"
    table = formats.read(written(tmp_path, "a.csv", text))
    np.testing.assert_array_equal(table.X[:, 0], np.float32([[1, NAN, 3], [1, NAN, NAN]]))
    assert "3 readings repeat another one exactly and are taken once." in notes.text


@settings(max_examples=40)
@given(data=st.data())
def test_readings_that_are_dropped_are_nan_and_no_others(
    tmp_path: Path, data: st.DataObject
) -> None:
    sizes = [20, *data.draw(st.lists(st.integers(3, 8), max_size=3))]  # the first tells the step
    step = data.draw(st.sampled_from([1, 5, 0.1, 1 / 3, 2.5]))
    X = np.full((len(sizes), 2, max(sizes)), np.nan, np.float32)
    rows = []
    for case, size in enumerate(sizes):
        start = data.draw(st.integers(-3, 10**6))
        inside = data.draw(st.sets(st.integers(1, size - 2))) if case else set()
        for k in range(size):
            if k not in inside:
                X[case, :, k] = case, k
                rows.append((f"c{case}", start + step * k, "u", case, k))
    order = data.draw(st.permutations(rows))
    firsts = list(dict.fromkeys(row[0] for row in order))
    frame = pd.DataFrame(order, columns=["case", "time", "label", "x", "y"])
    dated = data.draw(st.booleans()) and step != 1 / 3
    if dated:
        frame["time"] = pd.to_datetime((frame["time"] * 1e6).round().astype("int64"), unit="us")
    name = data.draw(st.sampled_from(["a.csv", "a.parquet"]))
    path = tmp_path / name
    frame.to_csv(path, index=False) if name == "a.csv" else frame.to_parquet(path)
    table = formats.read(path)
    expected = X[[int(name[1:]) for name in firsts]]
    np.testing.assert_array_equal(table.X, expected)
    if dated:
        assert table.step == {1: "1s", 5: "5s", 0.1: "100ms", 2.5: "2500ms"}[step]
    else:
        assert table.step == f"{step:.7g}"


def test_a_csv_file_in_latin_1_is_read(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.csv", "label,0\nä,1\n".encode("latin-1")))
    assert table.labels[0] == "ä"


def test_channels_of_true_and_false_are_1_and_0(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.csv", "label,0,1\na,true,FALSE\nb,,true\n"))
    np.testing.assert_array_equal(table.X[:, 0], [[1, 0], [NAN, 1]])
    frame = pd.DataFrame({"label": ["a", "b"], "0": [True, False], "1": [None, True]})
    frame.to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(formats.read(tmp_path / "a.parquet").X[:, 0], [[1, NAN], [0, 1]])
    np.savez(tmp_path / "a.npz", X=np.array([[True, False]]), y=["a"])
    np.testing.assert_array_equal(formats.read(tmp_path / "a.npz").X[:, 0], [[1, 0]])


@pytest.mark.parametrize(
    "text",
    [
        "label; 0; 1\na; 1,5;\nb; ; 2\n",
        "# by me\nlabel\t0\t1\t\na\t1.5\tNA\t\nb\t\t2\t\n",
        "label 0 1\na  1.5 ?\nb  - 2\n",
        "label,0,1\na,1.5,\nlabel,0,1\nb, ,2\n,,\n",
    ],
)
def test_cases_are_read_in_the_dialects_of_logs(tmp_path: Path, text: str) -> None:
    table = formats.read(written(tmp_path, "a.csv", text))
    np.testing.assert_array_equal(table.X[:, 0], [[1.5, NAN], [NAN, 2]])
    assert table.labels.tolist() == ["a", "b"]


def test_times_of_cases_may_stand_in_two_columns_or_in_the_index(tmp_path: Path) -> None:
    rows = "a;u;23.11.2026;23:00;1\na;u;23.11.2026;24:00;2\n"
    table = formats.read(written(tmp_path, "a.csv", "case;label;date;time;x\n" + rows))
    assert (table.step, table.channels) == ("1h", ("x",))
    times = pd.date_range("2026-11-23", periods=2, freq="h")
    frame = pd.DataFrame({"case": "a", "label": "u", "x": [1.0, 2.0]}, index=times)
    frame.to_parquet(tmp_path / "a.parquet")
    table = formats.read(tmp_path / "a.parquet")
    assert (table.step, table.channels) == ("1h", ("x",))


@pytest.mark.parametrize(
    "content",
    [
        "timestamp,2026-11-23T23:00:00Z,2026-11-24T00:00:00Z",
        "DateTime,2026-11-23 23:00,2026-11-23 24:00",
        "Time (UTC),2026-11-23 23:00,2026-11-24 00:00",
        "date,23.11.2026 23:00,24.11.2026 00:00",
        "Date|Time,23.11.2026|23:00,24.11.2026|00:00",
        "date|hour,2026-11-23|23,2026-11-23|24",
        "date|time,20261123|2300,20261123|2400",
        "year|month|day|hour,2026|11|23|23,2026|11|24|0",
    ],
)
def test_times_of_cases_are_known_by_the_names_that_logs_have(tmp_path: Path, content: str) -> None:
    names, *times = content.split(",")
    rows = [f"case|label|{names}|x", *(f"a|u|{time}|{k}" for k, time in enumerate(times))]
    for separator in "|,;\t":
        text = "\n".join(rows).replace("|", separator)
        table = formats.read(written(tmp_path, "a.csv", text))
        assert (table.step, table.channels) == ("1h", ("x",))
        assert str(table.ends[0])[:16] == "2026-11-24T00:00"
        np.testing.assert_array_equal(table.X, [[[0, 1]]])


def test_times_of_cases_that_are_whole_numbers_and_all_dates_are_dates(tmp_path: Path) -> None:
    rows = "1,20240130,a,1\n1,20240131,a,2\n1,20240201,a,3\n"
    table = formats.read(written(tmp_path, "a.csv", f"case,time,label,x\n{rows}"))
    assert table.step == "1d"
    np.testing.assert_array_equal(table.X, [[[1, 2, 3]]])


def test_a_column_that_numbers_the_rows_is_left_out_of_cases_too(
    tmp_path: Path, notes: Notes
) -> None:
    rows = "0,1,0,a,5\n1,1,1,a,6\n2,2,0,b,7\n3,2,1,b,8\n"
    table = formats.read(written(tmp_path, "a.csv", f"index,case,time,label,x\n{rows}"))
    assert table.channels == ("x",)
    np.testing.assert_array_equal(table.X, [[[5, 6]], [[7, 8]]])
    assert "Left out, since it only numbers the rows: index." in notes.text
    rows = rows.replace("2,2", "0,2").replace("3,2", "1,2")  # counts up within each case
    table = formats.read(written(tmp_path, "a.csv", f"index,case,time,label,x\n{rows}"))
    assert table.channels == ("index", "x")
    wide = formats.read(written(tmp_path, "a.csv", "id,label,t0,t1\n1,a,5,6\n2,b,7,8\n"))
    np.testing.assert_array_equal(wide.X, [[[5, 6]], [[7, 8]]])


def test_of_a_row_for_each_case_a_column_of_any_name_is_a_timepoint(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.csv", "label,date,timestamp\na,1,2\nb,3,4\n"))
    np.testing.assert_array_equal(table.X, [[[1, 2]], [[3, 4]]])


@pytest.mark.parametrize(
    "content",
    [
        "Label,0,1\na,1,2\n",
        "Case,Time,LABEL,x\np,0,a,1\np,1,a,2\n",
        "CASE,time,Label,x\np,0,a,1\np,1,a,2\n",
    ],
)
def test_columns_of_cases_are_known_in_capitals_too(tmp_path: Path, content: str) -> None:
    table = formats.read(written(tmp_path, "a.csv", content))
    assert table.labels.tolist() == ["a"]
    np.testing.assert_array_equal(table.X, [[[1, 2]]])


def test_a_csv_file_without_labels_is_read_where_none_are_needed(tmp_path: Path) -> None:
    table = formats.read(written(tmp_path, "a.csv", "0,1\n1,2\n"), labelled=False)
    assert table.labels is None


@pytest.mark.parametrize("labels", [[1, 2], [1.0, 2.0], ["1", "2"], pd.Categorical(["1", "2"])])
def test_parquet_labels_become_text(tmp_path: Path, labels: object) -> None:
    pd.DataFrame({"label": labels, "0": [1, 2], "1": [3.5, None]}).to_parquet(
        tmp_path / "a.parquet"
    )
    table = formats.read(tmp_path / "a.parquet")
    assert table.labels.tolist() == ["1", "2"]
    np.testing.assert_array_equal(table.X, np.float32([[[1, 3.5]], [[2, np.nan]]]))


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_parquet_times_are_utc(tmp_path: Path, zone: str | None) -> None:
    times = pd.to_datetime(["2026-01-01 12:00", "2026-01-01 13:00"]).tz_localize(zone)
    frame = pd.DataFrame({"case": [1, 1], "time": times, "label": "a", "x": pd.array([1, None])})
    frame.to_parquet(tmp_path / "a.parquet")
    table = formats.read(tmp_path / "a.parquet")
    hour = 4 if zone == "Asia/Tokyo" else 13
    assert table.ends[0] == np.datetime64(f"2026-01-01T{hour:02}:00:00")


def as_parquet(folder: Path, **columns: object) -> Path:
    parquet.write_table(pa.table({"label": ["a", "b"], **columns}), folder / "a.parquet")
    return folder / "a.parquet"


@pytest.mark.parametrize(
    "numbers",
    [pa.float64(), pa.float32(), pa.int16(), pa.decimal128(5, 2)],
)
def test_columns_of_lists_are_channels_of_series_of_any_length(
    tmp_path: Path, numbers: pa.DataType
) -> None:
    for kind in (pa.list_(numbers), pa.large_list(numbers)):
        x = pa.array([[1, 2, 3], [4, None]], kind)
        y = pa.array([None, [5]], kind)
        table = formats.read(as_parquet(tmp_path, x=x, y=y, group=["p", "q"]))
        nan = np.nan
        np.testing.assert_array_equal(
            table.X, np.float32([[[1, 2, 3], [nan] * 3], [[4, nan, nan], [5, nan, nan]]])
        )
        assert table.channels == ("x", "y")
        assert table.group.tolist() == ["p", "q"]


def test_a_column_of_lists_of_lists_has_all_channels_of_a_case(tmp_path: Path) -> None:
    series = [[[1.0, 2], [3, 4]], [[5.0], None]]
    table = formats.read(as_parquet(tmp_path, series=series))
    np.testing.assert_array_equal(
        table.X, np.float32([[[1, 2], [3, 4]], [[5, np.nan], [np.nan, np.nan]]])
    )
    assert table.channels is None


def test_lists_are_read_as_the_same_series_in_an_npz_file(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(2, 3, 40))
    fixed = {
        f"c{i}": pa.FixedSizeListArray.from_arrays(X[:, i].ravel(), X.shape[2]) for i in range(3)
    }
    table = formats.read(as_parquet(tmp_path, **fixed))
    np.savez(tmp_path / "a.npz", X=X, y=["a", "b"])
    np.testing.assert_array_equal(table.X, formats.read(tmp_path / "a.npz").X)
    frame = pd.DataFrame({"x": list(X[:, 0]), "label": ["a", "b"]})  # arrays in a frame
    frame.to_parquet(tmp_path / "b.parquet")
    np.testing.assert_array_equal(formats.read(tmp_path / "b.parquet").X, table.X[:, :1])


def test_numbers_in_lists_of_text_are_read_as_in_other_files(tmp_path: Path) -> None:
    table = formats.read(as_parquet(tmp_path, x=[[None, "1.5", " 2"], ["", "NA", "3"]]))
    np.testing.assert_array_equal(table.X, [[[np.nan, 1.5, 2]], [[np.nan, np.nan, 3]]])
    for bad in ("1_0", "\u0661", "0x1F"):
        reason = f"case 1 (counted from 0) has {bad!r} in a list, expected numbers"
        assert reason in refusal(as_parquet(tmp_path, x=[["1"], [bad]]))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"x": [[1.0], [2.0]], "y": [1, 2]},
            "some of its columns contain lists, but 'y' single values",
        ),
        (
            {"x": [[1.0], [2.0]], "case": [1, 2], "time": [1, 2]},
            "contain lists, but case and time single",
        ),
        ({"x": [["a"], ["1"]]}, "case 0 (counted from 0) has 'a' in a list, expected numbers"),
        ({"x": [[1.0], [2.0]], "y": [["1"], ["z"]]}, "case 1 (counted from 0) has 'z' in a list"),
        ({"x": [[[1.0]], [[2.0], [3.0]]]}, "case 1 (counted from 0) has 2 channels, the first has"),
        ({"x": [[[1.0]], None]}, "case 1 (counted from 0) has 0 channels, the first has 1"),
        ({"x": [[[[1.0]]], [[[2.0]]]]}, "in a list, expected numbers"),
        ({"x": [[[1.0]], [[2.0]]], "y": [[1.0], [2.0]]}, "so they must be in one column, got x, y"),
        ({"x": [[{"u": 1}], [{"u": 2}]]}, "in a list, expected numbers"),
        ({"x": [[datetime(2001, 1, 1)], [datetime(2001, 1, 1)]]}, "in a list, expected numbers"),
        ({"x": [[1.0], []]}, "case 1 (counted from 0) has no values"),
        ({"x": [[1.0], [float("inf")]]}, "case 1, channel 0, timepoint 0 (counted from 0) is inf"),
    ],
)
def test_lists_that_are_no_series_are_refused(
    tmp_path: Path, columns: dict[str, object], reason: str
) -> None:
    assert reason in refusal(as_parquet(tmp_path, **columns))


def test_a_bad_parquet_file_is_refused(tmp_path: Path) -> None:
    assert "cannot read" in refusal(written(tmp_path, "a.parquet", b"PAR1 nonsense"))
    assert "cannot read" in refusal(written(tmp_path, "b.parquet", b""))


# .npz


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("bare", "reason"),
    [(True, "File is not a zip file"), (False, "it holds pickled objects, which are never opened")],
)
def test_a_pickle_in_an_npz_file_is_never_opened(tmp_path: Path, bare: bool, reason: str) -> None:
    canary = tmp_path / "canary"
    if bare:
        (tmp_path / "a.npz").write_bytes(pickle.dumps(Canary(canary)))
    else:
        objects = np.array([Canary(canary), None], dtype=object)
        np.savez(tmp_path / "a.npz", X=np.ones((2, 3)), y=objects)
    assert reason in refusal(tmp_path / "a.npz")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"y": [1, 2]}, "it needs an array X of numbers"),
        ({"X": ["a", "b"]}, "it needs an array X of numbers"),
        ({"X": ["a", "b"]}, "; its arrays are X <U1 (2,)."),
        ({"X": np.ones((2, 3)), "labels": [1, 2]}, "its arrays are X, labels: call that of the"),
        ({"X": [[[[1.0]]]]}, "it needs an array X of numbers"),
        ({"X": np.ones((0, 3)), "y": []}, "with at least one of each"),
        ({"X": np.ones((2, 3))}, "it has no labels"),
        ({"X": np.ones((2, 3)), "y": [1]}, "y has the shape (1,), expected (2,)"),
        ({"X": np.ones((2, 3)), "y": [0, 2], "classes": ["a", "b"]}, "indices into the 2 classes"),
        ({"X": np.ones((2, 3)), "y": [0, 1], "part": [0, 256]}, "part must be one of train, valid"),
        ({"X": np.ones((2, 3)), "y": [0, 1], "part": ["train", "x"]}, "a case has the part 'x'"),
        ({"X": np.ones((2, 3)), "y": [0, 1], "ends": [1, 2]}, "ends must be datetime64"),
        ({"X": np.array([[1.0, 1e39], [1, 1]]), "y": [0, 1]}, "is infinite or beyond float32"),
    ],
)
def test_a_bad_npz_file_is_refused(tmp_path: Path, arrays: dict[str, object], reason: str) -> None:
    np.savez(tmp_path / "a.npz", **{key: np.asarray(value) for key, value in arrays.items()})
    assert reason in refusal(tmp_path / "a.npz")


def test_a_bare_array_is_no_problem(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.ones(3))
    assert "it contains a single array" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("labels", [np.array([2.0, 1.0]), np.array([2, 1]), np.array(["2", "1"])])
def test_npz_labels_become_text(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", X=np.ones((2, 3)), y=labels)
    table = formats.read(tmp_path / "a.npz")
    assert table.labels.tolist() == ["2", "1"]
    assert table.X.shape == (2, 1, 3)


# labels, in every format


def labels_of(path: Path) -> list[str]:
    found = formats.read(path).labels
    assert found is not None
    return [str(label) for label in found]


def every_format(folder: Path, labels: list[Any]) -> dict[str, list[str]]:
    """Write labels of one type to a file of each format and in each type, and read them."""
    texts = [str(label) for label in labels]
    columns = {"0": range(len(labels)), "1": 7.5}
    written(folder, "a.ts", ts("".join(f"1,2:{text}\n" for text in texts)))
    written(folder, "a.arff", ARFF + "".join(f"1,2,{text}\n" for text in texts))
    written(folder, "a.tsv", "".join(f"{text}\t1\t2\n" for text in texts))
    written(folder, "a.txt", "".join(f"{text},1,2\n" for text in texts))
    typed = {"own": labels, "text": texts, "bytes": [t.encode() for t in texts]}
    for kind, values in typed.items():
        frame = pd.DataFrame({"label": values, **columns})
        frame.to_parquet(folder / f"{kind}.parquet")
        frame["label"] = pd.Categorical(frame["label"])
        frame.to_parquet(folder / f"{kind} category.parquet")
        array = np.array(values)
        np.savez(folder / f"{kind}.npz", X=np.ones((len(labels), 2)), y=array)
        different, y = np.unique(array, return_inverse=True)
        np.savez(folder / f"{kind} c.npz", X=np.ones((len(labels), 2)), y=y, classes=different)
    frame = pd.DataFrame({"label": labels, **columns})
    frame.to_csv(folder / "own.csv", index=False)
    pd.DataFrame({"label": texts, **columns}).to_csv(folder / "text.csv", index=False)
    nullable = {int: "Int64", float: "Float64", bool: "boolean", str: "string"}[type(labels[0])]
    frame.astype({"label": nullable}).to_parquet(folder / "nullable.parquet")
    return {path.name: labels_of(path) for path in sorted(folder.iterdir())}


NAMES = st.text(
    st.characters(codec="utf-8", categories=["L", "Mn", "N", "Pc", "Sm"]), min_size=1, max_size=6
).filter(lambda name: label_text(name).casefold() not in ("", "nan") and name[0] not in "<>=")


@settings(max_examples=12)
@given(
    labels=st.one_of(
        st.lists(values, min_size=2, max_size=4, unique=True)
        for values in (
            st.integers(-(2**62), 2**62),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.sampled_from(["1.0", "+2", "3e0", "-0.0", "TRUE", "false", "e\u0301", "0x1", "007"]),
            NAMES,
        )
    )
)
def test_a_label_has_one_text_in_every_format(tmp_path: Path, labels: list[Any]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        read = every_format(Path(folder), labels)
    expected = [label_text(label) for label in labels]
    assert {name: found for name, found in read.items() if found != expected} == {}


@pytest.mark.parametrize(
    ("forms", "text"),
    [
        (["1", "1.0", "1.00", "1.", "1e0", "+1", "10E-1", 1, 1.0, Decimal("1.00"), b"1"], "1"),
        (["0", "-0.0", "+0", "0e5", 0, -0.0], "0"),
        (["1.5", "1.50", "15e-1", 1.5, np.float32(1.5), np.float16(1.5), Decimal("1.50")], "1.5"),
        (["1.1", np.float32(1.1), np.float16(1.1), "1.10"], "1.1"),
        ([".5", "0.5"], "0.5"),
        (["9007199254740993", "9007199254740993.0", 9007199254740993], "9007199254740993"),
        (["123456789012345678901234567890.10"], "123456789012345678901234567890.1"),
        (["1e300", "1.0E+300", 1e300, "1" + "0" * 300], "1e+300"),
        (["1e-999999999"], "1e-999999999"),
        (["1e99999999999999999999"], "1e99999999999999999999"),
        (["007"], "007"),
        (["-00.50"], "-00.50"),
        (["1_000"], "1_000"),
        (["0x10"], "0x10"),
        (["\u0661"], "\u0661"),
        (["True", "TRUE", "true", True, np.True_, b"true"], "True"),
        (["e\u0301", "\xe9", b"\xc3\xa9", b"\xe9", b"\xc3\xa9\0\0"], "\xe9"),
        ([" a b\u3000"], "a b"),
        (["NA"], "NA"),
    ],
)
def test_forms_of_one_label_are_one_text(forms: list[object], text: str) -> None:
    assert {label_text(form) for form in forms} == {text}


@pytest.mark.parametrize("missing", ["", "?", "nan", "NaN", "NAN", " ? "])
def test_a_label_is_missing_alike_in_every_format(tmp_path: Path, missing: str) -> None:
    files = {
        "a.csv": f"label,0,1\n{missing},1,2\n",
        "a.ts": ts(f"1,2:{missing}\n"),
        "a.arff": f"{ARFF}1,2,{missing}\n",
        "a.tsv": f"{missing}\t1\t2\n",
    }
    for name, content in files.items():
        written(tmp_path, name, content)
    pd.DataFrame({"label": [missing], "0": 1}).to_parquet(tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", X=np.ones((1, 2)), y=[missing])
    for name in (*files, "a.parquet", "a.npz"):
        assert "case 0 (counted from 0) has no label" in refusal(tmp_path / name)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_null_is_no_label(tmp_path: Path, missing: object) -> None:
    for labels in ([2.5, missing], ["a", missing], [True, missing], [b"a", missing]):
        frame = pd.DataFrame({"label": labels, "0": 1}).convert_dtypes()
        frame.to_parquet(tmp_path / "a.parquet")
        assert "case 1 (counted from 0) has no label" in refusal(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["NA", "None", "null", "N/A"])
def test_words_for_nothing_are_names_of_classes(tmp_path: Path, name: str) -> None:
    assert all(found == [name, "b"] for found in every_format(tmp_path, [name, "b"]).values())


def test_cases_and_groups_are_ids_that_stay_as_they_are(tmp_path: Path) -> None:
    rows = [
        f"{case},{k},a,{case},{k}\n" for case in ("1.1", "1.2", "1.10", "1.20") for k in range(3)
    ]
    path = written(tmp_path, "a.csv", "case,time,label,group,x\n" + "".join(rows))
    pd.read_csv(path, dtype={"case": str, "group": str}).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        table = formats.read(tmp_path / name)
        assert table.X.shape == (4, 1, 3)
        assert table.group.tolist() == ["1.1", "1.2", "1.10", "1.20"]
    np.savez(tmp_path / "b.npz", X=np.ones((2, 3)), y=["a", "b"], group=["1.1", " 1.10"])
    group = formats.read(tmp_path / "b.npz").group
    assert group.tolist() == ["1.1", "1.10"]


def test_large_numbers_of_cases_are_not_rounded_where_one_is_missing(tmp_path: Path) -> None:
    case = pd.array([2**60 + 1, 2**60 + 2, None], "Int64")
    frame = pd.DataFrame({"case": case, "time": [0, 0, 1], "label": "a", "x": 1.5})
    frame.to_parquet(tmp_path / "a.parquet")
    assert "row 3 has no case" in refusal(tmp_path / "a.parquet")
    frame[:2].to_parquet(tmp_path / "a.parquet")
    assert formats.read(tmp_path / "a.parquet").X.shape == (2, 1, 1)


def test_ids_of_columns_of_floats_and_of_integers_are_one_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"case": [1.0, 1.0], "time": [0, 1], "label": "a", "group": 2.0, "x": 1.5})
    frame.to_parquet(tmp_path / "a.parquet")
    np.savez(tmp_path / "b.npz", X=np.ones((1, 2)), y=["a"], group=[2.0])
    written(tmp_path, "c.csv", "case,time,label,group,x\n1,0,a,2,1.5\n1,1,a,2,1.5\n")
    for name in ("a.parquet", "b.npz", "c.csv"):
        table = formats.read(tmp_path / name)
        assert table.X.shape == (1, 1, 2)
        assert table.group.tolist() == ["2"]


def test_texts_that_become_one_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, "a.csv", "label,0\n1.1,1\n1.10,2\nb,3\n")
    assert labels_of(tmp_path / "a.csv") == ["1.1", "1.1", "b"]
    assert caplog.messages == [
        "texts that differ only in form are taken for one: '1.1' and '1.10'."
    ]


def test_classes_in_an_npz_file_that_only_their_form_tells_apart_stay(tmp_path: Path) -> None:
    for classes, expected in ((["2.0", "1.0"], ("2", "1")), (["1", "1.0"], ("1", "1.0"))):
        np.savez(tmp_path / "a.npz", X=np.ones((2, 3)), y=[0, 1], classes=classes)
        assert formats.read(tmp_path / "a.npz").classes == expected


def test_a_column_of_labels_that_holds_lists_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"label": [["a"], ["b"]], "0": 1}).to_parquet(tmp_path / "a.parquet")
    reason = "the column 'label' contains lists, expected one value in each row"
    assert reason in refusal(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (("walk", "Walk"), "'walk' and 'Walk'"),
        (("a b", "a-b", "a_b", "ab"), "'a b' and 'a-b' and 'a_b' and 'ab'"),
        (("1", "01"), "'1' and '01'"),
        (("1", "\uff11", "\u0661"), "'1' and '\uff11' and '\u0661'"),
        (("1.5", "1,5"), "'1.5' and '1,5'"),
        (("-1", "\u22121", "1"), "'-1' and '\u22121'"),
        (("1-2", "1_2", "12"), "'1-2' and '1_2'"),
        (("a", "a\u200b"), r"'a' and 'a\u200b'"),
        (("1", "-1", "a+", "a-", "a", "12"), None),
    ],
)
def test_classes_that_differ_by_form_alone_are_named(
    classes: tuple[str, ...], named: str | None
) -> None:
    note = alike(classes)
    assert note == named or (note is not None and named is not None and f": {named};" in note)


# any file


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
@settings(max_examples=15)
@given(data=st.data())
def test_no_content_ends_in_anything_but_a_value_error(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    content = {
        ".ts": ts("1,2,3:a\n4,5,6:b\n").encode(),
        ".arff": (ARFF + "1,2,a\n3,4,b\n").encode(),
        ".csv": LONG.encode(),
        ".tsv": b"1\t2\t3\n2\t3\t4\n",
        ".txt": b"1 2 3\n2 3 4\n",
    }.get(suffix)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, X=np.ones((2, 3)), y=np.array([0, 1]))
    elif suffix == ".parquet":
        pd.DataFrame({"label": ["a", "b"], "0": [1, 2]}).to_parquet(path)
    good = bytearray(content or path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)) | st.none())
    path.write_bytes(good[:cut])
    try:
        formats.read(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 (a lucky change leaves a good file)


@pytest.mark.parametrize(
    ("name", "content", "module", "extra"),
    [
        ("a.ts", ts("1,2:a\n"), "aeon.datasets", "archive"),
        ("a.csv", "label,0\na,1\n", "pandas", "tables"),
        ("a.parquet", "", "pyarrow", "tables"),
    ],
)
def test_a_missing_extra_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str,
    module: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    text = refusal(written(tmp_path, name, content))
    assert f"{module} " in text
    assert text.endswith(f"run pip install 'foreshock[{extra}]'.")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "a.ts")


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    text = refusal(written(tmp_path, "a.xlsx", "x"))
    assert "its ending is '.xlsx', expected one of .ts, .tsv, .arff, .txt, .csv" in text


# packed


TEXTS = {
    "a.ts": ts("1,2,3:a\n4,?,NaN:b\n"),
    "a.arff": ARFF + "1,2,a\n3,4,b\n",
    "a.tsv": "a\t1\t2\nb\t3\tNaN\n",
    "a.txt": "a,1,2\nb,3,NaN\n",
    "a.csv": LONG,
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_packed_text_file_is_read_as_the_plain_one(tmp_path: Path, name: str) -> None:
    plain = formats.read(written(tmp_path, name, TEXTS[name]))
    packed = gzip.compress(TEXTS[name].encode())
    for path in (f"{name}.gz", f"{name.upper()}.GZ"):
        table = formats.read(written(tmp_path, path, packed))
        np.testing.assert_array_equal(table.X, plain.X)
        np.testing.assert_array_equal(table.labels, plain.labels)


def test_a_packed_file_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Not a gzipped file" in refusal(written(tmp_path, "a.csv.gz", LONG))
    broken = gzip.compress(LONG.encode())[:-9]
    assert "download it again" in refusal(written(tmp_path, "a.ts.gz", broken))
    for name in ("a.npz.gz", "a.parquet.gz", "a.gz"):
        assert "its ending is '.gz', expected one of" in refusal(written(tmp_path, name, b""))
    monkeypatch.setattr(frames, "MAX_UNPACKED", 1000)
    much = gzip.compress(b"label,x\n" + b"a,1\n" * 1000)
    for name in ("b.csv.gz", "b.tsv.gz"):
        assert "it unpacks to more than" in refusal(written(tmp_path, name, much))


# names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Coffee_TRAIN.ts", ("Coffee", "TRAIN")),
        ("coffee-test.csv", ("coffee", "test")),
        ("CoffeeTest.csv", ("Coffee", "Test")),
        ("a valid.npz", ("a", "valid")),
        ("latest.csv", ("latest", None)),
        ("Contest.csv", ("Contest", None)),
        ("Coffee.ts", ("Coffee", None)),
        ("Coffee_TRAIN.ts.gz", ("Coffee", "TRAIN")),
        ("a.b_test.CSV.GZ", ("a.b", "test")),
    ],
)
def test_a_name_tells_the_problem_and_the_part(name: str, expected: tuple[str, str | None]) -> None:
    assert formats.problem_of(Path(name)) == expected
