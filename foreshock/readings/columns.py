"""Columns of data frames: as numbers, and as times.

There is one notion of a number and one of a time for all files, whatever the type of a column is.
What is none is refused, with the value and its place.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from foreshock._optional import optional
from foreshock._text import decoded, id_text, label_text, listed

logger = logging.getLogger(__name__)

Unit = Literal["s", "ms", "us", "ns", "count"]
Dates = Literal["day-first", "month-first"]

MISSING = (
    "", "?", "-", "--", "---", "na", "NA", "n/a", "N/A", "#NA", "#N/A", "<NA>", "nan", "NaN", "NAN",
    "null", "Null", "NULL", "none", "None", "NONE", "NaT", "1.#QNAN", "-1.#QNAN", "1.#IND",
    "-1.#IND", "nan(ind)", "-nan(ind)", "nan(snan)",
)  # fmt: skip
"""What stands in a file for a value that is missing, spaces aside."""
TIMES = ("time", "timestamp", "datetime", "date time", "date/time", "date")
"""Columns that hold times where none is named, the preferred ones first."""
COUNTS = ("cycle", "cycles", "time_cycles", "time_in_cycles", "time cycles", "time in cycles")
"""Columns that number readings where none is named."""
MOST_TEXTS = 20
"""Most different texts of a column that become a channel each."""
LINE = "line"
"""Name of a data frame's index that has the rows' lines in the file."""

_BLANKS = " \t\r\n\v\f\u00a0"
_LIKE_NUMBER = re.compile(
    r"[+-]?[\d.,_' ]*\d[\d.,_' ]*(?:[eE][+-]?\d+)?\s*\D{0,6}|0[xX][0-9a-fA-F]+"
)
"""Of numbers with separators, a unit behind them, or digits of another script: 1_000, 5 %."""
# read by Python's re and by Arrow's RE2 alike, and a part of what float and Arrow take
_NUMBER = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf(?:inity)?|nan))"
_PLAIN = r"(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE]\+?[0-9]{1,2})?"
_OFFSET = r"(Z|z|UTC|GMT|[+-][0-9]{2}:?(?:[0-9]{2})?)$"
# after a minus, of a time of day alone: 2026-11-23 ends in none
_ZONED = r"(?:Z|z|UTC|GMT|(?:[+]|[0-9](?:T|,?\s+)[0-9].*-)[0-9]{2}:?(?:[0-9]{2})?)$"
# Time (UTC), datetime_utc; Date Time, GMT+00:00
_UTC_BEHIND = r"[ _]*[(\[] *(?:utc|gmt|z) *[)\]]$|[ _,]+(?:utc|gmt)(?:[+]00:00)?$"
_CLOCK = (
    r"(?P<hour>[0-9]{1,2})[:.](?P<minute>[0-9]{2})"
    r"(?:[:.](?P<second>[0-9]{2})(?:(?:[.,]|:(?=[0-9]{3}\b))(?P<digits>[0-9]*))?)?\s*(?P<half>[AaPp])?(?(half)\.?[Mm]\.?)"
)
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS)
_STAMP = re.compile(
    r"(?:(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})"
    r"|(?P<first>[0-9]{1,2})(?:[-/.](?P<next>[0-9]{1,2})[-/.]"
    rf"|[-/. ](?P<name>(?i:{_MONTH}))[-/. ])"
    r"(?P<last>[0-9]{4}|[0-9]{2}(?![0-9])))"
    rf"(?:(?:[T,]|\s)\s*{_CLOCK})?\s*(?P<offset>Z|(?(hour)[+-]|[+])[0-9]{{2}}:?(?:[0-9]{{2}})?)?"
)
_BARE_CLOCK = re.compile(r"\s*[0-9]+(?::[0-9]{2}){1,2}(?:[.,][0-9]*)?(?:\s*[AaPp][Mm])?\s*")
_DATE_PARTS, _CLOCK_PARTS = ("year", "month", "day"), ("hour", "minute", "second")


# numbers
def is_number(text: str) -> bool:
    """Check whether text is a number as files have it, or a missing one."""
    plain = text.strip(_BLANKS)
    return plain in MISSING or re.fullmatch(_NUMBER, plain) is not None


_TRUTHS = ("false", "true", "no", "yes", "off", "on", "0", "1")
"""What is 0 and what is 1, by turns."""


def _is_truth(text: str) -> bool:
    return text.strip(_BLANKS).lower() in _TRUTHS[:-2]


def numbers(column: Any, advice: str | None = None) -> NDArray[np.float64]:
    """Read a column as numbers.

    Parameters
    ----------
    column : pandas.Series
        Of any type: numbers, also decimal, nullable or categorical ones; true and false, yes and
        no, on and off, which are 1 and 0; or text or objects that are written so.
    advice
        What to do if it is none, for the error.

    Returns
    -------
    ndarray
        (n_rows,) float64, NaN where a value is missing.

    Raises
    ------
    ValueError
        A value is no number; with the first such, and its place.
    """
    values, bad = _parsed(column)
    if bad.any():
        at = int(bad.argmax())
        value, place = str(column.iloc[at])[:40], _place(column, at)
        if bad.sum() > 1:
            place += f", the first of {int(bad.sum()):,} such values"
        name = f"the column {column.name!r}"
        if advice is None:
            raise ValueError(f"{name} has {value!r}, expected numbers ({place})")
        raise ValueError(f"{name} is not numeric, it has {value!r} in {place}; {advice}")
    return values


def numbers_in(frame: Any, names: Sequence[str], advice: str) -> NDArray[np.float64]:
    """Read columns of a data frame as numbers, (n_rows, n_columns); as `numbers`."""
    plain = [kind.kind in "biuf" for kind in frame[list(names)].dtypes]
    values = np.empty((len(frame), len(names)))
    values[:, plain] = frame[[n for n, each in zip(names, plain, strict=True) if each]].to_numpy(
        dtype=np.float64, na_value=np.nan
    )  # many at once, since there may be many
    for k in np.flatnonzero(~np.array(plain)):
        values[:, k] = numbers(frame[names[k]], advice)
    return values


def text_numbers(texts: Any) -> NDArray[np.float64] | None:
    """Read an Arrow array of text as numbers, NaN where missing; None if a value is no number."""
    pyarrow = optional("pyarrow", "tables")
    compute = optional("pyarrow.compute", "tables")
    if not all(is_number(text) or _is_truth(text) for text in texts[:99].to_pylist() if text):
        return None  # most text is not like numbers from the beginning
    given = _given(texts)
    good = compute.match_substring_regex(given, f"^(?:{_NUMBER})$")
    if compute.all(good).as_py() is not False:
        return _to_float64(compute.cast(given, pyarrow.float64()))
    lower = compute.utf8_lower(given)
    words = pyarrow.array(_TRUTHS, type=lower.type)
    truth = compute.index_in(lower, value_set=words)
    return _to_float64(truth) % 2 if truth.null_count == given.null_count else None


def _given(texts: Any) -> Any:
    """Strip the values of an Arrow array of text, null where they are missing."""
    pyarrow = optional("pyarrow", "tables")
    compute = optional("pyarrow.compute", "tables")
    trimmed = compute.utf8_trim(texts, characters=_BLANKS)
    missing = compute.is_in(trimmed, value_set=pyarrow.array(MISSING, type=trimmed.type))
    return compute.if_else(missing, pyarrow.scalar(None, trimmed.type), trimmed)


def _parsed(column: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read a column as numbers, and tell which values are none."""
    pandas = optional("pandas", "tables")
    compute = optional("pyarrow.compute", "tables")
    if pandas.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(column), np.bool_)
    array = _arrow(column)
    values = text_numbers(array) if _is_text(array.type) else _to_float64(array)
    if values is not None:
        return values, np.zeros(len(values), np.bool_)
    given = _given(array)
    good, truth = (
        compute.match_substring_regex(given, pattern).fill_null(True).to_numpy(zero_copy_only=False)
        for pattern in (f"^(?:{_NUMBER})$", f"^(?i:{'|'.join(_TRUTHS[:-2])})$")
    )
    strange = ~good & ~truth
    return np.full(len(column), np.nan), strange if strange.any() else ~good


def _arrow(column: Any) -> Any:
    """Return a column as an Arrow array of numbers or of text."""
    pyarrow = optional("pyarrow", "tables")
    kinds = pyarrow.types
    try:
        array = pyarrow.array(column, from_pandas=True)
        if isinstance(array, pyarrow.ChunkedArray):
            array = array.combine_chunks()
        if kinds.is_dictionary(array.type):
            array = array.dictionary_decode()
        as_text = (kinds.is_binary, kinds.is_large_binary, kinds.is_decimal)
        if any(is_such(array.type) for is_such in as_text):  # decimals would be rounded twice
            array = array.cast(pyarrow.string())
        if _is_text(array.type):
            return array
        numeric = (kinds.is_null, kinds.is_boolean, kinds.is_integer, kinds.is_floating)
        if any(is_such(array.type) for is_such in numeric):
            return array.cast(pyarrow.float64(), safe=False)
    except (pyarrow.ArrowException, OverflowError, UnicodeError):
        pass  # values of several types, or of one that is no number
    texts = np.array([_text(value) for value in column], dtype=object)
    texts[column.isna().to_numpy()] = None
    return pyarrow.array(texts, type=pyarrow.string())


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of text, as its different values."""

    values: tuple[str, ...]
    codes: NDArray[np.int64]
    """Position of each row's value, (n_rows,), -1 where it is missing."""

    def __len__(self) -> int:
        return len(self.codes)


def text_or_numbers(column: Any, advice: str, *, as_text: bool = False) -> NDArray[Any] | Texts:
    """Read a column as numbers, or as text if most of it is no numbers or only text is wanted.

    Raises
    ------
    ValueError
        Most of its values are numbers, but not all; as `numbers`. Or it contains lists.
    """
    if as_text:
        texts = _texts_in(column, sure=True)
        assert texts is not None
        return texts
    if column.dtype.kind in "iuf":
        values: NDArray[Any] = column.to_numpy()
        if values.dtype.kind in "iuf":  # not of an extension type
            return values
    values, bad = _parsed(column)
    found = _texts_in(column, sure=False) if bad.any() else None
    if found is not None:
        return found
    return numbers(column, advice) if bad.any() else values


def _texts_in(column: Any, *, sure: bool) -> Texts | None:
    """Read a column as text; None if most of it is numbers, unless it is sure to be text."""
    pandas = optional("pandas", "tables")
    if column.dtype.kind in "cmM" and not sure:
        return None
    try:
        codes, different = pandas.factorize(column)
    except TypeError:
        raise ValueError(
            f"the column {column.name!r} contains lists, expected one value in each row"
        ) from None
    texts = [label_text(value) for value in different]
    numeric = np.array(
        [len(t) < 40 and _LIKE_NUMBER.fullmatch(t) is not None for t in texts], np.bool_
    )
    absent = np.array([text in MISSING for text in texts], np.bool_)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    if not sure and (counts[numeric].sum() * 2 >= counts[~absent].sum() or absent.all()):
        return None
    values = sorted({text for text, out in zip(texts, absent, strict=True) if not out})
    at = {text: k for k, text in enumerate(values)}
    place = np.array([*(at.get(text, -1) for text in texts), -1], np.int64)
    return Texts(tuple(values), place[codes])


def unit_names(column: Any) -> Texts:
    """Read a column that names units, in the order in which they appear.

    Whole numbers are written without a point, unless some have leading zeros.

    Raises
    ------
    ValueError
        The unit of a row is missing.
    """
    pandas = optional("pandas", "tables")
    try:
        codes, different = pandas.factorize(column)
    except TypeError:
        raise ValueError(
            f"the column {column.name!r} contains lists, expected the name of a unit in each row"
        ) from None
    texts = [id_text(value) for value in different]
    absent = np.array([*(text in MISSING for text in texts), True], np.bool_)[codes]
    if absent.any():
        raise ValueError(
            f"{row_of(column, int(absent.argmax()))} names no unit, its {column.name!r} is empty"
            + (f", as in {absent.sum() - 1:,} more" if absent.sum() > 1 else "")
            + "; name it, or leave the row out"
        )
    if all(re.fullmatch(_PLAIN, text) and float(text).is_integer() for text in texts):
        texts = [str(int(float(text))) for text in texts]
    names = tuple(dict.fromkeys(texts))
    at = {text: k for k, text in enumerate(names)}
    return Texts(names, np.array([at[text] for text in texts], np.int64)[codes])


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_text(kind: Any) -> bool:
    kinds = optional("pyarrow", "tables").types
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def _to_float64(array: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return values.astype(np.float64, copy=False)


def _missing(column: Any) -> NDArray[np.bool_]:
    """Return which values of a column are missing, (n_rows,)."""
    absent = column.isna()
    if column.dtype.kind not in "biufcmM":
        absent = absent | column.astype(str).str.strip(_BLANKS).isin(MISSING)
    missing: NDArray[np.bool_] = absent.to_numpy(dtype=np.bool_)
    return missing


def _place(column: Any, at: int) -> str:
    return f"line {column.index[at]}" if column.index.name == LINE else f"row {at + 1}"


def row_of(column: Any, at: int) -> str:
    """Return a row's number, from 1, and its line in the file where that is known."""
    return f"row {at + 1}" + (f" ({_place(column, at)})" if column.index.name == LINE else "")


# times
def time_names(
    columns: Sequence[str], wanted: str | None = None, index: str | None = None
) -> tuple[str, ...]:
    """Choose the columns that hold the times, by their names.

    Parameters
    ----------
    columns
        Names of all columns.
    wanted
        The one that was asked for, or those of the date and of the time of day: Day+Clock.
    index
        The one that is the index of a data frame, if that has times.

    Returns
    -------
    tuple of str
        One; or that of the date, or those of year, month and day, and behind them that of the time
        of day, or those of hour, minute and second as far as there are. Empty if there is none.
    """
    if wanted is not None:
        parts = tuple(name.strip() for name in wanted.split("+"))
        several = len(parts) > 1 and set(parts) <= set(columns)
        return (wanted,) if wanted in columns else parts if several else ()
    known = _by_plain_name(columns)
    one = next((known[name] for name in TIMES if name in known), index)
    if one is not None:
        return (one,)
    return _of_date(known, _DATE_PARTS) + _of_clock(known) if set(_DATE_PARTS) <= set(known) else ()


def times_in(
    frame: Any, wanted: str | None = None, unit: Unit | None = None
) -> tuple[Any, tuple[str, ...]]:
    """Find the times of a data frame, where they stand in several columns put together.

    Parameters
    ----------
    frame : pandas.DataFrame
        With rows.
    wanted
        As in `time_names`.
    unit
        As in `utc_times`: what numbers count, which then are no times of day such as 1200.

    Returns
    -------
    column : pandas.Series or None
        The times, as `utc_times` reads them.
    names : tuple of str
        The columns where they stand.

    Raises
    ------
    ValueError
        The time of a row lacks a part.
    """
    names = time_names(list(frame.columns), wanted, frame.attrs.get("time"))
    if len(names) == 1 and wanted is None:
        names = _with_partner(frame, names[0], digits=unit is None)
    if not names:
        return None, ()
    return (frame[names[0]] if len(names) == 1 else _put_together(frame, names)), names


def _by_plain_name(columns: Sequence[str]) -> dict[str, str]:
    """Map names in small letters, without a UTC behind them, to the first columns called so."""
    plain = [re.sub(_UTC_BEHIND, "", name.strip().lower()) for name in columns]
    return dict(zip(reversed(plain), reversed(columns), strict=True))


def _with_partner(frame: Any, name: str, *, digits: bool) -> tuple[str, ...]:
    """Add the column of dates to one of times of day, or that of hours to one of dates."""
    known = _by_plain_name(list(frame.columns))
    given = frame[name][~_missing(frame[name])]
    first = str(given.iloc[0]).strip(_BLANKS).removeprefix("0 days ") if len(given) else ""
    date: tuple[str, ...] = ()
    if known.get("date", name) != name:
        date = (known["date"],)
    elif set(_DATE_PARTS) <= set(known):
        date = _of_date(known, _DATE_PARTS)
    clock = re.fullmatch(rf"{_CLOCK}\s*(?:{_OFFSET[:-1]})?", first) is not None
    if date and (clock or (digits and _clock_of_digits(given) is not None)):
        return *date, name
    hours = known.get("hour")
    if (
        hours is not None
        and re.fullmatch(rf"[0-9]+([-/. ])(?:[0-9]+|(?i:{_MONTH}))\1[0-9]+|[0-9]{{8}}", first)
        and frame[hours].dtype.kind in "iuf"
        and given.duplicated().any()
    ):
        return name, *_of_clock(known)
    return (name,)


def _of_date(known: dict[str, str], parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(known[part] for part in parts)


def _of_clock(known: dict[str, str]) -> tuple[str, ...]:
    n_known = next((i for i, part in enumerate(_CLOCK_PARTS) if part not in known), 3)
    return _of_date(known, _CLOCK_PARTS[:n_known])


def _put_together(frame: Any, names: tuple[str, ...]) -> Any:
    """Write times whose parts stand in several columns as text."""
    pandas = optional("pandas", "tables")
    for name in names:
        absent = _missing(frame[name])
        if absent.any():
            row = row_of(frame[name], int(absent.argmax()))
            raise ValueError(f"{row} has no time, its {name!r} is empty; leave the row out")
    years = frame[names[0]].dtype.kind in "iuf" and not (frame[names[0]] > 9999).any()
    n_date = 3 if years and len(names) > 2 else 1
    date, clock = names[:n_date], names[n_date:]
    if n_date == 1:
        texts = frame[date[0]].astype(str).str.strip(_BLANKS)
        days = texts.str.replace(r"[T ]0?0:00(?::00(?:[.,]0+)?)?$", "", regex=True)
        days = days.str.replace(r"^([0-9]{4})([0-9]{2})([0-9]{2})$", r"\1-\2-\3", regex=True)
    else:
        forms = ("%04d", "%02d", "%02d")
        parts = [np.char.mod(f, _whole(frame[name])) for f, name in zip(forms, date, strict=True)]
        days = pandas.Series(["-".join(each) for each in zip(*parts, strict=True)], frame.index)
    if not clock:
        return days.rename("+".join(names))
    digits = _clock_of_digits(frame[clock[0]]) if len(clock) == 1 else None
    if digits is not None:
        logger.info("Its times of day are digits: %s is %s.", frame[clock[0]].iloc[0], digits[0])
        times = pandas.Series(digits, frame.index)
    elif frame[clock[0]].dtype.kind not in "iuf":
        times = frame[clock[0]].astype(str).str.strip(_BLANKS)
        times = times.str.removeprefix("0 days ")  # of a timedelta
    else:
        parts = [np.char.mod("%02d", _whole(frame[name])) for name in clock[:2]]
        if len(clock) == 3:
            parts.append(np.char.mod("%09.6f", numbers(frame[clock[2]])))
        parts += [np.full(len(frame), "00")] * (len(clock) == 1)
        times = pandas.Series([":".join(each) for each in zip(*parts, strict=True)], frame.index)
    return (days + " " + times).rename("+".join(names))


def _clock_of_digits(column: Any) -> list[str] | None:
    """Read times of day that are digits, 1200 or 235959, with zeros in front or not; else None."""
    texts = column.astype(str).str.strip(_BLANKS)
    numeric = column.dtype.kind in "iuf"
    values = numbers(column) if numeric or texts.str.fullmatch("[0-9]{3,6}").all() else np.array([])
    whole = (values >= 0) & (values == np.rint(values))
    if not len(values) or not whole.all() or (numeric and values.max() < 100):
        return None
    long = (values > 2400).any() or (not numeric and texts.str.len().max() == 6)
    parts = np.stack([values // 100**k % 100 for k in ((2, 1, 0) if long else (1, 0))])
    if (values > (240000 if long else 2400)).any() or (parts[1:] >= 60).any():
        return None
    return [":".join(f"{part:02.0f}" for part in row) for row in parts.T]


def _days_of_digits(values: NDArray[np.float64]) -> NDArray[np.datetime64] | None:
    """Read whole numbers that all are dates of 1900 to 2100, such as 20240131; else None."""
    pandas = optional("pandas", "tables")
    if not len(values) or not ((values >= 19000101) & (values <= 21001231)).all():
        return None
    if (values != np.rint(values)).any():
        return None
    days = pandas.to_datetime(values.astype(np.int64).astype(str), format="%Y%m%d", errors="coerce")
    if days.isna().any():
        return None
    logger.info("Its times are dates: %.0f is %s.", values[0], days[0].date())
    read: NDArray[np.datetime64] = days.to_numpy().astype("datetime64[us]")
    return read


def _whole(column: Any) -> NDArray[np.int64]:
    values = numbers(column, "write whole numbers")
    broken = ~np.isfinite(values) | (values != np.rint(values)) | (np.abs(values) > 9999)
    if broken.any():
        at = int(broken.argmax())
        raise ValueError(
            f"the column {column.name!r} has {values[at]:g} in {_place(column, at)}, expected whole"
            " numbers as dates and clocks have them"
        )
    return values.astype(np.int64)


class AmbiguousDatesError(ValueError):
    """Nothing tells whether dates have the day or the month first."""


def order_of_dates(column: Any) -> Dates | None:
    """Return what comes first in times that do not begin with the year; None if they do.

    Raises
    ------
    AmbiguousDatesError
        No day above 12 tells it.
    ValueError
        Some begin with the day and some with the month.
    """
    if column.dtype.kind in "biufcmM" or not len(column):
        return None
    texts = column.astype(str).str.strip(_BLANKS)
    first = _STAMP.fullmatch(texts.iloc[0])
    if first is None or first["last"] is None:
        return None
    found = [_STAMP.fullmatch(text) for text in texts.tolist()]
    return None if first["name"] else _order(texts, found)


def utc_times(
    column: Any,
    *,
    unit: Unit | None = None,
    timezone: str | None = None,
    dates: Dates | None = None,
    several_offsets: bool = False,
    whose: NDArray[np.int64] | None = None,
) -> NDArray[np.datetime64]:
    """Read a column of times, all of one kind: with one offset, with none, or numbers.

    Parameters
    ----------
    column : pandas.Series
        Times of a data frame; numbers; or text: ISO 8601 (2003-12-31T22:57:01Z), also with slashes,
        points or a comma before the fraction, or with the day or the month first where some day is
        above 12 and so tells which, or the month has its English name. 24:00 is the next day's
        0:00, a 60th second the next minute's first.
    unit
        What numbers count, since 1970-01-01T00:00:00Z; without it numbers are refused, unless all
        are dates such as 20240131. The number of a reading, count, is taken for seconds.
    timezone
        Where clocks stand whose times name no offset, such as Europe/Paris; None is UTC. The
        hour that the end of summer time repeats is told apart by the order of the rows.
    dates
        What comes first in dates that do not begin with the year.
    several_offsets
        Whether times may name different offsets from UTC.
    whose
        The units that rows are of, (n_rows,), whose times have an order of their own.

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
            raise ValueError(
                f"{timezone!r} is not a time zone; give one such as Europe/Paris"
            ) from error
    absent = _missing(column)
    if absent.any():
        raise ValueError(
            f"{row_of(column, int(absent.argmax()))} has no time"
            + (f", and {absent.sum() - 1:,} more have none" if absent.sum() > 1 else "")
            + "; give each row one, or leave it out"
        )
    zoned = True
    if isinstance(column.dtype, pandas.DatetimeTZDtype):
        times = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    elif column.dtype.kind == "M":
        times, zoned = column.to_numpy(), False
    elif pandas.api.types.is_numeric_dtype(column.dtype) or unit is not None:
        times, zoned = _from_numbers(column, unit), False
    else:
        times, zoned = _from_text(column, timezone, dates, several_offsets)
    utc: NDArray[np.datetime64] = times.astype("datetime64[us]")
    return _localized(utc, timezone, whose) if timezone is not None and not zoned else utc


def case_times(column: Any) -> NDArray[Any]:
    """Read the times of readings of cases: dates as `utc_times`, other numbers as they are.

    Spans of time, such as `timedelta64`, are seconds.

    Returns
    -------
    ndarray
        (n_rows,) float64, int64 where the column has such, or datetime64[us], UTC.

    Raises
    ------
    ValueError
        As of `utc_times`; or a number is missing, infinite or so large that it may be rounded.
    """
    values: NDArray[np.float64] | None = None
    if column.dtype.kind == "m":
        values = column.dt.total_seconds().to_numpy(np.float64)
    elif column.dtype.kind != "M":
        array = _arrow(column)
        values = text_numbers(array) if _is_text(array.type) else _to_float64(array)
    if values is None or np.isnan(values).all():
        try:
            return utc_times(column, several_offsets=True)
        except ValueError:
            first = str(column.iloc[0])
            if not _BARE_CLOCK.fullmatch(first):
                raise
            raise ValueError(
                f"{row_of(column, 0)} has the time {first!r} without a date: write the date as"
                " well, or numbers, such as the seconds since each case began"
            ) from None
    days = _days_of_digits(values)
    if days is not None:
        return days
    if column.dtype.kind == "i" and not column.isna().any():
        whole: NDArray[np.int64] = column.to_numpy(dtype=np.int64)
        return whole
    bad = ~(np.abs(values) < 2**53)
    if bad.any():
        at = int(bad.argmax())
        what = "has no time" if np.isnan(values[at]) else f"has the time {values[at]:g}"
        raise ValueError(f"{row_of(column, at)} {what}, expected a number; leave it out")
    return values


def _from_numbers(column: Any, unit: Unit | None) -> NDArray[np.datetime64]:
    if unit is None:
        days = _days_of_digits(numbers(column))
        if days is not None:
            return days
        since = "their unit since 1970 (--log.time-unit s, ms, us or ns)"
        if counts_up(numbers(column)):
            raise ValueError(
                f"its times count rows or cycles, the first is {column.iloc[0]}: add"
                f" --log.time-unit count; or, if they are times, give {since}"
            )
        raise ValueError(
            f"its times are numbers, the first is {column.iloc[0]}; give {since}, or write dates"
        )
    values, bad = _parsed(column)
    if bad.any():
        at = int(bad.argmax())
        raise ValueError(
            f"its times are not numbers of {unit}, the first is {str(column.iloc[at])!r:.40}"
            f" ({_place(column, at)})"
        )
    micro = {"count": 1e6, "s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[unit]
    if unit == "count" and (values != np.rint(values)).any():
        at = int((values != np.rint(values)).argmax())
        raise ValueError(
            f"its times do not count readings: {row_of(column, at)} has {values[at]:.17g}; if they"
            " are times, give their unit (--log.time-unit s, ms, us or ns)"
        )
    beyond = ~(np.abs(values) * micro <= 2**53)  # the year 2255
    if beyond.any():
        at = int(beyond.argmax())
        raise ValueError(
            f"its times are not {unit} since 1970: {row_of(column, at)} has {values[at]:.17g};"
            " check the unit"
        )
    whole = column.dtype.kind in "iu" and micro >= 1
    counted = column.to_numpy() * int(micro) if whole else np.rint(values * micro)
    return counted.astype(np.int64).astype("datetime64[us]")


def counts_up(values: NDArray[np.float64]) -> bool:
    """Check whether numbers count: whole, below a million, and mostly one more than another."""
    if len(values) < 2 or not (np.abs(values) < 10**6).all() or (values != np.rint(values)).any():
        return False
    up = np.diff(np.unique(values)) == 1
    return bool(len(up) and up.mean() > 0.5)


def _localized(
    times: NDArray[np.datetime64], timezone: str, whose: NDArray[np.int64] | None = None
) -> NDArray[np.datetime64]:
    """Turn what clocks show into UTC; refuse times that they never show, or show twice."""
    pandas = optional("pandas", "tables")
    shown = pandas.DatetimeIndex(times)
    if whose is not None:
        unsure = shown.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
        doubtful = np.unique(whose[unsure.isna()])
        utc: NDArray[np.datetime64] = unsure.tz_convert("UTC").tz_localize(None).to_numpy().copy()
        for unit in doubtful:
            utc[whose == unit] = _localized(times[whose == unit], timezone)
        return utc.astype("datetime64[us]")
    try:
        there = shown.tz_localize(timezone, ambiguous="infer", nonexistent="raise")
    except ValueError as error:
        for fault, options in (
            ("never shown there, as summer time begins", {"nonexistent": "NaT", "ambiguous": True}),
            ("shown there twice, as summer time ends", {"ambiguous": "NaT", "nonexistent": "NaT"}),
        ):
            bad = shown.tz_localize(timezone, **options).isna()
            if bad.any():
                raise ValueError(
                    f"{int(bad.sum())} of its times are {fault}, such as {shown[bad.argmax()]};"
                    " write them with their UTC offset"
                ) from error
        raise
    read: NDArray[np.datetime64] = there.tz_convert("UTC").tz_localize(None).to_numpy()
    return read.astype("datetime64[us]")


def _from_text(
    column: Any, timezone: str | None, dates: Dates | None, several_offsets: bool
) -> tuple[NDArray[np.datetime64], bool]:
    """Read times that are text, and tell whether they are UTC or what some clock showed."""
    texts = column.astype(str).str.strip(_BLANKS)
    zoned = texts.str.contains(_ZONED).to_numpy(dtype=np.bool_)
    if zoned.any():
        texts = texts.str.replace(r"\s?(UTC|GMT|z)$", "Z", regex=True)
    times = _from_iso(texts)
    other = np.isnat(times)
    if other.any():
        times[other] = _from_other(texts[other], dates, bool(other.all()))
    if np.isnat(times).any():
        at = int(np.isnat(times).argmax())
        line = f" ({_place(column, at)})" if column.index.name == LINE else ""
        raise ValueError(
            f"row {at + 1} has the time {str(column.iloc[at])!r:.40}{line}, expected a date like"
            " 2026-11-23T12:00:00Z"
        )
    if zoned.any() and not zoned.all():
        raise ValueError(
            f"{int(zoned.sum())} of its times have a UTC offset and {int((~zoned).sum())} do not,"
            f" such as {row_of(column, int((~zoned).argmax()))}; write all with Z, or none"
        )
    if not several_offsets and not texts[zoned].str.endswith("Z").all():
        _check_offsets(texts, times, timezone)
    return times, bool(zoned.any())


def _from_iso(texts: Any) -> NDArray[np.datetime64]:
    """Read ISO 8601 as pandas has it, without an offset as UTC; NaT where it is none."""
    pandas = optional("pandas", "tables")
    times = pandas.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
    read: NDArray[np.datetime64] = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    read[~texts.str.match(r"[0-9]").to_numpy(dtype=np.bool_)] = np.datetime64("NaT")  # now, today
    return read


def _from_other(texts: Any, dates: Dates | None, all_other: bool) -> NDArray[np.datetime64]:
    """Read other ways to write times that loggers have, NaT where it is none of them."""
    pandas = optional("pandas", "tables")
    found = [_STAMP.fullmatch(text) for text in texts.tolist()]
    times = np.full(len(found), np.datetime64("NaT", "us"))
    turned = np.array([stamp is not None and stamp["last"] is not None for stamp in found])
    known = np.array([stamp is not None for stamp in found])
    if not known.any():
        return times
    if turned.any() and not (all_other and turned[known].all()):
        raise ValueError(
            "some of its dates begin with the year and others do not, as"
            f" {_quoted(texts, turned)}; write all with the year first, 2026-11-23"
        )
    numbered = any(stamp is not None and stamp["next"] for stamp in found)
    order = dates or (_order(texts, found) if numbered else None)
    iso, later = [], np.zeros(len(found), "timedelta64[s]")
    for k, stamp in enumerate(found):
        if stamp is None:
            continue
        hour, minute, second = (int(stamp[part] or 0) for part in _CLOCK_PARTS)
        digits = stamp["digits"] or "0"
        if stamp["half"]:
            hour = hour % 12 + 12 * (stamp["half"] in "Pp")
        if hour == 24 and not (minute or second or digits.strip("0")):
            hour, later[k] = 0, np.timedelta64(1, "D")
        elif second == 60:
            second, later[k] = 59, np.timedelta64(1, "s")
        year, month, day = _day(stamp, order)
        iso.append(
            f"{year}-{month:0>2}-{day:0>2}T{hour:02d}:{minute:02d}:{second:02d}"
            f".{digits}{stamp['offset'] or ''}"
        )
    n_later = int(np.count_nonzero(later))
    if n_later:
        logger.info(
            "%s of its times are at 24:00 or in a 60th second: those of the next day or minute.",
            f"{n_later:,}",
        )
    times[known] = _from_iso(pandas.Series(iso))
    times += later
    return times


def _day(stamp: re.Match[str], order: Dates | None) -> tuple[str, str, str]:
    """Return the digits of year, month and day; years of two digits are those of 1969 to 2068."""
    year, month, day = stamp["year"], stamp["month"], stamp["day"]
    if year is None:
        year, month, day = stamp["last"], stamp["next"], stamp["first"]
        if stamp["name"]:
            names = [name[:3] for name in _MONTHS]
            month = str(names.index(stamp["name"][:3].lower()) + 1)
        elif order == "month-first":
            month, day = day, month
    if len(year) == 2:
        year = f"{'19' if int(year) >= 69 else '20'}{year}"
    return year, month, day


def _order(texts: Any, found: Sequence[re.Match[str] | None]) -> Dates:
    """Return whether the day or the month comes first, by days above 12."""
    stamps = [stamp if stamp is not None and stamp["next"] else None for stamp in found]
    short = [stamp for stamp in stamps if stamp is not None and len(stamp["last"]) == 2]
    firsts, lasts = ({stamp[part] for stamp in short} for part in ("first", "last"))
    year_first = all(int(stamp["next"]) <= 12 and 0 < int(stamp["last"]) <= 31 for stamp in short)
    points = any(stamp.string[stamp.end("first")] == "." for stamp in short)
    if short and year_first and len(lasts) >= len(firsts) + points:
        error = AmbiguousDatesError if len(lasts) == len(firsts) else ValueError
        raise error(
            f"its dates may begin with the year or the day, {short[0].string!r:.40}; write years"
            " with four digits, or for a log give --log.dates day-first"
        )
    first, second = (
        np.array([stamp is not None and int(stamp[part]) > 12 for stamp in stamps])
        for part in ("first", "next")
    )
    neither = first & second  # 23.13.2026 is no date at all
    first, second = first & ~neither, second & ~neither
    if first.any() and second.any():
        raise ValueError(
            f"its dates begin with the day in {_quoted(texts, first)} and with the month in"
            f" {_quoted(texts, second)}; write all with the year first, 2026-11-23"
        )
    if not (first | second | neither).any():
        some = np.array([stamp is not None for stamp in stamps])
        raise AmbiguousDatesError(
            f"its dates are ambiguous, {_quoted(texts, some)}; write the year first, 2026-11-23, or"
            " for a log give --log.dates day-first or month-first"
        )
    order: Dates = "month-first" if second.any() else "day-first"
    if not neither.any():
        logger.info("Its dates are %s, as %s tells.", order, _quoted(texts, first | second))
    return order


def _quoted(texts: Any, chosen: Any) -> str:
    """Quote the first of some values, and say where it stands."""
    some = texts[chosen]
    return f"{some.iloc[0]!r:.40}" + (f" in {_place(some, 0)}" if some.index.name == LINE else "")


def _check_offsets(texts: Any, times: NDArray[np.datetime64], timezone: str | None) -> None:
    """Refuse different offsets from UTC, unless they are those that a time zone had then."""
    pandas = optional("pandas", "tables")
    ends = texts.str.extract(_OFFSET)[0]
    offsets = {end: _minutes(end) for end in ends.unique()}
    if len(set(offsets.values())) < 2:
        return
    if timezone is not None:
        shown = times + ends.map(offsets).to_numpy(dtype="timedelta64[m]")
        there = pandas.DatetimeIndex(times).tz_localize("UTC").tz_convert(timezone)
        if (there.tz_localize(None).to_numpy() == shown).all():
            return
    names = sorted({_written(minutes) for minutes in offsets.values()})
    raise ValueError(
        f"its times have {len(names)} UTC offsets ({', '.join(names)}); write all in UTC, or, if"
        " these are summer and winter time, give the time zone (--log.timezone Europe/Paris)"
    )


def _minutes(offset: str) -> int:
    """Return an offset from UTC in minutes."""
    digits = re.sub(r"\D", "", offset).ljust(4, "0")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if offset.startswith("-") else 1)


def _written(minutes: int) -> str:
    """Write an offset from UTC as +01:00, or Z where it is none."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}" if minutes else "Z"


TEXT_COLUMNS = ("case", "label", "part", "group")

_ROW_NUMBERS = frozenset(
    ("#", "no", "no.", "nr", "nr.", "row", "index", "idx", "id", "record", "rn", "n", "unnamed: 0")
)


def row_numbers(
    columns: Sequence[str],
    values: NDArray[np.float64],
    follow: NDArray[np.bool_] | slice = slice(None),
) -> list[str]:
    """List columns that only count up with the rows, by names and values; none if all do.

    Parameters
    ----------
    columns
        Their names.
    values
        In the order of the rows, (n_rows, n_columns).
    follow
        Which rows follow the one before them, (n_rows - 1,), in counting.
    """
    names = []
    for name, column in zip(columns, values.T, strict=True):
        if name.strip().lower() in _ROW_NUMBERS:
            steps = np.diff(column)[follow]
            names += [name] * bool((steps > 0).all() and (steps == np.rint(steps)).all())
    return names if len(names) < len(columns) else []


def label_texts(labels: Any, write: Callable[[object], str] = label_text) -> NDArray[np.str_]:
    """Write each of labels of any type, (n_cases,), as text; a missing one is empty."""
    different, codes = np.unique(np.asarray(labels), return_inverse=True)
    result: NDArray[np.str_] = np.array(_texts(different, write), dtype=np.str_)[codes]
    return result


def _texts(different: NDArray[Any], write: Callable[[object], str] = label_text) -> list[str]:
    """Write different values; say where some that a file writes differently become one."""
    texts = [write(value) for value in different]
    texts = ["" if text.casefold() in ("?", "nan") else text for text in texts]
    if len(set(texts)) < len(texts):
        forms: dict[str, set[str]] = {}
        for text, value in zip(texts, different, strict=True):
            forms.setdefault(text, set()).add(repr(decoded(value).strip()[:40]))
        several = [" and ".join(sorted(e)) for text, e in forms.items() if text and len(e) > 1]
        if several:
            logger.warning("texts that differ only in form are taken for one: %s.", listed(several))
    return texts


def column_texts(column: Any, write: Callable[[object], str] = label_text) -> NDArray[np.str_]:
    """Write each value of a column of a data frame as text; what is missing is empty."""
    pandas = optional("pandas", "tables")
    try:
        codes, _ = pandas.factorize(column)
    except TypeError:
        raise ValueError(
            f"the column {column.name!r} contains lists, expected one value in each row"
        ) from None
    first = np.unique(codes, return_index=True)[1][int((codes < 0).any()) :]
    texts = _texts(column.iloc[first].to_numpy(), write)
    result: NDArray[np.str_] = np.array([*texts, ""], dtype=np.str_)[codes]  # -1 is missing
    return result


def are_in_order(names: Sequence[str]) -> bool:
    """Check whether numbers grow from one to the next, as names of timepoints do and values not."""
    values = [np.nan if name.strip() in MISSING else float(name) for name in names]
    return all(a < b for a, b in pairwise(values))
