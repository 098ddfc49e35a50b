"""Tables of cases out of files: .ts, .tsv, .txt, .arff, .csv, .parquet and .npz, packed or not."""

import logging
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock._arrays import as_numbers, chunks, load_npz
from foreshock._optional import optional
from foreshock._text import class_names, decoded, id_text, label_text, listed
from foreshock._time import NEAR, common_clock, format_duration, plain_step, same_step
from foreshock.problems import PARTS
from foreshock.readings.columns import (
    MISSING,
    TEXT_COLUMNS,
    are_in_order,
    case_times,
    column_texts,
    is_number,
    label_texts,
    numbers,
    numbers_in,
    row_numbers,
    row_of,
    time_names,
    times_in,
)
from foreshock.readings.frames import naming, read_frame, read_text

logger = logging.getLogger(__name__)

LAYOUTS = (
    "either one row per case with the columns label, optionally part and group, and the timepoints"
    " (or, in Parquet, a column of lists for each channel); or one row per reading with the columns"
    " case, time, label, optionally part and group, and the channels"
)
_LARGEST = np.finfo(np.float32).max
_MOST_MISSING = 100
"""Most readings that may be missing in one gap within a case, if no case has more readings."""
_ROUNDED = 0.01
"""Share of a step by which times may be off the clock without a word."""
_BETWEEN = 2**62
"""Stands for the gap between two cases."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseTable:
    """The content of one file."""

    X: NDArray[np.floating[Any]]
    """Series, (n_cases, n_channels, n_timepoints), as precise as the file has them; NaN where
    missing or past a series' end."""
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
    step: str | None = None
    """Time from one reading of a case to the next, a duration or a number, where it is known."""
    channels: tuple[str, ...] | None = None
    """Names of the channels, where the file gives them."""
    name: str | None = None
    """Name of the problem, where the file gives it."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a data frame, or of arrays."""
    offset: NDArray[np.float64] | None = None
    """What was taken off each channel, (n_channels,), where the file says so."""


def join(tables: Sequence[CaseTable]) -> CaseTable:
    """Join tables of the same channels; the shorter series end in NaN.

    Raises
    ------
    ValueError
        The tables differ in their channels or steps, or only some have groups, times or parts.
    """
    first = tables[0]
    steps = [table.step for table in tables if table.step is not None]
    for step in steps[1:]:
        if not same_step(step, steps[0]):
            raise ValueError(
                f"its files differ in their steps, one reading every {steps[0]} and {step}"
            )
    for table in tables[1:]:
        for what, here, there in (
            ("channels", first.X.shape[1], table.X.shape[1]),
            ("channels", first.channels, table.channels),
            ("groups", first.group is not None, table.group is not None),
            ("times", first.ends is not None, table.ends is not None),
            ("parts", first.part is not None, table.part is not None),
        ):
            if here != there:
                raise ValueError(f"its files differ in their {what}, {here} and {there}")
    shape = (
        sum(len(table.X) for table in tables),
        first.X.shape[1],
        max(table.X.shape[2] for table in tables),
    )
    offsets = [None if table.offset is None else table.offset.tolist() for table in tables]
    alike = all(offset == offsets[0] for offset in offsets)
    kept = [
        table.X if alike or table.offset is None else table.X + table.offset[:, None]
        for table in tables
    ]
    X = np.full(shape, np.nan, dtype=np.result_type(*kept))
    start = 0
    for series in kept:
        X[start : start + len(series), :, : series.shape[2]] = series
        start += len(series)

    def together(field: str) -> Any:
        arrays = [getattr(table, field) for table in tables]
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    return replace(
        first,
        X=X,
        offset=first.offset if alike else None,
        step=steps[0] if steps else None,
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
    """Return the names of channels that a file does not name."""
    return tuple(f"channel {i}" for i in range(n_channels))


def check_series(X: NDArray[Any]) -> None:
    """Refuse infinite values and cases without any value.

    Parameters
    ----------
    X
        Series, (n_cases, n_channels, n_timepoints).

    Raises
    ------
    ValueError
        With the position of the first fault.
    """
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(
            f"the series have shape {X.shape}, expected (cases, channels, timepoints) with at least"
            " one of each"
        )
    for start, chunk in chunks(X):
        infinite = np.abs(chunk) > _LARGEST  # not of NaN
        if infinite.any():
            case, channel, timepoint = np.argwhere(infinite)[0].tolist()
            raise ValueError(
                f"case {start + case}, channel {channel}, timepoint {timepoint} (counted from 0) is"
                " infinite or beyond float32 (3.4e38); use NaN for a missing value, or scale"
            )
        empty = np.isnan(chunk).all(axis=(1, 2))
        if empty.any():
            raise ValueError(
                f"case {start + int(empty.argmax())} (counted from 0) has no values; leave it out"
            )


def from_frame(frame: Any, columns: list[str]) -> CaseTable:
    """Make a table of a data frame in one of the two layouts."""
    plain = [name.strip().lower() for name in columns]  # Label, CASE
    columns = [
        low if low in TEXT_COLUMNS and low not in columns else name
        for name, low in zip(columns, plain, strict=True)
    ]
    doubles = [name for name, n in Counter(columns).items() if n > 1 or not name.strip()]
    if doubles:
        raise ValueError(f"each column needs a name of its own, got {doubles[0]!r} twice or empty")
    if len(columns) > 1 and all(map(is_number, columns)) and not are_in_order(columns):
        raise ValueError(
            f"its header {listed(columns)} looks like a case: put a line with names above it, 0, 1,"
            " 2 for the timepoints"
        )
    frame.columns = columns
    if "time" in columns and not {"case", "label"} & set(columns):
        raise ValueError(
            "it has times, but no cases or labels: cut a sensor log or a catalogue with foreshock"
            f" cut; otherwise expected is {LAYOUTS}"
        )
    index = None if "time" in columns else frame.attrs.get("time")
    long = "case" in columns and (index is not None or bool(time_names(columns)))
    if long != bool({"case", "time"} & set(columns)):
        raise ValueError(f"case and time go together, got the columns {listed(columns)}: {LAYOUTS}")
    time, used = times_in(frame, index) if long and len(frame) else (None, ())
    channels = [name for name in columns if name not in (*TEXT_COLUMNS, *used, "time")]
    if len(frame) == 0 or not channels:
        raise ValueError(
            f"no case or no values in the columns {listed(columns)}; expected {LAYOUTS}"
        )
    ways = zip(TEXT_COLUMNS, (id_text, label_text, label_text, id_text), strict=True)
    text = {name: column_texts(frame[name], write) for name, write in ways if name in columns}
    if any(_holds_lists(frame[name]) for name in channels):
        X, names = _from_lists(frame[channels], long=time is not None)
        return CaseTable(
            X=X,
            labels=text.get("label"),
            part=part_codes(text["part"]) if "part" in text else None,
            group=text.get("group"),
            channels=names,
            columns=tuple(columns),
        )
    values = numbers_in(
        frame, channels, "leave it out or make it numbers (labels stand in a column label)"
    )  # (n_rows, n_channels or, of a row for each case, n_timepoints)
    numbering = row_numbers(channels, values)
    if numbering:
        logger.info("Left out, since it only numbers the rows: %s.", listed(numbering))
        values = values[:, [name not in numbering for name in channels]]
        channels = [name for name in channels if name not in numbering]
    X, first, ends, step = values[:, None, :], np.arange(len(values)), None, None
    if time is not None:
        X, first, ends, step = _from_readings(time, values, text)
    text = {name: texts[first] for name, texts in text.items()}  # (n_cases,)
    return CaseTable(
        X=X,
        labels=text.get("label"),
        part=part_codes(text["part"]) if "part" in text else None,
        group=text.get("group"),
        ends=ends,
        step=step,
        channels=None if time is None else tuple(channels),
        columns=tuple(columns),
    )


def _from_readings(
    column: Any, values: NDArray[np.float64], text: dict[str, NDArray[np.str_]]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.datetime64] | None, str | None]:
    """Gather readings, (n_readings, n_channels), into cases in the order of first appearance.

    Returns
    -------
    X : ndarray
        (n_cases, n_channels, n_timepoints); a reading that is missing is NaN.
    rows : ndarray
        The row of each case's first reading, (n_cases,).
    ends : ndarray or None
        The time of each case's last reading, (n_cases,), of times that are dates.
    step : str or None
        The time from one reading to the next; None where every case has a single one.
    """
    pandas = optional("pandas", "tables")
    case, names = pandas.factorize(text["case"])
    if "" in names:
        raise ValueError(f"{row_of(column, int((names[case] == '').argmax()))} has no case")
    times = case_times(column)
    rows = np.lexsort((times, case))
    case, times = case[rows], times[rows]
    first = np.flatnonzero(np.r_[True, case[1:] != case[:-1]])  # (n_cases,)
    for name, texts in text.items():
        changes = texts[rows] != texts[rows][first][case]
        if changes.any():
            k = int(changes.argmax())
            how = "changes within the case" if texts[rows[k]] else "is missing within the case"
            raise ValueError(
                f"the {name} of case {str(names[case[k]])!r} {how}, in {row_of(column, rows[k])}"
            )
    dated = times.dtype.kind == "M"
    ticks = times.astype(np.int64) if dated else times
    follows = np.diff(case) == 0
    if times.dtype.kind == "f":
        follows &= np.diff(times) > 1e-12 * np.abs(times[1:])  # 0.3 and 0.1 + 0.2 are one time
    step, at, away = common_clock(ticks - ticks[first][case], follows)
    off = away > NEAR
    if step is None:
        every = None
    elif dated:
        every = format_duration(np.timedelta64(round(step), "us"))
    else:
        every = plain_step(str(step))

    def named(k: int) -> str:
        return f"case {str(names[case[k]])!r}, {row_of(column, rows[k])}"

    if off.any():
        raise ValueError(
            f"of its {len(at):,} readings {int(off.sum()):,}, in {len(np.unique(case[off])):,} of"
            f" {len(first):,} cases, are off the clock of step {every} that begins with their case,"
            f" by more than a quarter of the step, the first in {named(int(off.argmax()))}; correct"
            " their times or resample them, or, where the clock does not matter, number the"
            " readings of each case (0, 1, 2)"
        )
    rounded = away > _ROUNDED
    if rounded.any():
        logger.info(
            "%s of %s readings are up to %.0f %% of the step %s off its clock: they count as at its"
            " nearest tick.",
            f"{int(rounded.sum()):,}",
            f"{len(at):,}",
            100 * away.max(),
            every,
        )
    if ((np.diff(case) == 0) & (np.diff(at) == 0)).any():
        away = away.round(6)  # apart from which times are one
        placed = pandas.DataFrame(values[rows]).assign(case=case, at=at, away=away)
        repeated = placed.duplicated().to_numpy()
        case, at, away, times, rows = (e[~repeated] for e in (case, at, away, times, rows))
        if repeated.any():
            n_repeated = f"{int(repeated.sum()):,}"
            logger.info("%s readings repeat another one exactly and are taken once.", n_repeated)
    gaps = np.where(np.diff(case) == 0, np.diff(at), _BETWEEN)  # (n_readings - 1,)
    if not gaps.all():
        k, n_pairs = int(gaps.argmin()), int((gaps == 0).sum())
        more = f", and {n_pairs - 1:,} more such pairs" if n_pairs > 1 else ""
        same = "at one time that differ" if away[k] == away[k + 1] else f"within half of {every}"
        raise ValueError(
            f"case {str(names[case[k]])!r} has two readings {same}, in {row_of(column, rows[k])}"
            f" and {row_of(column, rows[k + 1])}{more}; leave one out"
        )
    sizes = np.bincount(case)  # (n_cases,)
    jumps = np.where(gaps == _BETWEEN, 1, gaps) - 1 > max(_MOST_MISSING, sizes.max())
    if jumps.any():
        k = int(jumps.argmax()) + 1
        raise ValueError(
            f"{gaps[k - 1] - 1:,} readings, one every {every}, are missing before {named(k)}; no"
            f" case has more than {sizes.max():,}: is a time wrong, or are these two cases?"
        )
    first = np.cumsum(sizes) - sizes
    last = first + sizes - 1
    _say_gaps(sizes, at[last] + 1, np.minimum.reduceat(np.append(gaps, _BETWEEN), first), every)
    X = np.full((len(first), values.shape[1], int(at.max()) + 1), np.nan)
    X[case, :, at] = values[rows]
    return X, rows[first], times[last] if dated else None, every


def _say_gaps(
    sizes: NDArray[np.int64], spans: NDArray[np.int64], gaps: NDArray[np.int64], step: str | None
) -> None:
    """Log how many readings are missing within cases, (n_cases,), whose smallest gaps are known."""
    if (spans > sizes).any():
        logger.info(
            "%s readings are missing within %s of %s cases: they are NaN.",
            f"{int((spans - sizes).sum()):,}",
            f"{int((spans > sizes).sum()):,}",
            f"{len(sizes):,}",
        )
    coarse = int(((sizes > 2) & (gaps > 1)).sum())
    if coarse:
        logger.warning(
            "%s of these cases have no two readings %s apart, as if theirs was another step.",
            f"{coarse:,}",
            step,
        )


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
            f"some of its columns contain lists, but {'case and time' if long else repr(others[0])}"
            " single values: a list is the series of one channel of a case, so leave the other"
            " columns out"
        )
    firsts = [next(iter(frame[name].dropna())) for name in names]
    nested = [
        len(first) > 0 and isinstance(first[0], list | tuple | np.ndarray) for first in firsts
    ]
    if any(nested) and len(names) > 1:
        raise ValueError(
            "lists of lists contain all channels of a case, so they must be in one column, got"
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
        texts = array.dtype.kind in "OSU" and any(isinstance(v, str | bytes) for v in array)
        if array.ndim == 1 and texts:
            return numbers(optional("pandas", "tables").Series(array))
        if array.ndim == 1 and array.dtype.kind in "biufO":
            return array.astype(np.float64)
    except (TypeError, ValueError):
        pass
    bad = next((v for v in array if not is_number(str(v))), array) if array.ndim else array
    raise ValueError(
        f"case {case} (counted from 0) has {str(bad)[:40]!r} in a list, expected numbers"
    )


def part_codes(names: NDArray[np.str_]) -> NDArray[np.uint8]:
    """Turn the names of parts, in any case, into their codes."""
    codes = np.full(len(names), len(PARTS), dtype=np.uint8)
    for code, part in enumerate(PARTS):
        codes[np.char.lower(np.char.strip(names)) == part] = code
    if (codes == len(PARTS)).any():
        bad = str(names[codes == len(PARTS)][0])
        raise ValueError(f"a case has the part {bad!r}, expected one of {', '.join(PARTS)}")
    return codes


_PART_IN_STEM = re.compile(r"(?:^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))((?i:train|valid|test))$")


def read(path: Path, *, labelled: bool = True) -> CaseTable:
    """Read one file.

    Parameters
    ----------
    path
        A file whose ending is one of ``SUFFIXES``.
    labelled
        Whether a file without labels is refused; where it is not and any label is missing,
        no label is kept.

    Raises
    ------
    ValueError
        The file is unreadable, malformed, empty, or holds what a problem cannot; with the reason.
    """
    with naming(path):
        reader = _READERS.get(ending(path))
        if reader is None:
            raise ValueError(
                f"its ending is {path.suffix or 'missing'!r}, expected one of {', '.join(SUFFIXES)}"
                " (.gz may follow those of text)"
            )
        table = reader(path)
        check_series(table.X)
        if table.labels is not None and not (table.labels != "").all():
            if labelled:
                at = int(np.flatnonzero(table.labels == "")[0])
                raise ValueError(f"case {at} (counted from 0) has no label; give it one")
            table = replace(table, labels=None, classes=None)
        if table.labels is None and labelled:
            seen = f"; its columns are {listed(list(table.columns))}, expected {LAYOUTS}"
            if ending(path) == ".npz":
                seen = f", its arrays are {listed(table.columns)}: call that of the labels y"
            raise ValueError(f"it has no labels{seen if table.columns else ', give each case one'}")
        if table.group is not None and (table.group == "").any():
            at = int((table.group == "").argmax())
            raise ValueError(f"case {at} (counted from 0) has no group; give it one")
    return table


def ending(path: Path) -> str:
    """Return the ending that tells a file's format, in small letters: .ts of A.TS and a.ts.gz."""
    inner = Path(path.stem).suffix.lower()
    return inner if path.suffix.lower() == ".gz" and inner in _TEXT else path.suffix.lower()


def _stem(path: Path) -> str:
    """Return a file's name without the ending, and without .gz behind it."""
    return path.stem if ending(path) == path.suffix.lower() else Path(path.stem).stem


def problem_of(path: Path) -> tuple[str, str | None]:
    """Split a file's name into the problem's name and the part it names, if it names one.

    ``Coffee_TRAIN.ts`` is ``("Coffee", "TRAIN")``, ``latest.csv`` is ``("latest", None)``.
    """
    stem = _stem(path)
    found = _PART_IN_STEM.search(stem)
    if found is None:
        return stem, None
    name = stem[: found.start(1)].rstrip("_-. ")
    return name or path.resolve().parent.name, found[1]


def files_of(path: Path) -> dict[Path, str | None]:
    """List the files that a file or folder stands for, each with the part that its name gives.

    A file that is named as a train part brings its valid and test partners along (same ending,
    but for .gz, same case); a folder stands for the one problem in it, or the one that is named
    like the folder, in the first format of ``SUFFIXES``.

    Raises
    ------
    ValueError
        The folder holds no problem, or several.
    """
    if path.is_dir():
        path = _main_file(path)
    _, word = problem_of(path)
    if word is None or word.lower() != "train":
        return {path: word and word.lower()}
    found: dict[Path, str | None] = {}
    stem = _stem(path)
    own = path.name[len(stem) :]
    endings = (own, own[:-3] if own.lower().endswith(".gz") else f"{own}.gz")
    for part in PARTS:
        styled = next(f(part) for f in (str.upper, str.lower, str.title) if f("train") == word)
        partners = [path.with_name(stem[: -len(word)] + styled + each) for each in endings]
        partners = [path] if part == "train" else [each for each in partners if each.is_file()]
        if partners:
            found[partners[0]] = part
    return found


def _main_file(folder: Path) -> Path:
    files = [
        file
        for file in sorted(folder.iterdir())
        if ending(file) in SUFFIXES
        and file.is_file()
        and not file.name.startswith(".")
        and _stem(file).lower() not in ("readme", "license")
    ]
    if any(problem_of(file)[1] for file in files):  # beside parts, a .txt is a description
        files = [f for f in files if problem_of(f)[1] or ending(f) != ".txt"]
    names = sorted({problem_of(file)[0] for file in files})
    if not files:
        raise ValueError(
            f"the folder {folder} contains no problem; expected NAME_TRAIN and NAME_TEST files, or"
            f" one file, ending in one of {', '.join(SUFFIXES)}."
        )
    wanted = folder.resolve().name
    if len(names) > 1 and wanted not in names:
        raise ValueError(
            f"the folder {folder} contains several problems: {', '.join(names)}; name the file of"
            " one."
        )
    files = [file for file in files if problem_of(file)[0] == (wanted if names[1:] else names[0])]

    def rank(file: Path) -> tuple[int, int, int]:
        part = (problem_of(file)[1] or "train").lower()
        return SUFFIXES.index(ending(file)), PARTS.index(part), len(file.name)

    return min(files, key=rank)


def _read_ts(path: Path) -> CaseTable:
    lines = _lines(path)
    start = next((i for i, line in enumerate(lines) if line.lower() == "@data"), None)
    if start is None:
        raise ValueError("it has no @data line, so it is not a .ts file; download it again")
    words = [line.lower().split() for line in lines[:start] if line.startswith("@")]
    flags = {word[0]: word[1] for word in words if len(word) > 1}
    if flags.get("@targetlabel") == "true":
        raise ValueError("it is a regression problem (@targetLabel true); foreshock classifies")
    if flags.get("@timestamps") == "true":
        raise ValueError("its values carry time stamps; write only the values, or a .csv")
    rows = [(n, line) for n, line in enumerate(lines[start + 1 :], start + 2) if line]
    labels = None
    if flags.get("@classlabel") != "false":
        labels = [line.rpartition(":")[2].strip() for _, line in rows]
        for (n, line), label in zip(rows, labels, strict=True):
            if ":" not in line or "," in label:
                raise ValueError(f"line {n} does not end in ':' and a label")
    header, labelled = lines[: start + 1], labels is not None
    X = _through_aeon("load_from_ts_file", header, rows, separators="[,:]", labelled=labelled)
    return CaseTable(X=X, labels=None if labels is None else label_texts(labels))


def _read_arff(path: Path) -> CaseTable:
    lines = _lines(path)
    start = next((i for i, line in enumerate(lines) if line.lower().startswith("@data")), None)
    if start is None:
        raise ValueError("it has no @data line, so it is not an .arff file; download it again")
    header = [line for line in lines[: start + 1] if not line.startswith("%")]
    attributes = [line for line in header if line.lower().startswith("@attribute")]
    if not attributes or not attributes[-1].endswith("}"):
        raise ValueError(
            "its last attribute is not a list of classes {a,b}; foreshock classifies, and the"
            " label must come last"
        )
    several = any("relational" in line.lower() for line in attributes)
    rows = [
        (n, line)
        for n, line in enumerate(lines[start + 1 :], start + 2)
        if line and not line.startswith("%")
    ]
    labels, sizes = [], set()
    for n, line in rows:
        series, separator, label = line.rpartition("'," if several else ",")
        labels.append(label.strip().strip("'\""))
        sizes.add(tuple(channel.count(",") for channel in series.split("\\n")))
        if not separator or len(sizes) > 1:
            raise ValueError(f"line {n} has no label, or another number of values than the first")
    X = _through_aeon("load_from_arff_file", header, rows, separators=r",|'|\\n")
    return CaseTable(X=X, labels=label_texts(labels))


def _through_aeon(
    function: str,
    header: list[str],
    rows: list[tuple[int, str]],
    *,
    separators: str,
    labelled: bool = True,
) -> NDArray[np.floating[Any]]:
    """Have aeon read the series of a file, from a clean copy: UTF-8 and no empty lines."""
    if not rows:
        raise ValueError("it has no case after @data; download it again")
    end = -1 if labelled else None
    for n, line in rows:
        if "_" in line or not line.isascii():  # which Python takes for digits
            _check_values(n, re.split(separators, line)[:end])
    reader = getattr(optional("aeon.datasets", "archive"), function)
    try:
        series = _aeon_series(reader, [*header, *(line for _, line in rows)])
    except (OSError, ValueError, IndexError):  # aeon knows ? and NaN alone
        for n, line in rows:
            _check_values(n, re.split(separators, line)[:end])
        lines = [_with_nan(line, separators, end) for _, line in rows]
        try:
            series = _aeon_series(reader, [*header, *lines])
        except (OSError, ValueError, IndexError) as error:
            reason = re.sub(r"Error loading <.*?>\.\s*", "", str(error))
            raise ValueError(f"{reason}; correct the file or its header") from error
    if isinstance(series, np.ndarray):
        return as_numbers(series, "its series")
    X = np.full((len(series), len(series[0]), max(s.shape[1] for s in series)), np.nan)
    for case, values in enumerate(series):
        X[case, :, : values.shape[1]] = values
    return X


def _aeon_series(reader: Callable[[str], Any], lines: list[str]) -> Any:
    """Have aeon read lines; an array, or one for each case."""
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        copy = Path(folder) / "copy.ts"
        copy.write_text("\n".join(lines), encoding="utf-8")
        return reader(str(copy))[0]


def _with_nan(line: str, separators: str, end: int | None) -> str:
    """Write NaN for each value of a line that is missing, up to the label."""
    parts = re.split(f"({separators})", line)  # values and separators by turns
    for k in range(0, len(parts) if end is None else len(parts) + end, 2):
        value = parts[k].strip()
        quoted = "'" in parts[max(0, k - 1) : k + 2]  # around a case of several channels
        if value in MISSING and (value or not quoted):
            parts[k] = "NaN"
    return "".join(parts)


def _check_values(n: int, values: list[str]) -> None:
    """Refuse what is no number in line n."""
    for value in values:
        if not is_number(value):
            raise ValueError(f"line {n} has {value[:40]!r} instead of a number; correct that line")


def _read_rows(path: Path) -> CaseTable:
    """Read rows of a label and then values, as the UCR archive writes .tsv and .txt."""
    lines = [(n, line) for n, line in enumerate(_lines(path), 1) if line]
    if not lines:
        raise ValueError("it is empty; expected rows of a label and then values")
    separator = next((s for s in "\t," if s in lines[0][1]), None)
    fields = [[field.strip() for field in line.split(separator)] for _, line in lines]
    n_fields = max(2, *(_n_given(row) for row in fields))
    fields = [row[:n_fields] for row in fields]  # without what separators at the ends make
    X = np.empty((len(fields), 1, max(1, len(fields[0]) - 1)))
    for (n, _), row, target in zip(lines, fields, X, strict=True):
        if len(fields[0]) < 2:
            raise ValueError(f"line {n} has no values, expected a label and then values in each")
        if len(row) != len(fields[0]):
            raise ValueError(
                f"line {n} has {len(row) - 1} values, the first has {len(fields[0]) - 1}; end"
                " shorter series with NaN"
            )
        if any("_" in value or not value.isascii() for value in row[1:]):  # digits to Python
            _check_values(n, row[1:])
        try:
            target[0] = ["nan" if v in MISSING else v for v in row[1:]]
        except ValueError:
            _check_values(n, row[1:])
            raise
    return CaseTable(X=X, labels=label_texts([row[0] for row in fields]))


def _n_given(row: list[str]) -> int:
    """Return how many fields a row has up to the last that is not empty."""
    return max((k for k, field in enumerate(row, start=1) if field), default=0)


def _read_frame(path: Path) -> CaseTable:
    optional("pandas", "tables")
    frame = read_frame(path, text=TEXT_COLUMNS)
    return from_frame(frame, list(map(str, frame.columns)))


def _read_npz(path: Path) -> CaseTable:
    try:
        data = load_npz(path)
    except ValueError as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            error = ValueError(
                "it holds pickled objects, which are never opened; save X as numbers and text as"
                " unicode arrays"
            )
        raise ValueError(f"{error}; write it again with numpy.savez") from error
    if "X" not in data or data["X"].dtype.kind not in "biuf" or data["X"].ndim not in (2, 3):
        kinds = (f"{name} {array.dtype} {array.shape}" for name, array in data.items())
        raise ValueError("it needs an array X of numbers, (cases, timepoints) or (cases, channels,"
                         f" timepoints); its arrays are {listed(kinds)}")  # fmt: skip
    X = data["X"] if data["X"].ndim == 3 else data["X"][:, None, :]
    for key in ("y", "part", "group", "ends"):
        if key in data and data[key].shape != X.shape[:1]:
            raise ValueError(f"{key} has the shape {data[key].shape}, expected {X.shape[:1]}")
    classes = class_names(data["classes"]) if "classes" in data else None
    labels = data.get("y")
    if labels is not None and classes is not None:
        if labels.dtype.kind not in "iu" or not ((labels >= -1) & (labels < len(classes))).all():
            raise ValueError(f"y must be indices into the {len(classes)} classes")
        labels = np.array([*classes, ""])[labels]  # -1 is no label
    elif labels is not None:
        labels = label_texts(labels)
    part = data.get("part")
    if part is not None and part.dtype.kind in "US":
        part = part_codes(label_texts(part))
    elif part is not None and (part.dtype.kind not in "iu" or not np.isin(part, (0, 1, 2)).all()):
        raise ValueError(f"part must be one of {', '.join(PARTS)}, or their codes 0, 1 and 2")
    if "ends" in data and data["ends"].dtype.kind != "M":
        raise ValueError(f"ends must be datetime64, got {data['ends'].dtype}")
    return CaseTable(
        X=as_numbers(X, "X"),
        labels=labels,
        classes=classes,
        part=None if part is None else part.astype(np.uint8),
        group=label_texts(data["group"], id_text) if "group" in data else None,
        ends=data["ends"].astype("datetime64[us]") if "ends" in data else None,
        channels=tuple(decoded(c) for c in data["channels"]) if "channels" in data else None,
        name=decoded(data["name"][()]) if "name" in data else None,
        offset=data.get("offset"),
        columns=tuple(data),
        step=decoded(data["step"][()]) if "step" in data else None,
    )


def _lines(path: Path) -> list[str]:
    """Read the stripped lines of a text file."""
    return [line.strip(" ") for line in read_text(path).split("\n")]


_READERS: dict[str, Callable[[Path], CaseTable]] = {
    ".ts": _read_ts,
    ".tsv": _read_rows,
    ".arff": _read_arff,
    ".txt": _read_rows,
    ".csv": _read_frame,
    ".parquet": _read_frame,
    ".npz": _read_npz,
}
SUFFIXES = tuple(_READERS)
"""Endings of the files that can be read, the preferred ones first; those of text may have .gz
behind them."""
_TEXT = tuple(suffix for suffix in SUFFIXES if suffix not in (".parquet", ".npz"))
