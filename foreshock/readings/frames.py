"""Data frames out of CSV and Parquet files, in the dialects that loggers and spreadsheets write.

A file is refused where a row has more or fewer fields than the header, or where it unpacks to more
than memory should hold. What is left out, or read otherwise than it stands there, is logged.
"""

import codecs
import contextlib
import csv
import gzip
import io
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

from foreshock._optional import optional
from foreshock._text import listed
from foreshock.readings.columns import (
    LINE,
    MISSING,
    TEXT_COLUMNS,
    is_number,
    text_numbers,
    time_names,
)

logger = logging.getLogger(__name__)

MAX_UNPACKED = 4 * 2**30
"""Most bytes that a .gz file may unpack to."""
SEPARATORS = ",;\t| "
"""What may separate the fields of a CSV file; a space stands for any number of them."""

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",  # before UTF-16, as it begins
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_REMARKS = ("#", "//")
_PERHAPS = (";", "%", "!", "*", "--")
"""What begins remarks, too, where no row can be meant."""
_MOST_ABOVE = 100
"""Most lines, remarks aside, among which the header is looked for."""
_UNNAMED = "__index_level_"
_MOST_UNITS = 2
_LAX = ("0x", "0X", "nan(", "NaN(", "NAN(")  # Arrow takes 0x1F and nan(7) for numbers
_DATE = re.compile(r"[0-9]{1,4}(?:[-/:]|\.[0-9]{1,2}\.|[-/. ][A-Za-z]{3,9}[-/. ]|[0-9]{4}T)[0-9]")
_COMMA = r"^[+-]?(?:[0-9]+,[0-9]*|,[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_WHOLE = r"^[+-]?[0-9]+$"
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}$"  # 1,000 or, with a decimal comma, 1
_POINT = r"^[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Turn what goes wrong with a file into one ValueError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; check its name.") from None
    except (OSError, EOFError, ValueError, NotImplementedError, MemoryError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        end = "" if reason.endswith("?") else "."
        raise ValueError(f"cannot read {path}: {reason.rstrip('.')}{end}") from error


def read_text(path: Path) -> str:
    """Read a text file, packed by gzip or not; lines end in newlines.

    It is UTF-16 or UTF-32 where it begins with their byte order mark, else UTF-8 or Latin-1.

    Raises
    ------
    ValueError
        It is no text, or unpacks to too much.
    """
    if path.suffix.lower() == ".gz":
        try:
            with gzip.open(path) as file:
                content = file.read(MAX_UNPACKED + 1)
        except (gzip.BadGzipFile, EOFError) as error:
            raise ValueError(f"{error}; download it again") from error
        if len(content) > MAX_UNPACKED:
            raise ValueError(
                f"it unpacks to more than {MAX_UNPACKED // 2**30} GiB; divide it into several files"
            )
    else:
        content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if encoding is None and b"\0" in content[:4096]:
        raise ValueError("it is not text; check the ending of its name")
    try:
        text = content.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        if encoding is not None and b"\0" in content:
            raise ValueError(
                f"it begins as {encoding.upper()} but is not valid: {error.reason} at byte"
                f" {error.start:,}; save it again, preferably as UTF-8"
            ) from error
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_frame(path: Path, *, text: Collection[str] = (), separators: str = SEPARATORS) -> Any:
    """Read a CSV or Parquet file.

    Parameters
    ----------
    path
        A file ending in .parquet; any other is CSV, packed by gzip or not.
    text
        Columns, in small letters, that stay text in a CSV file, "" where empty; others are
        numbers where all of their values are numbers or missing.
    separators
        What may separate the fields of a CSV file, as its header and first rows tell.

    Returns
    -------
    pandas.DataFrame
        The index of a CSV file's has the lines of the rows, where they are known. If the index of a
        data frame was written to a Parquet file and has times, ``attrs["time"]`` is its name.

    Raises
    ------
    ValueError
        The file is malformed, with the reason; or has no row or no column.
    """
    optional("pandas", "tables")
    pyarrow = optional("pyarrow", "tables")
    if path.suffix.lower() != ".parquet":
        return csv_frame(read_text(path), text=text, separators=separators)
    try:
        file = optional("pyarrow.parquet", "tables").ParquetFile(path)
        table = file.read()
        _check_names(table.column_names)
        frame = _with_decimals(table, text).to_pandas(ignore_metadata=True)
        for name in [name for name in frame.columns if name.lower() in text]:
            if pyarrow.types.is_integer(table[name].type) and table[name].null_count:
                frame[name] = table[name].to_pandas(integer_object_nulls=True)  # floats would round
        index, time = _index_with_times(file, by_case=_by_case(frame.columns, text))
    except pyarrow.ArrowException as error:
        raise ValueError(f"{error}; write it again") from error
    if index is not None:
        frame = frame.rename(columns={index: time})
    unnamed = [name for name in frame.columns if name.startswith(_UNNAMED)]
    if unnamed:
        logger.info("The index is left out, which has no name.")
    frame = frame.drop(columns=unnamed)
    frame.attrs["time"] = time
    return frame


def _with_decimals(table: Any, text: Collection[str]) -> Any:
    """Write decimal commas in columns of text as points, as in CSV files."""
    types = optional("pyarrow", "tables").types
    compute = optional("pyarrow.compute", "tables")
    texts = {
        field.name: table[field.name].combine_chunks()
        for field in table.schema
        if (types.is_string(field.type) or types.is_large_string(field.type))
        and field.name.lower() not in text
    }
    found = (compute.match_substring_regex(each, _COMMA) for each in texts.values())
    if any(compute.any(each).as_py() for each in found):
        for name, column in _with_points(texts, (), None).items():
            table = table.set_column(table.column_names.index(name), name, column)
    return table


def parquet_header(path: Path) -> tuple[list[str], str | None]:
    """Return the names of a Parquet file's columns, and of its index if that has times."""
    with optional("pyarrow.parquet", "tables").ParquetFile(path) as file:
        index, time = _index_with_times(file, by_case=False)
        names = [time if name == index else name for name in file.schema_arrow.names]
    return [str(name) for name in names], time


def _index_with_times(file: Any, *, by_case: bool) -> tuple[str | None, str | None]:
    """Find the index of a data frame that has times: its column in the file, and its name."""
    kinds = optional("pyarrow", "tables").types
    schema = file.schema_arrow
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    for level in [name for name in index if name in schema.names and not by_case]:
        kind = schema.field(level).type
        dated = kinds.is_timestamp(kind) or kinds.is_date(kind) or "period" in str(kind)
        if kinds.is_string(kind) or kinds.is_large_string(kind):
            batches = file.iter_batches(batch_size=1, columns=[level])
            first = next((batch.column(0)[0].as_py() for batch in batches if len(batch)), None)
            dated = first is not None and _DATE.match(first) is not None
        if dated and not level.startswith(_UNNAMED):
            return level, level
        if dated and "time" not in map(str.lower, schema.names):
            return level, "time"
    return None, None


def _by_case(columns: Collection[str], text: Collection[str]) -> bool:
    """Check whether a table has a row for each case: its rows and times mean something else."""
    return "label" in text and "case" not in {name.strip().lower() for name in columns}


@dataclass(frozen=True)
class _Header:
    """The names of the columns of a CSV file, and where its rows begin."""

    line: str
    """The line as it stands there."""
    columns: list[str]
    separator: str
    start: int
    """Position of the first row."""
    number: int
    """Number of the line before the first row."""
    n_remarks: int
    """How many remarks stand above it."""
    n_above: int
    """How many other lines do."""


def csv_frame(
    content: str,
    *,
    text: Collection[str] = (),
    separators: str = SEPARATORS,
    names: Sequence[str] | None = None,
) -> Any:
    """Make a data frame of the text of a CSV file; as `read_frame`.

    `names` are for the columns of a file that may lack a header; () calls them 1, 2, and so on.
    Without it, the first line is a header whatever it is like.
    """
    pandas = optional("pandas", "tables")
    pyarrow = optional("pyarrow", "tables")
    compute = optional("pyarrow.compute", "tables")
    header = _header(content, separators, names)
    by_case = _by_case(header.columns, text)
    columns = _names(header, dated=not by_case and _begins_with_date(content, header))
    _check_names(columns)
    if not header.line and not names:
        logger.info(
            "It has no header: its columns are called %s (--log.names gives other names).",
            f"{listed(columns[:3])} ... {columns[-1]}" if len(columns) > 4 else listed(columns),
        )
    rows, lines = _rows(
        content, header, [] if by_case else _units(content, header, columns), by_case
    )
    if not rows:
        return pandas.DataFrame(columns=columns)
    kept = [name for name in columns if name.lower() in text]
    if header.separator in ",;\t" and '"' in rows and re.search(f'{header.separator} +"', rows):
        rows = _even(rows, header.separator, len(columns), len(header.columns), lines)
    table, rows = _table(rows, columns, header, lines, kept)
    texts = [f.name for f in table.schema if pyarrow.types.is_string(f.type) and f.name not in kept]
    commas = any(
        compute.any(
            compute.match_substring_regex(compute.utf8_trim_whitespace(table[name]), _COMMA)
        ).as_py()
        for name in texts
    )
    if commas or any(mark in rows for mark in _LAX):
        table, _ = _table(rows, columns, header, lines, columns)
        texts = [name for name in columns if name not in kept]
    else:
        _warn_of_thousands(table, rows, columns, header, lines)
    arrays = {name: table[name] for name in columns}
    given = {name: table[name].combine_chunks() for name in texts}
    for name, array in (_with_points(given, lines, header.separator) if commas else given).items():
        values = text_numbers(array)
        arrays[name] = array if values is None else pyarrow.array(values)
    for name, array in arrays.items():
        if pyarrow.types.is_null(array.type):
            arrays[name] = pyarrow.array([float("nan")] * len(array))
    frame = pyarrow.table(arrays).to_pandas()
    if len(lines) == len(frame):  # else some field has several lines
        frame.index = pandas.Index(lines, name=LINE)
    return frame


def header_of(
    content: str, separators: str = SEPARATORS, names: Sequence[str] | None = None
) -> list[str]:
    """Return the names of the columns of the text of a CSV file, be they fit for that or not.

    `names` are as in `csv_frame`.

    Raises
    ------
    ValueError
        There are none.
    """
    header = _header(content, separators, names)
    return _names(header, dated=_begins_with_date(content, header))


def _header(content: str, separators: str, wanted: Sequence[str] | None) -> _Header:
    """Find the header: where a table with times begins, or else the first line but for remarks.

    If that is no header, a remark above it is one that has as many names as the row has fields;
    or else columns are called as is wanted, if anything is.
    """
    lines: list[tuple[str, int, int]] = []  # with the position of their ends, and their numbers
    start, number, first = 0, 0, None
    while start < len(content) and (
        first is None or (len(lines) < first + _MOST_ABOVE and start < 2**20)
    ):
        end = content.find("\n", start)
        end = len(content) if end < 0 else end
        line, start, number = content[start:end], end + 1, number + 1
        named = re.fullmatch(r'"?sep=([^ ])"?', line)  # as spreadsheets write
        if first is None and named:
            separators = named[1]
        elif line.strip():
            lines.append((line, end, number))
            if first is None and not _is_remark(line):
                below = _first_rows(content, start)
                if not line.startswith(_PERHAPS) or any(
                    _n_fields(line, below, separator) for separator in separators.replace(" ", "")
                ):
                    first = len(lines) - 1

    def found(k: int, text: str, separator: str) -> _Header:
        line, end, number = lines[k]
        n_above = sum(not _is_remark(each) for each, _, _ in lines[first:k])
        fields = _fields(text, separator)
        _check_wanted(_trimmed(fields), wanted)
        return _Header(line, fields, separator, end + 1, number, k - n_above, n_above)

    for bare in (False, True):
        for k, (line, end, _) in enumerate(lines):
            if bare and not line.lstrip(' "').startswith((*_REMARKS, *_PERHAPS)):
                continue
            text = _bare(line) if bare else line
            separator = _begins_table(text, _first_rows(content, end + 1), separators)
            if separator is None:
                continue
            if first is not None and _hold_data([each for each, _, _ in lines[first:k]], separator):
                break
            return found(k, text, separator)
    row = lines[first][0] if first is not None else ""
    for k, (line, _, _) in enumerate(lines[:first]):
        text = _bare(line)
        separator = _separator(text, [row], separators)
        names, fields = _fields(text, separator), _fields(row, separator)
        fits = 1 < len(names) == len(fields) and not any(map(_is_value, names))
        if (fits and any(map(_is_value, fields))) or names[:1] == ["EventID"]:  # perhaps no row
            return found(k, text, separator)
    if first is None:
        raise ValueError("it is empty; expected a header and rows below it")
    line, end, number = lines[first]
    separator = None
    if wanted is not None:
        below = _first_rows(content, end + 1)
        separator = _lacks_header(line, below, separators, sure=bool(wanted))
    if wanted is not None and separator is not None:
        columns = _wanted_names(_trimmed(_fields(line, separator)), wanted)
        start = end - len(line)
        return _Header("", columns, separator, start, number - 1, first, 0)
    return found(first, line, _separator(line, _first_rows(content, end + 1), separators))


def _check_wanted(columns: list[str], wanted: Sequence[str] | None) -> None:
    if wanted and list(wanted) != columns:
        raise ValueError(
            f"it has a header, its columns are {listed(columns)}: leave out the names"
            " (--log.names), which are for files without one"
        )


def _wanted_names(row: list[str], wanted: Sequence[str]) -> list[str]:
    """Name the columns of a file without a header as is wanted, or by their positions."""
    if wanted:
        if len(wanted) != len(row):
            raise ValueError(
                f"it has {len(row)} columns and no header, but {len(wanted)} names are given"
                f" (--log.names); its first row is {listed(row)}"
            )
        return list(wanted)
    dated = [k for k, field in enumerate(row) if _is_date(field)]
    names = [str(k) for k in range(1, len(row) + 1)]
    clock = [k for k in dated if re.match("[0-9]{1,2}:", row[k])]
    if len(dated) == 1:
        names[dated[0]] = "time"
    elif len(clock) == 1 and dated == [clock[0] - 1, clock[0]]:
        names[clock[0] - 1 : clock[0] + 1] = "date", "time"
    return names


def _lacks_header(line: str, below: list[str], separators: str, *, sure: bool) -> str | None:
    """Return the separator of a first line that is a row of values; None where it names columns.

    All of its fields are values, or one is a date above others. Numbers may be names, too, as years
    and positions are, unless it is sure that there are none.
    """
    found: list[tuple[bool, int, str]] = []
    for separator in sorted(separators, key=";\t|, ".find):
        row = _trimmed(_fields(line, separator))
        rows = [_fields(each, separator) for each in below]
        if not all(len(_trimmed(each)) <= len(row) <= max(len(each), 1) for each in rows):
            continue
        values = [_is_numeric(field) or _is_date(field) for field in row]
        alike = any(values) and all(v or f in MISSING for v, f in zip(values, row, strict=True))
        dated = any(
            _is_date(field) and rows and all(k < len(each) and _is_date(each[k]) for each in rows)
            for k, field in enumerate(row)
        )
        if alike or dated:
            found.append((alike, len(row), separator))
    _, _, best = max(found, key=lambda each: each[:2], default=(False, 0, None))
    return None if best is None or (not sure and _are_names(line, below, best)) else best


def _is_date(field: str) -> bool:
    """Check whether a field is a date or a time of day, and no two fields."""
    dated = _DATE.match(field) and re.fullmatch(r"[^,;|\t]*(,[0-9]+Z?)?", field)
    return dated is not None and not is_number(field)


def _are_names(line: str, below: list[str], separator: str) -> bool:
    """Check whether values may be the names of columns: years, positions or dates, unlike the rows.

    Years are different whole numbers of 1900 to 2100, positions three or more in equal steps, from
    which the first column does not count on.
    """
    row = _trimmed(_fields(line, separator))
    rows = [_fields(each, separator) for each in below]
    given = [field for field in row if field not in MISSING]
    if all(map(_is_date, given)):
        return len(given) > 1 and not all(_is_date(each[-1]) for each in rows if each)
    if not all(map(_is_numeric, given)) or not rows:
        return False

    def regular(fields: list[str]) -> bool:
        values = [float(f.replace(",", ".")) for f in fields if _is_numeric(f)]
        if len(values) < 2 or len(values) < len(given):
            return False
        years = all(1900 <= value <= 2100 and value.is_integer() for value in values)
        steps = [b - a for a, b in pairwise(values)]
        even = len(values) > 2 and steps[0] != 0
        even = even and all(abs(step - steps[0]) <= 1e-6 * abs(steps[0]) for step in steps)
        return (years and len(set(values)) == len(values)) or even

    if not regular(given) or all(map(regular, rows)):
        return False
    first = [each[0] for each in (row, *rows)]
    if not all(map(_is_numeric, first)):
        return True
    counts = [float(b.replace(",", ".")) - float(a.replace(",", ".")) for a, b in pairwise(first)]
    return len(counts) < 2 or counts[0] == 0 or any(step != counts[0] for step in counts)


def _is_remark(line: str) -> bool:
    """Check whether a line begins as a remark, be it indented or quoted."""
    text = line.lstrip()
    quoted = text.startswith('"') and text.count('"') % 2 == 0
    return (text[1:].lstrip() if quoted else text).startswith(_REMARKS)


def _bare(remark: str) -> str:
    """Leave out what makes a line a remark."""
    return remark.lstrip("#/;%!*- \t")


def _begins_table(line: str, below: list[str], separators: str) -> str | None:
    """Return the separator of a line that names times and fits the rows below; None of others."""
    if not re.search("time|date|year", line, re.IGNORECASE):
        return None
    separator = _separator(line, below, separators)
    names, rows = _fields(line, separator), [_fields(row, separator) for row in below]
    n_units = next((k for k, row in enumerate(rows) if any(map(_is_value, row))), None)
    fits = (
        n_units is not None
        and _n_fields(line, below, separator)
        and _names_times(names)
        and not any(map(_names_times, rows[:n_units]))
        and (names[0] == "#" or not names[0].startswith((*_REMARKS, *_PERHAPS)))
    )
    return separator if fits else None


def _names_times(fields: list[str]) -> bool:
    """Check whether fields may be a header that names times: Time [s], or Date Time, GMT."""
    names = [re.split(r"[,(\[]", field)[0] for field in fields]
    return bool(time_names(names)) and not any(map(_is_value, fields))


def _hold_data(lines: list[str], separator: str) -> bool:
    """Check whether some of the lines above a table may be rows of another, below the first."""
    rows = [_fields(line, separator) for line in lines if not _is_remark(line)]
    n_values = [sum(map(_is_value, row)) for row in rows]
    return any(
        n > 1
        and (
            _is_value(row[0])
            or (not n_values[0] and (len(row) == len(rows[0]) or _names_times(rows[0])))
        )
        for row, n in zip(rows, n_values, strict=True)
    )


def _first_rows(content: str, start: int) -> list[str]:
    """Return the first lines from a position on that are certainly no remarks."""
    lines = _first_lines(content, start, 8)
    return [line for line in lines if not line.startswith(_PERHAPS)][:4]


def _first_lines(content: str, start: int, most: int = 4) -> list[str]:
    """Return the first lines from a position on that are neither empty nor remarks."""
    found: list[str] = []
    while start < len(content) and len(found) < most:
        end = content.find("\n", start)
        end = len(content) if end < 0 else end
        line = content[start:end]
        if line.strip() and not _is_remark(line):
            found.append(line)
        start = end + 1
    return found


def _separator(header: str, below: list[str], separators: str) -> str:
    """Choose what makes as many fields of the rows as of the header, else what that has most of.

    Commas, which names and decimals may have, come last of those that make equally many; spaces
    are chosen only where the header has no other, and rows fit.
    """
    bare = re.sub(r'"[^"]*"', "", header)
    found = [separator for separator in separators.replace(" ", "") if separator in bare]
    if found or " " not in separators:
        sizes = {separator: _n_fields(header, below, separator) for separator in found}
        fitting = max(found, key=lambda each: (sizes[each], each != ","), default=separators[0])
        return fitting if sizes.get(fitting) else max(separators.replace(" ", ""), key=bare.count)
    best = separators[0]
    rows = [line.split() for line in below]
    n = len(header.split())
    ends = [row[-1] for row in rows if len(row) == n > 1]
    return " " if any(field in MISSING or _is_value(field) for field in ends) else best


def _n_fields(header: str, below: list[str], separator: str) -> int:
    """Count the fields of a header, empty ones at the end aside; 0 if rows have another number."""
    n = len(_trimmed(_fields(header, separator)))
    rows = [_fields(line, separator) for line in below]
    fit = all(len(_trimmed(row)) <= n <= len(row) for row in rows)
    return n if n > 1 and rows and fit else 0


def _trimmed(fields: list[str]) -> list[str]:
    """Leave out the empty fields that trailing separators make."""
    n = len(fields)
    while n > 1 and not fields[n - 1]:
        n -= 1
    return fields[:n]


def _fields(line: str, separator: str) -> list[str]:
    """Take one line apart."""
    if separator == " ":
        return line.split()
    if separator == "|":  # FDSN: names may hold quotes
        return [field.strip(' \t"') for field in line.split("|")]
    reader = csv.reader([line], delimiter=separator, skipinitialspace=True)
    return [field.strip() for field in next(reader, [])]


def _is_numeric(field: str) -> bool:
    """Check whether text is a number, with a point or a comma, that is not missing."""
    return field not in MISSING and (is_number(field) or re.match(_COMMA, field) is not None)


def _is_value(field: str) -> bool:
    """Check whether a field is a number or a time."""
    return _is_numeric(field) or _DATE.match(field) is not None


def _begins_with_date(content: str, header: _Header) -> bool:
    """Check whether the first column is an index with times: it has none but dates for a name."""
    if header.columns[0] or "time" in map(str.lower, header.columns):
        return False
    rows = [_fields(line, header.separator) for line in _first_lines(content, header.start)]
    return any(row and _DATE.match(row[0]) and not is_number(row[0]) for row in rows)


def _names(header: _Header, *, dated: bool) -> list[str]:
    """Leave out what trailing separators make, and name an index with times."""
    return _trimmed(["time", *header.columns[1:]] if dated else header.columns)


def _check_names(columns: list[str]) -> None:
    """Refuse names that are none, or not different."""
    seen: set[str] = set()
    for number, name in enumerate(columns, start=1):
        if not name:
            raise ValueError(
                f"column {number} has no name; give it one, or write the table without its row"
                " numbers (pandas: index=False)"
            )
        if name in seen:
            raise ValueError(f"two of its columns are called {name!r}; give them different names")
        seen.add(name)


def _rows(
    content: str, header: _Header, units: list[str], by_case: bool
) -> tuple[str, Sequence[int]]:
    """Leave out what are no rows below the header; return the rows and their lines in the file."""
    separator, body = header.separator, "\n" + content[header.start :].rstrip("\n")
    blanks = " \t" if separator == " " else f"{separator} \t"
    marks = rf'[\n{re.escape(blanks)}#/;%!*]|--|"\s*[#/]'
    odd = re.search(f"\n(?:{marks})", body) or (header.line and f"\n{header.line}" in body)
    out = Counter({"remarks": header.n_remarks, "lines above the header": header.n_above})
    lines: Sequence[int]
    if odd:
        rows, lines = _without_odd(body, header, blanks, units, by_case, out)
    else:
        rows = body.split("\n", len(units) + 1)[-1]
        if separator == " ":
            rows = re.sub(r"[ \t]+", "\t", re.sub(r"[ \t]+(?=\n|$)", "", rows))
        start = header.number + 1 + len(units)
        lines = range(start, start + rows.count("\n") + 1)
    found = [f"{what} ({count:,})" for what, count in out.items() if count]
    if found:
        logger.info("Left out of the file: %s.", ", ".join(found))
    if units:
        logger.info("Left out below the header, for want of numbers: %s.", " and ".join(units))
    return rows, lines


def _without_odd(
    body: str, header: _Header, blanks: str, units: list[str], by_case: bool, out: Counter[str]
) -> tuple[str, list[int]]:
    """Leave out units, remarks, repeated headers and rows of separators alone; count in `out`."""
    columns, separator = header.columns, header.separator
    quoting = '"' in body and separator != "|"
    named = columns[0].lower() in TEXT_COLUMNS  # a case may be called #1
    kept: list[str] = []
    lines: list[int] = []
    inside, behind = False, True  # of a quoted field; the header
    for number, line in enumerate(body[1:].split("\n"), start=header.number + 1):
        bare = line.strip(blanks)
        if inside:
            pass
        elif not bare and not (by_case and line.strip()):
            out["rows of separators alone"] += bool(line.strip())
            continue
        elif line == header.line:
            out["lines that repeat the header"] += 1
            behind = True
            continue
        elif behind and line in units:
            out["units that repeat"] += bool(kept)
            continue
        elif (
            _is_remark(line)
            and not (named and len(_fields(line, separator)) == len(columns))
            and _fields(line, separator)[0] not in MISSING  # #N/A
        ) or (line.startswith(_PERHAPS) and _is_no_row(line, header, named or by_case)):
            out["remarks"] += 1
            continue
        behind = False
        if quoting and line.count('"') % 2:
            inside = not inside
        kept.append("\t".join(line.split()) if separator == " " else line)
        lines.append(number)
    while by_case and kept and not kept[-1].strip(blanks):
        out["rows of separators alone"] += bool(kept.pop())
        lines.pop()
    return "\n".join(kept), lines


def _is_no_row(line: str, header: _Header, of_cases: bool) -> bool:
    """Check whether a line has no numbers or times, and other fields than the header."""
    fields = _fields(line, header.separator)
    n = len(_trimmed(header.columns))
    fits = len(_trimmed(fields)) <= n <= len(fields)
    words = not of_cases and not any(field in MISSING for field in fields[1:])
    return not any(map(_is_value, fields)) and (words or not fits)


def _units(content: str, header: _Header, columns: list[str]) -> list[str]:
    """Find the lines below the header that have text alone, such as units, before numbers.

    A unit may be 1 in a row without a time, beside others that stand above numbers.
    """
    if not header.line:
        return []
    lines = _first_lines(content, header.start, 20)
    lines = list(takewhile(lambda line: line.count('"') % 2 == 0, lines))  # no field of several
    rows = [_fields(line, header.separator) for line in lines]
    at = next((columns.index(name) for name in time_names(columns)), None)

    def has_numbers(column: int, below: int) -> bool:
        return any(_is_numeric(row[column]) for row in rows[below:] if column < len(row))

    def is_text(k: int) -> bool:
        values = {field for field in rows[k] if _is_value(field)}
        words = [column for column, field in enumerate(rows[k]) if not is_number(field)]
        if not words or (at is not None and rows[k][at : at + 1] and rows[k][at][:1].isdigit()):
            return False  # a time of whatever form
        alike = at is not None and all(has_numbers(column, k + 1) for column in {*words} - {at})
        return not values or (values == {"1"} and alike)

    n = sum(1 for _ in takewhile(is_text, range(len(rows))))
    below = any(
        _is_numeric(field) or (column == at and _is_value(field))
        for row in rows[n:]
        for column, field in enumerate(row)
    )
    return lines[:n] if below and n <= _MOST_UNITS else []


def _table(
    rows: str, columns: list[str], header: _Header, lines: Sequence[int], text: Collection[str]
) -> tuple[Any, str]:
    """Read rows as an Arrow table, those columns as text that are named; return even rows, too."""
    pyarrow = optional("pyarrow", "tables")
    arrow = optional("pyarrow.csv", "tables")
    longest = max(map(len, rows.split("\n")))
    separator = "\t" if header.separator == " " else header.separator
    try:
        table = arrow.read_csv(
            io.BytesIO(rows.encode()),
            read_options=arrow.ReadOptions(
                column_names=columns, block_size=max(2**22, 8 * longest)
            ),
            parse_options=arrow.ParseOptions(
                delimiter=separator,
                quote_char=False if separator == "|" else '"',  # FDSN: names may hold quotes
                newlines_in_values=separator != "|",
            ),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(text, pyarrow.string()),
                null_values=list(MISSING),
                timestamp_parsers=["no dates"],
            ),
        )
    except pyarrow.ArrowInvalid as error:
        even = _even(rows, separator, len(columns), len(header.columns), lines)
        if even == rows:
            raise ValueError(str(error)) from error
        return _table(even, columns, header, lines, text)
    return table, rows


def _even(rows: str, separator: str, n_columns: int, n_header: int, lines: Sequence[int]) -> str:
    """Cut off the empty fields that trailing separators make; refuse rows of other lengths."""
    options: dict[str, Any] = {"delimiter": separator, "skipinitialspace": True}
    if separator == "|":
        options |= {"quoting": csv.QUOTE_NONE, "quotechar": None}
    even = io.StringIO()
    writer = csv.writer(even, lineterminator="\n", **options)
    reader = csv.reader(io.StringIO(rows), **options)
    for row in filter(None, reader):
        surplus = [k for k, field in enumerate(row, start=1) if k > n_columns and field.strip()]
        if surplus and len(row) <= n_header:
            raise ValueError(f"column {surplus[0]} has no name; give it one")
        if surplus or len(row) < n_columns:
            raise ValueError(
                f"line {lines[reader.line_num - 1]} has {len(row)} fields, the header has"
                f" {n_columns}; leave unknown fields empty"
            )
        writer.writerow(row[:n_columns])
    return even.getvalue().rstrip("\n")


def _with_points(
    texts: dict[str, Any], lines: Sequence[int], separator: str | None
) -> dict[str, Any]:
    """Write decimal commas as points, if more decimals of a file have commas than points.

    Where commas separate the fields, too, or nothing does, text remains what it is in case of
    doubt, as for "1,013". Elsewhere commas that all stand before three digits are of decimals.

    Raises
    ------
    ValueError
        A column of numbers has points, too, which may separate thousands; or its commas may, since
        they stand before three digits, beside whole numbers.
    """
    compute = optional("pyarrow.compute", "tables")
    unusual = separator in (",", None)
    columns = {name: compute.utf8_trim_whitespace(array) for name, array in texts.items()}
    commas = {n: compute.match_substring_regex(column, _COMMA) for n, column in columns.items()}
    points = {n: compute.match_substring_regex(column, _POINT) for n, column in columns.items()}
    n_commas, n_points = (
        sum(each.true_count for each in found.values()) for found in (commas, points)
    )
    if n_commas < n_points:
        return texts
    some = next(name for name in columns if commas[name].true_count)
    example = columns[some].filter(commas[some])[0].as_py()
    pointed = {}
    for name, column in columns.items():
        replaced = compute.replace_substring(column, ",", ".")
        pointed[name] = compute.if_else(commas[name], replaced, column)
        if points[name].true_count and text_numbers(pointed[name]) is not None:
            if unusual:
                return texts
            at = compute.index(points[name], True).as_py()
            raise ValueError(
                f"the column {name!r} has {column[at].as_py()[:40]!r} in"
                f" {_place(lines, column, at)}, in a file with decimal commas ({example}); write"
                " all numbers that way, and thousands without separators"
            )
    settled = doubtful = False
    for name, column in columns.items():
        if not commas[name].true_count or text_numbers(pointed[name]) is None:
            continue
        thousands = compute.match_substring_regex(column, _THOUSANDS)
        alone = compute.all(compute.equal(thousands, commas[name])).as_py()
        settled, doubtful = settled or not alone, doubtful or alone
        whole = compute.any(compute.match_substring_regex(column, _WHOLE)).as_py()
        if alone and whole:
            if unusual:
                return texts
            at = compute.index(commas[name], True).as_py()
            raise ValueError(
                f"the column {name!r} has {column[at].as_py()!r} in {_place(lines, column, at)},"
                " beside whole numbers: its commas seem to separate thousands; write thousands"
                " without separators, or, if these are decimals, with points"
            )
    if doubtful and not settled:
        if unusual:
            return texts
        logger.warning(
            "All of its commas stand before three digits; they are taken for those of decimals, %s"
            " is %s. If they separate thousands, write these without.",
            example,
            float(example.replace(",", ".")),
        )
    logger.info("Its decimals have commas: %s is %s.", example, float(example.replace(",", ".")))
    return pointed


def _place(lines: Sequence[int], column: Any, at: int) -> str:
    return f"line {lines[at]}" if len(lines) == len(column) else f"row {at + 1}"


def _warn_of_thousands(
    table: Any, rows: str, columns: list[str], header: _Header, lines: Sequence[int]
) -> None:
    """Warn of points before three digits, beside whole numbers, that are all a file has."""
    types = optional("pyarrow", "tables").types
    compute = optional("pyarrow.compute", "tables")
    names = [field.name for field in table.schema if types.is_floating(field.type)]
    if header.separator == "," or not names:
        return
    for name in names:  # numbers below a thousand, in thousandths
        size = compute.abs(table[name])
        rest = compute.subtract(size, compute.round(size, 3))
        if not compute.all(compute.and_(compute.less(size, 1000), compute.equal(rest, 0))).as_py():
            return
    texts, _ = _table(rows, columns, header, lines, names)
    found: dict[str, str] = {}
    for name in names:
        column = compute.utf8_trim_whitespace(texts[name])
        points, thousands, whole = (
            compute.match_substring_regex(column, pattern)
            for pattern in (_POINT, _THOUSANDS, _WHOLE)
        )
        if not compute.all(compute.equal(points, thousands)).as_py():
            return
        if compute.any(points).as_py() and compute.any(whole).as_py():
            found[name] = column[compute.index(points, True).as_py()].as_py()
    for name, example in found.items():
        logger.warning(
            "The column %r has %s beside whole numbers: it is read as %s. If points separate"
            " thousands, write these without.",
            name,
            example,
            float(example),
        )
