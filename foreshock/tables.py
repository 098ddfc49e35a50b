"""Table, the content of one file; from data frames, and what the readers of files share."""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from foreshock.extras import optional

logger = logging.getLogger(__name__)

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Names of the parts; a part's code is its position here."""

MISSING = ("", "?", "nan", "NaN", "NAN", "NA", "N/A", "null", "NULL", "None")
TEXT_COLUMNS = ("case", "label", "part", "group")
LAYOUTS = (
    "either one row per case with the columns label, optionally part and group, and the timepoints"
    " (or, in Parquet, a column of lists for each channel); or one row per reading with the columns"
    " case, time, label, optionally part and group, and the channels"
)

_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PLACES = 40
"""Most places before or after the point of a label that is written without an exponent."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """The content of one file."""

    X: NDArray[np.float32]
    """Series, (n_cases, n_channels, n_timepoints); NaN where missing or past a series' end."""
    labels: NDArray[np.str_] | None
    """Label text of each case, (n_cases,); None where the file has none."""
    classes: tuple[str, ...] | None = None
    """The order of the classes, where the file gives one."""
    part: NDArray[np.uint8] | None = None
    """Code of each case's part, (n_cases,)."""
    group: NDArray[np.str_] | None = None
    """Group of each case, (n_cases,)."""
    ends: NDArray[np.datetime64] | None = None
    """Time of each case's last reading, (n_cases,), UTC."""
    channels: tuple[str, ...] | None = None
    """Names of the channels, where the file gives them."""
    name: str | None = None
    """Name of the problem, where the file gives it."""
    columns: tuple[str, ...] = ()
    """Names of the columns, of a data frame."""
    offset: NDArray[np.float64] | None = None
    """What was taken off each channel, (n_channels,), where the file says so."""


def join(tables: Sequence[Table]) -> Table:
    """Put tables of the same channels below each other; the shorter series end in NaN.

    Raises
    ------
    ValueError
        The tables differ in their channels, or only some have groups, times or parts.
    """
    first = tables[0]
    for table in tables[1:]:
        for what, here, there in (
            ("channels", first.X.shape[1], table.X.shape[1]),
            ("channels", first.channels, table.channels),
            ("groups", first.group is not None, table.group is not None),
            ("times", first.ends is not None, table.ends is not None),
            ("parts", first.part is not None, table.part is not None),
            ("offsets", str(first.offset), str(table.offset)),
        ):
            if here != there:
                raise ValueError(f"its files differ in their {what}, {here} and {there}")
    shape = (
        sum(len(table.X) for table in tables),
        first.X.shape[1],
        max(table.X.shape[2] for table in tables),
    )
    X = np.full(shape, np.nan, dtype=np.float32)
    start = 0
    for table in tables:
        X[start : start + len(table.X), :, : table.X.shape[2]] = table.X
        start += len(table.X)

    def together(field: str) -> Any:
        arrays = [getattr(table, field) for table in tables]
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    return replace(
        first,
        X=X,
        classes=first.classes if all(t.classes == first.classes for t in tables) else None,
        **{field: together(field) for field in ("labels", "part", "group", "ends")},
    )


def ordered(labels: NDArray[np.str_]) -> tuple[str, ...]:
    """List the different labels, by number where all are numbers, else by text."""
    texts = np.unique(labels).tolist()
    if all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,9})?", text, re.I) for text in texts):
        return tuple(sorted(texts, key=lambda text: (Decimal(text), text)))
    return tuple(texts)


def unnamed_channels(n_channels: int) -> tuple[str, ...]:
    """Give the names of channels that a file does not name."""
    return tuple(f"channel {i}" for i in range(n_channels))


def check_series(X: NDArray[Any]) -> None:
    """Refuse infinite values and cases without any value.

    Parameters
    ----------
    X
        Series, (n_cases, n_channels, n_timepoints) float32.

    Raises
    ------
    ValueError
        With the position of the first fault.
    """
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(
            f"the series have the shape {X.shape}, expected (cases, channels, timepoints) with at"
            " least one of each"
        )
    for start, chunk in chunks(X):
        infinite = np.isinf(chunk)
        if infinite.any():
            case, channel, timepoint = np.argwhere(infinite)[0].tolist()
            raise ValueError(
                f"case {start + case}, channel {channel}, timepoint {timepoint} (counted from 0) is"
                " infinite or beyond float32 (3.4e38); use NaN for a missing value, or scale"
            )
        empty = np.isnan(chunk).all(axis=(1, 2))
        if empty.any():
            raise ValueError(
                f"case {start + int(empty.argmax())} (counted from 0) has no value at all; leave"
                " it out"
            )


def sample(n_cases: int, most: int) -> NDArray[np.int64]:
    """Give the positions of all cases, or of so many that lie evenly among them."""
    return np.linspace(0, n_cases - 1, min(n_cases, most)).round().astype(np.int64)


def chunks(X: Any) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Iterate over cases in stretches of about 16 MiB, each with its first case's position.

    X is an array (n_cases, n_channels, n_timepoints) or anything that is sliced to one.
    """
    size = max(1, 2**22 // max(1, X[:1].size))
    return ((start, X[start : start + size]) for start in range(0, len(X), size))


def from_frame(frame: Any, columns: list[str]) -> Table:
    """Make a table of a data frame in one of the two layouts."""
    pandas = optional("pandas", "tables")
    doubles = [name for name, n in Counter(columns).items() if n > 1 or not name.strip()]
    if doubles:
        raise ValueError(f"its columns need names of their own, got {doubles[0]!r} again or empty")
    frame.columns = columns
    if "time" in columns and not {"case", "label"} & set(columns):
        raise ValueError(
            "it has times, but no cases or labels: if it is a sensor's log or a catalogue, make a"
            f" problem of it with foreshock cut; otherwise expected is {LAYOUTS}"
        )
    if ("case" in columns) != ("time" in columns):
        raise ValueError(f"case and time go together, got the columns {listed(columns)}: {LAYOUTS}")
    long = "case" in columns
    values = [name for name in columns if name not in (*TEXT_COLUMNS, "time")]
    if len(frame) == 0 or not values:
        raise ValueError(
            f"no case or no values in the columns {listed(columns)}; expected {LAYOUTS}"
        )
    text = {n: column_texts(frame[n]) for n in TEXT_COLUMNS if n in columns}
    if any(_holds_lists(frame[name]) for name in values):
        X, channels = _from_lists(frame[values], long=long)
        return replace(_text_table(float32(X), text), channels=channels, columns=tuple(columns))
    for name in values:
        kind = frame[name].dtype
        if not pandas.api.types.is_numeric_dtype(kind) or kind in ("bool", "boolean", "complex128"):
            bad = next((v for v in frame[name] if not is_number(str(v))), frame[name].iloc[0])
            raise ValueError(
                f"the column {name!r} is not numeric, it has {str(bad)[:40]!r}; leave it out or"
                " make it numbers (labels stand in a column label)"
            )
    numbers = float32(frame[values].to_numpy(dtype=np.float64, na_value=np.nan))
    if long:
        table = _from_readings(pandas, frame["time"], numbers, text, tuple(values))
    else:
        table = _text_table(numbers[:, None, :], text)
    return replace(table, columns=tuple(columns))


def _from_readings(
    pandas: Any,
    time: Any,
    numbers: NDArray[np.float32],
    text: dict[str, NDArray[np.str_]],
    channels: tuple[str, ...],
) -> Table:
    """Gather readings, (n_readings, n_channels), into cases in the order of first appearance."""
    case, names = pandas.factorize(text.pop("case"))
    dated = not pandas.api.types.is_numeric_dtype(time.dtype)
    if dated:
        time = pandas.to_datetime(time, utc=True, errors="coerce", format="ISO8601")
    if time.isna().any() or "" in names:
        at = int((time.isna().to_numpy() | (names[case] == "")).argmax())
        raise ValueError(
            f"reading {at} (counted from 0) has no case, or its time is neither a number nor a date"
            " like 2026-11-23T12:00:00Z"
        )
    clock = time.to_numpy(dtype="datetime64[us]" if dated else np.float64)
    order = np.lexsort((clock, case))
    case, clock, numbers = case[order], clock[order], numbers[order]
    first = np.flatnonzero(np.r_[True, case[1:] != case[:-1]])  # (n_cases,)
    twice = np.flatnonzero((case[1:] == case[:-1]) & (clock[1:] == clock[:-1]))
    if len(twice):
        raise ValueError(f"case {str(names[case[twice[0]]])!r} has two readings at one time")
    sizes = np.diff(np.r_[first, len(case)])
    X = np.full((len(first), len(channels), int(sizes.max())), np.nan, dtype=np.float32)
    X[case, :, np.arange(len(case)) - np.repeat(first, sizes)] = numbers
    for column, texts in text.items():
        changes = texts[order] != np.repeat(texts[order][first], sizes)
        if changes.any():
            name = str(names[case[changes.argmax()]])
            raise ValueError(f"the {column} of case {name!r} changes within the case")
    table = _text_table(X, {column: texts[order][first] for column, texts in text.items()})
    ends = clock[first + sizes - 1] if dated else None
    return replace(table, ends=ends, channels=channels)


def _text_table(X: NDArray[np.float32], text: dict[str, NDArray[np.str_]]) -> Table:
    part = part_codes(text["part"]) if "part" in text else None
    return Table(X=X, labels=text.get("label"), part=part, group=text.get("group"))


def float32(values: Any) -> NDArray[np.float32]:
    """Convert to float32; what is too large becomes infinite, which ``check_series`` refuses."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float64).astype(np.float32)


def label_text(value: object) -> str:
    """Write a label in its one form, whatever the type and the form that a file has it in.

    A number is written without what does not change it: 1, 1.0, 1.00, 1e0 and +1 are 1. Codes that
    begin with zeros (007) stay what they are. TRUE and true are True. Letters are composed (NFC),
    and spaces at the ends are left out.
    """
    text = decoded(value)
    if text.isdigit() and text[0] != "0" and len(text) <= _PLACES:  # as most are
        return text
    text = unicodedata.normalize("NFC", text).strip()
    if text.casefold() in ("true", "false"):
        return text.capitalize()
    if not _NUMBER.fullmatch(text):
        return text
    try:
        number = Decimal(text)
    except DecimalException:  # its exponent has some twenty digits
        return text
    if not number:
        return "0"
    form = "e" if abs(number.adjusted()) > _PLACES else "f"
    mantissa, mark, exponent = f"{number:{form}}".partition("e")
    return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + mark + exponent


def decoded(value: object) -> str:
    """Write a value as text; bytes are UTF-8, or else Latin-1."""
    if not isinstance(value, bytes):
        return str(value)
    content = value.rstrip(b"\0")  # fixed widths are filled up
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def label_texts(labels: Any) -> NDArray[np.str_]:
    """Write labels of any type, (n_cases,), as `label_text` does; a missing one is empty."""
    different, codes = np.unique(np.asarray(labels), return_inverse=True)
    result: NDArray[np.str_] = np.array(_texts(different), dtype=np.str_)[codes]
    return result


def _texts(different: NDArray[Any]) -> list[str]:
    """Write different labels; say where some that a file writes differently become one."""
    texts = [label_text(value) for value in different]
    texts = ["" if text.casefold() in ("?", "nan") else text for text in texts]
    if len(set(texts)) < len(texts):
        forms: dict[str, set[str]] = {}
        for text, value in zip(texts, different, strict=True):
            forms.setdefault(text, set()).add(repr(decoded(value).strip()[:40]))
        several = [" and ".join(sorted(e)) for text, e in forms.items() if text and len(e) > 1]
        if several:
            logger.warning("texts that differ only in form are taken for one: %s.", listed(several))
    return texts


def column_texts(column: Any) -> NDArray[np.str_]:
    """Write a column of a data frame as `label_text` does; what is missing is empty."""
    pandas = optional("pandas", "tables")
    try:
        codes, _ = pandas.factorize(column)
    except TypeError:
        raise ValueError(
            f"the column {column.name!r} holds lists, expected one value in each row"
        ) from None
    first = np.unique(codes, return_index=True)[1][int((codes < 0).any()) :]
    texts = _texts(column.iloc[first].to_numpy())
    result: NDArray[np.str_] = np.array([*texts, ""], dtype=np.str_)[codes]  # -1 is missing
    return result


def _holds_lists(column: Any) -> bool:
    first = next(iter(column.dropna()), None) if column.dtype == object else None
    return isinstance(first, list | tuple | np.ndarray)


def _from_lists(frame: Any, *, long: bool) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """Gather cases of columns of lists: one for each channel, or one of channels of timepoints.

    Returns
    -------
    X : ndarray of shape (n_cases, n_channels, n_timepoints)
        The shorter series end in NaN.
    channels : tuple of str or None
        Their names, where each has a column.
    """
    names = [str(name) for name in frame.columns]
    others = [name for name in names if not _holds_lists(frame[name])]
    if long or others:
        raise ValueError(
            f"some of its columns hold lists and {'case and time' if long else repr(others[0])} one"
            " value in each row: a list is a case's series of one channel, so leave the others out"
        )
    firsts = [next(iter(frame[name].dropna())) for name in names]
    nested = [
        len(first) > 0 and isinstance(first[0], list | tuple | np.ndarray) for first in firsts
    ]
    if any(nested) and len(names) > 1:
        raise ValueError(
            f"lists of lists are all channels of a case, so they stand in one column, got"
            f" {listed(names)}"
        )
    cases: list[list[NDArray[np.float64]]] = []
    for row, values in enumerate(frame.itertuples(index=False, name=None)):
        channels = values[0] if nested[0] else values
        cases.append(
            [_series(channel, row) for channel in ([] if _is_null(channels) else channels)]
        )
        if len(cases[-1]) != len(cases[0]):
            raise ValueError(
                f"case {row} (counted from 0) has {len(cases[-1])} channels, the first has"
                f" {len(cases[0])}"
            )
    longest = max(len(series) for case in cases for series in case)
    X = np.full((len(cases), len(cases[0]), longest), np.nan)
    for case, target in zip(cases, X, strict=True):
        for series, channel in zip(case, target, strict=True):
            channel[: len(series)] = series
    return X, None if nested[0] else tuple(names)


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _series(values: Any, case: int) -> NDArray[np.float64]:
    """Read a list of numbers, in which null is missing; no list is an empty one."""
    array = np.asarray([] if _is_null(values) else values)
    try:
        if array.ndim == 1 and array.dtype.kind in "biufO":
            return array.astype(np.float64)
    except (TypeError, ValueError):
        pass
    bad = next((v for v in array if not is_number(str(v))), array)
    raise ValueError(
        f"case {case} (counted from 0) has {str(bad)[:40]!r} in a list, expected numbers"
    )


def match_labels(names: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Map names of classes to those known ones that are the same text in one form.

    Raises
    ------
    ValueError
        Several known ones are.
    """
    forms: dict[str, list[str]] = {}
    for name in known:
        forms.setdefault(label_text(name), []).append(name)
    matched = {}
    for name in names:
        same = [name] if name in known else forms.get(label_text(name), [])
        if len(same) > 1:
            raise ValueError(
                f"the class {name!r} may be {' or '.join(map(repr, same))} of the model, which are"
                " one text now: train it again."
            )
        if same:
            matched[name] = same[0]
    return matched


def alike(classes: Sequence[str]) -> str | None:
    """Name the classes that differ by form alone, in a sentence; None if none do."""
    forms: dict[str, list[str]] = {}
    for name in classes:
        forms.setdefault(_folded(name), []).append(name)
    groups = [" and ".join(repr(n[:40]) for n in names) for names in forms.values() if names[1:]]
    if not groups:
        return None
    return (
        f"classes differ by form alone (capitals, spaces, dashes, width or script of digits):"
        f" {listed(groups)}; write those alike that are one"
    )


def _folded(name: str) -> str:
    """Write a label without capitals, widths, scripts of digits, separators of its words."""
    letters = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = ""
    for letter in letters:
        kind = unicodedata.category(letter)
        if kind == "Nd":
            letter = str(unicodedata.decimal(letter))
        elif kind == "Pd" or letter == "\N{MINUS SIGN}":
            letter = "-"
        text += "" if kind == "Cf" else letter  # what is not seen, such as a joiner
    number = re.sub(r"(?<=\d)[,\N{ARABIC DECIMAL SEPARATOR}](?=\d)", ".", text)
    number = label_text(re.sub(r"^\s*([+-]?)0+(?=\d)", r"\1", number))
    if _NUMBER.fullmatch(number):
        return number
    text = re.sub(r"(?<=\d)[\s_-]+(?=\d)", " ", text.strip())
    return re.sub(r"(?<=\w)[\s_-]+(?=[^\W\d_])|(?<=[^\W\d_])[\s_-]+(?=\w)", "", text)


def part_codes(names: NDArray[np.str_]) -> NDArray[np.uint8]:
    """Turn the names of parts, in any case, into their codes."""
    codes = np.full(len(names), len(PARTS), dtype=np.uint8)
    for code, part in enumerate(PARTS):
        codes[np.char.lower(np.char.strip(names)) == part] = code
    if (codes == len(PARTS)).any():
        bad = str(names[codes == len(PARTS)][0])
        raise ValueError(f"a case has the part {bad!r}, expected one of {', '.join(PARTS)}")
    return codes


def is_number(text: str) -> bool:
    """Tell whether text reads as a number or as a missing one."""
    try:
        float("nan" if text.strip() in MISSING else text)
    except ValueError:
        return False
    return True


def listed(names: list[str]) -> str:
    """Write the first few of many names."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
