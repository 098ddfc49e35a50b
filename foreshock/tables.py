"""Table, the content of one file; from data frames, and what the readers of files share."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from foreshock.clocks import common_step, format_duration, on_clock, plain_step
from foreshock.columns import case_times, numbers_in, row_of, times_in
from foreshock.extras import optional

logger = logging.getLogger(__name__)

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Names of the parts; a part's code is its position here."""

TEXT_COLUMNS = ("case", "label", "part", "group")
LAYOUTS = (
    "either one row per case with the columns label, optionally part and group, and the timepoints;"
    " or one row per reading with the columns case, time, label, optionally part and group, and"
    " the channels"
)

_MOST_MISSING = 100
"""Most readings that may be missing in one gap within a case, if no case has more readings."""
_BETWEEN = 2**62
"""Stands for the gap between two cases."""


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
    step: str | None = None
    """Time from one reading of a case to the next, a duration or a number, where it is known."""
    channels: tuple[str, ...] | None = None
    """Names of the channels, where the file gives them."""
    name: str | None = None
    """Name of the problem, where the file gives it."""
    columns: tuple[str, ...] = ()
    """Names of the columns, of a data frame."""


def join(tables: Sequence[Table]) -> Table:
    """Put tables of the same channels below each other; the shorter series end in NaN.

    Raises
    ------
    ValueError
        The tables differ in their channels or steps, or only some have groups, times or parts.
    """
    first = tables[0]
    steps = list(dict.fromkeys(table.step for table in tables if table.step is not None))
    if len(steps) > 1:
        raise ValueError(
            f"its files differ in their steps, one reading every {' and '.join(steps)}"
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
        step=steps[0] if steps else None,
        classes=first.classes if all(t.classes == first.classes for t in tables) else None,
        **{field: together(field) for field in ("labels", "part", "group", "ends")},
    )


def ordered(labels: NDArray[np.str_]) -> tuple[str, ...]:
    """List the different labels, by number where all are numbers, else by text."""
    texts = np.unique(labels).tolist()
    if all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.I) for text in texts):
        return tuple(sorted(texts, key=lambda text: (float(text), text)))
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
    index = None if "time" in columns else frame.attrs.get("time")
    long = "case" in columns and ("time" in columns or index is not None)
    if long != bool({"case", "time"} & set(columns)):
        raise ValueError(f"case and time go together, got the columns {listed(columns)}: {LAYOUTS}")
    time, used = times_in(frame, index) if long and len(frame) else (None, ())
    channels = [name for name in columns if name not in (*TEXT_COLUMNS, *used, "time")]
    if len(frame) == 0 or not channels:
        raise ValueError(
            f"no case or no values in the columns {listed(columns)}; expected {LAYOUTS}"
        )
    values = numbers_in(
        frame, channels, "leave it out or make it numbers (labels stand in a column label)"
    )  # (n_rows, n_channels or, of a row for each case, n_timepoints)
    text = {n: _column_texts(pandas, frame[n]) for n in TEXT_COLUMNS if n in columns}
    X, first, ends, step = values[:, None, :], np.arange(len(values)), None, None
    if time is not None:
        X, first, ends, step = _from_readings(time, values, text)
    text = {name: texts[first] for name, texts in text.items()}  # (n_cases,)
    return Table(
        X=float32(X),
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
            raise ValueError(
                f"the {name} of case {str(names[case[k]])!r} changes within the case, in"
                f" {row_of(column, rows[k])}"
            )
    dated = times.dtype.kind == "M"
    exact = dated or bool((times == np.rint(times)).all() and (np.abs(times) < 2**53).all())
    ticks = times.astype(np.int64) if exact else times
    apart = np.diff(case) == 0
    if not exact:
        apart &= np.diff(times) > 1e-12 * np.abs(times[1:])  # 0.3 and 0.1 + 0.2 are one time
    step = common_step(np.diff(ticks)[apart])
    if step is None:
        every = None
    else:
        every = format_duration(np.timedelta64(step, "us")) if dated else plain_step(str(step))
    at, off = on_clock(ticks - ticks[first][case], step)

    def named(k: int) -> str:
        return f"case {str(names[case[k]])!r}, {row_of(column, rows[k])}"

    if off.any():
        raise ValueError(
            f"of its {len(at):,} readings {int(off.sum()):,}, in {len(np.unique(case[off])):,} of"
            f" {len(first):,} cases, are off the clock of step {every} that begins with their case,"
            f" the first in {named(int(off.argmax()))}; correct their times or resample them, or,"
            " where the clock does not matter, number the readings of each case (0, 1, 2)"
        )
    if ((np.diff(case) == 0) & (np.diff(at) == 0)).any():
        repeated = pandas.DataFrame(values[rows]).assign(case=case, at=at).duplicated().to_numpy()
        case, at, times, rows = (each[~repeated] for each in (case, at, times, rows))
        if repeated.any():
            n_repeated = f"{int(repeated.sum()):,}"
            logger.info("%s readings repeat another one exactly and are taken once.", n_repeated)
    gaps = np.where(np.diff(case) == 0, np.diff(at), _BETWEEN)  # (n_readings - 1,)
    if not gaps.all():
        k, n_pairs = int(gaps.argmin()), int((gaps == 0).sum())
        more = f", and {n_pairs - 1:,} more such pairs" if n_pairs > 1 else ""
        raise ValueError(
            f"case {str(names[case[k]])!r} has two readings at one time that differ, in"
            f" {row_of(column, rows[k])} and {row_of(column, rows[k + 1])}{more}; leave one out"
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


def float32(values: Any) -> NDArray[np.float32]:
    """Convert to float32; what is too large becomes infinite, which ``check_series`` refuses."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float64).astype(np.float32)


def label_texts(labels: Sequence[str]) -> NDArray[np.str_]:
    """Make labels an array of text in which a missing one is empty."""
    missing = ("?", "nan", "NaN")
    return np.array(["" if label in missing else label for label in labels], dtype=np.str_)


def label_text(text: str) -> str:
    """Write a whole number that is written as a float, 1.0000000e+00, as 1."""
    if re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", text, re.IGNORECASE) and not text.isdigit():
        return str(int(float(text))) if float(text).is_integer() else text
    return text


def _column_texts(pandas: Any, column: Any) -> NDArray[np.str_]:
    codes, uniques = pandas.factorize(column)
    floats = column.dtype.kind == "f"
    texts = [label_text(str(value)) if floats else str(value).strip() for value in uniques]
    result: NDArray[np.str_] = np.array([*texts, ""], dtype=np.str_)[codes]  # -1 is missing
    return result


def part_codes(names: NDArray[np.str_]) -> NDArray[np.uint8]:
    """Turn the names of parts, in any case, into their codes."""
    codes = np.full(len(names), len(PARTS), dtype=np.uint8)
    for code, part in enumerate(PARTS):
        codes[np.char.lower(np.char.strip(names)) == part] = code
    if (codes == len(PARTS)).any():
        bad = str(names[codes == len(PARTS)][0])
        raise ValueError(f"a case has the part {bad!r}, expected one of {', '.join(PARTS)}")
    return codes


def listed(names: list[str]) -> str:
    """Write the first few of many names."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
