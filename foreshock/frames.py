"""Data frames out of CSV and Parquet files, and the times in them.

A file is refused where a row has more or fewer fields than the header, where its times are not
all of one kind, or where it unpacks to more than memory should hold.
"""

import contextlib
import csv
import gzip
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from foreshock.extras import optional
from foreshock.sources import Unit
from foreshock.tables import MISSING, listed

MAX_UNPACKED = 4 * 2**30
"""Most bytes that a .gz file may unpack to."""

_OFFSET = r"(Z|z|UTC|GMT|[+-]\d\d:?(?:\d\d)?)$"
_ZONED = rf":\d\d(?:[.,]\d*)? ?{_OFFSET}"  # after a time of day: 2026-11-23 ends in no offset


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into one ValueError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; check its name.") from None
    except (OSError, EOFError, ValueError, NotImplementedError, MemoryError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"cannot read {path}: {reason.rstrip('.')}.") from error


def read_text(path: Path) -> str:
    """Read a text file, packed by gzip or not, in UTF-8 or else Latin-1; lines end in newlines.

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
            raise ValueError(f"{error}; fetch it again") from error
        if len(content) > MAX_UNPACKED:
            raise ValueError(f"it unpacks to more than {MAX_UNPACKED // 2**30} GiB; cut it up")
    else:
        content = path.read_bytes()
    if b"\0" in content[:4096]:
        raise ValueError("it is not text; is its ending right?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_frame(path: Path, *, text: Collection[str] = (), separators: str = ",;\t") -> Any:
    """Read a CSV or Parquet file.

    Parameters
    ----------
    path
        A file ending in .parquet; any other is CSV, packed by gzip or not.
    text
        Columns, in small letters, that stay text in a CSV file, "" where empty; others are
        numbers where all of their values are numbers or missing.
    separators
        What may separate the fields of a CSV file: the one that its header has most of.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ValueError
        The file is malformed, with the reason; or has no row or no column.
    """
    optional("pandas", "tables")
    pyarrow = optional("pyarrow", "tables")
    if path.suffix.lower() == ".parquet":
        parquet = optional("pyarrow.parquet", "tables")
        try:
            frame = parquet.ParquetFile(path).read().to_pandas(ignore_metadata=True)
        except pyarrow.ArrowException as error:
            raise ValueError(f"{error}; write it again") from error
        unnamed = [name for name in frame.columns if name.startswith("__index_level_")]
        return frame.drop(columns=unnamed)
    return csv_frame(read_text(path), text=text, separators=separators)


def csv_frame(content: str, *, text: Collection[str] = (), separators: str = ",;\t") -> Any:
    """Make a data frame of the text of a CSV file; as `read_frame`."""
    pandas = optional("pandas", "tables")
    pyarrow = optional("pyarrow", "tables")
    arrow = optional("pyarrow.csv", "tables")
    content = content.strip("\n")
    columns = header_of(content, separators)
    separator = _separator(content, separators)
    if separator == "|":  # some services end with remarks
        first, *rest = content.split("\n")
        content = "\n".join([first, *(line for line in rest if not line.startswith("#"))])
    if "\n" not in content:
        return pandas.DataFrame(columns=columns)
    longest = max(map(len, content.split("\n")))
    try:
        table = arrow.read_csv(
            io.BytesIO(content.encode()),
            read_options=arrow.ReadOptions(
                column_names=columns, skip_rows=1, block_size=max(2**22, 8 * longest)
            ),
            parse_options=arrow.ParseOptions(
                delimiter=separator,
                quote_char=False if separator == "|" else '"',  # FDSN: names may hold quotes
                newlines_in_values=separator != "|",
            ),
            convert_options=arrow.ConvertOptions(
                column_types={name: pyarrow.string() for name in columns if name.lower() in text},
                null_values=list(MISSING),
                timestamp_parsers=["no dates"],
            ),
        )
    except pyarrow.ArrowInvalid as error:
        raise ValueError(_ragged(content, separator, len(columns)) or str(error)) from error
    fields = [
        field.with_type(pyarrow.float64()) if pyarrow.types.is_null(field.type) else field
        for field in table.schema
    ]
    return table.cast(pyarrow.schema(fields)).to_pandas()


def header_of(content: str, separators: str = ",;\t") -> list[str]:
    """Give the names of the columns of the text of a CSV file.

    Raises
    ------
    ValueError
        There are none, or two are alike.
    """
    header = content.strip("\n").partition("\n")[0]
    if not header.strip():
        raise ValueError("it is empty; expected a header and rows below it")
    fields = next(csv.reader([header], delimiter=_separator(content, separators)))
    columns = [name.strip() for name in fields]
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
    return columns


def _separator(content: str, separators: str) -> str:
    return max(separators, key=content.strip("\n").partition("\n")[0].count)


def _ragged(content: str, separator: str, n_columns: int) -> str | None:
    """Name the first row that has another number of fields than the header."""
    rows = csv.reader(content.split("\n"), delimiter=separator, skipinitialspace=True)
    for row in rows:
        if row and len(row) != n_columns:
            return (
                f"line {rows.line_num} has {len(row)} fields, the header has {n_columns}; leave"
                " fields empty where nothing is known"
            )
    return None


def utc_times(
    column: Any, *, unit: Unit | None = None, timezone: str | None = None
) -> NDArray[np.datetime64]:
    """Read a column of times, all of one kind: with one offset, with none, or numbers.

    Parameters
    ----------
    column : pandas.Series
        ISO 8601 text (2003-12-31T22:57:01Z), dates with slashes in that order, times of a data
        frame, or numbers.
    unit
        What numbers count, since 1970-01-01T00:00:00Z; without it numbers are refused.
    timezone
        Where clocks stand whose times name no offset, such as Europe/Paris; None is UTC. The
        hour that the end of summer time repeats is told apart by the order of the rows.

    Returns
    -------
    ndarray
        Times, (n_rows,) datetime64[us], UTC.

    Raises
    ------
    ValueError
        A time is missing or unreadable, or they are of several kinds; with the first such row.
    """
    pandas = optional("pandas", "tables")
    if timezone is not None:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{timezone!r} is no time zone, such as Europe/Paris") from error
    if pandas.api.types.is_numeric_dtype(column.dtype):
        times = _from_numbers(column, unit)
    elif unit is not None:
        raise ValueError(f"its times are no numbers of {unit}, the first is {column.iloc[0]!r:.40}")
    elif isinstance(column.dtype, pandas.DatetimeTZDtype) or column.dtype.kind == "M":
        times = pandas.DatetimeIndex(column)
    else:
        times = _from_text(column.astype(str).str.strip(), timezone)
    if times.isna().any():
        at = int(times.isna().argmax())
        raise ValueError(
            f"row {at + 1} has the time {str(column.iloc[at])!r:.40}, expected a date like"
            " 2026-11-23T12:00:00Z"
        )
    if timezone is not None and times.tz is None:
        times = _localized(times, timezone)
    if times.tz is not None:
        times = times.tz_convert("UTC").tz_localize(None)
    utc: NDArray[np.datetime64] = times.to_numpy().astype("datetime64[us]")
    return utc


def _from_numbers(column: Any, unit: Unit | None) -> Any:
    pandas = optional("pandas", "tables")
    if unit is None:
        raise ValueError(
            f"its times are numbers, the first is {column.iloc[0]}; say what they count since 1970"
            " (--log.unit s, ms, us or ns), or write dates"
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    whole = column.dtype.kind in "iu"
    micro = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[unit]
    counted = column.to_numpy() * int(micro) if whole and micro >= 1 else values * micro
    if (np.abs(values) * micro > 2**53).any():  # the year 2255
        raise ValueError(f"its times are no {unit} since 1970: {values[0]:.17g}; check the unit")
    times = pandas.to_datetime(np.rint(counted), unit="us", errors="coerce")
    return pandas.DatetimeIndex(times)


def _localized(times: Any, timezone: str) -> Any:
    """Say where the clocks stand, and refuse times that they never show, or show twice."""
    try:
        return times.tz_localize(timezone, ambiguous="infer", nonexistent="raise")
    except ValueError as error:
        for fault, options in (
            ("never shown there, as summer time begins", {"nonexistent": "NaT", "ambiguous": True}),
            ("shown there twice, as summer time ends", {"ambiguous": "NaT", "nonexistent": "NaT"}),
        ):
            bad = times.tz_localize(timezone, **options).isna()
            if bad.any():
                raise ValueError(
                    f"{int(bad.sum())} of its times are {fault}, {times[bad.argmax()]} for one;"
                    " write them with their offset from UTC"
                ) from error
        raise


def _from_text(texts: Any, timezone: str | None) -> Any:
    pandas = optional("pandas", "tables")
    zoned = texts.str.contains(_ZONED.replace("(Z", "(?:Z"))
    if zoned.any() and not zoned.all():
        at = int((~zoned).argmax())
        raise ValueError(
            f"{int(zoned.sum())} of its times name an offset from UTC and {int((~zoned).sum())} do"
            f" not, row {at + 1} for one; write all with Z, or none"
        )
    other = texts[zoned & ~texts.str.endswith("Z")]
    if len(other):
        ends = {*other.str.extract(_OFFSET)[0], *("Z" if len(other) < len(texts) else ())}
        offsets = sorted({_plain_offset(end) for end in ends})
        if len(offsets) > 1 and not (timezone and _offsets_are_of(timezone, texts)):
            raise ValueError(
                f"its times have {len(offsets)} offsets from UTC ({listed(offsets)}); write all in"
                " UTC, or, if they are those of winter and summer, say where (--log.timezone"
                " Europe/Paris)"
            )
        texts = texts.str.replace(r" ?(UTC|GMT|z)$", "Z", regex=True)
    if len(texts) and texts.str.contains("/", regex=False).all():  # NCEDC: 1967/07/19 20:49:08.07
        if not texts.str.match(r"\d{4}/").all():
            raise ValueError(
                f"its dates are ambiguous, {texts.iloc[0]!r:.40}; write the year first, 2026-11-23"
            )
        texts = texts.str.replace("/", "-", regex=False)
    times = pandas.to_datetime(texts, format="ISO8601", errors="coerce", utc=bool(zoned.any()))
    return pandas.DatetimeIndex(times)


def _offsets_are_of(timezone: str, texts: Any) -> bool:
    """Tell whether all times have the offset that clocks in a time zone had then."""
    pandas = optional("pandas", "tables")
    times = pandas.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
    there = times.dt.tz_convert(timezone).dt.tz_localize(None)
    shown = pandas.to_datetime(
        texts.str.replace(" ?" + _OFFSET, "", regex=True), format="ISO8601", errors="coerce"
    )
    return bool((shown == there).all())


def _plain_offset(text: str) -> str:
    """Write an offset from UTC as +01:00, or Z where it is none."""
    digits = re.sub(r"\D", "", text).ljust(4, "0")
    return "Z" if digits == "0000" else f"{text[0]}{digits[:2]}:{digits[2:]}"
